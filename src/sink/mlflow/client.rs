//! A blocking client of MLflow's REST API: the calls that driftgate makes, as typed values. Names go as JSON or query
//! values; credentials go into the header and nowhere else.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use reqwest::blocking::{Client as Http, RequestBuilder};
use reqwest::{StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::error::MlflowError;
use crate::http_client::{BodyError, Calls, body, innermost};
use wire::Empty;
pub use wire::{ModelVersion, RegisteredModel, Run};

mod wire;

/// Versions asked for at once; a version's tags may take tens of kilobytes.
const PAGE: usize = 500;
/// A longer answer is refused, in bytes.
const LONGEST_ANSWER: u64 = 64 << 20;
/// MLflow's server drops a silent connection after 5 s; ours goes before.
const IDLE: Duration = Duration::from_secs(3);

/// Who asks.
#[derive(Clone, PartialEq, Eq)]
pub enum Auth {
    None,
    Basic { user: String, password: String },
    Bearer(String),
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Basic { .. } => "Basic(..)",
            Self::Bearer(_) => "Bearer(..)",
        })
    }
}

impl Auth {
    /// From what a token file holds: `user:password`, else a bearer token; white space around it does not count.
    ///
    /// # Errors
    /// Nothing in it, or characters that a header cannot carry.
    pub fn parse(text: &str) -> Result<Self, MlflowError> {
        let bad = |why: &str| MlflowError::Settings { what: "token", why: why.to_owned() };
        let text = text.trim();
        if text.is_empty() {
            return Err(bad("it is empty: give `user:password` or a bearer token"));
        }
        if let Some((user, password)) = text.split_once(':') {
            if user.is_empty() || text.contains(char::is_control) {
                return Err(bad("it is not `user:password` in one line"));
            }
            return Ok(Self::Basic { user: user.to_owned(), password: password.to_owned() });
        }
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(bad(
                "it holds characters that cannot be sent: give one token of printable ASCII, nothing else",
            ));
        }
        Ok(Self::Bearer(text.to_owned()))
    }

    /// From a token file.
    ///
    /// # Errors
    /// A file that cannot be read, or `parse`'s.
    pub fn from_file(path: &Path) -> Result<Self, MlflowError> {
        let shown = path.display();
        let bad = |why: String| MlflowError::Settings { what: "token file", why };
        let text = std::fs::read_to_string(path).map_err(|e| bad(format!("{shown} cannot be read: {e}")))?;
        Self::parse(&text).map_err(|e| bad(format!("{shown}: {e}")))
    }
}

/// Asks one MLflow server. Calls block for at most the timeout each, so none belongs on an async thread.
#[derive(Clone)]
pub struct Mlflow {
    base: Url,
    auth: Auth,
    timeout: Duration,
    http: Http,
}

impl fmt::Debug for Mlflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mlflow").field("url", &self.url()).field("auth", &self.auth).finish_non_exhaustive()
    }
}

impl Mlflow {
    /// A client for the server at `url` (what comes before `/api`); nothing is asked yet.
    ///
    /// # Errors
    /// An address that is not http or https, holds a user or password, or a TLS setup that fails.
    pub fn new(url: &str, auth: Auth, calls: impl Into<Calls>) -> Result<Self, MlflowError> {
        let calls = calls.into();
        let bad = |why: &str| MlflowError::Settings { what: "url", why: why.to_owned() };
        // The text is not quoted: it may hold a password.
        let mut base = Url::parse(url).map_err(|e| bad(&format!("{e}: give one such as http://127.0.0.1:5000")))?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(bad("it is not http:// or https://"));
        }
        if !base.username().is_empty() || base.password().is_some() {
            return Err(bad("it holds a user or password: they belong into the token file, as `user:password`"));
        }
        base.set_query(None);
        base.set_fragment(None);
        let http = calls.client(&base).and_then(|http| http.pool_idle_timeout(IDLE).build().map_err(innermost));
        let http = http.map_err(|why| MlflowError::Settings { what: "HTTP client", why })?;
        Ok(Self { base, auth, timeout: calls.timeout, http })
    }

    /// The server's address, without a slash at its end.
    #[must_use]
    pub fn url(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Makes a registered model; `false` if it is there already.
    ///
    /// # Errors
    /// A name MLflow refuses (`/` and `:`), or a server that fails.
    pub fn create_model(&self, name: &str) -> Result<bool, MlflowError> {
        match self.post::<Empty>("registered-models/create", &json!({ "name": name })) {
            Ok(Empty {}) => Ok(true),
            Err(e) if e.error_code() == Some("RESOURCE_ALREADY_EXISTS") => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Makes a version of a registered model. MLflow numbers it: sent again, it makes another.
    ///
    /// # Errors
    /// A model that is not there, a source or run it refuses, or a server that fails.
    pub fn create_version(
        &self,
        model: &str,
        source: &str,
        run_id: Option<&str>,
        tags: &[(String, String)],
    ) -> Result<ModelVersion, MlflowError> {
        let tags: Vec<Value> = tags.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
        let mut body = json!({"name": model, "source": source, "tags": tags});
        if let (Some(run_id), Some(body)) = (run_id, body.as_object_mut()) {
            body.insert("run_id".to_owned(), json!(run_id));
        }
        Ok(self.post::<wire::OneVersion>("model-versions/create", &body)?.model_version)
    }

    /// Sets a version's tag, over what was there.
    ///
    /// # Errors
    /// A version that is not there, a key it refuses, or a server that fails.
    pub fn set_version_tag(&self, model: &str, version: &str, key: &str, value: &str) -> Result<(), MlflowError> {
        let body = json!({"name": model, "version": version, "key": key, "value": value});
        self.post::<Empty>("model-versions/set-tag", &body).map(drop)
    }

    /// Sets a registered model's tag, over what was there.
    ///
    /// # Errors
    /// A model that is not there, a key it refuses, or a server that fails.
    pub fn set_model_tag(&self, model: &str, key: &str, value: &str) -> Result<(), MlflowError> {
        self.post::<Empty>("registered-models/set-tag", &json!({"name": model, "key": key, "value": value})).map(drop)
    }

    /// Puts an alias onto a version, from wherever it stood.
    ///
    /// # Errors
    /// A version that is not there, an alias it refuses (`latest`, `v1`), or a server that fails.
    pub fn set_alias(&self, model: &str, alias: &str, version: &str) -> Result<(), MlflowError> {
        let body = json!({"name": model, "alias": alias, "version": version});
        self.post::<Empty>("registered-models/alias", &body).map(drop)
    }

    /// A registered model with its aliases; `None` if there is none.
    ///
    /// # Errors
    /// A server that fails.
    pub fn model(&self, name: &str) -> Result<Option<RegisteredModel>, MlflowError> {
        let got = found(self.get::<wire::OneModel>("registered-models/get", &[("name", name)]))?;
        Ok(got.map(|one| one.registered_model))
    }

    /// A version; `None` if there is none, as for every name that is not a number.
    ///
    /// # Errors
    /// A server that fails.
    pub fn version(&self, model: &str, version: &str) -> Result<Option<ModelVersion>, MlflowError> {
        if version.parse::<u32>().is_err() {
            return Ok(None);
        }
        let query = [("name", model), ("version", version)];
        Ok(found(self.get::<wire::OneVersion>("model-versions/get", &query))?.map(|one| one.model_version))
    }

    /// All versions of a model by number; none if there is no such model. `aliases` is empty in them.
    ///
    /// # Errors
    /// A server that fails.
    pub fn versions(&self, model: &str) -> Result<Vec<ModelVersion>, MlflowError> {
        self.versions_by(model, PAGE)
    }

    /// The same in pages of so many (1 to 10,000).
    ///
    /// # Errors
    /// A server that fails.
    pub fn versions_by(&self, model: &str, page: usize) -> Result<Vec<ModelVersion>, MlflowError> {
        const CALL: &str = "model-versions/search";
        let (filter, page) = (name_filter(model), page.to_string());
        let mut all: Vec<ModelVersion> = Vec::new();
        let mut token = String::new();
        loop {
            let mut query =
                vec![("filter", filter.as_str()), ("max_results", &page), ("order_by", "version_number ASC")];
            if !token.is_empty() {
                query.push(("page_token", &token));
            }
            let got: wire::Page = self.get(CALL, &query)?;
            // The filter may take in more than this name.
            all.extend(got.model_versions.into_iter().filter(|v| v.name == model));
            match got.next_page_token {
                Some(next) if next.is_empty() => break,
                None => break,
                Some(next) if next == token => {
                    let message = "its pages lead back to themselves".to_owned();
                    return Err(MlflowError::Unreadable {
                        url: self.url().to_owned(),
                        call: CALL,
                        status: 200,
                        message,
                    });
                }
                Some(next) => token = next,
            }
        }
        // Pages are counted by offset: what is deleted or made meanwhile shifts them.
        all.sort_by_key(ModelVersion::number);
        all.dedup_by(|a, b| a.version == b.version);
        Ok(all)
    }

    /// A run with its latest metrics; `None` if there is none.
    ///
    /// # Errors
    /// A server that fails.
    pub fn run(&self, run_id: &str) -> Result<Option<Run>, MlflowError> {
        Ok(found(self.get::<wire::OneRun>("runs/get", &[("run_id", run_id)]))?.map(|one| one.run))
    }

    fn get<T: DeserializeOwned>(&self, call: &'static str, query: &[(&str, &str)]) -> Result<T, MlflowError> {
        self.send(call, self.http.get(self.path(call)).query(query))
    }

    fn post<T: DeserializeOwned>(&self, call: &'static str, body: &impl Serialize) -> Result<T, MlflowError> {
        self.send(call, self.http.post(self.path(call)).json(body))
    }

    fn path(&self, call: &str) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().extend(["api", "2.0", "mlflow"]).extend(call.split('/'));
        }
        url
    }

    fn send<T: DeserializeOwned>(&self, call: &'static str, request: RequestBuilder) -> Result<T, MlflowError> {
        let request = match &self.auth {
            Auth::None => request,
            Auth::Basic { user, password } => request.basic_auth(user, Some(password)),
            Auth::Bearer(token) => request.bearer_auth(token),
        };
        let url = || self.url().to_owned();
        let unreachable = |message| MlflowError::Unreachable { url: url(), call, message };
        let late = || format!("no answer within {} s", self.timeout.as_secs_f64());
        let response = request.send().map_err(|e| unreachable(if e.is_timeout() { late() } else { innermost(e) }))?;
        let status = response.status();
        let body = body(response, LONGEST_ANSWER).map_err(|e| match e {
            BodyError::TooLarge => {
                let message = format!("the answer is longer than {LONGEST_ANSWER} bytes");
                MlflowError::Unreadable { url: url(), call, status: status.as_u16(), message }
            }
            BodyError::Broken(e) if e.kind() == std::io::ErrorKind::TimedOut => unreachable(late()),
            BodyError::Broken(e) => unreachable(format!("its answer broke off: {e}")),
        })?;
        if status != StatusCode::OK {
            return Err(MlflowError::refused(url(), call, status, &body));
        }
        serde_json::from_slice(&body).map_err(|e| MlflowError::unreadable(url(), call, status, &e, &body))
    }
}

fn found<T>(got: Result<T, MlflowError>) -> Result<Option<T>, MlflowError> {
    match got {
        Ok(value) => Ok(Some(value)),
        Err(e) if e.is_missing() => Ok(None),
        Err(e) => Err(e),
    }
}

/// A filter for versions of this name, and of others where the name holds both quotes: MLflow's filters have no escape,
/// but `LIKE` has a wildcard for one character.
fn name_filter(model: &str) -> String {
    match (model.contains('\''), model.contains('"')) {
        (false, _) => format!("name='{model}'"),
        (true, false) => format!("name=\"{model}\""),
        (true, true) => format!("name LIKE '{}'", model.replace('\'', "_")),
    }
}

#[cfg(test)]
mod tests;
