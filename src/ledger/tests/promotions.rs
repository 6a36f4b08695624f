//! Promotions and files of an older format, without a stream.

use serde_json::{Value, json};

use super::*;
use crate::ledger::{Found, FoundVersion};
use driftgate_core::fact::External;
use driftgate_core::gate::{Decided, GateVerdict, GroupVerdict};
use driftgate_core::judge::verdict::Status;

const NOW: i64 = 1_700_000_000_000;

fn policy() -> Policy {
    with_transitions(
        "- {from: dev, to: staging, approvals: auto, evidence: [tests]}
- {from: staging, to: prod, checks: [drift], approvals: {roles: {owner: 1}}}
",
    )
}

fn with_context<T>(work: impl FnOnce(&RequestContext<'_>) -> T) -> T {
    let (policy, live) = (policy(), |_: &str| StreamState::default());
    work(&RequestContext { policy: &policy, live: &live, actor: "ann", now_ms: NOW })
}

fn events(registry: &Embedded) -> Vec<String> {
    let records = registry.audit(Some("m"), 1000).unwrap();
    records.iter().map(|r| r["event"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_needs_nobody_happens_by_itself_once() {
    let registry = registry();
    with_context(|context| {
        let new = Registration { stage: Some("dev".into()), ..plain("3") };
        let record = registry.register_as(context, &new, &[]).unwrap();
        assert_eq!(record.stages, ["dev"], "tests are missing");
        registry.attach("m", "3", &[("tests".into(), json!("pass"))], "ci", NOW).unwrap();
        registry.promote_automatically(context, "3").unwrap();
        assert_eq!(registry.standing("m", "staging").unwrap().as_deref(), Some("3"));
        let records = registry.promotions("m", "3").unwrap();
        assert_eq!((records.len(), &records[0]["status"]), (1, &json!("promoted")));
        // Another takes its place; the first does not come back by itself.
        let next = Registration { stage: Some("dev".into()), ..plain("4") };
        registry.register_as(context, &next, &[("tests".into(), json!(true))]).unwrap();
        registry.promote_automatically(context, "3").unwrap();
        assert_eq!(registry.standing("m", "staging").unwrap().as_deref(), Some("4"));
        // In a freeze nothing moves.
        assert!(registry.freeze("m", "ann", "incident", NOW).unwrap());
        let last = Registration { stage: Some("dev".into()), ..plain("5") };
        registry.register_as(context, &last, &[("tests".into(), json!(true))]).unwrap();
        assert_eq!(registry.standing("m", "staging").unwrap().as_deref(), Some("4"));
    });
}

/// Prod's latest window of every version passes, and whoever is asked has signed.
fn with_passing_checks<T>(registry: &Embedded, work: impl FnOnce(&RequestContext<'_>) -> T) -> T {
    let policy = with_transitions(
        "- {from: dev, to: staging, approvals: auto, evidence: [tests]}
- {from: staging, to: prod, checks: [drift], rollout: {steps: [{weight: 100, bake: 1h}], checks: [drift]}}
",
    );
    let result = Decided {
        rule: "drift/psi".into(),
        subject: "x".into(),
        decides: Status::Pass,
        sentence: "drift/psi x 0.01 against lt 0.2".into(),
    };
    let latest = vec![GroupVerdict { group: "drift".into(), end_ms: NOW, complete: true, results: vec![result] }];
    let live = |_: &str| StreamState { latest: latest.clone(), blocks: Vec::new(), seen: true, others: Vec::new() };
    for version in ["0", "1"] {
        registry.register(&plain(version), "ci", 1).unwrap();
        registry.set_stage("m", PROD, version, "ann", "", 2).unwrap();
    }
    work(&RequestContext { policy: &policy, live: &live, actor: "ann", now_ms: NOW })
}

/// A version with everything that is asked for, in staging by itself.
fn ready(registry: &Embedded, context: &RequestContext<'_>, version: &str) {
    let hex = "ab".repeat(31) + &format!("{:02x}", version.parse::<u8>().unwrap());
    let new = Registration { artifact_sha256: Some(hex.clone()), ..plain(version) };
    let evidence = [
        ("tests", json!("pass")),
        ("data_snapshot", json!(format!("sha256:{hex}"))),
        ("code_commit", json!("git:1234abcd")),
    ];
    let evidence = evidence.map(|(kind, value)| (kind.to_owned(), value));
    registry.register_as(context, &new, &evidence).unwrap();
    assert_eq!(registry.standing("m", "staging").unwrap().as_deref(), Some(version));
}

fn promote(registry: &Embedded, context: &RequestContext<'_>, version: &str) -> Promotion {
    registry.promote(context, &PromotionRequest { version, to: PROD, retry: None, comment: None }).unwrap()
}

#[test]
fn a_rollout_under_way_holds_up_other_versions_on_their_way_to_staging_in_nothing() {
    let registry = registry();
    with_passing_checks(&registry, |context| {
        ready(&registry, context, "2");
        let begun = promote(&registry, context, "2");
        assert_eq!(
            begun.rollout.unwrap().phase,
            driftgate_core::rollout::Phase::Promoting,
            "{:?}",
            begun.answer.reasons
        );
        ready(&registry, context, "3");
        let refused = registry
            .promote(context, &PromotionRequest { version: "3", to: PROD, retry: None, comment: None })
            .unwrap_err();
        assert!(refused.to_string().contains("is under way"), "{refused}");
        registry.tell_rollout(context, &RolloutCommand::Abort("not this one")).unwrap();
        assert_eq!(registry.standing("m", PROD).unwrap().as_deref(), Some("1"));
        assert_eq!(registry.frozen("m").unwrap(), None, "a person's abort freezes nothing");
        assert_eq!(registry.promotions("m", "2").unwrap()[0]["status"], "rolled_back");
    });
}

#[test]
fn a_verdict_that_cannot_be_read_pauses_the_rollout_it_is_about_and_is_no_record() {
    let registry = registry();
    with_passing_checks(&registry, |context| {
        ready(&registry, context, "2");
        promote(&registry, context, "2");
        let paused = || registry.rollout("m").unwrap().unwrap().paused;
        let policy = std::sync::Arc::new(context.policy.clone());
        let (policy, live) = (|_: &str| Some(policy.clone()), |_: &str, version: &str| (context.live)(version));
        let stream = Stream { policy: &policy, live: &live, now_ms: NOW, queue_verdicts: false, applied: None };
        let take = |version| {
            let cut = GivenVerdict { model: "m", version, group: "drift", end_ms: NOW, json: "{\"verdict_id\":" };
            registry.take_all(&[Given::Verdict(cut)], &stream).unwrap();
        };
        take("0");
        assert_eq!(paused(), None, "of a version that is not in it");
        take("2");
        let why = paused().unwrap_or_default();
        assert!(why.starts_with("a stored verdict cannot be read: EOF"), "{why}");
        assert_eq!(registry.verdicts("m", "2").unwrap(), ["{\"verdict_id\":"], "it is kept");
    });
    let registry = self::registry();
    with_passing_checks(&registry, |context| {
        ready(&registry, context, "2");
        registry.record_verdict("m", "2", "drift", NOW, "{\"verdict_id\":").unwrap();
        let refused = registry
            .promote(context, &PromotionRequest { version: "2", to: PROD, retry: None, comment: None })
            .unwrap_err();
        assert!(refused.to_string().starts_with("a verdict of version \"2\" of \"m\" cannot be read: "), "{refused}");
        // One of the version that another follows on the stage holds up nobody else.
        ready(&registry, context, "3");
    });
}

#[test]
fn a_rollout_that_fails_never_returns_to_what_was_rolled_back_itself() {
    let registry = registry();
    with_passing_checks(&registry, |context| {
        ready(&registry, context, "2");
        promote(&registry, context, "2");
        assert_eq!(
            registry.roll_back("m", Some("0"), "ann", "1 is broken, too", false, 5).unwrap().1.as_deref(),
            Some("0")
        );
        assert_eq!(registry.rollout("m").unwrap(), None, "the rollback ended it");
        let same = registry.roll_back("m", Some("0"), "ann", "typo", false, 6).unwrap_err();
        assert!(same.to_string().contains("stands on version \"0\" already"), "{same}");
        ready(&registry, context, "3");
        promote(&registry, context, "3");
        registry.tell_rollout(context, &RolloutCommand::Abort("worse")).unwrap();
        assert_eq!(registry.standing("m", PROD).unwrap().as_deref(), Some("0"));
    });
}

#[test]
fn a_stage_on_the_way_is_not_skipped_and_what_failed_there_does_not_serve() {
    let registry = registry();
    with_passing_checks(&registry, |context| {
        ready(&registry, context, "2");
        registry.attach("m", "2", &[("tests".into(), json!("fail"))], "ci", NOW).unwrap();
        let answer = promote(&registry, context, "2").answer;
        assert!(answer.reasons.iter().any(|r| r.starts_with("tests")), "{:?}", answer.reasons);
        registry.register_as(context, &plain("9"), &[]).unwrap();
        let answer = promote(&registry, context, "9").answer;
        assert_eq!(answer.reasons[0], "the version never was in staging: promote it there first");
    });
}

#[test]
fn a_stage_that_is_reached_by_promotion_is_given_once_only() {
    let registry = registry();
    with_context(|context| {
        let prod = |version: &str| Registration { stage: Some(PROD.into()), ..plain(version) };
        registry.register_as(context, &prod("6"), &[]).unwrap();
        registry.register_as(context, &prod("6"), &[]).unwrap();
        let refused = registry.register_as(context, &prod("7"), &[]).unwrap_err();
        assert!(refused.to_string().contains("is reached by a promotion"), "{refused}");
        assert_eq!(registry.version("m", "7").unwrap(), None);
    });
}

#[test]
fn a_wish_that_the_gate_refuses_is_written_down_and_moves_nothing() {
    let registry = registry();
    with_context(|context| {
        registry.register_as(context, &plain("7"), &[]).unwrap();
        let wish = PromotionRequest { version: "7", to: PROD, retry: None, comment: None };
        let Promotion { answer, record, rollout } = registry.promote(context, &wish).unwrap();
        assert_eq!((answer.verdict, record, rollout), (GateVerdict::Block, None, None));
        assert_eq!(events(&registry), ["register", "gate"]);
        assert_eq!(registry.standing("m", PROD).unwrap(), None);
        let unknown = registry.promote(context, &PromotionRequest { version: "8", ..wish }).unwrap_err();
        assert!(matches!(unknown, RegistryError::UnknownVersion { .. }), "{unknown}");
        let bad = registry.promote(context, &PromotionRequest { to: "a/b", ..wish }).unwrap_err();
        assert!(matches!(bad, RegistryError::BadName { .. }), "{bad}");
        let moon = registry.promote(context, &PromotionRequest { to: "moon", ..wish }).unwrap_err();
        assert!(matches!(moon, RegistryError::Gate(_)), "{moon}");
    });
}

#[test]
fn prod_goes_back_by_hand_and_what_left_it_so_is_never_a_target_again() {
    let registry = with_prod(&["5", "6", "7"]);
    assert_eq!(registry.roll_back("m", None, "ann", "drill", true, 9).unwrap(), ("7".into(), Some("6".into())));
    assert_eq!(registry.standing("m", PROD).unwrap().as_deref(), Some("7"), "a drill moves nothing");
    let never = registry.roll_back("m", Some("9"), "ann", "why", false, 9).unwrap_err();
    assert!(matches!(never, RegistryError::UnknownVersion { .. }), "{never}");
    assert_eq!(registry.roll_back("m", None, "ann", "slow", false, 9).unwrap().1.as_deref(), Some("6"));
    assert_eq!(registry.frozen("m").unwrap(), None, "a person froze nothing");
    assert_eq!(registry.pending_rollbacks().unwrap()[0].to, "6");
    assert_eq!(registry.roll_back("m", None, "ann", "slow, too", false, 10).unwrap().1.as_deref(), Some("5"));
    assert_eq!(registry.roll_back("m", None, "ann", "and this", false, 11).unwrap().1, None);
    assert_eq!(registry.standing("m", PROD).unwrap().as_deref(), Some("5"));
}

#[test]
fn what_is_told_waits_in_order_until_it_was_delivered() {
    let registry = registry().telling(vec![Sink::Registry(External::Mlflow), Sink::Webhook(0)]);
    registry.register(&Registration { stage: Some("dev".into()), ..plain("1") }, "ci", 1).unwrap();
    registry.set_stage("m", PROD, "1", "ann", "", 2).unwrap();
    let posts = registry.outgoing(Sink::Webhook(0), 10).unwrap();
    let stages: Vec<Value> =
        posts.iter().map(|o| serde_json::from_str::<Value>(&o.body).unwrap()["stage"].clone()).collect();
    assert_eq!(stages, ["dev", PROD]);
    registry.delivered(&[posts[0].id]).unwrap();
    assert_eq!(registry.outgoing(Sink::Webhook(0), 10).unwrap(), posts[1..]);
    assert_eq!(registry.outgoing(Sink::Anchor, 10).unwrap(), [], "nobody listens there");
    let waiting = |registry: &Embedded| registry.waiting().unwrap();
    assert_eq!(waiting(&registry), [("mlflow".to_owned(), 1), ("webhook-0".to_owned(), 1)]);
    // MLflow is told what a model has come to, not each change.
    let unsettled = registry.unsettled().unwrap();
    registry.settled("m", unsettled[0].1).unwrap();
    assert_eq!(waiting(&registry), [("webhook-0".to_owned(), 1)]);
}

#[test]
fn a_file_of_the_first_format_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    {
        let old = Connection::open(&path).unwrap();
        old.execute_batch(schema::FIRST).unwrap();
        old.execute_batch(
            "INSERT INTO versions (model, version, registered_at, registered_by) VALUES ('m', '1', 5, 'ci');
             INSERT INTO stages (model, stage, version) VALUES ('m', 'prod', '1');",
        )
        .unwrap();
        old.pragma_update(None, "user_version", 1).unwrap();
    }
    let registry = Embedded::open(&path).unwrap();
    assert_eq!(prod(&registry).as_deref(), Some("1"));
    registry.attach("m", "1", &[("tests".into(), json!("pass"))], "ci", 6).unwrap();
    assert_eq!(events(&registry), ["evidence"]);
    let upgrade = &registry.audit(None, 10).unwrap()[0];
    assert_eq!(
        (&upgrade["event"], &upgrade["payload"]["taken_over"][0]["kind"]),
        (&json!("upgrade"), &json!("pointer"))
    );
}

#[test]
fn what_a_queue_of_the_second_format_held_for_mlflow_is_what_shall_be() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    {
        let old = Connection::open(&path).unwrap();
        old.execute_batch(schema::FIRST).unwrap();
        old.execute_batch(schema::PROMOTION_TABLES).unwrap();
        let gate = json!({"seq": 0, "ts": "2013-03-08T00:00:00Z", "actor": "ann", "event": "gate", "model": "m", "version": "1",
            "payload": {"to": "prod", "verdict": "block", "reasons": ["slow", "old"], "policy_sha256": "ab"}, "prev": ""});
        let queued = json!({"op": "set_tags", "model": "m", "version": "2", "tags": [["gate.check.slo", "clear"]]});
        let alias = json!({"op": "set_alias", "model": "m", "alias": "prod", "version": "2", "expected": "1"});
        old.execute_batch(&format!(
            "INSERT INTO versions (model, version, registered_at, registered_by) VALUES ('m', '1', 5, 'ci'), ('m', '2', 6, 'ci');
             INSERT INTO stages (model, stage, version) VALUES ('m', 'prod', '2');
             INSERT INTO stage_moves (model, stage, from_version, to_version, at, actor, reason, rollback)
                 VALUES ('m', 'prod', '1', '2', 7, 'ann', '', 0);
             INSERT INTO mirrored (model, alias, version) VALUES ('m', 'prod', '1');
             INSERT INTO blocks (model, version, group_name, since, reasons, signal_id, verdict_id)
                 VALUES ('m', '1', 'drift', 't', '[\"psi\"]', 's', 'v');
             INSERT INTO audit (seq, bytes, hash) VALUES (0, '{gate}', 'h');
             INSERT INTO outgoing (sink, key, body, at) VALUES ('mlflow', 'm', '{queued}', 1), ('mlflow', 'm', '{alias}', 1),
                 ('webhook-0', 'm', '{{}}', 1);"
        ))
        .unwrap();
        old.pragma_update(None, "user_version", 2).unwrap();
    }
    for _ in 0..2 {
        let registry = Embedded::open(&path).unwrap().telling(vec![Sink::Registry(External::Mlflow), Sink::Webhook(0)]);
        assert_eq!(registry.waiting().unwrap(), [("mlflow".to_owned(), 1), ("webhook-0".to_owned(), 1)]);
        let there =
            |version: &str| FoundVersion { version: version.into(), created_ms: Some(1), ..FoundVersion::default() };
        let aliases = [("prod".to_owned(), "1".to_owned())].into();
        let found = Found { exists: true, aliases, versions: vec![there("1"), there("2")], ..Found::default() };
        let due = registry.follow("m", &found, NOW).unwrap().due;
        let written: Vec<Value> = due.ops.iter().map(|op| json!(op)).collect();
        assert_eq!(
            written[0],
            json!({"op": "set_alias", "model": "m", "alias": "prod", "version": "2", "expected": "1", "created_ms": 1})
        );
        let tags = json!([
            ["gate.prod.reasons", "slow; old"],
            ["gate.prod.policy_sha256", "ab"],
            ["gate.prod.decided_at", "2013-03-08T00:00:00Z"],
            ["gate.prod.verdict", "block"],
            ["gate.check.drift.reasons", "psi"],
            ["gate.check.drift.at", "t"],
            ["gate.check.drift", "block"]
        ]);
        assert_eq!((&written[1]["version"], &written[1]["tags"]), (&json!("1"), &tags));
        assert_eq!(written[2]["tags"], json!([["gate.check.slo", "clear"]]));
        assert_eq!(written.len(), 3);
    }
}
