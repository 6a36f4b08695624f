//! Events to a URL: one JSON POST each, signed (`signing`), so that its receiver can tell who sent it and whether it is old. When and how often something is tried again is for the caller.

use std::fmt;
use std::time::Duration;

use reqwest::blocking::{Client, Response};
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{StatusCode, Url};

use super::signing::{self, Secret};
use super::template::Template;
use crate::clock::now_ms;
use crate::http_client::{Calls, beginning, cause};

/// An answer is quoted up to here.
const SHOWN_CHARS: usize = 200;

/// Why an event did not arrive. Messages name the host only: paths, too, are secret for many receivers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    #[error("the webhook's URL cannot be used: give an http:// or https:// URL with a host")]
    Url,
    #[error("the webhook at {host} has an empty secret: give one, or leave it out to send unsigned events")]
    EmptySecret { host: String },
    #[error(
        "the secret of the webhook at {host} starts with whsec_, and what follows is no base64: copy it whole from the receiver"
    )]
    Secret { host: String },
    #[error("the HTTP client for the webhook at {host} cannot be set up: {cause}")]
    Client { host: String, cause: String },
    #[error("the event id {event_id:?} cannot be sent to the webhook at {host}: it may hold printable ASCII only")]
    EventId { host: String, event_id: String },
    #[error("the webhook at {host} cannot be reached: {cause}")]
    Unreachable { host: String, cause: String },
    #[error("the webhook at {host} redirects ({status}), and redirects are not followed: give the final URL")]
    Redirect { host: String, status: u16 },
    #[error("the webhook at {host} refused event {event_id:?} ({status}): {said}")]
    Refused { host: String, event_id: String, status: u16, said: String },
}

impl WebhookError {
    /// Whether the receiver says that it does not take this very content. Everything else may pass: a receiver that is
    /// deployed anew answers 404, one whose secret changes 401.
    #[must_use]
    pub fn is_of_content(&self) -> bool {
        matches!(self, Self::EventId { .. } | Self::Refused { status: 400 | 413 | 415 | 422, .. })
    }
}

/// One receiver. For threads outside an async runtime.
pub struct Webhook {
    url: Url,
    host: String,
    secret: Option<Secret>,
    timeout: Duration,
    http: Client,
    template: Template,
    /// What a pager routes by.
    key: Option<String>,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("host", &self.host).finish_non_exhaustive()
    }
}

impl Webhook {
    /// A receiver at this URL; nothing is contacted yet. User and password in the URL are sent as basic authentication.
    /// Without a secret events are not signed. A request that takes longer than `timeout` has failed.
    ///
    /// # Errors
    /// A URL that is none, an empty secret, or TLS that cannot be set up.
    pub fn new(url: &str, secret: Option<Secret>, calls: impl Into<Calls>) -> Result<Self, WebhookError> {
        let calls = calls.into();
        let url = Url::parse(url).map_err(|_| WebhookError::Url)?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(WebhookError::Url);
        }
        let host = url.origin().ascii_serialization();
        match secret.as_ref().map(Secret::check) {
            Some(Err(signing::BadSecret::Empty)) => return Err(WebhookError::EmptySecret { host }),
            Some(Err(signing::BadSecret::Base64)) => return Err(WebhookError::Secret { host }),
            Some(Ok(())) | None => {}
        }
        let timeout = calls.timeout;
        match calls.client(&url).and_then(|http| http.build().map_err(|e| cause(e, timeout))) {
            Ok(http) => Ok(Self { url, host, secret, timeout, http, template: Template::Event, key: None }),
            Err(cause) => Err(WebhookError::Client { cause, host }),
        }
    }

    /// The same receiver, which gets events by a template.
    #[must_use]
    pub fn writing(self, template: Template, key: Option<&str>) -> Self {
        Self { template, key: key.map(str::to_owned), ..self }
    }

    /// Sends an event as its template writes it, or nothing where the template has nothing of it; when this returns `Ok`, the receiver has answered 2xx.
    ///
    /// # Errors
    /// A receiver that does not answer, or that refuses.
    pub fn post(&self, event_id: &str, body: &str) -> Result<(), WebhookError> {
        match self.template.body(body, self.key.as_deref()) {
            Some(body) => self.post_at(event_id, &body, now_ms().div_euclid(1000)),
            None => Ok(()),
        }
    }

    fn post_at(&self, event_id: &str, body: &str, timestamp_s: i64) -> Result<(), WebhookError> {
        let host = || self.host.clone();
        let id = HeaderValue::from_str(event_id)
            .map_err(|_| WebhookError::EventId { host: host(), event_id: event_id.to_owned() })?;
        let mut request = self
            .http
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(signing::EVENT_ID, id.clone())
            .header(signing::TIMESTAMP, timestamp_s)
            .header(signing::STANDARD_ID, id)
            .header(signing::STANDARD_TIMESTAMP, timestamp_s);
        if let Some(secret) = &self.secret {
            request = request
                .header(signing::SIGNATURE, secret.signature(timestamp_s, body))
                .header(signing::STANDARD_SIGNATURE, secret.standard_signature(event_id, timestamp_s, body));
        }
        let response = request
            .body(body.to_owned())
            .send()
            .map_err(|e| WebhookError::Unreachable { host: host(), cause: cause(e, self.timeout) })?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        if status.is_redirection() {
            return Err(WebhookError::Redirect { host: host(), status: status.as_u16() });
        }
        let said = said(response, status);
        Err(WebhookError::Refused { host: host(), event_id: event_id.to_owned(), status: status.as_u16(), said })
    }
}

/// The start of an answer, or what its code means.
fn said(response: Response, status: StatusCode) -> String {
    let text = beginning(response, SHOWN_CHARS);
    if text.is_empty() { status.canonical_reason().unwrap_or("no reason given").to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::thread::JoinHandle;

    use super::*;

    /// Reads one request, head and body.
    fn request(stream: &mut TcpStream) -> String {
        let mut read = Vec::new();
        let mut chunk = [0; 1024];
        loop {
            let n = stream.read(&mut chunk).unwrap();
            read.extend_from_slice(&chunk[..n]);
            let text = String::from_utf8_lossy(&read).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length =
                    head.lines().find_map(|l| l.strip_prefix("content-length: ")).map_or(0, |l| l.parse().unwrap());
                if body.len() >= length || n == 0 {
                    return text;
                }
            }
        }
    }

    /// Answers one request with these bytes and gives the request back.
    fn answering(answer: String) -> (u16, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let served = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let request = request(&mut stream);
            stream.write_all(answer.as_bytes()).unwrap();
            request
        });
        (port, served)
    }

    fn webhook(port: u16, secret: Option<&str>) -> Webhook {
        let url = format!("http://user:hidden@127.0.0.1:{port}/hooks/T0K3N?key=T0K3N");
        Webhook::new(&url, secret.map(Secret::new), Duration::from_secs(5)).unwrap()
    }

    fn status(line: &str, body: &str) -> String {
        format!("HTTP/1.1 {line}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
    }

    fn refused(line: &str, body: &str) -> WebhookError {
        let (port, served) = answering(status(line, body));
        let error = webhook(port, Some("s3cret")).post("id-1", "{}").unwrap_err();
        served.join().unwrap();
        for shown in [error.to_string(), format!("{error:?}")] {
            assert!(["s3cret", "hidden", "T0K3N"].iter().all(|s| !shown.contains(s)), "{shown}");
        }
        error
    }

    #[test]
    fn an_event_is_posted_with_its_id_time_and_signature() {
        let (port, served) = answering(status("202 Accepted", ""));
        assert_eq!(webhook(port, Some("s3cret")).post_at("id-1", r#"{"a":"ä"}"#, 1_362_096_000), Ok(()));
        let request = served.join().unwrap();
        assert!(request.starts_with("POST /hooks/T0K3N?key=T0K3N HTTP/1.1\r\n"), "{request}");
        assert!(request.ends_with("\r\n\r\n{\"a\":\"ä\"}"), "{request}");
        // printf '1362096000.{"a":"ä"}' | openssl dgst -sha256 -hmac s3cret
        let signed = "9f7cca63f87eacf0f865a4497595cfdc2133cf70f9f7a50e981f6427853635a8";
        for header in [
            "content-type: application/json",
            "x-driftgate-event-id: id-1",
            "x-driftgate-timestamp: 1362096000",
            &format!("x-driftgate-signature: sha256={signed}"),
            "webhook-id: id-1",
            "webhook-timestamp: 1362096000",
            // printf 'id-1.1362096000.{"a":"ä"}' | openssl dgst -sha256 -hmac s3cret -binary | base64
            "webhook-signature: v1,GqtvI+vM7jKcBU6thduxaK73TOY/C5IE3iu6slMWN1w=",
            "authorization: Basic dXNlcjpoaWRkZW4=",
        ] {
            assert!(request.contains(&format!("\r\n{header}\r\n")), "{header} in {request}");
        }
    }

    #[test]
    fn without_a_secret_nothing_is_signed_and_the_time_is_now() {
        let (port, served) = answering(status("200 OK", "ok"));
        assert_eq!(webhook(port, None).post("id-1", "{}"), Ok(()));
        let request = served.join().unwrap();
        assert!(!request.contains("signature"), "{request}");
        let sent = request.lines().find_map(|l| l.strip_prefix("x-driftgate-timestamp: ")).unwrap();
        assert!((now_ms() / 1000 - sent.parse::<i64>().unwrap()).abs() < 60, "{sent}");
    }

    #[test]
    fn a_template_writes_the_body_and_what_it_has_nothing_of_is_not_sent() {
        let event = r#"{"event":"clear","signal":{"model":"m","version":"1","group":"drift","reasons":[]}}"#;
        let (port, served) = answering(status("202 Accepted", ""));
        let pager = webhook(port, None).writing(Template::PagerDuty, Some("R0UT3"));
        assert_eq!(pager.post("id-0", r#"{"event":"stage","model":"m"}"#), Ok(()), "nobody is asked");
        assert_eq!(pager.post("id-1", event), Ok(()));
        let request = served.join().unwrap();
        assert!(request.contains("webhook-id: id-1") && request.contains(r#""event_action":"resolve""#), "{request}");
        assert!(request.contains("R0UT3") && !format!("{pager:?}").contains("R0UT3"), "{pager:?}");
    }

    #[test]
    fn a_refusal_of_the_content_is_told_from_a_failure_that_may_pass() {
        for (line, of_content) in [
            ("400 Bad Request", true),
            ("401 Unauthorized", false),
            ("404 Not Found", false),
            ("408 Request Timeout", false),
            ("410 Gone", false),
            ("413 Payload Too Large", true),
            ("422 Unprocessable Entity", true),
            ("429 Too Many Requests", false),
            ("500 Internal Server Error", false),
            ("503 Service Unavailable", false),
        ] {
            let error = refused(line, "");
            assert_eq!(error.is_of_content(), of_content, "{error}");
            let (code, reason) = line.split_once(' ').unwrap();
            assert!(error.to_string().ends_with(&format!("refused event \"id-1\" ({code}): {reason}")), "{error}");
        }
        let error = refused("403 Forbidden", &format!("  not you {}", "ä".repeat(1000)));
        let WebhookError::Refused { status: 403, said, .. } = error else { panic!("{error}") };
        assert!(said.starts_with("not you ä") && said.chars().count() == SHOWN_CHARS, "{said}");
    }

    #[test]
    fn a_redirect_is_not_followed() {
        let (port, served) =
            answering("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/T0K3N\r\ncontent-length: 0\r\n\r\n".into());
        let error = webhook(port, Some("s3cret")).post("id-1", "{}").unwrap_err();
        served.join().unwrap();
        let expected = format!(
            "the webhook at http://127.0.0.1:{port} redirects (302), and redirects are not followed: give the final URL"
        );
        assert!(error.to_string() == expected && !error.is_of_content(), "{error}");
    }

    #[test]
    fn a_receiver_that_is_not_there_or_silent_is_unreachable() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = format!("http://user:hidden@localhost:{port}/");
        let silent = Webhook::new(&url, None, Duration::from_millis(100)).unwrap();
        let error = silent.post("id-1", "{}").unwrap_err();
        let expected = format!("the webhook at http://localhost:{port} cannot be reached: no answer within 0.1 s");
        assert!(error.to_string() == expected && !error.is_of_content(), "{error}");
        drop(listener);
        let error = webhook(port, None).post("id-1", "{}").unwrap_err();
        assert!(!error.is_of_content() && error.to_string().contains("refused"), "{error}");
        assert!(!error.to_string().contains("hidden"), "{error}");
    }

    #[test]
    fn what_cannot_be_sent_is_said_before() {
        for url in ["", "example.org/hook", "ftp://example.org", "http://"] {
            assert_eq!(Webhook::new(url, None, Duration::from_secs(1)).unwrap_err(), WebhookError::Url, "{url}");
        }
        let new = |secret| Webhook::new("https://u:hidden@example.org/T0K3N", secret, Duration::from_secs(1));
        let error = new(Some(Secret::new(""))).unwrap_err();
        assert_eq!(error, WebhookError::EmptySecret { host: "https://example.org".into() });
        let error = new(Some(Secret::new("whsec_!"))).unwrap_err();
        assert_eq!(error, WebhookError::Secret { host: "https://example.org".into() });
        let good = new(Some(Secret::new("s3cret"))).unwrap();
        assert_eq!(
            format!("{good:?} {:?}", good.secret),
            r#"Webhook { host: "https://example.org", .. } Some(Secret(…))"#
        );
        let error = good.post("two\nlines", "{}").unwrap_err();
        assert!(matches!(error, WebhookError::EventId { .. }) && error.is_of_content(), "{error}");
    }
}
