//! The gate with everything a transition asks for, and overrides.

use serde_json::json;

use super::super::*;
use super::{HEX, HOUR, NOW, block, decided, dossier, passing, policy, says, verdict};
use crate::judge::verdict::Status;
use crate::promotion::evidence::evidence_sha256;
use crate::promotion::testing::evidence;
use crate::promotion::types::{ActiveBlock, Approval, Dossier, Override};

const WAYS: &str = "transitions:
- {from: dev, to: staging, evidence: [tests], offline: [{metric: auc, min_gain: {absolute: 0.02}}]}
- {from: staging, to: prod, checks: [drift, slo], evidence: [tests], approvals: {roles: {owner: 1}}}
";

fn ask(policy: &Policy, to: &str, latest: Vec<GroupVerdict>, blocks: &[ActiveBlock], dossier: &Dossier) -> Answer {
    super::ask_with(policy, to, latest, blocks, dossier)
}

fn complete() -> Dossier {
    let mut dossier = dossier();
    dossier.evidence.insert("tests".into(), evidence("tests", json!(true)));
    dossier.evidence.insert("offline".into(), evidence("offline", json!({"auc": 0.95, "baseline_auc": 0.93})));
    dossier
}

fn signed(policy: &Policy) -> Dossier {
    let mut dossier = complete();
    dossier.approvals.push(Approval {
        to: "prod".into(),
        actor: "ann@org".into(),
        role: "owner".into(),
        at_ms: NOW - HOUR,
        artifact_sha256: Some(HEX.into()),
        policy_sha256: policy.sha256.clone(),
        evidence_sha256: evidence_sha256(&dossier.evidence),
        basis: None,
        comment: None,
    });
    dossier
}

fn overriding(subject: Option<&str>, until_ms: i64) -> Override {
    Override {
        rule: "drift/psi".into(),
        subject: subject.map(str::to_owned),
        until_ms,
        reason: "OPS-12".into(),
        actor: "ann@org".into(),
        at_ms: NOW - HOUR,
    }
}

fn outcomes(answer: &Answer) -> Vec<(&str, GateOutcome)> {
    answer.gates.iter().map(|g| (g.gate.as_str(), g.outcome)).collect()
}

#[test]
fn staging_needs_no_live_check_where_it_asks_for_evidence() {
    let policy = policy(WAYS);
    let answer = ask(&policy, "staging", vec![], &[], &complete());
    says(&answer, GateVerdict::Pass, &[]);
    assert_eq!(outcomes(&answer), [("evidence/tests", GateOutcome::Pass), ("offline/auc", GateOutcome::Pass)]);
    let answer = ask(&policy, "staging", vec![], &[], &Dossier::default());
    says(
        &answer,
        GateVerdict::Block,
        &[
            "tests missing: attach it as evidence",
            "auc is not known offline: attach offline evidence, like {\"auc\": 0.88}",
        ],
    );
    let bare = super::policy("transitions: [{from: staging, to: prod, evidence: [tests]}]\n");
    let answer = ask(&bare, "prod", vec![], &[], &complete());
    assert_eq!(answer.verdict, GateVerdict::Inconclusive, "prod needs a live one");
}

#[test]
fn what_blocks_outweighs_what_is_inconclusive_and_that_what_waits() {
    let policy = policy(WAYS);
    let missing = "0 of 1 approvals: owner is missing";
    says(&ask(&policy, "prod", passing(), &[], &signed(&policy)), GateVerdict::Pass, &[]);
    says(&ask(&policy, "prod", passing(), &[], &complete()), GateVerdict::Pending, &[missing]);
    says(
        &ask(&policy, "prod", vec![verdict("slo", Status::Pass, &[])], &[], &complete()),
        GateVerdict::Inconclusive,
        &["drift: no verdict yet", missing],
    );
    let mut failed = complete();
    failed.evidence.insert("tests".into(), evidence("tests", json!("failed")));
    failed.rollback_target = None;
    says(
        &ask(&policy, "prod", vec![verdict("slo", Status::Block, &["slo/p95 x 95 breaks lt 80"])], &[], &failed),
        GateVerdict::Block,
        &[
            "slo/p95 x 95 breaks lt 80 (window ending 2026-03-01T11:00:00Z)",
            "tests did not pass: its status is \"failed\", read \"failed\"",
            "no rollback target: no stable version has been in prod; register the first one there with driftgate register MODEL VERSION --stage prod",
            "drift: no verdict yet",
            missing,
        ],
    );
}

#[test]
fn an_override_takes_a_result_out_and_says_so() {
    let policy = policy(WAYS);
    let sentence = "drift/psi a 0.3 breaks lt 0.2";
    let drifting = || vec![verdict("drift", Status::Block, &[sentence]), verdict("slo", Status::Pass, &[])];
    let blocks = [block("drift", &[sentence])];
    let with = |over: Override| Dossier { overrides: vec![over], ..signed(&policy) };
    for subject in [None, Some("a")] {
        let answer = ask(&policy, "prod", drifting(), &blocks, &with(overriding(subject, NOW + HOUR)));
        says(&answer, GateVerdict::Pass, &[]);
        let name = if subject.is_some() { "drift/psi a" } else { "drift/psi" };
        assert_eq!(answer.notes, [format!("{name}: overridden by ann@org until 2026-03-01T13:00:00Z: OPS-12")]);
        assert!(
            answer.gates.iter().any(|g| g.gate == "drift/psi" && g.outcome == GateOutcome::Warn),
            "{:?}",
            answer.gates
        );
    }
    for over in [overriding(Some("b"), NOW + HOUR), overriding(None, NOW)] {
        let answer = ask(&policy, "prod", drifting(), &blocks, &with(over));
        says(&answer, GateVerdict::Block, &["drift/psi a 0.3 breaks lt 0.2 (blocked since 2026-03-01T10:00:00Z)"]);
        assert!(answer.notes.is_empty(), "{:?}", answer.notes);
    }
    // Another subject of the rule still blocks; want of data is taken out too.
    let mut two = drifting();
    two[0].results.push(decided("drift", Status::Block, "drift/psi b 0.4 breaks lt 0.2"));
    let answer = ask(&policy, "prod", two, &blocks, &with(overriding(Some("a"), NOW + HOUR)));
    says(&answer, GateVerdict::Block, &["drift/psi b 0.4 breaks lt 0.2 (window ending 2026-03-01T11:00:00Z)"]);
    let few =
        vec![verdict("drift", Status::Insufficient, &["drift/psi a no value"]), verdict("slo", Status::Pass, &[])];
    says(&ask(&policy, "prod", few, &[], &with(overriding(None, NOW + HOUR))), GateVerdict::Pass, &[]);
}

#[test]
fn what_was_rolled_back_needs_a_reason() {
    let policy = policy(WAYS);
    let back = Dossier { rolled_back: Some("version 2 was rolled back at T".into()), ..signed(&policy) };
    let of = |policy: &Policy, retry| {
        let latest = passing();
        decide(&Question {
            policy,
            to: "prod",
            version: "2",
            now_ms: NOW,
            latest,
            blocks: &[],
            standing: Standing::Registered,
            dossier: &back,
            retry,
        })
        .unwrap()
    };
    let reason = "version 2 was rolled back at T; promote a corrected version, or say why this one is tried again";
    says(&of(&policy, None), GateVerdict::Block, &[reason]);
    let answer = of(&policy, Some("OPS-3"));
    says(&answer, GateVerdict::Pass, &[]);
    assert_eq!(answer.notes, ["retry: version 2 was rolled back at T; tried again: OPS-3"]);
    says(&of(&super::policy(""), None), GateVerdict::Block, &[reason]);
}

#[test]
fn every_gate_is_shown() {
    let policy = policy(WAYS);
    let mut latest = passing();
    for subject in ["b", "c", "d", "e", "f", "g"] {
        latest[0].results.push(decided("drift", Status::Pass, &format!("drift/r {subject} 0.1")));
    }
    latest[0].results.push(decided("drift", Status::Warn, "drift/psi a 0.15 against lt 0.2"));
    let answer = ask(&policy, "prod", latest, &[], &complete());
    let text = answer.to_string();
    let expected = "pending: m version 2 to prod
  - 0 of 1 approvals: owner is missing
  note: drift: the verdict of the window ending 2026-03-01T11:00:00Z warns
  gates:
    warn          drift/psi a 0.15 against lt 0.2 (warns, window ending 2026-03-01T11:00:00Z)
    pass          drift/r passes for s, b, c, d, e and 2 more
    pass          slo/r s 0.1
    pass          tests passed: true
    pass          lineage is complete: data_snapshot, code_commit, artifact_digest, tests
    pass          a rollback goes to version 1
    pending       0 of 1 approvals: owner is missing
";
    assert!(text.starts_with(expected), "{text}");
}
