//! The policy of a model: its file's parser here and in `parse`, `names`, `groups`, `rule_options`, `subjects`,
//! `transitions` and `signing`; its validated form in `types`.

mod groups;
pub mod lint;
mod names;
mod parse;
mod rule_options;
pub mod signing;
mod subjects;
#[cfg(test)]
mod tests;
mod transitions;
pub mod types;

pub use crate::yaml::{FileError as PolicyError, FileErrors as PolicyErrors};
pub use parse::parse;
pub use signing::{SignatureAlgorithm, SigningKey};
pub use types::*;
