//! Every route through a real listener, over a registry in memory and a status view made by hand.

mod cluster;
mod golden;
mod over_time;
mod overview;
mod pictures;
mod schema;
mod session;
pub mod status_view;

use std::sync::Arc;

use reqwest::Method;
use reqwest::blocking::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{Access, App, Tokens, Traffic, serve};
use crate::ledger::Embedded;
use crate::sink::ingest::Ingest;
use crate::view::{Shared, View};
use driftgate_core::promotion::version::Registration;
use status_view::{END, HOUR, MODEL, status_view};

const AT: &str = "/api/v1/models/credit%20eu";

/// A server on a port of its own; ends with its value.
struct Server {
    base: String,
    view: Shared,
    client: Client,
    stop: Option<oneshot::Sender<()>>,
    served: Option<std::thread::JoinHandle<std::io::Result<()>>>,
}

impl Server {
    fn start(tokens: &str) -> Self {
        Self::showing(status_view(), tokens)
    }

    /// A server whose registry has version 1 in prod; everybody may read.
    fn showing(seen: View, tokens: &str) -> Self {
        Self::letting_in(seen, Access::open(Tokens::parse(tokens).unwrap()))
    }

    fn letting_in(seen: View, access: Access) -> Self {
        Self::keeping(seen, access, None)
    }

    /// The same with results over time.
    fn keeping(seen: View, access: Access, history: Option<crate::history::Reader>) -> Self {
        let registry = Embedded::in_memory().unwrap();
        registry
            .register(
                &Registration {
                    model: MODEL.into(),
                    version: "1".into(),
                    stage: Some("prod".into()),
                    ..Registration::default()
                },
                "test",
                0,
            )
            .unwrap();
        Self::over(seen, access, history, registry)
    }

    /// The same over another registry.
    fn over(seen: View, access: Access, history: Option<crate::history::Reader>, registry: Embedded) -> Self {
        let view = Shared::default();
        *view.write() = seen;
        let app = App {
            view: view.clone(),
            registry: Arc::new(registry),
            access: Arc::new(access),
            now_ms: || END + 10_000,
            history,
            traffic: Traffic::default(),
            ingest: Ingest::default(),
            series: super::metrics::Options::default(),
        };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        listener.set_nonblocking(true).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                serve(listener, app, async { stopped.await.unwrap_or_default() }).await
            })
        });
        let client = Client::builder().no_proxy().build().unwrap();
        Self { base, view, client, stop: Some(stop), served: Some(serving) }
    }

    fn ask(&self, method: Method, path: &str, token: Option<&str>, body: &str) -> Response {
        let request = self.client.request(method, format!("{}{path}", self.base)).body(body.to_owned());
        token.into_iter().fold(request, RequestBuilder::bearer_auth).send().unwrap()
    }

    fn get(&self, path: &str) -> (u16, Value) {
        self.answer(&Method::GET, path, None, "")
    }

    fn post(&self, path: &str, token: &str, body: &str) -> (u16, Value) {
        self.answer(&Method::POST, path, Some(token), body)
    }

    /// Status and JSON, which the OpenAPI document describes.
    fn answer(&self, method: &Method, path: &str, token: Option<&str>, body: &str) -> (u16, Value) {
        let response = self.ask(method.clone(), path, token, body);
        let (status, body) = (response.status().as_u16(), response.json().unwrap());
        schema::check(method.as_str(), path, status, &body);
        (status, body)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.client = Client::new();
        let _ = self.stop.take().unwrap().send(());
        let _ = self.served.take().unwrap().join();
    }
}

fn error(text: &str) -> Value {
    json!({"error": text})
}

#[test]
fn a_server_ends_when_it_is_told_to() {
    let mut server = Server::start("");
    server.ask(Method::GET, "/live", None, "");
    server.client = Client::new();
    server.stop.take().unwrap().send(()).unwrap();
    server.served.take().unwrap().join().unwrap().unwrap();
    (server.stop, server.served) = (Some(oneshot::channel().0), Some(std::thread::spawn(|| Ok(()))));
}

#[test]
fn a_probe_sees_what_is_waited_for() {
    let server = Server::start("");
    assert_eq!(server.ask(Method::GET, "/live", None, "").text().unwrap(), "live");
    assert_eq!(server.get("/ready"), (200, json!({"ready": true})));
    let brokers = crate::view::readiness::NotReady::Brokers { error: "no broker answers".into() };
    server.view.write().readiness.hold(brokers);
    assert_eq!(server.get("/ready"), (503, json!({"ready": false, "waiting": {"kafka": "no broker answers"}})));
    *server.view.write() = View::default();
    assert_eq!(server.get("/ready"), (503, json!({"ready": false, "waiting": {"daemon": "is starting"}})));
}

#[test]
fn where_reading_needs_a_token_a_probe_without_one_sees_the_state_alone() {
    const OF_ALL: &str = "all-0123456789abcdef0123456789";
    const OF_SOME: &str = "some-0123456789abcdef0123456789";
    let tokens = format!("{OF_ALL} viewer * ann\n{OF_SOME} viewer other_* bob\n");
    let server = Server::letting_in(View::default(), Access::closed(Tokens::parse(&tokens).unwrap()));
    let of = |token| server.answer(&Method::GET, "/ready", token, "");
    let state = json!({"ready": false});
    assert_eq!(of(None), (503, state.clone()));
    assert_eq!(of(Some("unknown")), (503, state.clone()), "a probe is answered whatever it sends");
    assert_eq!(of(Some(OF_SOME)), (503, state), "the sentences may name topics of other models");
    assert_eq!(of(Some(OF_ALL)), (503, json!({"ready": false, "waiting": {"daemon": "is starting"}})));
    server.view.write().started = true;
    assert_eq!(of(None), (200, json!({"ready": true})));
}

#[test]
fn inputs_are_shown_with_what_was_rejected_and_an_example() {
    let server = Server::start("");
    let (code, shown) = server.get("/api/v1/inputs");
    let input = &shown["inputs"][0];
    assert_eq!(
        (code, &input["topic"], &input["recent"]),
        (200, &json!("predictions"), &json!({"events": 15, "rejected": 3, "share": 0.2}))
    );
    assert_eq!(input["rejected"], json!({"not_json": 3}));
    assert_eq!(input["examples"]["not_json"]["offset"], 12);
    assert_eq!(shown["problems"], json!([input["problem"]]));
    assert!(input["problem"].as_str().unwrap().starts_with("3 of the last 15 events of \"predictions\" were rejected"));
    assert_eq!(server.get("/api/v1/status").1["inputs"], shown["inputs"]);
}

#[test]
fn models_and_versions_are_shown() {
    let server = Server::start("");
    let (code, list) = server.get("/api/v1/models");
    let model = &list["models"][0];
    assert_eq!(
        (code, &model["model"], &model["metadata"]),
        (200, &json!(MODEL), &json!({"severity": "page", "team": "ops"}))
    );
    let versions = model["versions"].as_array().unwrap();
    assert_eq!(versions.iter().map(|v| v["version"].as_str().unwrap()).collect::<Vec<_>>(), ["1", "2", "3"]);
    let one = &versions[0];
    assert_eq!((&one["stages"], &one["predictions"]), (&json!(["prod"]), &json!(6012)));
    assert_eq!(
        (&one["groups"]["drift"]["status"], &one["groups"]["fairness"]["status"]),
        (&json!("block"), &json!("warn"))
    );
    assert_eq!(versions[1]["groups"]["slo"], json!({"status": null}));
    assert_eq!(one["blocks"][0]["reasons"], json!(["drift/psi temp 0.31 breaks lt 0.2"]));
    assert_eq!(one["blocks"][0]["since"], "2013-03-08T00:00:00Z");
    assert_eq!(server.get(AT).1, *model);

    let (code, one) = server.get(&format!("{AT}/versions/1"));
    assert_eq!((code, &one["baseline"]), (200, &json!({"sha256": "b", "rows": 50_009})));
    assert_eq!((&one["registry"]["stages"], &one["stages"]), (&json!(["prod"]), &json!(["prod"])));
    let latest = status_view().models[MODEL].versions["1"].verdicts["drift"].latest().cloned().unwrap();
    assert_eq!(one["verdicts"]["drift"].to_string(), serde_json::to_string(&*latest).unwrap());
    let (_, three) = server.get(&format!("{AT}/versions/3"));
    assert_eq!(
        (&three["baseline"], &three["registry"]),
        (&json!({"error": "train_v3.parquet is not there"}), &Value::Null)
    );
}

#[test]
fn verdicts_come_newest_first() {
    let server = Server::start("");
    let ids = |query: &str| {
        let (code, list) = server.get(&format!("{AT}/versions/1/verdicts{query}"));
        assert_eq!(code, 200, "{list}");
        list["verdicts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v["verdict_id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids("?group=drift"), [format!("1-drift-{END}"), format!("1-drift-{}", END - 24 * HOUR)]);
    assert_eq!(ids("?group=drift&limit=1"), [format!("1-drift-{END}")]);
    assert_eq!(ids("").len(), 4);
    let (_, list) = server.get(&format!("{AT}/versions/1/verdicts?group=drift"));
    let (newest, older) = (&list["verdicts"][0], &list["verdicts"][1]);
    assert!(newest["results"][0]["bins"].is_array() && newest.get("brief").is_none(), "{newest}");
    let result = json!([{"rule": "drift/psi", "metric": "psi", "subject": "temp", "status": "pass", "value": 0.1}]);
    assert_eq!((&older["results"], &older["brief"]), (&result, &json!(true)));
    let at = format!("{AT}/versions/1/verdicts");
    assert_eq!(
        server.get(&format!("{at}?group=kpi")),
        (404, error(r#"model "credit eu" has no group "kpi"; its groups are drift, fairness, slo"#))
    );
    assert_eq!(server.get(&format!("{at}?limit=0")), (400, error("limit is 0; it can be 1 to 1000")));
    assert_eq!(server.get(&format!("{at}?limit=x")).0, 400);
    assert_eq!(server.get(&format!("{at}?grup=drift")).0, 400);
}

#[test]
fn a_model_whose_state_is_being_restored_is_asked_for_again() {
    let server = Server::start("");
    server.view.write().restoring.insert("late".into());
    let again = error(r#"the state of model "late" is still being restored after a start; ask again"#);
    assert_eq!(server.get("/api/v1/models/late"), (503, again.clone()));
    assert_eq!(server.get("/api/v1/gate/late/1?to=prod"), (503, again));
}

#[test]
fn what_is_not_there_is_answered_with_what_is() {
    let server = Server::start("");
    assert_eq!(server.get("/api/v1/models/x"), (404, error(r#"no policy is for model "x"; the models are credit eu"#)));
    let none = (404, error(r#"model "credit eu" has no version "9"; its versions are 1, 2, 3"#));
    assert_eq!(server.get(&format!("{AT}/versions/9")), none);
    assert_eq!(server.get(&format!("{AT}/versions/9/verdicts")), none);
    let (code, body) = server.get("/api/v2");
    assert!(
        code == 404
            && body["error"]
                .as_str()
                .unwrap()
                .starts_with("there is nothing at /api/v2; there are /, /page.js, /live, "),
        "{body}"
    );
    assert_eq!(server.get("/api/v1/models/%FF").0, 400);
    let response = server.ask(Method::DELETE, "/api/v1/models", None, "");
    assert_eq!((response.status().as_u16(), &response.headers()["allow"]), (405, &"GET,HEAD".parse().unwrap()));
    assert_eq!(
        response.json::<Value>().unwrap(),
        error("DELETE is not offered at /api/v1/models; the header Allow names what is")
    );
}

#[test]
fn the_gate_answers_200_whatever_it_says() {
    let server = Server::start("");
    let gate = |version: &str, to: &str| server.get(&format!("/api/v1/gate/credit%20eu/{version}?to={to}"));
    let (code, answer) = gate("1", "prod");
    assert_eq!(
        (code, &answer["verdict"], &answer["ok"], &answer["age_s"]),
        (200, &json!("block"), &json!(false), &json!(10))
    );
    assert!(answer["reasons"][0].as_str().unwrap().contains("drift/psi temp 0.31 breaks lt 0.2"), "{answer}");
    let (code, answer) = gate("2", "staging");
    assert_eq!(
        (code, &answer["verdict"], &answer["ok"], &answer["reasons"]),
        (200, &json!("pass"), &json!(true), &json!([]))
    );
    let (_, answer) = gate("2", "prod");
    assert_eq!(answer["verdict"], "block");
    let reason = |at: usize| answer["reasons"][at].as_str().unwrap();
    assert!(reason(0).starts_with("version \"2\" of \"credit eu\" is not registered: "), "{answer}");
    assert!(reason(1).starts_with("lineage is incomplete: "), "{answer}");
    let (code, answer) = gate("9", "prod");
    assert_eq!((code, &answer["verdict"]), (200, &json!("inconclusive")));
    let (code, answer) = gate("1", "moon");
    assert_eq!(code, 400, "{answer}");
    let missing = error(r#"name the stage to promote to with ?to=STAGE; the stages of "credit eu" are staging, prod"#);
    assert_eq!(server.get("/api/v1/gate/credit%20eu/1"), (400, missing));
    assert_eq!(server.get("/api/v1/gate/x/1?to=prod").0, 404);
}

const OP: &str = "op-0123456789abcdef0123456789";
const VIEW: &str = "view-0123456789abcdef0123456789";
const OTHER: &str = "other-0123456789abcdef0123456789";

fn tokens() -> String {
    format!("{OP} operator credit* alice\n{VIEW} viewer * bob\n{OTHER} operator fraud_* eve\n")
}

#[test]
fn a_version_is_registered_once() {
    let server = Server::start(&tokens());
    let at = format!("{AT}/versions/4");
    let (code, record) =
        server.post(&at, OP, r#"{"snapshot": "s3://train/4.parquet", "artifact_sha256": "aa", "stage": "staging"}"#);
    assert_eq!(
        (code, &record["version"], &record["snapshot"], &record["stages"]),
        (201, &json!("4"), &json!("s3://train/4.parquet"), &json!(["staging"])),
        "{record}"
    );
    assert_eq!(server.post(&at, OP, r#"{"artifact_sha256": "aa"}"#).0, 200);
    assert_eq!(server.post(&at, OP, "").0, 200);
    let (code, refused) = server.post(&at, OP, r#"{"artifact_sha256": "bb"}"#);
    assert!(code == 409 && refused["error"].as_str().unwrap().contains("another artifact_sha256"), "{refused}");
    assert_eq!(server.get(&format!("{AT}/versions/4")).1["registry"]["version"], "4");
    for body in ["{", "[1]", r#"{"stag": "prod"}"#, r#"{"model": "other"}"#, r#"{"stage": 3}"#] {
        let (code, refused) = server.post(&at, OP, body);
        assert!(
            code == 400 && refused["error"].as_str().unwrap().starts_with("the body is not what this takes: "),
            "{refused}"
        );
    }
    assert_eq!(server.post(&at, OP, &" ".repeat(1024 * 1024 + 1)).0, 413);
    let long = format!("{AT}/versions/{}", "v".repeat(300));
    assert_eq!(server.post(&long, OP, "").0, 400);
}

#[test]
fn changing_something_needs_the_right_token() {
    let server = Server::start(&tokens());
    let at = format!("{AT}/versions/4");
    let missing = server.ask(Method::POST, &at, None, "{}");
    assert_eq!(
        (missing.status().as_u16(), &missing.headers()["www-authenticate"]),
        (401, &r#"Bearer realm="driftgate""#.parse().unwrap())
    );
    assert_eq!(
        missing.json::<Value>().unwrap(),
        error("this needs a token: send the header `Authorization: Bearer TOKEN`")
    );
    assert_eq!(server.post(&at, "wrong", "{}"), (401, error("this token is not known")));
    assert_eq!(server.post(&at, VIEW, "{}"), (403, error("the token of bob has the role viewer, this needs operator")));
    assert_eq!(
        server.post(&at, OTHER, "{}"),
        (403, error(r#"the token of eve is for models "fraud_*", not for "credit eu""#))
    );
    assert_eq!(server.post("/api/v1/models/fraud_x/versions/1", OTHER, "{}").0, 404);
    assert_eq!(server.get(&at).0, 404);
    let (code, refused) = Server::start("").post(&at, OP, "{}");
    assert!(code == 403 && refused["error"].as_str().unwrap().contains("http.tokens_file"), "{refused}");
}

#[test]
fn the_page_carries_a_policy_that_allows_no_script_but_the_servers_own() {
    let server = Server::start("");
    let response = server.ask(Method::GET, "/", None, "");
    let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'; ") && policy.contains("; script-src 'self'; "), "{policy}");
    assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
    assert!(response.text().unwrap().starts_with("<!doctype html>"));
    let script = server.ask(Method::GET, "/page.js", None, "");
    assert_eq!(script.headers()["content-type"], "text/javascript; charset=utf-8");
    assert!(script.text().unwrap().contains("\"use strict\""));
}

#[test]
fn metrics_are_served_as_text() {
    let server = Server::start("");
    let response = server.ask(Method::GET, "/metrics", None, "");
    assert_eq!(response.headers()["content-type"], super::metrics::CONTENT_TYPE);
    let text = response.text().unwrap();
    assert!(text.contains("driftgate_version_stage{model=\"credit eu\",stage=\"prod\",version=\"1\"} 1\n"), "{text}");
    server.view.write().models.get_mut(MODEL).unwrap().versions.remove("2");
    let after = server.ask(Method::GET, "/metrics", None, "").text().unwrap();
    assert!(text.contains("version=\"2\"") && !after.contains("version=\"2\""), "{after}");
}
