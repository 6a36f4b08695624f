//! Who may do what: every route of the daemon's table is asked by everybody, and the answers are the matrix of
//! docs/security.md. A route that is new, or needs something else, fails here until the page says so.

use driftgate::http::routes::{Needs, ROUTES, Route};
use reqwest::Method;
use reqwest::blocking::{Client, RequestBuilder};
use serde_json::{Value, json};

use crate::broker::Daemon;
use crate::service::{CANARY, Service, token};

const PAGE: &str = include_str!("../../../docs/security.md");
const BEGINS: &str = "<!-- the matrix, as cases/attacks/matrix measures it -->\n\n";
const ENDS: &str = "\n<!-- its end -->";

/// Name, roles and models of whoever asks; the first sends nothing.
const CALLERS: [(&str, &str, &str); 6] = [
    ("no token", "", ""),
    ("of another model", "operator+approver", "other_*"),
    ("viewer", "viewer", "matrix"),
    ("approver", "approver:owner", "matrix"),
    ("operator", "operator", "matrix"),
    ("operator+approver", "operator+approver", "*"),
];

/// A route, and whether the hook tells an end.
fn rows() -> Vec<(&'static Route, bool)> {
    let ends = |route: &'static Route| if route.needs == Needs::Report { vec![false, true] } else { vec![false] };
    ROUTES.iter().flat_map(|route| ends(route).into_iter().map(move |end| (route, end))).collect()
}

/// What the table says.
fn expected(route: &Route, end: bool, caller: &str, open: bool) -> bool {
    let known = caller != "no token";
    let ours = known && caller != "of another model";
    // Lists are cut to the models of whoever asks.
    let may_read = open || if route.path.contains("{model}") || route.is_hook() { ours } else { known };
    let operates = matches!(caller, "operator" | "operator+approver");
    match route.needs {
        // The source asks for no token.
        Needs::Probe | Needs::Metrics | Needs::SignIn | Needs::Ingest => true,
        // A token is none of a person who is signed in.
        Needs::Act => false,
        Needs::Report if end => operates,
        Needs::Page | Needs::Read | Needs::Report => may_read,
        Needs::Approve => matches!(caller, "approver" | "operator+approver"),
        Needs::Operate => operates,
    }
}

fn secret(caller: &str) -> String {
    token(&caller.replace(' ', "-"))
}

struct Asked<'d> {
    daemon: &'d Daemon,
    http: Client,
}

impl Asked<'_> {
    /// Whether the rule of a route lets somebody through. What would change something is sent with a body that it does not
    /// take.
    fn lets(&self, route: &Route, end: bool, caller: &str, method: Method) -> bool {
        let path = route
            .path
            .replace("{model}", "matrix")
            .replace("{version}", "1")
            .replace("{action}", "approve")
            .replace("{source}", "matrix");
        let body = if route.is_hook() {
            let phase = if end { "Succeeded" } else { "Progressing" };
            json!({"name": "matrix", "phase": phase, "metadata": {"version": "1"}}).to_string()
        } else {
            "{".to_owned()
        };
        let request = self.http.request(method, format!("{}{path}", self.daemon.url)).body(body);
        let sent = (caller != "no token").then(|| secret(caller));
        let answer = sent.into_iter().fold(request, RequestBuilder::bearer_auth).send().unwrap();
        let status = answer.status().as_u16();
        assert!(![404, 405, 500].contains(&status), "{} {} is not answered: {status}", route.method, route.path);
        // A hook's 403 is an answer of its own, in plain text; HEAD has no body.
        let text = answer.text().unwrap();
        let is_error = serde_json::from_str::<Value>(&text).is_ok_and(|body| body.get("error").is_some());
        !(status == 401 || status == 403 && (is_error || text.is_empty()))
    }
}

fn daemon(service: &Service, read: &str) -> Daemon {
    let line = |(name, roles, models): &(&str, &str, &str)| format!("{} {roles} {models} somebody\n", secret(name));
    service.folder.write_secret("tokens", CALLERS.iter().skip(1).map(line).collect::<String>());
    let config =
        service.folder.read("driftgate.yaml").replace("tokens_file: tokens", &format!("tokens_file: tokens{read}"));
    let config = config.replacen("- {topic:", "- {http: /events/matrix, topic:", 1);
    service.folder.write("other.yaml", config);
    let daemon = Daemon::start(&service.folder.path("other.yaml"), &[]);
    service.folder.write_secret("all.token", secret("operator+approver"));
    service.run(&daemon, "all", "register matrix 1 --stage staging").exits(0);
    daemon
}

#[test]
fn every_route_lets_through_whom_its_rule_names_and_the_page_says_so() {
    let service = Service::new("matrix", "", CANARY, "");
    let mut table = String::from("| method | path |");
    table += &CALLERS.map(|(name, _, _)| format!(" {name} |")).concat();
    table += &format!("\n|---|---|{}\n", "---|".repeat(CALLERS.len()));
    for (read, open) in [(", read: token", false), (", read: open", true)] {
        let daemon = daemon(&service, read);
        let asked = Asked { daemon: &daemon, http: Client::builder().no_proxy().build().unwrap() };
        for (route, end) in rows() {
            let method: Method = route.method.to_uppercase().parse().unwrap();
            let may = CALLERS.map(|(caller, _, _)| {
                let may = asked.lets(route, end, caller, method.clone());
                assert_eq!(
                    may,
                    expected(route, end, caller, open),
                    "{method} {} by {caller}, open: {open}",
                    route.path
                );
                if method == Method::GET {
                    assert_eq!(asked.lets(route, end, caller, Method::HEAD), may, "HEAD {} by {caller}", route.path);
                }
                may
            });
            if !open {
                let path = route.path.replace("/api/v1/models/{model}/versions/{version}", "…/versions/{version}");
                let end = if end { ", at an end" } else { "" };
                let cells = may.map(|may| if may { " yes |" } else { " |" }).concat();
                table += &format!("| {method} | `{path}`{end} |{cells}\n");
            }
        }
        assert_eq!(daemon.stop(), Some(0));
    }
    let shown = PAGE.split_once(BEGINS).and_then(|(_, rest)| rest.split_once(ENDS)).map(|(table, _)| table);
    assert!(
        shown == Some(&table),
        "docs/security.md does not hold the matrix as it is; between its marks belongs:\n{table}"
    );
}
