//! What a snapshot says of labelled rows by segment, of models that do not decide between two classes: how often each class was right and wrong,
//! or the errors of predicted numbers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::classes::place_of;
use super::columns::{Coded, SnapshotColumns};
use crate::policy::Policy;
use crate::stats::multiclass::{ByClass, OneClass};
use crate::stats::regression::Errors;

/// Of the segmentations that rules compare so, in order; `None` where the snapshot has no such column, or none of scores, predictions or labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentOutcomes {
    pub by: Vec<usize>,
    classes: Vec<Option<BTreeMap<String, Vec<OneClass>>>>,
    errors: Vec<Option<BTreeMap<String, Errors>>>,
}

impl SegmentOutcomes {
    /// The segmentations that a policy asks for.
    pub(super) fn asked_by(policy: &Policy) -> Vec<usize> {
        if !policy.pairs_numbers() {
            return Vec::new();
        }
        let mut by: Vec<usize> = policy.rules().filter_map(|rule| rule.kind.segmentation()).collect();
        by.sort_unstable();
        by.dedup();
        by
    }

    /// What a policy asks for, with the spread of errors where that is asked for, too.
    pub(super) fn new(policy: &Policy, columns: &SnapshotColumns, with_spread: bool) -> Option<Self> {
        let by = Self::asked_by(policy);
        let coded = |by: &usize| columns.segments.get(*by)?.as_deref();
        let classes = |by: &usize| class_segments(policy.classes.len(), columns, coded(by)?);
        let errors = |by: &usize| error_segments(columns, coded(by)?, with_spread);
        let (is_multiclass, is_regression) = (policy.is_multiclass(), policy.is_regression());
        (!by.is_empty()).then(|| Self {
            classes: by.iter().filter(|_| is_multiclass).map(classes).collect(),
            errors: by.iter().filter(|_| is_regression).map(errors).collect(),
            by,
        })
    }

    /// The counts of each class by segment, by name.
    #[must_use]
    pub fn classes(&self, by: usize) -> Option<Vec<(&str, ByClass)>> {
        let known = self.classes.get(self.by.binary_search(&by).ok()?)?.as_ref()?;
        Some(known.iter().map(|(name, classes)| (name.as_str(), ByClass(classes.clone()))).collect())
    }

    /// Errors by segment, by name.
    #[must_use]
    pub fn errors(&self, by: usize) -> Option<Vec<(&str, Errors)>> {
        let known = self.errors.get(self.by.binary_search(&by).ok()?)?.as_ref()?;
        Some(known.iter().map(|(name, errors)| (name.as_str(), *errors)).collect())
    }

    /// The errors by segment of each segmentation of which they are known, in order.
    pub(super) fn errors_by_segment(&self) -> impl Iterator<Item = &BTreeMap<String, Errors>> {
        self.errors.iter().flatten()
    }

    pub(super) fn errors_by_segment_mut(&mut self) -> impl Iterator<Item = &mut BTreeMap<String, Errors>> {
        self.errors.iter_mut().flatten()
    }
}

fn class_segments(
    classes: usize,
    columns: &SnapshotColumns,
    segments: &Coded,
) -> Option<BTreeMap<String, Vec<OneClass>>> {
    let [Some(predictions), Some(labels)] = columns.classes.as_ref()? else { return None };
    let mut by_code = vec![vec![OneClass::default(); classes]; segments.names.len()];
    for ((code, predicted), label) in segments.codes.iter().zip(predictions).zip(labels) {
        let of = code.and_then(|code| by_code.get_mut(code as usize));
        let (Some(of), Some(predicted), Some(label)) = (of, place_of(*predicted), place_of(*label)) else { continue };
        if predicted == label {
            of.get_mut(label).into_iter().for_each(|class| class.tp += 1);
        } else {
            of.get_mut(label).into_iter().for_each(|class| class.fn_ += 1);
            of.get_mut(predicted).into_iter().for_each(|class| class.fp += 1);
        }
    }
    Some(named(segments, by_code, |classes| classes.iter().any(|class| class.labelled() > 0)))
}

fn error_segments(columns: &SnapshotColumns, segments: &Coded, with_spread: bool) -> Option<BTreeMap<String, Errors>> {
    let count = if with_spread { Errors::count_with_spread } else { Errors::count };
    let (scores, labels) = (columns.score.as_ref()?, columns.numbers.as_ref()?);
    let mut by_code = vec![Errors::default(); segments.names.len()];
    for ((code, score), label) in segments.codes.iter().zip(scores).zip(labels) {
        if let Some(errors) = code.and_then(|code| by_code.get_mut(code as usize)) {
            count(errors, *score, *label);
        }
    }
    Some(named(segments, by_code, |errors| errors.n() > 0))
}

/// What was counted of each segment, by name, where there is any.
fn named<T>(segments: &Coded, by_code: Vec<T>, is_any: impl Fn(&T) -> bool) -> BTreeMap<String, T> {
    segments.names.iter().cloned().zip(by_code).filter(|(_, counts)| is_any(counts)).collect()
}
