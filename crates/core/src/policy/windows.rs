//! Windows of event time: runs of panes of one slide each, from the epoch in UTC, or days and weeks of a time zone.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::rule::versus::Versus;

/// A span of event time in milliseconds.
pub type Millis = i64;

/// Milliseconds of a day of 24 hours.
pub const DAY: Millis = 86_400_000;

/// `size` is a multiple of `slide`; both positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowSpec {
    pub size: Millis,
    pub slide: Millis,
    /// Whose days these are, where the slide is made of whole days; `size` and `slide` count days of 24 hours then, and a day of 23 or 25
    /// hours is one of them.
    pub local: Option<LocalDays>,
}

/// Days of a time zone, and the day that weeks begin with.
#[derive(Clone, Copy)]
pub struct LocalDays(&'static Calendar);

struct Calendar {
    name: String,
    zone: TimeZone,
    /// Days from Monday, 0 to 6.
    week: i64,
}

/// Each calendar that a policy has named, once: the zones of the database and seven days bound them.
static KNOWN: LazyLock<Mutex<BTreeMap<(String, i64), LocalDays>>> = LazyLock::new(Mutex::default);

/// 1970-01-05 was the first Monday.
const FIRST_MONDAY: i64 = 4;

impl LocalDays {
    /// The days of a zone of the IANA database, with weeks that begin so many days after Monday (0 to 6); `None` where there is no such
    /// zone.
    #[must_use]
    pub fn of(name: &str, week: i64) -> Option<Self> {
        let zone = TimeZone::get(name).ok().filter(|zone| !zone.is_unknown())?;
        // The database knows names in any case.
        let name = zone.iana_name().unwrap_or("UTC").to_owned();
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let made = || Self(Box::leak(Box::new(Calendar { name: name.clone(), zone, week })));
        Some(*known.entry((name.clone(), week)).or_insert_with(made))
    }

    /// The zone's name in the IANA database.
    #[must_use]
    pub fn name(self) -> &'static str {
        &self.0.name
    }

    /// The day that weeks begin with, as days from Monday.
    #[must_use]
    pub fn week(self) -> i64 {
        self.0.week
    }

    /// What clocks show, in ms as if it were UTC; beyond the years of the calendar the time itself.
    fn shown(self, ts: i64) -> i64 {
        let Ok(at) = Timestamp::from_millisecond(ts) else { return ts };
        ts.saturating_add(i64::from(self.0.zone.to_offset(at).seconds()) * 1000)
    }

    /// When the day begins of which clocks show a time, in ms: its first instant, where clocks skip midnight as well.
    fn day_of(self, shown: i64) -> i64 {
        let Ok(at) = Timestamp::from_millisecond(shown) else { return shown };
        let noon = TimeZone::UTC.to_datetime(at).date().at(12, 0, 0, 0);
        let begins = noon.to_zoned(self.0.zone.clone()).and_then(|noon| noon.start_of_day());
        begins.map_or(shown, |begins| begins.timestamp().as_millisecond())
    }
}

impl PartialEq for LocalDays {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl Eq for LocalDays {}

impl std::fmt::Debug for LocalDays {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("LocalDays").field(&self.0.name).field(&self.0.week).finish()
    }
}

impl WindowSpec {
    /// The first pane's start, as clocks show it.
    fn anchor(self) -> i64 {
        match self.local {
            Some(local) if self.slide % (7 * DAY) == 0 => (FIRST_MONDAY + local.week() - 7) * DAY,
            _ => 0,
        }
    }

    /// The pane that a time lies in: the last one that starts at it or before.
    #[must_use]
    pub fn pane(self, ts: i64) -> i64 {
        let Some(local) = self.local else { return ts.div_euclid(self.slide) };
        let mut pane = local.shown(ts).saturating_sub(self.anchor()).div_euclid(self.slide);
        // Where clocks are set back over midnight, a date is shown after the next one has begun; by a day at most.
        for _ in 0..2 {
            pane = if self.start(pane) > ts { pane.saturating_sub(1) } else { pane };
        }
        for _ in 0..2 {
            pane = if self.end(pane) <= ts { pane.saturating_add(1) } else { pane };
        }
        pane
    }

    /// When a pane starts, in ms.
    #[must_use]
    pub fn start(self, pane: i64) -> i64 {
        let shown = self.nominal(pane);
        self.local.map_or(shown, |local| local.day_of(shown.saturating_add(self.anchor())))
    }

    /// When a pane ends, in ms: when the next one starts.
    #[must_use]
    pub fn end(self, pane: i64) -> i64 {
        self.start(pane.saturating_add(1))
    }

    /// The pane behind the windows that end at a pane's end: where a zone leaves out a day, before that day, which is empty.
    #[must_use]
    pub fn pane_behind(self, end: i64) -> i64 {
        match self.local {
            Some(_) => self.pane(end.saturating_sub(1)).saturating_add(1),
            None => end.div_euclid(self.slide),
        }
    }

    /// The first pane so many slides' ms before the end of a window.
    #[must_use]
    pub fn pane_before(self, end: i64, ms: Millis) -> i64 {
        self.nominal(self.pane_behind(end)).saturating_sub(ms).div_euclid(self.slide)
    }

    /// When a pane would start if all days had 24 hours, in ms: the start itself without a time zone. Lengths of several windows are
    /// compared with spans of days by it.
    #[must_use]
    pub fn nominal(self, pane: i64) -> i64 {
        pane.saturating_mul(self.slide)
    }

    /// The end of a window by days of 24 hours, in ms, as `nominal`.
    #[must_use]
    pub fn nominal_end(self, end: i64) -> i64 {
        self.local.map_or(end, |_| self.nominal(self.pane_behind(end)))
    }

    /// The end of the window whose `nominal_end` this is, in ms.
    #[must_use]
    pub fn real_end(self, nominal: i64) -> i64 {
        self.local.map_or(nominal, |_| self.start(nominal.div_euclid(self.slide)))
    }

    /// The end of the window after the one that ends here, or after this time.
    #[must_use]
    pub fn next(self, end: i64) -> i64 {
        self.end(self.pane(end))
    }

    /// The end of the first window that starts at a time or after it.
    #[must_use]
    pub fn first_end_from(self, ts: i64) -> i64 {
        match self.local {
            Some(_) => self.start(self.nominal(self.pane_behind(ts)).saturating_add(self.size).div_euclid(self.slide)),
            None => ts.saturating_add(self.size),
        }
    }

    /// The window that ends here, `[start, end)` in ms.
    #[must_use]
    pub fn ending(self, end: i64) -> (i64, i64) {
        match self.local {
            Some(_) => (self.start(self.pane_before(end, self.size)), end),
            None => (end.saturating_sub(self.size), end),
        }
    }

    /// When the date begins there that it is in UTC at this time.
    #[must_use]
    pub fn midnight(self, utc: i64) -> i64 {
        self.local.map_or(utc, |local| local.day_of(utc))
    }

    /// Whether a pane starts at this time.
    #[must_use]
    pub fn is_start(self, ts: i64) -> bool {
        self.start(self.pane(ts)) == ts
    }

    /// The panes `[from, to)` that the window which ends here is compared with.
    #[must_use]
    pub fn panes_of(self, versus: Versus, end: i64) -> Vec<(i64, i64)> {
        if let Versus::Between(from, to) = versus {
            return vec![(self.pane(from), self.pane(to))];
        }
        let end = self.nominal(self.pane_behind(end));
        let spans = versus.spans((end.saturating_sub(self.size), end));
        spans.into_iter().map(|(from, to)| (from.div_euclid(self.slide), to.div_euclid(self.slide))).collect()
    }

    /// The spans that the window which ends here is compared with, in ms.
    #[must_use]
    pub fn spans(self, versus: Versus, end: i64) -> Vec<(i64, i64)> {
        if self.local.is_none() || matches!(versus, Versus::Between(..)) {
            return versus.spans(self.ending(end));
        }
        self.panes_of(versus, end).into_iter().map(|(from, to)| (self.start(from), self.start(to))).collect()
    }
}

/// The panes of times of which most lie in the pane of the one before: a time zone is looked up once per pane.
#[derive(Clone, Copy, Debug)]
pub struct PaneOf {
    window: WindowSpec,
    pane: i64,
    from: i64,
    to: i64,
}

impl PaneOf {
    #[must_use]
    pub fn new(window: WindowSpec) -> Self {
        Self { window, pane: 0, from: i64::MAX, to: i64::MIN }
    }

    /// The pane of a time, and its end in ms.
    pub fn of(&mut self, ts: i64) -> (i64, i64) {
        if ts < self.from || ts >= self.to {
            self.pane = self.window.pane(ts);
            (self.from, self.to) = (self.window.start(self.pane), self.window.end(self.pane));
        }
        (self.pane, self.to)
    }
}

#[cfg(test)]
mod tests;
