//! Whoever reaches the port beyond loopback reads nothing without a token, and with one what it is for.

use reqwest::blocking::{Client, RequestBuilder, Response};
use serde_json::Value;

use crate::broker::{Daemon, wait_for};
use crate::service::{CANARY, Service, token};

fn started(service: &Service, http: &str) -> Daemon {
    let config = service.folder.read("driftgate.yaml").replace("listen: \"127.0.0.1:0\", tokens_file: tokens", http);
    service.folder.write("other.yaml", config);
    let mut daemon = Daemon::start(&service.folder.path("other.yaml"), &[]);
    daemon.url = daemon.url.replace("0.0.0.0", "127.0.0.1");
    daemon
}

fn ask(daemon: &Daemon, path: &str, as_whom: impl FnOnce(RequestBuilder) -> RequestBuilder) -> Response {
    let http = Client::builder().no_proxy().build().unwrap();
    as_whom(http.get(format!("{}{path}", daemon.url))).send().unwrap()
}

#[test]
fn beyond_loopback_reading_needs_a_token_of_the_model_and_probes_do_not() {
    let service = Service::new("reading", "", CANARY, "");
    let more =
        format!("{} viewer reading viewer@company\n{} operator other_* eve@company\n", token("viewer"), token("other"));
    service.folder.write_secret("tokens", service.folder.read("tokens") + &more);
    for name in ["viewer", "other", "unknown"] {
        service.folder.write_secret(&format!("{name}.token"), token(name));
    }
    let daemon = started(&service, "listen: \"0.0.0.0:0\", tokens_file: tokens");
    wait_for("the daemon", || (daemon.get("/ready").0 == 200).then_some(()));
    for path in ["/live", "/ready", "/metrics"] {
        assert_eq!(daemon.get(path).0, 200, "{path}");
    }
    assert_eq!(daemon.get("/ready").1, "{\"ready\":true}");
    for path in ["/", "/api/v1/status", "/api/v1/models/reading", "/api/v1/gate/reading/1?to=prod", "/api/v1/models/x"]
    {
        let (code, text) = daemon.get(path);
        assert!(code == 401 && text.contains("this needs a token"), "{path}: {code} {text}");
    }
    // The dashboard asks a browser, which sends the token as a password; that is good for reading alone.
    let page = ask(&daemon, "/", |r| r);
    assert!(page.headers()["www-authenticate"].to_str().unwrap().starts_with("Basic realm="), "{page:?}");
    let viewer = token("viewer");
    for path in ["/", "/api/v1/models"] {
        assert_eq!(ask(&daemon, path, |r| r.basic_auth("me", Some(&viewer))).status(), 200, "{path}");
    }
    let http = Client::builder().no_proxy().build().unwrap();
    let change = http.post(format!("{}/api/v1/models/reading/freeze", daemon.url)).body("{\"reason\": \"x\"}");
    let change = change.basic_auth("me", Some(token("op"))).send().unwrap();
    assert_eq!((change.status().as_u16(), change.text().unwrap().contains("good for reading only")), (401, true));
    // A token of other models sees that there are none.
    let list = |name: &str, path: &str| -> Value {
        let answer = ask(&daemon, path, |r| r.bearer_auth(token(name)));
        serde_json::from_str(&answer.text().unwrap()).unwrap()
    };
    assert_eq!(list("viewer", "/api/v1/models")["models"][0]["model"], "reading");
    assert_eq!(list("other", "/api/v1/models")["models"].as_array().unwrap().len(), 0);
    let status = list("other", "/api/v1/status");
    assert!(!status.to_string().contains("reading"), "{status}");
    assert!(list("other", "/api/v1/inputs").to_string().len() < 40);
    assert!(!list("other", "/api/v1/models/other_x")["error"].as_str().unwrap().contains("reading"));
    assert_eq!(ask(&daemon, "/api/v1/models/reading", |r| r.bearer_auth(token("other"))).status(), 403);
    // The command line sends its token, and says what is missing.
    service.run(&daemon, "viewer", "status reading").exits(0).prints("reading");
    service.run(&daemon, "unknown", "status").exits(2).says("this token is not known");
    let bare = format!("status --server {}", daemon.url);
    service.folder.driftgate(&bare).exits(2).says("name a file with it as --token-file, or set DRIFTGATE_TOKEN");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn beyond_loopback_without_tokens_nobody_reads_unless_it_is_written() {
    let service = Service::new("unread", "", CANARY, "");
    let daemon = started(&service, "listen: \"0.0.0.0:0\"");
    let (code, text) = daemon.get("/api/v1/models");
    assert!(code == 403 && text.contains("no token is configured") && text.contains("read: open"), "{code} {text}");
    assert_eq!((daemon.get("/").0, daemon.get("/live").0), (403, 200));
    assert!(daemon.log().contains("nobody can read over HTTP"), "the start says so");
    assert_eq!(daemon.stop(), Some(0));
    let daemon = started(&service, "listen: \"0.0.0.0:0\", read: open");
    assert_eq!((daemon.get("/api/v1/models").0, daemon.get("/").0), (200, 200));
    assert!(!daemon.log().contains("nobody can read"));
    assert_eq!(daemon.stop(), Some(0));
    // Figures name versions and segments: whoever wants to can protect them, too.
    let daemon = started(&service, "listen: \"127.0.0.1:0\", tokens_file: tokens, metrics: token");
    assert_eq!((daemon.get("/metrics").0, daemon.get("/api/v1/models").0), (401, 200));
    assert_eq!(ask(&daemon, "/metrics", |r| r.bearer_auth(token("op"))).status(), 200);
    assert_eq!(daemon.stop(), Some(0));
}
