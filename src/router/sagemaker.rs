//! A real-time endpoint of `SageMaker`, whose production variants have weights: `DescribeEndpoint` and
//! `UpdateEndpointWeightsAndCapacities` of the AWS JSON protocol, signed by Signature Version 4. For a thread outside an async runtime.

use std::env;

use object_store::aws::{AmazonS3Builder, AwsAuthorizer, AwsCredentialProvider};
use object_store::client::HttpRequest;
use reqwest::Url;
use reqwest::blocking::Client;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use super::division::Division;
use super::error::RouterError;
use super::places::variants;
use crate::http_client::{BodyError, Calls, body, cause};
use driftgate_core::policy::traffic::Backends;

/// An answer is no longer than this.
const MOST_BYTES: u64 = 4 << 20;
/// The endpoint takes new weights in this state only.
const IN_SERVICE: &str = "InService";

/// The API of a region, by the usual chain of credentials: variables, a web identity, a container's or a machine's role.
pub struct SageMaker {
    url: Url,
    region: String,
    credentials: AwsCredentialProvider,
    http: Client,
    calls: Calls,
    runtime: Runtime,
}

/// An endpoint as it is.
pub struct Endpoint {
    pub division: Division,
    /// It takes no other weights before this change is done.
    pub is_changing: bool,
}

impl SageMaker {
    /// The API of the region that the environment names. Nothing is asked yet.
    ///
    /// # Errors
    /// No region, or credentials that cannot be set up.
    pub fn new(calls: &Calls) -> Result<Self, RouterError> {
        let broken = |said: String| RouterError::Aws { said };
        let named = |names: [&str; 2]| names.into_iter().find_map(|name| env::var(name).ok().filter(|v| !v.is_empty()));
        let region = named(["AWS_REGION", "AWS_DEFAULT_REGION"]);
        let region = region.ok_or_else(|| broken("no region is known: set AWS_REGION".to_owned()))?;
        let usual = format!("https://api.sagemaker.{region}.amazonaws.com");
        let url = named(["AWS_ENDPOINT_URL_SAGEMAKER", "AWS_ENDPOINT_URL"]).unwrap_or(usual);
        let url = Url::parse(&url).map_err(|e| broken(format!("{url:?} is no URL: {e}")))?;
        // A store that is never asked: it finds the credentials as the other stores here do.
        let store = AmazonS3Builder::from_env().with_bucket_name("none").with_region(&region).build();
        let credentials = store.map_err(|e| broken(e.to_string()))?.credentials().clone();
        let http =
            calls.client(&url).and_then(|http| http.build().map_err(|e| cause(e, calls.timeout))).map_err(broken)?;
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|e| broken(e.to_string()))?;
        Ok(Self { url, region, credentials, http, calls: calls.clone(), runtime })
    }

    /// How an endpoint divides its traffic between two variants.
    ///
    /// # Errors
    /// An API that does not answer, or refuses; an endpoint without the variants.
    pub fn endpoint(&self, router: &str, name: &str, backends: &Backends) -> Result<Endpoint, RouterError> {
        let found = self.call(router, "DescribeEndpoint", &json!({"EndpointName": name}))?;
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
        self.call(router, "UpdateEndpointWeightsAndCapacities", &asked).map(drop)
    }

    fn call(&self, router: &str, operation: &str, asked: &Value) -> Result<Value, RouterError> {
        let router = || router.to_owned();
        let unreachable = |said: String| RouterError::Unreachable { router: router(), said };
        let credential = self.runtime.block_on(self.credentials.get_credential());
        let credential = credential.map_err(|e| RouterError::Aws { said: e.to_string() })?;
        let text = asked.to_string();
        let mut request = HttpRequest::new(text.clone().into());
        *request.method_mut() = reqwest::Method::POST;
        *request.uri_mut() =
            self.url.as_str().parse().map_err(|_| unreachable(format!("{} is no address", self.url)))?;
        let target =
            format!("SageMaker.{operation}").parse().map_err(|_| unreachable("no such operation".to_owned()))?;
        request.headers_mut().insert("x-amz-target", target);
        request
            .headers_mut()
            .insert("content-type", reqwest::header::HeaderValue::from_static("application/x-amz-json-1.1"));
        AwsAuthorizer::new(&credential, "sagemaker", &self.region)
            .try_authorize(&mut request, None)
            .map_err(|e| RouterError::Aws { said: e.to_string() })?;
        let sent = self.http.post(self.url.clone()).headers(request.headers().clone()).body(text).send();
        let answer = sent.map_err(|e| unreachable(cause(e, self.calls.timeout)))?;
        let status = answer.status().as_u16();
        let said = body(answer, MOST_BYTES).map_err(|e: BodyError| unreachable(e.cause(self.calls.timeout)))?;
        if status == 200 {
            return Ok(serde_json::from_slice(&said).unwrap_or_default());
        }
        let found: Value = serde_json::from_slice(&said).unwrap_or_default();
        let text = ["message", "Message"].iter().find_map(|key| found.get(*key)?.as_str());
        let said = text.map_or_else(|| String::from_utf8_lossy(&said).chars().take(200).collect(), str::to_owned);
        let kind = found.get("__type").and_then(Value::as_str).unwrap_or_default();
        Err(match status {
            _ if kind.contains("AccessDenied") => RouterError::Forbidden { router: router(), status, said },
            400 if said.contains("Could not find") || said.contains("not find endpoint") => {
                RouterError::Missing { router: router(), said }
            }
            429 | 500.. => unreachable(said),
            _ => RouterError::Refused { router: router(), status, said },
        })
    }
}
