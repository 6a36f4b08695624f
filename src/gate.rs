//! The gate: may a version be promoted to a stage? A pure decision over the latest verdicts and the active blocks; who
//! collects them, and the only clock, are elsewhere.
//!
//! A group of checks counts if the transitions to the stage name it (without transitions: every group) and it enforces
//! `block`. An active block or a blocking verdict in such a group blocks; no verdict, or one that is incomplete,
//! insufficient or stale, is inconclusive. Nothing promotes without a check.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::judge::verdict::{RuleResult, Status, Verdict, utc};
use crate::policy::{Enforce, Group, Millis, Policy};
use crate::registry::ActiveBlock;

/// What is asked, and everything the answer depends on.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    pub policy: &'a Policy,
    /// The stage to promote to.
    pub to: &'a str,
    pub version: &'a str,
    /// Wall clock, or stream time where events are read from files.
    pub now_ms: i64,
    /// The latest verdict of each group that has one.
    pub latest: Vec<GroupVerdict>,
    /// The version's active blocks, of any group.
    pub blocks: &'a [ActiveBlock],
    /// The version was registered, or seen in events.
    pub known: bool,
}

/// What the gate needs of a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupVerdict {
    pub group: String,
    /// What decisions see of it: mutes and pending breaches are accounted for.
    pub status_decides: Status,
    /// End of its window.
    pub end_ms: i64,
    pub complete: bool,
    /// The results that made it block, or else insufficient, a sentence each.
    pub sentence_of_worst: Vec<String>,
}

impl GroupVerdict {
    #[must_use]
    pub fn from_verdict(verdict: &Verdict) -> Self {
        // A verdict without results judged nothing, and no data never promotes.
        let nothing_judged = verdict.results.is_empty().then_some(Status::Insufficient);
        let status_decides = nothing_judged.unwrap_or_else(|| verdict.decides());
        let worst =
            verdict.results.iter().filter(|r| status_decides >= Status::Insufficient && r.decides() == status_decides);
        Self {
            group: verdict.group.clone(),
            status_decides,
            end_ms: verdict.window.end,
            complete: verdict.window.complete,
            sentence_of_worst: worst.map(RuleResult::sentence).collect(),
        }
    }
}

impl From<&Verdict> for GroupVerdict {
    fn from(verdict: &Verdict) -> Self {
        Self::from_verdict(verdict)
    }
}

/// The decision. Nothing but `Pass` means go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GateVerdict {
    Pass,
    Block,
    /// Too little, too old or no data.
    Inconclusive,
    /// Waiting for approval.
    Pending,
}

impl GateVerdict {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Block => "block",
            Self::Inconclusive => "inconclusive",
            Self::Pending => "pending",
        }
    }

    /// What a command that asks exits with.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Block => 1,
            Self::Inconclusive => 3,
            Self::Pending => 4,
        }
    }
}

/// The decision and why, as JSON with keys in this order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    pub verdict: GateVerdict,
    /// `verdict` is pass.
    pub ok: bool,
    /// Everything that speaks against it, what blocks first; empty on a pass.
    pub reasons: Vec<String>,
    pub policy_sha256: String,
    /// RFC 3339, UTC.
    pub evaluated_at: String,
    /// Seconds since the end of the oldest window that counted.
    pub age_s: Option<i64>,
    pub model: String,
    pub version: String,
    pub to: String,
    /// What was seen but did not count.
    pub notes: Vec<String>,
}

/// A question that has no answer: the asker is mistaken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
    #[error("the policy of {model:?} has no transition to {to:?}; it has transitions to {}", known.join(", "))]
    UnknownStage { model: String, to: String, known: Vec<String> },
}

/// Answers from what the question holds alone.
///
/// # Errors
/// A stage that none of the policy's transitions leads to. A policy without transitions takes every stage.
pub fn decide(question: &Question<'_>) -> Result<Answer, GateError> {
    let &Question { policy, to, version, now_ms, .. } = question;
    let mut found = Findings::default();
    let groups = counting(policy, to, &mut found.notes)?;
    if !question.known {
        found.open.push(format!("version {version:?} of {:?} was neither registered nor seen in events", policy.model));
    }
    if groups.is_empty() {
        let model = &policy.model;
        found.open.push(format!(
            "nothing promotes to {to:?} without a check: \
             the policy of {model:?} has no group with `enforce: block` for it"
        ));
    }
    for group in &groups {
        found.judge(group, question);
    }
    for block in question.blocks.iter().filter(|b| !groups.iter().any(|g| g.name == b.group)) {
        found
            .notes
            .push(format!("{}: blocked since {}, but the group does not count for {to:?}", block.group, block.since));
    }
    let verdict = match (found.blocking.is_empty(), found.open.is_empty()) {
        (false, _) => GateVerdict::Block,
        (true, false) => GateVerdict::Inconclusive,
        (true, true) => GateVerdict::Pass,
    };
    found.blocking.append(&mut found.open);
    Ok(Answer {
        verdict,
        ok: verdict == GateVerdict::Pass,
        reasons: found.blocking,
        policy_sha256: policy.sha256.clone(),
        evaluated_at: utc(now_ms),
        age_s: found.oldest_end.map(|end| now_ms.saturating_sub(end).max(0) / 1000),
        model: policy.model.clone(),
        version: version.to_owned(),
        to: to.to_owned(),
        notes: found.notes,
    })
}

/// The groups that count, in the policy's order.
fn counting<'a>(policy: &'a Policy, to: &str, notes: &mut Vec<String>) -> Result<Vec<&'a Group>, GateError> {
    let enforced = |group: &Group| group.enforce == Enforce::Block;
    if policy.transitions.is_empty() {
        return Ok(policy.groups.iter().filter(|g| enforced(g)).collect());
    }
    let leading: Vec<_> = policy.transitions.iter().filter(|t| t.to == to).collect();
    if leading.is_empty() {
        let mut known: Vec<String> = policy.transitions.iter().map(|t| t.to.clone()).collect();
        known.sort_unstable();
        known.dedup();
        return Err(GateError::UnknownStage { model: policy.model.clone(), to: to.to_owned(), known });
    }
    let named = |at: usize| leading.iter().any(|t| t.checks.contains(&at));
    let (count, ignored): (Vec<_>, Vec<_>) =
        policy.groups.iter().enumerate().filter(|(at, _)| named(*at)).map(|(_, g)| g).partition(|g| enforced(g));
    for group in ignored {
        let level = if group.enforce == Enforce::Warn { "warn" } else { "observe" };
        notes.push(format!(
            "{}: named by the transition to {to:?}, but `enforce: {level}` neither blocks nor promotes",
            group.name
        ));
    }
    Ok(count)
}

/// What speaks against a promotion.
#[derive(Default)]
struct Findings {
    blocking: Vec<String>,
    /// What is inconclusive.
    open: Vec<String>,
    notes: Vec<String>,
    oldest_end: Option<i64>,
}

impl Findings {
    fn judge(&mut self, group: &Group, question: &Question<'_>) {
        let name = &group.name;
        let blocks = || question.blocks.iter().filter(|b| b.group == *name);
        for block in blocks() {
            let since = &block.since;
            if block.reasons.is_empty() {
                self.blocking.push(format!("{name}: blocked since {since}"));
            }
            self.blocking.extend(block.reasons.iter().map(|reason| format!("{reason} (blocked since {since})")));
        }
        let latest = question.latest.iter().filter(|v| v.group == *name).max_by_key(|v| v.end_ms);
        let Some(latest) = latest else {
            self.open.push(format!("{name}: no verdict yet"));
            return;
        };
        self.oldest_end = Some(self.oldest_end.map_or(latest.end_ms, |end| end.min(latest.end_ms)));
        let end = utc(latest.end_ms);
        // A window that was cut short can look like anything; it decides nothing.
        match latest.status_decides {
            _ if !latest.complete => self.open.push(format!("{name}: the window that ends {end} is incomplete")),
            Status::Block => {
                let told = |sentence: &String| blocks().any(|b| b.reasons.contains(sentence));
                let news = latest.sentence_of_worst.iter().filter(|s| !told(s));
                self.blocking.extend(news.map(|sentence| format!("{sentence} (window ending {end})")));
                if latest.sentence_of_worst.is_empty() {
                    self.blocking.push(format!("{name}: the verdict of the window ending {end} blocks"));
                }
            }
            Status::Insufficient => {
                self.open.extend(
                    latest.sentence_of_worst.iter().map(|s| format!("{s} (insufficient, window ending {end})")),
                );
                if latest.sentence_of_worst.is_empty() {
                    self.open.push(format!("{name}: insufficient data in the window ending {end}"));
                }
            }
            Status::Warn => self.notes.push(format!("{name}: the verdict of the window ending {end} warns")),
            Status::Pass => {}
        }
        let age = question.now_ms.saturating_sub(latest.end_ms);
        if age > group.stale_after {
            let (age, limit) = (span(age), span(group.stale_after));
            self.open.push(format!("{name}: stale, the last window ended {end}, {age} ago, and counts for {limit}"));
        }
    }
}

/// A duration for people: its two largest units.
fn span(ms: Millis) -> String {
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
    let mut rest = ms.max(0);
    let largest = units.iter().position(|(_, size)| rest >= *size).unwrap_or(units.len() - 1);
    let mut out = String::new();
    for (unit, size) in units.iter().skip(largest).take(2) {
        let count = rest / size;
        rest %= size;
        if count > 0 || out.is_empty() {
            out.push_str(&count.to_string());
            out.push_str(unit);
        }
    }
    out
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} version {} to {}", self.verdict.name(), self.model, self.version, self.to)?;
        for reason in &self.reasons {
            writeln!(f, "  - {reason}")?;
        }
        for note in &self.notes {
            writeln!(f, "  note: {note}")?;
        }
        let policy = self.policy_sha256.get(..12).unwrap_or(&self.policy_sha256);
        write!(f, "  policy {policy}, evaluated at {}", self.evaluated_at)?;
        match self.age_s {
            Some(age) => write!(f, ", oldest window ended {} ago", span(age.saturating_mul(1000))),
            None => write!(f, ", no window judged"),
        }
    }
}

#[cfg(test)]
mod tests;
