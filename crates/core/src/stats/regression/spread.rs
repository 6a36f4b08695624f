//! Sums from which the spread of squared errors, of relative errors and of squared labels follows: what bounds of `rmse`, `mape` and `r2` need, and no
//! value does. As the other sums they merge in any order to the same bytes.

use serde::{Deserialize, Serialize};

use super::super::digits;
use super::super::fixed::{FixedSum, SCALE, fixed};
use super::super::real::real;
use super::super::sized::{self, SIZES, sized};

/// The powers: e⁴, (e/label)² of labels that are not 0, label³, label⁴.
const POWERS: usize = 4;
/// Digits of 1e29 billionths: of the sum of 1e9 numbers below 1e20.
pub(super) const SQUARE: usize = 7;
/// Sums that are kept.
pub const TERMS: usize = POWERS * SIZES;
/// Runs of digits that hold the sums among other counts: the third power has a sign, so it has two.
const RUNS: usize = TERMS + SIZES;
/// Counts that hold the sums.
pub const COUNTS: usize = RUNS * SQUARE;
/// The place of the third power among the powers.
const CUBE: usize = 2;

/// The sums of so many labelled predictions, by power and size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread {
    n: u64,
    sums: [i128; TERMS],
}

/// What a labelled prediction with these sums' terms adds: the place of each sum, and how much. `square`, `relative`, `label` and `label_square` are its
/// terms among [`super::terms`].
pub fn terms(
    square: f64,
    relative: Option<f64>,
    (label, label_square): (f64, f64),
) -> impl Iterator<Item = (usize, f64)> {
    // A label whose square counts as less does itself.
    let label = label_square.sqrt().copysign(label);
    let powers =
        [Some(square * square), relative.map(|x| x * x), Some(label * label_square), Some(label_square * label_square)];
    powers.into_iter().enumerate().filter_map(|(at, power)| {
        let (size, term) = sized(power?);
        Some((at * SIZES + size, term))
    })
}

/// The same as counts that hold the sums.
pub fn counts(terms: impl Iterator<Item = (usize, f64)>) -> [u64; COUNTS] {
    let mut counts = [0; COUNTS];
    for (at, term) in terms {
        // Third powers below 0 stand behind all others.
        let run = if term < 0.0 { TERMS + at - CUBE * SIZES } else { at };
        let own = counts.chunks_exact_mut(SQUARE).nth(run);
        own.into_iter().for_each(|own| digits::write(fixed(term).unsigned_abs(), own));
    }
    counts
}

impl Spread {
    /// The sums at each place, with how many terms each has: every labelled prediction has one fourth power of its error.
    pub fn of_cells(cell: impl Fn(usize) -> FixedSum) -> Self {
        Self::of_sums((0..SIZES).map(|size| cell(size).n).sum(), |at| cell(at).sum)
    }

    /// The sums at each place, of so many labelled predictions.
    fn of_sums(n: u64, sum: impl Fn(usize) -> i128) -> Self {
        Self { n, sums: std::array::from_fn(sum) }
    }

    /// The sums that counts hold, those of [`counts`] added up one by one.
    #[must_use]
    pub fn of_counts(n: u64, counts: &[u64]) -> Self {
        let run = |run: usize| counts.chunks_exact(SQUARE).nth(run).map_or(0, digits::read);
        let below =
            |at: usize| at.checked_sub(CUBE * SIZES).filter(|size| *size < SIZES).map_or(0, |size| run(TERMS + size));
        Self::of_sums(n, |at| run(at).wrapping_sub(below(at)))
    }

    /// Adds a labelled prediction.
    pub fn count(&mut self, terms: impl Iterator<Item = (usize, f64)>) {
        self.n += 1;
        for (at, term) in terms {
            self.sums.get_mut(at).into_iter().for_each(|sum| *sum = sum.wrapping_add(fixed(term)));
        }
    }

    /// Whether they are the sums of all of so many labelled predictions, and not only of those since they are counted.
    #[must_use]
    pub fn is_of(&self, n: u64) -> bool {
        self.n == n
    }

    /// The sum of a power, and the most that it may have lost by rounding.
    fn sum(&self, power: usize) -> (f64, f64) {
        sized::sum(self.sums.get(power * SIZES..(power + 1) * SIZES).unwrap_or_default(), self.n)
    }

    /// The largest that the deviation of squared errors, whose mean is this, can be.
    #[must_use]
    pub fn of_squares(&self, mean: f64) -> f64 {
        deviation(self.sum(0), mean, self.n)
    }

    /// The same of relative errors, of which there are so many.
    #[must_use]
    pub fn of_relatives(&self, mean: f64, n: u64) -> f64 {
        deviation(self.sum(1), mean, n)
    }

    /// The same of squared distances of the labels from their mean, given that, the mean of their squares and their variance. Central moments are
    /// differences of far larger ones where the mean is many deviations from 0, so what rounding may have lost of these is added.
    #[must_use]
    pub fn of_label_squares(&self, (mean, square, variance): (f64, f64, f64)) -> f64 {
        /// What a dozen operations on doubles lose at most.
        const LOST: f64 = 2e-15;
        let n = real(self.n);
        let [(cubes, cubes_lost), (fourths, fourths_lost)] =
            [CUBE, CUBE + 1].map(|power| self.sum(power)).map(|(sum, lost)| (sum / n, lost / n));
        let parts = [fourths, -4.0 * mean * cubes, 6.0 * mean * mean * square, -3.0 * mean.powi(4)];
        let size: f64 = parts.iter().map(|part| part.abs()).sum();
        let lost = LOST * size + fourths_lost + 4.0 * mean.abs() * cubes_lost + 6.0 * mean * mean / real(SCALE);
        (parts.iter().sum::<f64>() + lost - variance * variance).max(0.0).sqrt()
    }
}

/// The deviation of so many values by the sum of their squares, with what that may have lost, and their mean.
fn deviation((sum, lost): (f64, f64), mean: f64, n: u64) -> f64 {
    ((sum + lost) / real(n) - mean * mean).max(0.0).sqrt()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Errors;
    use super::*;

    fn of(rows: &[(f64, f64)]) -> Spread {
        let (scores, labels): (Vec<f64>, Vec<f64>) = rows.iter().copied().unzip();
        Errors::with_spread(&scores, &labels).spread
    }

    /// Mean and standard deviation (by n) of values, as floats.
    fn moments(values: &[f64]) -> (f64, f64) {
        let n = real(values.len() as u64);
        let mean = values.iter().sum::<f64>() / n;
        (mean, (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt())
    }

    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![Just(0.0), -1e-3..1e-3_f64, -1.0..1.0_f64, -1e3..1e3_f64, -1e9..1e9_f64]
    }

    proptest! {
        /// The deviations of raw rows, and at most a thousandth more where these are neither tiny nor far from 0.
        #[test]
        fn deviations_are_those_of_the_rows(rows in prop::collection::vec((0.5..300.0_f64, 0.5..300.0_f64), 2..60)) {
            let found = of(&rows);
            let of = |value: &dyn Fn(f64, f64) -> f64| moments(&rows.iter().map(|(s, l)| value(*s, *l)).collect::<Vec<_>>());
            let near = |found: f64, expected: f64, size: f64| expected - 1e-6 * size <= found && found <= expected + 1e-3 * size;
            let (mean, deviation) = of(&|s, l| (s - l).powi(2));
            prop_assert!(near(found.of_squares(mean), deviation, mean), "{} {}", found.of_squares(mean), deviation);
            let (mean, deviation) = of(&|s, l| ((s - l) / l).abs());
            let relatives = found.of_relatives(mean, rows.len() as u64);
            prop_assert!(near(relatives, deviation, mean), "{} {}", relatives, deviation);
            let ((mean, spread), (square, _)) = (of(&|_, l| l), of(&|_, l| l * l));
            let (_, deviation) = of(&|_, l| (l - mean).powi(2));
            let labels = found.of_label_squares((mean, square, spread * spread));
            prop_assert!(near(labels, deviation, square), "{} {}", labels, deviation);
        }

        /// Digits that are added up one by one hold the same sums, of any numbers.
        #[test]
        fn counts_hold_the_sums(rows in prop::collection::vec((number(), number()), 0..40)) {
            let mut sums = [0; COUNTS];
            for (score, label) in &rows {
                let terms = Errors::spread_terms(*score, *label);
                sums.iter_mut().zip(counts(terms)).for_each(|(sum, n)| *sum += n);
            }
            prop_assert_eq!(Spread::of_counts(rows.len() as u64, &sums), of(&rows));
        }
    }

    #[test]
    fn tiny_and_huge_errors_keep_their_spread() {
        for unit in [1e-4, 1.0, 1e9] {
            let rows = [(3.0 * unit, 0.0), (0.0, 4.0 * unit), (5.0 * unit, 0.0)];
            let (mean, deviation) = moments(&[9.0, 16.0, 25.0].map(|x| x * unit * unit));
            let found = of(&rows).of_squares(mean);
            assert!((found / deviation - 1.0).abs() < 1e-6, "{unit}: {found} {deviation}");
        }
    }
}
