//! What goes wrong with an MLflow server, and whether trying again can help.

use reqwest::StatusCode;
use serde::Deserialize;

/// A foreign answer is quoted up to here.
const SHOWN_CHARS: usize = 300;

/// Why a call failed. `url` is the server's address without user and password; `call` is the path below `/api/2.0/mlflow/`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MlflowError {
    /// Settings that no call can be made with.
    #[error("MLflow's {what} cannot be used: {why}")]
    Settings { what: &'static str, why: String },
    /// No whole answer came: the address, the network, a timeout.
    #[error("MLflow at {url} cannot be reached ({call}): {message}; check the address and that the server runs")]
    Unreachable { url: String, call: &'static str, message: String },
    /// The server, or a proxy before it, refused or failed.
    #[error("MLflow at {url} answered {call} with {status}{}: {message}{}", code(error_code.as_deref()), advice(*status, error_code.as_deref()))]
    Refused {
        url: String,
        call: &'static str,
        status: u16,
        /// MLflow's own, e.g. `RESOURCE_DOES_NOT_EXIST`; `None` where the answer was not MLflow's JSON.
        error_code: Option<String>,
        message: String,
    },
    /// A success that is not what MLflow answers.
    #[error(
        "MLflow at {url} answered {call} with {status}, but not as MLflow does: {message}; check that the address is MLflow's"
    )]
    Unreadable { url: String, call: &'static str, status: u16, message: String },
}

impl MlflowError {
    /// The same call may succeed later by itself. What is not transient needs an operator: another token, a
    /// right, an address, or the thing that is missing.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, error_code, .. } => {
                let said = error_code.as_deref();
                matches!(status, 408 | 429 | 500..)
                    || matches!(said, Some("TEMPORARILY_UNAVAILABLE" | "REQUEST_LIMIT_EXCEEDED"))
            }
            Self::Settings { .. } | Self::Unreadable { .. } => false,
        }
    }

    /// MLflow says that the model, version or run is not there. An unknown path (another server, a proxy) is not that.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.error_code() == Some("RESOURCE_DOES_NOT_EXIST")
    }

    /// MLflow understood what was asked and refuses it, whoever sends it: another attempt is of no use. Wrong
    /// credentials, missing rights and another server's answers are not that; an operator can correct them.
    #[must_use]
    pub fn is_final(&self) -> bool {
        !self.is_transient()
            && !self.is_denied()
            && self.error_code().is_some_and(|code| !matches!(code, "PERMISSION_DENIED" | "UNAUTHENTICATED"))
    }

    /// Neither credentials nor rights suffice.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Refused { status: 401 | 403, .. })
    }

    /// MLflow's own code.
    #[must_use]
    pub fn error_code(&self) -> Option<&str> {
        match self {
            Self::Refused { error_code, .. } => error_code.as_deref(),
            _ => None,
        }
    }

    /// Reads an answer that is not a success: MLflow's JSON, a page, or plain text.
    pub(super) fn refused(url: String, call: &'static str, status: StatusCode, body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Said {
            error_code: String,
            #[serde(default)]
            message: String,
        }
        let (error_code, message) = match serde_json::from_slice::<Said>(body) {
            Ok(Said { error_code, message }) => (Some(error_code), shortened(&message)),
            Err(_) => (None, quoted(body)),
        };
        let message = if message.is_empty() { "no reason given".to_owned() } else { message };
        Self::Refused { url, call, status: status.as_u16(), error_code, message }
    }

    pub(super) fn unreadable(
        url: String,
        call: &'static str,
        status: StatusCode,
        error: &serde_json::Error,
        body: &[u8],
    ) -> Self {
        // serde's error quotes nothing of an object's values but their kind.
        let message = if body.trim_ascii_start().starts_with(b"{") { error.to_string() } else { quoted(body) };
        Self::Unreadable { url, call, status: status.as_u16(), message }
    }
}

fn code(error_code: Option<&str>) -> String {
    error_code.map_or_else(String::new, |code| format!(" {code}"))
}

/// What to do about a refusal, where MLflow does not say.
fn advice(status: u16, error_code: Option<&str>) -> &'static str {
    match (status, error_code) {
        (401, _) => "; check the token file: `user:password`, or a bearer token",
        (403, _) => "; the user needs EDIT on the registered model",
        (300..=399, _) => "; redirects are not followed: give the address they lead to",
        (404 | 405, None) => "; check that the address is MLflow's, up to where its /api begins",
        _ => "",
    }
}

/// A foreign answer in a few words: a page's title, or the text's beginning.
fn quoted(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    if !text.starts_with('<') {
        return shortened(text);
    }
    // Lower case of ASCII only: places stay the same.
    let lower = text.to_ascii_lowercase();
    let title = lower.find("<title>").map(|at| at + "<title>".len()).and_then(|from| {
        let until = from + lower.get(from..)?.find("</title>")?;
        text.get(from..until)
    });
    match title.map(shortened).filter(|title| !title.is_empty()) {
        Some(title) => format!("an HTML page, {title:?}"),
        None => "an HTML page".to_owned(),
    }
}

/// One line, of bounded length.
fn shortened(text: &str) -> String {
    let mut words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((at, _)) = words.char_indices().nth(SHOWN_CHARS) {
        words.truncate(at);
        words.push('…');
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, body: &str) -> MlflowError {
        let status = StatusCode::from_u16(status).unwrap();
        MlflowError::refused("http://mlflow".into(), "registered-models/get", status, body.as_bytes())
    }

    #[test]
    fn mlflows_own_words_are_kept() {
        let error = refused(
            404,
            r#"{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"Registered Model with name=m not found"}"#,
        );
        assert!(error.is_missing() && !error.is_transient() && !error.is_denied());
        assert_eq!(
            error.to_string(),
            "MLflow at http://mlflow answered registered-models/get with 404 RESOURCE_DOES_NOT_EXIST: \
             Registered Model with name=m not found"
        );
    }

    #[test]
    fn a_page_is_told_from_a_missing_thing() {
        let error = refused(404, "<!doctype html>\n<html lang=en>\n<TITLE>404 Not\nFound</TITLE>\n<h1>Not Found</h1>");
        assert!(!error.is_missing() && !error.is_transient());
        let said = error.to_string();
        assert!(
            said.contains("with 404: an HTML page, \"404 Not Found\"; check that the address is MLflow's"),
            "{said}"
        );
        assert!(refused(502, "<html>").to_string().ends_with("with 502: an HTML page"));
        assert!(refused(405, "").to_string().contains(": no reason given; "));
    }

    #[test]
    fn plain_text_is_quoted_up_to_a_bound() {
        let error = refused(401, "You are not authenticated.");
        assert!(error.is_denied());
        assert!(error.to_string().contains("with 401: You are not authenticated.; check the token file"), "{error}");
        let MlflowError::Refused { message, .. } = refused(400, &"ä".repeat(5000)) else { panic!("another error") };
        assert_eq!(message.chars().count(), SHOWN_CHARS + 1);
    }

    #[test]
    fn what_may_pass_is_transient() {
        for status in [408, 429, 500, 502, 503, 504] {
            assert!(refused(status, "").is_transient(), "{status}");
        }
        for status in [301, 400, 401, 403, 404, 409, 422] {
            assert!(!refused(status, "").is_transient(), "{status}");
        }
        assert!(refused(400, r#"{"error_code":"TEMPORARILY_UNAVAILABLE"}"#).is_transient());
        assert!(!refused(400, r#"{"error_code":"INVALID_PARAMETER_VALUE"}"#).is_transient());
    }

    #[test]
    fn only_mlflow_itself_refuses_for_good() {
        for (status, code) in [(400, "INVALID_PARAMETER_VALUE"), (404, "RESOURCE_DOES_NOT_EXIST")] {
            assert!(refused(status, &format!(r#"{{"error_code":"{code}"}}"#)).is_final(), "{code}");
        }
        for (status, code) in [(400, "TEMPORARILY_UNAVAILABLE"), (500, "INTERNAL_ERROR"), (403, "PERMISSION_DENIED")] {
            assert!(!refused(status, &format!(r#"{{"error_code":"{code}"}}"#)).is_final(), "{code}");
        }
        for (status, body) in [(404, "<html>"), (401, "You are not authenticated."), (302, ""), (405, "")] {
            assert!(!refused(status, body).is_final(), "{status}");
        }
    }
}
