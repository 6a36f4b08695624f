//! A client against servers that answer as they are told.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::thread::JoinHandle;

use super::*;

/// Answers one request with these bytes and gives the request back.
fn answering(answer: &'static str) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://user:hidden@{}/base/", listener.local_addr().unwrap());
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let read = stream.read(&mut request).unwrap();
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8_lossy(&request[..read]).into_owned()
    });
    (address, served)
}

fn ask(answer: &'static str) -> (Result<Value, (u8, String)>, String) {
    let (address, served) = answering(answer);
    let client = Client::with_token(&address, Some("s3cret\n"), &Trust::default()).unwrap();
    assert!(!format!("{client:?}").contains("s3cret") && !format!("{client:?}").contains("hidden"));
    let got = client.get(&["api", "a b/c"], &[("to", "prod")]).map_err(|f| (f.code, format!("{:#}", f.error)));
    (got, served.join().unwrap())
}

#[test]
fn names_are_encoded_and_the_token_is_sent() {
    let (got, request) = ask("HTTP/1.1 200 OK\r\ncontent-length: 7\r\nconnection: close\r\n\r\n{\"a\":1}");
    assert_eq!(got, Ok(serde_json::json!({"a": 1})));
    assert!(request.starts_with("GET /base/api/a%20b%2Fc?to=prod HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("authorization: Bearer s3cret\r\n"), "{request}");
}

#[test]
fn a_refusal_is_in_the_servers_words() {
    let (got, _) =
        ask("HTTP/1.1 404 Not Found\r\ncontent-length: 25\r\nconnection: close\r\n\r\n{\"error\":\"no such model\"}");
    let (code, text) = got.unwrap_err();
    assert!(
        code == 2 && text.ends_with(": no such model") && !text.contains("hidden") && !text.contains("s3cret"),
        "{text}"
    );
    let (got, _) = ask("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 4\r\nconnection: close\r\n\r\nnope");
    let (code, text) = got.unwrap_err();
    assert!(code == 5 && text.contains("failed (502 Bad Gateway): nope; see its log"), "{text}");
    let (got, _) = ask("HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\nnope");
    assert_eq!(got.unwrap_err().0, 2);
}

#[test]
fn a_daemon_that_cannot_answer_yet_is_asked_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let served = std::thread::spawn(move || {
        let later =
            "HTTP/1.1 503 Service Unavailable\r\nretry-after: 0\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        for answer in [later, later, "HTTP/1.1 200 OK\r\ncontent-length: 7\r\nconnection: close\r\n\r\n{\"a\":1}"] {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            let mut head = String::new();
            while reader.read_line(&mut head).is_ok_and(|n| n > 2) {}
            reader.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    });
    let client = Client::with_token(&address, None, &Trust::default()).unwrap();
    assert_eq!(client.get::<Value>(&["x"], &[]).unwrap(), serde_json::json!({"a": 1}));
    served.join().unwrap();
}

/// What is answered by a server with this address.
type Answer = Box<dyn Fn(&str) -> String + Send>;

/// Answers these requests in turn, each with what is made of its own address, and gives the heads back.
fn serving(answers: Vec<Answer>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let own = address.clone();
    let served = std::thread::spawn(move || {
        let mut heads = Vec::new();
        for answer in answers {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap() <= 2 {
                    break;
                }
                if let Some(n) = line.strip_prefix("content-length: ") {
                    length = n.trim().parse().unwrap();
                }
                head.push_str(&line);
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            head.push_str(&String::from_utf8(body).unwrap());
            heads.push(head);
            reader.get_mut().write_all(answer(&own).as_bytes()).unwrap();
        }
        heads
    });
    (address, served)
}

fn answer(status: &str, more: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{more}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

fn cluster(members: &[&str]) -> String {
    let members: Vec<Value> =
        members.iter().map(|m| serde_json::json!({"instance": m, "advertise": m, "host": "", "owns": false})).collect();
    serde_json::json!({"instance": "b", "advertise": "", "role": "standby", "unit": "all", "owner": null, "members": members,
        "claim": null, "ledger_seq": 0, "copy_age_ms": null, "checked_age_ms": null, "lag": null, "takeovers": 0, "session_ms": 6000})
    .to_string()
}

#[test]
fn a_change_goes_to_the_owner_that_is_a_member_with_body_and_token() {
    let (owner, of_owner) = serving(vec![Box::new(|_| answer("200 OK", "", "{\"a\":1}"))]);
    let moved = format!("location: {owner}/api/x\r\n");
    let members = cluster(&[&owner]);
    let (standby, of_standby) = serving(vec![
        Box::new(move |_| answer("307 Temporary Redirect", &moved, "{}")),
        Box::new(move |_| answer("200 OK", "", &members)),
    ]);
    let client = Client::with_token(&standby, Some("s3cret"), &Trust::default()).unwrap();
    let got: Value = client.post(&["api", "x"], &serde_json::json!({"to": "prod"})).unwrap();
    assert_eq!(got, serde_json::json!({"a": 1}));
    let asked = of_owner.join().unwrap();
    assert!(asked[0].starts_with("POST /api/x HTTP/1.1\r\n") && asked[0].ends_with("{\"to\":\"prod\"}"), "{asked:?}");
    assert!(asked[0].contains("authorization: Bearer s3cret\r\n"), "{asked:?}");
    assert!(of_standby.join().unwrap()[1].starts_with("GET /api/v1/cluster HTTP/1.1\r\n"));
}

#[test]
fn the_token_does_not_go_where_no_member_is() {
    let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
    stranger.set_nonblocking(true).unwrap();
    let location = format!("location: http://{}/api/x\r\n", stranger.local_addr().unwrap());
    // A proxy before it may answer every path with a page of its own.
    for answered in [cluster(&["http://127.0.0.1:1"]), "a page to sign in".to_owned()] {
        let location = location.clone();
        let (standby, served) = serving(vec![
            Box::new(move |_| answer("307 Temporary Redirect", &location, "{}")),
            Box::new(move |_| answer("200 OK", "", &answered)),
        ]);
        let client = Client::with_token(&standby, Some("s3cret"), &Trust::default()).unwrap();
        let failure = client.post::<Value>(&["api", "x"], &serde_json::json!({})).unwrap_err();
        assert_eq!(failure.code, exit::INPUT);
        let text = format!("{:#}", failure.error);
        assert!(text.contains("which is no process of its cluster"), "{text}");
        assert_eq!(stranger.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
        served.join().unwrap();
    }
}

#[test]
fn an_owner_that_died_is_asked_for_again() {
    let gone = format!("http://{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let moved = format!("location: {gone}/api/x\r\n");
    let members = cluster(&[&gone]);
    let (standby, served) = serving(vec![
        Box::new(move |_| answer("307 Temporary Redirect", &moved, "{}")),
        Box::new(move |_| answer("200 OK", "", &members)),
        Box::new(|_| answer("200 OK", "", "{\"a\":1}")),
    ]);
    let client = Client::with_token(&standby, Some("s3cret"), &Trust::default()).unwrap();
    let got: Value = client.post(&["api", "x"], &serde_json::json!({})).unwrap();
    assert_eq!(got, serde_json::json!({"a": 1}));
    served.join().unwrap();
}

#[test]
fn a_daemon_that_is_not_there_is_unreachable() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let client = Client::with_token(&format!("http://127.0.0.1:{port}"), Some("s3cret"), &Trust::default()).unwrap();
    let failure = client.get::<Value>(&["x"], &[]).unwrap_err();
    let text = format!("{:#}", failure.error);
    assert_eq!(failure.code, 5);
    assert!(text.starts_with(&format!("the daemon at http://127.0.0.1:{port} cannot be reached: ")), "{text}");
    assert!(
        text.ends_with("; is `driftgate run` up?") && text.contains("refused") && !text.contains("s3cret"),
        "{text}"
    );
}

#[test]
fn what_cannot_be_asked_is_said_before() {
    let failed =
        |server, token| format!("{:#}", Client::with_token(server, token, &Trust::default()).unwrap_err().error);
    assert!(failed("localhost:9464", None).contains("correct --server"));
    assert!(failed("ftp://x", None).contains("correct --server"));
    let text = failed("http://x", Some("two words"));
    assert!(text.contains("cannot be sent") && !text.contains("words"), "{text}");
}
