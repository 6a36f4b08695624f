//! What is kept of a window: the values of a verdict's results and the counts of their distributions, without the rest of the evidence.

mod skim;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use driftgate_core::codec::number::number;
use driftgate_core::judge::evidence::{self, BinOf};
use driftgate_core::judge::verdict::{RuleResult, Status, Verdict};
use driftgate_core::policy::Policy;

pub use skim::Skimmed;

/// The format of a record, its first byte.
const FORMAT: u8 = 1;

/// A judged window of one (version, group) of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Window {
    pub version: String,
    pub stage: Option<String>,
    pub group: String,
    /// Event time in ms, `[start, end)`.
    pub start_ms: i64,
    pub end_ms: i64,
    pub complete: bool,
    /// Events that were counted.
    pub predictions: u64,
    pub labels: u64,
    pub results: Vec<Measured>,
}

/// A rule on a subject. Every number is finite.
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

impl Window {
    /// What is kept of a verdict; the limits of warnings are the policy's.
    #[must_use]
    pub fn of(verdict: &Verdict, policy: &Policy) -> Self {
        Self::with(verdict, &warns(policy, &verdict.group))
    }

    /// The same without a policy, and so without the limits of warnings.
    #[must_use]
    pub fn bare(verdict: &Verdict) -> Self {
        Self::with(verdict, &Warns::new())
    }

    fn with(verdict: &Verdict, warns: &Warns) -> Self {
        Self {
            version: verdict.version.clone(),
            stage: verdict.stage.clone(),
            group: verdict.group.clone(),
            start_ms: verdict.window.start,
            end_ms: verdict.window.end,
            complete: verdict.window.complete,
            predictions: verdict.counted.predictions,
            labels: verdict.counted.labels,
            results: verdict.results.iter().map(|result| Measured::of(result, warns)).collect(),
        }
    }

    /// The record as bytes.
    ///
    /// # Errors
    /// A record that cannot be serialized.
    pub fn encode(&self) -> Result<Vec<u8>, postcard::Error> {
        postcard::to_extend(self, vec![FORMAT])
    }

    /// The record of bytes; `None` of bytes that are none, or of a newer format.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (format, record) = bytes.split_first()?;
        (*format == FORMAT).then(|| postcard::from_bytes(record).ok()).flatten()
    }
}

/// Limits of warnings by rule and subject.
type Warns = BTreeMap<(String, String), f64>;

fn warns(policy: &Policy, group: &str) -> Warns {
    let mut found = Warns::new();
    for group in policy.groups.iter().filter(|g| g.name == group) {
        for rule in &group.rules {
            let (bounds, subjects) = (rule.kind.bounds(), policy.subjects(&rule.kind));
            for (at, subject) in subjects.into_iter().enumerate() {
                // One limit per subject, or one for all.
                let bound = bounds.get(at).or_else(|| bounds.first().filter(|_| bounds.len() == 1));
                if let Some(warn) = bound.and_then(|bound| bound.warn) {
                    found.insert((format!("{}/{}", group.name, rule.id), subject), warn.value());
                }
            }
        }
    }
    found
}

fn finite(x: Option<f64>) -> Option<f64> {
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

    fn of(result: &RuleResult, warns: &Warns) -> Self {
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

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// A result whose value tells which it is.
    pub fn measured(rule: &str, subject: &str, value: f64) -> Measured {
        Measured {
            rule: rule.into(),
            metric: "psi".into(),
            subject: subject.into(),
            status: Status::Pass,
            value: Some(value),
            lower: None,
            upper: None,
            limit: Some(0.2),
            side: Some("lt".into()),
            warn: Some(0.1),
            n: Some(600),
            missing: Some(1),
            invalid: Some(0),
            reference_n: Some(1000),
            reason: None,
            pending: false,
            muted: false,
            bins: vec![
                Bin { name: "le:1.5".into(), reference: 500, window: 320 },
                Bin { name: "le:".into(), reference: 500, window: 280 },
            ],
        }
    }

    pub fn window(version: &str, end_ms: i64, results: Vec<Measured>) -> Window {
        Window {
            version: version.into(),
            stage: None,
            group: "drift".into(),
            start_ms: end_ms - 300_000,
            end_ms,
            complete: true,
            predictions: 600,
            labels: 0,
            results,
        }
    }

    #[test]
    fn a_result_keeps_its_numbers_its_limit_and_its_distribution_also_where_it_passes() {
        let result = RuleResult {
            rule: "drift/psi".into(),
            metric: "psi".into(),
            subject: "temp".into(),
            status: Status::Pass,
            value: Some(0.01),
            evidence: vec![
                ("limit", json!({"lt": 0.2})),
                ("method", "quantile-10/half".into()),
                ("n", 600.into()),
                ("missing", 1.into()),
                ("segments", json!([{"segment": "a"}])),
            ]
            .into(),
            reason: None,
            since: None,
            pending: false,
            muted: false,
            bins: Some(
                json!([{"le": 1.5, "reference": 5, "window": 3}, {"le": null, "reference": 5, "window": 4}]).into(),
            ),
        };
        let warns = Warns::from([(("drift/psi".to_owned(), "temp".to_owned()), 0.1)]);
        let kept = Measured::of(&result, &warns);
        assert_eq!((kept.limit, kept.side.as_deref(), kept.warn), (Some(0.2), Some("lt"), Some(0.1)));
        assert_eq!((kept.n, kept.missing, kept.invalid), (Some(600), Some(1), None));
        let names: Vec<&str> = kept.bins.iter().map(|b| b.name.as_str()).collect();
        assert_eq!(names, ["le:1.5", "le:"]);
        // A number that is not finite is none.
        let infinite = RuleResult { value: Some(f64::INFINITY), ..result.clone() };
        assert_eq!(Measured::of(&infinite, &warns).value, None);
        // Categories have one order in every window.
        let categories = json!([{"category": null, "reference": 0, "window": 9}, {"category": "b", "reference": 7, "window": 1},
            {"others": 3, "reference": 9, "window": 0}, {"category": "a", "reference": 7, "window": 2}]);
        let kept = Measured::of(&RuleResult { bins: Some(categories.into()), ..result }, &warns);
        let names: Vec<&str> = kept.bins.iter().map(|b| b.name.as_str()).collect();
        assert_eq!(names, ["others:3", "category:a", "category:b", "unseen"]);
    }

    proptest! {
        #[test]
        fn a_record_is_read_back_and_bytes_that_are_none_are_none(value in any::<f64>(), cut in 0_usize..40, text in ".*") {
            let value = Some(value).filter(|v| v.is_finite());
            let result = Measured { value, reason: Some(text.clone()), ..measured("drift/psi", &text, 0.5) };
            let window = window("1", 7, vec![result]);
            let bytes = window.encode().unwrap();
            prop_assert_eq!(Window::decode(&bytes), Some(window));
            prop_assert_eq!(Window::decode(&bytes[..bytes.len() - 1 - cut]), None);
            prop_assert_eq!(Window::decode(&[&[9], &bytes[1..]].concat()), None);
        }
    }
}
