//! How many blocks somebody puts up with: `1/month`.

use std::fmt;
use std::str::FromStr;

const DAY_MS: i64 = 86_400_000;
/// Spans by name, in days.
const SPANS: [(&str, i64); 4] = [("day", 1), ("week", 7), ("month", 30), ("year", 365)];

/// So many blocks of a rule in a span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    blocks: u32,
    name: &'static str,
    span_ms: i64,
}

impl FromStr for Budget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected blocks per day, week, month or year, like 1/month; read {text:?}");
        let (blocks, span) = text.split_once('/').ok_or_else(wrong)?;
        let blocks = blocks.trim().parse().ok().filter(|n| (1..=1_000_000).contains(n)).ok_or_else(wrong)?;
        let (name, days) = SPANS.into_iter().find(|(name, _)| *name == span.trim()).ok_or_else(wrong)?;
        Ok(Self { blocks, name, span_ms: days * DAY_MS })
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.blocks, self.name)
    }
}

impl Budget {
    /// The blocks that a history of so many milliseconds may have.
    pub fn allowed(self, history_ms: i64) -> u64 {
        let blocks = i128::from(self.blocks) * i128::from(history_ms.max(0)) / i128::from(self.span_ms);
        u64::try_from(blocks).unwrap_or(u64::MAX)
    }

    /// The shortest history in which a block is within the budget, in days, rounded up.
    pub fn least_days(self) -> i64 {
        let per_block = self.span_ms.div_euclid(i64::from(self.blocks)).max(1);
        per_block.saturating_add(DAY_MS - 1) / DAY_MS
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
}
