//! Results over time: series of values, and distributions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use driftgate_core::judge::verdict::Status;

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct SeriesQuery {
    /// Only this rule, as group/id.
    pub rule: Option<String>,
    /// Only this subject.
    pub subject: Option<String>,
    /// Windows that end at this time or later: RFC 3339, or a date. By default seven days before `to`.
    pub from: Option<String>,
    /// Windows that end before this time. By default just after the newest window.
    pub to: Option<String>,
    /// Whether also the segments of subjects are answered, each as a series of its own: `true` or `false`, by default only in a file.
    pub segments: Option<bool>,
    /// `json` (the default), or `parquet` for a file with the distributions as well.
    pub format: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct DistributionsQuery {
    /// The feature, or `score`.
    #[param(required = true)]
    pub subject: Option<String>,
    /// Only this rule, as group/id.
    pub rule: Option<String>,
    /// Windows that end at this time or later: RFC 3339, or a date. By default a day before `to`.
    pub from: Option<String>,
    /// Windows that end before this time. By default just after the newest window.
    pub to: Option<String>,
    /// About so many windows, 1 to 10000: of a stretch of windows the worst is answered then, and `every` says how long a stretch is; of each rule
    /// and day there is one at least. By default all windows up to 10000, and of more about 1000.
    pub most: Option<usize>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// Windows that end at this time or later: RFC 3339, or a date. By default seven days before `to`.
    pub from: Option<String>,
    /// Windows that end before this time. By default just after the newest window.
    pub to: Option<String>,
    /// The end of the window whose distribution is shown. By default the newest of the range.
    pub window: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct VersionPageQuery {
    /// Windows that end at this time or later: RFC 3339, or a date. By default seven days before `to`.
    pub from: Option<String>,
    /// Windows that end before this time. By default just after the newest window.
    pub to: Option<String>,
    /// The column that features are ordered by: worst (the default), name, near (value over limit), missing, values, importance, rank.
    pub sort: Option<String>,
    /// Only features whose names have this text in them.
    pub find: Option<String>,
}

/// Values over time of a version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SeriesFound {
    pub model: String,
    pub version: String,
    /// RFC 3339.
    pub from: String,
    pub to: String,
    /// By group, rule and subject.
    pub series: Vec<Series>,
}

/// A rule on a subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Series {
    pub group: String,
    /// group/id.
    pub rule: String,
    pub metric: String,
    pub subject: String,
    /// The segment of the subject that it is of; left out where it is of all values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<String>,
    /// In the order of the windows' ends.
    pub points: Vec<Point>,
}

/// A window of a series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Point {
    /// RFC 3339.
    pub start: String,
    pub end: String,
    pub complete: bool,
    pub stage: Option<String>,
    pub status: Status,
    /// Null where it could not be computed.
    pub value: Option<f64>,
    pub lower: Option<f64>,
    pub upper: Option<f64>,
    pub limit: Option<f64>,
    /// How the policy spells the limit: `lt`, `gte`, `max_increase`, …
    pub side: Option<String>,
    pub warn: Option<f64>,
    pub n: Option<u64>,
    pub reason: Option<String>,
    pub pending: bool,
    pub muted: bool,
}

/// Distributions over time of a subject of a version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DistributionsFound {
    pub model: String,
    pub version: String,
    pub subject: String,
    /// RFC 3339.
    pub from: String,
    pub to: String,
    /// 1: every window is here. Else of so many windows of a rule, one after the other, the one with the worst status, of those alike the last.
    pub every: usize,
    /// By rule and window.
    pub distributions: Vec<WindowDistribution>,
}

/// The distribution of a window beside that of the training snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WindowDistribution {
    /// group/id.
    pub rule: String,
    /// RFC 3339.
    pub start: String,
    pub end: String,
    pub complete: bool,
    pub status: Status,
    pub value: Option<f64>,
    pub n: Option<u64>,
    pub missing: Option<u64>,
    pub invalid: Option<u64>,
    pub reference_n: Option<u64>,
    /// As in a verdict: `le`, `eq`, `category` or `others`, and the counts `reference` and `window`.
    pub bins: Vec<BTreeMap<String, Value>>,
}
