//! Parts of files counted beside each other: what reads and writes files for the passes of [`driftgate_core::batch`].

mod list;
mod passes;
mod read;
mod shared;
mod split;

pub use list::list;
pub use passes::{Files, carry, count, pair, scan, share};
pub use shared::section;
pub use split::{SplitError, split};
