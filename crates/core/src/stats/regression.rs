//! Errors of predicted numbers: sums over labelled predictions, from which the metrics follow. Every term is an integer in billionths,
//! so sums merge in any order to the same bytes.
//!
//! With e = prediction − label over n labelled predictions, as scikit-learn 1.7 defines them (`mean_absolute_error`,
//! `root_mean_squared_error`, `mean_absolute_percentage_error`, `r2_score`); the mean error has the sign of e.

use serde::{Deserialize, Serialize};

use super::fixed::{FixedSum, MOST, SCALE, fixed};
use super::ratio::Ratio;

/// Sums that are kept.
pub const TERMS: usize = 6;

/// Squares beyond this count as it: 1e9 of them have room.
const MOST_SQUARE: f64 = 1e20;

/// A variance of labels below this is that of labels kept to the billionth which are all the same.
const LEAST_VARIANCE: f64 = 1e-9;

/// |e|, e, e², |e|/|label| of labels that are not 0, label, label².
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Errors(pub [FixedSum; TERMS]);

/// What a labelled prediction adds to each sum; `None` where it adds nothing. Numbers beyond ±1e12 count as that. Both are finite, or the
/// score is infinite.
#[must_use]
pub fn terms(score: f64, label: f64) -> [Option<f64>; TERMS] {
    let (score, label) = (score.clamp(-MOST, MOST), label.clamp(-MOST, MOST));
    let error = (score - label).clamp(-MOST, MOST);
    let square = |x: f64| Some((x * x).min(MOST_SQUARE));
    let relative = (label != 0.0).then(|| (error / label).abs().min(MOST));
    [Some(error.abs()), Some(error), square(error), relative, Some(label), square(label)]
}

impl Errors {
    /// The sums of rows with both a score and a label; NaN is missing.
    #[must_use]
    pub fn of(scores: &[f64], labels: &[f64]) -> Self {
        let mut all = Self::default();
        for (score, label) in scores.iter().zip(labels).filter(|(score, label)| !score.is_nan() && !label.is_nan()) {
            for (sum, term) in all.0.iter_mut().zip(terms(*score, *label)) {
                let Some(term) = term else { continue };
                *sum = FixedSum { n: sum.n + 1, sum: sum.sum.wrapping_add(fixed(term)) };
            }
        }
        all
    }

    /// Labelled predictions with a score.
    #[must_use]
    pub fn n(&self) -> u64 {
        let [absolute, ..] = self.0;
        absolute.n
    }

    /// Of these, labels of 0.
    #[must_use]
    pub fn zeros(&self) -> u64 {
        let [absolute, _, _, relative, ..] = self.0;
        absolute.n.saturating_sub(relative.n)
    }

    /// The mean absolute error.
    #[must_use]
    pub fn mae(&self) -> Option<Ratio> {
        let [absolute, ..] = self.0;
        absolute.exact_mean()
    }

    /// The mean of prediction − label.
    #[must_use]
    pub fn mean_error(&self) -> Option<Ratio> {
        let [_, error, ..] = self.0;
        error.exact_mean()
    }

    /// The mean of |prediction − label|/|label| over labels that are not 0, as a fraction.
    #[must_use]
    pub fn mape(&self) -> Option<Ratio> {
        let [_, _, _, relative, ..] = self.0;
        relative.exact_mean()
    }

    /// The root of the mean squared error.
    #[must_use]
    pub fn rmse(&self) -> Option<f64> {
        let [_, _, square, ..] = self.0;
        square.exact_mean().map(|mean| mean.value().sqrt())
    }

    /// 1 − Σe²/Σ(label − mean)²; `None` where all labels are the same.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "the quotient is a float, of exact integers where they fit")]
    pub fn r2(&self) -> Option<f64> {
        let [_, _, square, _, label, label_square] = self.0;
        if label.n == 0 {
            return None;
        }
        let (n, scale) = (i128::from(label.n), i128::from(SCALE));
        let exact = || {
            let squares = n.checked_mul(label_square.sum)?.checked_mul(scale)?;
            squares.checked_sub(label.sum.checked_mul(label.sum)?)
        };
        // n²·10¹⁸ times the variance of the labels.
        let spread = exact().map_or_else(
            || n as f64 * label_square.sum as f64 * scale as f64 - label.sum as f64 * label.sum as f64,
            |spread| spread as f64,
        );
        let unit = scale as f64 * scale as f64;
        if spread / (n as f64 * n as f64 * unit) < LEAST_VARIANCE {
            return None;
        }
        let r2 = 1.0 - square.sum as f64 * scale as f64 * n as f64 / spread;
        Some(r2).filter(|r2| r2.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn of_a_few_rows_they_are_those_of_scikit_learn() {
        // The example of scikit-learn's `r2_score`; its values by scikit-learn 1.7.
        let (labels, scores) = ([3.0, -0.5, 2.0, 7.0], [2.5, 0.0, 2.0, 8.0]);
        let errors = Errors::of(&scores, &labels);
        let close = |found: Option<f64>, expected: f64| (found.unwrap() - expected).abs() < 1e-9;
        assert!(close(errors.mae().map(Ratio::value), 0.5));
        assert!(close(errors.mean_error().map(Ratio::value), 0.25));
        assert!(close(errors.rmse(), 0.612_372_435_695_794_5));
        assert!(close(errors.mape().map(Ratio::value), 0.327_380_952_380_952_4));
        assert!(close(errors.r2(), 0.948_608_137_044_967_9));
        assert_eq!((errors.n(), errors.zeros()), (4, 0));
    }

    #[test]
    fn what_has_no_value_is_none() {
        let none = Errors::of(&[f64::NAN, 1.0], &[1.0, f64::NAN]);
        assert_eq!((none.n(), none.mae(), none.rmse(), none.r2()), (0, None, None, None));
        let zeros = Errors::of(&[1.0, 2.0], &[0.0, 0.0]);
        assert_eq!((zeros.zeros(), zeros.mape(), zeros.r2()), (2, None, None), "all labels are 0");
        assert_eq!(Errors::of(&[1.0, 2.0, 3.0], &[1.0 / 3.0; 3]).r2(), None, "they are the same");
        let huge = Errors::of(&[f64::INFINITY, -1e300], &[0.0, 5.0]);
        assert!(huge.rmse().unwrap().is_finite() && huge.mae().unwrap().value().is_finite());
    }

    proptest! {
        /// The values of raw rows, in floats.
        #[test]
        fn sums_give_what_the_rows_give(rows in prop::collection::vec((-1e3..1e3_f64, -1e3..1e3_f64), 2..60)) {
            let (scores, labels): (Vec<f64>, Vec<f64>) = rows.iter().copied().unzip();
            let errors = Errors::of(&scores, &labels);
            #[allow(clippy::cast_precision_loss, reason = "few rows")]
            let n = rows.len() as f64;
            let mean = labels.iter().sum::<f64>() / n;
            let squares: f64 = rows.iter().map(|(s, l)| (s - l) * (s - l)).sum();
            let spread: f64 = labels.iter().map(|l| (l - mean) * (l - mean)).sum();
            let near = |a: f64, b: f64| (a - b).abs() <= 1e-6 * b.abs().max(1.0);
            prop_assert!(near(errors.mae().unwrap().value(), rows.iter().map(|(s, l)| (s - l).abs()).sum::<f64>() / n));
            prop_assert!(near(errors.rmse().unwrap(), (squares / n).sqrt()));
            if spread > 1.0 {
                prop_assert!(near(errors.r2().unwrap(), 1.0 - squares / spread));
            }
        }

        #[test]
        fn order_and_split_change_nothing(rows in prop::collection::vec((-1e6..1e6_f64, -1e6..1e6_f64), 0..40), at in 0..40_usize) {
            let of = |rows: &[(f64, f64)]| {
                let (scores, labels): (Vec<f64>, Vec<f64>) = rows.iter().copied().unzip();
                Errors::of(&scores, &labels)
            };
            let (whole, (first, rest)) = (of(&rows), rows.split_at(at.min(rows.len())));
            let (first, rest) = (of(first), of(rest));
            let sums = first.0.iter().zip(rest.0).map(|(a, b)| FixedSum { n: a.n + b.n, sum: a.sum + b.sum });
            prop_assert_eq!(whole.0.to_vec(), sums.collect::<Vec<_>>());
            let mut reversed = rows.clone();
            reversed.reverse();
            prop_assert_eq!(of(&reversed), whole);
        }
    }
}
