//! Topics that are not there, topics that take only small records, and a webhook that answers 404 for a while: nothing is
//! dropped, and the registry hears of everything at once.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::broker::{Daemon, brokers, make_topic, publish, read, topic, wait_for};
use crate::support::{Folder, lines};

const MINUTE: i64 = 60_000;
/// 2023-01-01T00:00:00Z.
const START: i64 = 1_672_531_200_000;
const FEATURES: usize = 40;

fn policy() -> String {
    let names: Vec<String> = (0..FEATURES).map(|i| format!("x{i}")).collect();
    format!(
        "apiVersion: driftgate/v1\nmodel: shop\nbaseline: {{snapshot: train.csv}}\nfeatures: {{numeric: [{}]}}\nlateness: 1s\nmin_samples: 10\n\
         checks:\n  drift:\n    window: {{size: 1m, slide: 1m}}\n    rules: [{{psi: {{of: features, lt: 0.2}}}}]\n",
        names.join(", ")
    )
}

/// Twenty events a minute; those of minutes 2 and 3 lie elsewhere than in training.
fn event(i: i64) -> Value {
    let minute = i / 20;
    let shift = if (2..4).contains(&minute) { 5 } else { 0 };
    let features: serde_json::Map<String, Value> =
        (0..FEATURES).map(|f| (format!("x{f}"), json!(i % 10 + shift))).collect();
    json!({"prediction_id": format!("p{i}"), "model": "shop", "version": "1", "stage": "prod", "ts": START + minute * MINUTE + i % 20 * 1000, "features": features})
}

/// A folder with policy, snapshot and a configuration, and the replay's complete verdicts by id.
fn shop(events: &str, publish: &str) -> (Folder, BTreeMap<String, Value>) {
    let folder = Folder::new();
    folder.write("policy.yaml", policy());
    let names: Vec<String> = (0..FEATURES).map(|i| format!("x{i}")).collect();
    let rows: String = (0..1000).map(|i| format!("{}\n", vec![(i % 10).to_string(); FEATURES].join(","))).collect();
    folder.write("train.csv", format!("{}\n{rows}", names.join(",")));
    folder.write("events.jsonl", lines((0..120).map(event)));
    folder.driftgate("replay --policy policy.yaml --predictions events.jsonl --verdicts v.jsonl").exits(0);
    let complete = folder.json_lines("v.jsonl").into_iter().filter(|v| v["window"]["complete"] == true);
    let expected = complete.map(|v| (v["verdict_id"].as_str().unwrap().to_owned(), v)).collect();
    folder.write(
        "driftgate.yaml",
        format!(
            "policies: [policy.yaml]\nkafka: {{brokers: \"{}\", group: \"{events}\"}}\n\
             sources: [{{topic: \"{events}\", kind: predictions}}]\nregistry: {{embedded: {{path: registry.db}}}}\n\
             publish: {publish}\nstate: {{path: state, every: 1s}}\nhttp: {{listen: \"127.0.0.1:0\"}}\n",
            brokers()
        ),
    );
    (folder, expected)
}

fn by_id(found: Vec<Value>, key: &str) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for value in found {
        let id = value[key].as_str().unwrap().to_owned();
        if let Some(before) = all.insert(id.clone(), value.clone()) {
            assert_eq!(before, value, "{id} has two contents");
        }
    }
    all
}

/// Each request that a receiver got: the status it answered, and the body.
type Heard = Arc<Mutex<Vec<(u16, Value)>>>;

/// A receiver that answers 404 until it is told to answer 200, and what it was sent.
fn receiver() -> (String, Arc<AtomicBool>, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (open, heard) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
    let (is_open, sent) = (Arc::clone(&open), Arc::clone(&heard));
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut request = BufReader::new(stream);
            let mut lines = String::new();
            while request.read_line(&mut lines).is_ok_and(|n| n > 2) {}
            let headers = lines.to_lowercase();
            let length =
                headers.lines().find_map(|l| l.strip_prefix("content-length: ")?.trim().parse().ok()).unwrap_or(0);
            let mut body = vec![0; length];
            request.read_exact(&mut body).unwrap();
            let code = if is_open.load(Ordering::SeqCst) { 200 } else { 404 };
            sent.lock().unwrap().push((code, serde_json::from_slice(&body).unwrap()));
            let _ = write!(request.get_mut(), "HTTP/1.1 {code} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    (url, open, heard)
}

#[test]
fn topics_that_are_made_later_and_a_webhook_that_was_away_get_everything_and_the_registry_at_once() {
    let events = topic("late-outlets", 1);
    let (verdicts, signals, dead) =
        (format!("{events}-verdicts"), format!("{events}-signals"), format!("{events}-dead"));
    let (url, open, heard) = receiver();
    let (folder, expected) = shop(
        &events,
        &format!(
            "{{verdicts: \"{verdicts}\", signals: \"{signals}\", dead_letters: {{topic: \"{dead}\", payload: none}}, webhooks: [{{url: \"{url}\"}}]}}"
        ),
    );
    let daemon = Daemon::start(&folder.path("driftgate.yaml"), &[]);
    wait_for("readiness", || (daemon.get("/ready").0 == 200).then_some(()));
    let began = Instant::now();
    publish(&events, [(0, "k".to_owned(), b"no json".to_vec())]);
    publish(&events, (0..120).map(|i| (0, "k".to_owned(), event(i).to_string().into_bytes())));
    let applied = |action: &str| {
        daemon.metric(&format!("driftgate_signals_total{{action=\"{action}\",outcome=\"ok\",sink=\"registry\"}}"))
    };
    wait_for("the block in the registry", || applied("block").filter(|n| *n > 0.0));
    wait_for("its end", || applied("clear").filter(|n| *n > 0.0));
    assert!(began.elapsed() < Duration::from_secs(4), "topics held the registry up: {:?}", began.elapsed());
    let (code, ready) = wait_for("what does not get through", || {
        let (code, ready) = daemon.get("/ready");
        ["sink verdicts", "sink signals", "dead_letters", "sink webhook-0"]
            .iter()
            .all(|part| ready.contains(&format!("delivery: {part}")))
            .then_some((code, ready))
    });
    assert!(code == 503 && ready.contains("does not exist") && ready.contains("404"), "{code} {ready}");
    let status = folder.driftgate(&format!("status --problems --server {}", daemon.url)).stdout;
    assert!(status.contains("verdicts does not answer: "), "{status}");
    assert_eq!(daemon.metric("driftgate_failing{part=\"sink verdicts\"}"), Some(1.0));
    assert!(daemon.metric("driftgate_delivery_failures_total{sink=\"webhook-0\"}").unwrap() > 0.0);

    open.store(true, Ordering::SeqCst);
    for name in [&verdicts, &signals, &dead] {
        make_topic(name, 1, &[]);
    }
    wait_for("readiness", || (daemon.get("/ready").0 == 200).then_some(()));
    wait_for("all verdicts", || (by_id(read(&verdicts), "verdict_id") == expected).then_some(()));
    let told = wait_for("all signals", || {
        let told = by_id(read(&signals), "signal_id");
        (told.len() == 2).then_some(told)
    });
    assert!(told.values().all(|s| s["outcome"] == "applied"), "{told:?}");
    assert_eq!(wait_for("the dead letter", || read(&dead).pop())["reason"], "not_json");
    let hooked = wait_for("the webhook's events", || {
        let heard = heard.lock().unwrap();
        let taken: Vec<Value> =
            heard.iter().filter(|(code, _)| *code == 200).map(|(_, e)| e["event"].clone()).collect();
        (taken.len() >= 2).then_some(taken)
    });
    assert_eq!(hooked, ["block", "clear"], "in order, once");
    for sink in ["verdicts", "signals", "dead-letters", "webhook-0"] {
        assert_eq!(daemon.metric(&format!("driftgate_undeliverable_total{{sink=\"{sink}\"}}")), Some(0.0), "{sink}");
    }
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn verdicts_too_large_for_the_topic_or_the_client_are_shortened_and_those_beside_them_are_whole() {
    for (name, setting, property) in [
        ("small-topic", &[("max.message.bytes", "6000")][..], ""),
        ("small-client", &[], ", properties: {\"message.max.bytes\": \"6000\"}"),
    ] {
        let (events, verdicts) = (topic(name, 1), format!("{name}-{}-verdicts", std::process::id()));
        make_topic(&verdicts, 1, setting);
        let (folder, expected) = shop(&events, &format!("{{verdicts: \"{verdicts}\"}}"));
        let config = folder.read("driftgate.yaml").replace(", group:", &format!("{property}, group:"));
        // A batch that is not compressed is as large as its records.
        let config = if property.is_empty() {
            config.replace(", group:", ", properties: {\"compression.type\": \"none\"}, group:")
        } else {
            config
        };
        folder.write("driftgate.yaml", config);
        let daemon = Daemon::start(&folder.path("driftgate.yaml"), &[]);
        publish(&events, (0..120).map(|i| (0, "k".to_owned(), event(i).to_string().into_bytes())));
        let found = wait_for("all verdicts", || {
            let found = by_id(read(&verdicts), "verdict_id");
            (found.len() == expected.len()).then_some(found)
        });
        let mut shortened = 0;
        for (id, verdict) in &found {
            if verdict.get("shortened").is_some() {
                shortened += 1;
                for key in ["status", "window", "version", "counted", "policy_sha256"] {
                    assert_eq!(verdict[key], expected[id][key]);
                }
            } else {
                assert_eq!(verdict, &expected[id]);
            }
        }
        let large = expected.values().filter(|v| v.to_string().len() > 6000).count();
        assert!(large > 0 && shortened >= large && shortened <= expected.len(), "{shortened} of {large}");
        assert_eq!(daemon.metric("driftgate_undeliverable_total{sink=\"verdicts\"}"), Some(0.0));
        assert_eq!(daemon.get("/ready").0, 200);
        assert_eq!(daemon.stop(), Some(0));
    }
}
