//! All gates together.

use serde_json::json;

use super::testing::{HEX, dossier, policy};
use super::types::{Dossier, GateOutcome, RollbackTarget};
use super::*;

#[test]
fn the_transition_is_the_one_from_where_the_version_stands() {
    let mut policy = policy("");
    let canary = Transition { from: "canary".into(), ..policy.transitions[1].clone() };
    policy.transitions.push(canary);
    let from = |stages: &[&str]| {
        let stages = stages.iter().map(|&s| s.to_owned()).collect();
        transition(&policy, "prod", &Dossier { stages, ..Dossier::default() }).unwrap().from.clone()
    };
    assert_eq!((from(&["canary"]), from(&["x"]), from(&[])), ("canary".into(), "staging".into(), "staging".into()));
    assert!(transition(&policy, "x", &Dossier::default()).is_none());
}

#[test]
fn what_lineage_lists_is_not_said_twice() {
    let policy = policy("evidence: [code_commit, signature]");
    let found = gates(&policy, &policy.transitions[1], &Dossier::default(), None, 0);
    let names: Vec<&str> = found.iter().map(|f| f.gate.as_str()).collect();
    assert_eq!(names, ["lineage", "rollback"]);
    let found = gates(&policy, &policy.transitions[0], &Dossier::default(), None, 0);
    let names: Vec<&str> = found.iter().map(|f| f.gate.as_str()).collect();
    assert_eq!(names, ["evidence/artifact_digest", "evidence/tests"], "not to prod");
}

#[test]
fn an_artifact_that_changed_blocks_whatever_is_asked_for() {
    let policy = policy("");
    let complete = Dossier {
        artifact_sha256: Some(HEX.into()),
        rollback_target: Some(RollbackTarget { version: "6".into(), caution: None }),
        ..dossier(&[("code_commit", json!("git:1")), ("data_snapshot", json!("s3://b/t")), ("tests", json!(true))])
    };
    let blocks = |dossier: &Dossier| -> Vec<String> {
        let found = gates(&policy, &policy.transitions[1], dossier, None, 0);
        found.into_iter().filter(|f| f.outcome == GateOutcome::Block).map(|f| f.gate).collect()
    };
    assert!(blocks(&complete).is_empty());
    let changed = Dossier { recomputed_sha256: Some(Recomputed::Known("0".repeat(64))), ..complete };
    assert_eq!(blocks(&changed), ["evidence/artifact_digest"]);
    assert_eq!(always(&changed, None).len(), 1);
    assert_eq!(always(&Dossier::default(), None), []);
}

#[test]
fn an_artifact_that_cannot_be_read_passes_nowhere_where_its_digest_or_a_signature_is_asked_for() {
    let complete = |found| Dossier {
        artifact_sha256: Some(HEX.into()),
        recomputed_sha256: Some(found),
        ..dossier(&[("tests", json!(true)), ("signature", json!("x"))])
    };
    let of = |asked: &str, to: usize, found: Recomputed| {
        let policy = policy(asked);
        let found = gates(&policy, &policy.transitions[to], &complete(found), None, 0);
        found.into_iter().find(|f| f.gate == "evidence/artifact_digest").map(|f| f.outcome)
    };
    let (away, outside) = (|| Recomputed::Unreachable("gone".into()), || Recomputed::Refused("outside".into()));
    for asked in ["evidence: [artifact_digest]", "evidence: [signature]"] {
        assert_eq!(of(asked, 1, away()), Some(GateOutcome::Inconclusive), "{asked}");
        assert_eq!(of(asked, 1, outside()), Some(GateOutcome::Block), "{asked}");
    }
    // The way to prod asks for it.
    assert_eq!(of("", 1, away()), Some(GateOutcome::Inconclusive));
    assert_eq!(always(&complete(away()), None), [], "without transitions nobody asks for it");
}
