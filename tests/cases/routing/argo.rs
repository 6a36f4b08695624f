//! The controller of Argo Rollouts as it is, with our `AnalysisTemplate`, through promotion, a pause for a person, an abort and a rollback.

use std::ops::Deref;

use serde_json::Value;

use super::controllers::{Site, example_with, get};
use super::kubernetes::kubectl;
use crate::broker::wait_for;
use crate::cluster::free_port;

/// The example for our users, with the daemon's address and seconds in place of minutes.
fn example(model: &str, version: &str, url: &str) -> String {
    let changed = [
        ("http://driftgate:9464", url),
        ("value: fraud_detector", &format!("value: {model}")),
        ("value: \"7\"", &format!("value: \"{version}\"")),
        ("fraud-detector:7", &format!("fraud-detector:{version}")),
        ("interval: 1m", "interval: 1s"),
        ("pause: {duration: 30m}", "pause: {duration: 10s}"),
        ("pause: {duration: 2h}", "pause: {duration: 10s}"),
    ];
    example_with("argo-analysis-template.yaml", &changed)
}

struct Run(Site);

impl Deref for Run {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.0
    }
}

impl Run {
    /// Version 6 serves, by ten pods.
    fn start(model: &str) -> Self {
        let arguments = format!(
            "--namespaced --leader-elect=false --rollout-resync 2 --metricsPort {} --healthzPort {}",
            free_port(),
            free_port()
        );
        let run = Self(Site::start(model, "rollouts-controller", &arguments));
        run.apply("6");
        run.wait("version 6 alone", |rollout| rollout["status"]["phase"] == "Healthy");
        run
    }

    fn apply(&self, version: &str) {
        self.put(&example(&self.service.model, version, &self.daemon.url));
    }

    fn wait(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        wait_for(what, || {
            let rollout = get(&self.namespace, "rollouts.argoproj.io/fraud-detector");
            is_it(&rollout).then_some(rollout)
        })
    }

    /// How many pods version 7 has.
    fn pods(&self) -> i64 {
        let sets = get(&self.namespace, "replicasets");
        let of = |set: &&Value| {
            set["spec"]["template"]["spec"]["containers"][0]["image"]
                .as_str()
                .is_some_and(|image| image.ends_with(":7"))
        };
        sets["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(of)
            .map(|set| set["spec"]["replicas"].as_i64().unwrap_or(0))
            .sum()
    }
}

#[test]
#[ignore = "needs an API server and Argo Rollouts: make kube-test"]
fn argo_promotes_step_by_step_what_the_gate_passes_and_prod_moves_when_it_says_so() {
    let run = Run::start("fraud_argo");
    run.judge();
    run.promote();
    run.apply("7");
    run.wait("a tenth of the pods", |rollout| rollout["status"]["currentStepIndex"].as_i64() >= Some(2));
    assert!((1..=5).contains(&run.pods()), "{}", run.pods());
    let healthy = run.wait("version 7 alone", |rollout| {
        rollout["status"]["phase"] == "Healthy" && rollout["status"]["currentStepIndex"].as_i64() >= Some(7)
    });
    assert_eq!(run.pods(), 10, "{}", healthy["status"]);
    let analyses = get(&run.namespace, "analysisruns.argoproj.io");
    let phases: Vec<&str> =
        analyses["items"].as_array().unwrap().iter().filter_map(|of| of["status"]["phase"].as_str()).collect();
    assert_eq!(phases, ["Successful"; 3], "{analyses}");
    // Argo has no words for it: whoever ran the pipeline does.
    run.service.run(&run.daemon, "op", "rollout succeeded fraud_argo").exits(0);
    wait_for("prod", || (run.service.standing(&run.daemon, "prod").as_deref() == Some("7")).then_some(()));
}

#[test]
#[ignore = "needs an API server and Argo Rollouts: make kube-test"]
fn argo_pauses_for_approvals_and_takes_the_traffic_back_from_a_version_that_becomes_slow() {
    let run = Run::start("fraud_argo_back");
    run.judge();
    // Nobody has signed: neither yes nor no.
    run.apply("7");
    run.wait("a pause for a person", |rollout| {
        let reasons = rollout["status"]["pauseConditions"].as_array().cloned().unwrap_or_default();
        reasons.iter().any(|of| of["reason"] == "InconclusiveAnalysisRun")
    });
    assert_eq!(run.pods(), 0, "it gets no traffic");
    run.promote();
    // A person lets it go on: what `kubectl argo rollouts promote` writes.
    kubectl(
        &format!(
            "patch rollouts.argoproj.io fraud-detector --namespace {} --subresource status --type merge --patch {{\"status\":{{\"pauseConditions\":null,\"controllerPause\":false,\"currentStepIndex\":1}}}}",
            run.namespace
        ),
        "",
    );
    run.wait("pods of version 7", |rollout| rollout["status"]["currentStepIndex"].as_i64() >= Some(2));
    run.slow_down();
    let aborted = run.wait("an abort", |rollout| rollout["status"]["phase"] == "Degraded");
    assert_eq!(aborted["status"]["abort"], true, "{}", aborted["status"]);
    wait_for("all pods of version 7 gone", || (run.pods() == 0).then_some(()));
    run.assert_back();
}
