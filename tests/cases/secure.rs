//! Brokers that ask who is there: SASL over TLS and client certificates against a real one, started here; and what is wrong
//! with a connection is said, with what to check.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::Value;

use super::broker::{Daemon, wait_for};
use super::faults::own_broker::OwnBroker;
use super::kafka::{SHOP, now_ms, window};
use super::support::Folder;

const PASSWORD: &str = "only-for-these-tests";
const TOPIC: &str = "predictions";

/// A broker with secured listeners, stopped at the end.
struct Broker(OwnBroker);

impl Broker {
    fn start() -> Self {
        let broker = OwnBroker::start_secured();
        broker.make_topic(TOPIC, 1);
        Self(broker)
    }

    fn file(&self, name: &str) -> String {
        self.0.folder.path().join("tls").join(name).display().to_string()
    }

    fn plain(&self) -> String {
        self.0.address()
    }

    fn sasl(&self) -> String {
        format!("127.0.0.1:{}", self.0.port + 2)
    }

    fn mutual(&self) -> String {
        format!("127.0.0.1:{}", self.0.port + 3)
    }

    /// Properties for the SASL listener.
    fn with(&self, mechanism: &str, more: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut properties = vec![
            ("security.protocol".to_owned(), "sasl_ssl".to_owned()),
            ("ssl.ca.location".to_owned(), self.file("ca.pem")),
            ("sasl.mechanism".to_owned(), mechanism.to_owned()),
        ];
        properties.extend(more.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
        properties
    }

    fn password(&self, mechanism: &str, password: &str) -> Vec<(String, String)> {
        self.with(mechanism, &[("sasl.username", "alice"), ("sasl.password", password)])
    }

    /// Properties for the listener that asks for certificates.
    fn certificate(&self) -> Vec<(String, String)> {
        let file = |property: &str, name: &str| (property.to_owned(), self.file(name));
        vec![
            ("security.protocol".to_owned(), "ssl".to_owned()),
            file("ssl.ca.location", "ca.pem"),
            file("ssl.certificate.location", "client.pem"),
            file("ssl.key.location", "client.key"),
        ]
    }
}

fn config(folder: &Folder, brokers: &str, group: &str, properties: &[(String, String)]) -> PathBuf {
    let properties: String = properties.iter().map(|(k, v)| format!("    {k}: \"{v}\"\n")).collect();
    let text = format!(
        "policies: [shop.yaml]\nkafka:\n  brokers: \"{brokers}\"\n  group: \"{group}\"\n  properties:\n    client.id: driftgate\n{properties}\
         sources:\n- {{topic: {TOPIC}, kind: predictions, format: json}}\nidle_after: 2s\nregistry: {{embedded: {{path: registry.db}}}}\n\
         state: {{path: state, every: 1s}}\nhttp: {{listen: \"127.0.0.1:0\"}}\n"
    );
    folder.write("shop.yaml", SHOP.replace("labels: {horizon: 1h, lateness: 1s}\n", ""));
    let rows: String = (0..1000).map(|i| format!("{i},{},{}\n", f64::from(i % 10) / 10.0, i % 2)).collect();
    folder.write("shop_v1.csv", format!("x,score,label\n{rows}"));
    folder.write("driftgate.yaml", text);
    folder.path("driftgate.yaml")
}

fn publish(brokers: &str, properties: &[(String, String)], n: usize) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    for (property, value) in properties {
        config.set(property, value);
    }
    let producer: BaseProducer = config.create().unwrap();
    for (_, key, payload) in window("1", now_ms() - 600_000, 0).into_iter().take(n) {
        producer.send(BaseRecord::to(TOPIC).partition(0).key(&key).payload(&payload)).map_err(|(e, _)| e).unwrap();
    }
    producer.flush(Duration::from_secs(30)).unwrap();
}

/// What `/ready` and the log say of brokers that cannot be used; no password is in either.
fn refused(brokers: &str, properties: &[(String, String)], expected: &[&str]) {
    let folder = Folder::new();
    let daemon = Daemon::start(&config(&folder, brokers, "refused", properties), &[]);
    let said = |text: &str| expected.iter().all(|part| text.contains(part));
    let body = wait_for(&format!("{expected:?}"), || {
        let (status, body) = daemon.get("/ready");
        let body: Value = serde_json::from_str(&body).unwrap();
        let why = body["waiting"]["kafka"].as_str().unwrap_or_default().to_owned();
        (status == 503 && said(&why)).then_some(why)
    });
    assert!(body.contains(brokers), "{body}");
    let log = daemon.log();
    let warned =
        log.lines().filter(|line| line.contains("\"WARN\"") && expected.iter().all(|part| line.contains(part)));
    assert!((1..=10).contains(&warned.count()), "{log}");
    for text in [&body, &log] {
        assert!(!text.contains(PASSWORD) && !text.contains("wrong-word"), "{text}");
    }
    assert_eq!(daemon.stop(), Some(0), "it stops while it waits");
}

fn reads(broker: &Broker, name: &str, brokers: &str, properties: &[(String, String)]) {
    let folder = Folder::new();
    let daemon = Daemon::start(&config(&folder, brokers, name, properties), &[]);
    let events =
        wait_for(name, || daemon.metric("driftgate_events_total{topic=\"predictions\"}").filter(|n| *n >= 100.0));
    assert_eq!((events, daemon.get("/ready").0), (100.0, 200), "{name} on {}", broker.plain());
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn secured_brokers_are_read_and_what_is_wrong_with_a_connection_is_said() {
    let broker = Broker::start();
    publish(&broker.plain(), &[], 100);

    let unsecured =
        [("enable.sasl.oauthbearer.unsecure.jwt", "true"), ("sasl.oauthbearer.config", "principal=driftgate")];
    reads(&broker, "plain", &broker.sasl(), &broker.password("PLAIN", PASSWORD));
    reads(&broker, "scram-256", &broker.sasl(), &broker.password("SCRAM-SHA-256", PASSWORD));
    reads(&broker, "scram-512", &broker.sasl(), &broker.password("SCRAM-SHA-512", PASSWORD));
    reads(&broker, "oauthbearer", &broker.sasl(), &broker.with("OAUTHBEARER", &unsecured));
    reads(&broker, "mutual-tls", &broker.mutual(), &broker.certificate());

    let replaced = |mut properties: Vec<(String, String)>, property: &str, value: Option<String>| {
        properties.retain(|(k, _)| k != property);
        properties.extend(value.map(|value| (property.to_owned(), value)));
        properties
    };
    let plain = || broker.password("PLAIN", PASSWORD);
    refused(
        &broker.sasl(),
        &broker.password("PLAIN", "wrong-word"),
        &[
            "SASL authentication error: Authentication failed: Invalid username or password",
            "check sasl.username, sasl.password",
        ],
    );
    refused(
        &broker.sasl(),
        &broker.password("SCRAM-SHA-512", "wrong-word"),
        &["invalid credentials with SASL mechanism SCRAM-SHA-512", "check sasl.username, sasl.password"],
    );
    let other = replaced(plain(), "ssl.ca.location", Some(broker.file("other-ca.pem")));
    refused(
        &broker.sasl(),
        &other,
        &["certificate verify failed", "ssl.ca.location in kafka.properties must be the file"],
    );
    refused(
        &broker.sasl(),
        &replaced(plain(), "ssl.ca.location", None),
        &["certificate verify failed", "ssl.ca.location"],
    );
    let mut bare = replaced(broker.certificate(), "ssl.certificate.location", None);
    bare = replaced(bare, "ssl.key.location", None);
    refused(&broker.mutual(), &bare, &["certificate", "check ssl.certificate.location and ssl.key.location"]);
    refused("no-such-host.invalid:9092", &plain(), &["Failed to resolve", "check the host names in kafka.brokers"]);
    refused("127.0.0.1:1", &plain(), &["Connection refused", "check host and port in kafka.brokers"]);
    refused(&broker.mutual(), &[], &["check security.protocol in kafka.properties"]);
    refused(&broker.plain(), &broker.certificate(), &["speaks no TLS", "check security.protocol"]);

    // What can be seen without a broker is refused at once.
    for (properties, expected) in [
        (broker.with("OAUTHBEARER", &[]), "enable.sasl.oauthbearer.unsecure.jwt"),
        (broker.with("OAUTHBEARER", &[("sasl.oauthbearer.method", "oidc")]), "OpenID Connect"),
        (broker.with("GSSAPI", &[]), "GSSAPI"),
        (replaced(plain(), "ssl.ca.location", Some("/nowhere/ca.pem".into())), "ssl.ca.location"),
    ] {
        let folder = Folder::new();
        let config = config(&folder, &broker.sasl(), "refused", &properties);
        let run = folder.driftgate(&format!("run --config {}", Path::new(&config).display()));
        run.exits(2).says(expected).says("kafka.properties");
    }
}
