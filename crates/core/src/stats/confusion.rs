//! Confusion counts of a segment at the decision threshold, and the rates they hold.

use super::proportion::wilson;
use super::ratio::Ratio;
use super::real::real;
use std::ops::{AddAssign, SubAssign};

/// Confusion counts of one segment at the decision threshold.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Confusion {
    /// Labelled positive, predicted positive.
    pub tp: u64,
    /// Labelled positive, predicted negative.
    #[serde(rename = "fn")]
    pub fn_: u64,
    /// Labelled negative, predicted positive.
    pub fp: u64,
    /// Labelled negative, predicted negative.
    pub tn: u64,
}

impl Confusion {
    /// Counts one pair.
    #[inline]
    pub fn count(&mut self, predicted: bool, label: bool) {
        match (predicted, label) {
            (true, true) => self.tp += 1,
            (false, true) => self.fn_ += 1,
            (true, false) => self.fp += 1,
            (false, false) => self.tn += 1,
        }
    }

    /// Decisions without labels, `[negative, positive]`: only the predicted class means anything.
    #[must_use]
    pub fn of_decisions([no, yes]: [u64; 2]) -> Self {
        Self { fp: yes, tn: no, ..Self::default() }
    }

    /// Labelled positives.
    #[must_use]
    pub fn positives(&self) -> u64 {
        self.tp.saturating_add(self.fn_)
    }

    /// Labelled negatives.
    #[must_use]
    pub fn negatives(&self) -> u64 {
        self.fp.saturating_add(self.tn)
    }

    /// All pairs.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.positives().saturating_add(self.negatives())
    }

    /// Predicted positives.
    #[must_use]
    pub fn selected(&self) -> u64 {
        self.tp.saturating_add(self.fp)
    }

    /// Predicted negatives.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.fn_.saturating_add(self.tn)
    }

    /// Pairs whose prediction is the label.
    #[must_use]
    pub fn correct(&self) -> u64 {
        self.tp.saturating_add(self.tn)
    }
}

// Wrapping, so that panes may be added and subtracted in any order and still cancel.
impl AddAssign for Confusion {
    fn add_assign(&mut self, other: Self) {
        self.tp = self.tp.wrapping_add(other.tp);
        self.fn_ = self.fn_.wrapping_add(other.fn_);
        self.fp = self.fp.wrapping_add(other.fp);
        self.tn = self.tn.wrapping_add(other.tn);
    }
}

impl SubAssign for Confusion {
    fn sub_assign(&mut self, other: Self) {
        self.tp = self.tp.wrapping_sub(other.tp);
        self.fn_ = self.fn_.wrapping_sub(other.fn_);
        self.fp = self.fp.wrapping_sub(other.fp);
        self.tn = self.tn.wrapping_sub(other.tn);
    }
}

/// A rate that divides one count of a confusion matrix by another: a proportion, so that it has Wilson's interval (Fawcett, An
/// introduction to ROC analysis, 2006, for the names).
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rate {
    /// True positive rate: TP of the positives.
    Tpr,
    /// False positive rate: FP of the negatives.
    Fpr,
    /// Selection rate: predicted positives of all.
    Selection,
    /// Correct predictions of all.
    Accuracy,
    /// Positive predictive value: TP of the predicted positives.
    Precision,
    /// True negative rate: TN of the negatives.
    Specificity,
    /// False negative rate: FN of the positives.
    Fnr,
    /// False discovery rate: FP of the predicted positives.
    Fdr,
    /// False omission rate: FN of the predicted negatives.
    For,
}

impl Rate {
    /// As verdicts spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tpr => "tpr",
            Self::Fpr => "fpr",
            Self::Selection => "selection_rate",
            Self::Accuracy => "accuracy",
            Self::Precision => "precision",
            Self::Specificity => "specificity",
            Self::Fnr => "fnr",
            Self::Fdr => "fdr",
            Self::For => "for",
        }
    }

    /// Numerator and denominator.
    #[must_use]
    pub fn counts(self, segment: &Confusion) -> (u64, u64) {
        match self {
            Self::Tpr => (segment.tp, segment.positives()),
            Self::Fpr => (segment.fp, segment.negatives()),
            Self::Selection => (segment.selected(), segment.total()),
            Self::Accuracy => (segment.correct(), segment.total()),
            Self::Precision => (segment.tp, segment.selected()),
            Self::Specificity => (segment.tn, segment.negatives()),
            Self::Fnr => (segment.fn_, segment.positives()),
            Self::Fdr => (segment.fp, segment.selected()),
            Self::For => (segment.fn_, segment.rejected()),
        }
    }

    /// The rate, exactly; `None` when its denominator is 0 (a segment without positives has no TPR).
    #[must_use]
    pub fn exact(self, segment: &Confusion) -> Option<Ratio> {
        let (k, n) = self.counts(segment);
        Ratio::of_counts(k, n)
    }

    /// The rate as a real, in [0, 1].
    #[must_use]
    pub fn value(self, segment: &Confusion) -> Option<f64> {
        let (k, n) = self.counts(segment);
        (n > 0).then(|| real(k) / real(n))
    }

    /// The rate's Wilson 95% interval.
    #[must_use]
    pub fn interval(self, segment: &Confusion) -> Option<(f64, f64)> {
        let (k, n) = self.counts(segment);
        wilson(k, n, DISPLAY_ALPHA)
    }

    /// Indexes of the segments with at least `min` (and at least one) in this rate's denominator.
    #[must_use]
    pub fn eligible(self, segments: &[Confusion], min: u64) -> Vec<usize> {
        let enough = |segment: &Confusion| self.counts(segment).1 >= min.max(1);
        segments.iter().enumerate().filter(|(_, segment)| enough(segment)).map(|(index, _)| index).collect()
    }
}

/// Two-sided α of the intervals that are shown beside point values.
pub(super) const DISPLAY_ALPHA: f64 = 0.05;

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(tp: u64, positives: u64) -> Confusion {
        Confusion { tp, fn_: positives - tp, fp: 1, tn: 9 }
    }

    #[test]
    fn panes_cancel_in_any_order() {
        let (a, b) = (segment(3, 7), segment(8, 9));
        let mut window = Confusion::default();
        window -= a;
        window += b;
        window += a;
        assert_eq!(window, b);
        assert_eq!((b.positives(), b.negatives(), b.total(), b.selected()), (9, 10, 19, 9));
    }

    #[test]
    fn a_segment_without_positives_has_no_rate() {
        let none = segment(0, 0);
        assert_eq!((Rate::Tpr.exact(&none), Rate::Tpr.value(&none), Rate::Tpr.interval(&none)), (None, None, None));
        assert_eq!(Rate::Fpr.value(&none), Some(0.1));
    }
}
