//! What a snapshot says of predicted numbers: their errors, and the distribution of the labels.

use super::columns::SnapshotColumns;
use super::references::NumericReference;
use crate::policy::{Policy, Target};
use crate::rule::binning::Binning;
use crate::stats::bins::Bin;
use crate::stats::fixed::FixedSum;
use crate::stats::regression::Errors;

/// Of a policy whose scores and labels are numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Regression {
    /// `None` where the snapshot has no column of scores, or none of labels.
    pub errors: Option<Errors>,
    pub label: Option<NumericReference>,
}

/// The labels with what `NumericReference` stores apart: the deviation, bins that are no quantiles, and the sum.
type KeptLabel = (NumericReference, Option<f64>, Vec<(Binning, Vec<Bin>)>, Option<FixedSum>);
/// The same as a file keeps it.
pub(super) type Kept = (Option<Errors>, Option<KeptLabel>);

impl Regression {
    /// What a policy asks for, with the spread of errors where that is asked for, too.
    pub(super) fn new(policy: &Policy, columns: &SnapshotColumns, with_spread: bool) -> Option<Self> {
        let errors = if with_spread { Errors::with_spread } else { Errors::of };
        policy.is_regression().then(|| Self {
            errors: columns.score.as_ref().zip(columns.numbers.as_ref()).map(|(scores, labels)| errors(scores, labels)),
            label: columns.numbers.as_ref().map(|labels| NumericReference::new(policy, Target::Label, labels)),
        })
    }

    pub(super) fn kept(&self) -> Kept {
        let label = |known: &NumericReference| (known.clone(), known.deviation, known.others.clone(), known.sum);
        (self.errors, self.label.as_ref().map(label))
    }

    pub(super) fn of((errors, label): Kept) -> Self {
        let label = label.map(|(known, deviation, others, sum)| NumericReference { deviation, others, sum, ..known });
        Self { errors, label }
    }
}
