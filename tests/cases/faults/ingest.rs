//! Events posted over HTTP while the broker is killed and comes back: what was answered with 202 is in the topic and is counted, and what was not
//! is told to be sent again.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::blocking::{Client, Response};
use serde_json::{Value, json};

use super::own_broker::OwnBroker;
use crate::broker::{Daemon, read_from, wait_for};
use crate::support::{Folder, Shop};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Posts to a daemon.
struct Sender<'d> {
    daemon: &'d Daemon,
    http: Client,
}

impl Sender<'_> {
    fn post(&self, path: &str, headers: &[(&str, &str)], body: impl Into<reqwest::blocking::Body>) -> Response {
        let request = self.http.post(format!("{}{path}", self.daemon.url)).bearer_auth(TOKEN).body(body);
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).send().unwrap()
    }

    /// A prediction in the mode that its number says.
    fn predict(&self, i: i64) -> Response {
        let id = format!("p{i}");
        let ts = 1_700_000_000_000_i64 + i;
        let event = json!({"prediction_id": id, "model": "shop", "version": "1", "ts": ts, "score": 0.5, "features": {"amount": 1}});
        let envelope = |data: &Value| json!({"specversion": "1.0", "id": id, "source": "test", "type": "prediction", "data": data});
        match i % 3 {
            0 => {
                let headers = [
                    ("content-type", "application/json"),
                    ("ce-specversion", "1.0"),
                    ("ce-id", id.as_str()),
                    ("ce-source", "test%20one"),
                    ("ce-type", "prediction"),
                    ("ce-partitionkey", id.as_str()),
                ];
                self.post("/events/shop", &headers, event.to_string())
            }
            1 => self.post(
                "/events/shop",
                &[("content-type", "application/cloudevents+json")],
                envelope(&event).to_string(),
            ),
            _ => {
                let batch = json!([envelope(&event)]).to_string();
                self.post("/events/shop", &[("content-type", "application/cloudevents-batch+json")], batch)
            }
        }
    }
}

fn folder(broker: &OwnBroker) -> Folder {
    let folder: Folder = Shop::folder();
    folder.write_secret("token", TOKEN);
    folder.write(
        "driftgate.yaml",
        format!(
            "policies: [policy.yaml]\n\
             kafka: {{brokers: \"{}\", group: shop, properties: {{message.timeout.ms: \"3000\"}}}}\n\
             sources:\n\
             - {{http: {{path: /events/shop, token_file: token, body_bytes: 1KiB}}, topic: predictions, kind: predictions, format: cloudevents}}\n\
             - {{http: /events/outcomes, topic: labels, kind: labels}}\n\
             idle_after: 2s\nregistry: {{embedded: {{path: registry.db}}}}\nstate: {{path: state, every: 1s}}\n\
             http: {{listen: \"127.0.0.1:0\"}}\n",
            broker.address()
        ),
    );
    folder
}

/// The id of a prediction, in either mode.
fn id(event: &Value) -> String {
    event["prediction_id"].as_str().or(event["data"]["prediction_id"].as_str()).unwrap().to_owned()
}

#[test]
fn what_was_answered_with_202_is_in_the_topic_and_counts_over_the_death_of_a_broker() {
    let broker = OwnBroker::start();
    broker.make_topic("predictions", 3);
    let folder = folder(&broker);
    broker.make_topic("labels", 1);
    let daemon = Daemon::start(&folder.path("driftgate.yaml"), &[]);
    let sender = Sender { daemon: &daemon, http: Client::builder().no_proxy().build().unwrap() };
    refused(&sender);

    let (is_over, mut taken, mut statuses) = (AtomicBool::new(false), BTreeSet::new(), BTreeSet::new());
    std::thread::scope(|scope| {
        let posting = scope.spawn(|| {
            let (mut taken, mut statuses) = (BTreeSet::new(), BTreeSet::new());
            for i in 0_i64.. {
                let answer = sender.predict(i);
                if answer.status() == StatusCode::ACCEPTED {
                    taken.insert(format!("p{i}"));
                } else {
                    assert_eq!(answer.headers()["retry-after"], "1");
                    std::thread::sleep(Duration::from_millis(20));
                }
                statuses.insert(answer.status().as_u16());
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
            }
            (taken, statuses)
        });
        let accepted = "driftgate_ingest_events_total{outcome=\"accepted\",topic=\"predictions\"}";
        let more = |than: f64| wait_for("events to be taken", || daemon.metric(accepted).filter(|n| *n > than));
        let before = more(100.0);
        broker.kill();
        wait_for("the status to say so", || {
            let (_, status) = daemon.get("/api/v1/status");
            status.contains("events over HTTP for predictions are refused").then_some(())
        });
        // A second sender is refused at once while another one's event is tried.
        wait_for("an answer that nothing was sent", || {
            (sender.predict(-3).status() == StatusCode::TOO_MANY_REQUESTS).then_some(())
        });
        broker.start_again();
        more(before + 100.0);
        is_over.store(true, Ordering::Relaxed);
        (taken, statuses) = posting.join().unwrap();
    });
    assert!(statuses.contains(&202) && statuses.contains(&503), "{statuses:?}");
    let there: BTreeSet<String> = read_from(&broker.address(), "predictions").iter().map(id).collect();
    let lost: Vec<&String> = taken.difference(&there).collect();
    assert!(lost.is_empty(), "of {} that were taken, {} are not there: {lost:?}", taken.len(), lost.len());
    // All of them are events, of whichever mode.
    super::wait_counted(&daemon, "1", there.len() as f64);
    assert_eq!(daemon.metric("driftgate_rejected_events_total{reason=\"bad_cloudevent\""), None);
    assert_eq!(daemon.stop(), Some(0));
}

/// What is no event, or of nobody who may post, is refused by its status, and nothing of it is sent.
fn refused(sender: &Sender<'_>) {
    let said = |answer: Response, status: u16, words: &str| {
        let found = answer.status().as_u16();
        let text = answer.text().unwrap();
        assert!(found == status && text.contains(words), "{found}: {text}");
    };
    let json = [("content-type", "application/json")];
    let long = "x".repeat(1025);
    said(sender.post("/events/shop", &json, long.clone()), 413, "longer than 1024 bytes");
    let chunks = reqwest::blocking::Body::new(std::io::Cursor::new(long));
    said(sender.post("/events/shop", &json, chunks), 413, "longer than 1024 bytes");
    said(sender.post("/events/shop", &json, ""), 400, "the body is empty");
    said(sender.post("/events/shop", &[("content-type", "application/cloudevents-batch+json")], "{}"), 400, "no batch");
    said(sender.post("/events/shop", &[("content-encoding", "gzip")], "x"), 415, "encoded (gzip)");
    said(sender.post("/events/shop", &[("origin", "https://example.com")], "x"), 403, "a page of a browser");
    said(sender.post("/events/elsewhere", &json, "{}"), 404, "no source takes events at /events/elsewhere");
    let url = format!("{}/events/shop", sender.daemon.url);
    let unknown = [
        sender.http.post(&url),
        sender.http.post(&url).bearer_auth("x"),
        sender.http.post(&url).basic_auth("a", Some(TOKEN)),
    ];
    for request in unknown {
        let answer = request.body("{}").send().unwrap();
        assert_eq!(answer.headers()["www-authenticate"], r#"Bearer realm="driftgate""#);
        said(answer, 401, "with the token of the source");
    }
    assert_eq!(sender.http.get(&url).send().unwrap().status(), 405);
    // Without a token in the configuration everybody may post.
    let open = format!("{}/events/outcomes", sender.daemon.url);
    let label = json!({"prediction_id": "p1", "model": "shop", "ts": 1_700_000_000_001_i64, "label": 1});
    assert_eq!(sender.http.post(open).body(label.to_string()).send().unwrap().status(), 202);
    let counted = |outcome: &str| {
        sender.daemon.metric(&format!("driftgate_ingest_events_total{{outcome=\"{outcome}\",topic=\"predictions\"}}"))
    };
    let all = ["accepted", "too_large", "invalid", "unauthorized"].map(|outcome| counted(outcome).unwrap());
    assert_eq!(all, [0.0, 2.0, 3.0, 4.0]);
}
