//! Metrics of a classifier's decisions, each a function of confusion counts: the rates of [`Rate`], F1 and balanced accuracy.
//!
//! All are exact rationals, for comparison with a limit, and have a 95% interval: Wilson's (1927) for a proportion, one derived
//! from it for F1 and balanced accuracy, and Newcombe's (1998, method 10) for the difference of two.

use super::bounds;
use super::confusion::{Confusion, DISPLAY_ALPHA, Rate};
use super::hypotenuse::hypotenuse;
use super::proportion::{newcombe, wilson};
use super::ratio::Ratio;

/// A metric of a classifier's decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    Rate(Rate),
    /// 2·TP/(2·TP + FP + FN), the harmonic mean of precision and recall (van Rijsbergen, Information Retrieval, 1979).
    F1,
    /// (TPR + TNR)/2 (Brodersen et al., The balanced accuracy and its posterior distribution, 2010).
    BalancedAccuracy,
}

impl From<Rate> for Metric {
    fn from(rate: Rate) -> Self {
        Self::Rate(rate)
    }
}

impl Metric {
    /// The metric, exactly, in [0, 1]; `None` where what it divides by is 0 (precision without a predicted positive), or where the
    /// counts are beyond 2^62.
    #[must_use]
    pub fn exact(self, counts: &Confusion) -> Option<Ratio> {
        let Confusion { tp, fn_, fp, tn } = *counts;
        let wide = |n: u64| i128::from(n);
        match self {
            Self::Rate(rate) => rate.exact(counts),
            Self::F1 => Ratio::new(2 * wide(tp), 2 * wide(tp) + wide(fp) + wide(fn_)),
            Self::BalancedAccuracy => {
                let (positives, negatives) = (wide(counts.positives()), wide(counts.negatives()));
                let sum = wide(tp).checked_mul(negatives)?.checked_add(wide(tn).checked_mul(positives)?)?;
                Ratio::new(sum, positives.checked_mul(negatives)?.checked_mul(2)?)
            }
        }
    }

    /// The metric as a real, in [0, 1].
    #[must_use]
    pub fn value(self, counts: &Confusion) -> Option<f64> {
        match self {
            Self::Rate(rate) => rate.value(counts),
            Self::F1 | Self::BalancedAccuracy => Some(self.exact(counts)?.value()),
        }
    }

    /// Its 95% interval, within [0, 1]. A rate has Wilson's. F1 is 2·J/(1 + J) of the proportion J = TP/(TP + FP + FN) (Hand, Christen
    /// and Kirielle, F*: an interpretable transformation of the F-measure, 2021), and has J's, transformed likewise. Balanced
    /// accuracy is (1 + TPR − FPR)/2 of two independent proportions, and has Newcombe's of their difference.
    #[must_use]
    pub fn interval(self, counts: &Confusion) -> Option<(f64, f64)> {
        match self {
            Self::Rate(rate) => rate.interval(counts),
            Self::F1 => {
                let (lower, upper) = wilson(counts.tp, counts.selected().checked_add(counts.fn_)?, DISPLAY_ALPHA)?;
                let transformed = |j: f64| 2.0 * j / (1.0 + j);
                Some((transformed(lower), transformed(upper)))
            }
            Self::BalancedAccuracy => {
                let (positives, negatives) = (counts.positives(), counts.negatives());
                let (lower, upper) = newcombe(counts.tp, positives, counts.fp, negatives, DISPLAY_ALPHA)?;
                Some((f64::midpoint(1.0, lower), f64::midpoint(1.0, upper)))
            }
        }
    }

    /// Bounds at any level: of a rate by its counts, of F1 by TP/(TP + FP + FN), of which it is a function that grows, of balanced accuracy by both
    /// of its rates, which share α. Each row counts as 1/φ. `None` where it has no value, or with an α outside of (0, 1).
    #[must_use]
    pub fn bounds(self, counts: &Confusion, design_effect: f64, alpha: f64) -> Option<(f64, f64)> {
        let share = |share: (u64, u64), alpha: f64| bounds::share(share, design_effect, alpha);
        match self {
            Self::Rate(rate) => share(rate.counts(counts), alpha),
            Self::F1 => {
                let (lower, upper) = share((counts.tp, counts.selected().checked_add(counts.fn_)?), alpha)?;
                let transformed = |j: f64| 2.0 * j / (1.0 + j);
                Some((transformed(lower), transformed(upper)))
            }
            Self::BalancedAccuracy => {
                let of = |rate: Rate| share(rate.counts(counts), alpha / 2.0);
                let ((a, b), (c, d)) = (of(Rate::Tpr)?, of(Rate::Specificity)?);
                Some((f64::midpoint(a, c), f64::midpoint(b, d)))
            }
        }
    }

    /// How many pairs the metric rests on, of which a segment must have enough: what it divides by, the positives for F1, the
    /// smaller of positives and negatives for balanced accuracy.
    #[must_use]
    pub fn samples(self, counts: &Confusion) -> u64 {
        match self {
            Self::Rate(rate) => rate.counts(counts).1,
            Self::F1 => counts.positives(),
            Self::BalancedAccuracy => counts.positives().min(counts.negatives()),
        }
    }

    /// Whether a segment has at least `min` (and at least one) of the metric's samples.
    #[must_use]
    pub fn is_eligible(self, counts: &Confusion, min: u64) -> bool {
        self.samples(counts) >= min.max(1)
    }

    /// Indexes of the segments that have the metric and at least `min` (and at least one) of its samples.
    #[must_use]
    pub fn eligible(self, segments: &[Confusion], min: u64) -> Vec<usize> {
        segments
            .iter()
            .enumerate()
            .filter(|(_, counts)| self.is_eligible(counts, min))
            .map(|(index, _)| index)
            .collect()
    }

    /// Whether a high value is good for those who are judged; `None` for selection, of which that is not known.
    #[must_use]
    pub fn high_is_good(self) -> Option<bool> {
        match self {
            Self::Rate(Rate::Selection) => None,
            Self::Rate(Rate::Fpr | Rate::Fnr | Rate::Fdr | Rate::For) => Some(false),
            Self::Rate(Rate::Tpr | Rate::Accuracy | Rate::Precision | Rate::Specificity)
            | Self::F1
            | Self::BalancedAccuracy => Some(true),
        }
    }

    /// first − second, exactly and with Newcombe's 95% interval.
    #[must_use]
    pub fn difference(self, first: &Confusion, second: &Confusion) -> Option<Difference> {
        let exact = self.exact(first)?.minus(self.exact(second)?)?;
        let (lower, upper) = match self {
            Self::Rate(rate) => {
                let ((k1, n1), (k2, n2)) = (rate.counts(first), rate.counts(second));
                newcombe(k1, n1, k2, n2, DISPLAY_ALPHA)?
            }
            Self::F1 | Self::BalancedAccuracy => square_and_add(
                (self.value(first)?, self.interval(first)?),
                (self.value(second)?, self.interval(second)?),
            ),
        };
        Some(Difference { exact, lower, upper })
    }
}

/// The difference of a metric between two sets of counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    pub exact: Ratio,
    /// Newcombe's 95% interval, within [−1, 1].
    pub lower: f64,
    pub upper: f64,
}

/// The interval of a difference from the estimates and intervals of its sides (Newcombe 1998, method 10; Zou and Donner,
/// Construction of confidence limits about effect measures, 2008, for estimates that are no proportions), within [−1, 1].
fn square_and_add(
    (first, (lower1, upper1)): (f64, (f64, f64)),
    (second, (lower2, upper2)): (f64, (f64, f64)),
) -> (f64, f64) {
    let difference = first - second;
    let lower = difference - hypotenuse(first - lower1, upper2 - second);
    let upper = difference + hypotenuse(upper1 - first, second - lower2);
    (lower.clamp(-1.0, 1.0), upper.clamp(-1.0, 1.0))
}

/// Every rate that is a proportion, F1 and balanced accuracy, by the names that policies write.
pub const NAMED: [(&str, Metric); 13] = [
    ("accuracy", Metric::Rate(Rate::Accuracy)),
    ("precision", Metric::Rate(Rate::Precision)),
    ("ppv", Metric::Rate(Rate::Precision)),
    ("recall", Metric::Rate(Rate::Tpr)),
    ("tpr", Metric::Rate(Rate::Tpr)),
    ("specificity", Metric::Rate(Rate::Specificity)),
    ("f1", Metric::F1),
    ("balanced_accuracy", Metric::BalancedAccuracy),
    ("fpr", Metric::Rate(Rate::Fpr)),
    ("fnr", Metric::Rate(Rate::Fnr)),
    ("fdr", Metric::Rate(Rate::Fdr)),
    ("for", Metric::Rate(Rate::For)),
    ("selection_rate", Metric::Rate(Rate::Selection)),
];

/// The metric of a name in [`NAMED`].
#[must_use]
pub fn named(name: &str) -> Option<Metric> {
    NAMED.iter().find(|(known, _)| *known == name).map(|(_, metric)| *metric)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn all() -> impl Iterator<Item = Metric> {
        NAMED.iter().map(|(_, metric)| *metric)
    }

    fn of_rows(rows: &[(bool, bool)]) -> Confusion {
        let mut counts = Confusion::default();
        rows.iter().for_each(|(predicted, label)| counts.count(*predicted, *label));
        counts
    }

    #[test]
    fn what_divides_by_nothing_has_no_value() {
        let nobody = Confusion::default();
        for metric in all() {
            let found = (metric.exact(&nobody), metric.value(&nobody), metric.interval(&nobody));
            assert_eq!(found, (None, None, None), "{metric:?}");
        }
        let only_negatives = Confusion { fp: 0, tn: 5, ..nobody };
        assert_eq!((Metric::F1.exact(&only_negatives), Metric::BalancedAccuracy.exact(&only_negatives)), (None, None));
        assert_eq!(Metric::Rate(Rate::For).exact(&only_negatives), Some(Ratio::ZERO));
    }

    #[test]
    fn rates_come_in_pairs_that_add_up_to_one() {
        let counts = Confusion { tp: 3, fn_: 2, fp: 4, tn: 11 };
        for (one, other) in [(Rate::Tpr, Rate::Fnr), (Rate::Specificity, Rate::Fpr), (Rate::Precision, Rate::Fdr)] {
            let rest = Ratio::ONE.minus(one.exact(&counts).unwrap()).unwrap();
            assert_eq!(Some(rest), other.exact(&counts));
        }
        assert_eq!(Rate::For.counts(&counts), (2, 13));
        assert_eq!(Rate::Accuracy.counts(&counts), (14, 20));
    }

    #[test]
    fn a_difference_of_rates_is_newcombes_and_that_of_scores_is_made_alike() {
        let (a, b) = (Confusion { tp: 40, fn_: 10, fp: 12, tn: 38 }, Confusion { tp: 30, fn_: 20, fp: 9, tn: 41 });
        let found = Metric::Rate(Rate::Tpr).difference(&a, &b).unwrap();
        assert_eq!(Some((found.lower, found.upper)), newcombe(40, 50, 30, 50, DISPLAY_ALPHA));
        let rate = Metric::Rate(Rate::Tpr);
        let sides = |c: &Confusion| (rate.value(c).unwrap(), rate.interval(c).unwrap());
        assert_eq!(square_and_add(sides(&a), sides(&b)), (found.lower, found.upper));
        for metric in [Metric::F1, Metric::BalancedAccuracy] {
            let Difference { exact, lower, upper } = metric.difference(&a, &b).unwrap();
            assert!(lower < exact.value() && exact.value() < upper, "{metric:?}");
        }
    }

    fn rows() -> impl Strategy<Value = Vec<(bool, bool)>> {
        vec((any::<bool>(), any::<bool>()), 0..60)
    }

    proptest! {
        /// Counts of any split of the rows, in any order, add up to the counts of all.
        #[test]
        fn any_split_and_order_of_rows_has_the_same_metrics(rows in rows(), cut in 0_usize..60) {
            let whole = of_rows(&rows);
            let cut = cut.min(rows.len());
            let (left, right) = rows.split_at(cut);
            let mut merged = of_rows(right);
            let mut backwards = left.to_vec();
            backwards.reverse();
            merged += of_rows(&backwards);
            for metric in all() {
                prop_assert_eq!(metric.exact(&merged), metric.exact(&whole));
                prop_assert_eq!(metric.interval(&merged), metric.interval(&whole));
            }
        }

        /// Every interval contains its value, and both are within [0, 1].
        #[test]
        fn intervals_contain_the_value(tp in 0_u64..500, fn_ in 0_u64..500, fp in 0_u64..500, tn in 0_u64..500) {
            let counts = Confusion { tp, fn_, fp, tn };
            for metric in all() {
                let (Some(value), Some((lower, upper))) = (metric.value(&counts), metric.interval(&counts)) else {
                    prop_assert_eq!(metric.exact(&counts), None);
                    continue;
                };
                prop_assert!(0.0 <= lower && upper <= 1.0, "{:?} {} {}", metric, lower, upper);
                prop_assert!(lower <= value + 1e-12 && value <= upper + 1e-12, "{:?} {} {} {}", metric, lower, value, upper);
            }
        }

        /// F1 is the harmonic mean of precision and recall, balanced accuracy the mean of recall and specificity.
        #[test]
        fn composed_metrics_are_means(tp in 1_u64..500, fn_ in 0_u64..500, fp in 0_u64..500, tn in 1_u64..500) {
            let counts = Confusion { tp, fn_, fp, tn };
            let value = |rate: Rate| rate.value(&counts).unwrap();
            let (precision, recall) = (value(Rate::Precision), value(Rate::Tpr));
            let harmonic = 2.0 * precision * recall / (precision + recall);
            prop_assert!((Metric::F1.value(&counts).unwrap() - harmonic).abs() < 1e-12);
            let mean = f64::midpoint(recall, value(Rate::Specificity));
            prop_assert!((Metric::BalancedAccuracy.value(&counts).unwrap() - mean).abs() < 1e-12);
        }
    }
}
