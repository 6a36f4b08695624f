//! State of the release before, kept as files (tests/data/upgrade): this driftgate goes on from it.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::broker::{Daemon, brokers, publish, read, renew, wait_for};
use super::support::{Folder, json_lines};

const TOPICS: [&str; 4] = ["upgrade-predictions", "upgrade-labels", "upgrade-measurements", "upgrade-verdicts"];
const STREAMS: [&str; 3] = ["predictions", "labels", "measurements"];

fn data() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/upgrade")
}

/// A folder with what the release before left, and the events of before and after.
fn folder() -> Folder {
    let folder = Folder::new();
    for entry in std::fs::read_dir(data()).unwrap() {
        let path = entry.unwrap().path();
        folder.write(path.file_name().unwrap().to_str().unwrap(), std::fs::read(&path).unwrap());
    }
    let untar = Command::new("tar").arg("-xzf").arg(data().join("before.tgz")).arg("-C").arg(folder.path("")).status();
    assert!(untar.unwrap().success());
    folder.write("w.csv", "x\n".to_owned() + &(0..66_000).map(|i| format!("{i}\n")).collect::<String>());
    folder.write("driftgate.yaml", folder.read("driftgate.yaml").replace("BROKERS", &brokers()));
    for stream in STREAMS {
        folder.write(
            &format!("{stream}.jsonl"),
            folder.read(&format!("first-{stream}.jsonl")) + &folder.read(&format!("rest-{stream}.jsonl")),
        );
    }
    folder
}

/// The complete verdicts of a replay of all events.
fn replayed(folder: &Folder, model: &str, streams: &[&str]) -> Vec<Value> {
    let files: String = streams.iter().map(|s| format!("--{s} {s}.jsonl ")).collect();
    let run = folder.driftgate(&format!("replay --policy {model}.yaml {files} --verdicts {model}.jsonl"));
    run.exits(0);
    json_lines(&folder.path(&format!("{model}.jsonl")))
        .into_iter()
        .filter(|v| v["window"]["complete"] == true)
        .collect()
}

fn send(folder: &Folder, part: &str) {
    for stream in STREAMS {
        let lines: Vec<_> = folder.read(&format!("{part}-{stream}.jsonl")).lines().map(str::to_owned).collect();
        publish(&format!("upgrade-{stream}"), lines.into_iter().map(|l| (0, String::new(), l.into_bytes())));
    }
}

#[test]
fn the_daemon_goes_on_from_the_state_of_the_release_before() {
    let folder = folder();
    let history = folder.driftgate("history m --config driftgate.yaml").exits(0);
    let history = history.prints("prod: – → 1 (registered)").prints("block of drift applied");
    assert_eq!(history.stdout.matches("registered").count(), 4, "{}", history.stdout);
    folder.driftgate("audit verify --config driftgate.yaml").exits(0).prints("intact");

    TOPICS.iter().for_each(|topic| renew(topic));
    send(&folder, "first");
    let daemon = Daemon::start(&folder.path("driftgate.yaml"), &[]);
    wait_for("the counts to be there", || daemon.metric("driftgate_join_waiting{kind=\"labels\",model=\"m\"}"));
    let log = daemon.log();
    assert!(log.contains("the checkpoint of the release before was taken over"), "{log}");
    let anew: Vec<&str> = log.lines().filter(|l| l.contains("start anew")).collect();
    assert!(
        matches!(anew[..], [line] if line.contains("\"model\":\"f\"") && line.contains("choice/selection_gap")),
        "{anew:?}"
    );

    send(&folder, "rest");
    for (model, streams) in [("m", &STREAMS[..]), ("w", &STREAMS[..1])] {
        let replayed = replayed(&folder, model, streams);
        let id = |v: &Value| v["verdict_id"].clone();
        // Windows that end after the stop, but begin before it.
        let after = |v: &&Value| v["window"]["end"].as_str().unwrap() > "2023-11-15T05:30:00Z" && v["group"] != "kpi";
        let expected: Vec<&Value> = replayed.iter().filter(after).collect();
        let across =
            expected.iter().filter(|v| v["window"]["start"].as_str().unwrap() < "2023-11-15T05:00:00Z").count();
        assert!(across >= 2, "{model}: {across}");
        let found = wait_for("the verdicts", || {
            let all: Vec<Value> = read("upgrade-verdicts").into_iter().filter(|v| v["model"] == model).collect();
            expected.iter().all(|e| all.iter().any(|v| id(v) == id(e))).then_some(all)
        });
        for verdict in found.iter().filter(|v| v["group"] != "kpi") {
            let expected = replayed.iter().find(|v| id(v) == id(verdict));
            assert_eq!(Some(verdict), expected, "{model} {} {}", verdict["version"], verdict["window"]["end"]);
        }
    }
    assert_eq!(daemon.stop(), Some(0));

    // What there was is kept, and the release before would go on from it.
    for kept in ["state/format-4/checkpoint.bin", "state/format-4/chunks"] {
        assert!(folder.path(kept).exists(), "{kept}");
    }
    // From now on it is a state of this release.
    let daemon = Daemon::start(&folder.path("driftgate.yaml"), &[]);
    wait_for("the counts", || daemon.metric("driftgate_join_waiting{kind=\"labels\",model=\"m\"}"));
    let log = daemon.log();
    assert!(!log.contains("taken over") && !log.contains("start anew"), "{log}");
    assert_eq!(daemon.stop(), Some(0));
}
