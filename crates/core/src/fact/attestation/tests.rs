//! What is attested of which fact, and what the bundle is.

use super::*;
use crate::fact::SignalTaken;
use crate::judge::verdict::Signal;

const HEX: &str = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";

fn record(outcome: &str) -> Value {
    json!({
        "model": "fraud", "version": 7, "from_stage": "staging", "to_stage": "prod", "approvers": ["ana"], "status": "approved",
        "artifacts": {"model_digest": format!("sha256:{HEX}")}, "promotion_id": "p1", "at": "2026-11-28T10:00:00Z", "actor": "bo",
        "comment": "secret", "policy_sha256": "cd",
        "gates": [{"gate": "drift/psi", "outcome": "pass", "detail": ""}, {"gate": "schema", "outcome": outcome, "detail": ""}],
    })
}

fn body(attested: Attested<'_>, location: &str, sha256: Option<&str>) -> Value {
    let message = attested.message(location, sha256);
    assert_eq!(message.key, location);
    serde_json::from_str(&message.body).unwrap()
}

#[test]
fn a_promotion_passes_with_its_gates_its_policy_and_who_approved() {
    for (outcome, result) in [("pass", "PASSED"), ("warn", "WARNED"), ("block", "FAILED")] {
        let record = record(outcome);
        let attested = attested(&Fact::Promoted { model: "fraud", record: &record }, 0).unwrap();
        assert_eq!((attested.model, attested.version.as_ref(), attested.sha256), ("fraud", "7", Some(HEX)));
        let body = body(attested, "oci://ghcr.io:443/acme/fraud:7", Some("another"));
        assert_eq!((&body["model"], &body["version"], &body["sha256"]), (&json!("fraud"), &json!("7"), &json!(HEX)));
        let statement = &body["statement"];
        assert_eq!(
            (&statement["_type"], &statement["predicateType"]),
            (&json!("https://in-toto.io/Statement/v1"), &json!("https://in-toto.io/attestation/test-result/v0.1"))
        );
        assert_eq!(statement["subject"], json!([{"name": "ghcr.io:443/acme/fraud", "digest": {"sha256": HEX}}]));
        let predicate = &statement["predicate"];
        assert_eq!((&predicate["result"], &predicate["passedTests"][0]), (&json!(result), &json!("drift/psi")));
        let policy = &predicate["configuration"][0];
        assert_eq!((&policy["uri"], &policy["digest"]["sha256"]), (&json!("urn:driftgate:policy:fraud"), &json!("cd")));
        let wanted = json!({
            "event": "promotion", "model": "fraud", "version": "7", "at": "2026-11-28T10:00:00Z", "stage": "prod", "from_stage": "staging",
            "promotion_id": "p1", "actor": "bo", "approvers": ["ana"],
        });
        assert_eq!(policy["annotations"], wanted);
    }
}

fn signal(action: Action) -> Signal {
    Signal {
        signal_id: "s".into(),
        ts: "2026-01-01T00:00:00Z".into(),
        model: "fraud".into(),
        version: "7".into(),
        group: "drift".into(),
        action,
        stage: None,
        rollback_to: None,
        reasons: vec!["drift/psi amount 0.3 breaks lt 0.2".into()],
        verdict_id: "v".into(),
        policy_sha256: "cd".into(),
    }
}

#[test]
fn a_block_and_a_rollback_take_it_back_and_what_was_ignored_does_not() {
    let (block, clear, back) = (signal(Action::Block), signal(Action::Clear), signal(Action::Rollback));
    let taken = |signal, outcome| attested(&Fact::Signal(SignalTaken { signal, outcome, detail: "" }), 0);
    let attested_block = taken(&block, SignalOutcome::Applied).unwrap();
    let told = body(attested_block, "oci://localhost:5000/fraud@sha256:ab", Some(HEX));
    let predicate = &told["statement"]["predicate"];
    assert_eq!(
        (&predicate["result"], &predicate["failedTests"]),
        (&json!("FAILED"), &json!(["drift/psi amount 0.3 breaks lt 0.2"]))
    );
    assert_eq!(
        predicate["configuration"][0]["annotations"],
        json!({"event": "block", "model": "fraud", "version": "7", "at": "2026-01-01T00:00:00Z", "group": "drift"})
    );
    assert_eq!(told["statement"]["subject"][0]["name"], "localhost:5000/fraud");
    assert_eq!(taken(&block, SignalOutcome::Ignored), None);
    assert_eq!(taken(&clear, SignalOutcome::Applied), None);
    assert_eq!(taken(&back, SignalOutcome::Applied), None, "what a rollback did is a fact of its own");

    let back =
        Fact::RolledBack { model: "fraud", from: "7", to: "6", reason: "p95 is high", ts: "2026-01-01T00:00:00Z" };
    let told = body(attested(&back, 0).unwrap(), "oci://ghcr.io/acme/fraud", None);
    assert_eq!((&told["sha256"], &told["statement"]), (&Value::Null, &Value::Null), "nothing to attach it to");
    let predicate = attested(&back, 0).unwrap().predicate;
    assert_eq!(
        (&predicate["failedTests"], &predicate["configuration"][0]["digest"]),
        (&json!(["p95 is high"]), &Value::Null)
    );
}

#[test]
fn the_bundle_is_signed_over_the_envelope_and_the_same_each_time() {
    let (signer, _) = Signer::from_seed(&[7; 32]).unwrap();
    let bundle = bundle("{\"_type\":1}", &signer);
    assert_eq!(bundle, super::bundle("{\"_type\":1}", &signer));
    let bundle: Value = serde_json::from_str(&bundle).unwrap();
    assert_eq!(bundle["mediaType"], "application/vnd.dev.sigstore.bundle.v0.3+json");
    let envelope = &bundle["dsseEnvelope"];
    assert_eq!(envelope["payload"], BASE64.encode("{\"_type\":1}"));
    // By `openssl pkeyutl -sign -rawin` over the bytes of the specification with the same key, and `openssl pkey -pubout -outform DER` in SHA-256.
    let wanted = (
        "wOuLp4nkYuApteO6Wlx6wfc6OQ/Q/9m3Cmq/sCx7NHBwI6dvcOr20QOQEVQleWc5OwHj4aZaMDC8irT99xr9Bg==",
        "Mkvi3qi8REYbAjPlH6SJAu1rHMZx53Oa8lUeC/5o9U4=",
    );
    let found = (&envelope["signatures"][0]["sig"], &bundle["verificationMaterial"]["publicKey"]["hint"]);
    assert_eq!(found, (&json!(wanted.0), &json!(wanted.1)));
}
