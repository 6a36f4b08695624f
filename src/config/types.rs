//! The daemon's configuration, validated.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::kafka::KafkaConfig;
use super::registry::RegistryConfig;
use super::routing::RoutingConfig;
use super::schemas::SchemaRegistryConfig;
use super::sinks::{PrometheusConfig, WebhookConfig};
use super::sources::SourceConfig;
use crate::history;
use crate::http::auth::{OidcConfig, Reading};
use crate::http::server::tls::TlsConfig;
use crate::oci::Registries;
use crate::snapshot::places::Places;
use crate::stores::Stores;
use crate::telemetry::otlp::OtlpConfig;
use driftgate_core::event::Limits as EventLimits;

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
    /// Where the schemas of framed messages come from.
    pub schema_registry: Option<SchemaRegistryConfig>,
    /// A partition that is caught up and silent for so long no longer holds the watermark back.
    pub idle_after: Duration,
    pub registry: RegistryConfig,
    pub publish: PublishConfig,
    pub state: StateConfig,
    /// Results over time on disk; `None` keeps none.
    pub history: Option<history::Options>,
    pub http: HttpConfig,
    /// Which series `/metrics` has of verdicts.
    pub metrics: crate::http::metrics::Options,
    pub limits: Limits,
    /// Where snapshots may lie that registrations and tags name, beside the folder or bucket of a policy.
    pub snapshots: Places,
    /// Where artifacts may lie that registrations name, likewise.
    pub artifacts: Places,
    /// Registries of OCI artifacts.
    pub oci: OciConfig,
    /// How object stores are reached.
    pub stores: Stores,
    /// Queries whose samples become measurements.
    pub prometheus: Vec<PrometheusConfig>,
    /// How traffic routers are reached.
    pub routing: RoutingConfig,
    /// The topic that anchors the audit log.
    pub audit_topic: Option<String>,
    /// What this process is among several; without it there is one.
    pub cluster: Option<ClusterConfig>,
    /// Where traces and metrics are exported to.
    pub otlp: Option<OtlpConfig>,
}

/// What this process is among several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterConfig {
    /// Its name in the group: each process has another one.
    pub instance: String,
    /// Without a heartbeat for so long a process is taken for dead.
    pub session: Duration,
    /// How often the owner commits its state.
    pub commit: Duration,
    /// Where other processes and their callers reach this one's HTTP; without a slash at its end.
    pub advertise: String,
    pub split: Split,
    /// What the names of the internal topics begin with.
    pub prefix: String,
    /// Replicas of the internal topics.
    pub replication: i32,
    /// The file with the key that signs the audit log, the same for all processes.
    pub audit_key: PathBuf,
}

/// What of the counting several processes divide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Split {
    /// Models that share no topic.
    #[default]
    Models,
    /// The partitions of a model's topics, too.
    Partitions,
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
    /// Who may read; `None`: everyone on loopback, holders of a token beyond it.
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
    /// So many versions of one model are taken on per hour that events name and that are not registered.
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

/// Registries of OCI artifacts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OciConfig {
    /// What happens to a version is attested beside its artifact.
    pub attestations: bool,
    pub registries: Registries,
}
