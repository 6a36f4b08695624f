//! The daemon and a real MLflow that does not have everything: versions that are registered there later, deleted there, and
//! made anew under their number.

use reqwest::Method;
use serde_json::{Value, json};

use super::broker::{Daemon, wait_for};
use super::mlflow::{Server, mlflow_url};
use super::service::{CANARY, MINUTE, Service, serving};
use super::whole_path::{registry, versions, wait_until_told};

fn json_of(daemon: &Daemon, path: &str) -> Value {
    serde_json::from_str(&daemon.get(path).1).unwrap()
}

#[test]
fn a_version_that_is_registered_in_mlflow_later_gets_its_stage_and_its_block() {
    let server = Server::open();
    let model = server.model("fraud_later");
    versions(&server, &model, 1);
    let service = Service::new(&model, "", CANARY, &registry(&mlflow_url()));
    let daemon = Daemon::start(&service.config(), &[]);
    service.register(&daemon, "1", "2");
    service.shifted(0, 125, &[serving("1", "prod"), serving("2", "staging")], 50);
    service.wait_for_gate(&daemon, "2", 1);
    wait_until_told(&daemon);
    let waiting = format!("driftgate_external_registry_unregistered_versions{{model=\"{model}\"}}");
    wait_for("a version that MLflow lacks", || (daemon.metric(&waiting)? >= 1.0).then_some(()));
    assert_eq!(server.aliases(&model).get("staging"), None);
    // It survives a kill, too.
    let mut daemon = daemon;
    daemon.signal("KILL");
    wait_for("the kill", || daemon.is_gone().then_some(()));
    versions(&server, &model, 1);
    let daemon = Daemon::start(&service.config(), &[]);
    wait_for("the stage in MLflow", || (server.aliases(&model).get("staging")? == "2").then_some(()));
    let tags = wait_for("the block in MLflow", || {
        let tags = server.mlflow.version(&model, "2").unwrap()?.tags;
        tags.contains_key("gate.check.drift").then_some(tags)
    });
    assert_eq!(tags["gate.check.drift"], "block");
    assert!(tags["gate.check.drift.reasons"].contains("drift/psi x"), "{tags:?}");
    wait_for("nothing to wait for", || (daemon.metric(&waiting)? == 0.0).then_some(()));
    assert_eq!(daemon.metric("driftgate_undeliverable_total{sink=\"mlflow\"}"), Some(0.0));
    assert_eq!(daemon.stop(), Some(0));
    service.folder.driftgate(&format!("audit verify --config {}", service.config().display())).exits(0);
}

#[test]
fn what_is_deleted_in_mlflow_is_drift_and_what_is_made_anew_has_no_past() {
    let server = Server::open();
    let model = server.model("fraud_gone");
    versions(&server, &model, 2);
    let service = Service::new(&model, "", CANARY, &registry(&mlflow_url()));
    let daemon = Daemon::start(&service.config(), &[]);
    service.register(&daemon, "1", "2");
    service.minutes(0, 125, &[serving("1", "prod"), serving("2", "staging")]);
    service.wait_until_judged(&daemon, "2", 124);
    service.wait_for_gate(&daemon, "2", 4);
    wait_until_told(&daemon);
    service.approve(&daemon, "2");

    // Deleted: the gate, `status` and a metric say so, and nothing promotes it.
    server.call(Method::DELETE, "2.0/mlflow/model-versions/delete", &json!({"name": model, "version": "2"}));
    service.wait_for_gate(&daemon, "2", 1);
    let gate = json_of(&daemon, &format!("/api/v1/gate/{model}/2?to=prod"));
    assert!(
        gate["reasons"][0].as_str().unwrap().starts_with("registry_drift: the external registry has no version \"2\""),
        "{gate}"
    );
    service.run(&daemon, "op", &format!("promote {model} 2")).exits(1);
    let problems = wait_for("what MLflow lost in the status", || {
        let status = service.status(&daemon);
        let problems = status["registry_drift"].as_array()?.clone();
        (problems.len() == 2).then_some(problems)
    });
    assert_eq!(
        (&problems[0]["kind"], &problems[0]["stage"]),
        (&json!("registry_drift"), &json!("staging")),
        "{problems:?}"
    );
    assert_eq!((&problems[1]["version"], &problems[1]["stage"]), (&json!("2"), &Value::Null));
    let metric = |kind: &str, name: &str| {
        daemon.metric(&format!("driftgate_registry_drift{{kind=\"{kind}\",model=\"{model}\",name=\"{name}\"}}"))
    };
    assert_eq!((metric("version", "2"), metric("stage", "staging")), (Some(1.0), Some(1.0)));

    // All of it deleted and made anew: version 2 passed every check once, and that was another one.
    server.call(Method::DELETE, "2.0/mlflow/registered-models/delete", &json!({"name": model}));
    server.mlflow.create_model(&model).unwrap();
    versions(&server, &model, 2);
    wait_for("the deleted one's counts to be gone", || daemon.log().contains("this one is counted anew").then_some(()));
    // An alias there is nobody's word here.
    server.mlflow.set_alias(&model, "staging", "2").unwrap();
    assert_eq!(service.standing(&daemon, "staging"), None);
    service.run(&daemon, "op", &format!("register {model} 2 --stage staging")).exits(0);
    wait_for("the new version in staging", || (service.standing(&daemon, "staging")? == "2").then_some(()));
    let reasons = || {
        let gate = json_of(&daemon, &format!("/api/v1/gate/{model}/2?to=prod"));
        gate["reasons"].as_array().unwrap().iter().map(|r| r.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for group in ["drift", "fairness", "slo"] {
        assert!(reasons().contains(&format!("{group}: no verdict yet")), "{:?}", reasons());
    }
    assert!(!reasons().iter().any(|r| r.contains("registry_drift")), "{:?}", reasons());
    let of_version = || json_of(&daemon, &format!("/api/v1/models/{model}/versions/2"));
    assert_eq!((&of_version()["verdicts"], &of_version()["recorded"]), (&json!({}), &json!({})));
    assert!(
        json_of(&daemon, &format!("/api/v1/models/{model}/versions/2/explain"))["approvals"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    // Its own windows count.
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    let minute = (now - service.start) / MINUTE + 1;
    service.minutes(minute, minute + 4, &[serving("1", "prod"), serving("2", "staging")]);
    wait_for("a window of its own", || of_version()["recorded"]["slo"].as_str().map(drop));
    assert!(!reasons().contains(&"slo: no verdict yet".to_owned()), "{:?}", reasons());
    assert_eq!(daemon.stop(), Some(0));
    service.folder.driftgate(&format!("audit verify --config {}", service.config().display())).exits(0);
}
