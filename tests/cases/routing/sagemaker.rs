//! An endpoint of `SageMaker`, as moto has it: weights are set by signed requests, and what others set pauses the rollout.

use super::{STEPS, begun, wait_for_pause, wait_for_route};
use crate::broker::{Daemon, wait_for};
use crate::moto::Moto;
use crate::service::Service;

const ROUTER: &str = "SageMaker endpoint fraud";

#[test]
fn the_variants_of_an_endpoint_get_the_weights_of_a_rollout() {
    let moto = Moto::start();
    let url = moto.url();
    // Makes the endpoint, prints its weights, or sets one.
    let endpoint = |asked: &[&str]| moto.asked("endpoint.py", asked);
    endpoint(&[]);
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
    assert_eq!(endpoint(&["weights"]), "{\"fraud-6\": 90.0, \"fraud-7\": 10.0}");
    endpoint(&["40"]);
    wait_for_pause(&service, &daemon, "SageMaker endpoint fraud gives 40% of the traffic to version 7 in place of 10%");
    service.run(&daemon, "op", "rollout resume fraud_weighed").exits(0);
    wait_for("ten percent again", || (endpoint(&["weights"]).contains("\"fraud-7\": 10.0")).then_some(()));
    service.run(&daemon, "op", "rollout abort fraud_weighed --reason enough").exits(0);
    wait_for_route(&service, &daemon, ROUTER, 0.0);
    assert_eq!(endpoint(&["weights"]), "{\"fraud-6\": 100.0, \"fraud-7\": 0.0}");
    assert_eq!(daemon.stop(), Some(0));
}
