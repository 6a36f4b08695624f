//! The course's second example in real time: 10%, 50%, 100% through a proxy that obeys an `HTTPRoute`, the daemon killed in each phase,
//! and back when the candidate becomes slow.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::kubernetes::{OBJECTS, namespace};
use super::proxy::{Model, Proxy};
use crate::broker::{Daemon, wait_for};
use crate::service::Service;

const RULES: &str =
    "[{apiGroups: [gateway.networking.k8s.io], resources: [httproutes], resourceNames: [fraud], verbs: [get, patch]}]";

/// Kills the daemon and starts it again.
fn kill(service: &Service, daemon: Daemon) -> Daemon {
    daemon.signal("KILL");
    drop(daemon);
    Daemon::start(&service.config(), &[])
}

#[test]
#[ignore = "needs an API server: make kube-test"]
fn a_canary_gets_its_traffic_step_by_step_and_loses_it_within_two_seconds_of_its_breach() {
    let folder = crate::support::Folder::new();
    let name = format!("canary-{}", std::process::id());
    let routing = namespace(&folder, &name, OBJECTS.split("---").next().unwrap(), RULES);
    let plan = format!(
        "{{steps: [{{weight: 10, for: 8s}}, {{weight: 50, for: 8s}}, {{weight: 100, bake: 60s}}], checks: [slo], \
         traffic: [{{gateway_api: {{route: fraud, namespace: {name}, stable: \"fraud-{{champion}}\", canary: \"fraud-{{version}}\"}}}}]}}"
    );
    let service = Service::new("fraud_live", "", &plan, &routing);
    std::fs::copy(folder.path("kubeconfig"), service.folder.path("kubeconfig")).unwrap();
    let policy = service.folder.read("policy.yaml");
    let policy = policy
        .replace("window: {size: 1m, slide: 1m}", "window: {size: 2s, slide: 1s, lateness: 0s}")
        .replace("for: 5m", "for: 3s")
        .replace("min_samples: 20", "min_samples: 5")
        .replace("checks: [drift, fairness, slo]", "checks: [slo]");
    service.folder.write("policy.yaml", policy);
    let daemon = Daemon::start(&service.config(), &[]);
    service.register(&daemon, "6", "7");
    let models = [Model::start(), Model::start()];
    let slow = Arc::clone(&models[1].latency_ms);
    let route = format!("/apis/gateway.networking.k8s.io/v1/namespaces/{name}/httproutes/fraud");
    let proxy = Proxy::start(&route, models, &service.predictions, &service.model);
    service.wait_for_gate(&daemon, "7", 4);
    service.approve(&daemon, "7");
    service.run(&daemon, "op", "promote fraud_live 7").exits(0);

    let reaches =
        |weight: i64| wait_for(&format!("{weight}% at the proxy"), || (proxy.since().1 == weight).then_some(()));
    reaches(10);
    let daemon = kill(&service, daemon);
    reaches(50);
    let daemon = kill(&service, daemon);
    reaches(100);
    let daemon = kill(&service, daemon);
    service.wait_for_rollout(&daemon, "Promoting", 100.0);
    assert_eq!(service.standing(&daemon, "prod").as_deref(), Some("7"));
    wait_for("what the candidate gets", || {
        let share = service.status(&daemon)["rollout"]["share"].clone();
        (share["candidate"].as_u64()? > 100).then_some(())
    });
    assert!(service.status(&daemon)["rollout"]["paused"].is_null(), "{}", service.status(&daemon)["rollout"]);

    // The candidate becomes slow. Three seconds are the policy's own.
    slow.store(150, Ordering::Relaxed);
    let since = Instant::now();
    reaches(0);
    let took = proxy.since().0.duration_since(since);
    eprintln!("from the first slow answer to the weight at the proxy: {took:?}, of which the policy asks for 3 s");
    assert!(took < Duration::from_secs(5), "{took:?}");
    let failed = service.wait_for_rollout(&daemon, "Failed", 0.0);
    assert!(failed["why"].as_str().unwrap().contains("slo/p95"), "{failed}");
    assert_eq!(service.standing(&daemon, "prod").as_deref(), Some("6"));
    assert_eq!(proxy.weights(), [0, 10, 50, 100, 0]);
    // The stream shows the old version serving.
    wait_for("the confirmation", || service.status(&daemon)["rollback_pending"].is_null().then_some(()));
    drop(proxy);
    assert_eq!(daemon.stop(), Some(0));
}
