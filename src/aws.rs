//! The JSON API of an AWS service: requests signed by Signature Version 4 with the credentials of the usual chain (variables, a web
//! identity, a container's or a machine's role). For a thread outside an async runtime.

use std::env;

use object_store::aws::{AmazonS3Builder, AwsAuthorizer, AwsCredentialProvider};
use object_store::client::HttpRequest;
use reqwest::Url;
use reqwest::blocking::Client;
use reqwest::header::HeaderValue;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use crate::http_client::{BodyError, Calls, body, cause};

/// An answer is no longer than this.
const MOST_BYTES: u64 = 16 << 20;
/// An answer that is not the service's is quoted up to here, in characters.
const SHOWN_CHARS: usize = 200;

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AwsError {
    /// No call can be made: no region, no credentials, an address that is none.
    #[error("AWS cannot be asked: {said}")]
    Setup { said: String },
    /// No answer, or one that says to ask again later: it is overloaded, or too much was asked.
    #[error("{service} cannot be reached ({operation}): {said}")]
    Unreachable { service: &'static str, operation: &'static str, said: String },
    /// Credentials that the service does not take, or rights that do not suffice.
    #[error("{service} does not allow {operation} ({status}): {said}")]
    Forbidden { service: &'static str, operation: &'static str, status: u16, said: String },
    /// What was named is not there.
    #[error("{service} has no such thing ({operation}): {said}")]
    Missing { service: &'static str, operation: &'static str, said: String },
    #[error("{service} refuses {operation} ({status}): {said}")]
    Refused { service: &'static str, operation: &'static str, status: u16, said: String },
}

/// A service in a region.
pub struct Api {
    service: &'static Service,
    url: Url,
    region: String,
    credentials: AwsCredentialProvider,
    http: Client,
    calls: Calls,
    runtime: Runtime,
}

/// How a service is called.
#[derive(Debug)]
pub struct Service {
    /// As sentences name it.
    pub name: &'static str,
    /// The name that requests are signed for.
    pub signing: &'static str,
    /// What stands before an operation's name in `X-Amz-Target`.
    pub target: &'static str,
    /// The host is `PREFIX.REGION.amazonaws.com`.
    pub host: &'static str,
    /// The variable that names another address.
    pub endpoint: &'static str,
}

/// `SageMaker`'s control plane.
pub const SAGEMAKER: Service = Service {
    name: "SageMaker",
    signing: "sagemaker",
    target: "SageMaker",
    host: "api.sagemaker",
    endpoint: "AWS_ENDPOINT_URL_SAGEMAKER",
};

impl Api {
    /// The service in this region, or in the one that the environment names. Nothing is asked yet.
    ///
    /// # Errors
    /// No region, an address that is none, or credentials that cannot be set up.
    pub fn new(service: &'static Service, region: Option<&str>, calls: &Calls) -> Result<Self, AwsError> {
        let broken = |said: String| AwsError::Setup { said };
        let named = |names: [&str; 2]| names.into_iter().find_map(|name| env::var(name).ok().filter(|v| !v.is_empty()));
        let region = region.map(str::to_owned).or_else(|| named(["AWS_REGION", "AWS_DEFAULT_REGION"]));
        let region = region.ok_or_else(|| broken("no region is known: set AWS_REGION".to_owned()))?;
        let usual = format!("https://{}.{region}.amazonaws.com", service.host);
        let url = named([service.endpoint, "AWS_ENDPOINT_URL"]).unwrap_or(usual);
        let url = Url::parse(&url).map_err(|e| broken(format!("{url:?} is no URL: {e}")))?;
        // A store that is never asked: it finds the credentials as the other stores here do.
        let store = AmazonS3Builder::from_env().with_bucket_name("none").with_region(&region).build();
        let credentials = store.map_err(|e| broken(e.to_string()))?.credentials().clone();
        let http = calls.client(&url).and_then(|http| http.build().map_err(|e| cause(e, calls.timeout)));
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|e| broken(e.to_string()))?;
        let (http, calls) = (http.map_err(broken)?, calls.clone());
        Ok(Self { service, url, region, credentials, http, calls, runtime })
    }

    /// Calls an operation.
    ///
    /// # Errors
    /// A service that does not answer, or refuses.
    pub fn call(&self, operation: &'static str, asked: &Value) -> Result<Value, AwsError> {
        let service = self.service.name;
        let unreachable = |said: String| AwsError::Unreachable { service, operation, said };
        let text = asked.to_string();
        let request = self.signed(operation, &text)?;
        let sent = self.http.post(self.url.clone()).headers(request.headers().clone()).body(text).send();
        let answer = sent.map_err(|e| unreachable(cause(e, self.calls.timeout)))?;
        let status = answer.status().as_u16();
        let said = body(answer, MOST_BYTES).map_err(|e: BodyError| unreachable(e.cause(self.calls.timeout)))?;
        if status != 200 {
            return Err(self.refusal(operation, status, &said));
        }
        serde_json::from_slice(&said).map_err(|e| unreachable(format!("its answer is no JSON: {e}; check the address")))
    }

    /// Calls an operation again and again for all pages of its answer.
    ///
    /// # Errors
    /// A service that does not answer, refuses, or whose pages lead back to themselves.
    pub fn pages(&self, operation: &'static str, mut asked: Value) -> Result<Vec<Value>, AwsError> {
        let mut pages: Vec<Value> = Vec::new();
        loop {
            let page = self.call(operation, &asked)?;
            let next =
                page.get("NextToken").and_then(Value::as_str).filter(|token| !token.is_empty()).map(str::to_owned);
            pages.push(page);
            let Some(next) = next else { return Ok(pages) };
            if asked.get("NextToken").and_then(Value::as_str) == Some(&next) {
                let said = "its pages lead back to themselves".to_owned();
                return Err(AwsError::Unreachable { service: self.service.name, operation, said });
            }
            if let Some(asked) = asked.as_object_mut() {
                asked.insert("NextToken".to_owned(), json!(next));
            }
        }
    }

    fn signed(&self, operation: &str, text: &str) -> Result<HttpRequest, AwsError> {
        let broken = |said: String| AwsError::Setup { said };
        let credential = self.runtime.block_on(self.credentials.get_credential()).map_err(|e| broken(e.to_string()))?;
        let mut request = HttpRequest::new(text.to_owned().into());
        *request.method_mut() = reqwest::Method::POST;
        *request.uri_mut() = self.url.as_str().parse().map_err(|_| broken(format!("{} is no address", self.url)))?;
        let target = format!("{}.{operation}", self.service.target);
        let target = target.parse().map_err(|_| broken(format!("{operation:?} is no operation")))?;
        request.headers_mut().insert("x-amz-target", target);
        request.headers_mut().insert("content-type", HeaderValue::from_static("application/x-amz-json-1.1"));
        let signer = AwsAuthorizer::new(&credential, self.service.signing, &self.region);
        signer.try_authorize(&mut request, None).map_err(|e| broken(e.to_string()))?;
        Ok(request)
    }

    fn refusal(&self, operation: &'static str, status: u16, said: &[u8]) -> AwsError {
        let service = self.service.name;
        let found: Value = serde_json::from_slice(said).unwrap_or_default();
        let text = ["message", "Message"].iter().find_map(|key| found.get(*key)?.as_str());
        let said =
            text.map_or_else(|| String::from_utf8_lossy(said).chars().take(SHOWN_CHARS).collect(), str::to_owned);
        let kind = found.get("__type").and_then(Value::as_str).unwrap_or_default();
        let is_any = |of: &[&str]| of.iter().any(|word| kind.contains(word));
        if is_any(&["AccessDenied", "UnrecognizedClient", "InvalidSignature", "ExpiredToken", "MissingAuthentication"])
        {
            return AwsError::Forbidden { service, operation, status, said };
        }
        match status {
            401 | 403 => AwsError::Forbidden { service, operation, status, said },
            // Something in between answered.
            _ if kind.is_empty() => AwsError::Unreachable { service, operation, said: format!("{status}: {said}") },
            _ if is_any(&["Throttling", "TooManyRequests", "ConflictException"]) => {
                AwsError::Unreachable { service, operation, said }
            }
            _ if is_any(&["ResourceNotFound"]) => AwsError::Missing { service, operation, said },
            // What is missing is told as an error of validation, by its sentence alone.
            400 if ["Could not find", "not find endpoint", "does not exist", "not found"]
                .iter()
                .any(|word| said.contains(word)) =>
            {
                AwsError::Missing { service, operation, said }
            }
            429 | 500.. => AwsError::Unreachable { service, operation, said },
            _ => AwsError::Refused { service, operation, status, said },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn kind(status: u16, answer: &str) -> &'static str {
        let api = Api::new(&SAGEMAKER, Some("eu-west-1"), &Calls::from(Duration::from_secs(1))).unwrap();
        match api.refusal("DescribeModelPackage", status, answer.as_bytes()) {
            AwsError::Setup { .. } => "setup",
            AwsError::Unreachable { .. } => "unreachable",
            AwsError::Forbidden { .. } => "forbidden",
            AwsError::Missing { .. } => "missing",
            AwsError::Refused { .. } => "refused",
        }
    }

    #[test]
    fn what_is_refused_for_good_is_what_the_service_says_and_nothing_in_between() {
        let validation = |said: &str| format!(r#"{{"__type":"ValidationException","message":"{said}"}}"#);
        assert_eq!(kind(400, &validation("at most 50 properties")), "refused");
        assert_eq!(kind(400, &validation("ModelPackageGroup arn:x does not exist.")), "missing");
        assert_eq!(kind(400, r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#), "unreachable");
        assert_eq!(kind(400, r#"{"__type":"com.amazon#AccessDeniedException","Message":"no"}"#), "forbidden");
        assert_eq!(kind(503, r#"{"__type":"ServiceUnavailable"}"#), "unreachable");
        for (status, as_said) in [(400, "unreachable"), (403, "forbidden"), (404, "unreachable"), (502, "unreachable")]
        {
            assert_eq!(kind(status, "<html>proxy</html>"), as_said, "{status}");
        }
    }
}
