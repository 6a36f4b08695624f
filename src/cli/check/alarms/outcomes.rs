//! Rules on outcomes, without change: AUC as it was in training, KPIs of two versions that are equally good.

use super::simulate::{Blocking, Rhythm, Successes, share_of, smallest};
use driftgate_core::baseline::Baseline;
use driftgate_core::judge::kpi::{Kpi, Other, Seen, Share};
use driftgate_core::policy::{Hysteresis, Tolerance};
use driftgate_core::stats::auc::auc;
use driftgate_core::stats::draws::Draws;
use driftgate_core::stats::grid::Grid;

/// The KPI's rate, which no snapshot says.
pub const KPI_RATE: f64 = 0.1;
/// Comparisons that are simulated.
const COMPARISONS: usize = 8;
const TRIES: u32 = 200;

fn real(n: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    let real = n as f64;
    real
}

/// AUC and its standard error in a window of `n` pairs (Hanley and `McNeil` 1982), as in training; `None` where the snapshot has
/// no scores or labels.
fn training_auc(baseline: &Baseline, n: u64) -> Option<(f64, f64)> {
    let [no, yes] = baseline.score_by_label.as_ref()?;
    let a = auc(yes, no, Grid::is_atom)?.mid;
    let (negative, positive): (u64, u64) = (no.iter().sum(), yes.iter().sum());
    let share = real(positive) / real(positive + negative);
    let (p, q) = ((real(n) * share).max(1.0), (real(n) * (1.0 - share)).max(1.0));
    let (q1, q2) = (a / (2.0 - a), 2.0 * a * a / (1.0 + a));
    let variance = (a * (1.0 - a) + (p - 1.0) * (q1 - a * a) + (q - 1.0) * (q2 - a * a)) / (p * q);
    Some((a, variance.max(0.0).sqrt()))
}

/// How often AUC falls below its limit; what is found is a fall below training.
pub fn auc_below(
    rhythm: Rhythm,
    gte: f64,
    n: u64,
    lasts: Option<Hysteresis>,
    baseline: &Baseline,
    draws: &mut Draws,
) -> Option<(Blocking, Option<f64>)> {
    let (mean, error) = training_auc(baseline, n)?;
    let mut panes: std::collections::VecDeque<f64> = (0..rhythm.panes).map(|_| draws.normal()).collect();
    let mut sum: f64 = panes.iter().sum();
    let root = real(rhythm.panes as u64).sqrt();
    let blocking = rhythm.follow(rhythm.looks(20, 1), lasts, || {
        let z = draws.normal();
        sum += z - panes.pop_front().unwrap_or(0.0);
        panes.push_back(z);
        mean + error * sum / root < gte
    });
    // The value that lies below the limit in four of five windows.
    let finds = mean - (gte - 0.841_621 * error);
    Some((blocking, (finds > 0.0).then_some(finds)))
}

/// A version and the champion, in one window.
struct Sides {
    window: Share,
    slide: Share,
    other: Other<'static>,
}

impl Sides {
    /// Whether the comparison blocks the version upon this window.
    fn blocks(&self, kpi: &mut Kpi, epoch: i64, least: u64, max: Tolerance, lasts: Option<Hysteresis>) -> bool {
        let Self { window, slide, other } = *self;
        let champion = Some(other);
        let seen = Seen { version: "", window, slide, epoch, in_prod: false, champion, predecessor: None };
        let compared = kpi.compare(&seen, least).beside;
        compared.is_some_and(|compared| compared.decide(window, max, lasts.is_some()).blocks())
    }
}

/// Two sides with `n` events per window and the same rate.
pub fn kpi_drop(
    rhythm: Rhythm,
    max: Tolerance,
    n: u64,
    lasts: Option<Hysteresis>,
    draws: &mut Draws,
) -> (Blocking, Option<f64>) {
    let (mut sum, own_n) = (Blocking::default(), n);
    let blocks = |kpi: &mut Kpi, of: &Sides, epoch| of.blocks(kpi, epoch, n.min(1), max, lasts);
    let looks = rhythm.looks(60, COMPARISONS);
    for _ in 0..COMPARISONS {
        let mut kpi = Kpi::default();
        let mut own = Successes::new(KPI_RATE, own_n, rhythm.panes, draws);
        let mut other = Successes::new(KPI_RATE, own_n, rhythm.panes, draws);
        let mut look = 0;
        let found = rhythm.follow(looks, lasts, || {
            look += 1;
            let ((own_slide, own_yes), (other_slide, other_yes)) = (own.slide(draws), other.slide(draws));
            let sides = Sides {
                window: Share { yes: own.sum, n: own_n },
                slide: Share { yes: own_yes, n: own_slide },
                other: Other {
                    version: "champion",
                    window: Share { yes: other.sum, n: own_n },
                    slide: Share { yes: other_yes, n: other_slide },
                },
            };
            blocks(&mut kpi, &sides, look / rhythm.epoch())
        });
        sum.windows += found.windows;
        sum.days += found.days;
    }
    let times = real(COMPARISONS as u64);
    let blocking = Blocking { windows: sum.windows / times, days: sum.days / times };
    // Of the rate, in its first window.
    let finds = smallest(1.0, |by| {
        share_of(TRIES, || {
            let window = Share { yes: draws.binomial(n, KPI_RATE * (1.0 - by)), n };
            let other = Share { yes: draws.binomial(n, KPI_RATE), n };
            let other = Other { version: "champion", window: other, slide: other };
            blocks(&mut Kpi::default(), &Sides { window, slide: window, other }, 0)
        })
    });
    (blocking, finds)
}
