//! People who sign in with a browser: what they do on a page is what the API does, for whom its role allows, and by no other site's page.

use reqwest::blocking::{Client, Response};
use reqwest::redirect::Policy;
use serde_json::json;

use super::Server;
use super::status_view::MODEL;

const OP: &str = "op-0123456789abcdef0123456789";
const VIEW: &str = "view-0123456789abcdef0123456789";
const PAGE: &str = "/models/credit%20eu/versions/1/promotion";

struct Browser<'s> {
    server: &'s Server,
    client: Client,
    cookie: Option<String>,
}

impl<'s> Browser<'s> {
    fn new(server: &'s Server) -> Self {
        Self { server, client: Client::builder().no_proxy().redirect(Policy::none()).build().unwrap(), cookie: None }
    }

    fn send(&self, path: &str, form: Option<&str>, headers: &[(&str, &str)]) -> Response {
        let url = format!("{}{path}", self.server.base);
        let mut request = match form {
            None => self.client.get(url),
            Some(form) => {
                self.client.post(url).header("content-type", "application/x-www-form-urlencoded").body(form.to_owned())
            }
        };
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        request.header("accept", "text/html").send().unwrap()
    }

    fn post(&self, path: &str, form: &str) -> (u16, String) {
        let response = self.send(path, Some(form), &[("sec-fetch-site", "same-origin")]);
        (response.status().as_u16(), response.text().unwrap())
    }

    fn get(&self, path: &str) -> (u16, String) {
        let response = self.send(path, None, &[]);
        (response.status().as_u16(), response.text().unwrap())
    }

    /// Signs in; the whole cookie as it was set.
    fn sign_in(&mut self, token: &str) -> String {
        let response = self.send("/sign-in", Some(&format!("token={token}&next={}", PAGE.replace('%', "%25"))), &[]);
        assert_eq!((response.status().as_u16(), response.headers()["location"].to_str().unwrap()), (303, PAGE));
        let set = response.headers()["set-cookie"].to_str().unwrap().to_owned();
        self.cookie = set.split(';').next().map(str::to_owned);
        set
    }

    fn csrf(&self) -> String {
        let page = self.get(&format!("{PAGE}/freeze")).1;
        let value = page.split("name=\"csrf\" value=\"").nth(1).unwrap();
        value.split('"').next().unwrap().to_owned()
    }
}

fn server() -> Server {
    Server::start(&format!("{OP} operator * alice\n{VIEW} viewer * bob\n"))
}

fn frozen(server: &Server) -> serde_json::Value {
    server.get("/api/v1/models/credit%20eu/status").1["frozen"].clone()
}

#[test]
fn an_operator_freezes_a_model_on_the_page_and_the_audit_log_names_them() {
    let server = server();
    let mut browser = Browser::new(&server);
    let (code, page) = browser.get(PAGE);
    assert!(code == 200 && page.contains("To prod: ") && page.contains("href=\"/sign-in?next="), "{page}");
    assert!(!page.contains("name=\"reason\""), "without a session the page reads only: {page}");
    assert!(browser.get(&format!("{PAGE}/freeze")).1.contains("nobody is signed in"));
    let set = browser.sign_in(OP);
    for part in ["driftgate_session=", "; HttpOnly", "; SameSite=Strict", "; Path=/", "; Max-Age=43200"] {
        assert!(set.contains(part) && !set.contains(OP), "{part}: {set}");
    }
    let proxied = browser.send("/sign-in", Some(&format!("token={OP}")), &[("x-forwarded-proto", "https")]);
    assert!(proxied.headers()["set-cookie"].to_str().unwrap().ends_with("; Secure"));
    let page = browser.get(PAGE).1;
    assert!(page.contains("alice") && page.contains("Freeze automatic actions…"), "{page}");
    assert!(!page.contains("Approve…"), "the policy asks nobody, and an operator may not: {page}");
    let (_, confirm) = browser.get(&format!("{PAGE}/freeze?reason=%3Cwhy%3E&to="));
    assert!(confirm.contains("What will happen") && confirm.contains("value=\"&lt;why&gt;\""), "{confirm}");
    assert!(!confirm.contains("name=\"to\""), "an empty field is none: {confirm}");
    let csrf = browser.csrf();
    let (code, _) = browser.post(&format!("{PAGE}/freeze"), &format!("csrf={csrf}&reason=looking"));
    assert_eq!(code, 303);
    assert!(frozen(&server).as_str().unwrap().contains("alice"), "{}", frozen(&server));
    let history = server.get("/api/v1/models/credit%20eu/history").1;
    let last = history["history"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["actor"], &last["event"]), (&json!("alice"), &json!("freeze")));
    assert!(browser.get(&format!("{PAGE}?done=freeze")).1.contains("Freeze automatic actions: done"));
    assert_eq!(browser.post(&format!("{PAGE}/resume"), &format!("csrf={csrf}")).0, 303);
    assert_eq!(frozen(&server), json!(null));
    // What the API refuses is refused, with its words.
    let (code, page) = browser.post(&format!("{PAGE}/pause"), &format!("csrf={csrf}&reason=x"));
    assert!(code == 409 && page.contains("no rollout of &quot;credit eu&quot; is under way"), "{page}");
    let (code, page) = browser.post(&format!("{PAGE}/freeze"), &format!("csrf={csrf}"));
    assert!(code == 400 && page.contains("say why"), "{page}");
    let (code, page) = browser.post(&format!("{PAGE}/promote"), &format!("csrf={csrf}&to=staging"));
    assert!(code == 409 && page.contains("Not promoted"), "{code} {page}");
    assert_eq!(browser.post("/sign-out", &format!("csrf={csrf}")).0, 303);
    assert_eq!(browser.post(&format!("{PAGE}/freeze"), &format!("csrf={csrf}&reason=x")).0, 401);
}

#[test]
fn nobody_else_can_do_it() {
    let server = server();
    let freeze = format!("{PAGE}/freeze");
    let mut browser = Browser::new(&server);
    assert_eq!(browser.post(&freeze, "csrf=&reason=x").0, 401);
    let bearer = format!("Bearer {OP}");
    let response = browser.send(&freeze, Some("csrf=&reason=x"), &[("authorization", &bearer)]);
    assert_eq!(response.status(), 401, "the API takes tokens, the page a session");
    for wrong in ["token=unknown", "token="] {
        let response = browser.send("/sign-in", Some(wrong), &[]);
        assert!(response.status() == 403 && !response.headers().contains_key("set-cookie"), "{wrong}");
    }
    browser.sign_in(OP);
    let csrf = browser.csrf();
    let given = format!("csrf={csrf}&reason=x");
    for (form, headers) in [
        ("reason=x", vec![]),
        ("csrf=&reason=x", vec![]),
        ("csrf=0000&reason=x", vec![]),
        (given.as_str(), vec![("sec-fetch-site", "cross-site")]),
        (given.as_str(), vec![("origin", "http://evil.example")]),
        (given.as_str(), vec![("origin", "null")]),
    ] {
        let status = browser.send(&freeze, Some(form), &headers).status().as_u16();
        assert!([403, 422].contains(&status), "{form} {headers:?}: {status}");
    }
    // A session of another person has another token for its forms, and a viewer may nothing.
    let mut other = Browser::new(&server);
    other.sign_in(VIEW);
    let (code, page) = other.post(&freeze, &given);
    assert!(code == 403 && page.contains("has the role viewer, this needs operator"), "{page}");
    assert!(!other.get(PAGE).1.contains("Freeze automatic actions…"));
    other.cookie = Some("driftgate_session=0".repeat(3));
    assert_eq!(other.post(&freeze, &given).0, 401);
    assert_eq!(browser.post(&format!("{PAGE}/explode"), &given).0, 404);
    assert_eq!(browser.get(&format!("{PAGE}/explode")).0, 404);
    assert_eq!(browser.get("/models/credit%20eu/versions/9/promotion").0, 404);
    assert_eq!(frozen(&server), json!(null));
    let records = server.get("/api/v1/models/credit%20eu/history").1;
    assert!(!records.to_string().contains("freeze"), "{records} of {MODEL}");
}

#[test]
fn where_reading_needs_a_token_a_session_reads_pages_and_nothing_else() {
    let access = super::Access::closed(super::Tokens::parse(&format!("{VIEW} viewer * bob\n")).unwrap());
    let server = Server::letting_in(super::status_view::status_view(), access);
    let mut browser = Browser::new(&server);
    // A challenge would have the browser show its own box for a password before the page.
    let asked = "/models/credit%20eu/versions/1?from=2013-03-08";
    for (path, headers) in
        [(asked, vec![]), ("/audit", vec![]), ("/", vec![("authorization", "Bearer unknown-0123456789abcdef")])]
    {
        let response = browser.send(path, None, &headers);
        assert!(response.status() == 401 && !response.headers().contains_key("www-authenticate"), "{response:?}");
        let page = response.text().unwrap();
        assert!(page.contains("name=\"token\"") && page.contains(&format!("name=\"next\" value=\"{path}\"")), "{page}");
        assert_eq!(page.contains("this token is not known"), !headers.is_empty(), "{page}");
    }
    let plain = browser.client.get(format!("{}/", server.base)).send().unwrap();
    assert!(plain.headers()["www-authenticate"].to_str().unwrap().starts_with("Basic realm="), "{plain:?}");
    let api = browser.send("/api/v1/models", None, &[]);
    assert!(api.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer realm="), "{api:?}");
    assert!(api.text().unwrap().starts_with("{\"error\""));
    assert_eq!(browser.get("/sign-in").0, 200);
    browser.sign_in(VIEW);
    let (code, page) = browser.get("/");
    assert!(code == 200 && page.contains("bob") && page.contains("credit eu 1"), "{page}");
    assert_eq!(browser.get("/api/v1/models").0, 401, "the cookie is for pages");
    // Topics are of all models.
    let some = format!("{OP} viewer other_* eve\n");
    let access = super::Access::closed(super::Tokens::parse(&some).unwrap());
    let server = Server::letting_in(super::status_view::status_view(), access);
    let mut browser = Browser::new(&server);
    browser.send("/sign-in", Some(&format!("token={OP}")), &[]);
    browser.sign_in(OP);
    for path in ["/", "/operations", "/audit"] {
        let (code, page) = browser.get(path);
        assert!(code == 200 && !page.contains("credit eu") && !page.contains("predictions</td>"), "{path}: {page}");
    }
    assert_eq!(browser.get("/audit?model=credit+eu").0, 403);
}

#[test]
fn operations_and_the_audit_log_have_their_pages() {
    let server = server();
    let browser = Browser::new(&server);
    let (code, page) = browser.get("/operations");
    assert_eq!(code, 200);
    for part in [
        "<td>predictions</td>",
        "not_json",
        "partition 0, offset 12",
        "512 B in 0.25 s",
        "drift: 2013-03-08 00:00",
        "none yet",
        "MiB",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    server.post("/api/v1/models/credit%20eu/freeze", OP, "{\"reason\": \"<b>\"}");
    let (code, page) = browser.get("/audit");
    assert_eq!(code, 200);
    for part in ["The chain holds", "<td>alice</td>", "<td>freeze</td>", "&lt;b&gt;", "<td>register</td>"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let count = |query: &str| browser.get(&format!("/audit?{query}")).1.matches("<tr>").count().saturating_sub(1);
    assert_eq!(count("event=freeze&actor=ali&model=&version="), 1);
    assert_eq!(count("actor=bob"), 0);
    assert_eq!(count("from=2013-03-08&to=2013-03-09"), 1, "the registration is of the wall clock's beginning");
    assert_eq!(count("to=1970-01-02"), count("before=3"));
    for wrong in ["from=yesterday", "model=none", "before=x", "x=1"] {
        assert!([400, 404].contains(&browser.get(&format!("/audit?{wrong}")).0), "{wrong}");
    }
}

#[test]
fn without_a_history_the_pages_show_the_last_windows_and_say_so() {
    let server = server();
    let browser = Browser::new(&server);
    let (code, page) = browser.get("/models/credit%20eu/versions/1/subjects/temp");
    assert_eq!(code, 200);
    for part in ["No history is kept", "drift/psi", "0.31", "≤ 28.9"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("datetime-local"), "{page}");
    let (code, page) = browser.get("/models/credit%20eu/versions/1/subjects/nothing");
    assert!(code == 200 && page.contains("The last windows have no result of nothing"), "{page}");
    assert_eq!(browser.get("/models/credit%20eu/versions/9/subjects/temp").0, 404);
    let (code, page) = browser.get("/models/credit%20eu/versions/1");
    assert!(code == 200 && page.contains("No history is kept") && page.contains("drift/psi"), "{page}");
    assert!(!page.contains("over time</th>") && !page.contains("0 windows"), "{page}");
    let (_, page) = browser.get("/");
    assert!(page.contains("No history is kept") && !page.contains(">last 7 days</th>"), "{page}");
}
