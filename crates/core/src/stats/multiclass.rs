//! Quality of predictions of one of several classes, from counts: each class against all others, and averages over the classes.
//!
//! The definitions are those of scikit-learn (`accuracy_score`, `balanced_accuracy_score`, `precision_recall_fscore_support` with
//! `zero_division=0`): averages are over the classes that a label or a prediction names, and balanced accuracy over those that a label
//! names. Sums of counts are exact; a mean over classes is a float, summed in the order of the classes.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::bounds;
use super::confusion::{Confusion, Rate};
use super::quality::Metric;
use super::real::length;

/// Joined pairs of one class against all others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneClass {
    /// Labelled and predicted so; labelled so and predicted otherwise; predicted so and labelled otherwise.
    pub tp: u64,
    pub fn_: u64,
    pub fp: u64,
}

impl OneClass {
    /// Pairs with the label.
    #[must_use]
    pub fn labelled(&self) -> u64 {
        self.tp + self.fn_
    }

    fn is_named(&self) -> bool {
        self.labelled() + self.fp > 0
    }
}

/// How classes become one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Average {
    /// The mean over the classes.
    Macro,
    /// Over all pairs: of one label a pair it is the accuracy.
    Micro,
    /// The mean over the classes, each weighted by its labels.
    Weighted,
}

/// Counts of each class, in the order of the policy's `classes`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ByClass(pub Vec<OneClass>);

impl ByClass {
    /// Of a confusion matrix: a row a label, a column a prediction, row by row.
    #[must_use]
    pub fn of_matrix(classes: usize, matrix: &[u64]) -> Self {
        let mut all = vec![OneClass::default(); classes];
        for (label, row) in matrix.chunks(classes.max(1)).enumerate() {
            for (predicted, n) in row.iter().enumerate() {
                if label == predicted {
                    all.get_mut(label).into_iter().for_each(|class| class.tp += n);
                } else {
                    all.get_mut(label).into_iter().for_each(|class| class.fn_ += n);
                    all.get_mut(predicted).into_iter().for_each(|class| class.fp += n);
                }
            }
        }
        Self(all)
    }

    /// Pairs.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.0.iter().map(OneClass::labelled).sum()
    }

    /// The pairs as right and wrong ones: its accuracy is that of all classes, and so are micro averages.
    #[must_use]
    pub fn right(&self) -> Confusion {
        let right = self.0.iter().map(|class| class.tp).sum();
        Confusion { tp: right, fp: self.n().saturating_sub(right), ..Confusion::default() }
    }

    /// One class against all others; zeros for one that there is not.
    #[must_use]
    pub fn against_others(&self, class: usize) -> Confusion {
        let OneClass { tp, fn_, fp } = self.0.get(class).copied().unwrap_or_default();
        Confusion { tp, fn_, fp, tn: self.n().saturating_sub(tp + fn_ + fp) }
    }

    /// The mean of a metric over the classes; one that divides by 0 counts as 0. `None` without pairs, and for `Micro`, which is no mean.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a mean is a float")]
    pub fn mean(&self, metric: Metric, average: Average) -> Option<f64> {
        let named = || self.0.iter().enumerate().filter(|(_, class)| class.is_named());
        let value = |class| metric.value(&self.against_others(class)).unwrap_or(0.0);
        let n = self.n();
        match average {
            _ if n == 0 => None,
            Average::Micro => None,
            Average::Macro => Some(named().map(|(at, _)| value(at)).sum::<f64>() / named().count() as f64),
            Average::Weighted => {
                Some(named().map(|(at, class)| value(at) * class.labelled() as f64).sum::<f64>() / n as f64)
            }
        }
    }

    /// Bounds of [`ByClass::mean`] at any level, of the classes that the pairs name: each class's metric, and for `Weighted` its share of the labels,
    /// within its own bounds, which share α; each row counts as 1/φ. A metric that divides by 0 is not known, and may be anything from 0 to 1.
    /// `None` as of the mean, or with an α outside of (0, 1).
    #[must_use]
    pub fn mean_bounds(&self, metric: Metric, average: Average, design_effect: f64, alpha: f64) -> Option<(f64, f64)> {
        let named = || self.0.iter().enumerate().filter(|(_, class)| class.is_named());
        let (n, classes) = (self.n(), length(named().count()));
        let is_weighted = average == Average::Weighted;
        if n == 0 || average == Average::Micro || !(alpha > 0.0 && alpha < 1.0) {
            return None;
        }
        let each = alpha / if is_weighted { 2.0 * classes } else { classes };
        let mut weighed = Vec::new();
        for (at, class) in named() {
            let value = metric.bounds(&self.against_others(at), design_effect, each).unwrap_or((0.0, 1.0));
            let share = (1.0 / classes, 1.0 / classes);
            let weight = if is_weighted { bounds::share((class.labelled(), n), design_effect, each)? } else { share };
            weighed.push((value, weight));
        }
        let (lows, highs): (Vec<f64>, Vec<f64>) = weighed.iter().map(|(value, _)| *value).unzip();
        let weights: Vec<(f64, f64)> = weighed.into_iter().map(|(_, weight)| weight).collect();
        let least = extreme_mean(&lows, &weights, f64::total_cmp);
        let most = extreme_mean(&highs, &weights, |a, b| b.total_cmp(a));
        Some((least.max(0.0), most.min(1.0)))
    }

    /// The same of [`ByClass::balanced_accuracy`], of the classes that a label names.
    #[must_use]
    pub fn balanced_accuracy_bounds(&self, design_effect: f64, alpha: f64) -> Option<(f64, f64)> {
        let labelled = || self.0.iter().enumerate().filter(|(_, class)| class.labelled() > 0);
        let classes = length(labelled().count());
        let (mut lower, mut upper) = (0.0, 0.0);
        for (at, _) in labelled() {
            let (low, high) =
                Metric::Rate(Rate::Tpr).bounds(&self.against_others(at), design_effect, alpha / classes)?;
            lower += low;
            upper += high;
        }
        (classes > 0.0).then(|| (lower / classes, upper / classes))
    }

    /// The mean recall over the classes that a label names; `None` without pairs.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a mean is a float")]
    pub fn balanced_accuracy(&self) -> Option<f64> {
        let labelled = || self.0.iter().enumerate().filter(|(_, class)| class.labelled() > 0);
        let recall = |at| Rate::Tpr.value(&self.against_others(at)).unwrap_or(0.0);
        let classes = labelled().count();
        (classes > 0).then(|| labelled().map(|(at, _)| recall(at)).sum::<f64>() / classes as f64)
    }
}

/// The mean of values with weights of 1 in all, each within its ends, where as much weight as may be is on those that come first in this order.
fn extreme_mean(values: &[f64], weights: &[(f64, f64)], order: impl Fn(&f64, &f64) -> Ordering) -> f64 {
    let mut all: Vec<(f64, (f64, f64))> = values.iter().copied().zip(weights.iter().copied()).collect();
    all.sort_by(|(a, _), (b, _)| order(a, b));
    let mut left = 1.0 - weights.iter().map(|(least, _)| least).sum::<f64>();
    let mut sum = 0.0;
    for (value, (least, most)) in all {
        let more = left.clamp(0.0, most - least);
        left -= more;
        sum += value * (least + more);
    }
    sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PRECISION: Metric = Metric::Rate(Rate::Precision);
    const RECALL: Metric = Metric::Rate(Rate::Tpr);
    const ACCURACY: Metric = Metric::Rate(Rate::Accuracy);

    fn matrix(classes: usize, rows: &[(usize, usize)]) -> Vec<u64> {
        let mut matrix = vec![0; classes * classes];
        rows.iter().for_each(|(label, predicted)| matrix[label * classes + predicted] += 1);
        matrix
    }

    #[test]
    fn of_a_few_rows_they_are_those_of_scikit_learn() {
        // scikit-learn 1.7's example of precision_recall_fscore_support: labels 0, 1, 2, 0, 1, 2; predicted 0, 2, 1, 0, 0, 1.
        let rows = [(0, 0), (1, 2), (2, 1), (0, 0), (1, 0), (2, 1)];
        // A fourth class that no row names changes no average.
        for classes in [3, 4] {
            let found = ByClass::of_matrix(classes, &matrix(classes, &rows));
            let close = |found: Option<f64>, expected: f64| (found.unwrap() - expected).abs() < 1e-12;
            assert!(close(found.mean(PRECISION, Average::Macro), 0.222_222_222_222_222_2));
            assert!(close(found.mean(RECALL, Average::Macro), 0.333_333_333_333_333_3));
            assert!(close(found.mean(Metric::F1, Average::Macro), 0.266_666_666_666_666_6));
            assert!(close(found.mean(PRECISION, Average::Weighted), 0.222_222_222_222_222_2));
            assert!(close(found.balanced_accuracy(), 0.333_333_333_333_333_3));
            assert!(close(ACCURACY.value(&found.right()), 0.333_333_333_333_333_3));
            assert!(close(PRECISION.value(&found.against_others(0)), 2.0 / 3.0));
            assert_eq!(found.n(), 6);
        }
    }

    #[test]
    fn weights_that_are_not_known_go_where_the_mean_is_least_or_largest() {
        // Two classes of which one is always right: by hand from the bounds of each share at α/4, which scipy 1.17 finds, as those of `bounds`.
        let found = ByClass::of_matrix(2, &[50, 0, 50, 0]);
        let share = |k, n| bounds::share((k, n), 1.0, 0.05 / 4.0).unwrap();
        let ((low, high), (least, most)) = (share(50, 100), share(50, 50));
        let bounds = found.mean_bounds(RECALL, Average::Weighted, 1.0, 0.05).unwrap();
        let missed = share(0, 50).1;
        assert!((bounds.0 - low * least).abs() < 1e-12, "{bounds:?}");
        assert!((bounds.1 - (high * most + (1.0 - high) * missed)).abs() < 1e-12, "{bounds:?}");
    }

    #[test]
    fn without_pairs_there_is_no_value() {
        let none = ByClass::of_matrix(3, &[0; 9]);
        assert_eq!((none.n(), none.balanced_accuracy(), none.mean(RECALL, Average::Macro)), (0, None, None));
        assert_eq!(ByClass::of_matrix(3, &[]).n(), 0);
        assert_eq!(none.against_others(7), Confusion::default());
    }

    fn rows() -> impl Strategy<Value = Vec<(usize, usize)>> {
        prop::collection::vec((0..5_usize, 0..5_usize), 1..60)
    }

    proptest! {
        #[test]
        fn counts_are_those_of_the_rows(rows in rows(), class in 0..5_usize) {
            let found = ByClass::of_matrix(5, &matrix(5, &rows));
            let of = |test: &dyn Fn(bool, bool) -> bool| rows.iter().filter(|(l, p)| test(*l == class, *p == class)).count() as u64;
            let expected = Confusion { tp: of(&|l, p| l && p), fn_: of(&|l, p| l && !p), fp: of(&|l, p| !l && p), tn: of(&|l, p| !l && !p) };
            prop_assert_eq!(found.against_others(class), expected);
            prop_assert_eq!(found.right().tp, rows.iter().filter(|(l, p)| l == p).count() as u64);
        }

        #[test]
        fn intervals_contain_the_value_and_weighted_recall_is_the_accuracy(rows in rows(), class in 0..5_usize) {
            let found = ByClass::of_matrix(5, &matrix(5, &rows));
            for (metric, counts) in [(ACCURACY, found.right()), (RECALL, found.against_others(class)), (PRECISION, found.against_others(class))] {
                if let (Some(value), Some((lower, upper))) = (metric.value(&counts), metric.interval(&counts)) {
                    prop_assert!(lower <= value + 1e-12 && value <= upper + 1e-12);
                }
            }
            let accuracy = ACCURACY.value(&found.right()).unwrap();
            prop_assert!((found.mean(RECALL, Average::Weighted).unwrap() - accuracy).abs() < 1e-12);
            prop_assert!((0.0..=1.0).contains(&found.mean(Metric::F1, Average::Macro).unwrap()));
        }

        /// They widen as α falls.
        #[test]
        fn bounds_hold_the_mean_and_nest(rows in rows(), alpha in 1e-9..0.5_f64) {
            let found = ByClass::of_matrix(5, &matrix(5, &rows));
            let mut all = vec![(found.balanced_accuracy(), found.balanced_accuracy_bounds(1.0, alpha), found.balanced_accuracy_bounds(1.0, alpha / 9.0))];
            for metric in [PRECISION, RECALL, Metric::F1] {
                for average in [Average::Macro, Average::Weighted] {
                    let of = |alpha| found.mean_bounds(metric, average, 1.0, alpha);
                    all.push((found.mean(metric, average), of(alpha), of(alpha / 9.0)));
                }
            }
            for (value, near, far) in all {
                let (value, (low, high), (lower, higher)) = (value.unwrap(), near.unwrap(), far.unwrap());
                prop_assert!(low <= value + 1e-9 && value <= high + 1e-9, "{} {} {}", low, value, high);
                prop_assert!(lower <= low + 1e-9 && high <= higher + 1e-9);
            }
        }

        #[test]
        fn order_and_split_change_nothing(rows in rows(), at in 0..60_usize) {
            let (first, rest) = rows.split_at(at.min(rows.len()));
            let sum: Vec<u64> = matrix(5, first).iter().zip(matrix(5, rest)).map(|(a, b)| a + b).collect();
            let mut reversed = rows.clone();
            reversed.reverse();
            prop_assert_eq!(ByClass::of_matrix(5, &sum), ByClass::of_matrix(5, &matrix(5, &reversed)));
        }
    }
}
