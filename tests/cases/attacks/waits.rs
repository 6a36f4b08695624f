//! A snapshot that does not come holds up the counting of other models on its partition for a moment only, and that is told.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::broker::{Daemon, publish, wait_for};
use crate::service::{CANARY, Service, serving};
use crate::store::Store;

/// A service with a second model on its topic, which a token may register versions of.
fn with_another(name: &str, extra: &str) -> Service {
    let service = Service::new(name, "", CANARY, extra);
    let folder = &service.folder;
    folder.write("other.yaml", folder.read("policy.yaml").replace(&format!("model: {name}\n"), "model: other\n"));
    folder.write("driftgate.yaml", folder.read("driftgate.yaml").replace("[policy.yaml]", "[policy.yaml, other.yaml]"));
    service
}

/// One event of the other model.
fn one_of_other(service: &Service, version: &str) {
    let event = json!({
        "prediction_id": format!("other-{version}"), "model": "other", "version": version, "ts": service.start,
        "features": {"x": 1}, "score": 0.5,
    });
    publish(&service.predictions, [(0, "other".to_owned(), event.to_string().into_bytes())]);
}

/// Predictions of the service's own version 1.
fn counted(service: &Service, daemon: &Daemon) -> Option<f64> {
    daemon.metric(&format!("driftgate_predictions_total{{model=\"{}\",version=\"1\"}}", service.model))
}

#[test]
fn a_pipe_is_no_snapshot_and_holds_up_nobody() {
    let service = with_another("piped", "");
    assert!(Command::new("mkfifo").arg(service.folder.path("fifo")).status().unwrap().success());
    let daemon = Daemon::start(&service.config(), &[]);
    service.run(&daemon, "op", "register other 400 --snapshot fifo").exits(0);
    let begun = Instant::now();
    one_of_other(&service, "400");
    service.minutes(0, 1, &[serving("1", "dev")]);
    wait_for("the other events of the partition", || counted(&service, &daemon).filter(|n| *n >= 30.0));
    assert!(begun.elapsed() < Duration::from_secs(20), "they waited {:?}", begun.elapsed());
    let body = daemon.get("/api/v1/models/other/versions/400").1;
    let why = serde_json::from_str::<Value>(&body).unwrap()["baseline"]["error"].to_string();
    assert!(why.contains("is no regular file"), "{why}");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_partition_that_waits_for_a_baseline_says_so() {
    let service = with_another("slow", "snapshots: [\"s3://training/\"]\n");
    let store = Store::start(service.folder.read("train.csv"));
    let daemon = Daemon::start(&service.config(), &store.variables());
    service.run(&daemon, "op", "register other 400 --snapshot s3://training/train.csv").exits(0);
    one_of_other(&service, "400");
    service.minutes(0, 1, &[serving("1", "dev")]);
    let waits = "it waits for the baseline of version \\\"400\\\" of other since";
    wait_for("that it is told", || {
        let (status, body) = daemon.get("/ready");
        (status == 503 && body.contains(waits)).then_some(())
    });
    assert!(daemon.get("/api/v1/status").1.contains(waits));
    let lag = format!("driftgate_consumer_lag{{partition=\"0\",topic=\"{}\"}}", service.predictions);
    wait_for("what waits to be behind", || daemon.metric(&lag).filter(|lag| *lag >= 1.0));
    store.answer();
    wait_for("the other events", || counted(&service, &daemon).filter(|n| *n >= 30.0));
    wait_for("readiness", || (daemon.get("/ready").0 == 200).then_some(()));
    assert_eq!(daemon.stop(), Some(0));
}
