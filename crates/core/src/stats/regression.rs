//! Errors of predicted numbers: sums over labelled predictions, from which the metrics follow. Every term is an integer in billionths,
//! so sums merge in any order to the same bytes.
//!
//! With e = prediction − label over n labelled predictions, as scikit-learn 1.7 defines them (`mean_absolute_error`,
//! `root_mean_squared_error`, `mean_absolute_percentage_error`, `r2_score`); the mean error has the sign of e.

use serde::{Deserialize, Serialize};

use super::digits;
use super::fixed::{FixedSum, MOST, SCALE, fixed};
use super::limit::Amount;
use super::ratio::Ratio;

mod certain;
pub mod spread;

use spread::{SQUARE, Spread};

/// Sums that are kept.
pub const TERMS: usize = 6;

/// Counts that hold the sums among other counts: how many errors and how many labels other than 0 there are, then the digits of seven sums.
pub const COUNTS: usize = 2 + 4 * AMOUNT + AMOUNT + 2 * SQUARE;
/// Digits of 1e21 billionths.
const AMOUNT: usize = 5;

/// Squares beyond this count as it: 1e9 of them have room.
const MOST_SQUARE: f64 = 1e20;

/// A variance of labels below this is that of labels kept to the billionth which are all the same.
const LEAST_VARIANCE: f64 = 1e-9;

/// |e|, e, e², |e|/|label| of labels that are not 0, label, label²; and what tells how far these spread, where that is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Errors {
    pub sums: [FixedSum; TERMS],
    /// Of windows without a budget, and in files, none.
    #[serde(skip)]
    pub spread: Spread,
}

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

/// What a labelled prediction adds to the counts that hold the sums: numbers below and above 0 are summed each by themselves, as counts have no
/// sign.
#[must_use]
pub fn counts(score: f64, label: f64) -> [u64; COUNTS] {
    let mut counts = [0; COUNTS];
    let [_, error, square, relative, label, label_square] = terms(score, label).map(|term| term.map(fixed));
    let (heads, digits) = counts.split_at_mut(2);
    heads.copy_from_slice(&[1, u64::from(relative.is_some())]);
    let above = |sum: Option<i128>| u128::try_from(sum.unwrap_or(0)).unwrap_or(0);
    let below = |sum: Option<i128>| above(sum.map(|sum| -sum));
    let sums =
        [above(error), below(error), above(relative), above(label), below(label), above(square), above(label_square)];
    let mut rest = digits;
    for (number, width) in sums.into_iter().zip(WIDTHS) {
        let (own, others) = rest.split_at_mut(width.min(rest.len()));
        digits::write(number, own);
        rest = others;
    }
    counts
}

/// Digits of errors above and below 0, relative errors, labels above and below 0, and of both squares.
const WIDTHS: [usize; 7] = [AMOUNT, AMOUNT, AMOUNT, AMOUNT, AMOUNT, SQUARE, SQUARE];

impl Errors {
    /// The sums that counts hold, those of [`counts`] added up one by one, and behind them those of [`spread::counts`] where they were counted; none of
    /// fewer counts.
    #[must_use]
    pub fn of_counts(counts: &[u64]) -> Self {
        let (counts, behind) = counts.split_at(counts.len().min(COUNTS));
        let [n, relatives, digits @ ..] = counts else { return Self::default() };
        let mut rest = digits;
        let [above, below, relative, label_above, label_below, square, label_square] = WIDTHS.map(|width| {
            let (own, others) = rest.split_at(width.min(rest.len()));
            rest = others;
            digits::read(own)
        });
        let of = |sum| FixedSum { n: *n, sum };
        let sums = [
            of(above.wrapping_add(below)),
            of(above.wrapping_sub(below)),
            of(square),
            FixedSum { n: *relatives, sum: relative },
            of(label_above.wrapping_sub(label_below)),
            of(label_square),
        ];
        let spread = if behind.len() < spread::COUNTS { Spread::default() } else { Spread::of_counts(*n, behind) };
        Self { sums, spread }
    }

    /// What a labelled prediction adds to the sums of the spread: [`spread::terms`].
    pub fn spread_terms(score: f64, label: f64) -> impl Iterator<Item = (usize, f64)> {
        let [_, _, square, relative, label, label_square] = terms(score, label);
        let of = |term: Option<f64>| term.unwrap_or(0.0);
        spread::terms(of(square), relative, (of(label), of(label_square)))
    }

    /// The sums of rows with both a score and a label; NaN is missing.
    #[must_use]
    pub fn of(scores: &[f64], labels: &[f64]) -> Self {
        let mut all = Self::default();
        scores.iter().zip(labels).for_each(|(score, label)| all.count(*score, *label));
        all
    }

    /// The same with what tells how far they spread.
    #[must_use]
    pub fn with_spread(scores: &[f64], labels: &[f64]) -> Self {
        let mut all = Self::default();
        scores.iter().zip(labels).for_each(|(score, label)| all.count_with_spread(*score, *label));
        all
    }

    /// Adds a row, and what it adds to the spread.
    pub fn count_with_spread(&mut self, score: f64, label: f64) {
        self.count(score, label);
        if !(score.is_nan() || label.is_nan()) {
            self.spread.count(Self::spread_terms(score, label));
        }
    }

    /// Adds a row; one without a score or a label adds nothing.
    pub fn count(&mut self, score: f64, label: f64) {
        if score.is_nan() || label.is_nan() {
            return;
        }
        for (sum, term) in self.sums.iter_mut().zip(terms(score, label)) {
            let Some(term) = term else { continue };
            *sum = FixedSum { n: sum.n + 1, sum: sum.sum.wrapping_add(fixed(term)) };
        }
    }

    /// Labelled predictions with a score.
    #[must_use]
    pub fn n(&self) -> u64 {
        let [absolute, ..] = self.sums;
        absolute.n
    }

    /// Of these, labels of 0.
    #[must_use]
    pub fn zeros(&self) -> u64 {
        let [absolute, _, _, relative, ..] = self.sums;
        absolute.n.saturating_sub(relative.n)
    }

    /// The mean absolute error.
    #[must_use]
    pub fn mae(&self) -> Option<Ratio> {
        let [absolute, ..] = self.sums;
        absolute.exact_mean()
    }

    /// The mean of prediction − label.
    #[must_use]
    pub fn mean_error(&self) -> Option<Ratio> {
        let [_, error, ..] = self.sums;
        error.exact_mean()
    }

    /// The mean of |prediction − label|/|label| over labels that are not 0, as a fraction.
    #[must_use]
    pub fn mape(&self) -> Option<Ratio> {
        let [_, _, _, relative, ..] = self.sums;
        relative.exact_mean()
    }

    /// The root of the mean squared error.
    #[must_use]
    pub fn rmse(&self) -> Option<f64> {
        let [_, _, square, ..] = self.sums;
        square.exact_mean().map(|mean| mean.value().sqrt())
    }

    /// n²·10¹⁸ times the variance of the labels; `None` where all labels are the same, or there are none.
    #[allow(clippy::cast_precision_loss, reason = "a quotient is a float, of exact integers where they fit")]
    fn label_spread(&self) -> Option<f64> {
        let [_, _, _, _, label, label_square] = self.sums;
        let (n, scale) = (i128::from(label.n), i128::from(SCALE));
        let exact = || {
            let squares = n.checked_mul(label_square.sum)?.checked_mul(scale)?;
            squares.checked_sub(label.sum.checked_mul(label.sum)?)
        };
        let spread = exact().map_or_else(
            || n as f64 * label_square.sum as f64 * scale as f64 - label.sum as f64 * label.sum as f64,
            |spread| spread as f64,
        );
        let unit = n as f64 * n as f64 * scale as f64 * scale as f64;
        Some(spread).filter(|spread| n > 0 && spread / unit >= LEAST_VARIANCE)
    }

    /// 1 − Σe²/Σ(label − mean)²; `None` where all labels are the same.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "the quotient is a float, of exact integers where they fit")]
    pub fn r2(&self) -> Option<f64> {
        let [_, _, square, _, label, _] = self.sums;
        let spread = self.label_spread()?;
        let r2 = 1.0 - square.sum as f64 * SCALE as f64 * label.n as f64 / spread;
        Some(r2).filter(|r2| r2.is_finite())
    }
}

/// A metric of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorMetric {
    Mae,
    Rmse,
    MeanError,
    Mape,
    R2,
}

impl ErrorMetric {
    /// All of them, by the names that rules have for them.
    pub const NAMED: [(&str, Self); 5] = [
        ("mae", Self::Mae),
        ("rmse", Self::Rmse),
        ("mean_error", Self::MeanError),
        ("mape", Self::Mape),
        ("r2", Self::R2),
    ];

    /// The metric of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMED.into_iter().find(|(known, _)| *known == name).map(|(_, metric)| metric)
    }

    /// The metric of these sums; `None` where it has none.
    #[must_use]
    pub fn value(self, errors: &Errors) -> Option<Amount> {
        let exact = |ratio: Option<Ratio>| ratio.map(Amount::Exact);
        match self {
            Self::Mae => exact(errors.mae()),
            Self::Rmse => errors.rmse().map(Amount::Float),
            Self::MeanError => exact(errors.mean_error()),
            Self::Mape => exact(errors.mape()),
            Self::R2 => errors.r2().map(Amount::Float),
        }
    }

    /// How many labelled predictions it is the metric of.
    #[must_use]
    pub fn samples(self, errors: &Errors) -> u64 {
        match self {
            Self::Mape => errors.n().saturating_sub(errors.zeros()),
            _ => errors.n(),
        }
    }

    /// Whether a high value is good; `None` of the mean error, which is good at 0.
    #[must_use]
    pub fn high_is_good(self) -> Option<bool> {
        match self {
            Self::Mae | Self::Rmse | Self::Mape => Some(false),
            Self::R2 => Some(true),
            Self::MeanError => None,
        }
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

    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![Just(0.0), -1.0..1.0_f64, -1e6..1e6_f64, -1e13..1e13_f64]
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

        /// Of any numbers, also of those that count as the largest.
        #[test]
        fn counts_hold_the_sums(rows in prop::collection::vec((number(), number()), 0..40)) {
            let (scores, labels): (Vec<f64>, Vec<f64>) = rows.iter().copied().unzip();
            let mut sums = [0; COUNTS];
            for (score, label) in rows {
                sums.iter_mut().zip(counts(score, label)).for_each(|(sum, n)| *sum += n);
            }
            prop_assert_eq!(Errors::of_counts(&sums), Errors::of(&scores, &labels));
        }

        #[test]
        fn order_and_split_change_nothing(rows in prop::collection::vec((-1e6..1e6_f64, -1e6..1e6_f64), 0..40), at in 0..40_usize) {
            let of = |rows: &[(f64, f64)]| {
                let (scores, labels): (Vec<f64>, Vec<f64>) = rows.iter().copied().unzip();
                Errors::of(&scores, &labels)
            };
            let (whole, (first, rest)) = (of(&rows), rows.split_at(at.min(rows.len())));
            let (first, rest) = (of(first), of(rest));
            let sums = first.sums.iter().zip(rest.sums).map(|(a, b)| FixedSum { n: a.n + b.n, sum: a.sum + b.sum });
            prop_assert_eq!(whole.sums.to_vec(), sums.collect::<Vec<_>>());
            let mut reversed = rows.clone();
            reversed.reverse();
            prop_assert_eq!(of(&reversed), whole);
        }
    }
}
