//! The daemon's configuration: its validated form and its parser. Every error of the file is reported at once, at its
//! place. Relative paths start in the file's folder; policy files are found by `policy_files`, secrets are read by
//! `KafkaConfig::client_properties`.

mod access;
mod files;
mod http;
mod kafka;
mod otlp;
mod sinks;
mod sources;
#[cfg(test)]
mod tests;

pub use driftgate_core::yaml::{FileError as ConfigError, FileErrors as ConfigErrors};
pub use files::PolicyFilesError;
pub use http::{CONNECTIONS, TlsConfig};
pub use kafka::{KafkaConfig, SecretError};
pub use sinks::{MlflowConfig, PrometheusConfig, RegistryConfig, VersionFrom, WebhookConfig};
pub use sources::SourceConfig;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::http::auth::OidcConfig;
pub use crate::http::auth::Reading;
use crate::snapshot::places::Places;
use crate::stores::Stores;
use crate::telemetry::otlp::OtlpConfig;
use driftgate_core::event::Limits as EventLimits;
use driftgate_core::yaml::{self, Item, units};

/// The daemon's configuration, validated.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The configuration file's folder.
    pub directory: PathBuf,
    /// Paths or patterns as written; see `policy_files`.
    pub policies: Vec<String>,
    /// Without it only files can be read.
    pub kafka: Option<KafkaConfig>,
    pub sources: Vec<SourceConfig>,
    /// A partition that is caught up and silent for so long no longer holds the watermark back.
    pub idle_after: Duration,
    pub registry: RegistryConfig,
    pub publish: PublishConfig,
    pub state: StateConfig,
    pub http: HttpConfig,
    pub limits: Limits,
    /// Where snapshots may lie that registrations and tags name, beside the folder or bucket of a policy.
    pub snapshots: Places,
    /// Where artifacts may lie that registrations name, likewise.
    pub artifacts: Places,
    /// How object stores are reached.
    pub stores: Stores,
    /// Queries whose samples become measurements.
    pub prometheus: Vec<PrometheusConfig>,
    /// The topic that anchors the audit log.
    pub audit_topic: Option<String>,
    /// Where traces and metrics are exported to.
    pub otlp: Option<OtlpConfig>,
}

/// Topics and files that results go to; nothing goes where none is named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublishConfig {
    pub signals: Option<String>,
    pub verdicts: Option<String>,
    pub dead_letters: Option<DeadLetters>,
    pub webhooks: Vec<WebhookConfig>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetters {
    pub to: DeadLetterTarget,
    /// Whether the rejected message itself goes along, not just its origin and the reason.
    pub full_payload: bool,
    /// What the file, and the one before it, take together.
    pub most_bytes: u64,
}

/// What a file of dead letters takes, unless the configuration says so.
const DEAD_BYTES: u64 = 1 << 30;
const LEAST_DEAD_BYTES: u64 = 1 << 20;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeadLetterTarget {
    Topic(String),
    Path(PathBuf),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateConfig {
    pub path: PathBuf,
    /// How often a checkpoint is written.
    pub every: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    pub listen: SocketAddr,
    /// Without it nothing can be changed over HTTP.
    pub tokens_file: Option<PathBuf>,
    /// Who may read; `None`: everybody on loopback, whoever has a token beyond it.
    pub read: Option<Reading>,
    /// Who may read `/metrics`.
    pub metrics: Reading,
    /// Whose tokens are taken beside those of the file.
    pub oidc: Option<OidcConfig>,
    /// How many there may be at a time; without it as many as is usual, and as descriptors allow.
    pub connections: Option<usize>,
    /// Names that requests may carry as `Host`, beside those of the machine itself.
    pub hosts: Vec<String>,
    pub tls: Option<TlsConfig>,
}

/// Bounds on what the streams may make the daemon hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// On one event and one model.
    pub events: EventLimits,
    /// Verdicts of a version and group that are kept in memory to look back at.
    pub verdicts: usize,
    /// How many of them, the newest, are kept with their evidence.
    pub whole_verdicts: usize,
    /// Versions of one model that events name and nobody registered: so many are taken on an hour.
    pub new_versions: usize,
}

impl Config {
    /// Where a release before kept the registry.
    #[must_use]
    pub fn registry_before(&self) -> PathBuf {
        self.state.path.join("registry.db")
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { events: EventLimits::default(), verdicts: 200, whole_verdicts: 1, new_versions: 100 }
    }
}

/// Reads and validates the daemon's configuration; `${NAME}` in Kafka properties comes from the environment.
///
/// # Errors
/// Everything that is wrong with the file, each error with its line, column and path.
pub fn parse(text: &str, file: &Path) -> Result<Config, ConfigErrors> {
    parse_with(text, file, &|name| std::env::var(name).ok())
}

/// `parse` with another environment.
///
/// # Errors
/// As `parse`.
pub fn parse_with(
    text: &str,
    file: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, ConfigErrors> {
    let directory = file.parent().map(PathBuf::from).unwrap_or_default();
    yaml::read(text, file, |root| Reader { directory, environment, ca_file: None }.config(root))
}

/// What reading the values needs besides them.
pub(crate) struct Reader<'e> {
    directory: PathBuf,
    environment: &'e dyn Fn(&str) -> Option<String>,
    /// The CAs that are believed where a section does not name its own.
    ca_file: Option<PathBuf>,
}

const KEYS: &[&str] = &[
    "policies",
    "kafka",
    "sources",
    "idle_after",
    "registry",
    "publish",
    "state",
    "http",
    "limits",
    "snapshots",
    "artifacts",
    "prometheus",
    "audit",
    "otlp",
    "tls",
];

impl Reader<'_> {
    fn config(mut self, root: &Item) -> Option<Config> {
        let map = root.map(KEYS)?;
        let tls = map.get("tls").map_or(Some(None), |item| self.authorities(Some(&item)));
        self.ca_file = tls.clone().flatten();
        let policies = map.get("policies").map_or_else(|| Some(Vec::new()), |item| files::patterns(&item));
        let kafka = map.get("kafka").map(|item| self.kafka(&item));
        let sources = map.get("sources").map_or_else(|| Some(Vec::new()), |item| sources::sources(&item));
        if kafka.is_some() {
            let _ = map.require("policies", "[\"policies/*.yaml\"]");
            let _ = map.require("sources", "[{topic: predictions, kind: predictions}]");
        }
        let idle_after = map.get("idle_after").map_or(Some(Duration::from_secs(30)), |item| duration(&item));
        let registry = map.get("registry").map_or_else(
            || Some(RegistryConfig { path: self.directory.join(sinks::REGISTRY), mlflow: None }),
            |item| self.registry(&item),
        );
        let publish = map.get("publish").map_or_else(|| Some(PublishConfig::default()), |item| self.publish(&item));
        let state = self.state(map.get("state").as_ref());
        let http = self.http(map.get("http").as_ref());
        let limits = map.get("limits").map_or_else(|| Some(Limits::default()), |item| limits(&item));
        let snapshots = map.get("snapshots").map_or_else(|| Some(Places::default()), |item| self.places(&item));
        let artifacts = map.get("artifacts").map_or_else(|| Some(Places::default()), |item| self.places(&item));
        let prometheus = map.get("prometheus").map_or_else(|| Some(Vec::new()), |item| self.prometheus(&item));
        let audit = map.get("audit").map(|item| Self::audit(&item));
        let otlp = map.get("otlp").map(|item| self.otlp(&item));
        if let (None, Some(item)) = (&kafka, map.get("audit").or(map.get("prometheus"))) {
            item.report("this writes to a topic, and there is no kafka section: name the brokers, or leave it out");
        }
        Some(Config {
            prometheus: prometheus?,
            audit_topic: match audit {
                Some(topic) => Some(topic?),
                None => None,
            },
            otlp: match otlp {
                Some(otlp) => Some(otlp?),
                None => None,
            },
            policies: policies?,
            kafka: match kafka {
                Some(kafka) => Some(kafka?),
                None => None,
            },
            sources: sources?,
            idle_after: idle_after?,
            registry: registry?,
            publish: publish?,
            state: state?,
            http: http?,
            limits: limits?,
            snapshots: snapshots?,
            artifacts: artifacts?,
            stores: Stores { ca_file: tls? },
            directory: self.directory,
        })
    }

    /// `{ca_file}`: the certificates of CAs that are believed beside those of the system; by default what the whole
    /// configuration says.
    fn authorities(&self, item: Option<&Item>) -> Option<Option<PathBuf>> {
        let Some(item) = item else { return Some(self.ca_file.clone()) };
        let path = item.map(&["ca_file"])?.require("ca_file", "/etc/ssl/company-ca.pem")?;
        self.path(&path).map(Some)
    }

    /// A path, from the configuration file's folder.
    fn path(&self, item: &Item) -> Option<PathBuf> {
        Some(self.directory.join(item.text("a path")?))
    }

    /// Folders and URLs, each wrong one told at its place.
    fn places(&self, item: &Item) -> Option<Places> {
        let items = item.list("folders and URLs, like [\"/data/training/\", \"s3://training/approved/\"]")?;
        let prefixes: Vec<String> =
            items.iter().map(|i| i.text("a folder or a URL").map(str::to_owned)).collect::<Option<_>>()?;
        match Places::parse(&self.directory, &prefixes) {
            Ok(places) => Some(places),
            Err(errors) => {
                for (at, why) in errors {
                    if let Some(item) = items.get(at) {
                        let read = units::quote(prefixes.get(at).map_or("", String::as_str));
                        item.report(format!("expected a folder or a URL, read {read}: {why}"));
                    }
                }
                None
            }
        }
    }

    fn publish(&self, item: &Item) -> Option<PublishConfig> {
        let map = item.map(&["signals", "verdicts", "dead_letters", "webhooks"])?;
        let topic = |key| map.get(key).and_then(|item| sources::topic(&item));
        let (signals, verdicts) = (topic("signals"), topic("verdicts"));
        let dead_letters = map.get("dead_letters").and_then(|item| self.dead_letters(&item));
        let webhooks = map.get("webhooks").map_or_else(|| Some(Vec::new()), |item| self.webhooks(&item));
        Some(PublishConfig { signals, verdicts, dead_letters, webhooks: webhooks? })
    }

    fn dead_letters(&self, item: &Item) -> Option<DeadLetters> {
        let map = item.map(&["topic", "path", "payload", "max_bytes"])?;
        let full_payload =
            map.get("payload").map_or(Some(false), |item| item.choice(&[("none", false), ("full", true)]));
        let to = match (map.get("topic"), map.get("path")) {
            (Some(item), None) => DeadLetterTarget::Topic(sources::topic(&item)?),
            (None, Some(item)) => DeadLetterTarget::Path(self.path(&item)?),
            (Some(_), Some(_)) => return item.fail("both `topic` and `path`: keep one"),
            (None, None) => return item.fail("neither `topic` nor `path`: write one, like {topic: driftgate.dead}"),
        };
        let most_bytes = match map.get("max_bytes") {
            None => Some(DEAD_BYTES),
            Some(item) if matches!(to, DeadLetterTarget::Topic(_)) => {
                item.fail("a topic keeps its own bound: leave it out, or write `path` in place of `topic`")
            }
            Some(item) => match item.convert("a size", units::size)? {
                bytes if bytes >= LEAST_DEAD_BYTES => Some(bytes),
                bytes => item.fail(format!("expected a size from 1MiB, read {bytes} bytes")),
            },
        };
        Some(DeadLetters { to, full_payload: full_payload?, most_bytes: most_bytes? })
    }

    fn state(&self, item: Option<&Item>) -> Option<StateConfig> {
        let map = match item {
            Some(item) => Some(item.map(&["path", "every"])?),
            None => None,
        };
        let get = |key| map.as_ref().and_then(|map| map.get(key));
        let path = get("path").map_or_else(|| Some(self.directory.join("state")), |item| self.path(&item));
        let every = get("every").map_or(Some(Duration::from_secs(10)), |item| duration(&item));
        Some(StateConfig { path: path?, every: every? })
    }

    fn http(&self, item: Option<&Item>) -> Option<HttpConfig> {
        let map = match item {
            Some(item) => {
                Some(item.map(&["listen", "tokens_file", "connections", "hosts", "tls", "read", "metrics", "oidc"])?)
            }
            None => None,
        };
        let get = |key| map.as_ref().and_then(|map| map.get(key));
        let listen =
            get("listen").map_or(Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 9464))), |item| http::address(&item));
        let tokens_file = get("tokens_file").map(|item| self.path(&item));
        let (connections, hosts) = (http::connections(map.as_ref()), http::hosts(map.as_ref()));
        let tls = get("tls").map(|item| self.tls(&item));
        let read = get("read").map(|item| access::reading(&item));
        let metrics = get("metrics").map_or(Some(Reading::Open), |item| access::reading(&item));
        let oidc = get("oidc").map(|item| self.oidc(&item));
        Some(HttpConfig {
            listen: listen?,
            oidc: match oidc {
                Some(oidc) => Some(oidc?),
                None => None,
            },
            read: match read {
                Some(read) => Some(read?),
                None => None,
            },
            metrics: metrics?,
            connections: connections?,
            hosts: hosts?,
            tls: match tls {
                Some(tls) => Some(tls?),
                None => None,
            },
            tokens_file: match tokens_file {
                Some(path) => Some(path?),
                None => None,
            },
        })
    }
}

fn limits(item: &Item) -> Option<Limits> {
    let map = item.map(&[
        "message_bytes",
        "depth",
        "string_bytes",
        "categories",
        "segments",
        "join_bytes",
        "verdicts",
        "whole_verdicts",
        "new_versions",
    ])?;
    let default = Limits::default();
    let between = |key, default: usize, least: u64, most: u64, range: String| match map.get(key) {
        None => Some(default),
        Some(item) => match item.convert("a size", units::size)? {
            bytes if (least..=most).contains(&bytes) => usize::try_from(bytes).ok(),
            bytes => item.fail(format!("expected a size {range}, read {bytes} bytes: write a size in between")),
        },
    };
    let bytes = |key, default, most: u64| between(key, default, 1, most, format!("up to {}MiB", most >> 20));
    let counted = |key, default: usize, most| map.get(key).map_or(Some(default), |item| count(&item, 1, most));
    let message_bytes = bytes("message_bytes", default.events.message_bytes, 256 << 20);
    let string_bytes = bytes("string_bytes", default.events.string_bytes, 1 << 20);
    let depth = counted("depth", default.events.depth, 128);
    let categories = counted("categories", default.events.categories, 1_000_000);
    let segments = counted("segments", default.events.segments, 1_000_000);
    let join_bytes =
        between("join_bytes", default.events.join_bytes, 16 << 20, 1 << 40, "from 16MiB to 1024GiB".to_owned());
    let verdicts = counted("verdicts", default.verdicts, 100_000);
    let whole_verdicts = counted("whole_verdicts", default.whole_verdicts, 1000);
    let new_versions = counted("new_versions", default.new_versions, 1_000_000);
    Some(Limits {
        events: EventLimits {
            message_bytes: message_bytes?,
            depth: depth?,
            string_bytes: string_bytes?,
            categories: categories?,
            segments: segments?,
            join_bytes: join_bytes?,
            ..default.events
        },
        verdicts: verdicts?,
        whole_verdicts: whole_verdicts?,
        new_versions: new_versions?,
    })
}

fn count(item: &Item, least: u64, most: u64) -> Option<usize> {
    item.whole(least, most).and_then(|number| usize::try_from(number).ok())
}

fn duration(item: &Item) -> Option<Duration> {
    item.duration(false).and_then(|millis| u64::try_from(millis).ok()).map(Duration::from_millis)
}
