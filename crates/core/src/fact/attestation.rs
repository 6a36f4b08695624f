//! Facts as attestations of the artifact they are about: an in-toto statement (<https://in-toto.io/Statement/v1>) with the predicate for
//! results of tests (<https://github.com/in-toto/attestation/blob/main/spec/predicates/test-result.md>), in a Sigstore bundle
//! (<https://github.com/sigstore/protobuf-specs>, version 0.3) that the audit log's key signed. Which tools verify it stands in
//! docs/guide/oci.md.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};

use super::{Fact, Message, RolloutStep};
use crate::audit::event::SignalOutcome;
use crate::audit::signed_head::Signer;
use crate::codec::dsse::{BUNDLE, IN_TOTO, STATEMENT};
use crate::codec::time::utc;
use crate::judge::verdict::Action;
use crate::promotion::record::version_of;
use crate::promotion::types::GateOutcome;
use crate::promotion::value::parse_sha256_hex;
use crate::rollout::{Phase, State};

/// What the predicate is.
pub const PREDICATE: &str = "https://in-toto.io/attestation/test-result/v0.1";
/// How locations of OCI artifacts begin.
pub const SCHEME: &str = "oci://";

/// A fact that is attested.
#[derive(Clone, Debug, PartialEq)]
pub struct Attested<'f> {
    pub model: &'f str,
    pub version: Cow<'f, str>,
    /// The artifact's SHA-256 where the fact tells it, lower-case hex.
    pub sha256: Option<&'f str>,
    predicate: Value,
}

/// The tests of a predicate, by how they came out.
#[derive(Default)]
struct Tests<'f> {
    passed: Vec<&'f str>,
    warned: Vec<&'f str>,
    failed: Vec<&'f str>,
}

/// What is attested of a fact: a promotion passes, a block, a rollback and a rollout that failed take that back; of anything else nothing is.
#[must_use]
pub fn attested<'f>(fact: &Fact<'f>, now_ms: i64) -> Option<Attested<'f>> {
    match *fact {
        Fact::Promoted { model, record } => promoted(model, record),
        Fact::Signal(taken) if taken.signal.action == Action::Block && taken.outcome == SignalOutcome::Applied => {
            let signal = taken.signal;
            let about = (signal.model.as_str(), signal.version.as_str());
            let why = signal.reasons.iter().map(String::as_str).collect();
            let more = [("group", json!(signal.group)), ("stage", json!(signal.stage))];
            Some(failed("block", about, why, &signal.ts, Some(&signal.policy_sha256), more))
        }
        Fact::RolledBack { model, from, to, reason, ts } => {
            let more = [("stage", json!("prod")), ("rollback_to", json!(to))];
            Some(failed("rollback", (model, from), vec![reason], ts, None, more))
        }
        Fact::Rollout { state, step: RolloutStep::Phase } if state.phase == Phase::Failed && !state.dry_run => {
            Some(rollout_failed(state, now_ms))
        }
        _ => None,
    }
}

fn rollout_failed(state: &State, now_ms: i64) -> Attested<'_> {
    let more = [("stage", json!(state.to)), ("promotion_id", json!(state.id))];
    failed("rollout", (&state.model, &state.candidate), vec![&state.why], &utc(now_ms), None, more)
}

fn promoted<'f>(model: &'f str, record: &'f Value) -> Option<Attested<'f>> {
    let version = version_of(record)?;
    let mut tests = Tests::default();
    for gate in record.get("gates")?.as_array()? {
        let name = gate.get("gate")?.as_str()?;
        match serde_json::from_value(gate.get("outcome")?.clone()).ok()? {
            GateOutcome::Pass => tests.passed.push(name),
            GateOutcome::Warn => tests.warned.push(name),
            // A promotion has none; one that had would not pass.
            GateOutcome::Pending | GateOutcome::Inconclusive | GateOutcome::Block => tests.failed.push(name),
        }
    }
    let said = |key: &str| record.get(key).cloned().unwrap_or_default();
    let more = [
        ("stage", said("to_stage")),
        ("from_stage", said("from_stage")),
        ("promotion_id", said("promotion_id")),
        ("actor", said("actor")),
        ("approvers", said("approvers")),
    ];
    let policy = record.get("policy_sha256").and_then(Value::as_str);
    let at = record.get("at")?.as_str()?;
    let digest = record.get("artifacts").and_then(|artifacts| artifacts.get("model_digest")?.as_str());
    let sha256 = digest.and_then(|digest| digest.strip_prefix("sha256:"));
    let configuration = configuration("promotion", (model, &version), at, policy, more);
    Some(Attested { model, predicate: predicate(&tests, &configuration), version, sha256 })
}

fn failed<'f, const N: usize>(
    event: &str,
    (model, version): (&'f str, &'f str),
    why: Vec<&str>,
    at: &str,
    policy_sha256: Option<&str>,
    more: [(&str, Value); N],
) -> Attested<'f> {
    let configuration = configuration(event, (model, version), at, policy_sha256, more);
    let predicate = predicate(&Tests { failed: why, ..Tests::default() }, &configuration);
    Attested { model, version: Cow::Borrowed(version), sha256: None, predicate }
}

fn predicate(tests: &Tests<'_>, configuration: &Value) -> Value {
    let result = match (tests.failed.is_empty(), tests.warned.is_empty()) {
        (true, true) => "PASSED",
        (true, false) => "WARNED",
        (false, _) => "FAILED",
    };
    json!({
        "result": result,
        "configuration": [configuration],
        "passedTests": tests.passed,
        "warnedTests": tests.warned,
        "failedTests": tests.failed,
    })
}

/// The policy that was judged by. What the predicate has no field for stands in its annotations, where rules over the predicate find it.
fn configuration<const N: usize>(
    event: &str,
    (model, version): (&str, &str),
    at: &str,
    policy_sha256: Option<&str>,
    more: [(&str, Value); N],
) -> Value {
    let mut annotations = Map::new();
    for (key, value) in [("event", event), ("model", model), ("version", version), ("at", at)] {
        annotations.insert(key.to_owned(), value.into());
    }
    annotations
        .extend(more.into_iter().filter(|(_, value)| !value.is_null()).map(|(key, value)| (key.to_owned(), value)));
    let mut policy = json!({"name": "policy", "uri": format!("urn:driftgate:policy:{model}")});
    if let (Some(fields), Some(sha256)) = (policy.as_object_mut(), policy_sha256) {
        fields.insert("digest".into(), json!({"sha256": sha256}));
    }
    if let Some(fields) = policy.as_object_mut() {
        fields.insert("annotations".into(), annotations.into());
    }
    policy
}

impl Attested<'_> {
    /// What is queued for an artifact's registry. Without a SHA-256 it can be attached to nothing, which whoever delivers it says.
    #[must_use]
    pub fn message(self, location: &str, sha256: Option<&str>) -> Message {
        let sha256 = self.sha256.or(sha256).and_then(parse_sha256_hex);
        let statement = sha256.as_ref().map(|sha256| {
            json!({
                "_type": STATEMENT,
                "subject": [{"name": repository(location), "digest": {"sha256": sha256}}],
                "predicateType": PREDICATE,
                "predicate": self.predicate,
            })
        });
        let body = json!({
            "model": self.model, "version": self.version, "location": location, "sha256": sha256, "statement": statement,
        });
        Message::new(location, &body)
    }
}

/// The repository of a location, with its registry: without the scheme, a tag and a digest.
///
/// ```
/// # use driftgate_core::fact::attestation::repository;
/// assert_eq!(repository("oci://registry:5000/models/credit:7@sha256:2c26"), "registry:5000/models/credit");
/// ```
#[must_use]
pub fn repository(location: &str) -> &str {
    let whole = location.strip_prefix(SCHEME).unwrap_or(location);
    let untold = whole.split_once('@').map_or(whole, |(name, _)| name);
    match untold.rsplit_once(':') {
        // A port is followed by a path.
        Some((name, tag)) if !tag.contains('/') => name,
        _ => untold,
    }
}

/// A statement in a bundle, signed. The same statement gives the same bytes: Ed25519 signatures hold no randomness.
#[must_use]
pub fn bundle(statement: &str, signer: &Signer) -> String {
    json!({
        "mediaType": BUNDLE,
        "verificationMaterial": {"publicKey": {"hint": signer.public_key().hint()}},
        "dsseEnvelope": {
            "payload": BASE64.encode(statement),
            "payloadType": IN_TOTO,
            "signatures": [{"sig": signer.sign_envelope(IN_TOTO, statement.as_bytes())}],
        },
    })
    .to_string()
}

#[cfg(test)]
mod tests;
