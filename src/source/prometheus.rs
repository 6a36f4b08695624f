//! Measurements from Prometheus: an instant query's samples as measurement events of a model's versions. The caller
//! decides when to ask, and where the events go.
//!
//! Answers are read as the HTTP API documents them (`/api/v1/query`): vectors and scalars, values as text. One sample per
//! version: the query decides which of several series counts.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Url;
use reqwest::blocking::{Client, RequestBuilder};
use reqwest::header::ACCEPT;
use serde::{Deserialize, Serialize};

use crate::http_client::{self, BodyError, Calls, cause};

/// Larger answers are refused: one sample a version is a few hundred bytes.
const MAX_BYTES: u64 = 8 << 20;
/// An answer that is not Prometheus' is quoted up to here.
const SHOWN_CHARS: usize = 200;
/// Times beyond this (ms, the year 9999) are no times.
const MAX_MS: f64 = 253_402_207_200_000.0;

/// Which version a sample speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionOf {
    /// The query's only sample is of this version.
    Fixed(String),
    /// Each sample names its version in this label.
    Label(String),
}

/// A query, and the model and metric that its answer measures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Where Prometheus is, e.g. `http://prometheus:9090`; a path behind the host is kept as a prefix.
    pub url: String,
    /// In Prometheus' language; gives an instant vector or a scalar.
    pub query: String,
    pub model: String,
    pub version: VersionOf,
    /// The metric's name in the policy.
    pub metric: String,
}

/// A value as a measurement event; the keys of its JSON have this order.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScrapedValue {
    pub model: String,
    pub version: String,
    /// The sample's time, ms since the epoch.
    #[serde(rename = "ts")]
    pub ts_ms: i64,
    pub metric: String,
    /// Finite.
    pub value: f64,
    /// One sample.
    pub n: u64,
}

impl ScrapedValue {
    /// The event as a line of a stream.
    #[must_use]
    pub fn to_json(&self) -> String {
        let Self { model, version, ts_ms, metric, value, n } = self;
        serde_json::json!({"model": model, "version": version, "ts": ts_ms, "metric": metric, "value": value, "n": n})
            .to_string()
    }
}

/// Samples that are no measurements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// NaN and infinities: a ratio without requests, a quantile without observations.
    pub not_finite: u64,
    /// Without the label that names the version, or with an empty one.
    pub without_version: u64,
    /// Native histograms, which are no single value.
    pub histograms: u64,
}

/// The result of one poll.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Polled {
    /// By version; none where the query matches nothing.
    pub measured: Vec<ScrapedValue>,
    pub skipped: Skipped,
    /// Prometheus' own words about a query that it answered all the same.
    pub warnings: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum PollError {
    #[error("the Prometheus of the metric {metric:?} has no usable URL: give one such as http://prometheus:9090")]
    Url { metric: String },
    #[error("the HTTP client for Prometheus at {host} cannot be set up: {cause}")]
    Client { host: String, cause: String },
    #[error("the token file {} for Prometheus at {host} cannot be used: {cause}", path.display())]
    Token { host: String, path: PathBuf, cause: String },
    #[error("Prometheus at {host} cannot be reached: {cause}")]
    Unreachable { host: String, cause: String },
    #[error("Prometheus at {host} does not answer the query {query:?} ({status}, {kind}): {said}")]
    Refused { host: String, query: String, status: u16, kind: String, said: String },
    #[error(
        "what answers at {host} is not Prometheus ({status}): {said:?}; check the URL, \
         and whether something before it asks for credentials"
    )]
    NotPrometheus { host: String, status: u16, said: String },
    #[error(
        "Prometheus at {host} answers the query {query:?} with more than {MAX_BYTES} bytes: aggregate to one series a version"
    )]
    TooLarge { host: String, query: String },
    #[error("the query {query:?} gives a {found}: ask for an instant vector or a scalar")]
    Type { query: String, found: String },
    #[error("a sample of the query {query:?} cannot be read: {cause}")]
    Sample { query: String, cause: String },
    #[error(
        "the query {query:?} gives {series} series for version {version:?}: aggregate them to one, \
         e.g. with `max by (…) (…)`, or name the label that tells versions apart"
    )]
    Ambiguous { query: String, version: String, series: usize },
}

impl PollError {
    /// Whether the same question may be answered when it is asked again.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } | Self::NotPrometheus { status, .. } => {
                matches!(status, 408 | 425 | 429 | 500..=599)
            }
            _ => false,
        }
    }
}

/// Asks one query. For threads outside an async runtime.
pub struct Poller {
    query: Query,
    url: Url,
    host: String,
    token_file: Option<PathBuf>,
    timeout: Duration,
    http: Client,
}

impl fmt::Debug for Poller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poller").field("host", &self.host).field("query", &self.query.query).finish_non_exhaustive()
    }
}

impl Poller {
    /// A poller; nothing is asked yet. A token file holds a bearer token and is read at each poll, since such tokens are
    /// renewed; user and password in the URL are sent as basic authentication. A poll that takes longer than `timeout`
    /// has failed.
    ///
    /// # Errors
    /// A URL that is none, or TLS that cannot be set up.
    pub fn new(query: Query, token_file: Option<PathBuf>, calls: impl Into<Calls>) -> Result<Self, PollError> {
        let calls = calls.into();
        let no_url = || PollError::Url { metric: query.metric.clone() };
        let mut url = Url::parse(&query.url).map_err(|_| no_url())?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(no_url());
        }
        url.set_fragment(None);
        url.path_segments_mut().map_err(|()| no_url())?.pop_if_empty().extend(["api", "v1", "query"]);
        url.query_pairs_mut().clear().append_pair("query", &query.query);
        let host = url.origin().ascii_serialization();
        let timeout = calls.timeout;
        match calls.client(&url).and_then(|http| http.build().map_err(|e| cause(e, timeout))) {
            Ok(http) => Ok(Self { query, url, host, token_file, timeout, http }),
            Err(cause) => Err(PollError::Client { cause, host }),
        }
    }

    /// Asks, and reads the answer.
    ///
    /// # Errors
    /// A Prometheus that does not answer or refuses the query, something else in its place, or an answer that is no
    /// single sample a version.
    pub fn poll(&self) -> Result<Polled, PollError> {
        let request = self.http.get(self.url.clone()).header(ACCEPT, "application/json");
        let request = match &self.token_file {
            Some(path) => self.with_token(request, path)?,
            None => request,
        };
        let unreachable = |cause| PollError::Unreachable { host: self.host.clone(), cause };
        let response = request.send().map_err(|e| unreachable(cause(e, self.timeout)))?;
        let status = response.status().as_u16();
        let body = http_client::body(response, MAX_BYTES).map_err(|e| match e {
            BodyError::TooLarge => PollError::TooLarge { host: self.host.clone(), query: self.query.query.clone() },
            broken @ BodyError::Broken(_) => unreachable(broken.cause(self.timeout)),
        })?;
        self.read(status, &body)
    }

    fn with_token(&self, request: RequestBuilder, path: &Path) -> Result<RequestBuilder, PollError> {
        let failed = |cause| PollError::Token { host: self.host.clone(), path: path.to_owned(), cause };
        let text = std::fs::read_to_string(path).map_err(|e| failed(e.to_string()))?;
        let token = text.trim();
        if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(failed("it must hold one token of printable ASCII, nothing else".to_owned()));
        }
        Ok(request.bearer_auth(token))
    }

    fn read(&self, status: u16, body: &[u8]) -> Result<Polled, PollError> {
        let host = self.host.clone();
        let query = || self.query.query.clone();
        match serde_json::from_slice(body) {
            Ok(Answer::Success { data, warnings }) if (200..300).contains(&status) => {
                let samples = samples(data).map_err(|e| match e {
                    Unread::Type(found) => PollError::Type { query: query(), found },
                    Unread::Sample(cause) => PollError::Sample { query: query(), cause },
                })?;
                let (measured, skipped) = self.measured(samples)?;
                Ok(Polled { measured, skipped, warnings })
            }
            Ok(Answer::Error { kind, error }) => {
                Err(PollError::Refused { host, query: query(), status, kind, said: error })
            }
            _ => {
                let said = String::from_utf8_lossy(body).trim().chars().take(SHOWN_CHARS).collect();
                Err(PollError::NotPrometheus { host, status, said })
            }
        }
    }

    /// One measurement a version, of the samples that are one.
    fn measured(&self, samples: Vec<Sample>) -> Result<(Vec<ScrapedValue>, Skipped), PollError> {
        let mut skipped = Skipped::default();
        let mut by_version: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
        for mut sample in samples {
            let version = match &self.query.version {
                VersionOf::Fixed(version) => Some(version.clone()),
                VersionOf::Label(label) => sample.labels.remove(label).filter(|v| !v.is_empty()),
            };
            match version {
                Some(version) => by_version.entry(version).or_default().push(sample),
                None => skipped.without_version += 1,
            }
        }
        let mut measured = Vec::new();
        for (version, samples) in by_version {
            let [sample] = samples.as_slice() else {
                let (query, series) = (self.query.query.clone(), samples.len());
                return Err(PollError::Ambiguous { query, version, series });
            };
            match sample.value {
                None => skipped.histograms += 1,
                Some(value) if !value.is_finite() => skipped.not_finite += 1,
                Some(value) => {
                    let Query { model, metric, .. } = &self.query;
                    let (model, metric) = (model.clone(), metric.clone());
                    measured.push(ScrapedValue { model, version, ts_ms: sample.ts_ms, metric, value, n: 1 });
                }
            }
        }
        Ok((measured, skipped))
    }
}

/// The envelope of every answer.
#[derive(Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
enum Answer {
    Success {
        data: Data,
        #[serde(default)]
        warnings: Vec<String>,
    },
    Error {
        #[serde(rename = "errorType", default)]
        kind: String,
        #[serde(default)]
        error: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: serde_json::Value,
}

/// Seconds since the epoch and the value as text: `[1435781451.781, "0.5"]`.
type Point = (f64, String);

#[derive(Deserialize)]
struct Series {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    /// Absent where the series is a native histogram.
    value: Option<Point>,
}

struct Sample {
    labels: BTreeMap<String, String>,
    ts_ms: i64,
    /// `None`: a native histogram.
    value: Option<f64>,
}

enum Unread {
    Type(String),
    Sample(String),
}

fn samples(data: Data) -> Result<Vec<Sample>, Unread> {
    let Data { result_type, result } = data;
    let unread = |e: serde_json::Error| Unread::Sample(e.to_string());
    let series: Vec<Series> = match result_type.as_str() {
        "vector" => serde_json::from_value(result).map_err(unread)?,
        "scalar" => {
            let value = serde_json::from_value(result).map_err(unread)?;
            vec![Series { metric: BTreeMap::new(), value: Some(value) }]
        }
        _ => return Err(Unread::Type(result_type)),
    };
    series.into_iter().map(sample).collect()
}

fn sample(series: Series) -> Result<Sample, Unread> {
    let Series { metric: labels, value } = series;
    let Some((seconds, text)) = value else { return Ok(Sample { labels, ts_ms: 0, value: None }) };
    let ms = (seconds * 1000.0).round();
    if ms.abs() > MAX_MS {
        return Err(Unread::Sample(format!("its time {seconds} is not in seconds since the epoch")));
    }
    let value = text.parse().map_err(|_| Unread::Sample(format!("its value {text:?} is no number")))?;
    #[allow(clippy::cast_possible_truncation, reason = "a whole number within the years -9999 to 9999")]
    let ts_ms = ms as i64;
    Ok(Sample { labels, ts_ms, value: Some(value) })
}

#[cfg(test)]
mod tests;
