//! The effect of a window on a rollout: it fails the rollout, measures the step, is compared with the champion's, or ends the step.

use super::compare::{self, Decision};
use super::looks;
use super::machine::Machine;
use super::plan;
use super::share;
use super::state::{GroupMeasurements, Phase};
use crate::codec::time::utc;
use crate::judge::streak::Breach;
use crate::judge::verdict::{RuleResult, Status, Verdict};
use crate::policy::{Enforce, Group, Hysteresis, Traffic, Trigger};
use crate::yaml::units::show_duration;

impl Machine<'_> {
    /// Takes a window of any version.
    pub fn verdict(&mut self, verdict: &Verdict) {
        let window = verdict.window;
        let candidate = verdict.version == self.state.candidate;
        let champion = !candidate && Some(&verdict.version) == self.state.champion.as_ref();
        let Some(at) = self.policy.groups.iter().position(|group| group.name == verdict.group) else { return };
        if verdict.model != self.state.model || !window.complete || !(candidate || champion) {
            return;
        }
        let processed = self.state.processed_ms.entry(verdict.version.clone()).or_default();
        if processed.get(&verdict.group).is_some_and(|&last| window.end <= last) {
            return;
        }
        processed.insert(verdict.group.clone(), window.end);
        let in_step =
            window.start >= self.state.step_started_ms && !self.state.pause_overlaps(window.start, window.end);
        if in_step && self.is_measured(at) {
            let departs = share::take(self.state, verdict, candidate);
            if let Some(why) = departs.filter(|_| self.state.paused.is_none()) {
                self.stand_still(why, false);
            }
        }
        if candidate {
            self.state.now_ms = self.state.now_ms.max(window.end);
            // A window that began before the rollout does not count.
            if window.end > self.state.started_ms {
                self.candidate(at, verdict, in_step);
            }
        } else if in_step && let Some(compared) = &self.rollout.compare {
            compare::note_latency(self.policy, compared, verdict, &mut self.state.comparison.latency.champion_us);
        }
    }

    /// Whether the group is the one whose windows say how the traffic is divided: the first counting one that counts a version's own.
    fn is_measured(&self, at: usize) -> bool {
        self.counting().find(|(_, group)| group.traffic == Traffic::Version).is_some_and(|(counting, _)| counting == at)
    }

    fn candidate(&mut self, at: usize, verdict: &Verdict, in_step: bool) {
        let group = self.counting().find(|(counting, _)| *counting == at).map(|(_, group)| group);
        if self.state.phase == Phase::Waiting {
            if let Some(group) = group {
                self.wait(group, verdict.window.end);
            }
            return;
        }
        // A rollback of the version ends its rollout, too, whether or not the rollout measures by that rule.
        let guards = group.or_else(|| self.policy.groups.get(at).filter(|g| g.enforce == Enforce::Block));
        if let Some(guards) = guards
            && let Some(reason) = self.breached(at, guards, group.is_some(), verdict)
        {
            return self.fail(&reason);
        }
        if let Some(group) = group.filter(|_| in_step) {
            self.measure(group, verdict);
        }
        if in_step
            && self.compares()
            && let Some(compared) = &self.rollout.compare
        {
            compare::note_latency(self.policy, compared, verdict, &mut self.state.comparison.latency.candidate_us);
            if compare::count(self.state, self.policy, compared, verdict) {
                let look = compare::look(self.state, self.rollout, compared);
                look.into_iter().for_each(|look| looks::keep(&mut self.state.looks, look));
                if let Decision::Harm(reason) = compare::decide(self.state, self.policy, self.rollout, compared) {
                    return self.fail(&reason);
                }
            }
        }
        if self.state.paused.is_none() && !self.state.external {
            self.advance();
        }
    }

    fn wait(&mut self, group: &Group, end: i64) {
        let first = *self.state.first_seen_ms.entry(group.name.clone()).or_insert(end);
        if self.state.paused.is_none() && self.state.elapsed_ms(first, end) >= self.rollout.initial_delay {
            self.begin();
        }
    }

    fn measure(&mut self, group: &Group, verdict: &Verdict) {
        // A verdict without results judged nothing.
        let status = if verdict.results.is_empty() { Status::Insufficient } else { verdict.decides() };
        let good = matches!(status, Status::Pass | Status::Warn);
        let measured =
            self.state.measured.entry(group.name.clone()).or_insert(GroupMeasurements { good: 0, last: status });
        measured.good = measured.good.saturating_add(u64::from(good));
        measured.last = status;
    }

    /// Why the window fails the rollout, if it does: by any rule of a counting group, by triggers of the others.
    fn breached(&mut self, at: usize, group: &Group, is_counting: bool, verdict: &Verdict) -> Option<String> {
        let mut rules: Vec<(&str, Vec<&RuleResult>)> = Vec::new();
        for result in &verdict.results {
            match rules.iter_mut().find(|(rule, _)| *rule == result.rule) {
                Some((_, results)) => results.push(result),
                None => rules.push((&result.rule, vec![result])),
            }
        }
        let mut reasons: Vec<String> = Vec::new();
        for (rule, results) in rules {
            let blocking: Vec<String> =
                results.iter().filter(|r| r.decides() == Status::Block).map(|r| r.sentence()).collect();
            let trigger = self.trigger(at, group, rule);
            if trigger.is_none() && !is_counting {
                continue;
            }
            let Some(hysteresis) = trigger.and_then(|t| t.hysteresis) else {
                self.state.breaches.remove(rule);
                reasons.extend(blocking);
                continue;
            };
            if results.iter().all(|r| r.muted) {
                self.state.breaches.remove(rule);
                continue;
            }
            let measured = results.iter().any(|r| !r.muted && r.status != Status::Insufficient);
            let breached = measured.then_some(!blocking.is_empty());
            if let Some(since) = self.lasting(rule, hysteresis, group, verdict, breached) {
                let lasted = show_duration(verdict.window.end.saturating_sub(since));
                reasons.push(format!("{} for {lasted}, since {}", blocking.join("; "), utc(since)));
            }
        }
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    /// The rollback trigger on a rule.
    fn trigger(&self, at: usize, group: &Group, rule: &str) -> Option<&Trigger> {
        let id = rule.strip_prefix(group.name.as_str())?.strip_prefix('/')?;
        let triggers = &self.policy.rollback.as_ref()?.triggers;
        let on_rule = |index: usize| group.rules.get(index).is_some_and(|rule| rule.id == id);
        triggers.iter().find(|trigger| trigger.group == at && on_rule(trigger.rule))
    }

    /// Takes note of a window of a watched rule; `breached` is `None` where it was not measured. Since when (the first
    /// window's end) it has been breached, once that is as long as `for` asks.
    fn lasting(
        &mut self,
        rule: &str,
        hysteresis: Hysteresis,
        group: &Group,
        verdict: &Verdict,
        breached: Option<bool>,
    ) -> Option<i64> {
        let (end, slide, breached) = (verdict.window.end, group.window.slide, breached?);
        let nominal = group.window.nominal_end(end);
        let some_of = matches!(hysteresis, Hysteresis::SomeOf { .. });
        let known = self.state.breaches.remove(rule);
        if !breached && !some_of {
            return None;
        }
        let (is_known, mut breaching) = (known.is_some(), known.unwrap_or_default());
        let lasting = breaching.breach.note(nominal, slide, Some(breached), Some(hysteresis));
        if breaching.breach == Breach::default() {
            // None of the last windows breached.
            return None;
        }
        let mut first = Breach::default();
        first.note(nominal, slide, Some(true), Some(hysteresis));
        if breached && breaching.breach == first {
            breaching.since_ms = end;
            let length = hysteresis.to_string();
            self.note(if is_known {
                format!("{rule} blocks after a gap longer than {length}: inconclusive, the breach is counted anew")
            } else {
                format!("{rule} blocks: it fails the rollout after {length}, and no step ends meanwhile")
            });
        }
        if some_of {
            breaching.ends.extend(breached.then_some(end));
            let left = breaching.ends.len().saturating_sub(breaching.breach.breaching());
            breaching.ends.drain(..left);
            breaching.since_ms = breaching.ends.first().copied().unwrap_or(end);
        }
        let since = lasting.then_some(breaching.since_ms);
        self.state.breaches.insert(rule.to_owned(), breaching);
        since
    }

    /// Whether the current step compares with the champion.
    fn compares(&self) -> bool {
        self.state.phase == Phase::Progressing
            && self.rollout.compare.is_some()
            && self.rollout.steps.get(self.state.step).is_some_and(plan::compares)
    }

    /// Ends the step if it is done.
    fn advance(&mut self) {
        if !matches!(self.state.phase, Phase::Progressing | Phase::Promoting) {
            return;
        }
        let Some(step) = self.rollout.steps.get(self.state.step) else { return };
        let length = step.hold.or(step.bake).unwrap_or(0);
        let compared = self.rollout.compare.as_ref().filter(|_| self.compares());
        let counting: Vec<&Group> = self.counting().map(|(_, group)| group).collect();
        let compared_group = compared.and_then(|compared| self.policy.groups.get(compared.group));
        let over = |group: &&Group| {
            let end = self.state.candidate_end_ms(&group.name);
            end.is_some_and(|end| self.state.elapsed_ms(self.state.step_started_ms, end) >= length)
        };
        let all_over = counting.iter().chain(compared_group.iter()).all(over);
        if counting.is_empty() || !all_over {
            return;
        }
        let mut poor: Vec<&str> = Vec::new();
        for group in counting {
            match self.state.measured.get(&group.name) {
                Some(GroupMeasurements { last: Status::Insufficient, .. }) => poor.push(&group.name),
                Some(GroupMeasurements { last: Status::Pass | Status::Warn, .. }) => {}
                Some(GroupMeasurements { last: Status::Block, .. }) | None => return,
            }
        }
        if !poor.is_empty() {
            let groups = poor.join(", ");
            return self.inconclusive(format!("the last window of {groups} is insufficient at the end of the step"));
        }
        // The last measurement may have been good, and a window since then that overlaps a pause not.
        if !self.state.breaches.is_empty() {
            return;
        }
        let mut why = "finished its bake".to_owned();
        if let Some(compared) = compared {
            match compare::decide(self.state, self.policy, self.rollout, compared) {
                Decision::Gain(reason) => why = reason,
                Decision::Open(reason) => return self.inconclusive(reason),
                Decision::Harm(reason) => return self.fail(&reason),
            }
        } else if self.state.phase == Phase::Progressing {
            why = format!("step {} is done", self.state.step + 1);
        }
        if self.state.phase == Phase::Promoting {
            self.state.why = why;
            self.note(self.state.why.clone());
            self.enter(Phase::Succeeded);
        } else if self.state.step + 1 < self.last_step() {
            self.start_step(self.state.step + 1);
        } else {
            self.ask_or_wait(&why);
        }
    }

    fn inconclusive(&mut self, why: String) {
        if self.rollout.pause_on_inconclusive {
            self.stand_still(why, true);
        } else {
            self.fail(&format!("inconclusive: {why}"));
        }
    }
}
