//! Evidence attached to a version: which kinds there are, what a value must look like, and whether it passes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::types::{Dossier, Evidence, Finding, GateOutcome};
use super::value::{canonical, normal_digest, parse_sha256_hex, show};
use super::{artifact, model_signing, schema_diff, signature};
use crate::codec::hash;
use crate::policy::{EVIDENCE_KINDS, Policy, Transition};

/// Every kind of evidence.
pub const KINDS: [&str; 14] = EVIDENCE_KINDS;

/// Evidence is a summary of this many bytes of JSON at most: a report's own place is elsewhere, its digest stands here.
pub const MOST_BYTES: usize = 64 * 1024;

/// The bundle of a model signature lists every file of the model.
pub const MOST_BUNDLE_BYTES: usize = 512 * 1024;

/// What the judged kinds take, for messages.
const JUDGED: &str = "true, \"pass\", {\"status\": \"pass\"}, {\"passed\": 12, \"failed\": 0} or {\"critical\": 0, \"high\": 0, \"secrets\": 0}";

/// Evidence that cannot be attached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    #[error("there is no evidence of kind {kind:?}; the kinds are {}", KINDS.join(", "))]
    UnknownKind { kind: String },
    #[error("{kind}: expected {expected}, read {read}")]
    Value { kind: String, expected: &'static str, read: String },
    #[error("{kind}: {bytes} bytes of JSON; attach at most {most}, and of a longer report its digest")]
    TooLarge { kind: String, bytes: usize, most: usize },
    #[error("signature: the bundle of a model signature cannot be used: {why}")]
    Bundle { why: String },
}

/// A value as it is kept: digests as `sha256:HEX` in lower case, versions as text, everything else as it is.
///
/// # Errors
/// A kind that is not known, a value of the wrong shape, or one that is too large.
pub fn check_value(kind: &str, value: &Value) -> Result<Value, EvidenceError> {
    if !KINDS.contains(&kind) {
        return Err(EvidenceError::UnknownKind { kind: kind.to_owned() });
    }
    let bytes = value.to_string().len();
    let is_bundle = kind == "signature" && model_signing::is_bundle(value);
    let most = if is_bundle { MOST_BUNDLE_BYTES } else { MOST_BYTES };
    if bytes > most {
        return Err(EvidenceError::TooLarge { kind: kind.to_owned(), bytes, most });
    }
    if is_bundle {
        let read = model_signing::Bundle::read(value).and_then(|bundle| bundle.manifest());
        return read.map(|_| value.clone()).map_err(|why| EvidenceError::Bundle { why });
    }
    let wrong = |expected| EvidenceError::Value { kind: kind.to_owned(), expected, read: show(value) };
    kept(kind, value).map_err(wrong)
}

/// A value of a known kind as it is kept, or what is expected in its place.
fn kept(kind: &str, value: &Value) -> Result<Value, &'static str> {
    let text = value.as_str().map(str::trim).filter(|text| !text.is_empty());
    let filled = value.as_object().is_some_and(|map| !map.is_empty());
    let as_it_is = |fits: bool, expected| if fits { Ok(value.clone()) } else { Err(expected) };
    match kind {
        "artifact_digest" => {
            let digest = text.and_then(parse_sha256_hex);
            digest.map(|hex| format!("sha256:{hex}").into()).ok_or("a SHA-256 as sha256:HEX or HEX, 64 digits")
        }
        "env_lock" | "data_snapshot" | "code_commit" | "model_card" => match text {
            Some(text) => normal_digest(text).map(Value::String).ok_or("64 hexadecimal digits after sha256:"),
            None => as_it_is(filled, "a text such as a digest, an address or a commit, or an object of them"),
        },
        "tests" | "security_scan" | "pii_controls" => as_it_is(value.is_boolean() || text.is_some() || filled, JUDGED),
        "signature" => as_it_is(signature::Signature::read(value).is_some(), signature::EXPECTED),
        "schema" => as_it_is(schema_diff::read(value).is_some(), schema_diff::EXPECTED),
        "schema_diff" => as_it_is(schema_diff::Diff::read(value).is_some(), schema_diff::EXPECTED_DIFF),
        "params" => as_it_is(value.is_object(), "an object"),
        "offline" => {
            let numbers = value.as_object().is_some_and(|map| !map.is_empty() && map.values().all(Value::is_number));
            as_it_is(numbers, "an object of numbers, like {\"auc\": 0.88}")
        }
        _ => match (text, value) {
            (Some(text), _) => Ok(text.into()),
            (None, Value::Number(number)) if number.is_u64() => Ok(number.to_string().into()),
            _ => Err("a version, like \"10\""),
        },
    }
}

/// One digest over all evidence: kinds and values, not who attached them when. Keys in order, so that it does not depend
/// on how objects were written. Lower-case hex.
#[must_use]
pub fn evidence_sha256(evidence: &BTreeMap<String, Evidence>) -> String {
    let mut text = String::from("{");
    for (at, (kind, evidence)) in evidence.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        // Writing to a String does not fail.
        let _ = write!(text, "{comma}{}:", Value::from(kind.as_str()));
        canonical(&evidence.value, &mut text);
    }
    text.push('}');
    hash::sha256_hex(text.as_bytes())
}

/// Judges one kind that a transition asks for.
#[must_use]
pub fn judge(kind: &str, policy: &Policy, transition: &Transition, dossier: &Dossier, now_ms: i64) -> Option<Finding> {
    let gate = format!("evidence/{kind}");
    match kind {
        "artifact_digest" => return Some(artifact::judge(dossier)),
        "signature" => return Some(signature::judge(policy, dossier, now_ms)),
        // One gate for both.
        "schema_diff" if transition.evidence.iter().any(|k| k == "schema") => return None,
        "schema" | "schema_diff" => return Some(schema_diff::judge(transition, dossier)),
        _ => {}
    }
    let Some(evidence) = dossier.evidence.get(kind) else {
        if let ("data_snapshot", Some(digest)) = (kind, &dossier.snapshot_sha256) {
            return Some(Finding::new(
                gate,
                GateOutcome::Pass,
                format!("data_snapshot: sha256:{digest}, as registered"),
            ));
        }
        let detail = format!("{kind} missing: attach it as evidence{}", dossier.reported_only([kind]));
        return Some(Finding::new(gate, GateOutcome::Block, detail));
    };
    let read = show(&evidence.value);
    Some(match kind {
        "tests" | "security_scan" | "pii_controls" => match passes(&evidence.value) {
            Ok(()) => Finding::new(gate, GateOutcome::Pass, format!("{kind} passed: {read}")),
            Err(Some(why)) => {
                Finding::new(gate, GateOutcome::Block, format!("{kind} did not pass: {why}, read {read}"))
            }
            Err(None) => Finding::new(
                gate,
                GateOutcome::Block,
                format!("{kind} says neither pass nor fail: expected {JUDGED}, read {read}"),
            ),
        },
        _ => Finding::new(gate, GateOutcome::Pass, format!("{kind}: {read}")),
    })
}

/// Whether a report passes; the error says why not, or is `None` where the value says neither.
fn passes(value: &Value) -> Result<(), Option<String>> {
    match value {
        Value::Bool(true) => Ok(()),
        Value::Bool(false) => Err(Some("it is false".to_owned())),
        Value::String(word) => said(word),
        Value::Object(map) => report(map),
        _ => Err(None),
    }
}

fn said(word: &str) -> Result<(), Option<String>> {
    match word.trim().to_ascii_lowercase().as_str() {
        "pass" | "passed" | "ok" => Ok(()),
        "fail" | "failed" | "failure" | "error" => Err(Some(format!("its status is {word:?}"))),
        _ => Err(None),
    }
}

/// Everything a report says must be good: its status, its counts of failures, its counts of findings.
fn report(map: &Map<String, Value>) -> Result<(), Option<String>> {
    const WORDS: [&str; 3] = ["status", "result", "outcome"];
    const BAD: [&str; 6] = ["failed", "failures", "errors", "critical", "high", "secrets"];
    let mut says = false;
    for word in WORDS.iter().filter_map(|key| map.get(*key)) {
        match word {
            Value::String(word) => said(word)?,
            Value::Bool(_) => passes(word)?,
            _ => return Err(None),
        }
        says = true;
    }
    let count = |key: &str| map.get(key).map(|value| value.as_u64().ok_or(None));
    for key in BAD {
        let Some(count) = count(key) else { continue };
        match count? {
            0 => says |= matches!(key, "critical" | "high" | "secrets"),
            n => return Err(Some(format!("{n} {key}"))),
        }
    }
    if let Some(passed) = count("passed") {
        match passed? {
            0 => return Err(Some("none was run".to_owned())),
            // How many failed must be said too.
            _ => says |= ["failed", "failures", "errors"].iter().any(|key| map.contains_key(*key)),
        }
    }
    if says { Ok(()) } else { Err(None) }
}

#[cfg(test)]
mod tests;
