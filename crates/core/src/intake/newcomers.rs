//! Names of versions that events bring and that are not registered. Every producer of a topic can invent them, and each costs a
//! look-up of a snapshot, a baseline, panes and verdicts: so many are taken on an hour, the others are counted, and events of
//! them count for no version. What is registered is always taken on, and one that was refused is as soon as it is registered,
//! its snapshot is found, or there is room again. A replay takes on what its files have. `guard` is how the intake asks it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Names that were refused and whose snapshots are looked for, one after the other.
pub const MOST_SOUGHT: usize = 20_000;
/// Events wait so long for baselines of versions that are not registered, and so long for those of registered ones where other
/// models' events wait with them,
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// and so much of the time that passes without waiting comes back: a tenth for the ones,
const REGAINED: u32 = 10;
/// a thirtieth for the others, which is two minutes an hour.
const REGAINED_SHARED: u32 = 30;

/// Says which versions are registered.
pub trait Registered: Send + Sync {
    /// The registered versions of a model; `None` where that cannot be determined now.
    fn registered(&self, model: &str) -> Option<BTreeSet<String>>;
}

/// What was not taken on; only ever grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// Names.
    pub names: u64,
    /// Events of these.
    pub events: u64,
}

/// The rule of one model.
pub struct Newcomers {
    pub(super) registry: Arc<dyn Registered>,
    /// Tells the time.
    pub(super) clock: fn() -> Instant,
    /// So many an hour, and at once.
    per_hour: u32,
    places: f64,
    since: Instant,
    pub(super) refused: Refused,
    /// Refused names whose snapshots were not looked for yet; those that come again and again first.
    pub(super) sought: VecDeque<Box<str>>,
    again: BTreeSet<Box<str>>,
    pub(super) waits: Waits,
    /// Of registered versions, where other models have the same topic: these are not held up by them for long.
    pub(super) shared: Option<Waits>,
}

/// Waiting for baselines of versions.
pub(super) struct Waits {
    of: BTreeSet<String>,
    /// When waiting or not waiting began.
    pub(super) since: Instant,
    left: Duration,
    /// This part of the time without waiting comes back.
    regained: u32,
}

impl Newcomers {
    /// The rule by which so many names are taken on per hour of the clock.
    #[must_use]
    pub fn new(per_hour: usize, registry: Arc<dyn Registered>, clock: fn() -> Instant) -> Self {
        let per_hour = u32::try_from(per_hour).unwrap_or(u32::MAX);
        let now = clock();
        Self {
            registry,
            clock,
            per_hour,
            places: f64::from(per_hour),
            since: now,
            refused: Refused::default(),
            sought: VecDeque::new(),
            again: BTreeSet::new(),
            waits: Waits::new(now, REGAINED),
            shared: None,
        }
    }

    /// The same for a model that shares a topic with others.
    #[must_use]
    pub fn sharing(self, shares: bool) -> Self {
        Self { shared: shares.then(|| Waits::new((self.clock)(), REGAINED_SHARED)), ..self }
    }

    /// Whether there is room for one more.
    pub(super) fn has_place(&mut self, now: Instant) -> bool {
        let most = f64::from(self.per_hour);
        let regained = now.saturating_duration_since(self.since).as_secs_f64() * most / 3600.0;
        (self.places, self.since) = ((self.places + regained).min(most), now);
        self.places >= 1.0
    }

    pub(super) fn take_place(&mut self, now: Instant) -> bool {
        let has = self.has_place(now);
        self.places -= f64::from(u8::from(has));
        has
    }

    pub(super) fn refuse(&mut self, name: Box<str>) {
        self.refused.names += 1;
        if self.sought.len() < MOST_SOUGHT {
            self.sought.push_back(name);
        }
    }

    /// A name that was refused has more events: made-up names mostly have one.
    pub(super) fn comes_again(&mut self, name: Box<str>) {
        if self.again.len() < MOST_SOUGHT && self.again.insert(name.clone()) {
            self.sought.push_front(name);
        }
    }
}

impl Waits {
    fn new(now: Instant, regained: u32) -> Self {
        Self { of: BTreeSet::new(), since: now, left: PATIENCE, regained }
    }

    /// Whether there is patience to wait for a version's baseline.
    pub(super) fn for_one(&mut self, version: &str, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.since);
        if self.of.is_empty() {
            self.left = (self.left + passed / self.regained).min(PATIENCE);
            self.since = now;
        } else if passed >= self.left {
            return false;
        }
        if self.left < Duration::from_secs(1) {
            return false;
        }
        if !self.of.contains(version) {
            self.of.insert(version.to_owned());
        }
        true
    }

    /// It is not waited for any more.
    pub(super) fn end(&mut self, version: &str, now: Instant) {
        if self.of.remove(version) && self.of.is_empty() {
            self.left = self.left.saturating_sub(now.saturating_duration_since(self.since));
            self.since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nobody;

    impl Registered for Nobody {
        fn registered(&self, _: &str) -> Option<BTreeSet<String>> {
            None
        }
    }

    #[test]
    fn places_come_back_by_the_hour() {
        let mut newcomers = Newcomers::new(3, Arc::new(Nobody), Instant::now);
        let start = Instant::now();
        assert_eq!([(); 5].map(|()| newcomers.take_place(start)), [true, true, true, false, false]);
        let later = |minutes: u64| start + Duration::from_secs(60 * minutes);
        assert!(!newcomers.take_place(later(19)));
        assert!(newcomers.take_place(later(21)) && !newcomers.take_place(later(22)));
        // Not more than three at once, however long no name came.
        assert_eq!([(); 4].map(|()| newcomers.take_place(later(6000))), [true, true, true, false]);
    }

    #[test]
    fn waiting_for_what_nobody_registered_takes_a_minute_and_then_a_tenth_of_the_time() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut waits = Waits::new(start, REGAINED);
        assert!(waits.for_one("a", at(0)) && waits.for_one("b", at(40)) && waits.for_one("a", at(59)));
        assert!(!waits.for_one("a", at(60)) && !waits.for_one("b", at(60)));
        waits.end("a", at(60));
        waits.end("b", at(60));
        assert!(!waits.for_one("c", at(61)));
        waits.end("c", at(61));
        assert!(waits.for_one("d", at(161)) && waits.for_one("d", at(169)));
        assert!(!waits.for_one("d", at(172)));
        waits.end("d", at(172));
        assert!(waits.for_one("e", at(2000)) && waits.for_one("e", at(2059)) && !waits.for_one("e", at(2060)));
    }
}
