//! Rolling sums of the earlier panes that windows are compared with (`versus`). They follow from the panes, and no state keeps them.

use super::evaluator::Evaluator;
use super::rolling::{Close, Rolling};
use super::signals::cut;
use super::span_sum::SpanSum;
use crate::intake::Closing;
use crate::intake::versions::Known;
use crate::judge::against::ReferenceCounts;
use crate::judge::verdict::WindowSpan;
use crate::policy::Policy;
use crate::rule::versus::Versus;

impl Rolling {
    /// Moves the sums that the window ending here is compared with.
    pub(super) fn slide_references(&mut self, close: &Close<'_>, counts: usize) {
        let window = close.group.window;
        self.references.resize_with(close.keep.versus.len(), SpanSum::default);
        for (sum, versus) in self.references.iter_mut().zip(&close.keep.versus) {
            // Panes behind the window may still get events.
            let end = window.pane_behind(close.end);
            let passed = |(from, to): (i64, i64)| (from, to.min(end).max(from));
            let spans = window.panes_of(*versus, close.end).into_iter().map(passed).collect();
            let pruned = if matches!(versus, Versus::Between(..)) { i64::MIN } else { self.pruned };
            sum.slide_to(&self.panes, spans, (counts, close.reads.segment_lists().count(), pruned));
        }
    }
}

impl Evaluator {
    /// The counts that a version's window is compared with, or why there are none. `at` is the place among those of the group.
    pub(super) fn reference<'e>(
        &'e self,
        close: &Close<'_>,
        (code, known): (u32, &'e Known),
        (at, versus): (usize, Versus),
        (closing, champion): (&'e Closing, Option<u32>),
    ) -> Result<ReferenceCounts<'e>, String> {
        let (tally, known) = if versus == Versus::Champion {
            let champion = champion.ok_or("no version is in prod in this window")?;
            if champion == code {
                return Err("this version is in prod itself".to_owned());
            }
            let known = closing.known.get(champion as usize);
            (self.sum(champion, close.at), known.ok_or("nothing is known of the version in prod")?)
        } else {
            let rolling = self.versions.get(code as usize).and_then(|v| v.get(close.at));
            (rolling.and_then(|rolling| rolling.references.get(at)).map(|sum| &sum.tally), known)
        };
        if let Some(why) = missing(&self.policy, close, known, versus) {
            return Err(why);
        }
        let (Some(tally), Some(baseline), Some(layout)) = (tally, known.spec.baseline(), known.spec.layout(close.at))
        else {
            return Err(format!("the reference, {}, has no baseline", versus.name()));
        };
        Ok(ReferenceCounts::new(tally, (baseline, layout), close.reads, &self.names))
    }
}

/// Why a version's counts are no reference of this window, if they are none.
pub(super) fn missing(policy: &Policy, close: &Close<'_>, known: &Known, versus: Versus) -> Option<String> {
    let window = close.group.window;
    let spans =
        if versus == Versus::Champion { vec![window.ending(close.end)] } else { window.spans(versus, close.end) };
    if spans.iter().any(|(_, to)| *to > close.end) {
        return Some(format!("the reference, {}, has not passed yet", versus.name()));
    }
    let cut = |(start, end): (i64, i64)| cut(policy, close, known, &WindowSpan { start, end, complete: true });
    let found = spans.into_iter().find_map(cut)?;
    Some(format!("the reference, {}, is incomplete: {}", versus.name(), found.why()))
}
