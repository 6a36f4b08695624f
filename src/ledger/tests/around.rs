//! Ways around the gate: an end that another controller tells, a name that is not written down, a digest in other letters, a
//! rollback to what failed.

use serde_json::json;

use super::*;
use crate::ledger::versions::add_version;
use driftgate_core::fact::External;
use driftgate_core::gate::{Decided, GroupVerdict};
use driftgate_core::judge::verdict::Status;
use driftgate_core::rollout::Phase;

const NOW: i64 = 1_700_000_000_000;

fn policy() -> Policy {
    with_transitions(
        "- {from: dev, to: staging, approvals: auto, evidence: [tests]}
- {from: staging, to: prod, checks: [drift], evidence: [security_scan], approvals: {roles: {owner: 1}, exclude: [requester]},
   rollout: {controller: external, checks: [drift]}}
",
    )
}

/// The latest windows are of this time and decide so.
fn in_context<T>(end_ms: i64, decides: Status, work: impl FnOnce(&RequestContext<'_>) -> T) -> T {
    let (rule, sentence) = ("drift/psi".into(), "drift/psi x".into());
    let results = vec![Decided { rule, subject: "x".into(), decides, sentence }];
    let latest = vec![GroupVerdict { group: "drift".into(), end_ms, complete: true, results }];
    let live = |_: &str| StreamState { latest: latest.clone(), blocks: Vec::new(), seen: true, others: Vec::new() };
    work(&RequestContext { policy: &policy(), live: &live, actor: "ann", now_ms: NOW })
}

fn hex(letter: char) -> String {
    letter.to_string().repeat(64)
}

/// Version 2 is on its way to prod by another controller; version 1 is there.
fn under_way(registry: &Embedded) {
    in_context(NOW, Status::Pass, |context| {
        let first = Registration { stage: Some(PROD.into()), ..plain("1") };
        registry.register_as(context, &first, &[]).unwrap();
        let new = Registration { artifact_sha256: Some(hex('a')), ..plain("2") };
        let evidence = [
            ("tests", json!("pass")),
            ("security_scan", json!("pass")),
            ("data_snapshot", json!(format!("sha256:{}", hex('b')))),
            ("code_commit", json!("git:1234abcd")),
        ];
        registry.register_as(context, &new, &evidence.map(|(kind, value)| (kind.to_owned(), value))).unwrap();
        approve(registry, context, "2", "olga").unwrap();
        let promotion = registry
            .promote(context, &PromotionRequest { version: "2", to: PROD, retry: None, comment: None })
            .unwrap();
        assert_eq!(promotion.rollout.map(|r| r.phase), Some(Phase::Progressing), "{:?}", promotion.answer.reasons);
    });
}

fn approve(registry: &Embedded, context: &RequestContext<'_>, version: &str, actor: &str) -> Result<(), RegistryError> {
    let given = GivenApproval { policy: context.policy, to: PROD, role: "owner", comment: None, actor };
    registry.approve("m", version, &given, NOW).map(drop)
}

fn refused(registry: &Embedded, context: &RequestContext<'_>, why: &str) {
    let error = registry.tell_rollout(context, &RolloutCommand::External { succeeded: true }).unwrap_err();
    assert!(matches!(&error, RegistryError::Conflict(text) if text.contains(why)), "{error}");
    assert_eq!(prod(registry).as_deref(), Some("1"));
    let state = registry.rollout("m").unwrap().expect("it stays under way");
    assert!(state.phase == Phase::Progressing && state.why.contains(why), "{state:?}");
    let log = registry.audit(Some("m"), 1).unwrap();
    assert!(log[0]["payload"]["refused"].as_str().is_some_and(|text| text.contains(why)), "{log:?}");
}

#[test]
fn another_controllers_success_moves_prod_only_where_the_gate_still_passes() {
    let registry = registry();
    under_way(&registry);
    let attach = |kind: &str, value: &str| {
        registry.attach("m", "2", &[(kind.to_owned(), json!(value))], "mallory", NOW).unwrap();
    };
    in_context(NOW, Status::Pass, |context| {
        attach("security_scan", "fail");
        refused(&registry, context, "security_scan did not pass");
        attach("security_scan", "pass");
        attach("code_commit", "git:deadbeef");
        refused(&registry, context, "0 of 1 approvals");
        approve(&registry, context, "2", "olga").unwrap();
        registry.apply(&signal(Action::Block, "2", "drift", 1), NOW).unwrap();
        refused(&registry, context, "blocked since");
        registry.unblock("m", "2", None, "ann", "a false alarm", NOW).unwrap();
    });
    in_context(NOW, Status::Block, |context| refused(&registry, context, "drift/psi x"));
    // What only wants data, as windows of a quiet hour do, refuses nothing.
    in_context(NOW - 400 * 3_600_000, Status::Insufficient, |context| {
        let state = registry.tell_rollout(context, &RolloutCommand::External { succeeded: true }).unwrap();
        assert_eq!(state.map(|s| s.phase), Some(Phase::Succeeded));
    });
    assert_eq!(prod(&registry).as_deref(), Some("2"));
}

#[test]
fn whoever_registers_what_an_external_registry_or_a_signal_brought_is_its_requester() {
    let registry = registry();
    for (version, external) in [("3", External::Mlflow), ("6", External::SageMaker)] {
        registry.write(1, |change| Ok(add_version(change, "m", version, external.actor())?)).unwrap();
    }
    registry.apply(&signal(Action::Block, "4", "drift", 1), 1).unwrap();
    in_context(NOW, Status::Pass, |context| {
        for version in ["3", "4", "6"] {
            registry.register_as(context, &plain(version), &[]).unwrap();
            let error = approve(&registry, context, version, "ann").unwrap_err();
            assert!(error.to_string().contains("registered the version"), "{error}");
            approve(&registry, context, version, "olga").unwrap();
            let log = registry.audit(Some("m"), 100).unwrap();
            let said =
                log.iter().filter(|r| r["event"] == "register" && r["version"] == version && r["actor"] == "ann");
            assert_eq!(said.count(), 1, "{log:?}");
        }
        // Somebody else's version that is given a stage is asked for there.
        registry.register(&plain("5"), "ci", 1).unwrap();
        registry.set_stage("m", PROD, "5", "ann", "at once", 2).unwrap();
        let error = approve(&registry, context, "5", "ann").unwrap_err();
        assert!(error.to_string().contains("asked for the promotion"), "{error}");
    });
}

#[test]
fn a_digest_in_other_letters_is_the_same_artifact() {
    let registry = with_prod(&["0"]);
    let new = |version: &str, digest: String| Registration { artifact_sha256: Some(digest), ..plain(version) };
    registry.register(&new("1", hex('A')), "ci", 1).unwrap();
    // As a release before kept it.
    let old = "UPDATE versions SET artifact_sha256 = upper(artifact_sha256) WHERE version = '1'";
    registry.write(1, |change| Ok(change.execute(old, [])?)).unwrap();
    registry.set_stage("m", PROD, "1", "ann", "", 2).unwrap();
    registry.roll_back("m", None, "ann", "it failed", false, 3).unwrap();
    assert_eq!(registry.register(&new("1", hex('a')), "ci", 4).unwrap().artifact_sha256, Some(hex('a')));
    for (version, digest) in [("2", hex('a')), ("3", hex('A')), ("4", format!(" sha256:{}", hex('A')))] {
        let kept = registry.register(&new(version, digest), "ci", 4).unwrap();
        assert_eq!(kept.artifact_sha256, Some(hex('a')));
        let dossier = registry.dossier(&policy(), version, 5).unwrap();
        assert!(dossier.rolled_back.is_some_and(|why| why.contains("version 1 was rolled back")), "{version}");
    }
}

#[test]
fn prod_returns_by_hand_to_nothing_that_failed() {
    let registry = with_prod(&["1", "2", "3"]);
    let back = |to: &str, drill: bool| registry.roll_back("m", Some(to), "ann", "practice", drill, 10);
    assert_eq!(back("2", false).unwrap(), ("3".into(), Some("2".into())));
    for drill in [true, false] {
        let error = back("3", drill).unwrap_err();
        assert!(matches!(&error, RegistryError::Conflict(why) if why.contains("rolled back itself")), "{error}");
    }
    registry.apply(&signal(Action::Block, "1", "drift", 1), 11).unwrap();
    let error = back("1", false).unwrap_err();
    assert!(matches!(&error, RegistryError::Conflict(why) if why.contains("blocked by drift")), "{error}");
    assert_eq!(prod(&registry).as_deref(), Some("2"));
    registry.unblock("m", "1", None, "ann", "a false alarm", 12).unwrap();
    // What came back by its gate since may be returned to.
    registry.set_stage("m", PROD, "3", "ann", "tried again", 13).unwrap();
    registry.set_stage("m", PROD, "1", "ann", "", 14).unwrap();
    assert_eq!(back("3", false).unwrap(), ("1".into(), Some("3".into())));
}

#[test]
fn a_stage_is_one_that_the_policy_knows() {
    let registry = registry();
    in_context(NOW, Status::Pass, |context| {
        for stage in ["Prod", "prod ", "рrod", "..", "production", ""] {
            let new = Registration { stage: Some(stage.into()), ..plain("1") };
            let error = registry.register_as(context, &new, &[]).unwrap_err();
            let expected = matches!(error, RegistryError::UnknownStage { .. } | RegistryError::BadName { .. });
            assert!(expected && error.to_string().contains("stage"), "{stage}: {error}");
        }
        assert_eq!(registry.versions(None).unwrap(), []);
        for stage in ["dev", "canary", PROD] {
            let new = Registration { stage: Some(stage.into()), ..plain("1") };
            registry.register_as(context, &new, &[]).unwrap();
        }
        let odd = PromotionRequest { version: "1", to: "рrod", retry: None, comment: None };
        assert!(registry.promote(context, &odd).is_err());
        assert!(registry.set_stage("m", "..", "1", "ann", "", 1).is_err());
    });
}
