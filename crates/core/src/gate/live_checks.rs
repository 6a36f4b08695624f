//! The live checks: what the gate takes of verdicts and active blocks, and what overrides take out of them.

use std::cell::RefCell;

use super::display::span;
use super::found::Found;
use super::types::{Decided, GroupVerdict, Question};
use crate::codec::time::utc;
use crate::judge::verdict::Status;
use crate::policy::Group;
use crate::promotion::types::{Finding, GateOutcome, Override};

/// So many subjects of a rule that pass are named.
const NAMED: usize = 5;

/// The overrides that hold now, and which of them took something out.
pub struct Overrides<'a> {
    holding: Vec<&'a Override>,
    /// Indexes into `holding`.
    used: RefCell<Vec<usize>>,
}

impl<'a> Overrides<'a> {
    pub fn at(all: &'a [Override], now_ms: i64) -> Self {
        Self { holding: all.iter().filter(|o| o.until_ms > now_ms).collect(), used: RefCell::default() }
    }

    fn find(&self, matches: impl Fn(&Override) -> bool) -> Option<&'a Override> {
        let at = self.holding.iter().position(|o| matches(o))?;
        let mut used = self.used.borrow_mut();
        if !used.contains(&at) {
            used.push(at);
        }
        self.holding.get(at).copied()
    }

    fn of_result(&self, result: &Decided) -> Option<&'a Override> {
        self.find(|o| o.rule == result.rule && o.subject.as_ref().is_none_or(|subject| *subject == result.subject))
    }

    /// The reason of an active block is a result's sentence: it starts with rule and subject.
    fn of_reason(&self, reason: &str) -> Option<&'a Override> {
        self.find(|o| {
            let rest = reason.strip_prefix(o.rule.as_str()).and_then(|rest| rest.strip_prefix(' '));
            rest.is_some_and(|rest| match &o.subject {
                None => true,
                Some(subject) => rest.strip_prefix(subject.as_str()).is_some_and(|rest| rest.starts_with(' ')),
            })
        })
    }

    /// Who has taken out what, until when and why.
    pub fn notes(&self) -> Vec<String> {
        let used = self.used.borrow();
        used.iter().filter_map(|&at| self.holding.get(at)).map(|o| format!("{}: {}", named(o), who(o))).collect()
    }
}

fn named(o: &Override) -> String {
    o.subject.as_ref().map_or_else(|| o.rule.clone(), |subject| format!("{} {subject}", o.rule))
}

fn who(o: &Override) -> String {
    format!("overridden by {} until {}: {}", o.actor, utc(o.until_ms), o.reason)
}

impl Found {
    /// Judges a group by its active blocks and its latest verdict.
    pub fn judge(&mut self, group: &Group, question: &Question<'_>, overrides: &Overrides<'_>) {
        let name = &group.name;
        let told = self.blocks(name, question, overrides);
        let latest = question.latest.iter().filter(|v| v.group == *name).max_by_key(|v| v.end_ms);
        let Some(latest) = latest else {
            self.inconclusive(name, format!("{name}: no verdict yet"));
            return;
        };
        self.oldest_end = Some(self.oldest_end.map_or(latest.end_ms, |end| end.min(latest.end_ms)));
        // A window that was cut short can look like anything; it decides nothing.
        if latest.complete {
            self.verdict(name, latest, &told, overrides);
        } else {
            self.inconclusive(name, format!("{name}: the window that ends {} is incomplete", utc(latest.end_ms)));
        }
        let age = question.now_ms.saturating_sub(latest.end_ms);
        if age > group.stale_after {
            let (end, age, limit) = (utc(latest.end_ms), span(age), span(group.stale_after));
            let detail = format!("{name}: stale, the last window ended {end}, {age} ago, and counts for {limit}");
            self.inconclusive(name, detail);
        }
    }

    fn inconclusive(&mut self, gate: &str, detail: String) {
        self.add(Finding::new(gate, GateOutcome::Inconclusive, detail));
    }

    /// The group's active blocks; returns the reasons that were told.
    fn blocks<'q>(&mut self, name: &str, question: &Question<'q>, overrides: &Overrides<'_>) -> Vec<&'q str> {
        let mut told = Vec::new();
        for block in question.blocks.iter().filter(|b| b.group == name) {
            let since = &block.since;
            if block.reasons.is_empty() {
                self.add(Finding::new(name, GateOutcome::Block, format!("{name}: blocked since {since}")));
            }
            for reason in block.reasons.iter().filter(|reason| overrides.of_reason(reason).is_none()) {
                let rule = reason.split(' ').next().filter(|rule| rule.contains('/')).unwrap_or(name);
                self.add(Finding::new(rule, GateOutcome::Block, format!("{reason} (blocked since {since})")));
                told.push(reason.as_str());
            }
        }
        told
    }

    fn verdict(&mut self, name: &str, latest: &GroupVerdict, told: &[&str], overrides: &Overrides<'_>) {
        let end = utc(latest.end_ms);
        if latest.results.is_empty() {
            self.inconclusive(name, format!("{name}: insufficient data in the window ending {end}"));
            return;
        }
        let mut passed: Vec<(&str, Vec<&Decided>)> = Vec::new();
        let mut deciding: Vec<&Decided> = Vec::new();
        for result in &latest.results {
            match result.decides {
                Status::Pass | Status::Warn => {}
                Status::Insufficient | Status::Block => {
                    if let Some(over) = overrides.of_result(result) {
                        let detail = format!("{} ({})", result.sentence, who(over));
                        self.gates.push(Finding::new(&result.rule, GateOutcome::Warn, detail));
                        continue;
                    }
                }
            }
            deciding.push(result);
            if result.decides == Status::Pass {
                match passed.iter_mut().find(|(rule, _)| *rule == result.rule) {
                    Some((_, results)) => results.push(result),
                    None => passed.push((&result.rule, vec![result])),
                }
            }
        }
        let worst = deciding.iter().map(|r| r.decides).max().unwrap_or(Status::Pass);
        for result in deciding.iter().filter(|r| r.decides != Status::Pass) {
            let (outcome, detail) = match result.decides {
                Status::Block => (GateOutcome::Block, format!("{} (window ending {end})", result.sentence)),
                Status::Insufficient => {
                    (GateOutcome::Inconclusive, format!("{} (insufficient, window ending {end})", result.sentence))
                }
                _ => (GateOutcome::Warn, format!("{} (warns, window ending {end})", result.sentence)),
            };
            if outcome == GateOutcome::Block && told.contains(&result.sentence.as_str()) {
                continue;
            }
            let finding = Finding::new(&result.rule, outcome, detail);
            // Only the worst are reasons: beside what blocks, want of data is no news.
            if result.decides == worst && outcome != GateOutcome::Warn {
                self.add(finding);
            } else {
                self.gates.push(finding);
            }
        }
        if worst == Status::Warn {
            self.notes.push(format!("{name}: the verdict of the window ending {end} warns"));
        }
        self.gates.extend(
            passed.into_iter().map(|(rule, results)| Finding::new(rule, GateOutcome::Pass, passing(rule, &results))),
        );
    }
}

/// A rule's subjects that pass, in a sentence.
fn passing(rule: &str, results: &[&Decided]) -> String {
    if let [only] = results {
        return only.sentence.clone();
    }
    let names: Vec<&str> = results.iter().take(NAMED).map(|r| r.subject.as_str()).collect();
    let more = match results.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{rule} passes for {}{more}", names.join(", "))
}
