//! A model registry kept by MLflow, by its REST API (2.0, as MLflow 3 serves it). driftgate's own ledger stays the truth
//! for approvals, evidence and the audit log: MLflow is asked what it has (`pull`), and sent what
//! differs from what shall be (`ops`, idempotent).
//!
//! Stage pointers are MLflow's aliases. They have neither history nor compare-and-set, so a pointer that another client
//! moved is reported and left where it is.

pub mod client;
pub mod error;
mod external;
pub mod ops;
pub mod pull;
#[cfg(test)]
mod stub;

pub use client::{Auth, Mlflow};
pub use error::MlflowError;
pub use external::MlflowRegistry;
pub use pull::RunCache;
