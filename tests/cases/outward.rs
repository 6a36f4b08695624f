//! What the daemon tells others and asks others: webhooks, Flagger's hooks, Prometheus, and the audit log's anchor.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};

use super::broker::{Daemon, read, topic, wait_for};
use super::service::{Service, serving, token};
use super::support::{Folder, Served};

const EXTERNAL: &str = "{controller: external, checks: [slo]}";

/// Answers every request with a body and gives what was sent: the first line, headers in lower case, the body.
fn listener(answer: &'static str) -> (String, Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (send, received) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream);
            let mut head = String::new();
            while reader.read_line(&mut head).is_ok_and(|n| n > 2) {}
            let head = head.to_lowercase();
            let length =
                head.lines().find_map(|l| l.strip_prefix("content-length: ")?.trim().parse().ok()).unwrap_or(0);
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let text = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{answer}",
                answer.len()
            );
            reader.get_mut().write_all(text.as_bytes()).unwrap();
            let _ = send.send((head, String::from_utf8(body).unwrap()));
        }
    });
    (url, received)
}

/// A receiver of events of `OpenLineage`, whose client says whether they are as its schemas have them.
struct Lineage {
    served: Served,
    received: PathBuf,
}

impl Lineage {
    fn start(received: PathBuf) -> Self {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/support/lineage.sh");
        Self { served: Served::start(Command::new(script).arg(&received)), received }
    }

    /// Waits for the run of the promotion of a version; every event that came is valid.
    fn has_run(&self, job: &str, version: &str) {
        wait_for("the run of the promotion", || {
            let lines = std::fs::read_to_string(&self.received).unwrap_or_default();
            let all: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            assert!(all.iter().all(|of| of["valid"] == true), "{all:?}");
            let is_run = |event: &Value| {
                event["job"]["name"] == job && event["outputs"][0]["facets"]["version"]["datasetVersion"] == version
            };
            let run = |of: &Value| of["event"]["run"]["runId"].clone();
            let started = all.iter().find(|of| is_run(&of["event"]) && of["event"]["eventType"] == "START")?;
            let ends = |of: &&Value| run(of) == run(started) && of["event"]["eventType"] == "COMPLETE";
            all.iter().find(ends).map(|_| ())
        });
    }
}

#[test]
fn flagger_is_gated_told_and_listened_to_and_webhooks_hear_of_it() {
    let (url, heard) = listener("");
    let anchor = topic("audit", 1);
    let service = Service::new("fraud_flagger", "", EXTERNAL, &format!("audit: {{topic: {anchor}}}\n"));
    let config = service.folder.read("driftgate.yaml");
    service.folder.write("hook.secret", "shared\n");
    let lineage = Lineage::start(service.folder.path("runs.jsonl"));
    service.folder.write(
        "driftgate.yaml",
        config.replace(
            "publish: {",
            &format!(
                "publish: {{webhooks: [{{url: \"{url}/hook\", secret_file: hook.secret}}, {{url: \"{}\", template: openlineage}}], ",
                lineage.served.said
            ),
        ),
    );
    let daemon = Daemon::start(&service.config(), &[]);
    service.register(&daemon, "6", "7");
    service.minutes(0, 121, &[serving("6", "prod"), serving("7", "staging")]);
    service.wait_until_judged(&daemon, "7", 120);
    service.wait_for_gate(&daemon, "7", 4);
    let hook = |name: &str, phase: &str, token: Option<&str>| {
        let body = json!({
            "name": "fraud-detector", "namespace": "ml", "phase": phase, "checksum": "1",
            "metadata": {"model": "fraud_flagger", "version": "7", "to": "prod"},
        });
        let request = reqwest::blocking::Client::builder().no_proxy().build().unwrap();
        let request = request.post(format!("{}/hooks/flagger/{name}", daemon.url)).json(&body);
        let answer = token.into_iter().fold(request, reqwest::blocking::RequestBuilder::bearer_auth).send().unwrap();
        (answer.status().as_u16(), answer.text().unwrap())
    };
    let (code, text) = hook("confirm-rollout", "Waiting", None);
    assert!(code == 403 && text.contains("0 of 2 approvals"), "{code} {text}");
    service.approve(&daemon, "7");
    assert_eq!(hook("confirm-rollout", "Waiting", None).0, 200);
    // Argo reads the same answer as JSON, always with 200.
    let (code, answer) = daemon.get("/api/v1/gate/fraud_flagger/7?to=prod");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((code, &answer["verdict"], &answer["ok"]), (200, &json!("pass"), &json!(true)));

    service.run(&daemon, "op", "promote fraud_flagger 7").exits(0).prints("Progressing");
    assert_eq!(service.standing(&daemon, "prod").as_deref(), Some("6"), "another controller moves the traffic");
    assert_eq!(hook("rollback", "Progressing", None).0, 403, "nothing asks for a rollback");
    assert_eq!(hook("event", "Progressing", None).0, 200);
    assert_eq!(hook("post-rollout", "Succeeded", None).0, 401, "an end needs a token");
    assert_eq!(service.standing(&daemon, "prod").as_deref(), Some("6"));
    // What the gate passed on is not what would go to prod now.
    service.run(&daemon, "op", "evidence add fraud_flagger 7 --set code_commit=git:deadbeef").exits(0);
    let (code, text) = hook("post-rollout", "Succeeded", Some(&token("op")));
    assert!(code == 409 && text.contains("0 of 2 approvals"), "{code} {text}");
    service.run(&daemon, "op", "rollout succeeded fraud_flagger").exits(2).says("does not pass any more");
    assert_eq!(service.standing(&daemon, "prod").as_deref(), Some("6"));
    service.run(&daemon, "op", "evidence add fraud_flagger 7 --set code_commit=git:1234abcd").exits(0);
    assert_eq!(hook("post-rollout", "Succeeded", Some(&token("op"))).0, 200);
    assert_eq!(service.standing(&daemon, "prod").as_deref(), Some("7"));
    service.run(&daemon, "op", "rollback fraud_flagger --reason practice").exits(0);
    service.run(&daemon, "op", "rollback fraud_flagger --to 7 --reason again").exits(2).says("rolled back itself");
    service.run(&daemon, "op", "register fraud_flagger 8 --stage Prod").exits(2).says("knows no stage");
    assert_eq!(hook("rollback", "Progressing", None).0, 200, "2xx means roll back");
    assert_eq!(hook("no-such-hook", "", None).0, 404);
    for (how_long, code, says) in
        [("--for 31d", 2, "30 days"), ("--until 9999-01-01T00:00:00Z", 2, "30 days"), ("--for 30d", 0, "")]
    {
        let command = format!("override fraud_flagger 7 --rule slo/p95 --reason known {how_long}");
        service.run(&daemon, "op", &command).exits(code).says(says);
    }

    let mut events = Vec::new();
    wait_for("the webhook of the rollback", || {
        while let Ok((head, body)) = heard.try_recv() {
            assert!(head.starts_with("post /hook") && head.contains("x-driftgate-signature: sha256="), "{head}");
            let event: Value = serde_json::from_str(&body).unwrap();
            events.push(event);
        }
        events.iter().any(|e| e["event"] == "stage" && e["rollback"] == true).then_some(())
    });
    lineage.has_run("fraud_flagger.promote_to_prod", "7");
    for event in ["approval", "promotion", "stage", "phase"] {
        assert!(events.iter().any(|e| e["event"] == event), "no {event} among {events:?}");
    }
    assert!(!events.iter().any(|e| e.to_string().contains("-token")), "{events:?}");
    assert!(!daemon.log().contains(&token("op")) && !daemon.log().contains(&token("owner")));
    wait_for("the anchor", || (!read(&anchor).is_empty()).then_some(()));
    assert_eq!(daemon.stop(), Some(0));

    // The last records may be written as it stops, and anchored when it runs again.
    let anchored = read(&anchor).iter().filter_map(|head| head["seq"].as_i64()).max();
    the_anchor_shows_a_cut_log(&service.folder, anchored.expect("a signed head"));
}

/// Somebody with the database takes the records from the last anchored one on away, and everything that vouches for them
/// there. What the registry has beside them stays.
fn the_anchor_shows_a_cut_log(folder: &Folder, last: i64) {
    folder.driftgate("audit verify --config driftgate.yaml").exits(0);
    let database = rusqlite::Connection::open(folder.path("registry/registry.db")).unwrap();
    // Where the database itself shows nothing: at a record that a signature is of.
    let sealed = "SELECT max(seq) FROM audit_checkpoints WHERE seq < ?1";
    let cut: i64 = database.query_row(sealed, [last], |row| row.get(0)).unwrap();
    database
        .execute_batch(&format!(
            "DROP TRIGGER audit_never_goes; DELETE FROM audit WHERE seq > {cut}; DELETE FROM audit_checkpoints WHERE seq > {cut};"
        ))
        .unwrap();
    drop(database);
    // The registry is ahead of what is left of it.
    let alone = folder.driftgate("audit verify --config driftgate.yaml --no-anchors").exits(1);
    alone.prints("does not follow from the log");
    let found = folder.driftgate("audit verify --config driftgate.yaml").exits(1);
    assert!(found.stdout.contains(&last.to_string()), "{}", found.stdout);
}

#[test]
fn a_prometheus_query_becomes_measurements_that_are_judged() {
    let answer = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"version":"7"},"value":[1700000000,"0.61"]}]}}"#;
    let (url, asked) = listener(answer);
    let measurements = topic("measurements", 1);
    let service = Service::new("fraud_cost", "", EXTERNAL, "");
    let policy = service.folder.read("policy.yaml").replace(
        "transitions:",
        "  business:\n    window: {size: 1m, slide: 1m}\n    rules: [{measured: {id: cost, of: cost_per_1k, lt: 0.5}}]\ntransitions:",
    );
    service.folder.write("policy.yaml", policy);
    let config = service.folder.read("driftgate.yaml").replace(
        "idle_after: 1s\n",
        &format!(
            "- {{topic: {measurements}, kind: measurements, format: json}}\nidle_after: 1s\n\
             prometheus: [{{url: \"{url}\", query: cost, model: fraud_cost, metric: cost_per_1k, topic: {measurements}, every: 300ms}}]\n"
        ),
    );
    service.folder.write("driftgate.yaml", config);
    let daemon = Daemon::start(&service.config(), &[]);
    wait_for("a question", || asked.try_recv().ok());
    let sample = wait_for("a measurement", || read(&measurements).into_iter().next());
    assert_eq!(
        sample,
        json!({"model": "fraud_cost", "version": "7", "ts": 1_700_000_000_000_i64, "metric": "cost_per_1k", "value": 0.61, "n": 1})
    );
    assert_eq!(daemon.stop(), Some(0));
}
