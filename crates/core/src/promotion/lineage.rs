//! Lineage: what made a version must be known before it serves. And the way back: where a rollback would go, and that a
//! version that came back is not sent again by itself.

use super::artifact::artifact_sha256;
use super::types::{Dossier, Finding, GateOutcome, PROD};
use crate::policy::lint::{LINEAGE, evidence_on_the_way};
use crate::policy::{Policy, Transition};

/// Whether nothing of a kind is known of the version: neither attached nor registered.
#[must_use]
pub fn is_missing(kind: &str, dossier: &Dossier) -> bool {
    let attached = |kind: &str| dossier.evidence.contains_key(kind);
    !match kind {
        "artifact_digest" => artifact_sha256(dossier).is_some(),
        "data_snapshot" => attached(kind) || dossier.snapshot_sha256.is_some(),
        // Each stands for the other.
        "schema" | "schema_diff" => attached("schema") || attached("schema_diff"),
        _ => attached(kind),
    }
}

/// Everything asked for on the way to prod, and the artifact, the data and the code that made it, must be known.
#[must_use]
pub fn judge(policy: &Policy, transition: &Transition, dossier: &Dossier) -> Finding {
    let asked = evidence_on_the_way(policy, transition);
    let needed: Vec<&str> =
        LINEAGE.into_iter().chain(asked.into_iter().filter(|kind| !LINEAGE.contains(kind))).collect();
    let missing: Vec<&str> = needed.iter().copied().filter(|kind| is_missing(kind, dossier)).collect();
    if missing.is_empty() {
        return Finding::new("lineage", GateOutcome::Pass, format!("lineage is complete: {}", needed.join(", ")));
    }
    let detail = format!(
        "lineage is incomplete: {} missing; attach as evidence{}",
        missing.join(", "),
        dossier.reported_only(missing.iter().copied())
    );
    Finding::new("lineage", GateOutcome::Block, detail)
}

/// A stage that transitions lead to is not skipped: the version must have stood on it.
#[must_use]
pub fn skipped(policy: &Policy, transition: &Transition, dossier: &Dossier) -> Option<Finding> {
    let from = &transition.from;
    let stood = dossier.stood.as_ref()?;
    if !policy.transitions.iter().any(|t| t.to == *from) || stood.contains(from) {
        return None;
    }
    let detail = format!("the version never was in {from}: promote it there first");
    Some(Finding::new("from", GateOutcome::Block, detail))
}

/// A version must be there to go back to.
#[must_use]
pub fn rollback(dossier: &Dossier) -> Finding {
    match &dossier.rollback_target {
        None => {
            let detail = format!(
                "no rollback target: no stable version has been in {PROD}; register the first one there with driftgate register MODEL VERSION --stage {PROD}"
            );
            Finding::new("rollback", GateOutcome::Block, detail)
        }
        Some(target) => match &target.caution {
            None => {
                Finding::new("rollback", GateOutcome::Pass, format!("a rollback goes to version {}", target.version))
            }
            Some(caution) => {
                let detail = format!("a rollback goes to version {}, with caution: {caution}", target.version);
                Finding::new("rollback", GateOutcome::Warn, detail)
            }
        },
    }
}

/// What was rolled back is promoted again only for a reason.
#[must_use]
pub fn rolled_back(dossier: &Dossier, retry: Option<&str>) -> Option<Finding> {
    let when = dossier.rolled_back.as_deref()?;
    let (outcome, detail) = if let Some(reason) = retry.map(str::trim).filter(|reason| !reason.is_empty()) {
        (GateOutcome::Warn, format!("{when}; tried again: {reason}"))
    } else {
        (GateOutcome::Block, format!("{when}; promote a corrected version, or say why this one is tried again"))
    };
    Some(Finding::new("retry", outcome, detail))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{HEX, dossier, policy};
    use super::super::types::RollbackTarget;
    use super::*;

    #[test]
    fn lineage_is_what_was_asked_for_on_the_way() {
        let policy = policy("evidence: [schema]");
        let of = |dossier: &Dossier| judge(&policy, &policy.transitions[1], dossier);
        let found = of(&Dossier::default());
        assert_eq!(
            (found.outcome, found.detail.as_str()),
            (
                GateOutcome::Block,
                "lineage is incomplete: data_snapshot, code_commit, artifact_digest, schema, tests missing; attach as evidence"
            )
        );
        let evidence = [("code_commit", json!("git:1")), ("tests", json!(true)), ("schema_diff", json!({}))];
        let complete =
            Dossier { artifact_sha256: Some(HEX.into()), snapshot_sha256: Some(HEX.into()), ..dossier(&evidence) };
        let found = of(&complete);
        assert_eq!(found.outcome, GateOutcome::Pass, "{found:?}");
    }

    #[test]
    fn the_way_back() {
        let found = rollback(&Dossier::default());
        assert_eq!(found.outcome, GateOutcome::Block);
        assert_eq!(
            found.detail,
            "no rollback target: no stable version has been in prod; register the first one there with driftgate register MODEL VERSION --stage prod"
        );
        let with = |caution: Option<&str>| Dossier {
            rollback_target: Some(RollbackTarget { version: "6".into(), caution: caution.map(str::to_owned) }),
            ..Dossier::default()
        };
        assert_eq!(rollback(&with(None)).outcome, GateOutcome::Pass);
        let found = rollback(&with(Some("it has an active block")));
        assert_eq!(
            (found.outcome, found.detail.as_str()),
            (GateOutcome::Warn, "a rollback goes to version 6, with caution: it has an active block")
        );
    }

    #[test]
    fn what_came_back_needs_a_reason() {
        assert_eq!(rolled_back(&Dossier::default(), None), None);
        let back = Dossier { rolled_back: Some("version 7 was rolled back at T".into()), ..Dossier::default() };
        let of = |retry| rolled_back(&back, retry).unwrap().outcome;
        assert_eq!(
            (of(None), of(Some(" ")), of(Some("fixed the cache"))),
            (GateOutcome::Block, GateOutcome::Block, GateOutcome::Warn)
        );
    }
}
