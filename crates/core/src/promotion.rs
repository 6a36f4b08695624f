//! The gates of a promotion beside the live checks, as pure functions over what the registry knows of a version. Each
//! answers with findings: which gate, how it came out, and a sentence; [`gates`] asks them all.
//!
//! - `types`: what the registry hands over. `value`: values of evidence as text. `artifact`: the artifact's digest.
//! - `evidence`: its kinds, what their values look like and how they are judged; `signature`, `model_signing` (with
//!   `certificates`) and `schema_diff` for those that compare.
//! - `offline`: metrics against a baseline, in decimals. `approvals`: who has signed, `basis`: under which circumstances. `lineage`: what made the version, and
//!   where a rollback would go.
//! - `record`: a promotion for the log and for people. `version`: a version as a registry knows it.

pub mod approvals;
pub mod artifact;
pub mod basis;
mod certificates;
pub mod der;
pub mod evidence;
pub mod lineage;
pub mod model_signing;
pub mod offline;
pub mod record;
pub mod schema_diff;
pub mod signature;
pub mod types;
pub mod value;
pub mod version;

use crate::policy::lint::evidence_on_the_way;
use crate::policy::{Policy, Transition};
use types::{Dossier, Finding, GateOutcome, Recomputed};

pub use types::PROD;

/// The transition that a version takes to a stage: of those that lead there, the one from a stage it stands on, else the
/// first; `None` where none leads there.
#[must_use]
pub fn transition<'p>(policy: &'p Policy, to: &str, dossier: &Dossier) -> Option<&'p Transition> {
    let mut leading = policy.transitions.iter().filter(|t| t.to == to);
    let first = leading.clone().next();
    leading.find(|t| dossier.stages.contains(&t.from)).or(first)
}

/// Every gate of a transition that asks for no live data, in the order of a promotion.
#[must_use]
pub fn gates(
    policy: &Policy,
    transition: &Transition,
    dossier: &Dossier,
    retry: Option<&str>,
    now_ms: i64,
) -> Vec<Finding> {
    let to_prod = transition.to == PROD;
    let mut found: Vec<Finding> = lost(dossier).into_iter().collect();
    found.extend(lineage::skipped(policy, transition, dossier));
    for kind in &transition.evidence {
        // What lineage lists as missing is not said twice.
        if !(to_prod && lineage::is_missing(kind, dossier)) {
            found.extend(evidence::judge(kind, policy, transition, dossier, now_ms));
        }
    }
    if !transition.schema_allow.is_empty() && !asks(transition, &["schema", "schema_diff"]) {
        found.push(schema_diff::judge(transition, dossier));
    }
    found.extend(offline::judge(transition, dossier));
    if to_prod {
        found.push(lineage::judge(policy, transition, dossier));
        // What was asked for on the way still has to hold; the artifact is seen to below.
        for kind in evidence_on_the_way(policy, transition) {
            if kind != "artifact_digest" && !asks(transition, &[kind]) && !lineage::is_missing(kind, dossier) {
                let judged = evidence::judge(kind, policy, transition, dossier, now_ms);
                found.extend(
                    judged.filter(|finding| matches!(finding.outcome, GateOutcome::Block | GateOutcome::Pending)),
                );
            }
        }
    }
    if !asks(transition, &["artifact_digest"]) {
        let asks_for = |kind: &&str| matches!(*kind, "artifact_digest" | "signature");
        let is_asked_for = asks(transition, &["signature"])
            || (to_prod && evidence_on_the_way(policy, transition).iter().any(asks_for));
        found.extend(mutable_artifact(dossier, is_asked_for));
    }
    if to_prod {
        found.push(lineage::rollback(dossier));
    }
    found.extend(lineage::rolled_back(dossier, retry));
    found.extend(approvals::judge(policy, transition, dossier, now_ms));
    found
}

/// What holds even where a policy has no transitions.
#[must_use]
pub fn always(dossier: &Dossier, retry: Option<&str>) -> Vec<Finding> {
    lost(dossier)
        .into_iter()
        .chain(mutable_artifact(dossier, false))
        .chain(lineage::rolled_back(dossier, retry))
        .collect()
}

/// The registry that we keep in step with does not have the version any more.
fn lost(dossier: &Dossier) -> Option<Finding> {
    dossier.lost.as_ref().map(|why| Finding::new("registry_drift", GateOutcome::Block, why.clone()))
}

/// Digests that contradict each other, or of which one is not known yet. That the files are out of reach, or lie where they
/// may not, says nothing of them unless their digest or a signature over it is asked for.
fn mutable_artifact(dossier: &Dossier, is_asked_for: bool) -> Option<Finding> {
    let recomputed = dossier.recomputed_sha256.as_ref();
    let recomputed = recomputed.filter(|r| is_asked_for || !matches!(r, Recomputed::Refused(_)));
    let found = Some(artifact::judge_as(dossier, recomputed));
    found.filter(|f| {
        let counts = match f.outcome {
            GateOutcome::Block | GateOutcome::Pending => true,
            GateOutcome::Inconclusive => is_asked_for,
            GateOutcome::Pass | GateOutcome::Warn => false,
        };
        counts && artifact::artifact_sha256(dossier).is_some()
    })
}

fn asks(transition: &Transition, kinds: &[&str]) -> bool {
    transition.evidence.iter().any(|kind| kinds.contains(&kind.as_str()))
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
