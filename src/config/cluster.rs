//! `cluster:`: what this process is among the processes of its group, and the topics that they share.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::Url;

use super::key::{Key, default, names, optional, required};
use super::reader::{ConfigReader, count, duration};
use super::sources;
use super::types::{ClusterConfig, HttpConfig, Split};
use driftgate_core::yaml::{Item, Map, units};

impl ClusterConfig {
    /// Where requests may carry given names only, that of the advertised address is one of them.
    pub(super) fn name_host(&self, http: &mut HttpConfig) {
        let url = Url::parse(&self.advertise).ok();
        let Some(host) = url.as_ref().and_then(Url::host_str) else { return };
        let is_strict = !http.hosts.is_empty() || http.outermost().ip().to_canonical().is_loopback();
        if is_strict && !http.hosts.iter().any(|known| known.eq_ignore_ascii_case(host)) {
            http.hosts.push(host.to_owned());
        }
    }
}

/// What the names of the internal topics have after their prefix.
pub const INTERNAL: [&str; 7] = ["units", "state", "ledger", "ledger-owner", "results", "partials", "control"];
/// They are at most this much longer than their prefix.
const LONGEST_NAME: usize = 32;
/// Under half a second a pause of the machine is taken for a death; a broker's own bounds hold beside these.
const LEAST_SESSION: Duration = Duration::from_millis(500);
const MOST_SESSION: Duration = Duration::from_secs(300);
const MOST_COMMIT: Duration = Duration::from_secs(600);

pub const CLUSTER: [Key; 8] = [
    required(
        "instance",
        "text",
        "Name of this process in the group, the same after a restart, such as the name of its pod: `${HOSTNAME}`.",
    ),
    default(
        "session",
        "duration",
        "6s",
        "A process that sends no heartbeat for so long is dead, and another one takes over. The brokers bound it, too (`group.min.session.timeout.ms`).",
    ),
    default(
        "commit",
        "duration",
        "10s",
        "How often the process that counts commits its state, up to 10m. Verdicts and signals leave with the commit that holds them.",
    ),
    default(
        "split",
        "`models` or `partitions`",
        "models",
        "What is divided between processes. With `models` one process counts all that a model reads. With `partitions` several count the partitions of a model's topics, and one judges what they count.",
    ),
    required(
        "advertise",
        "URL",
        "Where callers and the other processes reach the HTTP server of this one, such as `http://${POD_IP}:9464`.",
    ),
    optional("topics", "mapping", "The internal topics."),
    required(
        "audit_key",
        "path",
        "PEM file with the Ed25519 key that signs the audit log. All processes have the same one.",
    ),
    optional("state", "mapping", "Not supported yet: it is refused."),
];

pub const TOPICS: [Key; 2] = [
    default("prefix", "text", "driftgate.", "What the names of the internal topics begin with."),
    default("replication", "number", "3", "Replicas of each internal topic, up to 32767."),
];

impl ConfigReader<'_> {
    pub(super) fn cluster(&self, item: &Item) -> Option<ClusterConfig> {
        let map = item.map(const { &names(&CLUSTER) })?;
        let instance = map.require("instance", "${HOSTNAME}").and_then(|item| instance(&item));
        let session = map.get("session").map_or(Some(Duration::from_secs(6)), |item| {
            bounded(&item, LEAST_SESSION, MOST_SESSION, "from 500ms to 5m")
        });
        let commit = map.get("commit").map_or(Some(Duration::from_secs(10)), |item| {
            bounded(&item, Duration::from_millis(100), MOST_COMMIT, "from 100ms to 10m")
        });
        let split = map.get("split").map_or(Some(Split::Models), |item| {
            item.choice(&[("models", Split::Models), ("partitions", Split::Partitions)])
        });
        let advertise = map.require("advertise", "\"http://${POD_IP}:9464\"").and_then(|item| advertised(&item));
        let (prefix, replication) = topics(map.get("topics").as_ref());
        let audit_key = map.require("audit_key", "/run/secrets/driftgate-audit-key").and_then(|item| self.path(&item));
        let state = map.get("state").map_or(Some(()), |item| {
            item.fail("chunks of state in an object store are not supported yet: leave it out, and they are kept in the internal topics")
        });
        state?;
        Some(ClusterConfig {
            split: split?,
            instance: instance?,
            session: session?,
            commit: commit?,
            advertise: advertise?,
            prefix: prefix?,
            replication: replication?,
            audit_key: audit_key?,
        })
    }
}

/// A name that Kafka takes for a static member.
fn instance(item: &Item) -> Option<String> {
    let name = item.text("the name of this process")?.to_owned();
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let is_legal = !name.is_empty() && name.bytes().all(legal) && !matches!(name.as_str(), "." | "..");
    // The names of its producers are longer.
    if is_legal && name.len() <= 200 {
        return Some(name);
    }
    let read = units::quote(&name);
    item.fail(format!(
        "expected the name of this process, read {read}: use 1 to 200 of A-Z, a-z, 0-9, `.`, `_` and `-`"
    ))
}

/// An address that a path can follow.
fn advertised(item: &Item) -> Option<String> {
    let text = item.text("the address of this process")?;
    let url = Url::parse(text).ok().filter(|url| {
        let is_plain = url.username().is_empty() && url.password().is_none();
        let ends = url.query().is_none() && url.fragment().is_none();
        matches!(url.scheme(), "http" | "https") && url.host_str().is_some() && is_plain && ends
    });
    let Some(url) = url else {
        let read = units::quote(text);
        return item.fail(format!(
            "expected the address of this process, read {read}: write it like \"http://${{POD_IP}}:9464\", without a user or query"
        ));
    };
    let address = url.host_str().and_then(|host| host.trim_matches(['[', ']']).parse::<IpAddr>().ok());
    if address.is_some_and(|address| address.is_unspecified()) {
        return item.fail("expected the address of this process, read one that stands for all addresses: write the one that others reach");
    }
    Some(url.as_str().trim_end_matches('/').to_owned())
}

fn bounded(item: &Item, least: Duration, most: Duration, range: &str) -> Option<Duration> {
    let read = duration(item)?;
    if (least..=most).contains(&read) {
        return Some(read);
    }
    item.fail(format!("expected a duration {range}, read {} ms", read.as_millis()))
}

/// The prefix and the replication of the internal topics.
fn topics(item: Option<&Item>) -> (Option<String>, Option<i32>) {
    let map = match item {
        Some(item) => match item.map(const { &names(&TOPICS) }) {
            Some(map) => Some(map),
            None => return (None, None),
        },
        None => None,
    };
    let get = |key| map.as_ref().and_then(|map: &Map| map.get(key));
    let prefix = get("prefix").map_or_else(
        || Some("driftgate.".to_owned()),
        |item| {
            let text = sources::topic(&item)?;
            if text.len() + LONGEST_NAME > 249 {
                return item.fail(format!(
                    "{} bytes are too long for a prefix: write at most {}",
                    text.len(),
                    249 - LONGEST_NAME
                ));
            }
            Some(text)
        },
    );
    let replication =
        get("replication").map_or(Some(3), |item| count(&item, 1, 32_767).and_then(|n| i32::try_from(n).ok()));
    (prefix, replication)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Config, parse_with};

    fn read(cluster: &str) -> Result<Config, String> {
        let text = format!(
            "policies: [p.yaml]\nsources: [{{topic: t, kind: labels}}]\nkafka: {{brokers: \"a:9092\"}}\ncluster: {cluster}\n"
        );
        let environment = |name: &str| match name {
            "HOSTNAME" => Some("driftgate-0".to_owned()),
            "POD_IP" => Some("10.1.2.3".to_owned()),
            "ODD" => Some("a b".to_owned()),
            _ => None,
        };
        parse_with(&text, Path::new("etc/c.yaml"), &environment).map_err(|errors| errors.to_string())
    }

    const WHOLE: &str = "instance: \"${HOSTNAME}\", advertise: \"http://${POD_IP}:9464/\", audit_key: key.pem";

    #[test]
    fn names_come_from_the_environment_and_the_rest_has_defaults() {
        let cluster = read(&format!("{{{WHOLE}}}")).unwrap().cluster.unwrap();
        let expected = ClusterConfig {
            split: Split::Models,
            instance: "driftgate-0".into(),
            session: Duration::from_secs(6),
            commit: Duration::from_secs(10),
            advertise: "http://10.1.2.3:9464".into(),
            prefix: "driftgate.".into(),
            replication: 3,
            audit_key: "etc/key.pem".into(),
        };
        assert_eq!(cluster, expected);
        let more = ", session: 2s, commit: 1s, split: models, topics: {prefix: eu., replication: 1}";
        let given = read(&format!("{{{WHOLE}{more}}}")).unwrap().cluster.unwrap();
        let (prefix, replication) = ("eu.".to_owned(), 1);
        let (session, commit) = (Duration::from_secs(2), Duration::from_secs(1));
        assert_eq!(given, ClusterConfig { session, commit, prefix, replication, ..expected.clone() });
        let divided = read(&format!("{{{WHOLE}, split: partitions}}")).unwrap().cluster.unwrap();
        assert_eq!(divided, ClusterConfig { split: Split::Partitions, ..expected });
        // YAML of a StatefulSet, without quotes.
        let plain = read("\n  instance: ${HOSTNAME}\n  advertise: http://${POD_IP}:9464\n  audit_key: /k").unwrap();
        assert_eq!(plain.cluster.unwrap().instance, "driftgate-0");
    }

    #[test]
    fn the_advertised_name_is_one_that_requests_may_carry() {
        let hosts = |http: &str| {
            let cluster = "{instance: a, advertise: \"https://gate.example.com:9464\", audit_key: k}";
            read(&format!("{cluster}\nhttp: {http}")).unwrap().http.hosts
        };
        assert_eq!(hosts("{hosts: [other.example.com]}"), ["other.example.com", "gate.example.com"]);
        assert_eq!(hosts("{hosts: [gate.example.com]}"), ["gate.example.com"]);
        assert_eq!(hosts("{listen: \"127.0.0.1:1\"}"), ["gate.example.com"]);
        // Where every name is answered, it stays so.
        assert_eq!(hosts("{listen: \"0.0.0.0:1\"}"), Vec::<String>::new());
    }

    #[test]
    fn mistakes() {
        for (cluster, expected) in [
            ("{}".to_owned(), "cluster.instance: missing: write `instance: ${HOSTNAME}`"),
            ("{}".to_owned(), "cluster.advertise: missing"),
            ("{}".to_owned(), "cluster.audit_key: missing"),
            ("{instance: \"${NOPE}\"}".to_owned(), "the environment variable NOPE is not set: set it"),
            ("{instance: \"${ODD}\"}".to_owned(), "expected the name of this process, read \"a b\""),
            ("{instance: ..}".to_owned(), "expected the name of this process, read \"..\""),
            ("{advertise: \"10.1.2.3:9464\"}".to_owned(), "expected the address of this process"),
            ("{advertise: \"http://u:p@a\"}".to_owned(), "expected the address of this process"),
            ("{advertise: \"http://a/?x=1\"}".to_owned(), "expected the address of this process"),
            ("{advertise: \"http://0.0.0.0:9464\"}".to_owned(), "stands for all addresses"),
            (format!("{{{WHOLE}, split: halves}}"), "expected `models` or `partitions`"),
            (
                format!("{{{WHOLE}, state: {{chunks: \"s3://b\"}}}}"),
                "cluster.state: chunks of state in an object store are not supported yet",
            ),
            (format!("{{{WHOLE}, session: 100ms}}"), "expected a duration from 500ms to 5m, read 100 ms"),
            (format!("{{{WHOLE}, commit: 1h}}"), "expected a duration from 100ms to 10m"),
            (format!("{{{WHOLE}, topics: {{prefix: \"a b\"}}}}"), "expected a topic, read \"a b\""),
            (format!("{{{WHOLE}, topics: {{replication: 0}}}}"), "expected a whole number from 1 to 32767"),
            (format!("{{{WHOLE}, heartbeat: 1s}}"), "unknown key `heartbeat`"),
        ] {
            let told = read(&cluster).unwrap_err();
            assert!(told.contains(expected), "{cluster}\n{told}\nlacks\n{expected}");
        }
        let told = read(&format!("{{{WHOLE}}}\npublish: {{verdicts: driftgate.state}}")).unwrap_err();
        assert!(told.contains("the topic \"driftgate.state\" is an internal one of the cluster"), "{told}");
        let text = format!("cluster: {{{}}}\n", WHOLE.replace("${HOSTNAME}", "a").replace("${POD_IP}", "b"));
        let told = parse_with(&text, Path::new("c.yaml"), &|_| None).unwrap_err().to_string();
        assert!(told.contains("a cluster works by Kafka"), "{told}");
    }
}
