//! The bytes of the log: every kind of event is written as every release before wrote it, and read back as what it was.

use super::*;
use crate::judge::verdict::Action;

fn text(text: &str) -> String {
    text.to_owned()
}

#[expect(clippy::unnecessary_wraps, reason = "the fields that it fills are optional")]
fn some(value: &str) -> Option<String> {
    Some(text(value))
}

fn signal() -> Signal {
    Signal {
        signal_id: text("s"),
        ts: text("T"),
        model: text("m"),
        version: text("7"),
        group: text("slo"),
        action: Action::Rollback,
        stage: None,
        rollback_to: None,
        reasons: vec![text("r")],
        verdict_id: text("v"),
        policy_sha256: text("p"),
    }
}

/// Each event, its kind, and its payload as it is written.
// Long: a table with one entry per event.
#[expect(clippy::too_many_lines, reason = "a table with one entry per event")]
fn written() -> Vec<(Event, &'static str, &'static str)> {
    let registered = Registered { model: text("m"), version: text("7"), stage: some("prod"), ..Registered::default() };
    let moved = StageMoved { stage: text("prod"), to: some("7"), reason: text("r"), ..StageMoved::default() };
    let approval = Approval {
        to: text("prod"),
        actor: text("ana"),
        role: text("owner"),
        at_ms: 5,
        artifact_sha256: None,
        policy_sha256: text("p"),
        evidence_sha256: text("e"),
        basis: None,
        comment: some("c"),
    };
    let exception =
        Override { rule: text("g/r"), subject: None, until_ms: 9, reason: text("r"), actor: text("ana"), at_ms: 5 };
    let told = |told| Event::Rollout(RolloutEvent::Told(told));
    vec![
        (
            Event::Register(Register::Given(registered.clone())),
            "register",
            r#"{"model":"m","version":"7","snapshot":null,"snapshot_sha256":null,"artifact_sha256":null,"artifact":null,"baseline_version":null,"stage":"prod"}"#,
        ),
        (
            Event::Register(Register::Given(Registered { differing: vec![text("d")], ..registered })),
            "register",
            r#"{"model":"m","version":"7","snapshot":null,"snapshot_sha256":null,"artifact_sha256":null,"artifact":null,"baseline_version":null,"stage":"prod","differing":["d"]}"#,
        ),
        (
            Event::Register(Register::Found { source: None, run_id: some("r"), created_ms: Some(5) }),
            "register",
            r#"{"source":null,"run_id":"r","created_ms":5}"#,
        ),
        (
            Event::Evidence { kind: text("offline"), value: json!({"f1": 1.0, "auc": 0.9}), reported: None },
            "evidence",
            r#"{"kind":"offline","value":{"f1":1.0,"auc":0.9}}"#,
        ),
        (
            Event::Evidence { kind: text("tests"), value: json!("pass"), reported: Some(json!("fail")) },
            "evidence",
            r#"{"kind":"tests","value":"pass","reported":"fail"}"#,
        ),
        (
            Event::Approval(approval),
            "approval",
            r#"{"to":"prod","actor":"ana","role":"owner","at_ms":5,"artifact_sha256":null,"policy_sha256":"p","evidence_sha256":"e","comment":"c"}"#,
        ),
        (
            Event::Override(exception),
            "override",
            r#"{"rule":"g/r","subject":null,"until_ms":9,"reason":"r","actor":"ana","at_ms":5}"#,
        ),
        (
            Event::Gate {
                to: text("prod"),
                verdict: GateVerdict::Inconclusive,
                reasons: vec![text("r")],
                policy_sha256: text("p"),
                retry: None,
                comment: some("c"),
            },
            "gate",
            r#"{"to":"prod","verdict":"inconclusive","reasons":["r"],"policy_sha256":"p","retry":null,"comment":"c"}"#,
        ),
        (
            Event::Promotion(PromotionRecord(json!({"to_stage": "prod", "b": 1, "a": [0.5]}))),
            "promotion",
            r#"{"to_stage":"prod","b":1,"a":[0.5]}"#,
        ),
        (
            Event::Stage(StageMoved { rollback: Some(true), ..moved.clone() }),
            "stage",
            r#"{"stage":"prod","from":null,"to":"7","reason":"r","rollback":true}"#,
        ),
        (
            Event::Stage(StageMoved { rollback: Some(false), elsewhere: Some(true), ..moved.clone() }),
            "stage",
            r#"{"stage":"prod","from":null,"to":"7","reason":"r","rollback":false,"elsewhere":true}"#,
        ),
        (
            Event::Stage(StageMoved { from: some("7"), to: None, ..moved }),
            "stage",
            r#"{"stage":"prod","from":"7","to":null,"reason":"r"}"#,
        ),
        (told(RolloutTold::Pause { reason: text("r") }), "rollout", r#"{"told":"pause","reason":"r"}"#),
        (told(RolloutTold::Resume), "rollout", r#"{"told":"resume"}"#),
        (told(RolloutTold::Abort { reason: text("r") }), "rollout", r#"{"told":"abort","reason":"r"}"#),
        (told(RolloutTold::Promote), "rollout", r#"{"told":"promote"}"#),
        (
            told(RolloutTold::External { succeeded: false, refused: None }),
            "rollout",
            r#"{"told":"external","succeeded":false}"#,
        ),
        (
            told(RolloutTold::External { succeeded: true, refused: some("why") }),
            "rollout",
            r#"{"told":"external","succeeded":true,"refused":"why"}"#,
        ),
        (
            Event::Rollout(RolloutEvent::Phase { phase: text("Failed"), why: text("w") }),
            "rollout",
            r#"{"phase":"Failed","why":"w"}"#,
        ),
        (
            Event::Rollout(RolloutEvent::Weight { weight: 10.0, ts: text("T") }),
            "rollout",
            r#"{"weight":10.0,"ts":"T"}"#,
        ),
        (Event::Rollout(RolloutEvent::Note { note: text("n") }), "rollout", r#"{"note":"n"}"#),
        (
            Event::Signal { outcome: SignalOutcome::Applied, detail: text("6"), signal: signal() },
            "signal",
            r#"{"outcome":"applied","detail":"6","signal":{"signal_id":"s","ts":"T","model":"m","version":"7","group":"slo","action":"rollback","stage":null,"rollback_to":null,"reasons":["r"],"verdict_id":"v","policy_sha256":"p"}}"#,
        ),
        (
            Event::Rollback { from: text("7"), to: None, reason: text("r"), ts: text("T"), automatic: true },
            "rollback",
            r#"{"from":"7","to":null,"reason":"r","ts":"T","automatic":true}"#,
        ),
        (
            Event::RollbackDrill { from: text("7"), to: some("6"), reason: text("r") },
            "rollback_drill",
            r#"{"from":"7","to":"6","reason":"r"}"#,
        ),
        (Event::RollbackConfirmed { window_end: text("T") }, "rollback_confirmed", r#"{"window_end":"T"}"#),
        (
            Event::Unblock {
                group: text("g"),
                reason: text("r"),
                since: text("T"),
                reasons: vec![text("a")],
                signal_id: text("s"),
            },
            "unblock",
            r#"{"group":"g","reason":"r","since":"T","reasons":["a"],"signal_id":"s"}"#,
        ),
        (Event::Freeze { reason: text("r") }, "freeze", r#"{"reason":"r"}"#),
        (Event::Resume {}, "resume", "{}"),
        (
            Event::RegistryDrift(RegistryDrift::Recreated { recreated: True, created_ms: Some(2), known_ms: Some(1) }),
            "registry_drift",
            r#"{"recreated":true,"created_ms":2,"known_ms":1}"#,
        ),
        (Event::RegistryDrift(RegistryDrift::Deleted { deleted: True }), "registry_drift", r#"{"deleted":true}"#),
        (Event::RegistryDrift(RegistryDrift::Returned { returned: True }), "registry_drift", r#"{"returned":true}"#),
        (
            Event::RegistryDrift(RegistryDrift::Moved {
                stage: text("prod"),
                expected: some("6"),
                found: None,
                ours: some("6"),
            }),
            "registry_drift",
            r#"{"stage":"prod","expected":"6","found":null,"ours":"6"}"#,
        ),
        (
            Event::Reported { kind: text("stage"), value: json!("prod") },
            "reported",
            r#"{"kind":"stage","value":"prod"}"#,
        ),
        (
            Event::Upgrade(Upgrade { from: 4, ..Upgrade::default() }),
            "upgrade",
            r#"{"from":4,"taken_over":[],"changed":[]}"#,
        ),
        (Event::Other { event: text("later"), payload: json!({"b": 1, "a": 2}) }, "later", r#"{"b":1,"a":2}"#),
    ]
}

#[test]
fn every_event_is_written_as_before_and_read_back() {
    for (event, kind, payload) in written() {
        let parts = event.to_parts();
        assert_eq!((parts.0.as_str(), parts.1.to_string().as_str()), (kind, payload));
        assert_eq!(Event::read(kind, &parts.1), event, "{kind} {payload}");
    }
}

#[test]
fn a_payload_of_another_release_is_kept_as_it_is() {
    let read = |event: &str, payload: Value| Event::read(event, &payload).to_parts();
    for (event, payload) in [
        ("stage", json!({"b": 2})),
        ("signal", json!({"outcome": "delayed"})),
        ("rollout", json!({"told": "sleep"})),
        ("registry_drift", json!({"recreated": false})),
        ("other", json!("text")),
    ] {
        assert_eq!(read(event, payload.clone()), (event.to_owned(), payload));
    }
    // A release before left these out, or had others.
    let moved = json!({"stage": "prod", "from": "6", "to": "7", "reason": "r", "rollback": false, "foreign": true});
    assert!(matches!(Event::read("stage", &moved), Event::Stage(StageMoved { foreign: Some(true), .. })));
    let found = json!({"source": "s3://m", "run_id": null});
    assert!(matches!(Event::read("register", &found), Event::Register(Register::Found { created_ms: None, .. })));
}
