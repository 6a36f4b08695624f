//! What speaks for and against a promotion, gathered gate by gate, and the answer that follows from it.

use super::types::{Answer, GateVerdict, Question, Standing};
use crate::codec::time::utc;
use crate::policy::{Group, Policy, Transition};
use crate::promotion::types::{Dossier, Finding, GateOutcome};
use crate::promotion::{self, PROD};
use crate::text::in_line;

/// What speaks for and against a promotion.
#[derive(Default)]
pub struct Found {
    blocking: Vec<String>,
    /// What is inconclusive.
    open: Vec<String>,
    /// What waits for approval, or for files that are being read.
    pending: Vec<String>,
    pub notes: Vec<String>,
    /// End of the oldest window that counts.
    pub oldest_end: Option<i64>,
    pub gates: Vec<Finding>,
}

impl Found {
    /// Takes a gate; where it does not pass, its sentence is a reason, and where it warns, a note.
    pub fn add(&mut self, gate: Finding) {
        let detail = gate.detail.clone();
        match gate.outcome {
            GateOutcome::Pass => {}
            GateOutcome::Warn if detail.starts_with(&gate.gate) => self.notes.push(detail),
            GateOutcome::Warn => self.notes.push(format!("{}: {detail}", gate.gate)),
            GateOutcome::Pending => self.pending.push(detail),
            GateOutcome::Inconclusive => self.open.push(detail),
            GateOutcome::Block => self.blocking.push(detail),
        }
        self.gates.push(gate);
    }

    /// Says that the version is not registered, where that is so and matters.
    pub fn add_registration(&mut self, question: &Question<'_>, transition: Option<&Transition>) {
        let Question { policy, version, to, .. } = question;
        let model = &policy.model;
        match question.standing {
            Standing::OnlySeen if *to == PROD && transition.is_some() => {
                let detail = format!(
                    "version {version:?} of {model:?} is not registered: events name it, but nobody registered it; \
                     run driftgate register {model} {version}"
                );
                self.add(Finding::new("registered", GateOutcome::Block, detail));
            }
            Standing::Registered | Standing::OnlySeen => {}
            Standing::Unknown { others } => {
                let others = match others {
                    [] => "no version of it is known".to_owned(),
                    _ => format!("known are {}", listed(others)),
                };
                let detail =
                    format!("version {version:?} of {model:?} was neither registered nor seen in events; {others}");
                self.add(Finding::new("registered", GateOutcome::Inconclusive, detail));
            }
        }
    }

    /// Takes the gates that ask for no live data.
    pub fn promotion(
        &mut self,
        policy: &Policy,
        transition: Option<&Transition>,
        dossier: &Dossier,
        retry: Option<&str>,
        now_ms: i64,
    ) {
        let gates = match transition {
            Some(transition) => promotion::gates(policy, transition, dossier, retry, now_ms),
            None => promotion::always(dossier, retry),
        };
        gates.into_iter().for_each(|gate| self.add(gate));
    }

    /// Nothing promotes without a check: to prod a live one, before it evidence, a schema or an offline metric will do.
    pub fn needs_a_check(&mut self, policy: &Policy, to: &str, groups: &[&Group], transition: Option<&Transition>) {
        let asks = |t: &Transition| !(t.evidence.is_empty() && t.offline.is_empty() && t.schema_allow.is_empty());
        if !groups.is_empty() || (to != PROD && transition.is_some_and(asks)) {
            return;
        }
        let model = &policy.model;
        let detail = format!(
            "nothing promotes to {to:?} without a check: \
             the policy of {model:?} has no group with `enforce: block` for it"
        );
        self.add(Finding::new("checks", GateOutcome::Inconclusive, detail));
    }

    /// The answer: what blocks outweighs what is inconclusive, and that what waits.
    pub fn answer(self, policy: &Policy, to: &str, version: &str, now_ms: i64) -> Answer {
        let verdict = if !self.blocking.is_empty() {
            GateVerdict::Block
        } else if !self.open.is_empty() {
            GateVerdict::Inconclusive
        } else if !self.pending.is_empty() {
            GateVerdict::Pending
        } else {
            GateVerdict::Pass
        };
        Answer {
            verdict,
            ok: verdict == GateVerdict::Pass,
            reasons: self.blocking.into_iter().chain(self.open).chain(self.pending).collect(),
            policy_sha256: policy.sha256.clone(),
            evaluated_at: utc(now_ms),
            age_s: self.oldest_end.map(|end| now_ms.saturating_sub(end).max(0) / 1000),
            model: policy.model.clone(),
            version: version.to_owned(),
            to: to.to_owned(),
            notes: self.notes,
            gates: self.gates,
            copy: None,
        }
    }
}

/// The newest of many names, so that an answer stays short.
fn listed(names: &[String]) -> String {
    const MOST: usize = 10;
    let left_out = names.len().saturating_sub(MOST);
    let newest: Vec<_> = names.iter().skip(left_out).map(|name| in_line(name)).collect();
    if left_out == 0 { newest.join(", ") } else { format!("{} and {left_out} older ones", newest.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_versions_the_newest_are_named() {
        let names: Vec<String> = (1..=14).map(|n| n.to_string()).collect();
        assert_eq!(listed(&names), "5, 6, 7, 8, 9, 10, 11, 12, 13, 14 and 4 older ones");
        assert_eq!(listed(&names[..2]), "1, 2");
    }
}
