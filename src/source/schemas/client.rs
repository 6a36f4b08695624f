//! Calls of the Confluent API of a schema registry: a schema by its id or GUID, and those that it refers to.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::blocking::{Client as Http, RequestBuilder};
use reqwest::{StatusCode, Url};
use serde::Deserialize;

use crate::http_client::{BodyError, Calls, body, cause};
use driftgate_core::decode::avro;
use driftgate_core::decode::framing::SchemaRef;
use driftgate_core::decode::protobuf;

const TIMEOUT: Duration = Duration::from_secs(10);
/// Schemas are texts of some kilobytes.
const LONGEST: u64 = 16 << 20;
/// A schema refers to at most so many others.
const MOST_REFERENCES: usize = 1000;
const ACCEPTED: &str = "application/vnd.schemaregistry.v1+json, application/json";

/// Whom the registry is asked as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Access {
    #[default]
    Anyone,
    /// A user, and the file that holds the password.
    User(String, PathBuf),
    /// The file that holds a bearer token.
    Token(PathBuf),
}

/// Why there is no schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The registry does not answer, or not to us: it is asked again.
    #[error("{0}")]
    Away(String),
    /// It has no such schema, or it is none that can be read here.
    #[error("{0}")]
    Refused(String),
}

/// A schema, by its type.
#[derive(Clone, Debug)]
pub enum Schema {
    Avro(Arc<avro::Writer>),
    Protobuf(Arc<protobuf::Definitions>),
}

/// The name that the definitions of a message are read under; nobody imports them by it.
const OWN_NAME: &str = "schema.proto";

/// A client of one registry.
pub struct Client {
    http: Http,
    base: Url,
    access: Access,
}

#[derive(Deserialize)]
struct Answer {
    schema: String,
    #[serde(rename = "schemaType", default)]
    of_type: Option<String>,
    #[serde(default)]
    references: Vec<Reference>,
}

#[derive(Clone, Deserialize)]
struct Reference {
    /// What the schema calls it: the path of an import, of Protobuf.
    #[serde(default)]
    name: String,
    subject: String,
    version: i64,
}

impl Client {
    /// # Errors
    /// An address that is none, or a file of certificates that cannot be used.
    pub fn new(url: &str, access: Access, ca_file: Option<PathBuf>) -> Result<Self, String> {
        let base = Url::parse(url).map_err(|e| format!("the schema registry's address {url} is no URL: {e}"))?;
        let http = Calls { timeout: TIMEOUT, ca_file }.client(&base)?.build().map_err(|e| cause(e, TIMEOUT))?;
        Ok(Self { http, base, access })
    }

    #[must_use]
    pub fn url(&self) -> &str {
        self.base.as_str()
    }

    /// A schema with all that it refers to.
    ///
    /// # Errors
    /// A registry that does not answer, or has no such schema of Avro or Protobuf.
    pub fn fetch(&self, at: SchemaRef) -> Result<Schema, FetchError> {
        let path = match at {
            SchemaRef::Id(id) => vec!["schemas".to_owned(), "ids".to_owned(), id.to_string()],
            SchemaRef::Guid(_) => vec!["schemas".to_owned(), "guids".to_owned(), at.to_string()],
        };
        let named = format!("the schema {at}");
        let answer = self.get(&path, &named)?;
        let of_type = answer.of_type.as_deref().unwrap_or("AVRO");
        if !matches!(of_type, "AVRO" | "PROTOBUF") {
            return Err(FetchError::Refused(format!(
                "{named} is of the type {of_type}, and the source's format is `avro` or `protobuf`: write the format of its messages"
            )));
        }
        let (mut others, mut seen, mut left) = (Vec::new(), HashSet::new(), answer.references);
        while let Some(Reference { name, subject, version }) = left.pop() {
            if !seen.insert((subject.clone(), version)) {
                continue;
            }
            if seen.len() > MOST_REFERENCES {
                return Err(FetchError::Refused(format!("{named} refers to more than {MOST_REFERENCES} others")));
            }
            let path = ["subjects".to_owned(), subject.clone(), "versions".to_owned(), version.to_string()];
            let other = self.get(&path, &format!("version {version} of {subject}, which {named} refers to,"))?;
            others.push((name, other.schema));
            left.extend(other.references);
        }
        parsed(of_type, &answer.schema, others).map_err(|why| FetchError::Refused(format!("{named}: {why}")))
    }

    fn get(&self, path: &[String], named: &str) -> Result<Answer, FetchError> {
        let mut url = self.base.clone();
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().extend(path);
        }
        let away = |why: String| FetchError::Away(format!("the schema registry {}: {why}", self.base));
        let request = self.signed(self.http.get(url).header("Accept", ACCEPTED)).map_err(away)?;
        let response = request.send().map_err(|e| away(cause(e, TIMEOUT)))?;
        let status = response.status();
        let text = body(response, LONGEST).map_err(|e: BodyError| away(e.cause(TIMEOUT)))?;
        match status {
            StatusCode::OK => serde_json::from_slice(&text)
                .map_err(|e| away(format!("its answer for {named} cannot be read ({e}): is it a schema registry?"))),
            StatusCode::NOT_FOUND => Err(FetchError::Refused(format!(
                "the schema registry {} does not have {named}: was the message written for another registry?",
                self.base
            ))),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(away(format!(
                "it answers {status}: name a user that may read in `schema_registry` (`username` with `password_file`, or `token_file`)"
            ))),
            _ => Err(away(format!("it answers {status} for {named}"))),
        }
    }

    /// The secret is read each time: whoever renews it writes the file.
    fn signed(&self, request: RequestBuilder) -> Result<RequestBuilder, String> {
        let secret = |path: &PathBuf| {
            let text = std::fs::read_to_string(path).map_err(|e| format!("{} cannot be read: {e}", path.display()))?;
            Ok::<_, String>(text.trim().to_owned())
        };
        Ok(match &self.access {
            Access::Anyone => request,
            Access::User(user, file) => request.basic_auth(user, Some(secret(file)?)),
            Access::Token(file) => request.bearer_auth(secret(file)?),
        })
    }
}

/// A schema with the others that it refers to, by what it calls them.
fn parsed(of_type: &str, schema: &str, others: Vec<(String, String)>) -> Result<Schema, String> {
    if of_type == "AVRO" {
        let others: Vec<String> = others.into_iter().map(|(_, schema)| schema).collect();
        return avro::Writer::parse(schema, &others).map(|writer| Schema::Avro(Arc::new(writer)));
    }
    let others: HashMap<String, String> = others.into_iter().collect();
    let definitions = protobuf::Definitions::parse(OWN_NAME, schema, move |name| others.get(name).cloned());
    definitions.map(|definitions| Schema::Protobuf(Arc::new(definitions)))
}
