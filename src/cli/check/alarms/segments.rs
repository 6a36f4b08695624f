//! Rules on segments, where every segment is as it was in training: each has `min_positives` in the window, the least that a
//! rule judges.

use super::simulate::{Blocking, Rhythm, Successes, share_of, smallest};
use driftgate_core::baseline::Baseline;
use driftgate_core::policy::Hysteresis;
use driftgate_core::rule::alarms::{Breaks, SegmentSimulation};
use driftgate_core::stats::draws::Draws;
use driftgate_core::stats::fairness::{Confusion, Rate};
use driftgate_core::stats::proportion::newcombe;

/// Segments and their rates, where the snapshot does not say.
pub const SEGMENTS: usize = 5;
const TPR: f64 = 0.8;
const FPR: f64 = 0.2;
const SELECTION: f64 = 0.5;
/// Segments that are simulated, at most.
const MOST: usize = 60;
const ALPHA: f64 = 0.05;
const TRIES: u32 = 200;

/// How often the rule blocks, by how much one segment's rate must move to be found, and what was assumed.
pub struct Found {
    pub blocking: Blocking,
    pub finds: Option<f64>,
    pub segments: usize,
    pub least: u64,
    /// Whether the snapshot says which segments there are.
    pub known: bool,
    /// The gap that the snapshot's own segments have, where it breaks the limit by itself.
    pub broken: Option<f64>,
}

fn real(n: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    let real = n as f64;
    real
}

/// The rates of the segments, as in training where that is known.
fn rates(baseline: Option<&Baseline>, by: usize, rate: Rate, least: u64) -> (Vec<f64>, bool) {
    let known = baseline.and_then(|b| b.segments.get(by)?.as_ref());
    let segments: Vec<&Confusion> = known.into_iter().flat_map(|s| s.values()).collect();
    let eligible: Vec<&&Confusion> = segments.iter().filter(|s| rate.counts(s).1 >= least).collect();
    if eligible.len() >= 2 {
        return (eligible.iter().take(MOST).filter_map(|s| rate.value(s)).collect(), true);
    }
    let usual = match rate {
        Rate::Tpr | Rate::Accuracy | Rate::Precision | Rate::Specificity => TPR,
        Rate::Fpr | Rate::Fnr | Rate::Fdr | Rate::For => FPR,
        Rate::Selection => SELECTION,
    };
    (vec![usual; SEGMENTS], false)
}

/// Whether the successes among `n` of each segment break the limit.
fn holds(breaks: &Breaks, yes: &[u64], n: u64, training: &[f64]) -> bool {
    let (most, least) = (yes.iter().max().copied().unwrap_or(0), yes.iter().min().copied().unwrap_or(0));
    let falls = yes.iter().zip(training);
    match *breaks {
        // A hair, since 3/30 is 0.1.
        Breaks::Gap(lt) => real(most - least) / real(n) >= lt - 1e-12,
        Breaks::Ratio(gte) => most > 0 && real(least) / real(most) < gte - 1e-12,
        Breaks::GapBound(lte) => {
            let pairs = real((yes.len() * yes.len().saturating_sub(1)).max(1) as u64);
            // The widest pair has the largest bound, for all have the same n.
            let bounds = newcombe(most, n, least, n, (2.0 * ALPHA / pairs).min(0.99));
            bounds.is_some_and(|(lower, _)| lower > lte)
        }
        Breaks::Drop(max) => falls.into_iter().any(|(yes, rate)| rate - real(*yes) / real(n) > max + 1e-12),
        Breaks::DropBound(max) => {
            let alpha = ALPHA / real(yes.len().max(1) as u64);
            falls.into_iter().any(|(yes, rate)| {
                let mean = real(*yes) / real(n);
                let upper = driftgate_core::stats::proportion::wilson(*yes, n, alpha).map_or(1.0, |(_, upper)| upper);
                rate - mean - (upper - mean) > max
            })
        }
    }
}

fn simulate(
    rhythm: Rhythm,
    (rates, known): (&[f64], bool),
    least: u64,
    breaks: &Breaks,
    lasts: Option<Hysteresis>,
    draws: &mut Draws,
) -> Found {
    let mut windows: Vec<Successes> =
        rates.iter().map(|rate| Successes::new(*rate, least, rhythm.panes, draws)).collect();
    let mut yes = vec![0; rates.len()];
    let blocking = rhythm.follow(rhythm.looks(20 * rates.len().max(1), 1), lasts, || {
        for (yes, window) in yes.iter_mut().zip(&mut windows) {
            window.slide(draws);
            *yes = window.sum;
        }
        holds(breaks, &yes, least, rates)
    });
    // One segment is treated worse than before, all others as they were.
    let usual = rates.first().copied().unwrap_or(0.0);
    let finds = smallest(usual, |by| {
        share_of(TRIES, || {
            for (at, (yes, rate)) in yes.iter_mut().zip(rates).enumerate() {
                *yes = draws.binomial(least, if at == 0 { rate - by } else { *rate });
            }
            holds(breaks, &yes, least, rates)
        })
    });
    let wide = rates.iter().copied().fold(f64::MIN, f64::max) - rates.iter().copied().fold(f64::MAX, f64::min);
    let broken = matches!(*breaks, Breaks::Gap(lt) if wide >= lt).then_some(wide);
    Found { blocking, finds, segments: rates.len(), least, known, broken }
}

/// A rule over segments; `None` for one that judges no rate.
pub fn judge(
    rhythm: Rhythm,
    rule: &SegmentSimulation,
    lasts: Option<Hysteresis>,
    baseline: Option<&Baseline>,
    draws: &mut Draws,
) -> Option<Found> {
    let SegmentSimulation { by, min_positives: least, parts, .. } = rule;
    parts
        .iter()
        .map(|(rate, breaks)| {
            let (rates, known) = rates(baseline, *by, *rate, *least);
            simulate(rhythm, (&rates, known), *least, breaks, lasts, draws)
        })
        .reduce(|one, other| Found {
            blocking: Blocking {
                windows: either(one.blocking.windows, other.blocking.windows),
                days: either(one.blocking.days, other.blocking.days),
            },
            finds: match (one.finds, other.finds) {
                (Some(a), Some(b)) => Some(a.max(b)),
                _ => None,
            },
            known: one.known && other.known,
            broken: one.broken.or(other.broken),
            ..one
        })
}

/// The probability that one of two independent things happens.
pub fn either(a: f64, b: f64) -> f64 {
    a + b - a * b
}
