//! What a rule saw over a history: its results by version and window, and how often it blocked.

use std::collections::{BTreeMap, BTreeSet};

use driftgate_core::judge::streak::Breach;
use driftgate_core::judge::verdict::{RuleResult, Status, Verdict, WindowSpan};
use driftgate_core::policy::{Group, Hysteresis, Rule};

/// A limit as a result names it.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// `lt`, `gte`, `max_increase`, ….
    pub key: String,
    /// `relative` or `sigmas`, of a change that is written so.
    pub of: Option<String>,
    pub limit: f64,
}

/// A result of a window.
#[derive(Clone, Debug)]
pub struct Seen {
    pub subject: String,
    pub status: Status,
    pub muted: bool,
    pub value: Option<f64>,
    pub lower: Option<f64>,
    pub upper: Option<f64>,
    pub limit: Option<Written>,
}

impl Seen {
    fn of(result: &RuleResult) -> Self {
        Self {
            subject: result.subject.clone(),
            status: result.status,
            muted: result.muted,
            value: result.value,
            lower: result.read("lower"),
            upper: result.read("upper"),
            limit: limit(result),
        }
    }

    /// Whether it breaks its limit; `None` where nothing was measured.
    pub fn broke(&self) -> Option<bool> {
        (self.status != Status::Insufficient).then_some(self.status == Status::Block)
    }
}

/// The limit of a result that is one number.
fn limit(result: &RuleResult) -> Option<Written> {
    let limits = result.get("limit")?;
    let (key, value) = limits.as_object()?.iter().next()?;
    match value.as_object() {
        None => Some(Written { key: key.clone(), of: None, limit: value.as_f64()? }),
        Some(change) => {
            let (of, value) = change.iter().next()?;
            Some(Written { key: key.clone(), of: Some(of.clone()), limit: value.as_f64()? })
        }
    }
}

/// Windows in the order of their ends, and their results.
pub type Windows = Vec<(WindowSpan, Vec<Seen>)>;

/// The results of one rule over complete windows.
pub struct History {
    /// By version.
    pub versions: BTreeMap<String, Windows>,
    slide: i64,
    hysteresis: Option<Hysteresis>,
    /// A slide for each time at which the rule measured a window of any version, ms.
    pub judged_ms: i64,
}

/// A slide for each end of a window in which something was measured: gaps and windows with too few events are no time that was judged.
fn measured_ms(versions: &BTreeMap<String, Windows>, slide: i64) -> i64 {
    let measured = versions.values().flatten().filter(|(_, seen)| seen.iter().any(|of| of.broke().is_some()));
    let ends: BTreeSet<i64> = measured.map(|(window, _)| window.end).collect();
    slide.saturating_mul(i64::try_from(ends.len()).unwrap_or(i64::MAX))
}

/// How often a rule blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Blocks {
    /// Windows that block, of which none overlaps the one before, of all versions.
    pub blocks: u64,
    /// All windows that block.
    pub windows: u64,
    /// Windows in which something was measured.
    pub measured: u64,
}

impl History {
    /// What `group/id` saw.
    pub fn of(verdicts: &[Verdict], group: &Group, rule: &Rule) -> Self {
        let name = format!("{}/{}", group.name, rule.id);
        let mut versions: BTreeMap<String, Windows> = BTreeMap::new();
        for verdict in verdicts.iter().filter(|v| v.group == group.name && v.window.complete) {
            let seen = verdict.results.iter().filter(|r| r.rule == name).map(Seen::of).collect();
            versions.entry(verdict.version.clone()).or_default().push((verdict.window, seen));
        }
        versions.values_mut().for_each(|windows| windows.sort_by_key(|(window, _)| window.end));
        let judged_ms = measured_ms(&versions, group.window.slide);
        Self { versions, slide: group.window.slide, hysteresis: rule.hysteresis, judged_ms }
    }

    /// Every result.
    pub fn all(&self) -> impl Iterator<Item = &Seen> {
        self.versions.values().flatten().flat_map(|(_, seen)| seen)
    }

    /// How often it blocks where `breaks` says what breaks a limit, for as long as `for` asks. Windows that overlap share rows: they are one block
    /// together, for as long as a window is, and a rule that blocks all the time blocks as often as there are windows beside each other.
    pub fn blocks(&self, breaks: &dyn Fn(&Seen) -> Option<bool>) -> Blocks {
        let mut found = Blocks::default();
        for windows in self.versions.values() {
            let mut streaks: BTreeMap<&str, Breach> = BTreeMap::new();
            let mut last: Option<i64> = None;
            for (window, seen) in windows {
                let (mut measured, mut blocks) = (false, false);
                for of in seen {
                    let broke = breaks(of);
                    let streak = streaks.entry(of.subject.as_str()).or_default();
                    let lasts = streak.note(window.end, self.slide, broke, self.hysteresis);
                    measured |= broke.is_some();
                    blocks |= lasts && !of.muted;
                }
                found.measured += u64::from(measured);
                found.windows += u64::from(blocks);
                if blocks && last.is_none_or(|end| window.start >= end) {
                    found.blocks += 1;
                    last = Some(window.end);
                }
            }
        }
        found
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn seen(value: f64, limit: f64) -> Seen {
        Seen {
            subject: "a".into(),
            status: if value >= limit { Status::Block } else { Status::Pass },
            muted: false,
            value: Some(value),
            lower: None,
            upper: None,
            limit: Some(Written { key: "lt".into(), of: None, limit }),
        }
    }

    /// The window of two days that ends on a day.
    pub fn two_days(until: i64) -> WindowSpan {
        let day = 86_400_000;
        WindowSpan { start: (until - 2) * day, end: until * day, complete: true }
    }

    /// A window of two days for each day, of one version.
    pub fn history(values: &[f64], limit: f64) -> History {
        let windows = (1..).zip(values).map(|(day, value)| (two_days(day), vec![seen(*value, limit)])).collect();
        History {
            versions: [("1".to_owned(), windows)].into(),
            slide: 86_400_000,
            hysteresis: None,
            judged_ms: i64::try_from(values.len()).unwrap() * 86_400_000,
        }
    }

    #[test]
    fn windows_that_overlap_are_one_block_and_a_rule_that_always_blocks_blocks_often() {
        let of = |values: &[f64]| history(values, 0.2).blocks(&Seen::broke);
        assert_eq!(of(&[0.1, 0.3, 0.4, 0.1, 0.3]), Blocks { blocks: 2, windows: 3, measured: 5 });
        assert_eq!(of(&[0.3; 9]), Blocks { blocks: 5, windows: 9, measured: 9 });
        assert_eq!(measured_ms(&history(&[0.1, 0.3], 0.2).versions, 86_400_000), 2 * 86_400_000);
        let mut gap = history(&[0.3, 0.3, 0.3], 0.2);
        gap.versions.get_mut("1").unwrap()[1].1[0].status = Status::Insufficient;
        assert_eq!(gap.blocks(&Seen::broke), Blocks { blocks: 2, windows: 2, measured: 2 });
        // The window that measured nothing is no time that was judged.
        assert_eq!(measured_ms(&gap.versions, 86_400_000), 2 * 86_400_000);
        let mut lasting = history(&[0.3, 0.3, 0.1, 0.3, 0.3, 0.3], 0.2);
        lasting.hysteresis = Some(Hysteresis::Windows(3));
        assert_eq!(lasting.blocks(&Seen::broke), Blocks { blocks: 1, windows: 1, measured: 6 });
        let mut muted = history(&[0.3], 0.2);
        muted.versions.get_mut("1").unwrap()[0].1[0].muted = true;
        assert_eq!(muted.blocks(&Seen::broke).blocks, 0);
    }
}
