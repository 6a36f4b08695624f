//! Durable state of the daemon: one file, replaced as a whole, so that a crash leaves either the old or the new one. What
//! does not change any more is kept in chunk files beside it, each written once, under its digest: they are on the disk before
//! the file that names them, and are removed after the last one that did. The checkpoint before the last one is kept, and is used where
//! the last one is damaged. `state` is what is kept, `files` the folder's files as they are read, `store` the folder as it is written,
//! `fallback` what is said where the one before is used, `walk` reads everything that a checkpoint names, `write` is how a file is replaced, and
//! `publish` where a checkpoint goes beside the folder.

mod error;
mod fallback;
pub mod files;
#[cfg(test)]
pub(crate) mod made;
mod publish;
mod state;
mod store;
pub mod walk;
pub mod write;

pub use error::{CheckpointError, KIND, PREVIOUS, UNPARTED};
pub use fallback::Fallback;
pub use files::FILE;
pub use publish::{Publish, ReadChunk};
pub use state::{Checkpoint, HalvesState, PartState, Position, SourceState};
pub use store::Store;
