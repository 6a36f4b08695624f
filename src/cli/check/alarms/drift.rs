//! Rules on distributions, without drift: PSI, KS and chi-square, missing and invalid values.

use statrs::function::erf::{erfc, erfc_inv};

use super::simulate::{Blocking, Counts, Rhythm, Successes, sample, share_of, smallest};
use driftgate_core::baseline::Baseline;
use driftgate_core::policy::{Correction, Hysteresis, Target};
use driftgate_core::stats::bins::sum_bins;
use driftgate_core::stats::chi2::pearson_pooled;
use driftgate_core::stats::draws::Draws;
use driftgate_core::stats::psi::{Zero, psi};

/// Bins of what nothing is known of.
const BINS: usize = 10;
/// Training rows, where the snapshot cannot be read.
pub const ROWS: u64 = 1_000_000;
/// References that are drawn: a sample that was unlucky once is so on every day.
const REFERENCES: usize = 10;
/// Windows that one power is found by.
const TRIES: u32 = 200;
/// Cells that D is looked at in, at most.
const CELLS: usize = 2_048;

/// Shares of a subject's bins in training, its rows there, and how it is tested.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    pub shares: Vec<f64>,
    pub rows: u64,
    pub categorical: bool,
    /// Whether `ks_p` tests it by chi-square.
    pub discrete: bool,
}

fn real(n: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    let real = n as f64;
    real
}

impl Shape {
    /// Of the snapshot if it was read, else of a numeric feature with equal bins; `None` of unknown categories.
    pub fn of(baseline: Option<&Baseline>, target: Target, bins: usize) -> Option<Self> {
        let Some(baseline) = baseline else {
            let categorical = matches!(target, Target::Categorical(_) | Target::Label | Target::Prediction);
            let shares = vec![1.0; bins];
            return (!categorical).then_some(Self { shares, rows: ROWS, categorical, discrete: false });
        };
        let (counts, rows, categorical, discrete) = match target {
            Target::Categorical(i) => {
                let reference = baseline.categorical.get(i)?;
                (reference.counts.clone(), reference.count, true, true)
            }
            numeric => {
                let reference = baseline.numeric(numeric)?;
                let bins = reference.bins.get(&bins).map_or(reference.default_bins(), Vec::as_slice);
                (sum_bins(bins, &reference.cells), reference.count, false, reference.discrete)
            }
        };
        let shares: Vec<f64> = counts.iter().map(|&n| real(n)).collect();
        (rows > 0).then_some(Self { shares, rows, categorical, discrete })
    }

    /// What the results of two subjects depend on; equal ones need one simulation.
    pub fn key(&self) -> Vec<u64> {
        let total: f64 = self.shares.iter().sum();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "parts of 100")]
        let mut key: Vec<u64> = self.shares.iter().map(|s| (s / total * 100.0).round() as u64).collect();
        key.extend([self.rows, u64::from(self.categorical)]);
        key
    }

    /// The shares where a normal feature has moved by so many standard deviations, or so large a part of the events is of
    /// categories that training has not.
    fn shifted(&self, by: f64) -> Vec<f64> {
        let total: f64 = self.shares.iter().sum();
        if self.categorical {
            let mut shares: Vec<f64> = self.shares.iter().map(|s| s / total * (1.0 - by)).collect();
            shares.push(by);
            return shares;
        }
        let (mut sum, mut before) = (0.0, 0.0);
        let moved = self.shares.iter().map(|share| {
            sum += share / total;
            let now = if sum >= 1.0 - 1e-12 { 1.0 } else { normal_below(normal_at(sum) - by) };
            let share = (now - before).max(0.0);
            before = now;
            share
        });
        moved.collect()
    }

    fn with_unseen(&self) -> Vec<f64> {
        let mut shares = self.shares.clone();
        if self.categorical {
            shares.push(0.0);
        }
        shares
    }

    pub fn most(&self) -> f64 {
        if self.categorical { 0.99 } else { 6.0 }
    }
}

fn normal_below(z: f64) -> f64 {
    erfc(-z * std::f64::consts::FRAC_1_SQRT_2) / 2.0
}

fn normal_at(p: f64) -> f64 {
    -std::f64::consts::SQRT_2 * erfc_inv(2.0 * p.clamp(1e-300, 1.0 - 1e-16))
}

/// A statistic of the bins of a window and of the reference, and the limit it breaks.
pub enum OnBins {
    Psi(Zero, f64),
    /// p below the first, Cramér's V at least the second.
    Pearson(f64, f64),
}

impl OnBins {
    fn breaks(&self, reference: &[u64], window: &[u64]) -> bool {
        match *self {
            Self::Psi(zero, lt) => psi(reference, window, zero).is_some_and(|value| value >= lt),
            Self::Pearson(alpha, effect) => pearson_pooled(reference, window, 0).is_some_and(|(found, _)| {
                let n: u64 = reference.iter().chain(window).sum();
                found.p.p < alpha && (found.statistic / real(n.max(1))).sqrt() >= effect
            }),
        }
    }
}

/// How often windows of `n` block by a statistic of their bins, and the smallest shift that a window finds.
pub fn on_bins(
    rhythm: Rhythm,
    shape: &Shape,
    n: u64,
    on: &OnBins,
    lasts: Option<Hysteresis>,
    draws: &mut Draws,
) -> (Blocking, Option<f64>) {
    let shares = shape.with_unseen();
    let work = Counts::work(shares.len(), n, rhythm.panes) + 2 * shares.len();
    let each = rhythm.looks(work, REFERENCES);
    let mut sum = Blocking::default();
    for _ in 0..REFERENCES {
        let reference = sample(&shares, shape.rows, draws);
        let mut window = Counts::new(&shares, n, rhythm.panes, draws);
        let found = rhythm.follow(each, lasts, || {
            window.slide(draws);
            on.breaks(&reference, &window.sum)
        });
        sum.windows += found.windows;
        sum.days += found.days;
    }
    #[expect(clippy::cast_precision_loss, reason = "ten")]
    let times = REFERENCES as f64;
    let blocking = Blocking { windows: sum.windows / times, days: sum.days / times };
    let reference = sample(&shares, shape.rows, draws);
    let finds = smallest(shape.most(), |by| {
        let moved = shape.shifted(by);
        share_of(TRIES, || on.breaks(&reference, &sample(&moved, n, draws)))
    });
    (blocking, finds)
}

/// D of windows of `n` numbers against `m` of training, window by window.
pub struct Distances {
    /// A run of windows for each reference that was drawn.
    runs: Vec<Vec<f32>>,
    n: u64,
    m: u64,
}

impl Distances {
    pub fn new(rhythm: Rhythm, n: u64, m: u64, draws: &mut Draws) -> Self {
        let cells = usize::try_from(n).unwrap_or(CELLS).saturating_mul(4).clamp(64, CELLS);
        let shares = vec![1.0; cells];
        let looks = rhythm.looks((cells + Counts::work(1, n, rhythm.panes)) / 6, REFERENCES);
        let run = |draws: &mut Draws| {
            let reference = sample(&shares, m, draws);
            let total = real(reference.iter().sum::<u64>());
            let mut sum = 0;
            let reference = reference.iter().map(|n| {
                sum += n;
                real(sum) / total
            });
            let reference: Vec<f64> = reference.collect();
            let mut window = Counts::new(&shares, n, rhythm.panes, draws);
            let distances = (0..looks).map(|_| {
                window.slide(draws);
                let scale = 1.0 / real(window.sum.iter().sum::<u64>());
                let (mut sum, mut most) = (0, 0.0_f64);
                for (n, reference) in window.sum.iter().zip(&reference) {
                    sum += n;
                    most = most.max((real(sum) * scale - reference).abs());
                }
                #[expect(clippy::cast_possible_truncation, reason = "seven digits are enough")]
                let most = most as f32;
                most
            });
            distances.collect()
        };
        Self { runs: (0..REFERENCES).map(|_| run(draws)).collect(), n, m }
    }

    /// The D beyond which p is below `alpha`: Kolmogorov's limit, with the correction that `stats::ks` makes.
    pub fn critical(&self, alpha: f64) -> f64 {
        let (n, m) = (real(self.n), real(self.m));
        let z = ((2.0 / alpha).ln() / 2.0).sqrt();
        let (small, large) = (n.min(m), n.max(m));
        let correction = (large + 2.0 * small) / (6.0 * (large * small * (large + small)).sqrt());
        ((z - correction) * (1.0 / n + 1.0 / m).sqrt()).max(0.0)
    }

    pub fn blocking(&self, rhythm: Rhythm, limit: f64, lasts: Option<Hysteresis>) -> Blocking {
        let mut sum = Blocking::default();
        for run in &self.runs {
            let mut at = run.iter();
            let found =
                rhythm.follow(run.len(), lasts, || at.next().is_some_and(|distance| f64::from(*distance) > limit));
            sum.windows += found.windows;
            sum.days += found.days;
        }
        #[expect(clippy::cast_precision_loss, reason = "ten")]
        let runs = self.runs.len().max(1) as f64;
        Blocking { windows: sum.windows / runs, days: sum.days / runs }
    }

    /// The smallest shift of a normal feature, in standard deviations, that a window finds.
    pub fn finds(&self, limit: f64, draws: &mut Draws) -> Option<f64> {
        let cells = 256;
        let shape = Shape { shares: vec![1.0; cells], rows: self.m, categorical: false, discrete: false };
        smallest(6.0, |by| {
            let moved = shape.shifted(by);
            share_of(TRIES, || {
                let window = sample(&moved, self.n, draws);
                let total = real(window.iter().sum::<u64>());
                let (mut sum, mut most) = (0, 0.0_f64);
                for (cell, n) in (1_u64..).zip(&window) {
                    sum += n;
                    most = most.max((real(sum) / total - real(cell) / real(cells as u64)).abs());
                }
                most > limit
            })
        })
    }
}

/// The level of one subject in a rule of several: what its smallest p-value is compared with.
pub fn level(alpha: f64, correction: Correction, subjects: usize) -> f64 {
    match correction {
        Correction::None => alpha,
        Correction::Bonferroni | Correction::Holm | Correction::Bh => alpha / real(subjects.max(1) as u64),
    }
}

/// The shape that chi-square assumes where nothing is known.
pub fn unknown() -> Shape {
    Shape { shares: vec![1.0; BINS], rows: ROWS, categorical: false, discrete: true }
}

/// A rate that blocks above `base + limit`, of `n` events at the rate `base`.
pub fn rate_above(
    rhythm: Rhythm,
    (base, limit): (f64, f64),
    n: u64,
    lasts: Option<Hysteresis>,
    draws: &mut Draws,
) -> (Blocking, Option<f64>) {
    let above = |yes: u64| real(yes) / real(n) - base > limit + 1e-12;
    let blocking = if base > 0.0 {
        let mut window = Successes::new(base, n, rhythm.panes, draws);
        rhythm.follow(rhythm.looks(20, 1), lasts, || {
            window.slide(draws);
            above(window.sum)
        })
    } else {
        Blocking::default()
    };
    let finds = smallest(1.0 - base, |by| share_of(TRIES, || above(draws.binomial(n, base + by))));
    (blocking, finds)
}
