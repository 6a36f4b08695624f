//! Why a registry of artifacts did not do what it was asked for.

use oci_client::errors::{OciDistributionError, OciEnvelope, OciErrorCode};

use crate::http_client::innermost;

/// Why a registry did not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OciError {
    #[error(
        "{location:?} names no OCI artifact: {why}; write oci://registry.example.com/models/credit:7, or @sha256:… in place of the tag"
    )]
    Location { location: String, why: String },
    #[error("the login for {registry} cannot be read: {why}")]
    Login { registry: String, why: String },
    #[error("the client for {registry} cannot be set up: {why}")]
    Client { registry: String, why: String },
    #[error("{registry} cannot be reached: {why}")]
    Unreachable { registry: String, why: String },
    #[error(
        "{registry} does not allow {what}: {why}; log in with `docker login {registry}`, or name the file of a login as `oci.auth_file`"
    )]
    Forbidden { registry: String, what: String, why: String },
    #[error("{registry} has no {what}")]
    Missing { registry: String, what: String },
    #[error("{registry} refuses {what}: {why}")]
    Refused { registry: String, what: String, why: String },
}

impl OciError {
    /// Whether it would be refused again if nothing is changed in what was asked for: everything else may pass.
    #[must_use]
    pub fn is_of_content(&self) -> bool {
        matches!(self, Self::Location { .. } | Self::Missing { .. } | Self::Refused { .. })
    }

    /// What a registry answered to what was asked of it.
    pub(super) fn of(registry: &str, what: &str, error: OciDistributionError) -> Self {
        let (registry, what) = (registry.to_owned(), what.to_owned());
        match error {
            OciDistributionError::UnauthorizedError { .. } => {
                Self::Forbidden { registry, what, why: "it asks for a login".to_owned() }
            }
            OciDistributionError::AuthenticationFailure(said) => Self::Forbidden { registry, what, why: shown(&said) },
            OciDistributionError::ImageManifestNotFoundError(_) => Self::Missing { registry, what },
            OciDistributionError::RegistryError { envelope, .. } => Self::told(registry, what, &envelope),
            OciDistributionError::ServerError { code, message, .. } => {
                let why = format!("{code} {}", shown(&message));
                match code {
                    404 => Self::Missing { registry, what },
                    401 | 403 => Self::Forbidden { registry, what, why },
                    408 | 429 | 500.. => Self::Unreachable { registry, why },
                    _ => Self::Refused { registry, what, why },
                }
            }
            OciDistributionError::RequestError(error) => Self::Unreachable { registry, why: innermost(error) },
            other => Self::Refused { registry, what, why: shown(&other.to_string()) },
        }
    }

    /// By the codes of the specification.
    fn told(registry: String, what: String, envelope: &OciEnvelope) -> Self {
        let said: Vec<String> =
            envelope.errors.iter().map(|error| format!("{:?} {}", error.code, error.message)).collect();
        let why = shown(&said.join("; "));
        let has = |codes: &[OciErrorCode]| envelope.errors.iter().any(|error| codes.contains(&error.code));
        if has(&[OciErrorCode::Unauthorized, OciErrorCode::Denied]) {
            Self::Forbidden { registry, what, why }
        } else if has(&[OciErrorCode::ManifestUnknown, OciErrorCode::NameUnknown, OciErrorCode::NotFound]) {
            Self::Missing { registry, what }
        } else if has(&[OciErrorCode::Toomanyrequests]) {
            Self::Unreachable { registry, why }
        } else {
            Self::Refused { registry, what, why }
        }
    }
}

/// The beginning of what a registry said.
pub(super) fn shown(said: &str) -> String {
    said.trim().chars().take(200).collect()
}
