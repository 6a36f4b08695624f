//! Problems of the daemon and its models, the worst first: each is a sentence, with what to do about it. These are pure functions; the
//! caller collects the facts.
//!
//! | module | holds |
//! |---|---|
//! | `types` | a problem, how bad it is, and what the registry knows of a model |
//! | `daemon` | problems of the daemon as a whole |
//! | `found`, `version`, `model` | problems of a model and its versions |

mod daemon;
mod found;
mod model;
#[cfg(test)]
mod tests;
mod types;
mod version;

pub use daemon::{of_cluster, of_daemon};
pub use model::of_model;
pub use types::{ModelFacts, Problem, Severity, quoted};
