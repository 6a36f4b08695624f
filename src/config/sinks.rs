//! Outside systems beside Kafka and the registry: webhooks, the audit log's anchor, and Prometheus queries.

use std::path::PathBuf;
use std::time::Duration;

use super::key::{self, Key, default, names, required};
use super::reader::{ConfigReader, duration, given, url};
use super::sources;
use crate::sink::template::Template;
use driftgate_core::yaml::{Item, Map};

/// An address that hears of every change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookConfig {
    pub url: String,
    /// Holds the key that messages are signed with; of a pager what it routes by.
    pub secret_file: Option<PathBuf>,
    /// Certificates of CAs that are believed.
    pub ca_file: Option<PathBuf>,
    /// How the body is written.
    pub template: Template,
}

/// A Prometheus query whose samples become measurements in a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrometheusConfig {
    pub url: String,
    pub query: String,
    pub model: String,
    pub version: VersionFrom,
    /// The metric's name in the events.
    pub metric: String,
    pub topic: String,
    pub every: Duration,
    pub token_file: Option<PathBuf>,
    /// Certificates of CAs that are believed.
    pub ca_file: Option<PathBuf>,
}

/// Where a sample's version comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionFrom {
    Fixed(String),
    Label(String),
}

/// What every `tls` of a section says.
pub(super) const OWN_TLS: Key =
    key::optional("tls", "mapping", "`{ca_file: …}` in place of the configuration's `tls`.");

pub const WEBHOOK: [Key; 4] = [
    required("url", "URL", "Address that receives every change as a POST."),
    key::optional(
        "secret_file",
        "path",
        "File with the key that messages are signed with; with `template: pagerduty` the integration key.",
    ),
    default(
        "template",
        "`event`, `slack`, `teams`, `pagerduty` or `openlineage`",
        "event",
        "How the body is written: the event's JSON, a sentence for a chat, an alert that a block or rollback triggers and a clear resolves, or a run event of \
         OpenLineage for each promotion.",
    ),
    OWN_TLS,
];

pub const PROMETHEUS: [Key; 10] = [
    required("url", "URL", "Address of Prometheus."),
    required("query", "text", "The query. Each of its samples becomes a measurement."),
    required("model", "text", "Model that the samples are of."),
    key::optional("version", "text", "Version that the samples are of. Write either `version` or `version_label`."),
    key::optional("version_label", "text", "Label that names a sample's version; `version` if both are left out."),
    required("metric", "text", "Name of the metric in the events."),
    required("topic", "topic", "Topic that the measurements are written to. It is read like any other, by a source."),
    default("every", "duration", "1m", "How often the query is asked."),
    key::optional("token_file", "path", "File with a bearer token or `user:password`."),
    OWN_TLS,
];

pub const AUDIT: [Key; 1] = [required(
    "topic",
    "topic",
    "Topic for signed heads of the audit log: a log that was cut or rewritten disagrees with them.",
)];

/// How the body of a webhook is written.
fn template(map: &Map<'_>) -> Option<Template> {
    let words = [
        ("event", Template::Event),
        ("slack", Template::Slack),
        ("teams", Template::Teams),
        ("pagerduty", Template::PagerDuty),
        ("openlineage", Template::OpenLineage),
    ];
    map.get("template").map_or(Some(Template::Event), |item| item.choice(&words))
}

impl ConfigReader<'_> {
    pub(super) fn webhooks(&self, item: &Item) -> Option<Vec<WebhookConfig>> {
        let webhook = |item: &Item| {
            let map = item.map(const { &names(&WEBHOOK) })?;
            let url = map.require("url", "https://chat.example.com/hooks/driftgate").and_then(|item| url(&item));
            let secret_file = map.get("secret_file").map(|item| self.path(&item));
            let ca_file = self.authorities(map.get("tls").as_ref());
            let (secret_file, template) = (given(secret_file)?, template(&map)?);
            if template == Template::PagerDuty && secret_file.is_none() {
                return item.fail("`template: pagerduty` needs the integration key: name its file as secret_file");
            }
            Some(WebhookConfig { url: url?, secret_file, ca_file: ca_file?, template })
        };
        all(item.list("webhooks")?.iter().map(webhook))
    }

    pub(super) fn prometheus(&self, item: &Item) -> Option<Vec<PrometheusConfig>> {
        let query = |item: &Item| {
            let map = item.map(const { &names(&PROMETHEUS) })?;
            let ca_file = self.authorities(map.get("tls").as_ref());
            let text =
                |key, example, what| map.require(key, example).and_then(|item| item.name(what).map(str::to_owned));
            let url = map.require("url", "http://prometheus:9090").and_then(|item| url(&item));
            let query = text("query", "sum by (version) (rate(cost_total[5m]))", "a query");
            let model = text("model", "fraud_detector", "a model");
            let metric = text("metric", "cost_per_1k", "a metric");
            let topic = map.require("topic", "measurements").and_then(|item| sources::topic(&item));
            let every = map.get("every").map_or(Some(Duration::from_secs(60)), |item| duration(&item));
            let token_file = map.get("token_file").map(|item| self.path(&item));
            let version = match (map.get("version"), map.get("version_label")) {
                (Some(item), None) => item.name("a version").map(|v| VersionFrom::Fixed(v.to_owned())),
                (None, Some(item)) => item.name("a label").map(|l| VersionFrom::Label(l.to_owned())),
                (None, None) => Some(VersionFrom::Label("version".to_owned())),
                (Some(_), Some(_)) => item.fail("both `version` and `version_label`: keep one"),
            };
            Some(PrometheusConfig {
                url: url?,
                query: query?,
                model: model?,
                version: version?,
                metric: metric?,
                topic: topic?,
                every: every?,
                token_file: given(token_file)?,
                ca_file: ca_file?,
            })
        };
        all(item.list("Prometheus queries")?.iter().map(query))
    }

    /// The topic that signed heads of the audit log go to.
    pub(super) fn audit(item: &Item) -> Option<String> {
        item.map(const { &names(&AUDIT) })?.require("topic", "driftgate.audit").and_then(|item| sources::topic(&item))
    }
}

/// All of them, after every error was reported.
fn all<T>(items: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    items.collect::<Vec<_>>().into_iter().collect()
}
