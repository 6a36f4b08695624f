//! The API server of a Kubernetes cluster, for a thread outside an async runtime.

use std::path::PathBuf;
use std::time::Duration;

use axum::http::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Builder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::Status;
use kube::{Client, Config, Error};
use serde_json::Value;
use tokio::runtime::{self, Runtime};

use super::error::RouterError;
use crate::http_client::root;

/// What changes of ours are known by in an object's `managedFields`.
pub const MANAGER: &str = "driftgate";
/// A call that takes longer has failed.
const TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How the API server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// By the service account of the pod that this runs in.
    InCluster,
    /// By a file, and one of its contexts or the one that it says.
    Kubeconfig { path: PathBuf, context: Option<String> },
}

impl Access {
    /// The access of a pod, where this is one.
    #[must_use]
    pub fn here() -> Option<Self> {
        std::env::var_os("KUBERNETES_SERVICE_HOST").map(|_| Self::InCluster)
    }
}

/// An API server. Its thread waits for each answer.
pub struct Cluster {
    client: Client,
    runtime: Runtime,
}

impl Cluster {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// An access that cannot be set up: a file that cannot be read, a context that it does not have.
    pub fn new(access: &Access) -> Result<Self, RouterError> {
        let broken = |said: String| RouterError::Access { said };
        let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(|e| broken(e.to_string()))?;
        let client = runtime.block_on(async {
            let mut config = match access {
                Access::InCluster => Config::incluster().map_err(|e| e.to_string())?,
                Access::Kubeconfig { path, context } => {
                    let file = Kubeconfig::read_from(path).map_err(|e| e.to_string())?;
                    let options = KubeConfigOptions { context: context.clone(), ..KubeConfigOptions::default() };
                    Config::from_custom_kubeconfig(file, &options).await.map_err(|e| e.to_string())?
                }
            };
            (config.connect_timeout, config.read_timeout, config.write_timeout) =
                (Some(CONNECT_TIMEOUT), Some(TIMEOUT), Some(TIMEOUT));
            Client::try_from(config).map_err(|e| e.to_string())
        });
        Ok(Self { client: client.map_err(broken)?, runtime })
    }

    /// The object at a path.
    ///
    /// # Errors
    /// A server that does not answer in time, or refuses.
    pub fn get(&self, router: &str, path: &str) -> Result<Value, RouterError> {
        self.call(Request::get(path), None).map_err(|error| of(router, error))
    }

    /// Patches the object at a path by a JSON Patch; whether it was: what the patch tests may have changed meanwhile.
    ///
    /// # Errors
    /// A server that does not answer in time, or refuses.
    pub fn patch(&self, router: &str, path: &str, operations: &Value) -> Result<bool, RouterError> {
        let request = Request::patch(format!("{path}?fieldManager={MANAGER}"));
        match self.call(request.header(CONTENT_TYPE, "application/json-patch+json"), Some(operations)) {
            Ok(_) => Ok(true),
            Err(Error::Api(status)) if status.code == 409 || is_failed_test(&status) => Ok(false),
            Err(error) => Err(of(router, error)),
        }
    }

    fn call(&self, request: Builder, body: Option<&Value>) -> Result<Value, Error> {
        let body = body.map_or_else(Vec::new, |body| body.to_string().into_bytes());
        let request = request.body(body).map_err(Error::HttpError)?;
        self.runtime.block_on(async {
            let answer = tokio::time::timeout(TIMEOUT, self.client.request(request));
            answer
                .await
                .unwrap_or_else(|_| Err(Error::Service(format!("no answer within {} s", TIMEOUT.as_secs()).into())))
        })
    }
}

/// Whether a patch was refused since something that it tests is another.
fn is_failed_test(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes).map(|cause| cause.message.as_str());
    status.code == 422 && causes.chain([status.message.as_str()]).any(|said| said.contains("test failed"))
}

fn of(router: &str, error: Error) -> RouterError {
    let router = router.to_owned();
    match error {
        Error::Api(status) => {
            let (status, said) = (status.code, status.message.clone());
            match status {
                404 => RouterError::Missing { router, said },
                401 | 403 => RouterError::Forbidden { router, status, said },
                // The server is overloaded, starts or stops.
                429 | 500.. => RouterError::Unreachable { router, said },
                _ => RouterError::Refused { router, status, said },
            }
        }
        other => RouterError::Unreachable { router, said: root(&other).to_string() },
    }
}
