//! Approvals, by who counts and why not.

use proptest::prelude::*;
use serde_json::json;

use super::super::testing::{HEX, dossier, evidence, policy};
use super::super::types::Requester;
use super::*;

const HOUR: i64 = 3_600_000;
const ROLES: &str = "approvals: {roles: {owner: 1, reviewer: 1}, expires: 72h}";

fn base() -> Dossier {
    Dossier { artifact_sha256: Some(HEX.into()), ..dossier(&[("tests", json!(true))]) }
}

fn sign(dossier: &mut Dossier, policy: &Policy, actor: &str, role: &str, at_ms: i64) {
    let approval = Approval {
        to: "prod".into(),
        actor: actor.into(),
        role: role.into(),
        at_ms,
        artifact_sha256: artifact_sha256(dossier),
        policy_sha256: policy.sha256.clone(),
        evidence_sha256: evidence_sha256(&dossier.evidence),
        basis: None,
        comment: None,
    };
    dossier.approvals.push(approval);
}

fn ask(policy: &Policy, dossier: &Dossier, now_ms: i64) -> (GateOutcome, String) {
    let found = judge(policy, &policy.transitions[1], dossier, now_ms).unwrap();
    (found.outcome, found.detail)
}

#[test]
fn both_roles_by_two_people_pass() {
    let policy = policy(ROLES);
    let mut dossier = base();
    assert_eq!(
        ask(&policy, &dossier, 0),
        (GateOutcome::Pending, "0 of 2 approvals: owner is missing; reviewer is missing".to_owned())
    );
    sign(&mut dossier, &policy, "ann@org", "owner", 0);
    assert_eq!(
        ask(&policy, &dossier, 0),
        (GateOutcome::Pending, "1 of 2 approvals: owner by ann@org; reviewer is missing".to_owned())
    );
    sign(&mut dossier, &policy, "bob@org", "reviewer", 0);
    assert_eq!(
        ask(&policy, &dossier, 0),
        (GateOutcome::Pass, "2 of 2 approvals: owner by ann@org; reviewer by bob@org".to_owned())
    );
    assert_eq!(judge(&policy, &policy.transitions[0], &dossier, 0), None, "none are asked for");
    dossier.approvals.iter_mut().for_each(|a| a.to = "staging".into());
    assert_eq!(ask(&policy, &dossier, 0).0, GateOutcome::Pending, "for another stage");
}

#[test]
fn whom_the_policy_excludes_signs_nothing_whenever_they_became_that() {
    let strict = policy("approvals: {roles: {owner: 1, reviewer: 1}, exclude: [requester, evidence]}");
    let mut dossier = base();
    sign(&mut dossier, &strict, "ann@org", "owner", 0);
    sign(&mut dossier, &strict, "bob@org", "reviewer", 0);
    // `ci` attached the tests, and does not sign.
    let (outcome, detail) = ask(&strict, &dossier, 1);
    assert_eq!((outcome, detail.ends_with("; not by ci (attached tests)")), (GateOutcome::Pass, true), "{detail}");
    let asks = |actor: &str, to: Option<&str>| Requester { actor: actor.into(), to: to.map(str::to_owned) };
    dossier.requesters = vec![asks("bob@org", Some("staging"))];
    assert_eq!(ask(&strict, &dossier, 1).0, GateOutcome::Pass, "another stage");
    // An approval of before does not count any more, whatever the spelling.
    dossier.requesters.push(asks("Bob@Org", Some("prod")));
    let (outcome, detail) = ask(&strict, &dossier, 1);
    assert_eq!(outcome, GateOutcome::Pending);
    assert!(detail.contains("void: reviewer by bob@org (asked for the promotion, which excludes them)"), "{detail}");
    dossier.requesters = vec![asks("ann@org", None)];
    let detail = ask(&strict, &dossier, 1).1;
    assert!(detail.contains("void: owner by ann@org (registered the version, which excludes them)"), "{detail}");
    assert!(detail.contains("not by ann@org (registered the version), ci (attached tests)"), "{detail}");
    // Without it everybody may sign.
    let loose = policy(ROLES);
    let mut dossier = base();
    dossier.requesters = vec![asks("ann@org", None)];
    sign(&mut dossier, &loose, "ann@org", "owner", 0);
    sign(&mut dossier, &loose, "ci", "reviewer", 0);
    assert_eq!(ask(&loose, &dossier, 1).0, GateOutcome::Pass);
}

#[test]
fn a_person_counts_once_unless_the_policy_says_otherwise() {
    let strict = policy(ROLES);
    let mut dossier = base();
    sign(&mut dossier, &strict, "ann@org", "owner", 0);
    sign(&mut dossier, &strict, "Ann@org", "reviewer", 0);
    let (outcome, detail) = ask(&strict, &dossier, 0);
    assert!(outcome == GateOutcome::Pending && detail.starts_with("1 of 2"), "{detail}");
    // Bob can only be the owner, so Ann becomes the reviewer.
    sign(&mut dossier, &strict, "bob@org", "owner", 0);
    assert_eq!(ask(&strict, &dossier, 0).1, "2 of 2 approvals: owner by bob@org; reviewer by Ann@org");
    let loose = policy("approvals: {roles: {owner: 1, reviewer: 1}, distinct: false}");
    let mut dossier = base();
    sign(&mut dossier, &loose, "ann@org", "owner", 0);
    sign(&mut dossier, &loose, "ann@org", "reviewer", 0);
    assert_eq!(ask(&loose, &dossier, 0).0, GateOutcome::Pass);
    let two = policy("approvals: {roles: {reviewer: 3}, distinct: false}");
    let mut dossier = base();
    sign(&mut dossier, &two, "ann@org", "reviewer", 0);
    sign(&mut dossier, &two, "ann@org", "reviewer", 1);
    assert_eq!(ask(&two, &dossier, 1).1, "1 of 3 approvals: reviewer by ann@org, 2 more missing");
}

#[test]
fn a_signature_is_void_once_what_was_signed_has_changed() {
    let policy = policy(ROLES);
    let mut signed = base();
    sign(&mut signed, &policy, "ann@org", "owner", 0);
    let of = |dossier: &Dossier, now| ask(&policy, dossier, now).1;
    let void =
        |why: &str| format!("0 of 2 approvals: owner is missing; reviewer is missing; void: owner by ann@org ({why})");
    let mut changed = signed.clone();
    changed.evidence.insert("params".into(), evidence("params", json!({})));
    assert_eq!(of(&changed, 0), void("the evidence has changed since 1970-01-01T00:00:00Z"));
    let changed = Dossier { artifact_sha256: Some(HEX.replace('a', "b")), ..signed.clone() };
    assert_eq!(of(&changed, 0), void("the artifact has changed since 1970-01-01T00:00:00Z"));
    let mut changed = signed.clone();
    changed.approvals[0].policy_sha256 = "other".into();
    assert_eq!(of(&changed, 0), void("the policy has changed since 1970-01-01T00:00:00Z"));
    assert!(of(&signed, 72 * HOUR - 1).starts_with("1 of 2"));
    assert_eq!(of(&signed, 72 * HOUR), void("expired 1970-01-04T00:00:00Z"));
    // Signed again, nothing is said of the first time.
    sign(&mut signed, &policy, "ann@org", "owner", HOUR);
    assert_eq!(of(&signed, 72 * HOUR), "1 of 2 approvals: owner by ann@org; reviewer is missing");
    assert_eq!(of(&signed, 80 * HOUR), void("expired 1970-01-04T01:00:00Z"));
}

#[test]
fn only_those_whom_the_policy_names_sign() {
    let policy = policy("approvals: {roles: {owner: 1}, people: {owner: [ann@org]}}");
    let mut dossier = base();
    sign(&mut dossier, &policy, "bob@org", "owner", 0);
    sign(&mut dossier, &policy, "ann@org", "boss", 0);
    assert_eq!(
        ask(&policy, &dossier, 0).1,
        "0 of 1 approvals: owner is missing; void: owner by bob@org (the policy names others for this role), \
         boss by ann@org (no such role is asked for)"
    );
    sign(&mut dossier, &policy, "Ann@Org", "owner", 0);
    assert_eq!(ask(&policy, &dossier, 0).0, GateOutcome::Pass);
}

/// The most places that can be taken, by trying everything: each person takes one of their roles, or none.
fn most(roles: &mut BTreeMap<String, u32>, people: &[Vec<&str>]) -> usize {
    let Some((first, rest)) = people.split_first() else { return 0 };
    let mut best = most(roles, rest);
    for role in first {
        let left = roles.get(*role).copied().unwrap_or(0);
        if left > 0 {
            roles.insert((*role).to_owned(), left - 1);
            best = best.max(1 + most(roles, rest));
            roles.insert((*role).to_owned(), left);
        }
    }
    best
}

proptest! {
    #[test]
    fn as_many_people_count_as_can(
        signed in prop::collection::vec((0u8..5, prop::sample::select(vec!["owner", "reviewer", "risk"])), 0..10),
        (owner, reviewer, risk) in (1u32..3, 1u32..3, 1u32..3),
    ) {
        let policy = policy(&format!("approvals: {{roles: {{owner: {owner}, reviewer: {reviewer}, risk: {risk}}}}}"));
        let mut dossier = base();
        for (who, role) in &signed {
            sign(&mut dossier, &policy, &format!("p{who}@org"), role, 0);
        }
        let people: Vec<Vec<&str>> =
            (0..5).map(|p| signed.iter().filter(|(who, _)| *who == p).map(|(_, role)| *role).collect()).collect();
        let Approvals::Roles { roles, .. } = &policy.transitions[1].approvals else { panic!("roles were written") };
        let expected = most(&mut roles.clone(), &people);
        let count = count(&policy, &policy.transitions[1], &dossier, 0);
        prop_assert_eq!(count.taken, expected);
        let mut names: Vec<&str> = count.by_role.values().flatten().copied().collect();
        names.sort_unstable();
        names.dedup();
        prop_assert_eq!(names.len(), expected, "a person counts once");
    }
}
