//! The windows of a (version, group) as rolling sums of panes, what is remembered from window to window, and its durable form.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::codec::chunk::EachChunk;
use crate::intake::starts::Starts;
use crate::judge::kpi::Outcomes;
use crate::judge::streak::{Breach, Streak};
use crate::policy::Group;
use crate::state_v4;
use crate::window::layout::Reads;
use crate::window::pane::Sealed;
use crate::window::tally::Tally;

/// The stage that rollback triggers watch, and whose version is the champion.
pub(super) const PROD: &str = "prod";

/// The windows of one (version, group).
#[derive(Clone, Debug, Default)]
pub(super) struct Rolling {
    pub(super) panes: BTreeMap<i64, Vec<Sealed>>,
    pub(super) sum: Tally,
    /// Panes [from, to) are in the sum.
    pub(super) summed: Option<(i64, i64)>,
    pub(super) memory: Memory,
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
    /// The end of the next window that may hold something, in ms.
    pub(super) fn next_end(&self, slide: i64) -> Option<i64> {
        let first = self.panes.first_key_value()?.0.saturating_add(1).saturating_mul(slide);
        Some(self.memory.last_end.map_or(first, |last| first.max(last.saturating_add(slide))))
    }

    /// Moves the window to end at `end`; returns what slid out.
    pub(super) fn advance(
        &mut self,
        end: i64,
        group: &Group,
        counts: usize,
        segmentations: usize,
    ) -> Vec<(i64, Vec<Sealed>)> {
        let slide = group.window.slide;
        let (from, to) = ((end - group.window.size).div_euclid(slide), end.div_euclid(slide));
        if self.summed.is_none() || self.sum.counts.len() != counts {
            self.sum = Tally::new(counts, segmentations);
            self.summed = Some((from, from));
        }
        let (was_from, was_to) = self.summed.unwrap_or((from, from));
        let kept = self.panes.split_off(&from);
        let left: Vec<_> = std::mem::replace(&mut self.panes, kept).into_iter().collect();
        for (pane, sealed) in &left {
            if (was_from..was_to).contains(pane) {
                sealed.iter().for_each(|s| s.subtract_from(&mut self.sum));
            }
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
        left
    }
}

/// What is the same for all versions of a group at one end.
pub(super) struct Close<'a> {
    pub(super) at: usize,
    pub(super) group: &'a Group,
    pub(super) reads: &'a Reads,
    pub(super) end: i64,
    pub(super) complete: bool,
    /// Where the counts of all versions begin.
    pub(super) starts: Starts,
}
