//! The policy of a model: its file's parser here and in `parse`, `names`, `groups`, `rule_options`, `subjects`,
//! `transitions` and `signing`; its validated form in `types`; the table of what rules can be in `metrics`,
//! and what a parsed one is by it in `kinds`.

mod groups;
mod kinds;
pub mod lint;
pub mod metrics;
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
pub use parse::number_of;
pub use parse::parse;
pub use signing::{SignatureAlgorithm, SigningKey};
pub use types::*;
