//! How many threads a command works with.

/// How many threads to work with: as asked for, or as many as there are cores.
pub fn threads(asked: Option<u16>) -> usize {
    asked.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from)
}
