//! The whole path against a real Kafka and a real MLflow: register, evidence, staging, drift, approvals, canary, breach,
//! rollback; read back by MLflow's own client. And what is left when the daemon is killed at any step of it.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::broker::{Daemon, wait_for};
use super::mlflow::{Server, mlflow_url};
use super::service::{CANARY, Service, Traffic, serving};

/// What the configuration says of MLflow.
pub fn registry(url: &str) -> String {
    format!("registry: {{embedded: {{path: registry.db}}, mlflow: {{url: \"{url}\", every: 1s}}}}\n")
}

/// Makes versions 1 to `last` of a model in MLflow; each has a training run.
pub fn versions(server: &Server, model: &str, last: u32) {
    for n in 1..=last {
        let run = server.run("1234abcd", &[("auc", 0.90 + 0.005 * f64::from(n))], &[("depth", "6")]);
        server.finish(&run);
        server.version(model, Some(&run), &[("driftgate.snapshot", "train.csv")]);
    }
}

/// Until MLflow was told everything.
pub fn wait_until_told(daemon: &Daemon) {
    wait_for("MLflow to be told everything", || {
        let status: Value = serde_json::from_str(&daemon.get("/api/v1/status").1).unwrap();
        status["undelivered"].get("mlflow").is_none().then_some(())
    });
}

#[test]
fn from_register_to_rollback_as_mlflow_shows_it() {
    let server = Server::open();
    let model = server.model("fraud_path");
    versions(&server, &model, 7);
    let service = Service::new(&model, "", CANARY, &registry(&mlflow_url()));
    let daemon = Daemon::start(&service.config(), &[]);
    let run = |token: &str, arguments: &str| service.run(&daemon, token, arguments);
    service.register(&daemon, "6", "7");
    wait_until_told(&daemon);
    assert_eq!(server.aliases(&model).get("prod").map(String::as_str), Some("6"));
    assert_eq!(server.aliases(&model).get("staging").map(String::as_str), Some("7"));
    // Snapshot and commit come from MLflow's tags and runs.
    let known: Value =
        serde_json::from_str(&daemon.get(&format!("/api/v1/models/{model}/versions/5/explain")).1).unwrap();
    assert_eq!(known["lineage"]["snapshot"], "train.csv", "{known}");
    assert!(known["lineage"]["reported"].to_string().contains("0.925"), "{known}");

    // Drift in the stream blocks the candidate, and clears.
    let drifted = |minutes: std::ops::Range<i64>, shift: i64| {
        service.shifted(minutes.start, minutes.end, &[serving("6", "prod"), serving("7", "staging")], shift);
    };
    drifted(0..125, 50);
    service.wait_for_gate(&daemon, "7", 1);
    run("op", &format!("explain {model} 7")).exits(0).prints("drift/psi");
    drifted(125..310, 0);
    service.wait_until_judged(&daemon, "7", 309);
    service.wait_for_gate(&daemon, "7", 4);
    service.approve(&daemon, "7");
    run("op", &format!("promote {model} 7")).exits(0);
    service.wait_for_rollout(&daemon, "Progressing", 10.0);
    let canary = [serving("6", "prod"), serving("7", "canary")];
    service.minutes(310, 345, &canary);
    service.wait_for_rollout(&daemon, "Progressing", 50.0);
    service.minutes(345, 470, &canary);
    service.wait_for_rollout(&daemon, "Promoting", 100.0);
    wait_until_told(&daemon);
    assert_eq!(server.aliases(&model).get("prod").map(String::as_str), Some("7"));
    service.minutes(470, 532, &[serving("7", "prod")]);
    service.wait_for_rollout(&daemon, "Succeeded", 100.0);

    // Somebody else moves an alias: it is reported, and neither followed nor fought.
    server.mlflow.set_alias(&model, "staging", "5").unwrap();
    wait_for("the report of a foreign move", || daemon.log().contains("registry_drift").then_some(()));
    assert_eq!(service.standing(&daemon, "staging").as_deref(), Some("7"));
    assert_eq!(server.aliases(&model).get("staging").map(String::as_str), Some("5"));

    // An approval in a tag is nobody's.
    server.mlflow.set_version_tag(&model, "5", "gate.prod.approvals", "[{\"actor\":\"owner@company\"}]").unwrap();
    run("op", &format!("gate {model} 5 --to prod")).prints("0 of 2 approvals");

    service.minutes(532, 542, &[Traffic { latency_ms: 120.0, ..serving("7", "prod") }]);
    wait_for("the return to 6", || (service.standing(&daemon, "prod")? == "6").then_some(()));
    wait_until_told(&daemon);
    let code = "m = sys.argv[1]\n\
                prod = client.get_model_version_by_alias(m, 'prod')\n\
                bad = client.get_model_version(m, '7')\n\
                print(json.dumps({'prod': str(prod.version), 'tags': bad.tags}))";
    let read = server.python(code, &[&model]);
    assert_eq!(read["prod"], "6", "{read}");
    let tags = &read["tags"];
    assert_eq!(tags["gate.prod.verdict"], "pass", "{tags}");
    assert_eq!(tags["gate.check.slo"], "block", "{tags}");
    let back: Value = serde_json::from_str(tags["gate.rollback"].as_str().unwrap()).unwrap();
    assert_eq!((&back["from"], &back["to"]), (&json!("7"), &json!("6")));
    assert!(back["trigger"].as_str().unwrap().contains("slo/p95"), "{back}");
    assert_eq!(daemon.stop(), Some(0));
    service.folder.driftgate(&format!("audit verify --config {}", service.config().display())).exits(0);
}

#[test]
fn what_mlflow_cannot_be_told_waits_until_it_is_back() {
    let server = Server::open();
    let model = server.model("fraud_away");
    versions(&server, &model, 2);
    let proxy = Proxy::start(&mlflow_url());
    let service = Service::new(&model, "", CANARY, &registry(&proxy.url));
    let daemon = Daemon::start(&service.config(), &[]);
    proxy.is_down.store(1, Ordering::SeqCst);
    service.register(&daemon, "1", "2");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(server.aliases(&model), std::collections::BTreeMap::new());
    // Also over a restart.
    assert_eq!(daemon.stop(), Some(0));
    let daemon = Daemon::start(&service.config(), &[]);
    proxy.is_down.store(0, Ordering::SeqCst);
    wait_until_told(&daemon);
    assert_eq!(server.aliases(&model).get("prod").map(String::as_str), Some("1"));
    assert_eq!(daemon.stop(), Some(0));
}

/// Stands before MLflow, counts what is written there, and kills a process at a chosen one.
struct Proxy {
    url: String,
    /// Writes are counted down to 0, where the process is killed; below nobody is.
    writes_left: Arc<AtomicI64>,
    /// Whether the write it dies of still reaches MLflow.
    after: Arc<AtomicU32>,
    victim: Arc<Mutex<Option<u32>>>,
    is_down: Arc<AtomicU32>,
}

impl Proxy {
    fn start(to: &str) -> Self {
        let target = to.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            writes_left: Arc::new(AtomicI64::new(-1)),
            after: Arc::default(),
            victim: Arc::default(),
            is_down: Arc::default(),
        };
        let (left, after, victim, is_down) =
            (proxy.writes_left.clone(), proxy.after.clone(), proxy.victim.clone(), proxy.is_down.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if is_down.load(Ordering::SeqCst) == 1 {
                    continue;
                }
                let Ok(server) = TcpStream::connect(&target) else { continue };
                let (left, after, victim, is_down) = (left.clone(), after.clone(), victim.clone(), is_down.clone());
                let mut back = (server.try_clone().unwrap(), client.try_clone().unwrap());
                std::thread::spawn(move || drop(std::io::copy(&mut back.0, &mut back.1)));
                std::thread::spawn(move || forward(client, server, &left, &after, &victim, &is_down));
            }
        });
        proxy
    }

    /// The next process to watch, and the write it dies of, before or after it went through.
    fn kill_at(&self, write: i64, after: bool, victim: u32) {
        *self.victim.lock().unwrap() = Some(victim);
        self.after.store(u32::from(after), Ordering::SeqCst);
        self.writes_left.store(write, Ordering::SeqCst);
    }

    /// Kills nobody from now on; whether somebody is being killed.
    fn spare(&self) -> bool {
        self.writes_left.swap(-1, Ordering::SeqCst) == 0
    }
}

fn forward(
    mut client: TcpStream,
    mut server: TcpStream,
    left: &AtomicI64,
    after: &AtomicU32,
    victim: &Mutex<Option<u32>>,
    is_down: &AtomicU32,
) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(read) = client.read(&mut buffer) {
        let chunk = &buffer[..read];
        if read == 0 || is_down.load(Ordering::SeqCst) == 1 {
            break;
        }
        let is_write = chunk.starts_with(b"POST ");
        let dies = is_write && left.load(Ordering::SeqCst) > 0 && left.fetch_sub(1, Ordering::SeqCst) == 1;
        if dies && after.load(Ordering::SeqCst) == 0 {
            kill(victim);
            break;
        }
        if server.write_all(chunk).is_err() {
            break;
        }
        if dies {
            // MLflow has done it by then; the answer reaches nobody.
            std::thread::sleep(Duration::from_millis(300));
            kill(victim);
            break;
        }
    }
    let _ = server.shutdown(std::net::Shutdown::Both);
    let _ = client.shutdown(std::net::Shutdown::Both);
}

fn kill(victim: &Mutex<Option<u32>>) {
    if let Some(pid) = victim.lock().unwrap().take() {
        assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
    }
}

#[test]
fn killed_at_each_step_of_promote_and_rollback_everything_agrees_and_happened_once() {
    let server = Server::open();
    let model = server.model("fraud_killed");
    versions(&server, &model, 2);
    let proxy = Proxy::start(&mlflow_url());
    let at_once = "{controller: driftgate, steps: [{weight: 100, bake: 1h}], checks: [slo]}";
    let service = Service::new(&model, "", at_once, &registry(&proxy.url));
    let mut daemon = Daemon::start(&service.config(), &[]);
    service.register(&daemon, "1", "2");
    service.minutes(0, 121, &[serving("1", "prod"), serving("2", "staging")]);
    service.wait_until_judged(&daemon, "2", 120);
    service.wait_for_gate(&daemon, "2", 4);
    service.approve(&daemon, "2");
    wait_until_told(&daemon);
    let stages = |daemon: &Daemon| {
        let history: Value =
            serde_json::from_str(&daemon.get(&format!("/api/v1/models/{model}/history?limit=10000")).1).unwrap();
        let moved = |record: &&Value| record["event"] == "stage" && record["payload"]["stage"] == "prod";
        history["history"].as_array().unwrap().iter().filter(moved).count()
    };
    let mut moves = stages(&daemon);
    let mut deaths = 0;
    // A promotion writes four tags and an alias, a rollback an alias and a tag.
    for (write, after) in [(1, false), (3, true), (4, true), (5, false), (5, true), (6, false)] {
        for (token, command, expected) in [
            ("op", format!("promote {model} 2 --retry again"), "2"),
            ("op", format!("rollback {model} --reason drill"), "1"),
        ] {
            let write = if expected == "1" { 1 + write / 4 } else { write };
            proxy.kill_at(write, after, daemon.id());
            service.run(&daemon, token, &command);
            let told = wait_for("the end of the daemon, or of its work", || {
                if daemon.is_gone() {
                    return Some(false);
                }
                let status: Value = serde_json::from_str(&daemon.try_get("/api/v1/status")?).ok()?;
                status["undelivered"].get("mlflow").is_none().then_some(true)
            });
            // The answer to its last write may reach it shortly before it dies of it.
            let dies = proxy.spare();
            if dies {
                wait_for("the end of the daemon", || daemon.is_gone().then_some(()));
            }
            if dies || !told {
                deaths += 1;
                daemon = Daemon::start(&service.config(), &[]);
                // It answers before it has read its checkpoint.
                let status = format!("/api/v1/models/{model}/status");
                wait_for("the model", || (daemon.get(&status).0 == 200).then_some(()));
            }
            // A request that died with the daemon was not done, or done whole: asking again settles it.
            if service.standing(&daemon, "prod").as_deref() != Some(expected) {
                service.run(&daemon, token, &command).exits(0);
            }
            wait_until_told(&daemon);
            let place = format!("{command} killed at write {write}, after: {after}");
            assert_eq!(service.standing(&daemon, "prod").as_deref(), Some(expected), "{place}");
            assert_eq!(server.aliases(&model).get("prod").map(String::as_str), Some(expected), "{place}");
            moves += 1;
            assert_eq!(stages(&daemon), moves, "{place}: prod moved once");
            let records: Value =
                serde_json::from_str(&daemon.get(&format!("/api/v1/models/{model}/versions/2/promotions")).1).unwrap();
            let status = if expected == "2" { "approved" } else { "rolled_back" };
            assert_eq!(records["promotions"][0]["status"], status, "{place}");
        }
    }
    assert!(deaths >= 6, "the daemon died {deaths} times only");
    assert_eq!(daemon.stop(), Some(0));
    service.folder.driftgate(&format!("audit verify --config {}", service.config().display())).exits(0);
}
