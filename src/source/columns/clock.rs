//! The meaning of a time column's ticks.

/// A day, and a millisecond, in nanoseconds.
pub(super) const DAY_NS: i128 = 86_400_000_000_000;
pub(super) const MS_NS: i128 = 1_000_000;

/// The unit of a time column's ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    nanoseconds: i128,
    /// Whether the file names a time zone; the ticks are UTC then.
    zoned: bool,
}

impl Clock {
    pub(super) fn new(nanoseconds: i128, zoned: bool) -> Self {
        Self { nanoseconds, zoned }
    }

    pub(super) fn is_days(self) -> bool {
        self.nanoseconds == DAY_NS
    }

    /// Ticks a millisecond, of clocks that are as fine.
    pub(super) fn per_ms(self) -> Option<i64> {
        i64::try_from(MS_NS / self.nanoseconds).ok().filter(|&per_ms| per_ms > 0)
    }

    /// A tick in whole milliseconds: the one it lies in, before the epoch too.
    pub(super) fn ms(self, tick: i64) -> i128 {
        (self.nanoseconds * i128::from(tick)).div_euclid(MS_NS)
    }

    /// Whether the ticks are UTC for sure.
    pub(super) fn is_zoned(self) -> bool {
        self.zoned
    }

    /// The clock's time at a tick; `None` beyond its range.
    pub(super) fn local(self, tick: i64) -> Option<jiff::civil::DateTime> {
        let at = jiff::Timestamp::from_nanosecond(self.nanoseconds.saturating_mul(i128::from(tick))).ok()?;
        Some(jiff::tz::Offset::UTC.to_datetime(at))
    }

    /// The ISO 8601 text of a tick: a date, a time without zone, or a time in UTC.
    pub(super) fn iso(self, tick: i64) -> String {
        let Ok(instant) = jiff::Timestamp::from_nanosecond(self.nanoseconds.saturating_mul(i128::from(tick))) else {
            return tick.to_string();
        };
        let text = instant.to_string();
        if self.nanoseconds == DAY_NS {
            return text.split('T').next().unwrap_or_default().to_owned();
        }
        if self.zoned { text } else { text.trim_end_matches('Z').to_owned() }
    }
}
