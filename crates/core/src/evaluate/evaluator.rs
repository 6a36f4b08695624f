//! The evaluator: takes over sealed panes and closing lines, judges the windows behind them in order, and keeps what the next
//! ones need.

use std::sync::Arc;

use super::blocks::{self, Blocks};
use super::rolling::{Close, EvaluatorState, Memory, PROD, Rolling, RollingState};
use super::signals::{Cut, cut, is_of, signals};
use crate::codec::hash::digest;
use crate::event::Limits;
use crate::intake::names::EventNames;
use crate::intake::starts::Cause;
use crate::intake::versions::{Known, Reference, Spec};
use crate::intake::{Closing, SealedPane};
use crate::judge::against::Against;
use crate::judge::counted::{Distances, JudgedWindow};
use crate::judge::kpi::Compared;
use crate::judge::rules::judge;
use crate::judge::verdict::{Counted, RuleResult, Signal, Status, Verdict, WindowSpan};
use crate::policy::{Group, Policy};
use crate::schema::Schema;
use crate::window::keep::Keep;
use crate::window::layout::Reads;
use crate::window::tally::Tally;

/// Verdicts and the signals that follow from them, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judgement {
    pub verdicts: Vec<Verdict>,
    pub signals: Vec<Signal>,
}

/// The judging side of one model.
pub struct Evaluator {
    pub(super) policy: Arc<Policy>,
    reads: Vec<Reads>,
    /// What each group keeps of panes.
    kept: Vec<Keep>,
    /// The intake's names, as of the last closing.
    pub(super) names: EventNames,
    /// The closing under way.
    closing: Option<Closing>,
    /// By version code, then group.
    pub(super) versions: Vec<Vec<Rolling>>,
    /// Blocks that were signalled before these counts began.
    pub(super) before: Blocks,
}

impl Evaluator {
    #[must_use]
    pub fn new(policy: Arc<Policy>) -> Self {
        let names = EventNames::new(&Schema::new(&policy), &Limits::default());
        let (reads, kept) = (Reads::of(&policy), Keep::of(&policy));
        Self { reads, kept, names, policy, closing: None, versions: Vec::new(), before: Blocks::new() }
    }

    /// Takes over sealed panes.
    pub fn add(&mut self, panes: impl IntoIterator<Item = SealedPane>) {
        for p in panes {
            self.ensure(p.version);
            let rolling = self.versions.get_mut(p.version as usize).and_then(|v| v.get_mut(p.group));
            if let Some(rolling) = rolling {
                rolling.panes.entry(p.pane).or_default().push(p.sealed);
            }
        }
    }

    /// Takes over panes of which there may be some already: they are added, so that a pane takes the room of one.
    pub fn merge(&mut self, panes: impl IntoIterator<Item = SealedPane>) {
        for p in panes {
            self.ensure(p.version);
            let rolling = self.versions.get_mut(p.version as usize).and_then(|v| v.get_mut(p.group));
            let Some(of) = rolling.map(|rolling| rolling.panes.entry(p.pane).or_default()) else { continue };
            match of.last_mut().and_then(|last| Some((last.and(&p.sealed)?, last))) {
                Some((sum, last)) => *last = sum,
                None => of.push(p.sealed),
            }
        }
    }

    fn ensure(&mut self, version: u32) {
        let groups = self.policy.groups.len();
        while self.versions.len() <= version as usize {
            self.versions.push(vec![Rolling::default(); groups]);
        }
    }

    /// Begins a closing, whose panes were all added; the one before must be done.
    pub fn begin(&mut self, closing: Closing) {
        self.names.take_over(&closing.news);
        self.closing = Some(closing);
    }

    /// Whether windows of a closing are left to be judged.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        self.closing.is_some()
    }

    /// Judges the next windows behind the lines of the closing under way, those of one end, and says up to which end all
    /// verdicts are out then. `None` once there is no closing under way any more.
    pub fn judge_next(&mut self) -> Option<(Judgement, i64)> {
        let closing = self.closing.take()?;
        let policy = Arc::clone(&self.policy);
        let due = |(at, group): (usize, &Group)| {
            let line = closing.lines.get(at).copied().flatten()?;
            let complete_to = closing.complete_to.get(at).copied().flatten().unwrap_or(i64::MIN);
            self.next_end(at, group, complete_to).filter(|end| *end <= line)
        };
        let ends: Vec<Option<i64>> = policy.groups.iter().enumerate().map(due).collect();
        let mut out = Judgement::default();
        let Some(end) = ends.iter().flatten().min().copied() else { return Some((out, closing.closed_to)) };
        let (reads, kept) = (std::mem::take(&mut self.reads), std::mem::take(&mut self.kept));
        for (at, ((group, reads), keep)) in policy.groups.iter().zip(&reads).zip(&kept).enumerate() {
            if ends.get(at).copied().flatten() != Some(end) {
                continue;
            }
            let complete_to = closing.complete_to.get(at).copied().flatten().unwrap_or(i64::MIN);
            let (complete, starts) = (end <= complete_to, closing.starts);
            let close = Close { at, group, reads, end, complete, complete_to, keep, starts };
            self.close_end(&close, &closing, &mut out);
        }
        (self.reads, self.kept) = (reads, kept);
        out.verdicts.sort_by(|a, b| a.order().cmp(&b.order()));
        let closed_to = closing.closed_to.min(end);
        self.closing = Some(closing);
        Some((out, closed_to))
    }

    fn next_end(&self, group: usize, spec: &Group, complete_to: i64) -> Option<i64> {
        let keep = self.kept.get(group)?;
        self.versions.iter().filter_map(|v| v.get(group)?.next_end(spec.window, keep, complete_to)).min()
    }

    fn close_end(&mut self, close: &Close<'_>, closing: &Closing, out: &mut Judgement) {
        let (window, keep) = (close.group.window, close.keep);
        let mut due: Vec<(u32, &Known)> = Vec::new();
        for (code, known) in (0_u32..).zip(closing.known.iter()) {
            let rolling = self.versions.get_mut(code as usize).and_then(|v| v.get_mut(close.at));
            let Some(rolling) = rolling.filter(|r| close.is_due(r)) else { continue };
            let counts = known.spec.layout(close.at).map_or(0, |l| l.total);
            let left = rolling.advance(close.end, close.group, counts, close.reads.segment_lists().count());
            if let Some(layout) = known.spec.layout(close.at).filter(|_| !close.reads.kpis.is_empty()) {
                rolling.remember(left, layout, &self.names, close);
            }
            rolling.slide_references(close, counts);
            let is_quiet = rolling.is_quiet_until(close.end, window, keep, close.complete_to);
            if is_quiet {
                rolling.remain(window, close.end);
            }
            let holds = is_quiet
                || (close.reads.predictions && rolling.sum.predictions + rolling.sum.features > 0)
                || (close.reads.pairs && rolling.sum.pairs > 0)
                || rolling.sum.is_measured();
            if holds {
                due.push((code, known));
            }
        }
        // What has slid out entirely takes no memory.
        for rolling in self
            .versions
            .iter_mut()
            .filter_map(|v| v.get_mut(close.at))
            .filter(|r| r.summed.is_some() && r.is_empty(window))
        {
            if rolling.memory.last_end != Some(close.end) {
                rolling.sum = Tally::default();
                rolling.summed = None;
                rolling.references = Vec::new();
            }
        }
        // A pane of a version nobody knows any more would be due forever.
        for rolling in self.versions.iter_mut().filter_map(|v| v.get_mut(close.at)) {
            if close.is_due(rolling) {
                rolling.panes.clear();
            }
            rolling.prune(window, keep, close.end);
        }
        let champion =
            due.iter().map(|(code, _)| *code).filter(|code| self.stage(*code, close.at) == Some(PROD)).max_by_key(
                |code| {
                    // Of two that scored the same request last: the name decides, not which was seen first.
                    (self.sum(*code, close.at).and_then(|s| s.last.as_ref()), self.names.version(*code))
                },
            );
        let specs: Vec<(u32, &Spec)> = due.iter().map(|(code, known)| (*code, &*known.spec)).collect();
        let compared = self.compare(close, closing, &specs, champion);
        for ((code, known), compared) in due.into_iter().zip(compared) {
            let results = self.judge(close, (code, known), &compared, (closing, champion));
            self.conclude(close, (code, known), results, out);
        }
    }

    pub(super) fn sum(&self, version: u32, group: usize) -> Option<&Tally> {
        Some(&self.versions.get(version as usize)?.get(group)?.sum)
    }

    pub(super) fn stage(&self, version: u32, group: usize) -> Option<&str> {
        self.names.stage(self.sum(version, group)?.last.as_ref()?.stage)
    }

    fn judge(
        &self,
        close: &Close<'_>,
        (code, known): (u32, &Known),
        kpis: &[Compared],
        (closing, champion): (&Closing, Option<u32>),
    ) -> Vec<RuleResult> {
        let spec = &known.spec;
        let against = close.keep.versus.iter().enumerate().map(|(at, versus)| Against {
            versus: *versus,
            counts: self.reference(close, (code, known), (at, *versus), (closing, champion)),
        });
        let against: Vec<Against<'_>> = against.collect();
        let Some(tally) = self.sum(code, close.at) else { return Vec::new() };
        let reference = match (&spec.reference, spec.layout(close.at)) {
            // Whether its baseline is loaded by now must not matter.
            _ if tally.is_only_measured() => Err("the window holds measurements only"),
            (Reference::Baseline { baseline, .. }, Some(layout)) => Ok((&**baseline, layout)),
            (Reference::Failed(why), _) => Err(why.as_str()),
            _ => Err("the baseline is not loaded yet"),
        };
        judge(&JudgedWindow {
            policy: &self.policy,
            group: close.group,
            reads: close.reads,
            names: &self.names,
            reference,
            tally,
            kpis,
            against: &against,
            distances: Distances::default(),
        })
    }

    /// Turns results into a verdict and its signals, and remembers them.
    fn conclude(
        &mut self,
        close: &Close<'_>,
        (code, known): (u32, &Known),
        mut results: Vec<RuleResult>,
        out: &mut Judgement,
    ) {
        let stage = self.stage(code, close.at).map(str::to_owned);
        let name = self.names.version(code).unwrap_or_default().to_owned();
        let policy = Arc::clone(&self.policy);
        let Some(rolling) = self.versions.get_mut(code as usize).and_then(|v| v.get_mut(close.at)) else { return };
        let group = close.group;
        let (start, end) = group.window.ending(close.end);
        let span = WindowSpan { start, end, complete: close.complete };
        let cut = cut(&policy, close, known, &span);
        for result in &mut results {
            settle(&policy, close, cut.as_ref(), result, &mut rolling.memory);
        }
        let baseline_sha256 = match &known.spec.reference {
            _ if rolling.sum.is_only_measured() => None,
            Reference::Baseline { sha256, .. } => Some(sha256.to_string()),
            Reference::Unknown | Reference::Failed(_) => None,
        };
        let verdict = Verdict {
            verdict_id: identity(&policy, group, &name, &span, baseline_sha256.as_deref(), cut.as_ref()),
            model: policy.model.clone(),
            version: name,
            stage,
            group: group.name.clone(),
            window: WindowSpan { complete: span.complete && cut.is_none(), ..span },
            status: results.iter().map(|r| r.status).max().unwrap_or(Status::Pass),
            results,
            counted: Counted { predictions: rolling.sum.predictions, labels: rolling.sum.pairs },
            policy_sha256: policy.sha256.clone(),
            baseline_sha256,
        };
        if verdict.window.complete {
            if let Some(since) = blocks::taken(&mut self.before, &verdict) {
                rolling.memory.blocked.get_or_insert(since);
            }
            signals(&policy, close, &verdict, &mut rolling.memory, &mut out.signals);
        }
        out.verdicts.push(verdict);
    }

    /// Whether any of a version's windows may still be judged, by group.
    fn still_due(&self, groups: &[Rolling]) -> bool {
        let mut each = groups.iter().zip(&self.policy.groups).zip(&self.kept);
        each.any(|((rolling, group), keep)| rolling.next_end(group.window, keep, i64::MAX).is_some())
    }

    /// Whether windows of a version are still to be judged.
    #[must_use]
    pub fn holds(&self, version: u32) -> bool {
        self.versions.get(version as usize).is_some_and(|v| self.still_due(v))
    }

    /// Takes over a policy that counts the same; hysteresis starts anew, active blocks stay.
    pub fn adopt(&mut self, policy: Arc<Policy>) {
        (self.reads, self.kept) = (Reads::of(&policy), Keep::of(&policy));
        self.policy = policy;
        self.forget_streaks();
    }

    /// Starts hysteresis anew.
    pub fn forget_streaks(&mut self) {
        for rolling in self.versions.iter_mut().flatten() {
            rolling.memory.streaks.clear();
            rolling.memory.triggers.clear();
        }
    }

    /// Lets go of a version's panes and hysteresis, and of the blocks of one that was another version; windows that were
    /// judged stay so.
    pub fn count_anew(&mut self, version: u32, cause: Cause) {
        for rolling in self.versions.get_mut(version as usize).into_iter().flatten() {
            let Memory { last_end, blocked, .. } = rolling.memory;
            let blocked = blocked.filter(|_| cause != Cause::Version);
            let memory = Memory { last_end, blocked, ..Memory::default() };
            *rolling = Rolling { memory, ..Rolling::default() };
        }
    }

    /// What a checkpoint keeps.
    #[must_use]
    pub fn state(&self) -> EvaluatorState {
        let rolling = |r: &Rolling| RollingState {
            panes: r.panes.iter().map(|(&p, s)| (p, s.clone())).collect(),
            memory: r.memory.clone(),
        };
        EvaluatorState { versions: self.versions.iter().map(|v| v.iter().map(rolling).collect()).collect() }
    }

    /// An evaluator as a checkpoint kept it.
    #[must_use]
    pub fn restore(policy: Arc<Policy>, state: EvaluatorState) -> Self {
        let groups = policy.groups.len();
        let rolling =
            |r: RollingState| Rolling { panes: r.panes.into_iter().collect(), memory: r.memory, ..Rolling::default() };
        let restored = |v: Vec<RollingState>| {
            let mut v: Vec<Rolling> = v.into_iter().map(rolling).collect();
            v.resize_with(groups, Rolling::default);
            v
        };
        let versions = state.versions.into_iter().map(restored).collect();
        Self { versions, ..Self::new(policy) }
    }
}

/// Completes a result by what is remembered: how long it has its status, whether a breach is pending, whether it is muted.
fn settle(policy: &Policy, close: &Close<'_>, cut: Option<&Cut>, result: &mut RuleResult, memory: &mut Memory) {
    let group = close.group;
    let rule = group.rules.iter().find(|rule| is_of(result, group, rule));
    let hysteresis = rule.and_then(|r| r.hysteresis);
    if let (Some(of), Status::Block) = (rule.and_then(|r| r.kind.kpi()), result.status)
        && let Ok(at) = close.reads.kpis.binary_search(&of)
        && cut.is_none()
    {
        memory.outcomes.kpi(at).blocked(close.end);
    }
    let streak = memory.streaks.entry(format!("{} {}", result.rule, result.subject)).or_default();
    // What was counted in part says nothing of what lasts.
    let mut aside = *streak;
    let streak = if cut.is_none() { streak } else { &mut aside };
    let (window, end) = (group.window, group.window.nominal_end(close.end));
    let (since, pending) = streak.note(end, window.slide, result.status, hysteresis);
    if let Some(cut) = cut {
        result.reason.get_or_insert_with(|| cut.why());
    }
    result.since = (result.status != Status::Pass).then_some(window.real_end(since));
    result.pending = pending;
    result.muted = policy.mutes.iter().any(|m| {
        close.end <= m.until
            && m.rule.as_ref().is_none_or(|r| *r == result.rule)
            && m.of.as_ref().is_none_or(|o| *o == result.subject)
    });
}

/// The verdict's id: a digest of what it is about.
fn identity(
    policy: &Policy,
    group: &Group,
    version: &str,
    span: &WindowSpan,
    baseline: Option<&str>,
    cut: Option<&Cut>,
) -> String {
    // A window whose counts begin within it is another one than the whole window, and has another id.
    let begun = cut.map(|cut| cut.at().to_le_bytes());
    let (start, end) = (span.start.to_le_bytes(), span.end.to_le_bytes());
    let mut identity: Vec<&[u8]> = vec![
        policy.model.as_bytes(),
        version.as_bytes(),
        group.name.as_bytes(),
        &start,
        &end,
        policy.sha256.as_bytes(),
        baseline.unwrap_or("").as_bytes(),
    ];
    identity.extend(begun.as_ref().map(<[u8; 8]>::as_slice));
    digest(&identity)
}
