//! MLflow's answers. Numbers of 64 bits come as numbers, or as strings from servers that keep to protobuf's JSON;
//! empty lists are left out; unknown fields are ignored.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

/// A registered model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct RegisteredModel {
    pub name: String,
    /// Wall clock, ms.
    #[serde(default, deserialize_with = "integer")]
    pub creation_timestamp: Option<i64>,
    /// Alias to version.
    #[serde(default, deserialize_with = "aliases")]
    pub aliases: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "tags")]
    pub tags: BTreeMap<String, String>,
}

/// A version of a registered model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct ModelVersion {
    pub name: String,
    /// MLflow's number. A model that was deleted and made again starts over at 1.
    pub version: String,
    /// Wall clock, ms: tells a version from another of the same number.
    #[serde(default, deserialize_with = "integer")]
    pub creation_timestamp: Option<i64>,
    /// Where its files are.
    #[serde(default, deserialize_with = "filled")]
    pub source: Option<String>,
    #[serde(default, deserialize_with = "filled")]
    pub run_id: Option<String>,
    /// `READY`, `PENDING_REGISTRATION` or `FAILED_REGISTRATION`.
    #[serde(default)]
    pub status: String,
    /// Aliases that stand on it; searches leave them out.
    #[serde(default)]
    pub aliases: Vec<String>,
    #[serde(default, deserialize_with = "tags")]
    pub tags: BTreeMap<String, String>,
}

impl ModelVersion {
    /// Its number; one that is none comes first.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.version.parse().unwrap_or(0)
    }
}

/// A run: what was logged while the model was trained.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Run {
    pub info: RunInfo,
    #[serde(default)]
    pub data: RunData,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct RunInfo {
    pub run_id: String,
    /// `RUNNING`, `SCHEDULED`, `FINISHED`, `FAILED` or `KILLED`.
    #[serde(default)]
    pub status: String,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct RunData {
    /// The last value of each; those that are not finite are left out.
    #[serde(default, deserialize_with = "metrics")]
    pub metrics: BTreeMap<String, f64>,
    #[serde(default, deserialize_with = "tags")]
    pub params: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "tags")]
    pub tags: BTreeMap<String, String>,
}

#[derive(Deserialize)]
pub(super) struct Empty {}

#[derive(Deserialize)]
pub(super) struct OneModel {
    pub registered_model: RegisteredModel,
}

#[derive(Deserialize)]
pub(super) struct OneVersion {
    pub model_version: ModelVersion,
}

#[derive(Deserialize)]
pub(super) struct OneRun {
    pub run: Run,
}

#[derive(Deserialize)]
pub(super) struct Page {
    #[serde(default)]
    pub model_versions: Vec<ModelVersion>,
    #[serde(default)]
    pub next_page_token: Option<String>,
}

fn integer<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Integer {
        Number(i64),
        Text(String),
    }
    match Option::<Integer>::deserialize(from)? {
        None => Ok(None),
        Some(Integer::Number(n)) => Ok(Some(n)),
        Some(Integer::Text(text)) => {
            text.parse().map(Some).map_err(|_| serde::de::Error::custom("a timestamp is not an integer"))
        }
    }
}

fn filled<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.filter(|text| !text.is_empty()))
}

fn tags<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    #[derive(Deserialize)]
    struct Tag {
        key: String,
        #[serde(default)]
        value: String,
    }
    Ok(Vec::<Tag>::deserialize(from)?.into_iter().map(|tag| (tag.key, tag.value)).collect())
}

fn aliases<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    #[derive(Deserialize)]
    struct Alias {
        alias: String,
        version: String,
    }
    Ok(Vec::<Alias>::deserialize(from)?.into_iter().map(|a| (a.alias, a.version)).collect())
}

fn metrics<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, f64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Number {
        Finite(f64),
        /// `"NaN"`, `"Infinity"`.
        Other(serde::de::IgnoredAny),
    }
    #[derive(Deserialize)]
    struct Metric {
        key: String,
        value: Number,
    }
    let all = Vec::<Metric>::deserialize(from)?.into_iter();
    Ok(all
        .filter_map(|metric| match metric.value {
            // MLflow stores infinity as the largest number.
            Number::Finite(value) if value.abs() < f64::MAX => Some((metric.key, value)),
            Number::Finite(_) | Number::Other(_) => None,
        })
        .collect())
}
