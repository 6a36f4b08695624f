//! `budget: 1/month`: how many false blocks a rule may make. A window then blocks only where the value breaks the limit for certain, at a level
//! that shares the budget between all windows of its time and all subjects of the rule.
//!
//! Each interval misses what the window was drawn from with a probability of at most α = N·slide/span/subjects. A block is false where that,
//! the value of the whole population, does not break the limit; it then is an interval that missed. So the expected number of false blocks in
//! a span is at most the sum of all α in it, which is N: whatever the windows have in common, and however often they are looked at (the union
//! bound; a confidence sequence in windows that spends N in each span).

use std::fmt;
use std::str::FromStr;

use serde_json::json;

use super::properties::{Opt, Takes};
use super::result::{Certain, Judged, real};
use super::types::Status;
use crate::codec::number::number;
use crate::yaml::{Item, Map};

const DAY_MS: i64 = 86_400_000;
/// Spans by name, in days.
const SPANS: [(&str, i64); 4] = [("day", 1), ("week", 7), ("month", 30), ("year", 365)];
/// An interval is at least as wide as at this α.
const MOST_ALPHA: f64 = 0.05;
/// Why a block is taken back.
const WITHIN_CHANCE: &str = "within_chance";

/// What a budget is, in words and as a regular expression; and one of a probability per day.
pub(super) const WANTED: &str = "blocks per day, week, month or year, like 1/month";
pub(super) const PATTERN: &str = "^[0-9]+/(day|week|month|year)$";
pub(super) const DAILY: &str = "a probability above 0 and below 1 per day";

/// `budget` of rules, whose values have bounds at any level.
pub const BUDGET: Opt = Opt {
    key: "budget",
    takes: Takes::Text { wanted: WANTED, pattern: PATTERN },
    default: "",
    documentation: "How many false blocks the rule may make, over all its subjects and windows: it then blocks only where the value breaks the limit for \
        certain, at the level that follows, and else warns with `within_chance`.",
};

/// So many blocks of a rule in a span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    blocks: u32,
    name: &'static str,
    span_ms: i64,
    /// How many rules share it.
    rules: u32,
}

impl FromStr for Budget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected {WANTED}; read {text:?}");
        let (blocks, span) = text.split_once('/').ok_or_else(wrong)?;
        let blocks = blocks.trim().parse().ok().filter(|n| (1..=1_000_000).contains(n)).ok_or_else(wrong)?;
        let (name, days) = SPANS.into_iter().find(|(name, _)| *name == span.trim()).ok_or_else(wrong)?;
        Ok(Self { blocks, name, span_ms: days * DAY_MS, rules: 1 })
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.blocks, self.name)
    }
}

impl Budget {
    /// `budget`, if it is written.
    #[expect(clippy::option_option, reason = "the outer is the reader's, the inner the file's")]
    pub(super) fn in_options(map: &Map) -> Option<Option<Self>> {
        map.get(BUDGET.key).map_or(Some(None), |item| Self::read(&item).map(Some))
    }

    /// A budget that is written.
    #[must_use]
    pub fn read(item: &Item) -> Option<Self> {
        let text = item.text(WANTED)?;
        text.parse().map_or_else(|why: String| item.fail(why), Some)
    }

    /// The probability of a block per day that is written, as it is or as blocks in a span of time; else the default.
    pub(super) fn daily(option: &Opt, map: &Map) -> Option<f64> {
        let Some(item) = map.get(option.key) else { return option.default.parse().ok() };
        if item.scalar().is_some_and(|text| text.contains('/')) {
            let budget = Self::read(&item)?;
            let daily = budget.daily_blocks();
            return if daily < 1.0 {
                Some(daily)
            } else {
                item.fail(format!("{budget} is a block every day: write fewer"))
            };
        }
        item.number(&format!("{DAILY}, or {WANTED}"), |number| number > 0.0 && number < 1.0)
    }

    #[allow(clippy::cast_precision_loss, reason = "spans are a year at most")]
    fn daily_blocks(self) -> f64 {
        f64::from(self.blocks) * DAY_MS as f64 / self.span_ms as f64
    }

    /// The same, which so many rules share.
    #[must_use]
    pub fn shared_by(self, rules: u32) -> Self {
        Self { rules: rules.max(1), ..self }
    }

    /// The blocks that a history of so many milliseconds may have.
    #[must_use]
    pub fn allowed(self, history_ms: i64) -> u64 {
        let blocks = i128::from(self.blocks) * i128::from(history_ms.max(0)) / i128::from(self.span_ms);
        u64::try_from(blocks).unwrap_or(u64::MAX)
    }

    /// The shortest history in which a block is within the budget, in days, rounded up.
    #[must_use]
    pub fn least_days(self) -> i64 {
        let per_block = self.span_ms.div_euclid(i64::from(self.blocks)).max(1);
        per_block.saturating_add(DAY_MS - 1) / DAY_MS
    }

    /// The probability with which the interval of one subject in one window may miss, of windows that are so many milliseconds apart.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "spans are far below 2^53 ms")]
    pub fn alpha(self, slide_ms: i64, subjects: u64) -> f64 {
        let windows = self.span_ms as f64 / slide_ms.max(1) as f64;
        let all = windows * f64::from(self.rules) * real(subjects.max(1));
        (f64::from(self.blocks) / all).min(MOST_ALPHA)
    }
}

/// Takes blocks back that the intervals of the subjects do not bear out, and shows these.
pub(super) fn hold(alpha: f64, certain: &[Option<Certain>], judged: &mut [Judged]) {
    for (at, one) in judged.iter_mut().enumerate() {
        let found = certain.get(at).copied().flatten();
        if one.status == Status::Block && !found.is_some_and(|found| found.blocks) {
            (one.status, one.reason) = (Status::Warn, Some(WITHIN_CHANCE.to_owned()));
        }
        let end = |of: fn(Certain) -> f64| number(found.map(of));
        let told = json!({"alpha": number(Some(alpha)), "lower": end(|f| f.lower), "upper": end(|f| f.upper)});
        one.evidence.push(("budget", told));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_blocks_in_a_span_of_time() {
        let of = |text: &str| text.parse::<Budget>();
        assert_eq!(of("1/month").unwrap().to_string(), "1/month");
        assert_eq!([29, 30, 59, 60].map(|days| of("1/month").unwrap().allowed(days * DAY_MS)), [0, 1, 1, 2]);
        assert_eq!(of("3/week").unwrap().allowed(14 * DAY_MS), 6);
        assert_eq!(of("2/day").unwrap().allowed(-5), 0);
        assert_eq!([of("1/month").unwrap().least_days(), of("3/week").unwrap().least_days()], [30, 3]);
        for wrong in ["", "1", "1/fortnight", "0/month", "-1/month", "x/month", "1.5/month"] {
            assert!(of(wrong).unwrap_err().contains("like 1/month"), "{wrong}");
        }
    }

    #[test]
    fn windows_subjects_and_rules_share_it() {
        let month = "1/month".parse::<Budget>().unwrap();
        let close = |found: f64, expected: f64| (found - expected).abs() < 1e-15;
        assert!(close(month.alpha(DAY_MS, 1), 1.0 / 30.0));
        assert!(close(month.alpha(DAY_MS / 24, 100), 1.0 / (30.0 * 24.0 * 100.0)));
        assert!(close(month.shared_by(4).alpha(DAY_MS, 1), 1.0 / 120.0));
        assert!(close(month.alpha(30 * DAY_MS, 1), MOST_ALPHA), "no interval is narrower than at 5%");
    }

    #[test]
    fn a_block_that_chance_may_have_made_is_a_warning() {
        let judged =
            || vec![Judged { status: Status::Block, value: Some(0.3), reason: None, ..Judged::insufficient("x", "") }];
        let of = |blocks| Certain { lower: 0.25, upper: f64::INFINITY, blocks };
        for (certain, status) in
            [(Some(of(true)), Status::Block), (Some(of(false)), Status::Warn), (None, Status::Warn)]
        {
            let mut all = judged();
            hold(0.01, &[certain], &mut all);
            assert_eq!(all[0].status, status);
            let lower = certain.map(|found| found.lower);
            assert_eq!(all[0].told("budget"), Some(&json!({"alpha": 0.01, "lower": lower, "upper": null})));
        }
    }
}
