//! The windows of a (version, group) as rolling sums of panes, what is remembered from window to window, and its durable form.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::span_sum::SpanSum;
use crate::codec::chunk::EachChunk;
use crate::intake::starts::Starts;
use crate::judge::kpi::Outcomes;
use crate::judge::streak::{Breach, Streak};
use crate::policy::{Group, WindowSpec};
use crate::state_v4;
use crate::window::keep::Keep;
use crate::window::layout::Reads;
use crate::window::pane::Sealed;
use crate::window::tally::Tally;

/// The stage that rollback triggers watch, and whose version is the champion.
pub(super) const PROD: &str = "prod";

/// The windows of one (version, group).
#[derive(Clone, Debug)]
pub(super) struct Rolling {
    pub(super) panes: BTreeMap<i64, Vec<Sealed>>,
    pub(super) sum: Tally,
    /// Panes [from, to) are in the sum.
    pub(super) summed: Option<(i64, i64)>,
    /// By reference that the group's rules name: what the window is compared with.
    pub(super) references: Vec<SpanSum>,
    /// Panes before this one are gone, but for those of spans.
    pub(super) pruned: i64,
    pub(super) memory: Memory,
}

impl Default for Rolling {
    fn default() -> Self {
        let (panes, sum, memory) = (BTreeMap::new(), Tally::default(), Memory::default());
        Self { panes, sum, summed: None, references: Vec::new(), pruned: i64::MIN, memory }
    }
}

/// What a (version, group) remembers from window to window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Memory {
    /// The end of the last window judged or passed over.
    pub(super) last_end: Option<i64>,
    /// By (rule, subject) as `rule subject`.
    pub(super) streaks: BTreeMap<String, Streak>,
    /// A block was signalled by the window that ends there, and not cleared.
    pub(super) blocked: Option<i64>,
    /// By index into the policy's triggers.
    pub(super) triggers: BTreeMap<usize, TriggerState>,
    /// What `kpi_drop` rules compare with.
    pub(super) outcomes: Outcomes,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TriggerState {
    pub(super) breach: Breach,
    pub(super) fired: bool,
}

/// An evaluator's durable state.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EvaluatorState {
    /// By version code, then group.
    pub(super) versions: Vec<Vec<RollingState>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RollingState {
    pub(super) panes: Vec<(i64, Vec<Sealed>)>,
    pub(super) memory: Memory,
}

impl From<state_v4::EvaluatorState> for EvaluatorState {
    fn from(old: state_v4::EvaluatorState) -> Self {
        let rolling = |r: state_v4::RollingState| RollingState {
            panes: r.panes.into_iter().map(|(pane, of)| (pane, of.into_iter().map(Sealed::from).collect())).collect(),
            memory: r.memory.into(),
        };
        Self { versions: old.versions.into_iter().map(|v| v.into_iter().map(rolling).collect()).collect() }
    }
}

impl From<state_v4::Memory> for Memory {
    fn from(old: state_v4::Memory) -> Self {
        let trigger = |t: state_v4::TriggerState| TriggerState { breach: t.breach.into(), fired: t.fired };
        Self {
            last_end: old.last_end,
            streaks: old.streaks.into_iter().map(|(of, streak)| (of, streak.into())).collect(),
            // Which window it was is not known.
            blocked: old.blocked.then_some(i64::MIN),
            triggers: old.triggers.into_iter().map(|(at, t)| (at, trigger(t))).collect(),
            outcomes: Outcomes::default(),
        }
    }
}

impl EvaluatorState {
    /// What does not change any more.
    pub fn chunks(&mut self, each: EachChunk<'_>) {
        let rolling = self.versions.iter_mut().flatten();
        rolling.flat_map(|r| &mut r.panes).flat_map(|(_, sealed)| sealed).for_each(|sealed| sealed.chunks(each));
    }
}

impl Rolling {
    /// The first pane of the last window: those before it are kept for references alone.
    pub(super) fn first_pane(&self, window: WindowSpec) -> i64 {
        let last = self.memory.last_end;
        last.map_or(i64::MIN, |last| window.pane_before(last, window.size))
    }

    /// The end of the next window that may hold something, in ms, or that is judged though it holds nothing.
    pub(super) fn next_end(&self, window: WindowSpec, keep: &Keep, complete_to: i64) -> Option<i64> {
        let first = self.panes.range(self.first_pane(window)..).next().map(|(pane, _)| window.end(*pane));
        let Some(last) = self.memory.last_end else { return first };
        let next = window.next(last);
        if self.is_quiet_until(next, window, keep, complete_to) {
            return Some(next);
        }
        first.map(|first| first.max(next))
    }

    /// Whether the window that ends here is judged even if it holds nothing: the version had a prediction `retire_after` before
    /// or later, and all that the window could hold has come.
    pub(super) fn is_quiet_until(&self, end: i64, window: WindowSpec, keep: &Keep, complete_to: i64) -> bool {
        let Some(long) = keep.quiet.filter(|_| end <= complete_to) else { return false };
        let newest = self.newest(window, end);
        newest.is_some_and(|pane| window.end(pane).saturating_add(long) >= end)
    }

    /// The last pane before `end` that holds a prediction.
    fn newest(&self, window: WindowSpec, end: i64) -> Option<i64> {
        let mut panes = self.panes.range(..window.pane_behind(end)).rev();
        panes.find(|(_, sealed)| sealed.iter().any(|s| s.predictions > 0)).map(|(pane, _)| *pane)
    }

    /// Moves the window to end at `end`; returns the panes `[from, to)` that slid out.
    pub(super) fn advance(&mut self, end: i64, group: &Group, counts: usize, segmentations: usize) -> (i64, i64) {
        let window = group.window;
        let (from, to) = (window.pane_before(end, window.size), window.pane_behind(end));
        let first = self.first_pane(group.window).min(from);
        if self.summed.is_none() || self.sum.counts.len() != counts {
            self.sum = Tally::new(counts, segmentations);
            self.summed = Some((from, from));
        }
        let (was_from, was_to) = self.summed.unwrap_or((from, from));
        for (_, sealed) in self.panes.range(was_from..was_to.min(from).max(was_from)) {
            sealed.iter().for_each(|s| s.subtract_from(&mut self.sum));
        }
        for sealed in self.panes.range(was_to.max(from)..to).flat_map(|(_, s)| s) {
            sealed.add_to(&mut self.sum);
        }
        // A maximum cannot be taken out of a window again.
        if !self.sum.measured.is_empty() {
            self.sum.measured.clear();
            for sealed in self.panes.range(from..to).flat_map(|(_, s)| s) {
                sealed.add_measured_to(&mut self.sum);
            }
        }
        self.sum.last = self.panes.range(from..to).flat_map(|(_, s)| s).filter_map(|s| s.last.as_ref()).max().cloned();
        self.summed = Some((from, to));
        self.memory.last_end = Some(end);
        (first, from)
    }

    /// A window that holds nothing has the stage of the last prediction before it.
    pub(super) fn remain(&mut self, window: WindowSpec, end: i64) {
        if self.sum.last.is_none() {
            let panes = self.newest(window, end).and_then(|pane| self.panes.get(&pane));
            self.sum.last = panes.into_iter().flatten().filter_map(|s| s.last.as_ref()).max().cloned();
        }
    }

    /// Lets go of the panes that neither a window which ends here or later nor its references may need.
    pub(super) fn prune(&mut self, window: WindowSpec, keep: &Keep, end: i64) {
        let first = keep.first(window, end);
        self.pruned = self.pruned.max(first);
        let newest = keep.quiet.and_then(|_| self.newest(window, end));
        let gone = self.panes.range(..first).map(|(pane, _)| *pane);
        let gone = gone.filter(|pane| !keep.is_in_span(window, *pane) && Some(*pane) != newest);
        for pane in gone.collect::<Vec<_>>() {
            self.panes.remove(&pane);
        }
    }

    /// Whether no pane of its last window, or of a later one, holds anything.
    pub(super) fn is_empty(&self, window: WindowSpec) -> bool {
        self.panes.range(self.first_pane(window)..).next().is_none()
    }
}

impl Close<'_> {
    /// Whether the next window of a version ends here.
    pub(super) fn is_due(&self, rolling: &Rolling) -> bool {
        rolling.next_end(self.group.window, self.keep, self.complete_to) == Some(self.end)
    }
}

/// What is the same for all versions of a group at one end.
pub(super) struct Close<'a> {
    pub(super) at: usize,
    pub(super) group: &'a Group,
    pub(super) reads: &'a Reads,
    pub(super) end: i64,
    pub(super) complete: bool,
    /// Windows up to here are complete.
    pub(super) complete_to: i64,
    pub(super) keep: &'a Keep,
    /// Where the counts of all versions begin.
    pub(super) starts: Starts,
}
