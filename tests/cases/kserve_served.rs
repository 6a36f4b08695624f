//! `KServe`'s Python server, which `make kserve-test` installs, serves a model by both of its protocols; what it is asked and says is posted as
//! `KServe`'s logger posts it, by the SDK of `CloudEvents`. A daemon that takes and reads these events says what the replay of the same predictions as
//! plain JSON says.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::broker::{Daemon, brokers, make_topic, topic, wait_for};
use super::cluster::free_port;
use super::served::{self, Server};
use super::support::Folder;

/// So many requests, of two rows each, at a time.
const REQUESTS: usize = 60;

fn python() -> Command {
    let venv = std::env::var_os("DRIFTGATE_TEST_KSERVE").expect("run `make kserve-test`, which installs it");
    Command::new(PathBuf::from(venv).join("bin/python"))
}

fn support(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/kserve").join(file)
}

/// The server with the model, which answers; and its address.
fn serve(folder: &Folder) -> (Server, String) {
    let port = free_port();
    let log = std::fs::File::create(folder.path("kserve.log")).unwrap();
    let served = python()
        .arg(support("serve.py"))
        .args(["--http_port", &port.to_string(), "--enable_grpc", "false"])
        .stdout(Stdio::from(log.try_clone().unwrap()))
        .stderr(Stdio::from(log))
        .spawn();
    let (served, url) = (Server(served.unwrap()), format!("http://127.0.0.1:{port}"));
    let is_ready =
        || reqwest::blocking::get(format!("{url}/v2/health/ready")).is_ok_and(|answer| answer.status() == 200);
    wait_for("KServe's server to answer", || is_ready().then_some(()));
    (served, url)
}

/// Both protocols, each with a topic of its own.
#[test]
#[ignore = "needs KServe's Python server: make kserve-test"]
fn what_kserves_server_says_gives_the_verdicts_of_plain_events_by_both_protocols() {
    let served = Folder::new();
    let (_server, url) = serve(&served);
    for (protocol, inference) in [("v1", "inputs: [x, z], score: /1"), ("v2", "score: /probability/1")] {
        let folder = Folder::new();
        served::train(&folder);
        let verdicts = topic(&format!("kserve-{protocol}-verdicts"), 1);
        let events = format!("{verdicts}-{protocol}");
        make_topic(&events, 3, &[]);
        let config = format!(
            "policies: [policy.yaml]\nkafka: {{brokers: \"{}\", group: \"{events}\"}}\nsources:\n\
             - {{topic: {events}, kind: predictions, format: kserve, http: /events/kserve, kserve: {{{inference}, version: /annotations/model-version, wait: 1s}}}}\n\
             publish: {{verdicts: \"{verdicts}\"}}\nhttp: {{listen: \"127.0.0.1:0\", read: open}}\nregistry: {{embedded: {{path: r.db}}}}\nstate: {{path: state, every: 200ms}}\n",
            brokers()
        );
        folder.write("driftgate.yaml", config);
        let daemon = Daemon::start(&folder.path("driftgate.yaml"), &[]);
        let ask = |from: &str| {
            let logger = format!("{}/events/kserve", daemon.url);
            let asked = python()
                .arg(support("ask.py"))
                .args([protocol, &url, &logger, &REQUESTS.to_string(), from])
                .arg(folder.path("plain.jsonl"))
                .output()
                .unwrap();
            assert!(asked.status.success(), "{}{}", String::from_utf8_lossy(&asked.stderr), served.read("kserve.log"));
        };
        ask("0");
        // Another batch later, so that windows of the first one close.
        std::thread::sleep(std::time::Duration::from_secs(11));
        ask("1000");
        let joined = format!("driftgate_inferences_joined_total{{topic=\"{events}\"}}");
        wait_for("all pairs", || (daemon.metric(&joined) == Some(2.0 * REQUESTS as f64)).then_some(()));
        let probed = folder.driftgate(&format!("probe --topic {events} --brokers {}", brokers()));
        probed.exits(0).prints("format: kserve");
        served::say_what_is_replayed(&folder, &verdicts);
        assert_eq!(daemon.stop(), Some(0));
    }
}
