//! Names of models and versions, and of the actors in the log that are no person.

use crate::text::steers;

/// The longest name of a model, version or stage, in bytes.
pub const LONGEST: usize = 200;
/// driftgate itself.
pub const DRIFTGATE: &str = "driftgate";
/// The actor of observations in MLflow.
pub const MLFLOW: &str = "mlflow";
/// The actor of observations in `SageMaker`'s model registry.
pub const SAGEMAKER: &str = "sagemaker";
/// Actors of the audit log that are no persons; no token may name them.
pub const OWN_ACTORS: [&str; 3] = [DRIFTGATE, MLFLOW, SAGEMAKER];

/// Why a registry refuses a name. Names go into URLs, paths and metric labels.
#[must_use]
pub fn fault(name: &str) -> Option<&'static str> {
    match name {
        "" => Some("it is empty"),
        _ if name.len() > LONGEST => Some("it is longer than 200 bytes"),
        _ if name.chars().any(steers) => Some("it has a control character, or one that is not seen"),
        _ if name.contains('/') => Some("it has a slash"),
        _ => None,
    }
}
