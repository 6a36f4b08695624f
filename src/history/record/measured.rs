//! What is kept of a result: its numbers, its limit and its distribution.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::series::split;
use driftgate_core::codec::number::number;
use driftgate_core::judge::evidence::{self, BinOf};
use driftgate_core::judge::verdict::{RuleResult, Status};

/// A rule on a subject, or on a segment of it (`segments`). Every number is finite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// `group/id`.
    pub rule: String,
    pub metric: String,
    pub subject: String,
    pub status: Status,
    pub value: Option<f64>,
    /// The bounds of the value, where the rule has any.
    pub lower: Option<f64>,
    pub upper: Option<f64>,
    pub limit: Option<f64>,
    /// How the limit is spelt in the policy: `lt`, `gte`, `max_increase`, …
    pub side: Option<String>,
    /// The limit of a warning.
    pub warn: Option<f64>,
    /// Values or events that were measured, and those of the training snapshot.
    pub n: Option<u64>,
    pub missing: Option<u64>,
    pub invalid: Option<u64>,
    pub reference_n: Option<u64>,
    pub reason: Option<String>,
    pub pending: bool,
    pub muted: bool,
    /// The distribution beside the training snapshot's; empty where the rule compares none.
    pub bins: Vec<Bin>,
}

/// A bin of two distributions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bin {
    /// `le:1.5` (up to this, from the bin before on; `le:` without an end), `eq:0` (this value alone), `category:US`, `unseen` (categories that
    /// the training data do not have), `others:7` (so many categories together).
    pub name: String,
    /// Training rows and values of the window in it.
    pub reference: u64,
    pub window: u64,
}

impl Bin {
    /// As a verdict has it: `le`, `eq`, `category` or `others`, and the counts `reference` and `window`.
    #[must_use]
    pub fn as_in_a_verdict(&self) -> BTreeMap<String, serde_json::Value> {
        let (kind, rest) = self.name.split_once(':').unwrap_or((&self.name, ""));
        let number = || number(rest.parse().ok());
        let (key, value) = match kind {
            "le" | "eq" => (kind, number()),
            "others" => (kind, rest.parse::<u64>().map_or(serde_json::Value::Null, Into::into)),
            "category" => (kind, rest.into()),
            _ => ("category", serde_json::Value::Null),
        };
        let pairs = [(key, value), ("reference", self.reference.into()), ("window", self.window.into())];
        pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }
}

/// The evidence that is kept.
#[derive(Default, Deserialize)]
struct Pieces {
    #[serde(default)]
    limit: BTreeMap<String, serde_json::Value>,
    lower: Option<f64>,
    upper: Option<f64>,
    n: Option<u64>,
    missing: Option<u64>,
    invalid: Option<u64>,
    reference_n: Option<u64>,
}

/// Limits of warnings by rule and subject.
pub type Warns = BTreeMap<(String, String), f64>;

/// A number that is one.
#[must_use]
pub fn finite(x: Option<f64>) -> Option<f64> {
    x.filter(|x| x.is_finite())
}

impl Measured {
    /// A result without values.
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            rule: String::new(),
            metric: String::new(),
            subject: String::new(),
            status: Status::Insufficient,
            value: None,
            lower: None,
            upper: None,
            limit: None,
            side: None,
            warn: None,
            n: None,
            missing: None,
            invalid: None,
            reference_n: None,
            reason: None,
            pending: false,
            muted: false,
            bins: Vec::new(),
        }
    }

    /// The segment that it is of, if it is of one.
    #[must_use]
    pub fn segment(&self) -> Option<&str> {
        split(&self.subject).1
    }

    /// What is kept of a result.
    #[must_use]
    pub fn of(result: &RuleResult, warns: &Warns) -> Self {
        let pieces: Pieces = result.evidence.read().unwrap_or_default();
        let limit = pieces.limit.iter().find_map(|(side, limit)| Some((side.clone(), limit.as_f64()?)));
        Self {
            rule: result.rule.clone(),
            metric: result.metric.to_string(),
            subject: result.subject.clone(),
            status: result.status,
            value: finite(result.value),
            lower: finite(pieces.lower),
            upper: finite(pieces.upper),
            limit: limit.as_ref().map(|(_, limit)| *limit),
            side: limit.map(|(side, _)| side),
            warn: warns.get(&(result.rule.clone(), result.subject.clone())).copied(),
            n: pieces.n,
            missing: pieces.missing,
            invalid: pieces.invalid,
            reference_n: pieces.reference_n,
            reason: result.reason.clone(),
            pending: result.pending,
            muted: result.muted,
            bins: bins_of(result.distribution()),
        }
    }
}

/// Bins of numbers in their order, categories by their training rows: their order in a verdict is another one in each window.
#[must_use]
pub fn bins_of(mut all: Vec<evidence::Bin>) -> Vec<Bin> {
    if all.iter().any(|bin| matches!(bin.of, BinOf::Category(_))) {
        all.sort_by(|a, b| b.reference.cmp(&a.reference).then_with(|| name(a).cmp(&name(b))));
    }
    all.iter().map(|bin| Bin { name: name(bin), reference: bin.reference, window: bin.window }).collect()
}

fn name(bin: &evidence::Bin) -> String {
    let number = |kind: &str, x: &Option<f64>| x.map_or_else(|| format!("{kind}:"), |x| format!("{kind}:{x}"));
    match &bin.of {
        BinOf::Le(edge) => number("le", edge),
        BinOf::Eq(value) => number("eq", value),
        BinOf::Category(Some(category)) => format!("category:{category}"),
        BinOf::Category(None) => "unseen".to_owned(),
        BinOf::Others(many) => format!("others:{many}"),
    }
}
