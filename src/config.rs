//! The daemon's configuration: its validated form (`types`) and its parser, one file per section, each key described beside it
//! (`key`; `reference` writes the page). Every error of the file is reported at once, at its place. Relative paths start in the
//! file's folder; policy files are found by `policy_files`, secrets are read by `KafkaConfig::client_properties`.

mod access;
mod cluster;
mod files;
mod history;
mod http;
mod ingest;
mod kafka;
mod key;
mod kserve;
mod limits;
mod metrics;
mod oci;
mod otlp;
mod publish;
mod reader;
pub mod reference;
mod registry;
mod root;
mod routing;
mod schemas;
mod sinks;
mod sources;
mod state;
#[cfg(test)]
mod tests;
mod types;
mod units;

pub use cluster::INTERNAL as INTERNAL_TOPICS;
pub use driftgate_core::yaml::{FileError as ConfigError, FileErrors as ConfigErrors};
pub use files::PolicyFilesError;
pub use kafka::{KafkaConfig, SecretError};
pub use registry::{ExternalConfig, MlflowConfig, RegistryConfig, SageMakerConfig};
pub use routing::{RouterWebhookConfig, RoutingConfig};
pub use schemas::{SchemaRegistryConfig, SourceFormat, format_names, has_format};
pub use sinks::{PrometheusConfig, VersionFrom, WebhookConfig};
pub use sources::SourceConfig;
pub use types::{
    ClusterConfig, Config, DeadLetterTarget, DeadLetters, HttpConfig, Limits, OciConfig, PublishConfig, Split,
    StateConfig,
};
pub use units::{Division, UnequalPartitions};

use std::path::{Path, PathBuf};

pub use crate::http::auth::Reading;
pub use crate::http::server::tls::TlsConfig;
use driftgate_core::yaml;
use reader::ConfigReader;

/// Reads and validates the daemon's configuration; `${NAME}` in a value comes from the environment.
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
    // These may hold secrets, and fill in their values without quoting them.
    let own = ["kafka.properties", "otlp.headers"];
    yaml::read_filled(text, file, environment, &own, |root| {
        ConfigReader { directory, environment, ca_file: None }.config(root)
    })
}
