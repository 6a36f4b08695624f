//! The registry in an `SQLite` file: safe for several threads and processes, every change one synced transaction. It keeps
//! which versions there are, which version each stage pointer is on, what was signalled, and the audit log.
//!
//! `embedded` is the file with its connections, `open` opens it, `schema` has its tables, `change` is one transaction with its
//! audit records and facts. Rows: `versions`, `pointers`, `dossier_rows`, `rollout_rows`, `promotion_records`, `mirror`. What is
//! done with them: `register`, `stages`, `signals`, `rollback`, `dossier`, `gate`, `promotions`, `rollouts`, `routes`, `batch`, `follow`.
//! Of several processes one writes: `role` is who, `capture` notes what a transaction changes, `replica` applies it elsewhere, `results` is
//! how far the units' results were applied, `whole` gives and takes a registry as a stream.

mod anew;
mod attested;
mod audit;
mod batch;
mod capture;
mod change;
pub mod copy;
mod dossier;
mod dossier_rows;
mod elsewhere;
mod embedded;
mod error;
mod follow;
mod freezing;
mod from_format_2;
mod gate;
pub mod held;
pub mod home;
mod identity;
mod intact;
mod likeness;
mod mirror;
mod names;
mod open;
mod outgoing;
mod pointers;
mod position;
mod promotion_records;
mod promotions;
mod register;
mod registered;
mod replica;
mod results;
mod role;
mod rollback;
mod rollout_rows;
mod rollouts;
mod routes;
mod rows;
mod schema;
#[cfg(test)]
mod shadow;
mod signals;
mod stages;
#[cfg(test)]
mod tests;
mod unblock;
mod upgrade;
mod versions;
mod whole;
mod written;

pub use batch::{Given, GivenVerdict, Stream, Taken};
pub use change::{Outgoing, Sink};
pub use dossier::GivenApproval;
pub use elsewhere::{Found, FoundVersion, Op};
pub use embedded::Embedded;
pub use error::{Logged, RegistryError};
pub use follow::{Drift, Followed};
pub use gate::{RequestContext, StreamState};
pub use identity::{Problem, UNCONFIRMED};
pub use intact::Intact;
pub use likeness::Likeness;
pub use mirror::Due;
pub use promotions::{Promotion, PromotionRequest};
pub use replica::ReplicaError;
pub use results::Applied;
pub use role::{ChangeLog, Role};
pub use rollouts::{FROZEN, RolloutCommand};
pub use routes::Routed;
pub use unblock::Unblocked;
pub use whole::Part;
