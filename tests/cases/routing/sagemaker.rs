//! An endpoint of `SageMaker`, as moto has it: weights are set by signed requests, and what others set pauses the rollout.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::{STEPS, begun, wait_for_pause, wait_for_route};
use crate::broker::{Daemon, wait_for};
use crate::service::Service;
use crate::support::{Served, interpreter};

const ROUTER: &str = "SageMaker endpoint fraud";

/// Makes the endpoint, prints its weights, or sets one, by AWS' own client.
fn endpoint(url: &str, asked: &[&str]) -> String {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let python = interpreter("s3", "moto is");
    let done =
        Command::new(python).arg(root.join("tests/support/s3/endpoint.py")).arg(url).args(asked).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

#[test]
fn the_variants_of_an_endpoint_get_the_weights_of_a_rollout() {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/support/s3.sh");
    let served = Served::start(Command::new(script).stderr(Stdio::null()));
    let url = served.said.as_str();
    endpoint(url, &[]);
    let traffic = "[{sagemaker: {endpoint: fraud, stable: \"fraud-{champion}\", canary: \"fraud-{version}\"}}]";
    let plan = format!("{{{STEPS}, traffic: {traffic}}}");
    let service = Service::new("fraud_weighed", "", &plan, "routing: {every: 1s}\n");
    let access = [
        ("AWS_ENDPOINT_URL_SAGEMAKER", url),
        ("AWS_ACCESS_KEY_ID", "a"),
        ("AWS_SECRET_ACCESS_KEY", "b"),
        ("AWS_REGION", "us-east-1"),
    ];
    let daemon = Daemon::start(&service.config(), &access);
    begun(&service, &daemon);
    wait_for_route(&service, &daemon, ROUTER, 10.0);
    assert_eq!(endpoint(url, &["weights"]), "{\"fraud-6\": 90.0, \"fraud-7\": 10.0}");
    endpoint(url, &["40"]);
    wait_for_pause(&service, &daemon, "SageMaker endpoint fraud gives 40% of the traffic to version 7 in place of 10%");
    service.run(&daemon, "op", "rollout resume fraud_weighed").exits(0);
    wait_for("ten percent again", || (endpoint(url, &["weights"]).contains("\"fraud-7\": 10.0")).then_some(()));
    service.run(&daemon, "op", "rollout abort fraud_weighed --reason enough").exits(0);
    wait_for_route(&service, &daemon, ROUTER, 0.0);
    assert_eq!(endpoint(url, &["weights"]), "{\"fraud-6\": 100.0, \"fraud-7\": 0.0}");
    assert_eq!(daemon.stop(), Some(0));
}
