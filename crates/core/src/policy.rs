//! The policy of a model: its file's parser here and in `parse`, `names`, `groups`, `transitions`, `rollout`,
//! `traffic` and `signing`; its validated
//! form in `types`. What rules can be is `crate::rule`.

mod groups;
mod importance;
pub mod keys;
pub mod lint;
mod names;
mod parse;
mod predicts;
mod rollout;
mod schema;
pub mod signing;
mod task;
#[cfg(test)]
mod tests;
pub mod traffic;
mod transitions;
pub mod types;
pub mod windows;

pub use crate::yaml::{FileError as PolicyError, FileErrors as PolicyErrors};
pub use keys::{EVIDENCE_KINDS, SCHEMA_CHANGES};
pub use parse::number_of;
pub use parse::{load, merged, parse, without_classes};
pub use schema::{reference, schema, schema_text};
pub use signing::{SignatureAlgorithm, SigningKey};
pub use task::Task;
pub use traffic::Router;
pub use types::*;
pub use windows::{LocalDays, Millis, PaneOf, WindowSpec};
