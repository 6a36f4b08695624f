//! Why a router does not have the weight of its rollout.

use crate::ledger::RegistryError;
use crate::sink::webhook::WebhookError;

/// Why a router does not have its weight. Each is tried again.
#[derive(Debug, thiserror::Error)]
pub enum RouterError {
    #[error("{router}: its names have {{champion}} in them, and there is no champion: name its backends without it")]
    NoChampion { router: String },
    #[error("{router} is not there: {said}; create it, or correct the policy's `traffic`")]
    Missing { router: String, said: String },
    #[error(
        "the API server refuses {router} ({status}): {said}; allow get and patch of it to driftgate's service account"
    )]
    Forbidden { router: String, status: u16, said: String },
    #[error("the API server refuses to change {router} ({status}): {said}")]
    Refused { router: String, status: u16, said: String },
    #[error("the API server cannot be asked for {router}: {said}")]
    Unreachable { router: String, said: String },
    #[error(
        "{router} cannot be set: no API server is known: run in a cluster, or name `routing.kubeconfig` in the configuration"
    )]
    NoCluster { router: String },
    #[error("the access to Kubernetes cannot be set up: {said}")]
    Access { said: String },
    #[error("AWS cannot be asked: {said}")]
    Aws { said: String },
    #[error("{router}: {found}")]
    Unlike { router: String, found: String },
    #[error(
        "{router} was set to {percent}% and reads {found}: something sets it back, or it is not the object that divides the traffic"
    )]
    NotKept { router: String, percent: f64, found: String },
    #[error(
        "{router}: the configuration has no webhook {to:?} under `routing.webhooks`: add it, or correct the policy's `traffic`"
    )]
    NoReceiver { router: String, to: String },
    #[error(transparent)]
    Webhook(#[from] WebhookError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
}
