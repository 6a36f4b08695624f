//! A judged rule, and what the families of rules share on the way there: statuses by a limit, too few samples, pieces of
//! evidence.

use serde_json::{Value, json};

use super::distributions::Distributions;
use super::types::{Bound, Side, Status};
use crate::stats::limit::{Amount, Limit};

/// A result before its rule's name is put on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    pub subject: String,
    pub status: Status,
    pub value: Option<f64>,
    /// Everything beside the value, in the order it is written.
    pub evidence: Vec<(&'static str, Value)>,
    /// Why it is insufficient, or a warning beyond the warning limit.
    pub reason: Option<String>,
    /// The distributions beside each other.
    pub bins: Option<Distributions>,
}

/// The interval of a value at a level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Certain {
    /// Infinite where nothing bounds it on that side.
    pub lower: f64,
    pub upper: f64,
    /// Whether the whole interval breaks the rule's limit.
    pub blocks: bool,
}

impl Certain {
    /// Of several the one that blocks, or else the one with the largest lower end.
    pub(super) fn any(each: impl IntoIterator<Item = Self>) -> Option<Self> {
        each.into_iter().reduce(|one, other| {
            let key = |of: &Self| (of.blocks, of.lower);
            if key(&other) > key(&one) { other } else { one }
        })
    }
}

impl Judged {
    #[must_use]
    pub fn insufficient(subject: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            status: Status::Insufficient,
            value: None,
            evidence: Vec::new(),
            reason: Some(reason.into()),
            bins: None,
        }
    }

    /// What stands under a key of the evidence.
    pub(super) fn told(&self, key: &str) -> Option<&Value> {
        self.evidence.iter().find(|(known, _)| *known == key).map(|(_, value)| value)
    }

    /// A result of nothing that was counted.
    #[must_use]
    pub fn uncounted(subject: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { evidence: vec![("n", 0.into())], ..Self::insufficient(subject, reason) }
    }
}

/// Block above the limit.
pub(super) fn at_most(value: impl Into<Amount>, limit: Limit) -> Status {
    if limit.order(value).is_gt() { Status::Block } else { Status::Pass }
}

/// The status of a value, with why it is so, or `insufficient` where fewer than `least` were measured.
pub(super) fn enough<V>(
    n: u64,
    least: u64,
    value: Option<V>,
    status: impl FnOnce(V) -> (Status, Option<String>),
) -> (Status, Option<String>) {
    match value {
        None if n == 0 => (Status::Insufficient, Some("nothing was measured".to_owned())),
        None => (Status::Insufficient, Some("it cannot be computed".to_owned())),
        Some(_) if n < least => (Status::Insufficient, Some(format!("n {n} is below min_samples {least}"))),
        Some(value) => status(value),
    }
}

/// The same for shares of all events of a window.
pub(super) fn enough_events<V>(
    events: u64,
    least: u64,
    value: Option<V>,
    status: impl FnOnce(V) -> (Status, Option<String>),
) -> (Status, Option<String>) {
    match value {
        Some(_) if events < least => {
            (Status::Insufficient, Some(format!("{events} events are fewer than min_samples {least}")))
        }
        Some(value) => status(value),
        None => (Status::Insufficient, Some("the window has no events, or the snapshot has none".to_owned())),
    }
}

/// `{"lt": x}` and the like.
pub(super) fn limit(name: &str, limit: Limit) -> Value {
    json!({ name: limit.value() })
}

/// The bound of a limit without a warning.
pub(super) fn bounded(side: Side, limit: Limit) -> Bound {
    Bound { side, limit, warn: None }
}

#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
pub(super) fn real(n: u64) -> f64 {
    n as f64
}
