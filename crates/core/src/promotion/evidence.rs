//! Evidence attached to a version: which kinds there are, what a value must look like, and whether it passes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::types::{Dossier, Evidence, Finding, GateOutcome, Recomputed};
use super::{model_signing, schema_diff, signature};
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
    let wrong = |expected: &'static str| EvidenceError::Value { kind: kind.to_owned(), expected, read: show(value) };
    if !KINDS.contains(&kind) {
        return Err(EvidenceError::UnknownKind { kind: kind.to_owned() });
    }
    let bytes = value.to_string().len();
    let is_bundle = kind == "signature" && model_signing::is_bundle(value);
    let most = if is_bundle { MOST_BUNDLE_BYTES } else { MOST_BYTES };
    if bytes > most {
        return Err(EvidenceError::TooLarge { kind: kind.to_owned(), bytes, most });
    }
    let text = value.as_str().map(str::trim).filter(|text| !text.is_empty());
    let filled = value.as_object().is_some_and(|map| !map.is_empty());
    match kind {
        "artifact_digest" => {
            let digest = text.and_then(parse_sha256_hex);
            digest
                .map(|hex| format!("sha256:{hex}").into())
                .ok_or_else(|| wrong("a SHA-256 as sha256:HEX or HEX, 64 digits"))
        }
        "env_lock" | "data_snapshot" | "code_commit" | "model_card" => match text {
            Some(text) => {
                normal_digest(text).map(Value::String).ok_or_else(|| wrong("64 hexadecimal digits after sha256:"))
            }
            None if filled => Ok(value.clone()),
            None => Err(wrong("a text such as a digest, an address or a commit, or an object of them")),
        },
        "tests" | "security_scan" | "pii_controls" => match value {
            Value::Bool(_) => Ok(value.clone()),
            _ if text.is_some() || filled => Ok(value.clone()),
            _ => Err(wrong(JUDGED)),
        },
        "signature" if is_bundle => {
            let read = model_signing::Bundle::read(value).and_then(|bundle| bundle.manifest());
            read.map(|_| value.clone()).map_err(|why| EvidenceError::Bundle { why })
        }
        "signature" => match signature::Signature::read(value) {
            Some(_) => Ok(value.clone()),
            None => Err(wrong(signature::EXPECTED)),
        },
        "schema" => match schema_diff::read(value) {
            Some(_) => Ok(value.clone()),
            None => Err(wrong(schema_diff::EXPECTED)),
        },
        "schema_diff" => match schema_diff::Diff::read(value) {
            Some(_) => Ok(value.clone()),
            None => Err(wrong(schema_diff::EXPECTED_DIFF)),
        },
        "params" if value.is_object() => Ok(value.clone()),
        "params" => Err(wrong("an object")),
        "offline" => {
            let numbers = value.as_object().is_some_and(|map| !map.is_empty() && map.values().all(Value::is_number));
            if numbers { Ok(value.clone()) } else { Err(wrong("an object of numbers, like {\"auc\": 0.88}")) }
        }
        _ => match (text, value) {
            (Some(text), _) => Ok(text.into()),
            (None, Value::Number(number)) if number.is_u64() => Ok(number.to_string().into()),
            _ => Err(wrong("a version, like \"10\"")),
        },
    }
}

/// 64 hexadecimal digits in lower case, of a text with or without `sha256:` before them.
#[must_use]
pub fn parse_sha256_hex(text: &str) -> Option<String> {
    let hex = text.strip_prefix("sha256:").unwrap_or(text).to_ascii_lowercase();
    (hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit())).then_some(hex)
}

/// Digests in lower case, other text as it is; `None` where `sha256:` is followed by something else.
fn normal_digest(text: &str) -> Option<String> {
    if text.starts_with("sha256:") {
        return parse_sha256_hex(text).map(|hex| format!("sha256:{hex}"));
    }
    Some(text.to_owned())
}

/// The artifact's digest, lower-case hex: as registered, else as attached.
#[must_use]
pub fn artifact_sha256(dossier: &Dossier) -> Option<String> {
    dossier.artifact_sha256.as_deref().and_then(parse_sha256_hex).or_else(|| attached_digest(dossier))
}

fn attached_digest(dossier: &Dossier) -> Option<String> {
    dossier.evidence.get("artifact_digest")?.value.as_str().and_then(parse_sha256_hex)
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

/// JSON without white space, keys sorted.
fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<&String, &Value> = map.iter().collect();
            out.push('{');
            for (at, (key, value)) in sorted.into_iter().enumerate() {
                let comma = if at == 0 { "" } else { "," };
                let _ = write!(out, "{comma}{}:", Value::from(key.as_str()));
                canonical(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (at, value) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                canonical(value, out);
            }
            out.push(']');
        }
        other => {
            let _ = write!(out, "{other}");
        }
    }
}

/// A sentence where MLflow says something else of a version than somebody who may.
#[must_use]
pub fn differs(kind: &str, said: &Value, reported: Option<&Value>) -> Option<String> {
    let reported = reported?;
    let digest = |value: &Value| value.as_str().and_then(parse_sha256_hex);
    let same = said == reported || (digest(said).is_some() && digest(said) == digest(reported));
    (!same)
        .then(|| format!("{kind} is {} here, MLflow reports {}, which counts for nothing", show(said), show(reported)))
}

/// What MLflow says of some of these kinds, for a sentence; empty where it says nothing.
#[must_use]
pub fn reported_only<'k>(kinds: impl IntoIterator<Item = &'k str>, dossier: &Dossier) -> String {
    let of = |kind: &str| match kind {
        "data_snapshot" => "snapshot_sha256".to_owned(),
        "artifact_digest" => "artifact_sha256".to_owned(),
        other => other.to_owned(),
    };
    let found: Vec<String> = kinds
        .into_iter()
        .filter_map(|kind| Some(format!("{kind} {}", show(dossier.reported.get(&of(kind))?))))
        .collect();
    if found.is_empty() { String::new() } else { format!("; reported by MLflow, not confirmed: {}", found.join(", ")) }
}

/// JSON for messages, cut to what fits a line.
#[must_use]
pub fn show(value: &Value) -> String {
    let text = value.to_string();
    let mut shown: String = text.chars().take(80).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

/// Judges one kind that a transition asks for.
#[must_use]
pub fn judge(kind: &str, policy: &Policy, transition: &Transition, dossier: &Dossier, now_ms: i64) -> Option<Finding> {
    let gate = format!("evidence/{kind}");
    match kind {
        "artifact_digest" => return Some(artifact(dossier)),
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
        let detail = format!("{kind} missing: attach it as evidence{}", reported_only([kind], dossier));
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

/// The artifact's digest as registered, as attached and as recomputed must be one.
#[must_use]
pub fn artifact(dossier: &Dossier) -> Finding {
    artifact_as(dossier, dossier.recomputed_sha256.as_ref())
}

/// The same with what is found of its files now.
#[must_use]
pub fn artifact_as(dossier: &Dossier, recomputed: Option<&Recomputed>) -> Finding {
    let gate = "evidence/artifact_digest";
    let (registered, attached) = (dossier.artifact_sha256.as_deref(), attached_digest(dossier));
    if let Some(other) = registered.filter(|text| parse_sha256_hex(text).is_none()) {
        let detail =
            format!("the artifact is registered with {other:?}, which is no SHA-256: expected 64 hexadecimal digits");
        return Finding::new(gate, GateOutcome::Block, detail);
    }
    let Some(digest) = artifact_sha256(dossier) else {
        let detail = format!(
            "the artifact has no digest: register the version with one, or attach artifact_digest{}",
            reported_only(["artifact_digest"], dossier)
        );
        return Finding::new(gate, GateOutcome::Block, detail);
    };
    if let (Some(registered), Some(attached)) = (registered, &attached)
        && !registered.eq_ignore_ascii_case(attached)
    {
        let detail = format!(
            "the artifact is mutable: registered as sha256:{registered}, attached as sha256:{attached}; register what was built \
             as a version of its own"
        );
        return Finding::new(gate, GateOutcome::Block, detail);
    }
    let how = match recomputed {
        Some(Recomputed::Known(now)) if *now == digest => "recomputed from its files".to_owned(),
        Some(Recomputed::Known(_)) => {
            // Not which: the place may be one that whoever asks may not read.
            let detail = format!(
                "the artifact is mutable: recorded as sha256:{digest}, its files now have another digest, which the daemon's log \
                 has; put the recorded files back, or register the new ones as a version of their own"
            );
            return Finding::new(gate, GateOutcome::Block, detail);
        }
        Some(Recomputed::Computing(how_far)) => return Finding::new(gate, GateOutcome::Pending, how_far.clone()),
        Some(Recomputed::Refused(why)) => {
            return Finding::new(gate, GateOutcome::Block, format!("the artifact is not recomputed: {why}"));
        }
        Some(Recomputed::Unreachable(why)) => {
            let detail = format!(
                "the artifact is recorded as sha256:{digest}, and whether its files are still so is not known: {why}; make the \
                 recorded files readable there again, then ask again"
            );
            return Finding::new(gate, GateOutcome::Inconclusive, detail);
        }
        None => "not recomputed: no place of its files is registered".to_owned(),
    };
    Finding::new(gate, GateOutcome::Pass, format!("artifact sha256:{digest}, {how}"))
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
