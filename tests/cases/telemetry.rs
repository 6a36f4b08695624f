//! What the daemon reports of itself: the spans that follow one event through the log, and traces and metrics at a collector.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::broker::{Daemon, read, wait_for};
use super::otlp::{Point, points, resource, spans};
use super::service::{Service, serving};

const EXTERNAL: &str = "{controller: external, checks: [slo]}";

/// A service whose version 7 has drifted, so that it is blocked.
fn drifted(model: &str, extra: &str) -> Service {
    let service = Service::new(model, "", EXTERNAL, extra);
    service.shifted(0, 121, &[serving("7", "staging")], 50);
    service
}

/// The lines of a span, as they are logged when it ends.
fn lines(log: &str, name: &str) -> Vec<Value> {
    let parsed = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    parsed.filter(|l| l["message"] == "close" && l["span"]["name"] == name).map(|l| l["span"].clone()).collect()
}

#[test]
fn the_log_shows_the_way_of_one_event() {
    let service = drifted("fraud_spans", "");
    let daemon = Daemon::start(&service.config(), &[("RUST_LOG", "debug")]);
    let is_block = |s: &Value| s["action"] == "block" && s["group"] == "drift";
    let signal = wait_for("a signal", || read(&service.signals).into_iter().find(is_block));
    let verdict = &signal["verdict_id"];
    let of_signal = |sink: &str| {
        let lines = lines(&daemon.log(), "delivery");
        lines.into_iter().find(|span| span["sink"] == sink && span["verdict_id"] == *verdict)
    };
    for sink in ["registry", "signals"] {
        let delivery = wait_for(&format!("the delivery to {sink}"), || of_signal(sink));
        assert_eq!((&delivery["action"], &delivery["model"]), (&signal["action"], &signal["model"]), "{delivery}");
        assert_eq!(delivery["window_end"], signal["ts"], "{delivery}");
    }
    let log = daemon.log();
    let window = lines(&log, "window").into_iter().find(|span| span["verdict_id"] == *verdict).expect("its window");
    for (field, value) in [("version", "7"), ("group", "drift"), ("status", "block")] {
        assert_eq!(window[field], value, "{window}");
    }
    assert_eq!(window["window_end"], signal["ts"], "{window}");
    assert!(window["window_start"].as_str() < window["window_end"].as_str(), "{window}");
    // The first event of the partition, and the last one: 121 minutes of 30 events.
    let batches = lines(&log, "batch");
    for offset in [0, 121 * 30 - 1] {
        let holds = |span: &&Value| {
            let range = span["first_offset"].as_i64().unwrap_or(0)..span["next_offset"].as_i64().unwrap_or(0);
            span["topic"] == service.predictions && span["partition"] == 0 && range.contains(&offset)
        };
        let batch = batches.iter().find(holds).unwrap_or_else(|| panic!("no batch has the offset {offset}"));
        assert_eq!(batch["model"], service.model, "{batch}");
    }
    assert_eq!(daemon.stop(), Some(0));
}

/// What a collector was sent: the request's line and headers in lower case, and the body.
type Sent = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// A collector that takes everything.
fn collector() -> (String, Sent) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let sent = Sent::default();
    let kept = Arc::clone(&sent);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream);
            let mut head = String::new();
            while reader.read_line(&mut head).is_ok_and(|n| n > 2) {}
            let head = head.to_lowercase();
            let length =
                head.lines().find_map(|l| l.strip_prefix("content-length: ")?.trim().parse().ok()).unwrap_or(0);
            let mut body = vec![0; length];
            if reader.read_exact(&mut body).is_err() {
                continue;
            }
            kept.lock().unwrap().push((head, body));
            let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            let _ = reader.get_mut().write_all(answer.as_bytes());
        }
    });
    (url, sent)
}

/// The bodies that were sent to a path.
fn bodies(sent: &Sent, path: &str) -> Vec<Vec<u8>> {
    let sent = sent.lock().unwrap();
    sent.iter().filter(|(head, _)| head.starts_with(&format!("post {path} "))).map(|(_, body)| body.clone()).collect()
}

/// The points of a metric in the last export that has it.
fn last(sent: &Sent, metric: &str) -> Vec<Point> {
    let found = bodies(sent, "/v1/metrics").iter().map(|body| points(body, metric)).rfind(|points| !points.is_empty());
    found.unwrap_or_default()
}

#[test]
fn traces_and_metrics_reach_a_collector_the_last_ones_as_the_daemon_ends() {
    let (url, sent) = collector();
    let otlp = format!("otlp: {{endpoint: \"{url}/\", headers: {{x-tenant: \"${{TENANT}} 100%\"}}, interval: 1h}}\n");
    let service = drifted("fraud_otlp", &otlp);
    let daemon = Daemon::start(&service.config(), &[("TENANT", "ml")]);
    wait_for("a signal", || read(&service.signals).into_iter().find(|s| s["group"] == "drift"));
    let counted = "driftgate_predictions_total{model=\"fraud_otlp\",version=\"7\"}";
    let predictions = wait_for("predictions", || daemon.metric(counted).filter(|n| *n >= 121.0 * 30.0));
    assert!(bodies(&sent, "/v1/metrics").is_empty(), "an hour has not passed");
    assert!(lines(&daemon.log(), "batch").is_empty(), "the log is at info");
    assert_eq!(daemon.stop(), Some(0));

    assert!(sent.lock().unwrap().iter().all(|(head, _)| head.contains("\r\nx-tenant: ml 100%\r\n")));
    let traces = bodies(&sent, "/v1/traces");
    let spans: Vec<_> = traces.iter().flat_map(|body| spans(body)).collect();
    for (name, attribute, value) in [
        ("batch", "topic", service.predictions.as_str()),
        ("batch", "topic", service.labels.as_str()),
        ("window", "group", "drift"),
        ("window", "version", "7"),
        ("delivery", "sink", "registry"),
        ("delivery", "sink", "signals"),
    ] {
        let has =
            |span: &super::otlp::Span| span.name == name && span.attributes.contains(&(attribute.into(), value.into()));
        assert!(spans.iter().any(has), "no span {name} with {attribute}={value}");
    }
    let metrics = bodies(&sent, "/v1/metrics");
    for body in traces.iter().chain(&metrics) {
        let attributes = resource(body);
        assert!(attributes.contains(&("service.name".into(), "driftgate".into())), "{attributes:?}");
        let version = ("service.version".into(), env!("CARGO_PKG_VERSION").into());
        assert!(attributes.contains(&version), "{attributes:?}");
    }
    let point = Point {
        labels: vec![("model".into(), "fraud_otlp".into()), ("version".into(), "7".into())],
        value: predictions,
        is_counter: true,
    };
    assert_eq!(last(&sent, "driftgate_predictions_total"), [point]);
    let psi = last(&sent, "driftgate_psi");
    assert!(psi.iter().any(|p| p.value > 0.2 && !p.is_counter && p.labels.contains(&("feature".into(), "x".into()))));
    assert_eq!(last(&sent, "driftgate_otlp_failures_total").iter().map(|p| p.value).sum::<f64>(), 0.0);
}

#[test]
fn a_collector_that_is_away_stops_nothing_and_is_logged_once() {
    let away = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let service = drifted("fraud_away", &format!("otlp: {{endpoint: \"http://{away}\", interval: 200ms}}\n"));
    let daemon = Daemon::start(&service.config(), &[]);
    wait_for("a signal", || read(&service.signals).into_iter().find(|s| s["group"] == "drift"));
    let failures = |signal: &str| daemon.metric(&format!("driftgate_otlp_failures_total{{signal=\"{signal}\"}}"));
    wait_for("failures of metrics", || failures("metrics").filter(|n| *n >= 3.0));
    wait_for("failures of traces", || failures("traces").filter(|n| *n >= 1.0));
    let told = daemon.log().lines().filter(|l| l.contains("did not take an export")).count();
    assert_eq!(told, 2, "one line per signal");
    let began = Instant::now();
    assert_eq!(daemon.stop(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}
