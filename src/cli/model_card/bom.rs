//! A card as a bill of materials: `CycloneDX` 1.6 with `modelCard` (<https://cyclonedx.org/docs/1.6/json/#metadata_component_modelCard>). The same
//! version gives the same bytes until something is judged or decided.

use serde_json::{Map, Value, json};

use super::content::{cautions, newest_record};
use crate::api::Explanation;
use crate::history::Window;
use driftgate_core::codec::hash::uuid_of;
use driftgate_core::codec::number::short;
use driftgate_core::codec::time::utc;

/// The bill of materials of a version.
#[must_use]
pub fn bom(it: &Explanation) -> Value {
    let data = data(it);
    let name = format!("model:{}@{}", it.model, it.version);
    let mut model = json!({
        "type": "machine-learning-model",
        "bom-ref": name,
        "name": it.model,
        "version": it.version,
        "modelCard": card(it, data.is_some()),
        "properties": properties(it),
    });
    hashes(&mut model, it.lineage.artifact_sha256.as_deref());
    let tool = json!({"type": "application", "name": "driftgate", "version": env!("CARGO_PKG_VERSION")});
    let mut metadata = json!({"tools": {"components": [tool]}, "component": model});
    // The time of the newest window, or of the promotion, so that a card does not change by being written.
    let at = it.verdicts.iter().map(|verdict| verdict.window.end).max().map(utc);
    if let Some(at) = at.or_else(|| newest_record(it)?.at) {
        set(&mut metadata, "timestamp", at.into());
    }
    let mut bom = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
    });
    let content = format!("{metadata}{data:?}");
    set(&mut bom, "serialNumber", format!("urn:uuid:{}", uuid_of(&content)).into());
    set(&mut bom, "metadata", metadata);
    if let Some(data) = data {
        set(&mut bom, "dependencies", json!([{"ref": name, "dependsOn": [DATA]}]));
        set(&mut bom, "components", json!([data]));
    }
    bom
}

/// How the training snapshot is referred to.
const DATA: &str = "data:training-snapshot";

fn set(of: &mut Value, key: &str, value: Value) {
    if let Value::Object(of) = of {
        of.insert(key.to_owned(), value);
    }
}

/// Adds a digest, if it is one: the schema takes 64 hexadecimal digits.
fn hashes(of: &mut Value, digest: Option<&str>) {
    let digest = digest.filter(|digest| digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit()));
    if let Some(digest) = digest {
        set(of, "hashes", json!([{"alg": "SHA-256", "content": digest}]));
    }
}

/// The training snapshot as a component.
fn data(it: &Explanation) -> Option<Value> {
    let lineage = &it.lineage;
    if lineage.snapshot.is_none() && lineage.snapshot_sha256.is_none() {
        return None;
    }
    let name = format!("training snapshot of {} {}", it.model, it.version);
    let mut data = json!({"type": "data", "bom-ref": DATA, "name": name, "data": [{"type": "dataset", "name": name}]});
    hashes(&mut data, lineage.snapshot_sha256.as_deref());
    if let Some(place) = &lineage.snapshot {
        set(&mut data, "properties", json!([{"name": "driftgate:snapshot", "value": place}]));
    }
    Some(data)
}

fn card(it: &Explanation, has_data: bool) -> Value {
    let mut card = Map::new();
    if has_data {
        card.insert("modelParameters".into(), json!({"datasets": [{"ref": DATA}]}));
    }
    card.insert("quantitativeAnalysis".into(), json!({"performanceMetrics": metrics(it)}));
    let cautions = cautions(it);
    if !cautions.is_empty() {
        card.insert("considerations".into(), json!({"technicalLimitations": cautions}));
    }
    Value::Object(card)
}

/// Metrics of the promotion, and the values of the last windows by subject.
fn metrics(it: &Explanation) -> Vec<Value> {
    let record = newest_record(it);
    let checks = record.as_ref().and_then(|record| record.checks.as_object()).into_iter().flatten();
    let mut all: Vec<Value> = checks
        .filter_map(|(name, value)| Some(json!({"type": name, "value": short(value.as_f64()?), "slice": "promotion"})))
        .collect();
    let results = it.verdicts.iter().flat_map(|verdict| Window::bare(verdict).results);
    all.extend(results.filter_map(|of| {
        let mut metric = json!({"type": of.metric, "value": short(of.value?), "slice": of.subject});
        if let (Some(lower), Some(upper)) = (of.lower, of.upper) {
            let interval = json!({"lowerBound": short(lower), "upperBound": short(upper)});
            set(&mut metric, "confidenceInterval", interval);
        }
        Some(metric)
    }));
    all
}

fn properties(it: &Explanation) -> Vec<Value> {
    let property = |name: &str, value: &str| json!({"name": format!("driftgate:{name}"), "value": value});
    let mut all: Vec<Value> = it.stages.iter().map(|stage| property("stage", stage)).collect();
    let lineage = &it.lineage;
    let of_lineage = [
        ("artifact", &lineage.artifact),
        ("policy_sha256", &lineage.policy_sha256),
        ("baseline_sha256", &lineage.baseline_sha256),
    ];
    all.extend(of_lineage.into_iter().filter_map(|(name, value)| Some(property(name, value.as_deref()?))));
    if let Some(record) = newest_record(it) {
        let of_record =
            [("promotion_id", &record.promotion_id), ("promoted_at", &record.at), ("promoted_by", &record.actor)];
        all.extend(of_record.into_iter().filter_map(|(name, value)| Some(property(name, value.as_deref()?))));
        all.extend(record.approvers.iter().map(|approver| property("approved_by", approver)));
    }
    for verdict in &it.verdicts {
        all.push(property(&format!("status:{}", verdict.group), verdict.status.name()));
    }
    all
}
