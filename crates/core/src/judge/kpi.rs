//! What is remembered of a KPI from window to window, so that `kpi_drop` rules have something to compare a version with. A
//! version is compared with the champion beside it; the one in prod, which has none, with the version that was in prod before
//! it, up to when the pointer moved; the first one in prod with its own past. How a comparison decides is `rule::comparison`.

use serde::{Deserialize, Serialize};

use crate::rule::comparison::{EACH, Total, portion};
use crate::stats::sequential::Paired;

pub use crate::rule::comparison::{ALPHA, Compared, Comparison, Share, Versus};

/// A version's past reaches back so many days (or windows, where they are longer).
const EPOCHS: i64 = 7;
const DAY_MS: i64 = 86_400_000;

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
