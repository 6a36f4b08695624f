//! A promotion as a run of `OpenLineage` (version 2-0-2 of its specification, <https://openlineage.io/spec/2-0-2/OpenLineage.json>): the training
//! snapshot is its input, with the gates as assertions; the model's version is its output; the rest of the record is a facet of the run.

use serde_json::{Value, json};

use driftgate_core::codec::hash::uuid_of;
use driftgate_core::promotion::record::version_of;

const PRODUCER: &str = concat!("urn:driftgate:", env!("CARGO_PKG_VERSION"));
const SPEC: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/";
/// Of jobs and of data without an address.
const NAMESPACE: &str = "driftgate";
/// What the run's facet has of the record.
const KEPT: [&str; 13] = [
    "model",
    "version",
    "from_stage",
    "to_stage",
    "approvers",
    "checks",
    "status",
    "rollback_to",
    "artifacts",
    "promotion_id",
    "actor",
    "comment",
    "policy_sha256",
];

/// The run event of a promotion, which starts a run where a rollout follows, and of a rollout's end; `None` of any other event, and of
/// a record without a time.
pub fn run_event(event: &Value) -> Option<Value> {
    match text(event, "event") {
        "promotion" => promoted(event.get("record")?),
        "phase" => ended(event.get("rollout")?),
        _ => None,
    }
}

fn promoted(record: &Value) -> Option<Value> {
    let at = record.get("at")?.as_str()?;
    let [model, to] = ["model", "to_stage"].map(|key| text(record, key));
    let version = version_of(record)?;
    let id = record.get("promotion_id").and_then(Value::as_str);
    let run = uuid_of(&id.map_or_else(|| format!("{model}/{version}/{to}/{at}"), str::to_owned));
    let kept: serde_json::Map<String, Value> =
        KEPT.iter().filter_map(|key| Some(((*key).to_owned(), record.get(*key)?.clone()))).collect();
    let mut of_run = facet("RunFacet", Some(SPEC), &json!({}));
    if let Value::Object(of_run) = &mut of_run {
        of_run.extend(kept);
    }
    let has_rollout = record.get("rollout").is_some_and(|plan| !plan.is_null());
    let (kind, facets) = (if has_rollout { "START" } else { "COMPLETE" }, json!({"driftgate_promotion": of_run}));
    let run = json!({"runId": run, "facets": facets});
    Some(of_job(kind, at, &run, (model, to), (input(model, record), Some(output(model, &version)))))
}

/// The end of the run that began with a rollout.
fn ended(rollout: &Value) -> Option<Value> {
    let kind = match text(rollout, "phase") {
        "Succeeded" => "COMPLETE",
        "Failed" => "FAIL",
        _ => return None,
    };
    let [model, version, stage, at, id] =
        ["model", "version", "stage", "ts", "promotion_id"].map(|key| text(rollout, key));
    let kept: serde_json::Map<String, Value> = ["phase", "weight", "champion", "reasons", "dry_run"]
        .iter()
        .filter_map(|key| Some(((*key).to_owned(), rollout.get(*key)?.clone())))
        .collect();
    let facets = json!({"driftgate_rollout": facet("RunFacet", Some(SPEC), &Value::Object(kept))});
    let run = json!({"runId": uuid_of(id), "facets": facets});
    let output = (kind == "COMPLETE").then(|| output(model, version));
    Some(of_job(kind, at, &run, (model, stage), (None, output)))
}

/// An event of a promotion's job, with its input and its output.
fn of_job(
    kind: &str,
    at: &str,
    run: &Value,
    (model, to): (&str, &str),
    (input, output): (Option<Value>, Option<Value>),
) -> Value {
    let list = |of: Option<Value>| of.into_iter().collect::<Vec<_>>();
    let job_type = json!({"processingType": "BATCH", "integration": "DRIFTGATE", "jobType": "PROMOTION"});
    json!({
        "eventType": kind,
        "eventTime": at,
        "producer": PRODUCER,
        "schemaURL": format!("{SPEC}RunEvent"),
        "run": run,
        "job": {"namespace": NAMESPACE, "name": format!("{model}.promote_to_{to}"), "facets": {"jobType": facet("2-0-4/JobTypeJobFacet", None, &job_type)}},
        "inputs": list(input),
        "outputs": list(output),
    })
}

/// A version of a model as a dataset.
fn output(model: &str, version: &str) -> Value {
    json!({"namespace": NAMESPACE, "name": model, "facets": {
        "version": facet("1-0-1/DatasetVersionDatasetFacet", None, &json!({"datasetVersion": version})),
        "datasetType": facet("1-0-1/DatasetTypeDatasetFacet", None, &json!({"datasetType": "MODEL"})),
    }})
}

fn text<'v>(of: &'v Value, key: &str) -> &'v str {
    of.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The training snapshot, with what the gates said.
fn input(model: &str, record: &Value) -> Option<Value> {
    let snapshot = record.get("artifacts")?.get("data_snapshot")?.as_str()?;
    let (namespace, name) = address(snapshot).unwrap_or_else(|| (NAMESPACE.to_owned(), format!("{model}/training")));
    let gates = record.get("gates").and_then(Value::as_array).into_iter().flatten();
    let assertions: Vec<Value> = gates
        .map(|gate| json!({"assertion": text(gate, "gate"), "success": matches!(text(gate, "outcome"), "pass" | "warn")}))
        .collect();
    let mut of_input = serde_json::Map::new();
    if !assertions.is_empty() {
        let assertions = json!({"assertions": assertions});
        of_input.insert(
            "dataQualityAssertions".into(),
            facet("1-1-0/DataQualityAssertionsDatasetFacet", None, &assertions),
        );
    }
    let version = facet("1-0-1/DatasetVersionDatasetFacet", None, &json!({"datasetVersion": snapshot}));
    Some(json!({"namespace": namespace, "name": name, "facets": {"version": version}, "inputFacets": of_input}))
}

/// A dataset's namespace and name, as `OpenLineage` writes them: `s3://bucket` and the key of a URL; `None` of a digest.
fn address(snapshot: &str) -> Option<(String, String)> {
    let (scheme, rest) = snapshot.split_once("://")?;
    let (authority, path) = rest.split_once('/').filter(|(_, path)| !path.is_empty())?;
    if scheme == "file" {
        return Some(("file".to_owned(), format!("/{path}")));
    }
    // Credentials within a URL stay here.
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    Some((format!("{scheme}://{host}"), path.split(['?', '#']).next().unwrap_or(path).to_owned()))
}

/// A facet: its fields, who wrote it, and where its schema is.
fn facet(schema: &str, within: Option<&str>, fields: &Value) -> Value {
    let url = if let Some(spec) = within {
        format!("{spec}{schema}")
    } else {
        let name = schema.rsplit('/').next().unwrap_or(schema);
        format!("https://openlineage.io/spec/facets/{schema}.json#/$defs/{name}")
    };
    let mut all = json!({"_producer": PRODUCER, "_schemaURL": url});
    if let (Value::Object(all), Value::Object(fields)) = (&mut all, fields) {
        all.extend(fields.clone());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(snapshot: &Value) -> Value {
        json!({"event": "promotion", "record": {
            "model": "fraud", "version": 7, "from_stage": "staging", "to_stage": "prod", "approvers": ["ana"], "checks": {"auc": 0.91},
            "status": "approved", "rollback_to": 6, "promotion_id": "p1", "at": "2026-11-28T10:00:00Z", "actor": "ana", "comment": null,
            "artifacts": {"model_digest": "sha256:ab", "data_snapshot": snapshot}, "policy_sha256": "cd", "rollout": "secret plan",
            "gates": [{"gate": "drift/psi", "outcome": "pass", "detail": ""}, {"gate": "schema", "outcome": "block", "detail": ""}],
        }})
    }

    #[test]
    fn a_promotion_is_a_run_with_the_snapshot_as_input_and_the_version_as_output() {
        let run = run_event(&event(&json!("s3://u:p@lake/train/2026.parquet?x=1"))).unwrap();
        assert_eq!(
            (&run["eventType"], &run["eventTime"]),
            (&json!("START"), &json!("2026-11-28T10:00:00Z")),
            "a rollout follows"
        );
        let mut at_once = event(&Value::Null);
        at_once["record"]["rollout"] = Value::Null;
        assert_eq!(run_event(&at_once).unwrap()["eventType"], "COMPLETE");
        for (phase, kind, outputs) in
            [("Succeeded", Some("COMPLETE"), 1), ("Failed", Some("FAIL"), 0), ("Promoting", None, 0)]
        {
            let rollout = json!({"model": "fraud", "version": "7", "stage": "prod", "phase": phase, "ts": "2026-11-28T12:00:00Z", "promotion_id": "p1",
                "weight": 100.0, "champion": "6", "reasons": ["why"], "dry_run": false});
            let end = run_event(&json!({"event": "phase", "rollout": rollout}));
            assert_eq!(end.as_ref().and_then(|end| end["eventType"].as_str()), kind);
            let Some(end) = end else { continue };
            assert_eq!((&end["run"]["runId"], &end["job"]["name"]), (&run["run"]["runId"], &run["job"]["name"]));
            assert_eq!(end["outputs"].as_array().map(Vec::len), Some(outputs));
            assert_eq!(end["run"]["facets"]["driftgate_rollout"]["reasons"], json!(["why"]));
        }
        assert_eq!(run["job"]["name"], "fraud.promote_to_prod");
        let input = &run["inputs"][0];
        assert_eq!((&input["namespace"], &input["name"]), (&json!("s3://lake"), &json!("train/2026.parquet")));
        let assertions = &input["inputFacets"]["dataQualityAssertions"]["assertions"];
        assert_eq!((&assertions[0]["success"], &assertions[1]["success"]), (&json!(true), &json!(false)));
        let output = &run["outputs"][0];
        assert_eq!((&output["name"], &output["facets"]["version"]["datasetVersion"]), (&json!("fraud"), &json!("7")));
        let facet = &run["run"]["facets"]["driftgate_promotion"];
        assert_eq!((&facet["approvers"], facet.get("rollout")), (&json!(["ana"]), None));
        // The same promotion, told again, is the same run.
        assert_eq!(run_event(&event(&Value::Null)).unwrap()["run"]["runId"], run["run"]["runId"]);
        assert_eq!(run["run"]["runId"].as_str().unwrap().len(), 36);
        let facets =
            [&input["facets"]["version"], &output["facets"]["datasetType"], &run["job"]["facets"]["jobType"], facet];
        for facet in facets {
            let url = facet["_schemaURL"].as_str().unwrap();
            assert!(facet["_producer"] == PRODUCER && url.starts_with("https://openlineage.io/spec/"), "{facet}");
        }
    }

    #[test]
    fn a_digest_has_no_address_and_other_events_are_no_runs() {
        let run = run_event(&event(&json!("sha256:ef"))).unwrap();
        assert_eq!(
            (&run["inputs"][0]["namespace"], &run["inputs"][0]["name"]),
            (&json!("driftgate"), &json!("fraud/training"))
        );
        assert_eq!(address("file:///data/a.parquet"), Some(("file".into(), "/data/a.parquet".into())));
        assert_eq!((address("s3://bucket"), address("no url")), (None, None));
        assert_eq!(run_event(&event(&Value::Null)).unwrap()["inputs"], json!([]));
        for other in
            [json!({"event": "block"}), json!({"event": "promotion"}), json!({"event": "promotion", "record": {}})]
        {
            assert_eq!(run_event(&other), None, "{other}");
        }
    }
}
