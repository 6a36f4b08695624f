//! Names that events, snapshots and callers bring steer no terminal: whatever a command prints or logs, control characters,
//! characters that turn the direction of writing and those that are not seen are shown escaped, and no name makes a line.

use serde_json::json;

use crate::broker::{Daemon, publish};
use crate::service::{CANARY, MINUTE, Service};
use crate::support::{Folder, Run};

/// Clears the screen, turns the direction around, hides itself, and begins a line of its own.
const HOSTILE: &str = "eu\u{1b}[2J\u{7f}\u{9b}31m\u{202e}\u{200b}\u{feff}\r\nok: all is well";
/// The same without a line end, for names of files and arguments.
const NAME: &str = "a\u{1b}[2J\u{9b}31m\u{202e}\u{200b}";

fn steers(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\t'))
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[track_caller]
fn harmless(what: &str, text: &str) {
    if let Some(c) = text.chars().find(|c| steers(*c)) {
        panic!("{what} shows {c:?} as it is:\n{}", text.escape_debug());
    }
    let line = text.lines().find(|line| line.trim_start().starts_with("ok: all is well"));
    assert_eq!(line, None, "{what}: a name begins a line");
}

#[track_caller]
fn shown(what: &str, run: &Run) {
    harmless(what, &run.stdout);
    harmless(what, &run.stderr);
}

#[test]
fn names_of_events_steer_no_terminal_in_any_command_and_log() {
    let service = Service::new("terminal", "", CANARY, "");
    let daemon = Daemon::start(&service.config(), &[]);
    let model = &service.model;
    service.run(&daemon, "op", &format!("register {model} 5 --stage prod")).exits(0);
    let (mut predictions, mut labels) = (Vec::new(), Vec::new());
    for i in 0..130 * 30 {
        let (id, ts) = (format!("5-{i}"), service.start + i * MINUTE / 30);
        let region = if i % 4 < 2 { HOSTILE } else { "us" };
        // In one of the regions no positive is found.
        let score = if i % 2 == 1 && region == "us" { 0.9 } else { 0.1 };
        let event = json!({
            "prediction_id": id, "model": model, "version": "5", "ts": ts, "stage": "prod", "score": score,
            "features": {"x": i % 10}, "latency_ms": 62.0, "error": false, "segments": {"region": region},
        });
        predictions.push((0, id.clone(), event.to_string().into_bytes()));
        let label = json!({"prediction_id": id, "model": model, "ts": ts, "label": i % 2});
        labels.push((0, id, label.to_string().into_bytes()));
    }
    // And some that are refused, with the same in their names.
    for (n, field) in ["model", "version", "prediction_id"].into_iter().enumerate() {
        let mut event =
            json!({"prediction_id": "x", "model": model, "version": "5", "ts": service.start, "score": 0.5});
        event[field] = HOSTILE.into();
        predictions.push((0, format!("bad-{n}"), event.to_string().into_bytes()));
    }
    publish(&service.labels, labels);
    publish(&service.predictions, predictions);
    crate::broker::wait_for("a verdict on the region", || {
        let body = daemon.get(&format!("/api/v1/models/{model}/versions/5")).1;
        body.contains("tpr_gap").then_some(()).filter(|()| body.contains("ok: all is well"))
    });
    let explained = service.run(&daemon, "op", &format!("explain {model} 5"));
    assert!(explained.stdout.contains("\\u001b[2J"), "it is shown, escaped: {}", explained.stdout);
    let commands = [
        "status",
        "status terminal",
        "status --problems",
        "explain terminal 5",
        "history terminal",
        "gate terminal 5 --to prod",
    ];
    for command in commands {
        for json in ["", " --json"] {
            shown(command, &service.run(&daemon, "op", &format!("{command}{json}")));
        }
    }
    // Texts that callers send have no such characters, and an end.
    for command in [format!("freeze {model} --reason {NAME}"), format!("freeze {model} --reason {}", "a".repeat(3000))]
    {
        let run = service.run(&daemon, "op", &command).exits(2);
        assert!(run.stderr.contains("reason: it h"), "{}", run.stderr);
        shown(&command, &run);
    }
    shown("register", &service.run(&daemon, "op", &format!("register {model} {NAME}")).exits(2));
    shown("gate", &service.run(&daemon, "op", &format!("gate {model} {NAME} --to prod")));
    assert_eq!(daemon.get(&format!("/api/v1/models/{model}/history?limit=100000000")).0, 400);
    harmless("the log", &daemon.log());
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn names_in_files_steer_no_terminal() {
    let folder = Folder::new();
    folder.write(
        "policy.yaml",
        "apiVersion: driftgate/v1\nmodel: files\nbaseline: {snapshot: train.csv, columns: {score: score, label: label}}\n\
         features: {numeric: [x], categorical: [country]}\nscore: {threshold: 0.5}\nsegments: [country]\n\
         labels: {horizon: 1h}\nmin_samples: 20\nchecks:\n  drift:\n    window: {size: 1h, slide: 1h}\n\
         \x20   rules: [{psi: {of: features, lt: 0.2}}, {tpr_gap: {by: country, lt: 0.03, min_positives: 5}}]\n",
    );
    let row = |i: i64| {
        format!(
            "{},{},{},\"{}\"\n",
            i % 10,
            0.1 + 0.8 * f64::from(i32::try_from(i % 2).unwrap()),
            i % 2,
            if i % 3 == 0 { HOSTILE } else { "us" }
        )
    };
    folder.write("train.csv", format!("x,score,label,country\n{}", (0..1000).map(row).collect::<String>()));
    folder.write(&format!("{NAME}.csv"), format!("x,{NAME},label\n1,{HOSTILE},1\n"));
    let event = |i: i64| {
        let country = if i % 4 < 2 { HOSTILE } else { "us" };
        let other = format!("{HOSTILE}{}", i % 7);
        let country = if i % 5 == 0 { other.as_str() } else { country };
        json!({"prediction_id": i.to_string(), "version": "1", "ts": 1_700_000_000_000_i64 + i * 10_000, "score": if country == "us" { 0.9 } else { 0.1 },
            "features": {"x": i % 10, "country": country}, "segments": {"country": country}}).to_string() + "\n"
    };
    let label = |i: i64| {
        json!({"prediction_id": i.to_string(), "ts": 1_700_000_000_000_i64 + i * 10_000, "label": i % 2}).to_string()
            + "\n"
    };
    folder.write("p.jsonl", (0..2000).map(event).collect::<String>() + &format!("{{\"version\":\"{NAME}\"\n"));
    folder.write("l.jsonl", (0..2000).map(label).collect::<String>());
    let replay = "replay --policy policy.yaml --predictions p.jsonl --labels l.jsonl";
    let commands = [
        replay.to_owned(),
        format!("{replay} --json"),
        format!("{replay} --verdicts -"),
        format!("{replay} --verdicts verdicts.jsonl --dead-letters dead.jsonl"),
        "baseline show --policy policy.yaml".to_owned(),
        "baseline show --policy policy.yaml --json".to_owned(),
        format!("baseline show --policy policy.yaml --snapshot {NAME}.csv"),
        "check policy.yaml".to_owned(),
        format!("check {NAME}.yaml"),
        "init train.csv".to_owned(),
        format!("init {NAME}.csv"),
        format!("gate files {NAME} --{NAME}"),
        NAME.to_owned(),
    ];
    let mut told = false;
    for command in &commands {
        let run = folder.driftgate(command);
        told |= run.stdout.contains("\\u001b[2J") || run.stderr.contains("\\u001b[2J");
        shown(command, &run);
    }
    assert!(told, "some of them show names");
}
