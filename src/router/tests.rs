//! Divisions of objects as their controllers write them, and what is sent to receivers.

use serde_json::{Value, json};

use super::division::changed_by;
use super::error::RouterError;
use super::places::Target;
use super::receiver::body;
use driftgate_core::policy::Router;
use driftgate_core::policy::traffic::{Backends, ObjectName};
use driftgate_core::rollout::{Phase, State};

pub(super) fn state() -> State {
    serde_json::from_value(json!({
        "id": "r1", "model": "fraud \"x\"", "candidate": "7", "champion": "6", "from": "staging", "to": "prod", "phase": "Progressing",
        "step": 0, "weight": 10.0, "paused": null, "inconclusive": false, "started_ms": 0, "step_started_ms": 0, "now_ms": 0,
        "pauses": [], "first_seen_ms": {}, "processed_ms": {}, "measured": {}, "breaches": {},
        "comparison": {"candidate_yes": 0, "candidate_n": 0, "champion_yes": 0, "champion_n": 0, "until_ms": null,
                       "latency": {"candidate_us": null, "champion_us": null}},
        "gate_asked": false, "confirmed": false, "external": false, "dry_run": false, "why": ""
    }))
    .unwrap()
}

fn object() -> ObjectName {
    ObjectName { namespace: "ml".to_owned(), name: "fraud".to_owned() }
}

fn backends() -> Backends {
    Backends { stable: "fraud-{champion}".to_owned(), canary: "fraud-{version}".to_owned() }
}

fn target(router: &Router) -> Target {
    Target::of(router, &state()).unwrap().unwrap()
}

/// What a JSON Patch makes of an object: the operations that are used here, by RFC 6902.
fn patched(object: &Value, operations: &Value) -> Value {
    let mut object = object.clone();
    for op in operations.as_array().unwrap() {
        let (path, value) = (op["path"].as_str().unwrap(), &op["value"]);
        if op["op"] == "test" {
            assert_eq!(object.pointer(path), Some(value), "{path}");
            continue;
        }
        let (parent, name) = path.rsplit_once('/').unwrap();
        match (object.pointer_mut(parent).unwrap(), op["op"].as_str().unwrap()) {
            (Value::Object(parent), "add") => drop(parent.insert(name.to_owned(), value.clone())),
            (Value::Object(parent), "remove") => drop(parent.remove(name).unwrap()),
            (Value::Array(parent), "add") if name == "-" => parent.push(value.clone()),
            (Value::Array(parent), "remove") => drop(parent.remove(name.parse().unwrap())),
            (parent, op) => panic!("{op} {path} in {parent}"),
        }
    }
    object
}

/// Sets each of these percentages and reads it back.
fn set_and_read(target: &Target, object: &Value, percents: &[f64]) -> Value {
    let mut object = object.clone();
    for &percent in percents {
        let division = target.division(&object).unwrap();
        object = patched(&object, &division.patch(percent).into());
        assert_eq!(target.division(&object).unwrap().percent(), Some(percent), "{object}");
    }
    object
}

const PERCENTS: [f64; 6] = [0.0, 10.0, 7.0, 33.3, 0.05, 100.0];

#[test]
fn a_route_of_the_gateway_api_is_divided_in_each_rule_that_has_both_backends() {
    let router = Router::GatewayApi { object: object(), is_grpc: false, rule: None, backends: backends() };
    let target = target(&router);
    assert_eq!(target.path, "/apis/gateway.networking.k8s.io/v1/namespaces/ml/httproutes/fraud");
    let route = json!({"spec": {"rules": [
        {"backendRefs": [{"name": "health", "port": 80}]},
        {"name": "predict", "backendRefs": [{"name": "fraud-6", "port": 80}, {"name": "fraud-7", "port": 80, "weight": 0}]},
        {"backendRefs": [{"name": "fraud-7", "port": 80, "weight": 1}, {"name": "fraud-6", "port": 80, "weight": 1}]}
    ]}});
    let division = target.division(&route).unwrap();
    assert_eq!(
        (division.percent(), division.shown()),
        (None, "0% and 50%".to_owned()),
        "a weight that is left out is 1"
    );
    let set = set_and_read(&target, &route, &PERCENTS);
    assert_eq!(set["spec"]["rules"][0], route["spec"]["rules"][0]);
    let set = set_and_read(&target, &route, &[10.0]);
    assert_eq!(
        set["spec"]["rules"][1]["backendRefs"],
        json!([{"name": "fraud-6", "port": 80, "weight": 90}, {"name": "fraud-7", "port": 80, "weight": 10}])
    );
    let one =
        Router::GatewayApi { object: object(), is_grpc: true, rule: Some("predict".to_owned()), backends: backends() };
    let target = Target::of(&one, &state()).unwrap().unwrap();
    assert!(target.path.ends_with("/grpcroutes/fraud"));
    let set = set_and_read(&target, &route, &[10.0]);
    assert_eq!(set["spec"]["rules"][2], route["spec"]["rules"][2]);
}

#[test]
fn a_patch_tests_what_it_replaces() {
    let router = Router::GatewayApi { object: object(), is_grpc: false, rule: None, backends: backends() };
    let route = json!({"spec": {"rules": [{"backendRefs": [{"name": "fraud-6", "weight": 100}, {"name": "fraud-7", "weight": 0}]}]}});
    let patch = target(&router).division(&route).unwrap().patch(10.0);
    let patch = Value::Array(patch);
    let at = |at: usize, field: &str| format!("/spec/rules/0/backendRefs/{at}/{field}");
    assert_eq!(
        patch,
        json!([
            {"op": "test", "path": at(0, "name"), "value": "fraud-6"}, {"op": "test", "path": at(0, "weight"), "value": 100},
            {"op": "add", "path": at(0, "weight"), "value": 90},
            {"op": "test", "path": at(1, "name"), "value": "fraud-7"}, {"op": "test", "path": at(1, "weight"), "value": 0},
            {"op": "add", "path": at(1, "weight"), "value": 10}
        ])
    );
}

#[test]
fn a_virtual_service_is_divided_by_hosts_or_by_subsets() {
    let to = |host: &str, subset: &str, weight: i64| json!({"destination": {"host": host, "subset": subset}, "weight": weight});
    let service = json!({"spec": {"http": [
        {"name": "predict", "route": [to("fraud", "fraud-6", 100), to("fraud", "fraud-7", 0)]},
        {"name": "other", "route": [{"destination": {"host": "fraud-6"}}]}
    ]}});
    let by_subset =
        Router::Istio { object: object(), route: None, host: Some("fraud".to_owned()), backends: backends() };
    assert_eq!(target(&by_subset).path, "/apis/networking.istio.io/v1/namespaces/ml/virtualservices/fraud");
    set_and_read(&target(&by_subset), &service, &PERCENTS);
    let by_host = Router::Istio { object: object(), route: Some("other".to_owned()), host: None, backends: backends() };
    let error = target(&by_host).division(&service).unwrap_err().to_string();
    assert_eq!(
        error,
        "VirtualService ml/fraud: no rule has both fraud-6 and fraud-7: rule \"other\" has fraud-6; add what lacks, with any weight, or correct the \
         policy's `traffic`"
    );
}

#[test]
fn an_inference_service_has_the_share_of_its_latest_revision_or_of_a_canary_predictor() {
    let service = json!({"spec": {"predictor": {"model": {}}, "canary": [{"predictor": {"name": "fraud-7"}, "trafficPercent": 5}]}});
    let knative = target(&Router::Kserve { object: object(), predictor: None });
    assert_eq!(
        knative.division(&service).unwrap().percent(),
        Some(100.0),
        "without a share the latest revision has it all"
    );
    let set = set_and_read(&knative, &service, &[0.0, 10.0, 100.0]);
    assert_eq!(set["spec"]["predictor"]["canaryTrafficPercent"], json!(100));
    let raw = target(&Router::Kserve { object: object(), predictor: Some("fraud-{version}".to_owned()) });
    let set = set_and_read(&raw, &service, &[0.0, 10.0]);
    assert_eq!(set["spec"]["canary"], json!([{"predictor": {"name": "fraud-7"}, "trafficPercent": 10}]));
    let error = raw.division(&json!({"spec": {"predictor": {}}})).unwrap_err().to_string();
    assert!(error.contains("spec.canary has no predictor \"fraud-7\", but nothing"), "{error}");
}

#[test]
fn an_experiment_of_seldon_is_divided_between_its_candidates() {
    let experiment = json!({"spec": {"default": "fraud-6", "candidates": [{"name": "fraud-6", "weight": 1}, {"name": "fraud-7", "weight": 1}]}});
    let seldon = target(&Router::Seldon { object: object(), backends: backends() });
    assert_eq!(seldon.path, "/apis/mlops.seldon.io/v1alpha1/namespaces/ml/experiments/fraud");
    assert_eq!(seldon.division(&experiment).unwrap().percent(), Some(50.0));
    set_and_read(&seldon, &experiment, &PERCENTS);
}

#[test]
fn a_third_backend_with_traffic_is_no_percentage() {
    let seldon = target(&Router::Seldon { object: object(), backends: backends() });
    let with = |weight: i64| json!({"spec": {"candidates": [{"name": "fraud-6", "weight": 1}, {"name": "fraud-7"}, {"name": "fraud-5", "weight": weight}]}});
    let error = seldon.division(&with(3)).unwrap_err();
    assert!(
        matches!(&error, RouterError::Unlike { found, .. } if found.contains("it gives traffic to fraud-5")),
        "{error}"
    );
    assert_eq!(seldon.division(&with(0)).unwrap().percent(), Some(0.0));
}

#[test]
fn a_mirror_is_set_and_taken_away_and_others_stay() {
    let backends = |first: Value, second: Value| {
        json!({"spec": {"rules": [{"filters": [{"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "audit"}}}],
        "backendRefs": [first.clone(), second.clone()]}, {"backendRefs": [first, second]}]}})
    };
    let route = backends(
        json!({"name": "fraud-6", "port": 80, "weight": 1}),
        json!({"name": "fraud-7", "port": 80, "weight": 0}),
    );
    let to = |host: &str, weight: i64| json!({"destination": {"host": host}, "weight": weight});
    let service = json!({"spec": {"http": [{"route": [to("fraud-6", 1), to("fraud-7", 0)]}]}});
    let gateway = Router::GatewayApi { object: object(), is_grpc: false, rule: None, backends: self::backends() };
    let istio = Router::Istio { object: object(), route: None, host: None, backends: self::backends() };
    let seldon = Router::Seldon { object: object(), backends: self::backends() };
    let experiment =
        json!({"spec": {"candidates": [{"name": "fraud-6", "weight": 1}, {"name": "fraud-7", "weight": 0}]}});
    for (router, before) in [(gateway, route), (istio, service), (seldon, experiment)] {
        let target = target(&router);
        let mirror = target.mirror().unwrap();
        let operations = |object: &Value, is_on| mirror.operations(object, &target.division(object).unwrap(), is_on);
        assert!(operations(&before, false).is_empty());
        let on = patched(&before, &operations(&before, true).into());
        assert!(operations(&on, true).is_empty() && on != before, "{on}");
        let mut off = patched(&on, &operations(&on, false).into());
        assert!(operations(&off, false).is_empty());
        // An empty list is none.
        if let Some(rule) = off.pointer_mut("/spec/rules/1").and_then(Value::as_object_mut) {
            assert_eq!(rule.remove("filters"), Some(json!([])));
        }
        assert_eq!(off, before);
    }
    assert!(target(&Router::Kserve { object: object(), predictor: None }).mirror().is_none());
}

#[test]
fn the_mirror_of_an_experiment_is_no_candidate_and_becomes_one_with_its_weight() {
    let target = target(&Router::Seldon { object: object(), backends: backends() });
    let mirror = target.mirror().unwrap();
    let candidates = json!([{"name": "fraud-7", "weight": 0}, {"name": "fraud-6", "weight": 100}]);
    let object = json!({"spec": {"default": "fraud-6", "candidates": candidates}});
    let of = |object: &Value| target.division(object).unwrap();

    let set = [of(&object).patch(0.0), mirror.operations(&object, &of(&object), true)].concat();
    let on = patched(&object, &set.into());
    assert_eq!(on["spec"]["candidates"], json!([{"name": "fraud-6", "weight": 100}]));
    assert_eq!(on["spec"]["mirror"], json!({"name": "fraud-7", "percent": 100}));
    assert_eq!(of(&on).percent(), Some(0.0));
    // What is set to what it has touches the other one alone.
    assert_eq!(patched(&on, &of(&on).patch(0.0).into()), on);

    let taken_away = [mirror.operations(&on, &of(&on), false), of(&on).patch(10.0)].concat();
    let off = patched(&on, &taken_away.into());
    assert_eq!(
        off["spec"],
        json!({"default": "fraud-6", "candidates": [{"name": "fraud-6", "weight": 90}, {"name": "fraud-7", "weight": 10}]})
    );
}

#[test]
fn who_changed_an_object_last() {
    let field = |manager: &str, time: &str| json!({"manager": manager, "operation": "Update", "time": time});
    let status =
        json!({"manager": "gateway", "operation": "Update", "time": "2026-11-29T12:00:00Z", "subresource": "status"});
    let fields = [
        field("kubectl-edit", "2026-11-29T10:00:00Z"),
        field("driftgate", "2026-11-29T11:00:00Z"),
        field("helm", "2026-11-28T10:00:00Z"),
        status,
    ];
    let object = json!({"metadata": {"managedFields": fields}});
    assert_eq!(changed_by(&object, "driftgate").as_deref(), Some("kubectl-edit at 2026-11-29T10:00:00Z"));
    assert_eq!(changed_by(&json!({"metadata": {}}), "driftgate"), None);
}

#[test]
fn names_that_need_a_champion_are_told_apart_from_those_that_do_not() {
    let first = State { champion: None, ..state() };
    let router = Router::Seldon { object: object(), backends: backends() };
    let error = Target::of(&router, &first).unwrap_err().to_string();
    assert!(error.contains("there is no champion"), "{error}");
    assert!(
        Target::of(&Router::Kserve { object: object(), predictor: Some("fraud-{version}".to_owned()) }, &first).is_ok()
    );
}

#[test]
fn a_receiver_is_told_everything_or_what_its_template_asks_for() {
    let state = State { phase: Phase::Progressing, ..state() };
    let all: Value = serde_json::from_str(&body(&state, 10.0, None)).unwrap();
    assert_eq!(
        all,
        json!({"model": "fraud \"x\"", "version": "7", "champion": "6", "weight": 10, "champion_weight": 90, "rollout_id": "r1"})
    );
    let template = r#"{"canary": {weight}, "of": "{model}/{version}", "other": {"{unknown}": {champion}}}"#;
    let said = body(&state, 0.5, Some(template));
    assert_eq!(said, r#"{"canary": 0.5, "of": "fraud \"x\"/7", "other": {"{unknown}": 6}}"#);
    let without = State { champion: None, ..state };
    assert_eq!(body(&without, 0.5, Some("{champion} {")), "null {");
}
