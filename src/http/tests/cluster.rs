//! A process of a cluster that does not own the ledger: what it answers, and where it sends changes.

use reqwest::Method;
use reqwest::blocking::Client;
use reqwest::redirect::Policy as Redirects;
use serde_json::{Value, json};

use super::status_view::{END, status_view};
use super::{AT, OP, Server};
use crate::view::View;
use crate::view::cluster::{ClaimView, ClusterView, Member, Role, UnitView};

const NOW: i64 = END + 10_000;
const GATE: &str = "/api/v1/gate/credit%20eu/2?to=staging";

fn member(instance: &str, owns: bool) -> Member {
    let advertise = format!("http://{instance}.example:9464");
    Member { instance: instance.into(), advertise, host: "/10.0.0.1".into(), owns, units: Vec::new() }
}

/// Process b, whose copy was at the end of the ledger two seconds ago; process a owns the ledger.
fn standby() -> ClusterView {
    ClusterView {
        instance: "b".into(),
        advertise: "http://b.example:9464".into(),
        session: std::time::Duration::from_secs(6),
        owner: Some(member("a", true)),
        members: vec![member("a", true), member("b", false)],
        units: vec![UnitView {
            name: "credit eu".into(),
            models: vec!["credit eu".into()],
            owner: Some(member("a", true)),
            claim: Some(ClaimView { seq: 7, writer: "a".into(), at_ms: NOW - 3000 }),
            ..UnitView::default()
        }],
        ledger_seq: 42,
        copy_at_ms: Some(NOW - 2000),
        checked_at_ms: Some(NOW - 1000),
        ..ClusterView::default()
    }
}

/// A server of a process that is this one. It does not follow redirects.
fn server(cluster: ClusterView) -> Server {
    let seen = View { cluster: Some(cluster), started: false, ..status_view() };
    let mut server = Server::start(&format!("{OP} operator+approver * ana\n"));
    *server.view.write() = seen;
    server.client = Client::builder().no_proxy().redirect(Redirects::none()).build().unwrap();
    server
}

#[test]
fn the_gate_of_a_standby_passes_by_a_copy_that_is_current_and_says_so() {
    let server = server(standby());
    let (code, answer) = server.get(GATE);
    assert_eq!((code, &answer["verdict"]), (200, &json!("pass")));
    assert_eq!(answer["copy"], json!({"age_ms": 2000, "owner": "a"}));
    // The owner says nothing of copies.
    server.view.write().cluster.as_mut().unwrap().role = Role::Owner;
    let (_, answer) = server.get(GATE);
    assert_eq!((&answer["verdict"], answer.get("copy")), (&json!("pass"), None));
}

#[test]
fn no_gate_passes_without_an_owner_or_by_an_old_copy() {
    let never_passes = |cluster: ClusterView, why: &str, copy: &Value| {
        let server = server(cluster);
        let (code, answer) = server.get(GATE);
        assert_eq!((code, &answer["verdict"], &answer["ok"]), (200, &json!("inconclusive"), &json!(false)));
        assert!(answer["reasons"][0].as_str().unwrap().contains(why), "{answer}");
        assert_eq!(answer["copy"], *copy);
        let explained = server.get(&format!("{AT}/versions/2/explain")).1;
        assert_eq!(explained["gates"]["staging"]["verdict"], "inconclusive", "{explained:#}");
        let metrics = server.ask(Method::GET, "/metrics", None, "").text().unwrap();
        assert!(
            metrics.contains("driftgate_gate_pass{")
                && !metrics.lines().any(|l| l.starts_with("driftgate_gate_pass") && l.ends_with(" 1"))
        );
        let hook = json!({"name": "credit eu", "metadata": {"version": "2", "to": "staging"}}).to_string();
        assert_eq!(server.ask(Method::POST, "/hooks/flagger/confirm-rollout", None, &hook).status(), 403);
        let problems = server.get("/api/v1/status").1["problems"].clone();
        let told = |p: &Value| p["problem"].as_str().unwrap().contains(why);
        assert!(problems.as_array().unwrap().iter().any(told), "{problems}");
    };
    let no_owner = ClusterView { owner: None, ..standby() };
    never_passes(
        no_owner.clone(),
        "no process of the cluster owns the ledger",
        &json!({"age_ms": 2000, "owner": null}),
    );
    for role in [Role::TakingOver, Role::GivingBack] {
        never_passes(ClusterView { role, ..no_owner.clone() }, "no process", &json!({"age_ms": 2000, "owner": null}));
    }
    let mut uncounted = standby();
    uncounted.units[0].owner = None;
    let why = "no process of the cluster counts the unit \"credit eu\"";
    never_passes(uncounted, why, &json!({"age_ms": 2000, "owner": "a"}));
    let old = ClusterView { copy_at_ms: Some(NOW - 16_001), ..standby() };
    never_passes(old, "16 s ago, more than 16 s", &json!({"age_ms": 16_001, "owner": "a"}));
    let new = ClusterView { copy_at_ms: None, ..standby() };
    never_passes(new, "has not read the cluster's ledger to its end yet", &json!({"age_ms": null, "owner": "a"}));
}

#[test]
fn an_owner_that_is_cut_off_from_the_brokers_passes_no_gate() {
    let server = server(ClusterView { role: Role::Owner, checked_at_ms: Some(NOW - 6_001), ..standby() });
    let (_, answer) = server.get(GATE);
    assert_eq!((&answer["verdict"], answer.get("copy")), (&json!("inconclusive"), None));
    assert!(answer["reasons"][0].as_str().unwrap().contains("another process may have decided since"), "{answer}");
    server.view.write().cluster.as_mut().unwrap().checked_at_ms = Some(NOW - 6_000);
    assert_eq!(server.get(GATE).1["verdict"], "pass");
}

#[test]
fn an_owner_that_may_be_replaced_refuses_nothing_by_what_it_knew() {
    let server = server(ClusterView { role: Role::Owner, checked_at_ms: Some(NOW - 4_001), ..standby() });
    let path = format!("{AT}/versions/unknown/evidence");
    let ask = || server.ask(Method::POST, &path, Some(OP), r#"{"tests": "pass"}"#);
    // Another process may have registered it since.
    let answer = ask();
    assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].as_bytes()), (503, b"1".as_slice()));
    let told = answer.json::<Value>().unwrap()["error"].as_str().unwrap().to_owned();
    assert!(told.starts_with("nothing is changed: this process last learned 4 s ago who owns what"), "{told}");
    server.view.write().cluster.as_mut().unwrap().checked_at_ms = Some(NOW - 4_000);
    assert_eq!(ask().status(), 404);
}

#[test]
fn a_change_is_sent_to_the_owner_once_the_caller_is_known() {
    let server = server(standby());
    let path = format!("{AT}/freeze");
    let answer = server.ask(Method::POST, &path, Some(OP), r#"{"reason": "drill"}"#);
    assert_eq!(answer.status(), 307);
    assert_eq!(answer.headers()["location"], format!("http://a.example:9464{path}"));
    assert!(answer.json::<Value>().unwrap()["error"].as_str().unwrap().contains("http://a.example:9464 does"));
    // Who may not change anything is not told where it is done.
    assert_eq!(server.ask(Method::POST, &path, None, "{}").status(), 401);
    assert_eq!(server.ask(Method::POST, &path, Some("unknown"), "{}").status(), 401);
    let approval = server.ask(Method::POST, &format!("{AT}/versions/2/approvals"), Some(OP), "{}");
    assert_eq!(approval.status(), 307);
    let ended =
        json!({"name": "credit eu", "phase": "Succeeded", "metadata": {"version": "2", "token": OP}}).to_string();
    let told = server.ask(Method::POST, "/hooks/flagger/event", None, &ended);
    assert_eq!(
        (told.status().as_u16(), &told.headers()["location"]),
        (307, &"http://a.example:9464/hooks/flagger/event".parse().unwrap())
    );
    // A step changes nothing, and is noted anywhere.
    let step = json!({"name": "credit eu", "phase": "Progressing", "metadata": {"version": "2"}}).to_string();
    assert_eq!(server.ask(Method::POST, "/hooks/flagger/event", None, &step).status(), 200);
    assert_eq!(server.get(AT).1["frozen"], Value::Null);
    server.view.write().cluster.as_mut().unwrap().owner = None;
    let answer = server.ask(Method::POST, &path, Some(OP), "{}");
    assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (503, &"1".parse().unwrap()));
    server.view.write().cluster.as_mut().unwrap().role = Role::Owner;
    assert_eq!(server.ask(Method::POST, &path, Some(OP), r#"{"reason": "drill"}"#).status(), 200);
}

#[test]
fn a_standby_is_ready_once_its_copy_has_reached_the_end_of_the_ledger() {
    let server = server(ClusterView { copy_at_ms: None, ..standby() });
    let waiting = "its copy of the registry has not reached the end of the cluster's ledger yet";
    assert_eq!(
        server.get("/ready"),
        (503, json!({"ready": false, "state": "standby", "waiting": {"the cluster's ledger": waiting}}))
    );
    server.view.write().cluster.as_mut().unwrap().copy_at_ms = Some(NOW);
    assert_eq!(server.get("/ready"), (200, json!({"ready": true, "state": "standby"})));
    server.view.write().cluster.as_mut().unwrap().role = Role::Owner;
    assert_eq!(server.get("/ready").0, 503, "an owner that has not started is not ready");
    server.view.write().started = true;
    assert_eq!(server.get("/ready"), (200, json!({"ready": true, "state": "owner"})));
}

#[test]
fn a_process_tells_of_its_cluster() {
    let server = server(standby());
    let (code, told) = server.get("/api/v1/cluster");
    assert_eq!(
        (code, told),
        (
            200,
            json!({
                "instance": "b", "advertise": "http://b.example:9464", "role": "standby", "owner": "a",
                "units": [{"unit": "credit eu", "models": ["credit eu"], "role": "standby", "owner": "a",
                    "claim": {"seq": 7, "writer": "a", "at": "2013-03-08T00:00:07Z", "age_ms": 3000}}],
                "members": [
                    {"instance": "a", "advertise": "http://a.example:9464", "host": "/10.0.0.1", "owns": true, "units": []},
                    {"instance": "b", "advertise": "http://b.example:9464", "host": "/10.0.0.1", "owns": false, "units": []},
                ],
                "claim": {"seq": 7, "writer": "a", "at": "2013-03-08T00:00:07Z", "age_ms": 3000},
                "ledger_seq": 42, "copy_age_ms": 2000, "checked_age_ms": 1000, "lag": null, "takeovers": 0, "session_ms": 6000,
            })
        )
    );
    assert_eq!(server.get("/api/v1/status").1["cluster"]["owner"], "a");
    server.view.write().cluster.as_mut().unwrap().role = Role::Owner;
    assert_eq!(server.get("/api/v1/cluster").1["lag"], 10);
    server.view.write().cluster = None;
    assert_eq!(server.get("/api/v1/cluster").0, 409);
    assert_eq!(server.get("/api/v1/status").1.get("cluster"), None);
}

#[test]
fn what_the_owner_does_is_no_problem_of_a_standby() {
    let server = server(standby());
    let problems = server.get("/api/v1/status").1["problems"].clone();
    let told: Vec<&str> = problems.as_array().unwrap().iter().map(|p| p["problem"].as_str().unwrap()).collect();
    assert!(!told.iter().any(|p| p.contains("not ready") || p.contains("messages wait")), "{told:?}");
}
