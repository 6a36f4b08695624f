//! A web page of somebody else has its own name lead to this machine, and reads what a browser here may reach.

use super::raw::{ask, status};
use crate::broker::Daemon;
use crate::service::{CANARY, Service};

fn asked(url: &str, path: &str, host: &str) -> String {
    ask(url, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
}

#[test]
fn a_foreign_host_is_refused_on_loopback_and_answers_are_hardened() {
    let service = Service::new("rebound", "", CANARY, "");
    let daemon = Daemon::start(&service.config(), &[]);
    let url = &daemon.url;
    let port = url.rsplit(':').next().unwrap();
    for path in ["/", "/live", "/metrics", "/api/v1/status", "/api/v1/models", "/nowhere"] {
        let answer = asked(url, path, &format!("evil.example:{port}"));
        assert_eq!(status(&answer), 421, "{path}: {answer}");
        assert!(answer.contains("http.hosts") && !answer.contains("rebound"), "{answer}");
        for host in [format!("localhost:{port}"), "127.0.0.1".to_owned(), format!("[::1]:{port}")] {
            let answer = asked(url, path, &host);
            let expected = if path == "/nowhere" { 404 } else { 200 };
            assert_eq!(status(&answer), expected, "{path} as {host}: {answer}");
            let head = answer.split("\r\n\r\n").next().unwrap().to_ascii_lowercase();
            assert!(head.contains("x-content-type-options: nosniff"), "{head}");
            assert!(
                head.contains(if path == "/" { "cache-control: no-cache" } else { "cache-control: no-store" }),
                "{head}"
            );
            assert!(!head.contains("access-control-"), "{head}");
        }
    }
    let absolute = ask(url, "GET http://evil.example/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!(status(&absolute), 421, "{absolute}");
    let none = ask(url, "GET /live HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert_eq!(status(&none), 400, "{none}");
    let two = ask(url, "GET /live HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
    assert_eq!(status(&two), 400, "{two}");
    assert!(daemon.metric("driftgate_http_refused_total{reason=\"host\"}").unwrap() >= 8.0);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_name_that_is_a_script_is_nowhere_markup() {
    const NAME: &str = "<img_src=x_onerror=alert(1)>";
    let service = Service::new("marked", "", CANARY, "");
    let daemon = Daemon::start(&service.config(), &[]);
    service.run(&daemon, "op", &format!("register marked {NAME} --stage staging")).exits(0);
    let encoded = "%3Cimg_src=x_onerror=alert(1)%3E";
    let version = format!("/api/v1/models/marked/versions/{encoded}");
    let mut shown = 0;
    for path in [
        "/",
        "/metrics",
        "/api/v1/status",
        "/api/v1/models",
        "/api/v1/models/marked/history",
        &version,
        &format!("{version}/explain"),
        &format!("/api/v1/models/marked/versions/{encoded}x"),
        &format!("/api/v1/models/{encoded}"),
        &format!("/api/v1/gate/marked/{encoded}?to=prod"),
        &format!("/{encoded}"),
    ] {
        let answer = asked(&daemon.url, path, "localhost");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let head = head.to_ascii_lowercase();
        assert!(head.contains("x-content-type-options: nosniff"), "{path}: {head}");
        if path == "/" {
            assert!(
                head.contains("content-security-policy: default-src 'none'")
                    && !body.contains("<img")
                    && body.contains("&lt;img_src=x_onerror=alert(1)&gt;"),
                "{answer}"
            );
        } else {
            assert!(
                head.contains("content-type: application/json") || head.contains("content-type: text/plain"),
                "{head}"
            );
            shown += usize::from(body.contains(NAME));
        }
    }
    assert!(shown >= 6, "{shown}");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn names_that_are_configured_are_answered_and_hold_beyond_loopback() {
    let service = Service::new("named", "", CANARY, "");
    let config = service.folder.read("driftgate.yaml");
    let named = config.replace("127.0.0.1:0\"", "0.0.0.0:0\", hosts: [gate.example.com]");
    service.folder.write("driftgate.yaml", named);
    let daemon = Daemon::start(&service.config(), &[]);
    let url = daemon.url.replace("0.0.0.0", "127.0.0.1");
    for (host, expected) in [
        ("gate.example.com", 200),
        ("GATE.example.com:9464", 200),
        ("localhost", 200),
        ("evil.example", 421),
        ("10.1.2.3", 421),
    ] {
        let answer = asked(&url, "/live", host);
        assert_eq!(status(&answer), expected, "{host}: {answer}");
    }
    assert_eq!(daemon.stop(), Some(0));
}
