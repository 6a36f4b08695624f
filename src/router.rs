//! Traffic routers: what makes the traffic follow the weights of a rollout.
//!
//! `division` is how an object of Kubernetes divides its traffic, and the patch that divides it otherwise, without any network;
//! `places` is where the objects of each kind have their weights, `mirror` how they copy
//! requests. `kubernetes` reads and patches them, `sagemaker` does so with endpoints, `receiver` tells webhooks.
//! `follow` looks at each router again and again, and `turn` brings it to what its rollout says: what is there is read, compared, patched and read back,
//! so that a restart, a lost answer or somebody else's change ends in the weight, or in a pause that says who moved what.

mod division;
mod error;
mod follow;
mod kubernetes;
mod mirror;
mod places;
mod receiver;
mod sagemaker;
#[cfg(test)]
mod tests;
mod turn;

pub use error::RouterError;
pub use follow::Follower;
pub use kubernetes::{Access, Cluster};
pub use receiver::Receiver;
