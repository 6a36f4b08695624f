//! Problems of a version: what blocks it, why nothing can be said of it, and what its latest windows warn of.

use super::found::Found;
use super::types::{Problem, Severity, quoted};
use crate::view::VersionView;
use driftgate_core::codec::time::utc;
use driftgate_core::judge::ranking;
use driftgate_core::judge::verdict::{RuleResult, Status, Verdict};
use driftgate_core::policy::{Enforce, Policy};
use driftgate_core::promotion::PROD;
use driftgate_core::promotion::version::VersionRecord;

impl Found<'_> {
    pub(super) fn version(&self, name: &str) -> Vec<Problem> {
        let record = self.facts.records.iter().find(|r| r.version == name);
        let stages = record.map_or(&[][..], |r| &r.stages);
        let seen = self.seen.versions.get(name);
        let in_prod = stages.iter().any(|s| s == PROD);
        let title = match stages {
            [] => format!("version {name}"),
            _ => format!("version {name} ({})", stages.join(", ")),
        };
        let mut all = Vec::new();
        let blocking = blocking(&self.seen.policy, record, seen);
        if let Some((first, more)) = blocking.split_first() {
            let more = if more.is_empty() { String::new() } else { format!(" (and {} more)", more.len()) };
            let severity = if in_prod { Severity::Production } else { Severity::Candidate };
            let next = self
                .explain(name, if in_prod { "what is wrong with the version in prod" } else { "why it is blocked" });
            all.push(self.problem(severity, Some(name), format!("{title} is blocked: {first}{more}"), next));
        }
        let gone = |group: &str| self.seen.policy.groups.iter().all(|g| g.name != group);
        for block in record.into_iter().flat_map(|r| &r.blocks).filter(|b| gone(&b.group)) {
            let (group, since) = (&block.group, &block.since);
            let what = format!(
                "{title} is blocked since {since} by {group:?}, a group that the policy does not have: no window will clear it"
            );
            let next = format!(
                "driftgate unblock {} {} --group {} --reason REASON",
                quoted(self.model),
                quoted(name),
                quoted(group)
            );
            all.push(self.problem(Severity::Waiting, Some(name), what, next));
        }
        all.extend(seen.and_then(|seen| self.without_baseline(name, &title, in_prod, seen)));
        if let Some(why) = seen.and_then(|s| s.snapshot.as_ref()) {
            let what = format!("the snapshot of {title} cannot be read, its counts go on: {why}");
            let next = "correct where its snapshot lies: it is tried again".to_owned();
            all.push(self.problem(Severity::Partial, Some(name), what, next));
        }
        // Where no pointer says which version serves, any may.
        let may_serve = in_prod || !self.facts.records.iter().any(|r| !r.stages.is_empty());
        let is_judgeable = seen.is_some_and(|s| !matches!(s.baseline, Some(Err(_))));
        if (!stages.is_empty() || (may_serve && is_judgeable)) && blocking.is_empty() {
            let severity = if may_serve { Severity::Unknown } else { Severity::Candidate };
            if let Some(why) = self.unsure(seen) {
                let next = self.explain(name, "why nothing can be said of it");
                all.push(self.problem(severity, Some(name), format!("{title}: {why}"), next));
            }
        }
        if let Some(warning) = seen.and_then(|seen| self.warned(seen)) {
            let next = self.explain(name, "what its limits are and how it came there");
            all.push(self.problem(Severity::Warning, Some(name), format!("{title} {warning}"), next));
        }
        all
    }

    fn without_baseline(&self, name: &str, title: &str, in_prod: bool, seen: &VersionView) -> Option<Problem> {
        let Some(Err(why)) = &seen.baseline else { return None };
        let severity = if in_prod { Severity::Unknown } else { Severity::Candidate };
        let next = if seen.is_decided {
            "where partitions are divided it is counted to its end without one: register the model under another version"
        } else {
            "correct where its snapshot lies: it is tried again"
        };
        Some(self.problem(severity, Some(name), format!("{title} has no baseline: {why}"), next.to_owned()))
    }

    /// What the latest windows show beside what blocks, what matters most first: warnings, breaches of groups that only warn, and muted ones.
    fn warned(&self, seen: &VersionView) -> Option<String> {
        let mut found: Vec<(&str, &RuleResult)> = Vec::new();
        for group in self.seen.policy.groups.iter().filter(|g| g.enforce != Enforce::Observe) {
            let Some(latest) = seen.latest().find(|v| v.group == group.name) else { continue };
            for result in &latest.results {
                let what = match (result.muted, result.status, result.decides()) {
                    (true, Status::Block, _) => "is muted and breaks a limit",
                    (false, Status::Warn, _) | (false, _, Status::Warn) => "warns",
                    (false, Status::Block, _) if group.enforce == Enforce::Warn => "breaks a limit that only warns",
                    _ => continue,
                };
                found.push((what, result));
            }
        }
        ranking::sort(&mut found, |(_, result)| result.rank());
        let ((what, result), rest) = found.split_first()?;
        let more = if rest.is_empty() { String::new() } else { format!(" (and {} more)", rest.len()) };
        Some(format!("{what}: {}{more}", result.sentence()))
    }

    /// Why the enforced groups say nothing of a version now.
    fn unsure(&self, seen: Option<&VersionView>) -> Option<String> {
        let enforced = self.seen.policy.groups.iter().filter(|g| g.enforce == Enforce::Block);
        let mut why: Vec<(Status, String)> = Vec::new();
        for group in enforced {
            let latest = seen.and_then(|s| s.latest().find(|v| v.group == group.name));
            let Some(latest) = latest else {
                why.push((Status::Warn, format!("group {} has not judged it yet", group.name)));
                continue;
            };
            let end = utc(latest.window.end);
            if self.now_ms.saturating_sub(latest.window.end) > group.stale_after {
                why.push((Status::Block, format!("group {} is stale: its last window ended {end}", group.name)));
            } else if !latest.window.complete {
                let reason =
                    latest.results.iter().find_map(|r| r.reason.as_deref()).unwrap_or("counts began within it");
                why.push((
                    Status::Insufficient,
                    format!("group {}: its last window is incomplete: {reason}", group.name),
                ));
            } else if latest.decides() == Status::Insufficient {
                let reason = first_reason(latest, Status::Insufficient);
                why.push((Status::Insufficient, format!("group {} has too little data: {reason}", group.name)));
            }
        }
        why.into_iter().max_by_key(|(status, _)| *status).map(|(_, why)| why)
    }
}

/// Sentences that say why a version is blocked: active blocks, and verdicts of enforced groups.
fn blocking(policy: &Policy, record: Option<&VersionRecord>, seen: Option<&VersionView>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut told: Vec<&str> = Vec::new();
    for block in record.into_iter().flat_map(|r| &r.blocks) {
        told.push(&block.group);
        let reason = block.reasons.first().cloned().unwrap_or_else(|| format!("group {}", block.group));
        let first = matters_most(seen, &block.group).unwrap_or(reason);
        all.push(format!("{first} (since {})", block.since));
    }
    for (group, reasons) in
        seen.into_iter().flat_map(|s| &s.blocks).filter(|(group, _)| !told.contains(&group.as_str()))
    {
        let reason = reasons.first().cloned().unwrap_or_else(|| format!("group {group}"));
        all.push(matters_most(seen, group).unwrap_or(reason));
    }
    let enforced = |name: &str| policy.groups.iter().any(|g| g.name == name && g.enforce == Enforce::Block);
    let raised = |name: &str| seen.is_some_and(|s| s.blocks.contains_key(name)) || told.contains(&name);
    for verdict in seen.into_iter().flat_map(VersionView::latest) {
        if verdict.decides() == Status::Block && enforced(&verdict.group) && !raised(&verdict.group) {
            all.push(first_reason(verdict, Status::Block));
        }
    }
    all
}

/// What matters most of what blocks in the newest window of a group; `None` where no feature has an importance.
fn matters_most(seen: Option<&VersionView>, group: &str) -> Option<String> {
    let latest = seen?.latest().find(|v| v.group == group)?;
    let worst = first(latest.results.iter().filter(|r| r.decides() == Status::Block))?;
    worst.rank().map(|_| worst.sentence())
}

/// The result of a verdict that decides so and matters most; the first one where no feature has an importance.
fn first_reason(verdict: &Verdict, status: Status) -> String {
    let result = first(verdict.results.iter().filter(|r| r.decides() == status));
    result.map_or_else(|| format!("group {}", verdict.group), RuleResult::sentence)
}

/// The result that matters most, the first of those that are alike.
fn first<'r>(results: impl Iterator<Item = &'r RuleResult>) -> Option<&'r RuleResult> {
    let mut all: Vec<&RuleResult> = results.collect();
    ranking::sort(&mut all, |result| result.rank());
    all.first().copied()
}
