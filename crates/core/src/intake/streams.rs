//! The streams of an intake: its source partitions, how far each has come, and where counts begin behind records that were not
//! counted.

use super::source::Source;
use super::starts::Cause;
use super::{Intake, SourceId};
use crate::event::{ByKind, EventKind};
use crate::window::front::Front;
use crate::window::watermark::{Bases, Progress, base};

impl Intake {
    /// Adds a source partition whose times may lie so far ahead of its pace, in ms: where it begins, or as a checkpoint kept it.
    pub fn add_source(&mut self, kind: EventKind, future: i64, kept: Option<Front>) -> SourceId {
        // What is no further ahead than the lateness makes no event late.
        let least = match (kind, &self.policy.labels) {
            (EventKind::Labels, Some(labels)) => labels.lateness,
            _ => self.policy.groups.iter().map(|g| g.lateness).min().unwrap_or(0),
        };
        let tolerance = future.max(least);
        let front = kept.map_or_else(|| Front::new(tolerance, None), |front| front.with(tolerance));
        self.sources.push(Source { kind, front, idle: false, behind: false, hole: None, ended: false });
        SourceId(self.sources.len() - 1)
    }

    /// Says whether a source partition is idle (caught up and silent).
    pub fn set_idle(&mut self, source: SourceId, idle: bool) {
        if let Some(s) = self.sources.get_mut(source.0) {
            s.idle = idle;
        }
    }

    /// A source has no more events.
    pub fn end(&mut self, source: SourceId) {
        if let Some(s) = self.sources.get_mut(source.0) {
            s.ended = true;
        }
    }

    /// A source partition brings something: it is not idle any more. Where all of its stream were, none is passed over
    /// unread now, so none is.
    pub(super) fn wake(&mut self, source: SourceId) {
        let Some(Source { kind, idle: true, .. }) = self.sources.get(source.0) else { return };
        let kind = *kind;
        let of_kind = || self.sources.iter().filter(|s| s.kind == kind);
        if of_kind().all(|s| s.idle) {
            self.woken.push(kind);
            self.sources.iter_mut().filter(|s| s.kind == kind).for_each(|s| s.idle = false);
        }
        self.set_idle(source, false);
    }

    /// A source partition has come to these times by events that are no rows yet.
    pub fn pass(&mut self, source: SourceId, times: &[i64]) {
        self.wake(source);
        let Some(Source { front, .. }) = self.sources.get_mut(source.0) else { return };
        for ts in times {
            front.advance(*ts, || None);
        }
        self.settle(source);
    }

    /// Whether a stream has woken up that no caller has asked for yet.
    #[must_use]
    pub fn has_woken(&self) -> bool {
        !self.woken.is_empty()
    }

    /// Whether a stream has woken up since the last call.
    pub fn take_woken(&mut self, kind: EventKind) -> bool {
        let before = self.woken.len();
        self.woken.retain(|k| *k != kind);
        self.woken.len() < before
    }

    #[must_use]
    pub fn progress(&self, source: SourceId) -> Progress {
        self.sources.get(source.0).map_or(Progress::default(), Source::progress)
    }

    /// How far a source partition has come, to be kept.
    #[must_use]
    pub fn front(&self, source: SourceId) -> Option<&Front> {
        self.sources.get(source.0).map(|s| &s.front)
    }

    /// The last event of a source partition that was ahead of its pace and contradicted since the last call: its time, and
    /// what the partition had reached.
    pub fn take_ahead(&mut self, source: SourceId) -> Option<(i64, i64)> {
        self.sources.get_mut(source.0)?.front.take_example()
    }

    /// A source partition is read from behind records that were not counted, all at most `before` where that is known: the
    /// model's counts begin there.
    pub fn begin_behind(&mut self, source: SourceId, before: Option<i64>, cause: Cause) {
        let Some(s) = self.sources.get_mut(source.0) else { return };
        match before {
            Some(ts) => self.starts.raise(s.kind, ts.saturating_add(1), cause),
            None => s.behind = true,
        }
    }

    /// A source partition is read on behind records that are gone uncounted: they may be of any time from those that were
    /// counted up to the first one that is read, and before `until`.
    pub fn begin_hole(&mut self, source: SourceId, until: i64) {
        if let Some(s) = self.sources.get_mut(source.0) {
            (s.behind, s.hole) = (true, Some(until));
        }
    }

    /// Until when the records of a hole may be that a source partition is read on behind, if it has brought nothing since.
    #[must_use]
    pub fn hole(&self, source: SourceId) -> Option<i64> {
        self.sources.get(source.0)?.hole
    }

    /// Whether a source partition was begun behind records whose times are not known, and has brought nothing since.
    #[must_use]
    pub fn is_behind(&self, source: SourceId) -> bool {
        self.sources.get(source.0).is_some_and(|s| s.behind)
    }

    /// What is known of a source partition's front once a batch was admitted: events that were ahead of it, and the first
    /// record where it was begun behind others: those were at most the lateness ahead of it.
    pub(super) fn settle(&mut self, source: SourceId) {
        let Some(Source { kind, front, behind, hole, .. }) = self.sources.get_mut(source.0) else { return };
        self.counters.ahead += front.take_refuted();
        let Some(ts) = front.take_first().filter(|_| *behind) else { return };
        *behind = false;
        let (kind, hole) = (*kind, hole.take());
        let groups = || self.policy.groups.iter().zip(self.counting.reads.iter());
        // A partition that had nothing for as long as a whole window of the others had nothing before it either.
        let settled = groups().zip(&self.closed).all(|((group, reads), closed)| {
            let whole = self.starts.whole_from(&self.policy, reads);
            whole.is_some_and(|(from, _)| *closed >= group.window.first_end_from(from))
        });
        if settled && hole.is_none() {
            return;
        }
        let cause = if hole.is_some() { Cause::Gap } else { Cause::Behind };
        let lateness = match (kind, &self.policy.labels) {
            (EventKind::Labels, Some(labels)) => labels.lateness,
            _ => groups().map(|(g, _)| g.lateness).max().unwrap_or(0),
        };
        self.starts.raise(kind, ts.saturating_add(lateness).saturating_add(1), cause);
    }

    pub(super) fn base_of(&self, kind: EventKind) -> Option<i64> {
        base(self.sources.iter().filter(|s| s.kind == kind).map(Source::progress))
    }

    /// How far the streams have come.
    #[must_use]
    pub fn bases(&self) -> Bases {
        self.bases_by(|at| self.progress(SourceId(at)))
    }

    /// The same where nothing more will come, and so nothing contradicts a time any more.
    pub(super) fn bases_at_end(&self) -> Bases {
        self.bases_by(|at| {
            let at_end = |s: &Source| Progress { max_ts: s.front.claimed(), idle: s.idle };
            self.sources.get(at).map_or(Progress::default(), at_end)
        })
    }

    /// The bases by what `progress` says of each source partition.
    fn bases_by(&self, progress: impl Fn(usize) -> Progress) -> Bases {
        let of_kind = |kind: EventKind| {
            self.sources.iter().enumerate().filter(move |(_, s)| s.kind == kind).map(|(at, _)| progress(at))
        };
        let mut predictions = of_kind(EventKind::Predictions).peekable();
        let silent_to = self.labels_silent_to(&progress);
        Bases {
            by_kind: ByKind::each(|kind| match kind {
                EventKind::Labels => base(of_kind(kind)).max(silent_to),
                _ => base(of_kind(kind)),
            }),
            labels_silent_to: silent_to,
            has_features: self.has_features,
            predictions_quiet: predictions.peek().is_some() && predictions.all(|p| p.idle),
        }
    }

    /// Takes note of how far each source partition had come, and which were idle, at a moment for which that is confirmed:
    /// windows may close as far as these streams had come. A partition that is not named holds its stream.
    pub fn confirm(&mut self, stood: &[(SourceId, Progress)]) {
        let mut by_source = vec![Progress::default(); self.sources.len()];
        for (source, progress) in stood {
            if let Some(of_source) = by_source.get_mut(source.0) {
                *of_source = *progress;
            }
        }
        self.confirmed = Some(self.bases_by(|at| by_source.get(at).copied().unwrap_or_default()));
    }

    /// The bases that windows close by; `None` where nothing is confirmed yet.
    #[must_use]
    pub fn closing_bases(&self) -> Option<Bases> {
        if self.confirmed_only { self.confirmed } else { Some(self.bases()) }
    }

    /// The time up to which no labels are waited for: all of their partitions were read to the end, and the last label is
    /// behind the predictions by more than the policy's `silent_after`.
    fn labels_silent_to(&self, progress: impl Fn(usize) -> Progress) -> Option<i64> {
        let spec = self.policy.labels.as_ref()?;
        let of_kind =
            |kind| self.sources.iter().enumerate().filter(move |(_, s)| s.kind == kind).map(|(at, _)| progress(at));
        let mut labels = of_kind(EventKind::Labels).peekable();
        if labels.peek().is_none() || !labels.all(|p| p.idle) {
            return None;
        }
        let to = base(of_kind(EventKind::Predictions))?.saturating_sub(spec.silent_after);
        base(of_kind(EventKind::Labels)).is_none_or(|last| last < to).then_some(to)
    }

    /// Where no labels are waited for any more: the time of the last one, and up to which time.
    #[must_use]
    pub fn silent_labels(&self) -> Option<(Option<i64>, i64)> {
        self.labels_silent_to(|at| self.progress(SourceId(at))).map(|to| (self.base_of(EventKind::Labels), to))
    }
}
