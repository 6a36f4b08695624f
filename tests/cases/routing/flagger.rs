//! The controller of Flagger as it is, with our webhooks: it waits for approvals, moves the traffic of an `HTTPRoute`, promotes, and rolls back at once.

use serde_json::{Value, json};

use super::controllers::{Controller, Pods, free_port, get};
use super::kubernetes::kubectl;
use crate::broker::{Daemon, wait_for};
use crate::service::{Service, Traffic, serving, token};

/// The example for our users, with the daemon's address, the shortest interval that Flagger knows, and a token that may report the end.
fn example(model: &str, version: &str, url: &str) -> String {
    let example =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config/examples/flagger-canary.yaml")).unwrap();
    let metadata =
        format!("metadata: &version {{token: \"{}\", model: {model}, version: \"{version}\", to: prod}}", token("op"));
    let changed = [
        ("http://driftgate:9464", url),
        ("metadata: &version {model: fraud_detector, version: \"7\", to: prod}", &metadata),
        ("interval: 1m", "interval: 10s"),
        ("    port: 80\n", "    port: 80\n    gatewayRefs: [{name: gateway}]\n"),
    ];
    changed.into_iter().fold(example, |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    })
}

fn deployment(version: &str) -> String {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "fraud-detector", "labels": {"app": "fraud-detector"}},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "fraud-detector"}}, "template": {
            "metadata": {"labels": {"app": "fraud-detector"}},
            "spec": {"containers": [{"name": "model", "image": format!("registry.example.com/fraud-detector:{version}"), "ports": [{"containerPort": 8080}]}]}}}})
    .to_string()
}

struct Run {
    service: Service,
    daemon: Daemon,
    namespace: String,
    _pods: Pods,
    _controller: Controller,
}

impl Run {
    /// Version 6 serves; 7 is judged and waits for approvals, and its Deployment is there.
    fn start(model: &str) -> Self {
        let service = Service::new(model, "", "{controller: external, checks: [slo]}", "");
        let daemon = Daemon::start(&service.config(), &[]);
        service.register(&daemon, "6", "7");
        let namespace = format!("{}-{}", model.replace('_', "-"), std::process::id());
        kubectl("apply -f -", &format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {namespace}}}\n"));
        let pods = Pods::start(&namespace);
        let arguments = format!(
            "-namespace {namespace} -mesh-provider gatewayapi:v1 -control-loop-interval 1s -log-level info -metrics-server http://127.0.0.1:9 -port {}",
            free_port()
        );
        let controller = Controller::start(&service.folder, "flagger", &arguments);
        let run = Self { service, daemon, namespace, _pods: pods, _controller: controller };
        run.apply("6");
        run.wait_for_phase("Initialized");
        run.service.minutes(0, 121, &[serving("6", "prod"), serving("7", "staging")]);
        run.service.wait_until_judged(&run.daemon, "7", 120);
        run.service.wait_for_gate(&run.daemon, "7", 4);
        run.apply("7");
        // Nobody has signed: it waits.
        run.wait_for_phase("Waiting");
        assert_eq!(run.weight(), 0);
        run.service.approve(&run.daemon, "7");
        run.service.run(&run.daemon, "op", &format!("promote {} 7", run.service.model)).exits(0);
        run
    }

    fn apply(&self, version: &str) {
        let canary = example(&self.service.model, version, &self.daemon.url);
        for text in [canary, deployment(version)] {
            kubectl(&format!("apply --namespace {} -f -", self.namespace), &text);
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
    let Run { service, daemon, .. } = &run;
    wait_for("the first weight", || (run.weight() == 10).then_some(()));
    let slow = Traffic { latency_ms: 250.0, ..serving("7", "canary") };
    service.minutes(121, 130, &[serving("6", "prod"), slow]);
    service.wait_for_gate(daemon, "7", 1);
    run.wait_for_phase("Failed");
    assert_eq!(run.weight(), 0);
    assert_eq!(service.standing(daemon, "prod").as_deref(), Some("6"));
    let failed = service.status(daemon)["rollout"].clone();
    assert_eq!(failed["phase"], "Failed", "{failed}");
}
