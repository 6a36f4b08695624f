//! How long panes stay that are in no window any more: as long as a reference of the group's rules looks back.

use crate::policy::{Group, Policy, WindowSpec};
use crate::rule::Read;
use crate::rule::versus::Versus;

/// What a group keeps beside the panes of its windows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// So far before the start of a window its references reach, in ms.
    pub back: i64,
    /// Fixed spans that windows are compared with, in ms, each `[from, to)`.
    pub spans: Vec<(i64, i64)>,
    /// Windows without events are judged for so long behind the version's last prediction, in ms.
    pub quiet: Option<i64>,
    /// What the rules compare with beside the snapshot, each once, in the policy's order.
    pub versus: Vec<Versus>,
}

impl Keep {
    #[must_use]
    pub fn new(policy: &Policy, group: &Group) -> Self {
        let versus = || group.rules.iter().map(|rule| rule.kind.versus());
        let between = |versus| if let Versus::Between(from, to) = versus { Some((from, to)) } else { None };
        let mut spans: Vec<(i64, i64)> = versus().filter_map(between).collect();
        spans.sort_unstable();
        spans.dedup();
        let mut others: Vec<Versus> = Vec::new();
        for of in versus().filter(|versus| *versus != Versus::Training) {
            if !others.contains(&of) {
                others.push(of);
            }
        }
        let is_volume = |reads: Vec<Read>| reads.contains(&Read::Volume);
        let judges_quiet = group.rules.iter().any(|rule| is_volume(rule.kind.reads()));
        Self {
            back: versus().map(|versus| versus.back(group.window.size)).max().unwrap_or(0),
            spans,
            quiet: judges_quiet.then_some(policy.retire_after),
            versus: others,
        }
    }

    /// What each group of a policy keeps.
    #[must_use]
    pub fn of(policy: &Policy) -> Vec<Self> {
        policy.groups.iter().map(|group| Self::new(policy, group)).collect()
    }

    /// At most so many panes of a version.
    #[must_use]
    pub fn panes(&self, window: WindowSpec) -> i64 {
        let panes = |(from, to): &(i64, i64)| window.pane(*to) - window.pane(*from);
        let spans = self.spans.iter().fold(0_i64, |sum, span| sum.saturating_add(panes(span)));
        (window.size.saturating_add(self.back) / window.slide.max(1)).saturating_add(spans)
    }

    /// The first pane that a window which ends here, or a later one, may still need, but for those of spans.
    #[must_use]
    pub fn first(&self, window: WindowSpec, end: i64) -> i64 {
        window.pane_before(end, window.size.saturating_add(self.back))
    }

    /// Whether a pane is in a span.
    #[must_use]
    pub fn is_in_span(&self, window: WindowSpec, pane: i64) -> bool {
        let start = window.start(pane);
        self.spans.iter().any(|(from, to)| (*from..*to).contains(&start))
    }
}
