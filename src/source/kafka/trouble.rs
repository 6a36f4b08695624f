//! Why brokers do not answer: librdkafka's messages about its connections, and what to check. It repeats itself many times
//! per second; here each complaint is logged once per minute.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::telemetry::events::kafka::KafkaTrouble;

/// How often the same complaint is logged.
const EVERY: Duration = Duration::from_secs(60);
/// A complaint that is older explains nothing.
const FRESH: Duration = Duration::from_secs(30);
/// Different complaints remembered.
const REMEMBERED: usize = 64;

/// A complaint of a client.
#[derive(Debug, Default)]
pub struct Troubles {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    logged: BTreeMap<String, Instant>,
    last: Option<Trouble>,
}

/// A complaint, in librdkafka's words.
#[derive(Clone, Debug)]
struct Trouble {
    said: String,
    weight: Weight,
    at: Instant,
}

/// How much a complaint explains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// All brokers are down: that says less than why each one is, but it is all there is where a listener expects TLS.
    Down,
    /// A connection failed.
    Connection,
    /// Why it did: a name, a certificate, a password.
    Cause,
}

impl Troubles {
    /// Takes a client's error, and logs it unless it was logged just now.
    pub fn hear(&self, error: &KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            // The end of a partition is none.
            Some(RDKafkaErrorCode::PartitionEOF) => {}
            _ => self.take(reason, Instant::now()),
        }
    }

    /// Takes a line of a client's log if it is a complaint, and returns whether it is. The log is the only place that reports a connection
    /// that ends without an error.
    pub fn hear_log(&self, facility: &str, message: &str) -> bool {
        let complains = facility == "FAIL";
        if complains {
            // `[thrd:name]: ` says nothing to people.
            let message = message.strip_prefix("[thrd:").and_then(|m| m.split_once("]: ")).map_or(message, |(_, m)| m);
            self.take(message, Instant::now());
        }
        complains
    }

    fn take(&self, reason: &str, now: Instant) {
        let said = told(reason).to_owned();
        let advice = advice(&said);
        let weight = match advice {
            _ if said.ends_with(DOWN) => Weight::Down,
            Some(_) => Weight::Cause,
            None => Weight::Connection,
        };
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = inner.last.as_ref().filter(|last| now.duration_since(last.at) < FRESH);
        if fresh.is_none_or(|last| last.weight <= weight) {
            inner.last = Some(Trouble { said: said.clone(), weight, at: now });
        } else if weight == Weight::Down {
            return;
        }
        if inner.logged.get(&said).is_some_and(|at| now.duration_since(*at) < EVERY) {
            return;
        }
        if inner.logged.len() >= REMEMBERED {
            inner.logged.clear();
        }
        inner.logged.insert(said.clone(), now);
        drop(inner);
        KafkaTrouble { said: &said, advice }.emit();
    }

    /// The connections work: earlier complaints do not explain later errors.
    pub fn clear(&self) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).last = None;
    }

    /// The last complaint, with what to check.
    #[must_use]
    pub fn why(&self) -> Option<String> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let last = inner.last.as_ref().filter(|last| last.at.elapsed() < FRESH)?;
        Some(advice(&last.said).map_or_else(|| last.said.clone(), |advice| format!("{}; {advice}", last.said)))
    }
}

/// A reason without how long it took and how often it was left out, which make the same one different each time.
fn told(reason: &str) -> &str {
    reason.rfind(" (after ").and_then(|at| reason.get(..at)).unwrap_or(reason).trim()
}

/// What to check, by the message of librdkafka, OpenSSL or the system.
fn advice(said: &str) -> Option<&'static str> {
    let said = said.to_ascii_lowercase();
    ADVICE.iter().find(|(words, _)| words.iter().any(|word| said.contains(word))).map(|(_, advice)| *advice)
}

/// How the client says that no broker can be used.
const DOWN: &str = "brokers are down";

/// The first that fits counts.
const ADVICE: [(&[&str], &str); 13] = [
    (
        &[DOWN],
        "they end every connection at once: check security.protocol in kafka.properties (the listener may expect TLS or SASL), and that the port in \
         kafka.brokers is that of a Kafka broker",
    ),
    (&["failed to resolve"], "check the host names in kafka.brokers, and this machine's DNS"),
    (
        &["hostname mismatch", "ip address mismatch"],
        "the broker's certificate is for another name: kafka.brokers, and what the brokers advertise, must be names that it has",
    ),
    (
        &["certificate has expired", "certificate is not yet valid"],
        "the broker's certificate is out of date, or this machine's clock is wrong",
    ),
    (
        &["certificate verify failed", "certificate could not be verified"],
        "the broker's certificate is not signed by an authority that is known here: ssl.ca.location in kafka.properties must be the file with \
         the certificate of the one that signed it",
    ),
    (
        &[
            "alert bad certificate",
            "certificate required",
            "alert unknown ca",
            "alert certificate",
            "alert handshake failure",
        ],
        "the broker asks for a client certificate (mutual TLS) that it trusts: check ssl.certificate.location and ssl.key.location in \
         kafka.properties",
    ),
    (
        &["oauthbearer token", "oauthbearer"],
        "check the token: sasl.oauthbearer.config in kafka.properties, and what the broker accepts",
    ),
    (
        &["mechanism handshake failed", "unsupported sasl mechanism"],
        "the listener does not offer this SASL mechanism: check sasl.mechanism and security.protocol in kafka.properties, and that the port \
         in kafka.brokers is that of a SASL listener",
    ),
    (
        &["authentication failed", "authentication error", "invalid credentials"],
        "check sasl.username, sasl.password and sasl.mechanism in kafka.properties (or property_files)",
    ),
    (
        &["plaintext broker listener"],
        "the listener speaks no TLS: check security.protocol in kafka.properties and the port in kafka.brokers",
    ),
    (
        &["security.protocol", "ssl listener", "sasl_ssl listener", "while requesting apiversion"],
        "the listener may expect TLS or SASL: check security.protocol in kafka.properties and the port in kafka.brokers",
    ),
    (&["invalid response size"], "what answers there is no Kafka broker: check host and port in kafka.brokers"),
    (
        &["connection refused", "timed out", "no route to host", "network is unreachable"],
        "check host and port in kafka.brokers, that the broker runs, and that no firewall is between",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn why(reasons: &[&str]) -> String {
        let troubles = Troubles::default();
        reasons.iter().for_each(|reason| troubles.take(reason, Instant::now()));
        troubles.why().unwrap()
    }

    /// As librdkafka 2.12 says it.
    #[test]
    fn what_librdkafka_says_comes_with_what_to_check() {
        for (reason, check) in [
            (
                "sasl_ssl://b:1/bootstrap: SASL authentication error: Authentication failed: Invalid username or password (after 305ms in state AUTH_REQ)",
                "sasl.password",
            ),
            (
                "sasl_ssl://b:1/bootstrap: SASL authentication error: Authentication failed during authentication due to invalid credentials with SASL mechanism SCRAM-SHA-256 (after 313ms in state AUTH_REQ)",
                "sasl.username",
            ),
            (
                "sasl_ssl://b:1/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: broker certificate could not be verified (after 9ms in state SSL_HANDSHAKE)",
                "ssl.ca.location",
            ),
            (
                "ssl://b:1/bootstrap: Receive failed: error:0A000412:SSL routines::sslv3 alert bad certificate: SSL alert number 42 (after 0ms in state APIVERSION_QUERY)",
                "ssl.certificate.location",
            ),
            ("b:1/bootstrap: Failed to resolve 'b:1': Name or service not known (after 0ms in state CONNECT)", "DNS"),
            (
                "b:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)",
                "host and port",
            ),
            (
                "ssl://b:1/bootstrap: SSL handshake failed: Disconnected: SSL connection closed by peer: connecting to a PLAINTEXT broker listener? (after 10ms in state SSL_HANDSHAKE)",
                "speaks no TLS",
            ),
            (
                "b:1/bootstrap: Disconnected while requesting ApiVersion: might be caused by incorrect security.protocol configuration (connecting to a SSL listener?)",
                "expect TLS or SASL",
            ),
            (
                "sasl_ssl://b:1/bootstrap: SASL PLAIN mechanism handshake failed: Broker: Request not valid in current SASL state: broker's supported mechanisms:  (after 1ms in state AUTH_HANDSHAKE)",
                "sasl.mechanism",
            ),
            (
                "b:1/bootstrap: Receive failed: Invalid response size 1213486160 (0..100000000): increase receive.message.max.bytes (after 1ms in state APIVERSION_QUERY)",
                "no Kafka broker",
            ),
            ("1/1 brokers are down", "check security.protocol"),
        ] {
            let why = why(&[reason]);
            let (said, advice) = why.split_once("; ").unwrap();
            assert!(reason.starts_with(said) && !said.contains("(after"), "{why}");
            assert!(advice.contains(check), "{why}");
        }
    }

    #[test]
    fn a_cause_is_not_hidden_by_what_follows_from_it() {
        let cause = "sasl_ssl://b:1/bootstrap: SASL authentication error: no (after 1ms in state AUTH_REQ)";
        assert!(
            why(&[cause, "b:1/bootstrap: Disconnected (after 2ms in state AUTH_REQ)"]).contains("SASL authentication")
        );
        assert!(why(&["b:1: Disconnected", "1/1 brokers are down"]).starts_with("b:1: Disconnected"));
        assert!(why(&["b:1: Disconnected", cause]).contains("SASL authentication"));
        let troubles = Troubles::default();
        troubles.take(cause, Instant::now());
        troubles.clear();
        assert_eq!(troubles.why(), None);
        assert!(troubles.hear_log("FAIL", "[thrd:b:1/bootstrap]: b:1/bootstrap: Failed to resolve 'b:1'"));
        assert!(!troubles.hear_log("CONFWARN", "[thrd:app]: Configuration property x is y"));
        assert!(troubles.why().unwrap().starts_with("b:1/bootstrap: Failed to resolve 'b:1'; check"));
    }

    #[test]
    fn the_same_complaint_is_logged_once_a_minute_and_few_are_remembered() {
        let (troubles, start) = (Troubles::default(), Instant::now());
        troubles.take("a (after 1ms in state CONNECT)", start);
        troubles
            .take("a (after 9ms in state CONNECT, 4 identical error(s) suppressed)", start + Duration::from_secs(1));
        assert_eq!(troubles.inner.lock().unwrap().logged.values().collect::<Vec<_>>(), [&start]);
        (0..1000).for_each(|i| troubles.take(&format!("b{i}"), start));
        assert!(troubles.inner.lock().unwrap().logged.len() <= REMEMBERED);
    }
}
