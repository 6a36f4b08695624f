//! Why a step of the cluster failed, and what to do about it.

pub use crate::transaction::Outcome;
use crate::transaction::TransactionError;

#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    #[error(transparent)]
    Transaction(#[from] TransactionError),
}
