//! What commands print. A reader that has gone away (`driftgate gate … | head -1`) changes nothing: the command goes on
//! without a word and ends with the code that it would have had. `println!` would panic there, and lints refuse it.

use std::fmt;
use std::io::{self, ErrorKind, Write};

/// Prints to standard output.
pub fn print(text: fmt::Arguments<'_>) {
    write(&mut io::stdout().lock(), text);
}

/// Prints a line to standard error.
pub fn print_error(text: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

fn write(out: &mut impl Write, text: fmt::Arguments<'_>) {
    match out.write_fmt(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            print_error(format_args!("driftgate: standard output cannot be written: {error}"));
        }
        _ => {}
    }
}

/// Standard output as a file of results: what comes after its reader has gone away is dropped.
pub fn results() -> impl Write {
    UntilClosed { out: Some(io::stdout()) }
}

/// A writer that ends quietly when its reader goes away.
struct UntilClosed<W> {
    out: Option<W>,
}

impl<W: Write> UntilClosed<W> {
    fn unless_closed<T>(&mut self, closed: T, write: impl FnOnce(&mut W) -> io::Result<T>) -> io::Result<T> {
        let Some(out) = &mut self.out else { return Ok(closed) };
        match write(out) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.out = None;
                Ok(closed)
            }
            other => other,
        }
    }
}

impl<W: Write> Write for UntilClosed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.unless_closed(bytes.len(), |out| out.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.unless_closed((), Write::flush)
    }
}

/// `print!` without its panic.
macro_rules! out {
    ($($text:tt)*) => { $crate::cli::terminal::print(format_args!($($text)*)) };
}

/// `println!` without its panic.
macro_rules! outln {
    () => { $crate::cli::terminal::print(format_args!("\n")) };
    ($($text:tt)*) => { $crate::cli::terminal::print(format_args!("{}\n", format_args!($($text)*))) };
}

/// `eprintln!` without its panic.
macro_rules! errln {
    ($($text:tt)*) => { $crate::cli::terminal::print_error(format_args!($($text)*)) };
}

pub(crate) use {errln, out, outln};

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes a few bytes, then its reader goes away.
    struct Pipe(usize, ErrorKind);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(self.1.into());
            }
            let taken = bytes.len().min(self.0);
            self.0 -= taken;
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn results_end_quietly_where_nobody_reads_and_other_errors_are_told() {
        let mut out = UntilClosed { out: Some(Pipe(3, ErrorKind::BrokenPipe)) };
        assert!(out.write_all(b"abcdef").is_ok() && out.out.is_none());
        assert!(out.write_all(b"gh").is_ok() && out.flush().is_ok());
        let mut full = UntilClosed { out: Some(Pipe(3, ErrorKind::StorageFull)) };
        assert_eq!(full.write_all(b"abcdef").unwrap_err().kind(), ErrorKind::StorageFull);
    }
}
