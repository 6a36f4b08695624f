//! A real-time endpoint of `SageMaker`, whose production variants have weights: `DescribeEndpoint` and
//! `UpdateEndpointWeightsAndCapacities`.

use serde_json::{Value, json};

use super::division::Division;
use super::error::RouterError;
use super::places::variants;
use crate::aws::{Api, AwsError, SAGEMAKER};
use crate::http_client::Calls;
use driftgate_core::policy::traffic::Backends;

/// The endpoint takes new weights in this state only.
const IN_SERVICE: &str = "InService";

/// The API of the environment's region.
pub struct SageMaker(Api);

/// An endpoint as it is.
pub struct Endpoint {
    pub division: Division,
    /// It takes no other weights before this change is done.
    pub is_changing: bool,
}

impl SageMaker {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// No region, or credentials that cannot be set up.
    pub fn new(calls: &Calls) -> Result<Self, RouterError> {
        Api::new(&SAGEMAKER, None, calls).map(Self).map_err(|e| of("", e))
    }

    /// How an endpoint divides its traffic between two variants.
    ///
    /// # Errors
    /// An API that does not answer, or refuses; an endpoint without the variants.
    pub fn endpoint(&self, router: &str, name: &str, backends: &Backends) -> Result<Endpoint, RouterError> {
        let found = self.0.call("DescribeEndpoint", &json!({"EndpointName": name})).map_err(|e| of(router, e))?;
        let is_changing = found.get("EndpointStatus").and_then(Value::as_str) != Some(IN_SERVICE);
        Ok(Endpoint { division: variants(router, &found, backends)?, is_changing })
    }

    /// Gives the candidate's variant a percentage of an endpoint's traffic.
    ///
    /// # Errors
    /// An API that does not answer, or refuses.
    pub fn set(&self, router: &str, name: &str, backends: &Backends, percent: f64) -> Result<(), RouterError> {
        let weight = |variant: &str, weight: f64| json!({"VariantName": variant, "DesiredWeight": weight});
        let weights = [weight(&backends.stable, 100.0 - percent), weight(&backends.canary, percent)];
        let asked = json!({"EndpointName": name, "DesiredWeightsAndCapacities": weights});
        self.0.call("UpdateEndpointWeightsAndCapacities", &asked).map(drop).map_err(|e| of(router, e))
    }
}

fn of(router: &str, error: AwsError) -> RouterError {
    let router = router.to_owned();
    match error {
        AwsError::Setup { said } => RouterError::Aws { said },
        AwsError::Unreachable { said, .. } => RouterError::Unreachable { router, said },
        AwsError::Forbidden { status, said, .. } => RouterError::Forbidden { router, status, said },
        AwsError::Missing { said, .. } => RouterError::Missing { router, said },
        AwsError::Refused { status, said, .. } => RouterError::Refused { router, status, said },
    }
}
