//! The `driftgate` command.

mod leave;

/// Replaces the C library's allocator too, and so serves librdkafka: a message is allocated by its thread and given back by
/// ours, which this one does without a lock.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    leave::leave(driftgate::cli::main())
}
