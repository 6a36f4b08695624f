//! Approvals: what was approved is what is promoted.

use serde_json::json;

use super::*;
use driftgate_core::promotion::types::GateOutcome;

const NOW: i64 = 1_700_000_000_000;

fn in_context<T>(work: impl FnOnce(&RequestContext<'_>) -> T) -> T {
    let policy = with_transitions(
        "- {from: staging, to: prod, checks: [drift], offline: [{metric: auc, min_gain: {absolute: 0.01}, versus: champion}],
   approvals: {roles: {owner: 1}}}
",
    );
    let live = |_: &str| StreamState::default();
    work(&RequestContext { policy: &policy, live: &live, actor: "ann", now_ms: NOW })
}

fn attach(registry: &Embedded, version: &str, auc: f64) {
    registry.attach("m", version, &[("offline".into(), json!({"auc": auc}))], "ci", NOW).unwrap();
}

fn approve(registry: &Embedded, context: &RequestContext<'_>, actor: &str) {
    let given = GivenApproval { policy: context.policy, to: PROD, role: "owner", comment: None, actor };
    registry.approve("m", "2", &given, NOW).unwrap();
}

/// The gate of approvals of version 2.
fn approvals(registry: &Embedded, context: &RequestContext<'_>) -> (GateOutcome, String) {
    let gates = registry.gate(context, "2", PROD).unwrap().gates;
    let found = gates.into_iter().find(|found| found.gate == "approvals").unwrap();
    (found.outcome, found.detail)
}

#[test]
fn an_approval_is_void_once_the_snapshot_or_the_champion_is_another() {
    let registry = registry();
    in_context(|context| {
        registry.register(&plain("1"), "ci", 1).unwrap();
        registry.set_stage("m", PROD, "1", "ann", "", 2).unwrap();
        registry.register(&plain("2"), "ci", 3).unwrap();
        attach(&registry, "1", 0.80);
        attach(&registry, "2", 0.85);
        let void = |why: &str| {
            let (outcome, detail) = approvals(&registry, context);
            assert!(outcome == GateOutcome::Pending && detail.contains(why), "{detail}");
            approve(&registry, context, "olga");
            let (outcome, detail) = approvals(&registry, context);
            assert_eq!(outcome, GateOutcome::Pass, "{detail}");
        };
        void("owner is missing");
        attach(&registry, "1", 0.849);
        void(
            "owner by olga (the offline metrics or the schema of version 1 (champion) have changed since 2023-11-14T22:13:20Z)",
        );
        let digest = Registration { snapshot_sha256: Some("ab".repeat(32)), ..plain("2") };
        registry.register(&digest, "ci", 4).unwrap();
        void("the training snapshot has changed since");
        registry.register(&plain("3"), "ci", 5).unwrap();
        registry.set_stage("m", PROD, "3", "ann", "", 6).unwrap();
        void("the champion has changed from version 1 to 3 since");
        assert_eq!(unheld(&registry), Vec::<String>::new(), "the log has the same approvals");
        // An approval of a release that did not write it down holds.
        registry.write(7, |change| Ok(change.execute("UPDATE approvals SET basis = NULL", [])?)).unwrap();
        attach(&registry, "3", 0.7);
        assert_eq!(approvals(&registry, context).0, GateOutcome::Pass);
    });
}

#[test]
fn a_file_of_a_release_before_gets_the_column() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    drop(Embedded::open(&path).unwrap());
    Connection::open(&path).unwrap().execute_batch("ALTER TABLE approvals DROP COLUMN basis").unwrap();
    let registry = Embedded::open(&path).unwrap();
    registry.register(&plain("2"), "ci", 1).unwrap();
    in_context(|context| {
        approve(&registry, context, "olga");
        assert_eq!(approvals(&registry, context).0, GateOutcome::Pass);
    });
}
