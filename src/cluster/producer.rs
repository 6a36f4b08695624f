//! Transactions, as the cluster's other modules use them.

pub use crate::transaction::{ClaimAt, Producer, Record, fence};
