//! The answers are those of a Prometheus 3, shortened.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

use super::*;

const VECTOR: &str = r#"{"status":"success","data":{"resultType":"vector","result":[
    {"metric":{"__name__":"ctr","version":"22"},"value":[1435781460.781,"0.0405"]},
    {"metric":{"__name__":"ctr","version":"21"},"value":[1435781460.781,"4e-02"]},
    {"metric":{"__name__":"ctr","version":"20"},"value":[1435781460.781,"NaN"]},
    {"metric":{"__name__":"ctr","version":"19"},"value":[1435781460.781,"+Inf"]},
    {"metric":{"__name__":"ctr","version":"18"},"histogram":[1435781460.781,{"count":"1","sum":"2","buckets":[[1,"1","2","1"]]}]},
    {"metric":{"__name__":"ctr","version":""},"value":[1435781460.781,"1"]},
    {"metric":{},"value":[1435781460.781,"1"]}]},
    "warnings":["a metric might not be a counter"],"infos":["x"]}"#;

/// Reads a request, which has no body.
fn request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        request.push(byte[0]);
    }
    String::from_utf8(request).unwrap()
}

/// Answers one request with this status and body and gives the request back.
fn answering(status: &'static str, body: impl Into<Vec<u8>>) -> (u16, JoinHandle<String>) {
    let body = body.into();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let request = request(&mut stream);
        write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len()).unwrap();
        // A client that has read enough may be gone.
        let _ = stream.write_all(&body);
        request
    });
    (port, served)
}

fn poller(port: u16, version: VersionOf) -> Poller {
    let query = Query {
        url: format!("http://user:hidden@127.0.0.1:{port}/prom/"),
        query: "sum by (version) (rate(clicks_total[5m]))".into(),
        model: "recommender".into(),
        version,
        metric: "ctr".into(),
    };
    Poller::new(query, None, Duration::from_secs(5)).unwrap()
}

fn label() -> VersionOf {
    VersionOf::Label("version".into())
}

fn poll(status: &'static str, body: &str, version: VersionOf) -> Result<Polled, PollError> {
    let (port, served) = answering(status, body);
    let polled = poller(port, version).poll();
    served.join().unwrap();
    if let Err(e) = &polled {
        assert!(!e.to_string().contains("hidden") && !format!("{e:?}").contains("hidden"), "{e:?}");
    }
    polled
}

fn failure(status: &'static str, body: &str) -> (String, bool) {
    let error = poll(status, body, label()).unwrap_err();
    let text = error.to_string();
    let (start, rest) = text
        .split_once("127.0.0.1:")
        .map_or((text.as_str(), ""), |(start, rest)| (start, rest.trim_start_matches(|c: char| c.is_ascii_digit())));
    (format!("{start}{rest}"), error.is_transient())
}

#[test]
fn a_vector_gives_one_measurement_a_version_and_counts_what_is_none() {
    let polled = poll("200 OK", VECTOR, label()).unwrap();
    let lines: Vec<String> = polled.measured.iter().map(ScrapedValue::to_json).collect();
    assert_eq!(
        lines,
        [
            r#"{"model":"recommender","version":"21","ts":1435781460781,"metric":"ctr","value":0.04,"n":1}"#,
            r#"{"model":"recommender","version":"22","ts":1435781460781,"metric":"ctr","value":0.0405,"n":1}"#,
        ]
    );
    assert_eq!(serde_json::to_string(&polled.measured[0]).unwrap(), lines[0]);
    assert_eq!(polled.skipped, Skipped { not_finite: 2, without_version: 2, histograms: 1 });
    assert_eq!(polled.warnings, ["a metric might not be a counter"]);
}

#[test]
fn a_scalar_and_a_single_series_are_of_the_fixed_version() {
    for body in [
        r#"{"status":"success","data":{"resultType":"scalar","result":[1435781460,"62.5"]}}"#,
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"pod":"a"},"value":[1435781460,"62.5"]}]}}"#,
    ] {
        let polled = poll("200 OK", body, VersionOf::Fixed("7".into())).unwrap();
        let [one] = polled.measured.as_slice() else { panic!("{polled:?}") };
        assert_eq!((one.version.as_str(), one.ts_ms, one.value, one.n), ("7", 1_435_781_460_000, 62.5, 1));
        assert_eq!(polled.skipped, Skipped::default());
    }
    let nothing = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
    assert_eq!(poll("200 OK", nothing, label()).unwrap(), Polled::default());
}

#[test]
fn several_series_of_a_version_are_not_chosen_among() {
    let error = poll("200 OK", VECTOR, VersionOf::Fixed("7".into())).unwrap_err();
    assert!(error.to_string().contains("gives 7 series for version \"7\": aggregate them to one"), "{error}");
    assert!(!error.is_transient());
}

#[test]
fn the_query_is_encoded_and_credentials_go_into_the_header() {
    let (port, served) = answering("200 OK", VECTOR);
    poller(port, label()).poll().unwrap();
    let request = served.join().unwrap();
    let line = "GET /prom/api/v1/query?query=sum+by+%28version%29+%28rate%28clicks_total%5B5m%5D%29%29 HTTP/1.1\r\n";
    assert!(request.starts_with(line), "{request}");
    assert!(request.contains("\r\nauthorization: Basic dXNlcjpoaWRkZW4=\r\n"), "{request}");

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "t0ken\n").unwrap();
    let (port, served) = answering("200 OK", VECTOR);
    let query = Query { url: format!("http://localhost:{port}"), ..poller(port, label()).query };
    let with_token = Poller::new(query, Some(file.path().to_owned()), Duration::from_secs(5)).unwrap();
    assert!(!format!("{with_token:?}").contains("t0ken"));
    with_token.poll().unwrap();
    let request = served.join().unwrap();
    assert!(request.contains("\r\nauthorization: Bearer t0ken\r\n"), "{request}");

    for bad in ["", "two words"] {
        std::fs::write(file.path(), bad).unwrap();
        let error = with_token.poll().unwrap_err().to_string();
        assert!(error.contains("must hold one token") && !error.contains("words"), "{error}");
    }
    file.close().unwrap();
    assert!(matches!(with_token.poll(), Err(PollError::Token { .. })));
}

#[test]
fn an_error_is_in_prometheus_own_words() {
    let bad =
        r#"{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:5: parse error: no"}"#;
    let (text, transient) = failure("400 Bad Request", bad);
    assert_eq!(
        text,
        "Prometheus at http:// does not answer the query \"sum by (version) (rate(clicks_total[5m]))\" (400, bad_data): \
         invalid parameter \"query\": 1:5: parse error: no"
    );
    assert!(!transient);
    let late = r#"{"status":"error","errorType":"timeout","error":"query timed out in expression evaluation"}"#;
    let (text, transient) = failure("503 Service Unavailable", late);
    assert!(text.ends_with("(503, timeout): query timed out in expression evaluation") && transient, "{text}");
}

#[test]
fn something_else_in_its_place_is_said() {
    let (text, transient) = failure("200 OK", "<html><title>Login</title></html>\n");
    assert!(text.starts_with("what answers at http:// is not Prometheus (200): \"<html><title>Login"), "{text}");
    assert!(!transient);
    let (text, transient) = failure("502 Bad Gateway", "<html>bad gateway</html>");
    assert!(text.contains("not Prometheus (502)") && transient, "{text}");
    let (text, _) = failure("302 Found", "");
    assert!(text.contains("not Prometheus (302): \"\"; check the URL"), "{text}");
    for json in ["{}", "[]", r#"{"status":"success"}"#] {
        let (text, _) = failure("200 OK", json);
        assert!(text.contains("not Prometheus (200)"), "{text}");
    }
}

#[test]
fn answers_that_are_no_samples_are_refused() {
    let answer = |kind, result| format!(r#"{{"status":"success","data":{{"resultType":"{kind}","result":{result}}}}}"#);
    let (text, _) = failure("200 OK", &answer("matrix", "[]"));
    assert!(text.ends_with("gives a matrix: ask for an instant vector or a scalar"), "{text}");
    let (text, _) = failure("200 OK", &answer("string", r#"[1435781460,"x"]"#));
    assert!(text.ends_with("gives a string: ask for an instant vector or a scalar"), "{text}");
    for (result, cause) in [
        (r#"[1435781460,"x"]"#, "its value \"x\" is no number"),
        (r#"[1e300,"1"]"#, "is not in seconds since the epoch"),
        (r"[1435781460,1]", "expected a string"),
        (r#"{"a":1}"#, "expected a tuple of size 2"),
    ] {
        let (text, transient) = failure("200 OK", &answer("scalar", result));
        assert!(text.contains("cannot be read: ") && text.contains(cause) && !transient, "{text}");
    }
}

#[test]
fn an_answer_has_a_bound() {
    let (port, served) = answering("200 OK", vec![b' '; usize::try_from(MAX_BYTES).unwrap() + 1]);
    let error = poller(port, label()).poll().unwrap_err();
    served.join().unwrap();
    assert!(matches!(error, PollError::TooLarge { .. }), "{error}");
}

#[test]
fn a_prometheus_that_is_not_there_or_silent_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let silent = Poller::new(poller(port, label()).query, None, Duration::from_millis(100)).unwrap();
    let error = silent.poll().unwrap_err();
    let expected = format!("Prometheus at http://127.0.0.1:{port} cannot be reached: no answer within 0.1 s");
    assert!(error.to_string() == expected && error.is_transient(), "{error}");
    drop(listener);
    let error = silent.poll().unwrap_err();
    assert!(error.to_string().contains("refused") && error.is_transient(), "{error}");
}

#[test]
fn an_answer_that_stalls_is_a_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        request(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{").unwrap();
        // Until the client hangs up.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let stalled = Poller::new(poller(port, label()).query, None, Duration::from_millis(200)).unwrap();
    let error = stalled.poll().unwrap_err();
    served.join().unwrap();
    assert!(error.to_string().ends_with("cannot be reached: no answer within 0.2 s"), "{error:?}");
}

#[test]
fn what_cannot_be_asked_is_said_before() {
    for url in ["", "localhost:9090", "ftp://x"] {
        let query = Query { url: url.into(), ..poller(1, label()).query };
        let error = Poller::new(query, None, Duration::from_secs(1)).unwrap_err();
        assert!(error.to_string().contains("no usable URL: give one such as"), "{error}");
    }
}
