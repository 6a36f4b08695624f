//! Errors as the API answers them, `{"error": "…"}`, and the path and query of a request with such errors instead of plain
//! text.

use axum::Json;
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;

use super::auth::Refusal;
use crate::api::ErrorBody;
use crate::ledger::{Logged, RegistryError};
use crate::telemetry::events::http::RequestFailed;

/// At most so many names stand in a message.
const NAMED: usize = 20;

/// An answer that is an error.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    message: String,
    challenge: Option<&'static str>,
}

impl Problem {
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), challenge: None }
    }

    /// Whether something is not known.
    pub fn is_not_found(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self { challenge: Some(r#"Bearer realm="driftgate""#), ..Self::new(StatusCode::UNAUTHORIZED, message) }
    }

    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    pub fn too_long(most: usize) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is longer than {most} bytes"))
    }

    /// The same of a page, for clients that ask for no HTML: they may send the token as a password. A browser gets the page of signing in
    /// instead.
    pub fn asking_for_password(self) -> Self {
        let challenge =
            self.challenge.map(|_| r#"Basic realm="driftgate: the token is the password", charset="UTF-8""#);
        Self { challenge, ..self }
    }

    /// Something that does not depend on the request: logged, too.
    pub fn internal(error: impl std::fmt::Display) -> Self {
        RequestFailed { error: &error }.emit();
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}

/// What an answer that is an error says, for pages.
#[derive(Clone, Debug)]
pub struct Told(pub String);

/// Names for a message: `a, b, c and 7 more`.
pub(super) fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut names = names.into_iter();
    let shown: Vec<_> = names.by_ref().take(NAMED).map(driftgate_core::text::in_line).collect();
    let rest = names.count();
    match (shown.is_empty(), rest) {
        (true, _) => "none".to_owned(),
        (false, 0) => shown.join(", "),
        (false, _) => format!("{} and {rest} more", shown.join(", ")),
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let told = Told(self.message.clone());
        let mut response = (self.status, Json(ErrorBody { error: self.message })).into_response();
        response.extensions_mut().insert(told);
        if let Some(challenge) = self.challenge {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if matches!(self.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            ask_again(response.headers_mut());
        }
        response
    }
}

/// Says when to ask again, where there is too much.
pub(super) fn ask_again(headers: &mut HeaderMap) {
    headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (status, challenge) = match &refusal {
            Refusal::Missing | Refusal::Password => (StatusCode::UNAUTHORIZED, Some(r#"Bearer realm="driftgate""#)),
            Refusal::NoKeys { .. } => (StatusCode::SERVICE_UNAVAILABLE, None),
            Refusal::Unknown | Refusal::Issuer { .. } => {
                (StatusCode::UNAUTHORIZED, Some(r#"Bearer realm="driftgate", error="invalid_token""#))
            }
            Refusal::NoTokens
            | Refusal::NobodyReads
            | Refusal::NoRole { .. }
            | Refusal::Role { .. }
            | Refusal::Model { .. } => (StatusCode::FORBIDDEN, None),
        };
        Self { challenge, ..Self::new(status, refusal.to_string()) }
    }
}

impl From<RegistryError> for Problem {
    fn from(error: RegistryError) -> Self {
        let status = match &error {
            RegistryError::Immutable { .. } | RegistryError::Conflict(_) | RegistryError::Copy => StatusCode::CONFLICT,
            // Whether the change was made is not known: asked again, it might be made twice.
            RegistryError::Log { logged: Logged::Unknown, .. } => StatusCode::INTERNAL_SERVER_ERROR,
            RegistryError::Standby { .. } | RegistryError::Log { .. } => StatusCode::SERVICE_UNAVAILABLE,
            RegistryError::BadName { .. }
            | RegistryError::UnknownStage { .. }
            | RegistryError::Gate(_)
            | RegistryError::Evidence(_) => StatusCode::BAD_REQUEST,
            RegistryError::UnknownVersion { .. } => StatusCode::NOT_FOUND,
            RegistryError::Open { .. }
            | RegistryError::Sql(_)
            | RegistryError::Format { .. }
            | RegistryError::Audit(_) => {
                return Self::internal(error);
            }
        };
        Self::new(status, error.to_string())
    }
}

/// The path's parameters, percent-decoded.
pub struct PathNames<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for PathNames<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        path.map(|Path(names)| Self(names)).map_err(|e| Problem::bad_request(e.body_text()))
    }
}

/// The query's parameters.
pub struct Parameters<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query.map(|Query(parameters)| Self(parameters)).map_err(|e| Problem::bad_request(e.body_text()))
    }
}
