//! The controller of Flagger as it is, with our webhooks: it waits for approvals, moves the traffic of an `HTTPRoute`, promotes, and rolls back at once.

use std::ops::Deref;

use serde_json::{Value, json};

use super::controllers::{Site, example_with, get};
use crate::broker::wait_for;
use crate::cluster::free_port;
use crate::service::token;

/// The example for our users, with the daemon's address, the shortest interval that Flagger knows, and a token that may report the end.
fn example(model: &str, version: &str, url: &str) -> String {
    let metadata =
        format!("metadata: &version {{token: \"{}\", model: {model}, version: \"{version}\", to: prod}}", token("op"));
    let changed = [
        ("http://driftgate:9464", url),
        ("metadata: &version {model: fraud_detector, version: \"7\", to: prod}", &metadata),
        ("interval: 1m", "interval: 10s"),
        ("    port: 80\n", "    port: 80\n    gatewayRefs: [{name: gateway}]\n"),
    ];
    example_with("flagger-canary.yaml", &changed)
}

fn deployment(version: &str) -> String {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "fraud-detector", "labels": {"app": "fraud-detector"}},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "fraud-detector"}}, "template": {
            "metadata": {"labels": {"app": "fraud-detector"}},
            "spec": {"containers": [{"name": "model", "image": format!("registry.example.com/fraud-detector:{version}"), "ports": [{"containerPort": 8080}]}]}}}})
    .to_string()
}

struct Run(Site);

impl Deref for Run {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.0
    }
}

impl Run {
    /// Version 6 serves; 7 is judged and waits for approvals, and its Deployment is there.
    fn start(model: &str) -> Self {
        let arguments = format!(
            "-mesh-provider gatewayapi:v1 -control-loop-interval 1s -log-level info -metrics-server http://127.0.0.1:9 -port {}",
            free_port()
        );
        let run = Self(Site::start(model, "flagger", &arguments));
        run.apply("6");
        run.wait_for_phase("Initialized");
        run.judge();
        run.apply("7");
        // Nobody has signed: it waits.
        run.wait_for_phase("Waiting");
        assert_eq!(run.weight(), 0);
        run.promote();
        run
    }

    fn apply(&self, version: &str) {
        let canary = example(&self.service.model, version, &self.daemon.url);
        for text in [canary, deployment(version)] {
            self.put(&text);
        }
    }

    fn wait_for_phase(&self, phase: &str) -> Value {
        wait_for(&format!("the canary {phase}"), || {
            let canary = get(&self.namespace, "canaries.flagger.app/fraud-detector");
            (canary["status"]["phase"] == phase).then_some(canary)
        })
    }

    /// What the route gives the canary, in percent.
    fn weight(&self) -> i64 {
        let route = get(&self.namespace, "httproutes.gateway.networking.k8s.io/fraud-detector");
        let backends = route["spec"]["rules"][0]["backendRefs"].as_array().cloned().unwrap_or_default();
        let canary = backends.iter().find(|of| of["name"].as_str().is_some_and(|name| name.ends_with("-canary")));
        canary.and_then(|of| of["weight"].as_i64()).unwrap_or(0)
    }
}

#[test]
#[ignore = "needs an API server and Flagger: make kube-test"]
fn flagger_waits_for_approvals_shifts_the_traffic_and_prod_moves_when_it_has_promoted() {
    let run = Run::start("fraud_flagger");
    wait_for("the first weight", || (run.weight() == 10).then_some(()));
    wait_for("the second weight", || (run.weight() == 50).then_some(()));
    run.wait_for_phase("Succeeded");
    wait_for("prod", || (run.service.standing(&run.daemon, "prod").as_deref() == Some("7")).then_some(()));
    let history = run.service.run(&run.daemon, "op", "history fraud_flagger --json").exits(0).stdout;
    assert!(history.contains("Succeeded"), "{history}");
}

#[test]
#[ignore = "needs an API server and Flagger: make kube-test"]
fn flagger_rolls_back_at_once_what_becomes_slow() {
    let run = Run::start("fraud_flagger_back");
    wait_for("the first weight", || (run.weight() == 10).then_some(()));
    run.slow_down();
    run.wait_for_phase("Failed");
    assert_eq!(run.weight(), 0);
    run.assert_back();
}
