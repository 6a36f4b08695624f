//! Messages that serializers of a schema registry write: the flights through each format, and a registry that is away.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::broker::{Daemon, brokers, flights, publish, read, topic, wait_for};
use super::kafka::{Topics, by_id, load, replayed_of};
use super::support::{Folder, Served, interpreter};

/// So many predictions and labels are read: a day of flights.
const EVENTS: u32 = 20_000;

pub fn serializers(program: &str) -> Command {
    let mut command = Command::new(interpreter("serializers", "confluent-kafka and the CloudEvents SDK are"));
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/serializers").join(program));
    command
}

/// A schema registry, which is stopped with the value.
fn start_registry(port: u16, folder: &Folder) -> Served {
    let served = Served::start(serializers("registry.py").arg(port.to_string()).arg(folder.path("schemas.json")));
    assert_eq!(served.said, "ready");
    served
}

/// Writes the first events of a topic anew, by a serializer.
fn write(from: &str, to: &str, format: &str, registry: &str, file: PathBuf) {
    write_some(EVENTS, from, to, format, registry, file);
}

fn write_some(count: u32, from: &str, to: &str, format: &str, registry: &str, file: PathBuf) {
    let mut command = serializers("write.py");
    let written =
        command.args([&brokers(), from, to, &count.to_string(), format, registry]).arg(file).output().unwrap();
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
}

#[test]
fn events_of_real_serializers_give_the_verdicts_of_json_in_every_format() {
    let folder = Folder::new();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    let json = Topics::new("flights-json", 1);
    for (file, kind, topic) in
        [("predictions.parquet", "predictions", &json.predictions), ("labels.parquet", "labels", &json.labels)]
    {
        assert!(load(file, kind, topic, None).wait().unwrap().success());
    }
    let mut registry = Some(start_registry(port, &folder));
    let mut expected = None;
    for format in ["avro", "avro-header", "protobuf", "protobuf-header", "json_schema"] {
        let topics = Topics::new(&format!("flights-{format}"), 1);
        let (predictions, labels) = (folder.path("predictions.jsonl"), folder.path("labels.jsonl"));
        write(&json.predictions, &topics.predictions, format, &url, predictions.clone());
        write(&json.labels, &topics.labels, format, &url, labels.clone());
        let expected = expected.get_or_insert_with(|| replayed_of(&predictions, &labels));
        if format == "avro" {
            files(&folder, expected);
        }
        let config = topics.config(&flights().join("policy-core.yaml").display().to_string(), "2s");
        let name = format.split('-').next().unwrap();
        let config = config.replace("format: json", &format!("format: {name}"));
        // Each has a state and a registry of its own.
        let own = Folder::new();
        own.write("driftgate.yaml", format!("{config}schema_registry: {{url: \"{url}\"}}\n"));
        let at = own.path("driftgate.yaml");
        // The first time the registry is away as the daemon starts.
        let away = format == "avro";
        if away {
            registry = None;
        }
        let daemon = Daemon::start(&at, &[]);
        if away {
            let status = wait_for("the status to say what is missing", || {
                let (_, status) = daemon.get("/api/v1/status");
                status.contains("their schemas cannot be fetched").then_some(status)
            });
            assert!(status.contains(&url), "{status}");
            assert_eq!(daemon.metric("driftgate_failing{part=\"schemas\"}"), Some(1.0));
            registry = Some(start_registry(port, &folder));
        }
        let found = wait_for("all verdicts", || {
            let found = by_id(read(&topics.verdicts));
            (found.len() >= expected.len()).then_some(found)
        });
        for (id, verdict) in &*expected {
            assert_eq!(found.get(id), Some(verdict), "{format}: {} {}", verdict["group"], verdict["window"]["end"]);
        }
        assert_eq!(found.len(), expected.len(), "{format}");
        let events = |topic: &str| daemon.metric(&format!("driftgate_events_total{{topic=\"{topic}\"}}"));
        let read = || (events(&topics.predictions), events(&topics.labels));
        let all = (Some(f64::from(EVENTS)), Some(f64::from(EVENTS)));
        wait_for("all events", || (read() >= all).then_some(()));
        assert_eq!(read(), all, "each once");
        assert_eq!(daemon.metric("driftgate_failing{part=\"schemas\"}").unwrap_or(0.0), 0.0, "{format}");
        if format == "avro" || format == "protobuf" {
            refusals(&daemon, &topics, name, &folder.path("schemas.json"));
        }
        assert_eq!(daemon.stop(), Some(0));
    }
    drop(registry);
}

/// The same events in files: Avro as fastavro writes it, and JSON lines that gzip packs.
fn files(folder: &Folder, expected: &BTreeMap<String, Value>) {
    for (kind, codec) in [("predictions", "deflate"), ("labels", "null")] {
        let mut command = serializers("container.py");
        command.arg(folder.path(&format!("{kind}.jsonl"))).arg(folder.path(&format!("{kind}.avro"))).arg(codec);
        let written = command.output().unwrap();
        assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
        let packed = Command::new("gzip").arg("--keep").arg(folder.path(&format!("{kind}.jsonl"))).status().unwrap();
        assert!(packed.success());
    }
    for ending in ["avro", "jsonl.gz"] {
        let file = |kind| folder.path(&format!("{kind}.{ending}"));
        assert_eq!(&replayed_of(&file("predictions"), &file("labels")), expected, "{ending}");
    }
    let avro = folder.path("labels.avro");
    let mut bytes = std::fs::read(&avro).unwrap();
    bytes.truncate(bytes.len() - 40);
    folder.write("cut.avro", bytes);
    let predictions = folder.path("predictions.avro");
    let policy = flights().join("policy-core.yaml");
    let replay = |labels| {
        let (policy, predictions) = (policy.display(), predictions.display());
        folder.driftgate(&format!("replay --policy {policy} --predictions {predictions} --labels {labels}"))
    };
    replay("cut.avro").exits(2).says("cut.avro cannot be read: it is cut behind byte");
    folder.write("none.avro", "{\"ts\": 1}");
    replay("none.avro").exits(2).says("it does not begin as an Avro container file does");
}

/// What cannot be read is a dead letter with its reason, and nothing else waits for it.
fn refusals(daemon: &Daemon, topics: &Topics, format: &str, registered: &Path) {
    let registered: Value = serde_json::from_slice(&std::fs::read(registered).unwrap()).unwrap();
    let id = registered["subjects"][format!("{}-value", topics.predictions)][0].as_u64().unwrap();
    // The first schema's event is the third message of its file.
    let indexes: &[u8] = if format == "protobuf" { &[2, 4] } else { &[] };
    let damaged = [&[0, 0, 0, 0, u8::try_from(id).unwrap()], indexes, &[0xff]].concat();
    let values = [b"{\"ts\": 1}".to_vec(), vec![0, 0, 0, 0x7f, 1, 0, 3], damaged];
    publish(&topics.predictions, values.map(|value| (0, String::new(), value)));
    let rejected = |reason: &str| {
        daemon
            .metric(&format!("driftgate_rejected_events_total{{reason=\"{reason}\",topic=\"{}\"}}", topics.predictions))
    };
    let not_of_format = format!("not_{format}");
    for reason in ["bad_frame", "unknown_schema", not_of_format.as_str()] {
        wait_for(reason, || (rejected(reason) == Some(1.0)).then_some(()));
    }
    let dead = wait_for("the dead letters", || Some(read(&topics.dead)).filter(|dead| dead.len() == 3));
    let details: Vec<&str> = dead.iter().map(|letter| letter["detail"].as_str().unwrap_or_default()).collect();
    assert!(details[1].contains("does not have the schema 32513"), "{details:?}");
}

/// So many events are looked at.
const LOOKED_AT: u32 = 200;

#[test]
fn what_serializers_wrote_is_told_with_its_fields_and_the_source_that_reads_it() {
    let folder = Folder::new();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    let json = topic("probe-json", 1);
    let event = |n: u32| {
        let (id, score) = (format!("secret-{n}"), f64::from(n % 10) / 10.0 + 0.05);
        let event = serde_json::json!({"prediction_id": id, "model": "shop", "version": "3", "ts": 1_700_000_000_000_u64 + u64::from(n),
            "score": score, "features": {"age": n % 60, "plan": "basic"}});
        (0, String::new(), event.to_string().into_bytes())
    };
    publish(&json, (0..LOOKED_AT).map(event));
    let _registry = start_registry(port, &folder);
    let config = format!(
        "policies: [shop.yaml]\nkafka: {{brokers: \"{}\"}}\nsources: [{{topic: a, kind: predictions}}]\nschema_registry: {{url: \"{url}\"}}\n",
        brokers()
    );
    folder.write("driftgate.yaml", config);
    let probe = |topic: &str, more: &str| folder.driftgate(&format!("probe --topic {topic} {more}"));
    for format in ["json", "avro", "avro-header", "protobuf", "json_schema"] {
        let topic = if format == "json" { json.clone() } else { topic(&format!("probe-{format}"), 1) };
        if format != "json" {
            write_some(LOOKED_AT, &json, &topic, format, &url, folder.path("events.jsonl"));
        }
        let name = format.split('-').next().unwrap();
        let told = probe(&topic, "--config driftgate.yaml --json").exits(0).json();
        assert_eq!(told["formats"][0]["format"], name, "{told:#}");
        assert_eq!((&told["looked_at"], &told["kind"]), (&LOOKED_AT.into(), &"predictions".into()), "{told:#}");
        let fields = told["fields"].as_array().unwrap();
        let score = fields.iter().find(|field| field["field"] == "/score").unwrap();
        assert_eq!((&score["may_be"], &score["share"]), (&"score".into(), &1.0.into()), "{format}");
        let source = told["source"].as_str().unwrap();
        let says = if name == "json" { "    kind: predictions\n".to_owned() } else { format!("    format: {name}\n") };
        assert!(source.contains(&says), "{source}");
        assert!(!told.to_string().contains("secret-"), "examples are covered");
        if name == "avro" || name == "protobuf" {
            // Without the registry no more is said than the bytes show.
            let told = probe(&topic, &format!("--brokers {} --json", brokers())).exits(1).json();
            assert_eq!((&told["formats"][0]["format"], &told["source"]), (&"avro_or_protobuf".into(), &Value::Null));
        }
    }
    let shown = probe(&json, "--config driftgate.yaml --show-values --newest --messages 5").exits(0);
    assert!(shown.stdout.contains("secret-195") && shown.stdout.contains("5 messages"), "{}", shown.stdout);
    probe("none-of-this-name", "--config driftgate.yaml").exits(2).says("does not exist");
}
