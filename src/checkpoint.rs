//! Durable state of the daemon: one file, replaced as a whole, so that a crash leaves either the old or the new one. What
//! does not change any more is kept in chunk files beside it, each written once, under its digest: they are on the disk before
//! the file that names them, and are removed after the last one that did. `state` is what is kept, `store` the folder.

mod error;
mod state;
mod store;

pub use error::CheckpointError;
pub use state::{Checkpoint, SourceState};
pub use store::{FILE, Store};
