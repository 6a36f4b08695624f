//! Traffic routers that follow a rollout: receivers here, and the objects of a Kubernetes API server in `kubernetes`, `canary` and
//! `admission`, which `make kube-test` runs; in `argo` and `flagger` those controllers move the traffic, and ask the gate.

mod admission;
mod argo;
mod canary;
mod controllers;
mod flagger;
mod kubernetes;
mod proxy;
mod sagemaker;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

use super::broker::{Daemon, wait_for};
use super::service::{MINUTE, Service, now_ms, serving};

const STEPS: &str = "steps: [{weight: 10, for: 30m}, {weight: 50, for: 2h}, {weight: 100, bake: 1h}], checks: [slo]";

/// A receiver of weights, which refuses until it works.
struct Edge {
    url: String,
    works: Arc<AtomicBool>,
    heard: Receiver<Value>,
}

impl Edge {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/weights", listener.local_addr().unwrap());
        let (send, heard) = channel();
        let works = Arc::new(AtomicBool::new(false));
        let is_up = Arc::clone(&works);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut reader = BufReader::new(stream);
                let mut request = String::new();
                while reader.read_line(&mut request).is_ok_and(|n| n > 2) {}
                let length = request
                    .to_lowercase()
                    .lines()
                    .find_map(|l| l.strip_prefix("content-length: ")?.trim().parse().ok());
                let mut body = vec![0; length.unwrap_or(0)];
                reader.read_exact(&mut body).unwrap();
                let is_up = is_up.load(Ordering::Relaxed);
                let line = if is_up { "204 No Content" } else { "503 Service Unavailable" };
                let text = format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                reader.get_mut().write_all(text.as_bytes()).unwrap();
                if is_up {
                    let _ = send.send(serde_json::from_slice(&body).unwrap());
                }
            }
        });
        Self { url, works, heard }
    }

    /// What it is told next.
    fn hears(&self) -> Value {
        self.heard.recv_timeout(Duration::from_secs(30)).expect("the receiver was told nothing")
    }
}

/// To the first step of a rollout of version 7 over 6, of 10%.
fn begun(service: &Service, daemon: &Daemon) {
    begun_at(service, daemon, 10.0);
}

/// The same where the first step has another weight.
fn begun_at(service: &Service, daemon: &Daemon, weight: f64) {
    service.register(daemon, "6", "7");
    service.minutes(0, 121, &[serving("6", "prod"), serving("7", "staging")]);
    service.wait_until_judged(daemon, "7", 120);
    service.wait_for_gate(daemon, "7", 4);
    service.approve(daemon, "7");
    service.run(daemon, "op", &format!("promote {} 7", service.model)).exits(0);
    service.wait_for_rollout(daemon, "Progressing", weight);
}

/// Waits until the rollout is paused for a reason that has these words.
fn wait_for_pause(service: &Service, daemon: &Daemon, words: &str) -> String {
    wait_for(&format!("a pause: {words}"), || {
        let why = service.status(daemon)["rollout"]["paused"].as_str()?.to_owned();
        why.contains(words).then_some(why)
    })
}

/// What the router's route says in the status.
fn route(service: &Service, daemon: &Daemon, router: &str) -> Value {
    let all = service.status(daemon)["rollout"]["routes"].clone();
    all.as_array().and_then(|all| all.iter().find(|of| of["router"] == router)).cloned().unwrap_or_default()
}

/// Waits until a router has a weight.
fn wait_for_route(service: &Service, daemon: &Daemon, router: &str, percent: f64) {
    wait_for(&format!("{router} at {percent}%"), || {
        let known = route(service, daemon, router);
        (known["confirmed"] == percent && known["writing"].is_null()).then_some(())
    });
}

#[test]
fn a_receiver_is_told_each_weight_once_it_answers_and_a_candidate_without_its_share_pauses_the_rollout() {
    let edge = Edge::start();
    let traffic =
        "[{webhook: {to: edge, body: '{\"service\": \"{model}\", \"canary\": {weight}, \"version\": \"{version}\"}'}}]";
    let routing = format!("routing: {{webhooks: [{{name: edge, url: \"{}\"}}]}}\n", edge.url);
    let service = Service::new("fraud_routed", "", &format!("{{{STEPS}, traffic: {traffic}}}"), &routing);
    let daemon = Daemon::start(&service.config(), &[]);
    begun(&service, &daemon);

    // It refuses: that is told first, counted, and nothing is lost.
    let status = || service.run(&daemon, "op", "status").stdout;
    let first = wait_for("the first line of the status", || {
        let line = status().lines().next().unwrap_or_default().to_owned();
        line.contains("the traffic does not follow a rollout").then_some(line)
    });
    assert!(first.contains("503"), "{first}");
    let labels = format!("{{model=\"{}\",router=\"webhook edge\",version=\"7\"}}", service.model);
    assert_eq!(daemon.metric(&format!("driftgate_router_follows{labels}")), Some(0.0));
    edge.works.store(true, Ordering::Relaxed);
    assert_eq!(edge.hears(), json!({"service": "fraud_routed", "canary": 10, "version": "7"}));
    wait_for_route(&service, &daemon, "webhook edge", 10.0);
    wait_for("the status without it", || (!status().contains("does not follow")).then_some(()));
    assert_eq!(daemon.metric(&format!("driftgate_router_follows{labels}")), Some(1.0));
    assert_eq!(daemon.metric(&format!("driftgate_router_weight_ratio{labels}")), Some(0.1));
    service.run(&daemon, "op", "rollout status fraud_routed").exits(0).prints("webhook edge has 10%");

    // After a kill it is told nothing that it knows.
    daemon.signal("KILL");
    drop(daemon);
    let daemon = Daemon::start(&service.config(), &[]);
    service.minutes(121, 155, &[serving("6", "prod"), serving("7", "canary")]);
    assert_eq!(edge.hears()["canary"], 50);
    wait_for_route(&service, &daemon, "webhook edge", 50.0);

    // From now on the champion serves alone.
    let now = (now_ms() - service.start) / MINUTE;
    service.minutes(now + 1, now + 6, &[serving("6", "prod")]);
    let why = wait_for_pause(&service, &daemon, "of the traffic");
    assert!(
        why.starts_with("the candidate gets 0% of the traffic (0 of ") && why.contains("where 50% are set"),
        "{why}"
    );
    let ratio = format!("driftgate_rollout_traffic_ratio{{model=\"{}\",version=\"7\"}}", service.model);
    assert_eq!(daemon.metric(&ratio), Some(0.0));
    service.run(&daemon, "op", "rollout abort fraud_routed --reason starved").exits(0);
    assert_eq!(edge.hears()["canary"], 0);
    wait_for_route(&service, &daemon, "webhook edge", 0.0);
    let history = service.run(&daemon, "op", "history fraud_routed --json").exits(0).stdout;
    assert!(history.contains("webhook edge gives 50% of the traffic to version 7"), "{history}");
    assert_eq!(daemon.stop(), Some(0));
}
