//! Bounds of metrics of errors at a level: of what the labelled predictions were drawn from, not of them.

use super::super::bounds;
use super::super::fixed::{FixedSum, SCALE};
use super::super::proportion::normal_interval;
use super::super::ratio::Ratio;
use super::super::real::real;
use super::{ErrorMetric, Errors};

/// An interval.
type Ends = (f64, f64);

impl ErrorMetric {
    /// Whether its bounds need the sums of [`Spread`](super::spread::Spread).
    #[must_use]
    pub fn reads_spread(self) -> bool {
        !matches!(self, Self::Mae | Self::MeanError)
    }

    /// The interval of a metric of errors that misses with a probability of α: means and normal quantiles of their standard errors, each pair counting
    /// as 1/φ. It is asymptotic: errors have no largest value. `rmse` is the root of such a mean; `r2` has two, the mean squared error and the variance of
    /// the labels, which share α. `None` without pairs, without the spread that it needs, or with an α outside of (0, 1).
    #[must_use]
    pub fn interval(self, errors: &Errors, design_effect: f64, alpha: f64) -> Option<Ends> {
        let (n, spread) = (errors.n(), &errors.spread);
        if self.reads_spread() && !spread.is_of(n) {
            return None;
        }
        let size = |n: u64| bounds::size(n, design_effect);
        let squares = |alpha: f64| {
            let mean = mean_square(errors)?;
            let (lower, upper) = normal_interval(mean, spread.of_squares(mean), size(n), alpha)?;
            Some((lower.max(0.0), upper))
        };
        match self {
            Self::Mae | Self::MeanError => {
                let mean = self.value(errors)?.value();
                let deviation = (mean_square(errors)? - mean * mean).max(0.0).sqrt();
                normal_interval(mean, deviation, size(n), alpha)
            }
            Self::Rmse => squares(alpha).map(|(lower, upper)| (lower.sqrt(), upper.sqrt())),
            Self::Mape => {
                let (mean, n) = (self.value(errors)?.value(), self.samples(errors));
                let (lower, upper) = normal_interval(mean, spread.of_relatives(mean, n), size(n), alpha)?;
                Some((lower.max(0.0), upper))
            }
            Self::R2 => {
                let (least, most) = squares(alpha / 2.0)?;
                let (low, high) = label_variance(errors, size(n), alpha / 2.0)?;
                let lower = if low > 0.0 { 1.0 - most / low } else { f64::NEG_INFINITY };
                Some((lower, 1.0 - least / high))
            }
        }
    }
}

fn mean_square(errors: &Errors) -> Option<f64> {
    let [_, _, square, ..] = errors.sums;
    square.exact_mean().map(Ratio::value)
}

/// Where the variance of the labels lies, of so many independent ones.
fn label_variance(errors: &Errors, size: f64, alpha: f64) -> Option<Ends> {
    let [_, _, _, _, label, label_square] = errors.sums;
    let mean = |of: FixedSum| of.exact_mean().map(Ratio::value);
    let n = real(label.n) * real(SCALE);
    let variance = errors.label_spread()? / (n * n);
    let deviation = errors.spread.of_label_squares((mean(label)?, mean(label_square)?, variance));
    normal_interval(variance, deviation, size, alpha).filter(|(_, upper)| *upper > 0.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::draws::Draws;
    use super::*;

    /// Labels of a uniform distribution within [100, 200], and predictions that miss them by up to 10 on either side.
    fn drawn(draws: &mut Draws, rows: u32) -> Errors {
        let mut errors = Errors::default();
        for _ in 0..rows {
            let label = 100.0 + 100.0 * draws.uniform();
            errors.count_with_spread(label + 20.0 * draws.uniform() - 10.0, label);
        }
        errors
    }

    #[test]
    fn bounds_miss_what_rows_are_drawn_from_about_as_often_as_they_say() {
        // Of uniform errors within ±10: E e² = 100/3. E |e|/label = 5·E 1/label = 5·ln 2/100. Labels: variance 100²/12.
        let expected = [
            (ErrorMetric::Mae, 5.0),
            (ErrorMetric::Rmse, (100.0_f64 / 3.0).sqrt()),
            (ErrorMetric::MeanError, 0.0),
            (ErrorMetric::Mape, 0.05 * std::f64::consts::LN_2),
            (ErrorMetric::R2, 1.0 - 400.0 / 10_000.0),
        ];
        let mut missed = [0_u32; 5];
        let mut draws = Draws::new(7);
        for _ in 0..400 {
            let errors = drawn(&mut draws, 1000);
            for (missed, (metric, of)) in missed.iter_mut().zip(expected) {
                let (lower, upper) = metric.interval(&errors, 1.0, 0.05).unwrap();
                *missed += u32::from(of < lower || upper < of);
                let wide = if metric == ErrorMetric::MeanError { 1.0 } else { 0.2 * of };
                assert!(upper - lower < wide, "it tells something: {metric:?} {lower} {upper}");
            }
        }
        // 20 are expected of each; r2 shares α between two means, and takes the worst of both.
        assert!(missed.iter().all(|n| *n <= 34), "of 400 at 5%: {missed:?}");
        assert!(missed.iter().take(4).all(|n| *n >= 6), "of 400 at 5%: {missed:?}");
    }

    #[test]
    fn without_the_spread_those_that_need_it_have_no_bounds() {
        let whole = Errors::with_spread(&[1.0, 2.0, 4.0], &[2.0, 2.0, 2.5]);
        let none = Errors { sums: whole.sums, ..Errors::default() };
        for (name, metric) in ErrorMetric::NAMED {
            let needs = !["mae", "mean_error"].contains(&name);
            assert_eq!(metric.interval(&none, 1.0, 0.1).is_none(), needs, "{name}");
            assert!(metric.interval(&whole, 1.0, 0.1).is_some(), "{name}");
            assert_eq!(metric.interval(&Errors::default(), 1.0, 0.1), None, "{name}");
        }
    }

    proptest! {
        /// They widen as α falls, and as rows hang together.
        #[test]
        fn bounds_hold_the_value_and_nest(
            rows in prop::collection::vec((-1e3..1e3_f64, -1e3..1e3_f64), 2..60), alpha in 1e-9..0.5_f64
        ) {
            let (scores, labels): (Vec<f64>, Vec<f64>) = rows.into_iter().unzip();
            let errors = Errors::with_spread(&scores, &labels);
            for (name, metric) in ErrorMetric::NAMED {
                let of = |effect, alpha| metric.interval(&errors, effect, alpha);
                let (Some(value), Some((low, high))) = (metric.value(&errors), of(1.0, alpha)) else { continue };
                let value = value.value();
                prop_assert!(low <= value + 1e-9 && value <= high + 1e-9, "{} {} {} {}", name, low, value, high);
                for (lower, higher) in [of(1.0, alpha / 9.0), of(3.0, alpha)].into_iter().flatten() {
                    // The variance of the labels may then have no least value above 0, and r2 none at all.
                    prop_assert!(lower <= low && high <= higher, "{} {} {}", name, lower, higher);
                }
            }
        }
    }
}
