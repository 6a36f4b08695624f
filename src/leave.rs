//! The end of the process. librdkafka's threads may still be connecting, and their end has no bound, so nobody waits for them;
//! and what the C libraries would run at an orderly exit is left out: OpenSSL frees there what a handshake of such a thread
//! still uses, and the process would end by a segmentation fault now and then.

use std::io::Write as _;

/// Ends the process at once; everything is saved by now.
#[allow(unsafe_code, reason = "the standard library has no exit without the C library's handlers")]
pub fn leave(code: u8) -> ! {
    let _ = std::io::stdout().flush();
    let _ = std::io::stderr().flush();
    // SAFETY: `_exit` takes any value and has no preconditions.
    unsafe { libc::_exit(i32::from(code)) }
}
