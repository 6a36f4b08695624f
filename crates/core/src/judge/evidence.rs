//! What is in a result beside its value, typed as `distribution` and `segments` write it.

use std::cmp::Reverse;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::verdict::{RuleResult, Status};

/// A bin of two distributions beside each other.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Bin {
    #[serde(flatten)]
    pub of: BinOf,
    /// Training rows in it.
    #[serde(default)]
    pub reference: u64,
    /// Values of the window in it.
    #[serde(default)]
    pub window: u64,
}

/// Which values a bin holds.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BinOf {
    /// Up to this, from the bin before on; `None`: without an end.
    Le(Option<f64>),
    /// This value alone; `None`: an infinite one.
    Eq(Option<f64>),
    /// A category; `None`: those that the training data do not have.
    Category(Option<String>),
    /// So many categories together.
    Others(u64),
}

/// A segment of a rule on rates.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct SegmentRates {
    pub segment: String,
    #[serde(default)]
    pub tp: u64,
    #[serde(default, rename = "fn")]
    pub fn_: u64,
    pub tpr: Option<f64>,
    pub reference_tpr: Option<f64>,
    #[serde(default)]
    pub eligible: bool,
}

/// A segment of a rule that compares each segment's distribution with that of the same segment of the reference (`by`).
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ComparedSegment {
    pub segment: String,
    pub status: Status,
    pub value: Option<f64>,
    /// Values of the window in it, and of the reference.
    pub n: Option<u64>,
    pub reference_n: Option<u64>,
    pub reason: Option<String>,
    /// The distributions beside each other; only of the worst segments that do not pass.
    #[serde(default)]
    pub bins: Vec<Bin>,
}

impl RuleResult {
    /// A piece of evidence, typed; `None` where there is none, or it is of another kind.
    #[must_use]
    pub fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_value(self.get(name)?).ok()
    }

    /// The segments of a rule that has any.
    #[must_use]
    pub fn segments(&self) -> Vec<SegmentRates> {
        self.read("segments").unwrap_or_default()
    }

    /// The segments of a rule on a distance that is judged by segment, the worst status first.
    #[must_use]
    pub fn compared_segments(&self) -> Vec<ComparedSegment> {
        if self.get("by").is_none() {
            return Vec::new();
        }
        let mut all: Vec<ComparedSegment> = self.read("segments").unwrap_or_default();
        all.sort_by_key(|of| Reverse((of.status != Status::Insufficient, of.status)));
        all
    }

    /// The distributions beside each other.
    #[must_use]
    pub fn distribution(&self) -> Vec<Bin> {
        self.bins.as_ref().and_then(|bins| bins.own.read().ok()).unwrap_or_default()
    }

    /// The distributions of the segments that it compares, by name. They are there as long as nobody wrote and read the result.
    pub fn distributions_by_segment(&self) -> impl Iterator<Item = (&str, Vec<Bin>)> {
        let all = self.bins.iter().flat_map(|bins| &bins.by_segment);
        all.filter_map(|(name, bins)| Some((name.as_str(), bins.read().ok()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_are_read_as_they_are_written() {
        let read = |json: &str| serde_json::from_str::<Bin>(json).unwrap().of;
        assert_eq!(read(r#"{"le":28.9,"reference":5,"window":3}"#), BinOf::Le(Some(28.9)));
        assert_eq!(read(r#"{"le":null,"reference":5,"window":3}"#), BinOf::Le(None));
        assert_eq!(read(r#"{"eq":1.0,"reference":5,"window":3}"#), BinOf::Eq(Some(1.0)));
        assert_eq!(read(r#"{"category":"US","reference":5,"window":3}"#), BinOf::Category(Some("US".into())));
        assert_eq!(read(r#"{"category":null,"reference":5,"window":3}"#), BinOf::Category(None));
        assert_eq!(read(r#"{"others":7,"reference":5,"window":3}"#), BinOf::Others(7));
    }
}
