//! The `driftgate` command.

use std::process::ExitCode;

/// Replaces the C library's allocator too, and so serves librdkafka: a message is allocated by its thread and given back by
/// ours, which this one does without a lock.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    driftgate::cli::main()
}
