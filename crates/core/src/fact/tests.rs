//! What each system outside gets of each fact: the bytes that every release before sent.

use serde_json::json;

use super::*;
use crate::judge::verdict::Action;

fn signal(action: Action) -> Signal {
    Signal {
        signal_id: "s".into(),
        ts: "2026-01-01T00:00:00Z".into(),
        model: "m".into(),
        version: "7".into(),
        group: "slo".into(),
        action,
        stage: Some("prod".into()),
        rollback_to: None,
        reasons: vec!["r".into()],
        verdict_id: "v".into(),
        policy_sha256: "p".into(),
    }
}

fn taken<'a>(signal: &'a Signal, outcome: SignalOutcome, detail: &'a str) -> Fact<'a> {
    Fact::Signal(SignalTaken { signal, outcome, detail })
}

/// A message: its key, its body.
type Sent = Option<(String, String)>;

/// The record of the signals topic and the event of webhooks.
fn sent(fact: &Fact<'_>) -> (Sent, Sent) {
    let parts = |message: Message| (message.key, message.body);
    (topic::signals(fact).map(parts), webhook::event(fact).map(parts))
}

fn both(key: &str, record: &str, model: &str, event: &str) -> (Sent, Sent) {
    (Some((key.into(), record.into())), Some((model.into(), event.into())))
}

fn tags(fact: &Fact<'_>) -> Vec<String> {
    let found = tags::tags(fact);
    found.map_or_else(Vec::new, |t| t.tags.iter().map(|(k, v)| format!("{}/{}: {k}={v}", t.model, t.version)).collect())
}

const BLOCK: &str = r#"{"signal_id":"s","ts":"2026-01-01T00:00:00Z","model":"m","version":"7","group":"slo","action":"block","stage":"prod","rollback_to":null,"reasons":["r"],"verdict_id":"v","policy_sha256":"p","outcome":"applied"}"#;

#[test]
fn a_signal_goes_out_with_what_became_of_it() {
    let block = signal(Action::Block);
    let fact = taken(&block, SignalOutcome::Applied, "");
    assert_eq!(sent(&fact), both("m/7", BLOCK, "m", &format!(r#"{{"event":"block","signal":{BLOCK}}}"#)));
    assert_eq!(
        tags(&fact),
        ["m/7: gate.check.slo.reasons=r", "m/7: gate.check.slo.at=2026-01-01T00:00:00Z", "m/7: gate.check.slo=block"]
    );

    let back = signal(Action::Rollback);
    let fact = taken(&back, SignalOutcome::Applied, "6");
    let (record, event) = sent(&fact);
    assert!(record.unwrap().1.contains(r#""action":"rollback","stage":"prod","rollback_to":"6","#));
    assert!(event.unwrap().1.starts_with(r#"{"event":"rollback","signal":{"#));
    assert_eq!(tags(&fact), Vec::<String>::new());

    let fact = taken(&back, SignalOutcome::Ignored, "the model is frozen");
    let (record, event) = sent(&fact);
    assert!(record.unwrap().1.ends_with(r#""outcome":"ignored","detail":"the model is frozen"}"#));
    assert_eq!((event, tags(&fact)), (None, Vec::new()));

    let again = Fact::SignalAgain { model: "m", version: "7", text: "as before" };
    assert_eq!(sent(&again), (Some(("m/7".into(), "as before".into())), None));
}

#[test]
fn a_block_that_a_person_ended_is_a_clear_with_another_id() {
    let block = ActiveBlock {
        group: "slo".into(),
        since: "2026-01-01T00:00:00Z".into(),
        reasons: vec!["r".into()],
        signal_id: "s".into(),
        verdict_id: "v".into(),
    };
    let unblocked = |text| {
        let (actor, reason) = ("ana", "known");
        Fact::Unblocked(Unblocked { model: "m", version: "7", block: &block, text, actor, reason, at_ms: 1000 })
    };
    let id = crate::codec::hash::digest(&[b"unblock", b"s", &1000_i64.to_le_bytes()]);
    let clear = |policy: &str, stage: &str| {
        format!(
            r#"{{"signal_id":"{id}","ts":"1970-01-01T00:00:01Z","model":"m","version":"7","group":"slo","action":"clear","stage":{stage},"rollback_to":null,"reasons":["unblocked by ana: known"],"verdict_id":"v",{policy}"outcome":"applied"}}"#
        )
    };
    for (text, told) in [(Some(BLOCK), clear(r#""policy_sha256":"p","#, r#""prod""#)), (None, clear("", "null"))] {
        let fact = unblocked(text);
        assert_eq!(sent(&fact), both("m/7", &told, "m", &format!(r#"{{"event":"clear","signal":{told}}}"#)));
        assert_eq!(tags(&fact)[0], "m/7: gate.check.slo.reasons=unblocked by ana: known");
    }
}

#[test]
fn a_rollout_says_its_weight_and_its_phase() {
    let state: State = serde_json::from_value(json!({
        "id": "r1", "model": "m", "candidate": "7", "champion": "6", "from": "staging", "to": "prod", "phase": "Progressing",
        "step": 0, "weight": 10.0, "paused": null, "inconclusive": false, "started_ms": 0, "step_started_ms": 0, "now_ms": 1000,
        "pauses": [], "first_seen_ms": {}, "processed_ms": {}, "measured": {}, "breaches": {},
        "comparison": crate::rollout::state::Comparison::default(), "gate_asked": false, "confirmed": false, "external": false,
        "dry_run": false, "why": "w",
    }))
    .unwrap();
    for (step, action, weight) in [(RolloutStep::Weight(50.0), "weight", "50"), (RolloutStep::Phase, "phase", "10")] {
        let parts = ["r1", "1970-01-01T00:00:01Z", action, weight, "Progressing"].map(str::as_bytes);
        let id = crate::codec::hash::digest(&parts);
        let told = format!(
            r#"{{"signal_id":"{id}","ts":"1970-01-01T00:00:01Z","model":"m","version":"7","group":null,"action":"{action}","stage":"prod","champion":"6","weight":{weight}.0,"phase":"Progressing","dry_run":false,"reasons":["w"],"promotion_id":"r1"}}"#
        );
        let fact = Fact::Rollout { state: &state, step };
        assert_eq!(sent(&fact), both("m/7", &told, "m", &format!(r#"{{"event":"{action}","rollout":{told}}}"#)));
    }
}

#[test]
fn webhooks_hear_of_pointers_promotions_approvals_and_drift() {
    let event = |fact: &Fact<'_>| {
        let (record, event) = sent(fact);
        assert_eq!(record, None);
        event.map(|(key, body)| format!("{key} {body}"))
    };
    let moved = StageMove {
        model: "m",
        stage: "prod",
        from: None,
        to: "7",
        actor: "ana",
        reason: "r",
        rollback: false,
        at_ms: 5,
    };
    assert_eq!(
        event(&Fact::StageMoved(moved)).unwrap(),
        r#"m {"event":"stage","model":"m","stage":"prod","from":null,"to":"7","actor":"ana","reason":"r","rollback":false,"at_ms":5}"#
    );
    let record = json!({"b": 1, "a": 2});
    assert_eq!(
        event(&Fact::Promoted { model: "m", record: &record }).unwrap(),
        r#"m {"event":"promotion","record":{"b":1,"a":2}}"#
    );
    let approval = Approval {
        to: "prod".into(),
        actor: "ana".into(),
        role: "owner".into(),
        at_ms: 5,
        artifact_sha256: None,
        policy_sha256: "p".into(),
        evidence_sha256: "e".into(),
        basis: None,
        comment: None,
    };
    let all = std::slice::from_ref(&approval);
    let fact = Fact::Approved { model: "m", version: "7", approval: &approval, all };
    assert_eq!(
        event(&fact).unwrap(),
        r#"m {"event":"approval","model":"m","version":"7","approval":{"to":"prod","actor":"ana","role":"owner","at_ms":5,"artifact_sha256":null,"policy_sha256":"p","evidence_sha256":"e","comment":null}}"#
    );
    assert!(tags(&fact)[0].starts_with("m/7: gate.prod.approvals=[{\"actor\":\"ana\""), "{:?}", tags(&fact));
    let drift = RegistryDrift::Deleted { deleted: crate::audit::event::True };
    assert_eq!(
        event(&Fact::Drift { model: "m", version: Some("7"), drift: &drift }).unwrap(),
        r#"m {"event":"registry_drift","model":"m","drift":{"version":"7","deleted":true}}"#
    );
    let drift = RegistryDrift::Moved { stage: "prod".into(), expected: None, found: Some("6".into()), ours: None };
    assert_eq!(
        event(&Fact::Drift { model: "m", version: None, drift: &drift }).unwrap(),
        r#"m {"event":"registry_drift","model":"m","drift":{"stage":"prod","expected":null,"found":"6","ours":null}}"#
    );
    let back = Fact::RolledBack { model: "m", from: "7", to: "6", reason: "r", ts: "T" };
    assert_eq!(event(&back), None);
    assert_eq!(tags(&back), [r#"m/7: gate.rollback={"from":"7","to":"6","trigger":"r","at":"T"}"#]);
}

#[test]
fn other_topics_get_theirs_alone() {
    let verdict = Fact::Verdict { model: "m", version: "7", json: "{}" };
    assert_eq!(topic::verdicts(&verdict), Some(Message { key: "m/7".into(), body: "{}".into() }));
    let head = SignedHead { seq: 1, hash: "h".into(), ts: "T".into(), key_id: "k".into(), signature: "s".into() };
    let sealed = Fact::Sealed(&head);
    let body = r#"{"seq":1,"hash":"h","ts":"T","key_id":"k","signature":"s"}"#.to_owned();
    assert_eq!(topic::anchors(&sealed), Some(Message { key: "audit".into(), body }));
    for fact in [verdict, sealed] {
        assert_eq!((sent(&fact), tags(&fact)), ((None, None), Vec::new()));
    }
    assert_eq!((topic::verdicts(&sealed), topic::anchors(&verdict)), (None, None));
}
