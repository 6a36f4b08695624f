//! Requests whose responses do not come: ten million wait, over a kill, and each response meets its own.

use std::time::{Duration, Instant};

use serde_json::json;

use super::memory::peak;
use crate::broker::{Daemon, brokers, publish, topic, wait_within};
use crate::support::Folder;

const POLICY: &str = "apiVersion: driftgate/v1\nmodel: shop\nbaseline: {snapshot: train.csv}\nfeatures: {numeric: [x]}\n\
    checks: {drift: {window: {size: 1h, slide: 1h}, rules: [{psi: {of: features, lt: 0.2}}]}}\n";

const PARTITIONS: i32 = 4;
const REQUESTS: i32 = 10_000_000;
/// Every so many requests have a response.
const ANSWERED: i32 = 1000;

/// Waits for ten minutes at most.
fn wait(what: &str, done: impl FnMut() -> Option<()>) {
    wait_within(Duration::from_secs(600), what, done);
}

#[test]
#[ignore = "takes some minutes: make soak"]
fn ten_million_requests_wait_over_a_kill_within_the_memory_that_check_says() {
    let folder = Folder::new();
    folder.write("policy.yaml", POLICY);
    folder.write("train.csv", "x\n1\n2\n3\n");
    let (requests, responses) = (topic("halves-requests", PARTITIONS), topic("halves-responses", 1));
    folder.write(
        "driftgate.yaml",
        format!(
            "policies: [policy.yaml]\nkafka: {{brokers: \"{}\", group: \"{requests}\"}}\nsources:\n\
             - {{topic: {requests}, kind: predictions, format: oip, model: shop, inference: {{responses: {responses}, wait: 6h, wait_bytes: 3GiB}}}}\n\
             http: {{listen: \"127.0.0.1:0\", read: open}}\nregistry: {{embedded: {{path: r.db}}}}\nstate: {{path: state, every: 10s}}\n",
            brokers()
        ),
    );
    let most =
        folder.driftgate("check --config driftgate.yaml --json").exits(0).json()["config"]["memory"]["process_bytes"]
            .as_u64();
    let request = |at: i32| {
        let body =
            format!(r#"{{"id":"{at}","inputs":[{{"name":"x","shape":[1],"datatype":"FP64","data":[{at}.5]}}]}}"#);
        (at % PARTITIONS, String::new(), body.into_bytes())
    };
    publish(&requests, (0..REQUESTS).map(request));
    let config = folder.path("driftgate.yaml");
    let series = |name: &str| format!("driftgate_inferences_{name}{{topic=\"{requests}\"}}");
    let is = |daemon: &Daemon, name: &str, n: i32| (daemon.metric(&series(name)) == Some(f64::from(n))).then_some(());
    let begun = Instant::now();
    let daemon = Daemon::start(&config, &[]);
    wait("that all wait", || is(&daemon, "waiting", REQUESTS));
    let read = begun.elapsed();
    let written = daemon.metric("driftgate_checkpoint_written_total").unwrap();
    wait("a checkpoint of them", || {
        daemon.metric("driftgate_checkpoint_written_total").is_some_and(|n| n >= written + 2.0).then_some(())
    });
    let first = peak(daemon.id()).unwrap();
    daemon.signal("KILL");
    drop(daemon);

    let answers = (0..REQUESTS).step_by(usize::try_from(ANSWERED).unwrap());
    publish(
        &responses,
        answers.map(|at| {
            let p = json!({"name": "p", "shape": [1], "datatype": "FP64", "data": [0.5]});
            let body = json!({"id": at.to_string(), "model_version": "1", "outputs": [p]});
            (0, String::new(), body.to_string().into_bytes())
        }),
    );
    let begun = Instant::now();
    let daemon = Daemon::start(&config, &[]);
    wait("every response to meet its request", || is(&daemon, "joined_total", REQUESTS / ANSWERED));
    let again = begun.elapsed();
    wait("the others to wait", || is(&daemon, "waiting", REQUESTS - REQUESTS / ANSWERED));
    let counted = "driftgate_predictions_total{model=\"shop\",version=\"1\"}";
    wait("each to be counted once", || (daemon.metric(counted) == Some(f64::from(REQUESTS / ANSWERED))).then_some(()));
    let second = peak(daemon.id()).unwrap();
    eprintln!(
        "read in {read:.1?}, {first} bytes resident; back and joined in {again:.1?}, {second} bytes resident; at most {most:?}"
    );
    assert!(
        most.is_some_and(|most| first.max(second) < most + most / 4),
        "{first} and {second} bytes resident, at most {most:?}"
    );
    assert_eq!(daemon.stop(), Some(0));
}
