//! The tightest limit under which a rule would have blocked no more often than its budget allows, from the values of its history.

use driftgate_core::judge::verdict::Status;

use super::seen::{Blocks, History, Seen, Written};

/// So many values, the worst ones, are tried as limits.
const MOST_TRIED: usize = 2_000;
/// A limit has so many digits.
const DIGITS: i32 = 3;

/// What decides of a result: its value, or the end of its interval that lies nearer to passing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decides {
    Value,
    End,
}

/// The limit of a rule as its history has it.
#[derive(Debug)]
pub struct Movable {
    pub written: Written,
    decides: Decides,
}

/// Whether a limit passes values above it.
fn is_from_above(key: &str) -> bool {
    matches!(key, "gt" | "gte")
}

/// Whether values break a limit by falling.
pub fn is_from_below(key: &str) -> bool {
    is_from_above(key) || key == "max_drop"
}

/// Whether a value breaks a limit.
fn breaks(key: &str, value: f64, limit: f64) -> bool {
    match key {
        "lt" => value >= limit,
        "gt" => value <= limit,
        "gte" => value < limit,
        _ => value > limit,
    }
}

impl Decides {
    fn of(self, seen: &Seen, key: &str) -> Option<f64> {
        match self {
            Self::Value => seen.value,
            Self::End if is_from_above(key) => seen.upper,
            Self::End => seen.lower,
        }
    }

    /// Whether every status of the history follows from it and the limit.
    fn explains(self, history: &History, written: &Written) -> bool {
        let Written { key, limit, .. } = written;
        let mut of_it = history.all().filter(|seen| seen.status != Status::Insufficient && is_of(seen, written));
        of_it.all(|seen| {
            self.of(seen, key).is_some_and(|value| {
                // A float may lie at the decimal that the limit is.
                let at = (value - limit).abs() <= 1e-12 * limit.abs().max(1.0);
                at || breaks(key, value, *limit) == (seen.status == Status::Block)
            })
        })
    }
}

/// Whether a result has the rule's own limit, and none of `except`.
fn is_of(seen: &Seen, written: &Written) -> bool {
    seen.limit.as_ref() == Some(written)
}

impl Movable {
    /// The limit, where every status follows from it.
    ///
    /// # Errors
    /// Why it cannot be moved.
    pub fn of(history: &History, written: Written) -> Result<Self, &'static str> {
        let known = [Decides::Value, Decides::End].into_iter().find(|decides| decides.explains(history, &written));
        known
            .map(|decides| Self { written, decides })
            .ok_or("its blocks do not follow from each window's value and limit alone")
    }

    /// The blocks of the history under another limit; results with a limit of `except` keep theirs.
    pub fn blocks(&self, history: &History, limit: f64) -> Blocks {
        let key = &self.written.key;
        history.blocks(&|seen| {
            let broke = seen.broke()?;
            let of = is_of(seen, &self.written).then(|| self.decides.of(seen, key)).flatten();
            Some(of.map_or(broke, |value| breaks(key, value, limit)))
        })
    }

    /// The tightest limit of three digits with at most so many blocks.
    ///
    /// # Errors
    /// Why there is none.
    pub fn within(&self, history: &History, allowed: u64) -> Result<f64, &'static str> {
        let key = &self.written.key;
        let measured = history.all().filter(|seen| seen.broke().is_some() && is_of(seen, &self.written));
        let mut values: Vec<f64> = measured.filter_map(|seen| self.decides.of(seen, key)).collect();
        // The worst first.
        values.sort_by(f64::total_cmp);
        if !is_from_above(key) {
            values.reverse();
        }
        values.dedup();
        let first = values.first().ok_or("no window was measured")?;
        if values.len() == 1 {
            return Err("every window has the same value");
        }
        let mut found = None;
        for value in values.iter().take(MOST_TRIED) {
            let Some(limit) = beyond(key, *value) else { break };
            if self.blocks(history, limit).blocks > allowed {
                break;
            }
            found = Some(limit);
        }
        found
            .filter(|_| first.is_finite())
            .ok_or("the subjects under `except` alone block more often, or no limit passes the worst window")
    }

    /// Whether one limit passes less than the other.
    pub fn is_tighter(&self, one: f64, other: f64) -> bool {
        if is_from_above(&self.written.key) { one > other } else { one < other }
    }
}

/// The number of three digits nearest to a value that passes under it as a limit.
fn beyond(key: &str, value: f64) -> Option<f64> {
    if !value.is_finite() {
        return None;
    }
    if is_from_above(key) {
        return above(-value, key == "gt").map(|x| 0.0 - x);
    }
    above(value, key == "lt")
}

/// The least number of three digits that is at least a value, or above it.
fn above(value: f64, strictly: bool) -> Option<f64> {
    if value == 0.0 {
        return (!strictly).then_some(0.0);
    }
    #[expect(clippy::cast_possible_truncation, reason = "exponents of doubles")]
    let exponent = value.abs().log10().floor() as i32 - (DIGITS - 1);
    let mut steps = (value / 10_f64.powi(exponent)).floor();
    for _ in 0..4 {
        // The decimal as it would be written.
        let candidate: f64 = format!("{steps:.0}e{exponent}").parse().ok()?;
        if candidate > value || (!strictly && candidate >= value) {
            // A negative zero is 0.
            return Some(candidate + 0.0);
        }
        steps += 1.0;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::seen::tests::history;
    use super::*;

    fn written(key: &str, limit: f64) -> Written {
        Written { key: key.into(), of: None, limit }
    }

    #[test]
    fn the_tightest_limit_blocks_as_often_as_the_budget_allows() {
        // Runs above 0.2: 0.25; 0.4 and 0.3; 0.5.
        let of = history(&[0.1, 0.25, 0.1, 0.4, 0.3, 0.15, 0.5, 0.1], 0.2);
        let movable = Movable::of(&of, written("lt", 0.2)).unwrap();
        assert_eq!(movable.blocks(&of, 0.2), Blocks { blocks: 3, windows: 4, measured: 8 });
        // At 0.401 only 0.5 blocks; below it 0.4 does too; 0.151 passes 0.15.
        let within = |n| movable.within(&of, n).unwrap();
        assert_eq!([0, 1, 2, 3].map(within).to_vec(), vec![0.501, 0.401, 0.251, 0.101]);
        assert_eq!(movable.blocks(&of, 0.401).blocks, 1);
    }

    #[test]
    fn a_limit_from_below_is_moved_down() {
        let mut of = history(&[0.9, 0.6, 0.9, 0.7, 0.8], 2.0);
        for (_, seen) in of.versions.get_mut("1").unwrap() {
            seen[0].limit = Some(written("gte", 0.75));
            seen[0].status = if seen[0].value < Some(0.75) { Status::Block } else { Status::Pass };
        }
        let movable = Movable::of(&of, written("gte", 0.75)).unwrap();
        assert_eq!([0, 1, 2].map(|n| movable.within(&of, n).unwrap()).to_vec(), vec![0.6, 0.7, 0.9]);
        assert!(movable.is_tighter(0.9, 0.8));
    }

    #[test]
    fn what_does_not_follow_from_values_is_not_moved() {
        let mut of = history(&[0.1, 0.3], 0.2);
        of.versions.get_mut("1").unwrap()[1].1[0].status = Status::Warn;
        assert!(Movable::of(&of, written("lt", 0.2)).unwrap_err().contains("do not follow"));
        // An interval decides by its end.
        of.versions
            .get_mut("1")
            .unwrap()
            .iter_mut()
            .for_each(|(_, seen)| seen[0].lower = seen[0].value.map(|v| v - 0.2));
        assert_eq!(Movable::of(&of, written("lt", 0.2)).unwrap().decides, Decides::End);
        let same = history(&[0.1, 0.1], 0.2);
        assert!(Movable::of(&same, written("lt", 0.2)).unwrap().within(&same, 1).unwrap_err().contains("same value"));
    }

    #[test]
    fn numbers_are_rounded_outwards_to_three_digits() {
        let all = |key: &str, values: &[f64]| values.iter().filter_map(|x| beyond(key, *x)).collect::<Vec<f64>>();
        assert_eq!(all("lte", &[0.1234, 0.123, 1234.5, -0.12349, 1e-9]), vec![0.124, 0.123, 1240.0, -0.123, 1e-9]);
        assert_eq!(all("lt", &[0.1234, 0.123, 9.999]), vec![0.124, 0.124, 10.0]);
        assert_eq!(all("gte", &[0.1239, 0.123, -0.1231]), vec![0.123, 0.123, -0.124]);
        assert_eq!((beyond("gt", 0.123), beyond("lt", 0.0), beyond("lte", 0.0)), (Some(0.122), None, Some(0.0)));
    }
}
