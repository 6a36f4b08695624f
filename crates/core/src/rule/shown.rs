//! What results on features show: the distributions beside each other, unseen categories, and how much was counted.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::binning::Binning;
use super::counts::{Binned, Distribution, TargetReference, WindowCounts};
use super::distributions::{Distributions, Json};
use super::result::Judged;
use super::types::{Status, Target};
use super::versus::Versus;
use crate::codec::number::number;
use crate::stats::bins::Bin;
use crate::stats::psi::{Zero, contributions};

/// At most so many categories stand in a result's bins; the rest are summed.
const SHOWN_CATEGORIES: usize = 50;
/// At most so many unseen categories are named.
const SHOWN_UNSEEN: usize = 5;

/// A result for a target without a reference (no score column in the snapshot).
pub fn absent(window: &dyn WindowCounts, target: Target) -> Judged {
    Judged::uncounted(window.target(target), "the baseline has no such column")
}

/// Turns a status into `insufficient` where the snapshot has too few values to compare with.
pub fn against(
    window: &dyn WindowCounts,
    reference: u64,
    (status, reason): (Status, Option<String>),
) -> (Status, Option<String>) {
    let least = window.min_reference();
    let why = match reference {
        n if window.versus() != Versus::Training && n < least => {
            format!("reference_n {n} of {} is below min_samples {least}", window.versus().name())
        }
        0 => "the snapshot has no value of it".to_owned(),
        _ if status == Status::Insufficient || reference >= least => return (status, reason),
        n => format!("reference_n {n} is below min_reference {least}"),
    };
    (Status::Insufficient, Some(why))
}

/// Turns a status into `insufficient` where the score was calibrated by too few rows.
pub fn calibrated(
    window: &dyn WindowCounts,
    rows: u64,
    (status, reason): (Status, Option<String>),
) -> (Status, Option<String>) {
    let least = window.min_reference();
    if status == Status::Insufficient || rows >= least {
        return (status, reason);
    }
    (Status::Insufficient, Some(format!("it is calibrated by {rows} rows, below min_reference {least}")))
}

/// The bins of a target, as results name them.
pub fn bins_of(reference: &TargetReference<'_>, bins: &Binning) -> String {
    match reference {
        TargetReference::Categorical(_) => "categories".to_owned(),
        TargetReference::Numeric { .. } => bins.name(),
    }
}

/// What every result on a feature ends with.
pub fn tail(c: &Distribution<'_>) -> [(&'static str, Value); 4] {
    [
        ("n", c.n.into()),
        ("missing", c.missing.into()),
        ("invalid", c.invalid.into()),
        ("reference_n", c.reference_n.into()),
    ]
}

/// The two distributions beside each other.
pub fn beside(c: &Distribution<'_>, binned: &Binned) -> Distributions {
    let Binned { reference, window, edges } = binned;
    if let TargetReference::Categorical(names) = c.reference {
        return categories(names, reference, window).into();
    }
    // As a text at once: there are many, and few are read.
    let mut text = String::with_capacity(2 + 64 * edges.len());
    for (Bin { le, atom, .. }, (r, w)) in edges.iter().zip(reference.iter().zip(window)) {
        let (before, key) = (if text.is_empty() { '[' } else { ',' }, if *atom { "eq" } else { "le" });
        // Writing to memory does not fail.
        let _ = write!(text, r#"{before}{{"{key}":{},"reference":{r},"window":{w}}}"#, number(*le));
    }
    text.push_str(if text.is_empty() { "[]" } else { "]" });
    Json::of_text(text).into()
}

/// The most frequent unseen categories.
pub fn unseen(window: &dyn WindowCounts, target: Target) -> Option<(&'static str, Value)> {
    let mut named = window.unseen_names(target);
    if named.is_empty() {
        return None;
    }
    named.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    let list: Vec<Value> =
        named.iter().take(SHOWN_UNSEEN).map(|(n, name)| json!({"category": name, "window": n})).collect();
    Some(("unseen", list.into()))
}

/// Categories by their part in PSI, the largest first, the others summed; the unseen ones are `null`.
fn categories(names: &[String], reference: &[u64], counted: &[u64]) -> Value {
    let parts = contributions(reference, counted, Zero::Half);
    let mut order: Vec<usize> = (0..reference.len()).collect();
    let part = |i: &usize| parts.get(*i).copied().unwrap_or(0.0);
    order.sort_by(|a, b| part(b).total_cmp(&part(a)).then(a.cmp(b)));
    let count = |counts: &[u64], i: usize| counts.get(i).copied().unwrap_or(0);
    let (shown, rest) = order.split_at(order.len().min(SHOWN_CATEGORIES));
    let mut out: Vec<Value> = shown
        .iter()
        .map(|&i| json!({"category": names.get(i), "reference": count(reference, i), "window": count(counted, i)}))
        .collect();
    if !rest.is_empty() {
        let sum = |counts: &[u64]| rest.iter().map(|&i| count(counts, i)).sum::<u64>();
        out.push(json!({"others": rest.len(), "reference": sum(reference), "window": sum(counted)}));
    }
    out.into()
}
