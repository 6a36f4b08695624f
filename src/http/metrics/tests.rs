//! The text of a status view made by hand, by line and by Prometheus's own linter.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{Ledger, families};
use crate::http::tests::status_view::{END, MODEL, result, status_view, verdict};
use crate::ledger::Embedded;
use driftgate_core::judge::verdict::Status;
use driftgate_core::promotion::version::Registration;

fn rendered(view: &crate::view::View, ledger: &Ledger) -> String {
    super::text(&families(view, ledger).unwrap()).unwrap()
}

fn text() -> String {
    let (view, registry) = (status_view(), Embedded::in_memory().unwrap());
    let new = Registration {
        model: MODEL.into(),
        version: "1".into(),
        stage: Some("prod".into()),
        ..Registration::default()
    };
    registry.register(&new, "ci", 1).unwrap();
    rendered(&view, &Ledger::read(&view, &registry, END + 10_000).unwrap())
}

#[test]
fn everything_in_the_view_has_its_line() {
    let text = text();
    let expected = r#"
driftgate_psi{feature="temp",group="drift",model="credit eu",version="1"} 0.31
driftgate_psi{feature="temp",group="drift",model="credit eu",version="2"} 0.01
driftgate_ks_statistic{feature="temp",group="drift",model="credit eu",version="1"} 0.125
driftgate_drift_pvalue{feature="temp",group="drift",model="credit eu",test="ks",version="1"} 0.0625
driftgate_tpr{attribute="origin",group="fairness",model="credit eu",segment="EWR",version="1"} 0.75
driftgate_tpr{attribute="origin",group="fairness",model="credit eu",segment="LGA",version="1"} 0.5
driftgate_tpr_gap{attribute="origin",group="fairness",model="credit eu",version="1"} 0.25
driftgate_latency_p95_seconds{group="slo",model="credit eu",version="1"} 0.0625
driftgate_error_ratio{group="slo",model="credit eu",version="1"} 0
driftgate_check_status{group="drift",model="credit eu",rule="drift/psi",subject="temp",version="1"} 3
driftgate_check_status{group="drift",model="credit eu",rule="drift/psi_2",subject="temp",version="1"} 1
driftgate_check_status{group="drift",model="credit eu",rule="drift/psi",subject="carrier",version="1"} 2
driftgate_verdict{group="drift",model="credit eu",status="block",version="1"} 1
driftgate_verdict{group="drift",model="credit eu",status="pass",version="1"} 0
driftgate_gate_pass{model="credit eu",stage="prod",version="1"} 0
driftgate_gate_pass{model="credit eu",stage="staging",version="2"} 1
driftgate_gate_pass{model="credit eu",stage="prod",version="3"} 0
driftgate_block_active{group="drift",model="credit eu",version="1"} 1
driftgate_block_active{group="slo",model="credit eu",version="1"} 0
driftgate_version_stage{model="credit eu",stage="prod",version="1"} 1
driftgate_model_info{model="credit eu",severity="page",team="ops"} 1
driftgate_last_verdict_timestamp_seconds{group="slo",model="credit eu",version="1"} 1362700800
driftgate_predictions_total{model="credit eu",version="1"} 6012
driftgate_events_total{topic="predictions"} 15
driftgate_rejected_events_total{reason="not_json",topic="predictions"} 4
driftgate_rejected_ratio{topic="predictions"} 0.2
driftgate_unknown_model_events_total{topic="predictions"} 6
driftgate_late_events_total{model="credit eu"} 3
driftgate_labels_joined_total{model="credit eu"} 5990
driftgate_duplicate_events_total{model="credit eu"} 3
driftgate_watermark_timestamp_seconds{group="drift",model="credit eu"} 1362700800
driftgate_consumer_lag{partition="0",topic="predictions"} 10
driftgate_checkpoint_written_total 2
driftgate_checkpoint_last_timestamp_seconds 1362700800
driftgate_checkpoint_last_size_bytes 512
driftgate_checkpoint_last_duration_seconds 0.25
driftgate_signals_total{action="block",outcome="ok",sink="registry"} 1
driftgate_ready 1
"#;
    for line in expected.lines().filter(|l| !l.is_empty()) {
        assert!(text.lines().any(|l| l == line), "no line {line} in\n{text}");
    }
    for line in [
        "driftgate_psi{feature=\"carrier\"",
        "partition=\"1\"",
        "segment=\"J",
        "NaN",
        "driftgate_series_dropped",
        "driftgate_watermark_timestamp_seconds{group=\"fairness\"",
    ] {
        assert!(!text.contains(line), "{line} in\n{text}");
    }
}

#[test]
fn what_is_too_much_is_left_out_and_counted() {
    let mut view = status_view();
    let segments: Value = (0..150).map(|i| json!({"segment": format!("s{i:03}"), "tpr": 0.5})).collect();
    let mut results: Vec<_> =
        (0..1200).map(|i| result("drift/psi", "psi", &format!("f{i}"), Status::Pass, Some(0.0), vec![])).collect();
    results
        .insert(0, result("drift/tpr_gap", "tpr_gap", "origin", Status::Pass, Some(0.0), vec![("segments", segments)]));
    view.version_mut(MODEL, "2").unwrap().push(verdict("2", "drift", END, results), crate::view::Keep::default());
    let text = rendered(&view, &Ledger::default());
    let count = |start: &str| text.lines().filter(|l| l.starts_with(start) && l.contains("version=\"2\"")).count();
    assert_eq!((count("driftgate_tpr{"), count("driftgate_psi{")), (100, 999));
    assert!(text.contains("driftgate_series_dropped{group=\"drift\",model=\"credit eu\",version=\"2\"} 251\n"));
}

#[test]
fn an_empty_view_has_text() {
    let text = rendered(&crate::view::View::default(), &Ledger::default());
    assert!(text.contains("driftgate_ready 0\n"), "{text}");
}

#[test]
fn promtool_finds_nothing_to_say() {
    let local = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/bin/promtool");
    let program = if local.exists() { local } else { "promtool".into() };
    let run = Command::new(program)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut run = match run {
        Ok(run) => run,
        Err(error) => {
            eprintln!("skipped: promtool is neither in .cache/bin nor on the PATH ({error})");
            return;
        }
    };
    run.stdin.take().unwrap().write_all(text().as_bytes()).unwrap();
    let out = run.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned() + &String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && said.trim().is_empty(), "{said}");
}
