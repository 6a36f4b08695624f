//! MLflow as a registry that is kept in step.

use super::client::Mlflow;
use super::error::MlflowError;
use super::ops::deliver;
use super::pull::{RunCache, confirm_gone, pull};
use crate::ledger::{Found, Op};
use crate::sink::external::{Delivered, ExternalError, ExternalRegistry};
use driftgate_core::fact::External;

/// An MLflow server, and what is remembered of its runs.
pub struct MlflowRegistry {
    client: Mlflow,
    runs: RunCache,
}

impl From<Mlflow> for MlflowRegistry {
    fn from(client: Mlflow) -> Self {
        Self { client, runs: RunCache::default() }
    }
}

impl ExternalRegistry for MlflowRegistry {
    fn of(&self) -> External {
        External::Mlflow
    }

    fn pull(&mut self, model: &str, known: Vec<String>) -> Result<Found, ExternalError> {
        let mut found = pull(&self.client, model, &mut self.runs)?;
        confirm_gone(&self.client, model, known, &mut found)?;
        Ok(found)
    }

    fn deliver(&mut self, op: &Op) -> Result<Delivered, ExternalError> {
        Ok(deliver(&self.client, op)?)
    }
}

impl From<MlflowError> for ExternalError {
    fn from(error: MlflowError) -> Self {
        match error {
            MlflowError::Unreachable { .. } => Self::Away(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}
