//! What is kept of a window: the values of a verdict's results and the counts of their distributions, without the rest of the evidence.

mod measured;
pub mod segments;
pub mod series;
mod skim;

use serde::{Deserialize, Serialize};

use driftgate_core::judge::verdict::{RuleResult, Verdict};
use driftgate_core::policy::Policy;

use measured::Warns;
pub use measured::{Bin, Measured, bins_of};
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

impl Window {
    /// What is kept of a verdict; the limits of warnings are the policy's.
    #[must_use]
    pub fn of(verdict: &Verdict, policy: &Policy) -> Self {
        Self::with(verdict, &warns(policy, &verdict.group))
    }

    /// The same without a policy, and so without the limits of warnings, and without segments.
    #[must_use]
    pub fn bare(verdict: &Verdict) -> Self {
        let mut bare = Self::with(verdict, &Warns::new());
        bare.results.retain(|result| result.segment().is_none());
        bare
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
            results: verdict.results.iter().flat_map(|result| of_all(result, warns)).collect(),
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

/// A result, and each of its segments.
fn of_all(result: &RuleResult, warns: &Warns) -> impl Iterator<Item = Measured> {
    let whole = Measured::of(result, warns);
    let segments = segments::of(result, &whole);
    std::iter::once(whole).chain(segments)
}

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

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use driftgate_core::judge::verdict::Status;

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
