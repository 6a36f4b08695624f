//! The configuration parser, by what it reads and by what it says.

use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use driftgate_core::event::TimeUnit;
use driftgate_core::kserve::Logged;

const EXAMPLE: &str = include_str!("../../config/driftgate.yaml");

fn environment(name: &str) -> Option<String> {
    (name == "KAFKA_PASSWORD").then(|| "hunter2".to_owned())
}

fn read(text: &str) -> Result<Config, String> {
    let errors = parse_with(text, Path::new("etc/c.yaml"), &environment);
    errors.map_err(|errors| errors.to_string().replace("etc/c.yaml:", ""))
}

const BASE: &str = "policies: [p.yaml]\nsources: [{topic: t, kind: labels}]\n";

fn kafka(options: &str) -> String {
    format!("{BASE}kafka: {{brokers: \"a:9092\"{options}}}\n")
}

#[track_caller]
fn says(text: &str, expected: &str) {
    let message = read(text).expect_err("the configuration should have been refused");
    assert!(message.contains(expected), "\n{message}\ndoes not contain\n{expected}");
}

#[test]
fn the_shipped_example_parses() {
    let config = parse(EXAMPLE, Path::new("config/driftgate.yaml")).unwrap();
    assert_eq!(config.policies, ["policies/*.yaml"]);
    let kafka = config.kafka.as_ref().unwrap();
    assert_eq!((kafka.brokers.as_str(), kafka.group.as_str()), ("localhost:9092", "driftgate"));
    assert_eq!(kafka.properties.get("security.protocol").map(String::as_str), Some("plaintext"));
    assert_eq!(config.sources.len(), 3);
    assert_eq!(config.sources[1].fields.label, ["outcome"]);
    assert_eq!(config.sources[1].fields.ts, ["ts"]);
    assert_eq!(config.sources[2].fields.rename.get("cust_age").map(String::as_str), Some("age"));
    assert_eq!(config.sources[2].time.unit, TimeUnit::Millis);
    assert_eq!(config.registry, RegistryConfig { path: "config/registry/registry.db".into(), external: None });
    assert_eq!(
        config.publish.dead_letters,
        Some(DeadLetters {
            to: DeadLetterTarget::Topic("driftgate.dead".into()),
            full_payload: false,
            most_bytes: 1 << 30
        })
    );
    assert_eq!(config.state, StateConfig { path: "config/state".into(), every: Duration::from_secs(10) });
    assert_eq!(config.limits, Limits::default());
    // The example shows the defaults.
    let bare = parse("{}", Path::new("config/driftgate.yaml")).unwrap();
    assert_eq!((bare.idle_after, bare.limits, &bare.state), (config.idle_after, config.limits, &config.state));
    assert_eq!((&bare.registry, &bare.http), (&config.registry, &config.http));
    assert_eq!((bare.kafka, bare.sources), (None, vec![]));
}

#[test]
fn the_compose_file_of_a_cluster_starts_what_its_configuration_names() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker");
    let file = root.join("cluster/driftgate.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let compose = std::fs::read_to_string(root.join("compose.cluster.yaml")).unwrap();
    let service = |name: &str| compose.lines().any(|line| line == format!("  {name}:"));
    for host in ["driftgate-a", "driftgate-b", "driftgate-c"] {
        let environment = |name: &str| (name == "HOSTNAME").then(|| host.to_owned());
        let config = parse_with(&text, &file, &environment).unwrap();
        let (kafka, cluster) = (config.kafka.unwrap(), config.cluster.unwrap());
        assert_eq!(
            (cluster.instance.as_str(), cluster.advertise),
            (host, format!("http://{host}:{}", config.http.listen.port()))
        );
        assert!(service(host) && compose.contains(&format!("hostname: {host}\n")), "{host}");
        let brokers: Vec<&str> = kafka.brokers.split(',').collect();
        assert_eq!(i32::try_from(brokers.len()), Ok(cluster.replication));
        assert!(brokers.iter().all(|broker| service(broker.strip_suffix(":9092").unwrap())), "{brokers:?}");
        assert!(compose.contains(&format!("./cluster/audit-key.pem:{}:ro", cluster.audit_key.display())));
        let topics =
            config.sources.iter().map(|s| &s.topic).chain(&config.publish.signals).chain(&config.publish.verdicts);
        for topic in topics {
            assert!(compose.contains(&format!("        topic {topic} --partitions ")), "{topic}");
        }
    }
}

#[test]
fn policy_files_are_found() {
    let config = parse(EXAMPLE, Path::new("config/driftgate.yaml")).unwrap();
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/core/src");
    let mut config =
        Config { directory: here, policies: vec!["policy/p*e.rs".into(), "policy/parse.rs".into()], ..config };
    let names: Vec<_> =
        config.policy_files().unwrap().iter().map(|path| path.file_name().unwrap().to_owned()).collect();
    assert_eq!(names, ["parse.rs"]);
    config.policies = vec!["policy/*.yaml".into()];
    assert!(config.policy_files().unwrap_err().to_string().starts_with("no policy file matches \"policy/*.yaml\" in "));
    config.policies = vec!["nowhere/*.yaml".into()];
    assert!(config.policy_files().unwrap_err().to_string().starts_with("cannot list "));
}

#[test]
fn secrets_are_filled_in_and_hidden() {
    let text = kafka(
        ", properties: {sasl.password: \"x${KAFKA_PASSWORD}y\", linger.ms: 5, check.crcs: true}, property_files: {ssl.key.password: key}",
    );
    let config = read(&text).unwrap();
    let kafka_config = config.kafka.as_ref().unwrap();
    assert_eq!(kafka_config.properties.get("sasl.password").map(String::as_str), Some("xhunter2y"));
    assert_eq!(kafka_config.properties.get("linger.ms").map(String::as_str), Some("5"));
    assert_eq!(kafka_config.property_files.get("ssl.key.password").unwrap(), Path::new("etc/key"));
    let shown = format!("{config:?}");
    assert!(shown.contains("\"sasl.password\": \"***\"") && !shown.contains("hunter2"), "{shown}");
    let error = kafka_config.client_properties().unwrap_err().to_string();
    assert!(error.starts_with("cannot read etc/key for the Kafka property ssl.key.password: "), "{error}");

    says(&kafka(", properties: {sasl.password: \"s3cret${NOPE}\"}"), "the environment variable NOPE is not set");
    let message = read(&kafka(", properties: {sasl.password: \"s3cret${NOPE}\"}")).unwrap_err();
    assert!(!message.contains("s3cret"), "{message}");
    says(&kafka(", properties: {a: \"${\"}"), "`${` without its `}`");
    says(&kafka(", properties: {a: \"${1}\"}"), "expected the name of an environment variable, read \"1\"");
    says(&kafka(", properties: {a: [1]}"), "expected a text, number or boolean");
    says(&kafka(", properties: {enable.auto.commit: true}"), "`enable.auto.commit` is set by driftgate");
    says(&kafka(", properties: {a: b}, property_files: {a: f}"), "`a` is among the `properties` too");
}

#[test]
fn secrets_come_from_files() {
    let file = std::env::temp_dir().join(format!("driftgate-secret-{}", std::process::id()));
    std::fs::write(&file, "hunter2\n").unwrap();
    let text = kafka(&format!(", group: g, property_files: {{sasl.password: \"{}\"}}", file.display()));
    let properties = read(&text).unwrap().kafka.unwrap().client_properties();
    std::fs::remove_file(&file).unwrap();
    let expected = [("bootstrap.servers", "a:9092"), ("group.id", "g"), ("sasl.password", "hunter2")];
    let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(properties.unwrap().into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn a_collector_is_read_and_its_headers_are_hidden() {
    let otlp = |options: &str| read(&format!("{BASE}otlp: {{endpoint: \"http://c:4318\"{options}}}\n"));
    let usual = otlp("").unwrap().otlp.unwrap();
    assert_eq!((usual.endpoint.as_str(), usual.interval.as_secs(), usual.headers.len()), ("http://c:4318", 60, 0));
    let given = otlp(", interval: 10s, headers: {authorization: \"Bearer ${KAFKA_PASSWORD}\"}").unwrap().otlp.unwrap();
    assert_eq!((given.headers["authorization"].as_str(), given.interval.as_secs()), ("Bearer hunter2", 10));
    assert!(format!("{given:?}").contains("authorization") && !format!("{given:?}").contains("hunter2"));
    assert_eq!(read(BASE).unwrap().otlp, None);
    for (text, expected) in [
        (format!("{BASE}otlp: {{}}\n"), "endpoint"),
        (format!("{BASE}otlp: {{endpoint: \"c:4317\"}}\n"), "http://"),
        (format!("{BASE}otlp: {{endpoint: \"http://c/v1/traces\"}}\n"), "address alone"),
        (format!("{BASE}otlp: {{endpoint: \"http://c\", headers: {{a b: c}}}}\n"), "`a b` is no header"),
        (
            format!("{BASE}otlp: {{endpoint: \"http://c\", headers: {{a: \"${{NO_SUCH}}\"}}}}\n"),
            "NO_SUCH is not set: set it",
        ),
    ] {
        says(&text, expected);
    }
}

#[test]
fn pointers_are_split_and_unescaped() {
    let text = "sources: [{topic: t, kind: labels, fields: {label: /a/b~1c/~01/, ts: \"/\"}}]";
    let fields = read(text).unwrap().sources[0].fields.clone();
    assert_eq!(fields.label, ["a", "b/c", "~1", ""]);
    assert_eq!(fields.ts, [""]);
    assert_eq!(fields.score, ["score"]);
}

#[test]
fn every_error_at_once() {
    let text = "polices: [a]
kafka: {group: 5}
sources:
- {topic: \"a b\", kind: prediction, format: csv}
idle_after: 30
registry: {mlflow: {url: \"x\", token_file: }}
publish: {dead_letters: {payload: some}}
state: {every: 0s}
http: {listen: \"localhost:9464\"}
limits: {message_bytes: 1MB, depth: 0}
";
    let message = read(text).unwrap_err();
    for expected in [
        "1:1: polices: unknown key `polices`; ",
        "did you mean `policies`?",
        "policies: missing: write `policies: [\"policies/*.yaml\"]`",
        "kafka.brokers: missing: write `brokers: \"localhost:9092\"`",
        "2:16: kafka.group: expected a consumer group, read 5 without quotes: write \"5\"",
        "sources[0].topic: expected a topic, read \"a b\"",
        "sources[0].kind: expected `predictions` or `features` or `labels` or `measurements`, read \"prediction\"",
        "sources[0].format: expected `json` or `json_schema` or `avro` or `protobuf` or `cloudevents` or `kserve` or `oip` or `mlserver` or `seldon` or `sagemaker` or `databricks`, read \"csv\"",
        "5:13: idle_after: expected a duration, read \"30\": the unit is missing, write 30s",
        "registry.mlflow.url: expected a URL that starts with http:// or https://",
        "publish.dead_letters: neither `topic` nor `path`",
        "publish.dead_letters.payload: expected `none` or `full`, read \"some\"",
        "state.every: expected a duration above zero",
        "http.listen: expected an address with a port, read \"localhost:9464\": write it like \"127.0.0.1:9464\"",
        "limits.message_bytes: expected a size, read \"1MB\": write a whole number with KiB, MiB or GiB, like 1MiB",
        "limits.depth: expected a whole number from 1 to 128, read \"0\"",
    ] {
        assert!(message.contains(expected), "\n{message}\nlacks\n{expected}");
    }
}

#[test]
fn who_may_reach_the_server_is_read() {
    let text = "http: {listen: \"0.0.0.0:1\", connections: 40, hosts: [gate.example.com., \"[2001:db8::1]\"],
  tls: {listen: \"0.0.0.0:2\", certificate: a.pem, key: /b.key, client_ca: c.pem}}";
    let http = read(text).unwrap().http;
    assert_eq!((http.connections, http.hosts), (Some(40), vec!["gate.example.com".into(), "[2001:db8::1]".into()]));
    // Where only TLS is reached by others, they need a token to read all the same.
    let behind = read("http: {tls: {listen: \"0.0.0.0:2\", certificate: a.pem, key: b.key}}").unwrap().http;
    assert_eq!((behind.reading(), behind.outermost().port()), (Reading::Token, 2));
    let tls = http.tls.unwrap();
    assert_eq!((tls.listen.port(), tls.certificate, tls.key), (2, "etc/a.pem".into(), "/b.key".into()));
    assert_eq!(tls.client_ca, Some("etc/c.pem".into()));
    says("http: {connections: 31}", "http.connections: expected a whole number from 32 to 100000, read \"31\"");
    says("http: {hosts: [\"a:1\"]}", "http.hosts[0]: expected a host name without a port, read \"a:1\"");
    says("http: {hosts: [\"http://a/\"]}", "expected a host name without a port");
    says("http: {tls: {listen: \"0.0.0.0:2\", key: k}}", "http.tls.certificate: missing");
    says("http: {tls: {listen: 9465}}", "http.tls.listen: expected an address with a port");
    says("http: {tls: {cert: a}}", "unknown key `cert`");
}

#[test]
fn responses_in_a_topic_of_their_own_are_a_source_behind_the_listed_ones() {
    let listed = |inference: &str| {
        format!(
            "sources: [{{topic: a, kind: predictions, format: mlserver, model: m, inference: {{{inference}}}}}, {{topic: b, kind: labels}}]"
        )
    };
    let with = |sources: &str| format!("policies: [p.yaml]\nkafka: {{brokers: \"a:9092\"}}\n{sources}\n");
    let config = read(&with(&listed("responses: c, score: /p"))).unwrap();
    let topics: Vec<&str> = config.sources.iter().map(|source| source.topic.as_str()).collect();
    assert_eq!(topics, ["a", "b", "c"]);
    let (requests, answers) = (&config.sources[0], &config.sources[2]);
    assert_eq!((requests.responses.as_deref(), answers.requests.as_deref()), (Some("c"), Some("a")));
    assert_eq!((&requests.format, &requests.model), (&answers.format, &answers.model));
    for (inference, expected) in [
        ("responses: a", "the topic \"a\" is read by sources[0] already"),
        ("responses: b", "the topic \"b\" is read by sources[0] already"),
        ("responses: \"a b\"", "expected a topic"),
        ("time: /t", "these messages have a time in a place of its own"),
    ] {
        says(&listed(inference), expected);
    }
    let one = |rest: &str| format!("sources: [{{topic: a, {rest}}}]");
    says(&one("kind: predictions, format: mlserver, inference: {responses: c}"), "write `model` of the source");
    says(
        &one("kind: predictions, format: sagemaker, model: m, inference: {responses: c}"),
        "hold a request and its response",
    );
    says(&one("kind: labels, format: mlserver"), "requests and responses are predictions");
    says(&one("kind: labels, format: seldon, model: m, inference: {responses: c}"), "labels have no responses");
    says(
        &one("kind: predictions, format: seldon, inference: {version: /annotations/v}"),
        "have no such attribute: write one that they have, such as /endpoint",
    );
    let core1 =
        |kind: &str| match &read(&with(&one(&format!("kind: {kind}, format: seldon")))).unwrap().sources[0].format {
            SourceFormat::Kserve(settings) => settings.logged.clone(),
            other => panic!("{other:?}"),
        };
    assert_eq!((core1("predictions"), core1("labels")), (Logged::SeldonLogger, Logged::SeldonFeedback));
    let seldon = read(&with(&one("kind: predictions, format: seldon, model: m, inference: {responses: c}"))).unwrap();
    let sides = seldon.sources.iter().map(|source| match &source.format {
        SourceFormat::Kserve(settings) => settings.logged.clone(),
        other => panic!("{other:?}"),
    });
    assert!(sides.eq([false, true].map(|is_responses| Logged::Seldon { is_responses })));
    says(&one("kind: features, format: sagemaker"), "requests and responses are predictions");
    assert!(read(&with(&one("kind: labels, format: sagemaker"))).is_ok());
}

#[test]
fn mistakes() {
    let source = |options: &str| format!("sources: [{{topic: t, kind: features{options}}}]");
    for (text, expected) in [
        (
            source(", fields: {label: outcome}"),
            "expected a JSON pointer, read \"outcome\": begin it with a slash, like \"/outcome\"",
        ),
        (source(", fields: {label: \"$.a\"}"), "expected a JSON pointer"),
        (source(", fields: {label: /a~2}"), "after `~` comes 0"),
        (source(", fields: {label: }"), "expected a JSON pointer, read nothing"),
        (source(", fields: {id: /a}"), "unknown key `id`"),
        (source(", timestamp: seconds"), "expected `rfc3339_or_ms` or `s` or `ms` or `us` or `ns`"),
        (source(", model: a, models: [b]"), "both `model` and `models`"),
        (source(", models: [b, b]"), "\"b\" is named twice"),
        (source(", rename: {a: x, b: x}"), "`a` and `b` are both renamed to \"x\""),
        (source("}, {topic: t, kind: labels"), "the topic \"t\" is read by sources[0] already"),
        ("sources: []".into(), "expected at least one source"),
        ("policies: []".into(), "expected at least one policy file"),
        ("policies: [\"*/a.yaml\"]".into(), "has a `*` in a folder's name"),
        ("policies: [\"policies/\"]".into(), "is a folder: write policies/*.yaml"),
        ("registry: {}".into(), "expected a registry"),
        ("registry: {mlflow: {}}".into(), "url: missing"),
        ("publish: {webhooks: [{url: ftp://x}]}".into(), "expected a URL that starts with"),
        ("audit: {topic: a}".into(), "the configuration has no kafka section"),
        (
            "kafka: {brokers: a}\nprometheus: [{url: \"http://p\", query: up, model: m, metric: x, topic: t, version: \"1\", version_label: v}]"
                .into(),
            "both `version` and `version_label`",
        ),
        ("publish: {dead_letters: {topic: a, path: b}}".into(), "both `topic` and `path`"),
        ("limits: {message_bytes: 1GiB}".into(), "expected a size up to 256MiB"),
        ("kafka: {brokers: \"a,,b\"}".into(), "expected addresses separated by commas"),
    ] {
        says(&text, expected);
    }
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in "\\PC*") {
        let _ = read(&text);
    }

    #[test]
    fn mutated_configurations_never_panic(from in 0usize..6000, length in 0usize..12, with in "[a-z0-9:,{}\\[\\]&*!'\"$ \n.é-]{0,6}") {
        let characters: Vec<char> = EXAMPLE.chars().collect();
        let from = from % characters.len();
        let to = (from + length).min(characters.len());
        let text: String = characters[..from].iter().copied().chain(with.chars()).chain(characters[to..].iter().copied()).collect();
        if let Err(errors) = parse_with(&text, Path::new("c.yaml"), &environment) {
            prop_assert!(!errors.errors.is_empty(), "refused without an error");
        }
    }
}
