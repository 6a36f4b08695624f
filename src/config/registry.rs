//! `registry`: its file, and the external registry (MLflow or `SageMaker`'s) that it is kept in step with.

use std::path::PathBuf;
use std::time::Duration;

use super::key::{self, Key, default, names, required};
use super::reader::{ConfigReader, duration, given, url};
use super::sinks::OWN_TLS;
use crate::sink::sagemaker::Groups;
use driftgate_core::fact::External;
use driftgate_core::yaml::{Item, Map};

/// The default place of the registry: apart from the state, which operators move away to count anew.
pub(super) const REGISTRY: &str = "registry/registry.db";

/// The place of the registry, and the external registry that it is kept in step with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryConfig {
    /// The database file: versions, evidence, approvals, rollouts and the audit log.
    pub path: PathBuf,
    pub external: Option<ExternalConfig>,
}

/// A registry of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExternalConfig {
    Mlflow(MlflowConfig),
    SageMaker(SageMakerConfig),
}

impl ExternalConfig {
    /// How often it is asked what others changed.
    #[must_use]
    pub fn every(&self) -> Duration {
        match self {
            Self::Mlflow(mlflow) => mlflow.every,
            Self::SageMaker(sagemaker) => sagemaker.every,
        }
    }

    /// Which one it is.
    #[must_use]
    pub fn of(&self) -> External {
        match self {
            Self::Mlflow(_) => External::Mlflow,
            Self::SageMaker(_) => External::SageMaker,
        }
    }
}

/// `SageMaker`'s model registry, with AWS' usual chain of credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SageMakerConfig {
    /// `None`: the environment names it.
    pub region: Option<String>,
    /// The groups of models that are called otherwise than the model.
    pub groups: Groups,
    pub every: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MlflowConfig {
    pub url: String,
    /// Holds `user:password`, or a bearer token.
    pub token_file: Option<PathBuf>,
    /// Certificates of CAs that are believed.
    pub ca_file: Option<PathBuf>,
    /// How often it is asked what others changed.
    pub every: Duration,
}

impl RegistryConfig {
    /// The MLflow that it is kept in step with, if it is one.
    #[must_use]
    pub fn mlflow(&self) -> Option<&MlflowConfig> {
        match &self.external {
            Some(ExternalConfig::Mlflow(mlflow)) => Some(mlflow),
            Some(ExternalConfig::SageMaker(_)) | None => None,
        }
    }
}

pub const REGISTRIES: [Key; 3] = [
    key::optional("embedded", "mapping", "The registry's file."),
    key::optional(
        "mlflow",
        "mapping",
        "MLflow server that receives each change, and that is asked for the changes of others.",
    ),
    key::optional(
        "sagemaker",
        "mapping",
        "SageMaker's model registry, which receives each change, and which is asked for the changes of others, in place of MLflow.",
    ),
];

pub const EMBEDDED: [Key; 1] = [required(
    "path",
    "path",
    "The database file: versions, stages, evidence, approvals, rollouts and the audit log; `registry/registry.db` without the section. The key that signs \
     the log lies beside it: back up both.",
)];

pub const MLFLOW: [Key; 4] = [
    required("url", "URL", "Address of MLflow."),
    key::optional("token_file", "path", "File with `user:password` or a bearer token."),
    default("every", "duration", "10s", "How often MLflow is asked what others changed."),
    OWN_TLS,
];

pub const SAGEMAKER: [Key; 3] = [
    key::optional("region", "text", "Region of the registry; `AWS_REGION` of the environment if left out."),
    key::optional(
        "groups",
        "mapping",
        "Model package groups by model. Without an entry a model's group has its name, with a hyphen for what is neither letter nor digit.",
    ),
    default("every", "duration", "30s", "How often SageMaker is asked what others changed."),
];

impl ConfigReader<'_> {
    pub(super) fn registry(&self, item: &Item) -> Option<RegistryConfig> {
        let map = item.map(const { &names(&REGISTRIES) })?;
        if ["embedded", "mlflow", "sagemaker"].iter().all(|name| map.get(name).is_none()) {
            return item.fail("expected a registry: write {embedded: {path: registry/registry.db}}");
        }
        let path = match map.get("embedded") {
            Some(item) => {
                let path =
                    item.map(const { &names(&EMBEDDED) }).and_then(|map| map.require("path", "registry/registry.db"));
                path.and_then(|path| self.path(&path))
            }
            None => Some(self.directory.join(REGISTRY)),
        };
        let external = self.external(&map);
        Some(RegistryConfig { path: path?, external: external? })
    }

    /// The external registry of `registry`, if it has one.
    #[allow(clippy::option_option, reason = "not given, wrong, and right are three things")]
    fn external(&self, map: &Map<'_>) -> Option<Option<ExternalConfig>> {
        given(match (map.get("mlflow"), map.get("sagemaker")) {
            (Some(mlflow), None) => Some(self.mlflow(&mlflow).map(ExternalConfig::Mlflow)),
            (None, Some(sagemaker)) => Some(sagemaker_registry(&sagemaker).map(ExternalConfig::SageMaker)),
            (None, None) => None,
            (Some(_), Some(item)) => {
                Some(item.fail("both `mlflow` and `sagemaker`: the registry is kept in step with one of them"))
            }
        })
    }

    fn mlflow(&self, item: &Item) -> Option<MlflowConfig> {
        let map = item.map(const { &names(&MLFLOW) })?;
        let url = map.require("url", "https://mlflow.example.com").and_then(|item| url(&item));
        let token_file = map.get("token_file").map(|item| self.path(&item));
        let every = map.get("every").map_or(Some(Duration::from_secs(10)), |item| duration(&item));
        let ca_file = self.authorities(map.get("tls").as_ref());
        Some(MlflowConfig { url: url?, token_file: given(token_file)?, every: every?, ca_file: ca_file? })
    }
}

/// `SageMaker`'s model registry.
fn sagemaker_registry(item: &Item) -> Option<SageMakerConfig> {
    let map = item.map(const { &names(&SAGEMAKER) })?;
    let text = |item: &Item, what| item.name(what).map(str::to_owned);
    let region = map.get("region").map(|item| text(&item, "a region"));
    let every = map.get("every").map_or(Some(Duration::from_secs(30)), |item| duration(&item));
    let groups = map.get("groups").map_or_else(|| Some(Groups::new()), |item| groups(&item));
    Some(SageMakerConfig { region: given(region)?, groups: groups?, every: every? })
}

/// Model package groups by model.
fn groups(item: &Item) -> Option<Groups> {
    let entries = item.open_map("a mapping such as {credit_model: credit-risk}")?;
    let groups = entries.entries().map(|(model, item)| Some((model.to_owned(), item.name("a group")?.to_owned())));
    groups.collect::<Vec<_>>().into_iter().collect()
}
