//! What a `kpi_drop` rule compares a version with, and what is remembered of that from window to window. A version is
//! compared with the champion beside it; the one in prod, which has none, with the version that was in prod before it, up to
//! when the pointer moved; the first one in prod with its own past.
//!
//! Without `for` a rule may block at any window, so its interval holds at all of them together. A third of α is for the sums
//! since the comparison began (a confidence sequence over disjoint slides, `stats::sequential`), a third for the sums of each
//! day, a third for the windows one by one; of days and windows the k-th takes 1/(k(k + 1)). The sums find a small drop that
//! lasts, a day's or a window's find a large one that begins late. Windows may overlap, since the union bound asks nothing of
//! them. With `for` it is Newcombe's interval of the window.

use serde::{Deserialize, Serialize};

use crate::policy::Tolerance;
use crate::stats::proportion::newcombe;
use crate::stats::ratio::Ratio;
use crate::stats::sequential::{Paired, difference};

/// Two-sided, of one comparison of a version with one reference, over all its windows.
pub const ALPHA: f64 = 0.05;
/// The part of it for each of the three ways of looking.
const EACH: f64 = ALPHA / 3.0;
/// A version's past reaches back so many days (or windows, where they are longer).
const EPOCHS: i64 = 7;
const DAY_MS: i64 = 86_400_000;

/// What the reference is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versus {
    /// Another version in prod in the same window.
    Champion,
    /// The version in prod before this one.
    Predecessor,
    /// Its own earlier slides.
    Itself,
}

impl Versus {
    /// As results spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Champion => "champion",
            Self::Predecessor => "predecessor",
            Self::Itself => "self",
        }
    }
}

/// So many of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    pub yes: u64,
    pub n: u64,
}

impl Share {
    #[must_use]
    pub fn rate(self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
        (self.n > 0).then(|| self.yes as f64 / self.n as f64)
    }

    pub fn add(&mut self, other: Self) {
        self.yes = self.yes.saturating_add(other.yes);
        self.n = self.n.saturating_add(other.n);
    }
}

/// A version's time in prod, by the times of its predictions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InProd {
    /// The last prediction of the first window in which it was there.
    pub since: i64,
    /// The last one so far.
    pub last: i64,
}

/// What a (version, group) remembers for its `kpi_drop` rules.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcomes {
    pub prod: Option<InProd>,
    /// Which version was in prod before.
    pub predecessor: Option<String>,
    /// By KPI of `Reads::kpis`, up to the last one that was counted.
    kpis: Vec<Kpi>,
}

/// What is remembered of one KPI.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Kpi {
    /// Slides in prod that no window holds any more, by day; the latest `EPOCHS`.
    past: Vec<Epoch>,
    /// The end of the last window that blocked: its slides are no past to compare with.
    blocked_until: Option<i64>,
    /// The predecessor's last slides when the pointer moved.
    predecessor: Share,
    beside: Beside,
    after: After,
    itself: After,
}

/// The day that sums are of, and the how manieth of a comparison it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Today {
    number: Option<i64>,
    count: u64,
}

impl Today {
    /// Whether another day begins.
    fn turns(&mut self, number: i64) -> bool {
        let turns = self.number != Some(number);
        self.number = Some(number);
        self.count += u64::from(turns);
        turns
    }
}

/// The share of α that the k-th of many has, which together are 1.
fn portion(k: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a number of windows or days")]
    let k = k.max(1) as f64;
    1.0 / (k * (k + 1.0))
}

/// The comparison with what was before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct After {
    looks: u64,
    sums: Share,
    today: Today,
    of_day: Share,
    /// What the day is compared with.
    before_day: Share,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Epoch {
    number: i64,
    all: Share,
    /// Without the windows that blocked.
    sound: Share,
}

/// The comparison with a champion, slide by slide.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Beside {
    champion: String,
    looks: u64,
    sums: Paired,
    today: Today,
    of_day: Paired,
}

/// A reference that another version is.
#[derive(Clone, Copy, Debug)]
pub struct Other<'a> {
    pub version: &'a str,
    /// In the window, and in its last slide.
    pub window: Share,
    pub slide: Share,
}

/// A version at the end of a window.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    pub version: &'a str,
    pub window: Share,
    pub slide: Share,
    /// The number of the day that the slide is in.
    pub epoch: i64,
    pub in_prod: bool,
    pub champion: Option<Other<'a>>,
    pub predecessor: Option<&'a str>,
}

/// A window beside its reference.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    pub versus: Versus,
    pub version: String,
    pub reference: Share,
    /// The how manieth window of the comparison it is.
    pub look: u64,
    /// Sums of both sides.
    pub totals: Vec<Total>,
}

/// What both sides have shown over disjoint slides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Total {
    /// Of when, for people.
    pub of: &'static str,
    pub own: Share,
    pub reference: Share,
    pub bounds: Option<(f64, f64)>,
}

/// How a window stands to its reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// Bounds of the window's rate less the reference's.
    pub bounds: Option<(f64, f64)>,
    /// The window has dropped by more than is tolerated, whatever chance did.
    pub by_window: bool,
    /// The sums, those that have dropped if any have.
    pub total: Option<Total>,
    pub by_total: bool,
}

impl Decision {
    #[must_use]
    pub fn blocks(&self) -> bool {
        self.by_window || self.by_total
    }
}

/// What the rules on a KPI choose from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Compared {
    /// Against another version in prod in the same window.
    pub beside: Option<Comparison>,
    /// Against the predecessor, or the version's own past.
    pub before: Option<Comparison>,
}

impl Comparison {
    /// Bounds of the window's rate less the reference's that hold at every window of the comparison.
    fn at_any_look(&self, window: Share) -> Option<(f64, f64)> {
        newcombe(window.yes, window.n, self.reference.yes, self.reference.n, EACH * portion(self.look))
    }

    /// Whether the drop exceeds what is tolerated; `lasts` says that the rule asks for a breach that lasts (`for`).
    #[must_use]
    pub fn decide(&self, window: Share, max: Tolerance, lasts: bool) -> Decision {
        let reference = self.reference;
        let bounds = if lasts {
            newcombe(window.yes, window.n, reference.yes, reference.n, ALPHA)
        } else {
            self.at_any_look(window)
        };
        let breaks = |bounds: Option<(f64, f64)>, reference: Share| {
            let allowed = match max {
                Tolerance::Absolute(x) => Some(x.value()),
                Tolerance::Relative(x) => Ratio::of_counts(reference.yes, reference.n)
                    .and_then(|rate| rate.times(x.ratio()))
                    .map(Ratio::value),
            };
            bounds.zip(allowed).is_some_and(|((_, upper), allowed)| upper < -allowed)
        };
        let totals = if lasts { &[][..] } else { &self.totals };
        let broken = totals.iter().find(|t| breaks(t.bounds, t.reference)).copied();
        Decision {
            bounds,
            by_window: breaks(bounds, reference),
            total: broken.or_else(|| totals.first().copied()),
            by_total: broken.is_some(),
        }
    }
}

/// The number of the day (or of the window's length, where that is longer) that a time lies in.
#[must_use]
pub fn epoch(ms: i64, size: i64) -> i64 {
    ms.div_euclid(DAY_MS.max(size))
}

impl Outcomes {
    /// What is remembered of a KPI, made where it is new.
    pub fn kpi(&mut self, at: usize) -> &mut Kpi {
        if self.kpis.len() <= at {
            self.kpis.resize(at + 1, Kpi::default());
        }
        #[expect(clippy::indexing_slicing, reason = "made just now")]
        &mut self.kpis[at]
    }

    /// The slides of its past in prod, of a KPI.
    #[must_use]
    pub fn past(&self, at: usize) -> Share {
        self.kpis.get(at).map_or_else(Share::default, |kpi| sum(kpi.past.iter().map(|e| e.all)))
    }

    /// Its time in prod begins anew.
    pub fn moved_to_prod(&mut self, at: i64, predecessor: Option<String>) {
        self.prod = Some(InProd { since: at, last: at });
        self.predecessor = predecessor;
        for kpi in &mut self.kpis {
            (kpi.after, kpi.predecessor) = Default::default();
        }
    }
}

fn sum(shares: impl Iterator<Item = Share>) -> Share {
    shares.fold(Share::default(), |mut sum, share| {
        sum.add(share);
        sum
    })
}

impl Kpi {
    /// A slide in prod that starts at `start` is in no window any more.
    pub fn leave(&mut self, start: i64, epoch: i64, slide: Share) {
        if slide.n == 0 {
            return;
        }
        if self.past.last().is_none_or(|e| e.number != epoch) {
            self.past.push(Epoch { number: epoch, ..Epoch::default() });
            self.past.retain(|e| e.number > epoch.saturating_sub(EPOCHS));
        }
        let sound = self.blocked_until.is_none_or(|until| start >= until);
        if let Some(last) = self.past.last_mut() {
            last.all.add(slide);
            if sound {
                last.sound.add(slide);
            }
        }
    }

    /// What the predecessor has shown; what was compared with it before is not of this comparison.
    pub fn comes_after(&mut self, predecessor: Share) {
        self.predecessor = predecessor;
        self.after.sums = Share::default();
        self.after.of_day = Share::default();
    }

    /// The window that ends here blocked.
    pub fn blocked(&mut self, end: i64) {
        self.blocked_until = Some(end);
    }

    /// Takes note of a window and says what it is compared with. Windows and references below `least` are no looks.
    pub fn compare(&mut self, seen: &Seen<'_>, least: u64) -> Compared {
        let beside = seen.champion.map(|other| self.beside(seen, other, least));
        Compared { beside, before: if seen.in_prod { self.before(seen, least) } else { None } }
    }

    fn beside(&mut self, seen: &Seen<'_>, other: Other<'_>, least: u64) -> Comparison {
        let beside = &mut self.beside;
        if beside.champion != other.version {
            *beside = Beside { champion: other.version.to_owned(), ..Beside::default() };
        }
        if beside.today.turns(seen.epoch) {
            beside.of_day = Paired::default();
        }
        for sums in [&mut beside.sums, &mut beside.of_day] {
            sums.add(seen.slide.yes, seen.slide.n, other.slide.yes, other.slide.n);
        }
        beside.looks += u64::from(seen.window.n.min(other.window.n) >= least);
        let total = |of, sums: &Paired, alpha| Total {
            of,
            own: Share { yes: sums.yes_a, n: sums.n_a },
            reference: Share { yes: sums.yes_b, n: sums.n_b },
            bounds: sums.bounds(alpha),
        };
        Comparison {
            versus: Versus::Champion,
            version: other.version.to_owned(),
            reference: other.window,
            look: beside.looks,
            totals: vec![
                total(SINCE, &beside.sums, EACH),
                total(OF_DAY, &beside.of_day, EACH * portion(beside.today.count)),
            ],
        }
    }

    fn before(&mut self, seen: &Seen<'_>, least: u64) -> Option<Comparison> {
        if let Some(version) = seen.predecessor.filter(|_| self.predecessor.n >= least) {
            let before = self.predecessor;
            self.after.see(seen, before, before.n.min(seen.window.n) >= least);
            let after = &self.after;
            let since = Total::of(SINCE, after.sums, before, EACH);
            return Some(after.comparison(Versus::Predecessor, version, before, vec![since]));
        }
        let past = sum(self.past.iter().map(|e| e.sound));
        if past.n == 0 {
            return None;
        }
        self.itself.see(seen, past, past.n.min(seen.window.n) >= least);
        Some(self.itself.comparison(Versus::Itself, seen.version, past, Vec::new()))
    }
}

const SINCE: &str = "since the comparison began";
const OF_DAY: &str = "of the day";

impl Total {
    fn of(of: &'static str, own: Share, reference: Share, alpha: f64) -> Self {
        let bounds = difference(own.yes, own.n, reference.yes, reference.n, alpha);
        Self { of, own, reference, bounds }
    }
}

impl After {
    fn see(&mut self, seen: &Seen<'_>, before: Share, looks: bool) {
        if self.today.turns(seen.epoch) {
            (self.of_day, self.before_day) = (Share::default(), before);
        }
        self.sums.add(seen.slide);
        self.of_day.add(seen.slide);
        self.looks += u64::from(looks);
    }

    fn comparison(&self, versus: Versus, version: &str, reference: Share, mut totals: Vec<Total>) -> Comparison {
        // A predecessor stays as it was; the own past grows, and the day must not be compared with itself.
        let before = if versus == Versus::Itself { self.before_day } else { reference };
        totals.push(Total::of(OF_DAY, self.of_day, before, EACH * portion(self.today.count)));
        Comparison { versus, version: version.to_owned(), reference, look: self.looks, totals }
    }
}

#[cfg(test)]
mod tests;
