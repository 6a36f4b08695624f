//! The text of a status view made by hand, by line and by Prometheus's own linter.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Features, Ledger, Options, families};
use crate::http::tests::status_view::{END, MODEL, result, status_view, verdict};
use crate::ledger::Embedded;
use driftgate_core::judge::verdict::Status;
use driftgate_core::promotion::version::Registration;

fn rendered(view: &crate::view::View, ledger: &Ledger) -> String {
    super::text(&families(view, ledger, Options::default()).unwrap()).unwrap()
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

/// Two versions with a score and four features each, of which the last one blocks in the first and warns in the second.
fn two_versions() -> crate::view::View {
    let mut view = status_view();
    for (version, worst) in [("1", Status::Block), ("2", Status::Warn)] {
        let of = |subject: &str, status| result("drift/psi", "psi", subject, status, Some(0.25), vec![]);
        let mut results: Vec<_> = ["score", "a", "b", "c"].iter().map(|name| of(name, Status::Pass)).collect();
        results.push(of("z", worst));
        let new = verdict(version, "drift", END, results);
        view.version_mut(MODEL, version).unwrap().push(new, crate::view::Keep::default());
    }
    view
}

/// Version and subject of each PSI.
fn shown(view: &crate::view::View, options: Options) -> Vec<String> {
    let text = super::text(&families(view, &Ledger::default(), options).unwrap()).unwrap();
    let of = |line: &str, label: &str| {
        line.split(&format!("{label}=\"")).nth(1).and_then(|l| Some(l.split_once('"')?.0.to_owned()))
    };
    let lines = text.lines().filter(|line| line.starts_with("driftgate_psi{"));
    let mut found: Vec<String> = lines.map(|l| of(l, "version").unwrap() + &of(l, "feature").unwrap()).collect();
    let dropped = text.lines().filter(|l| l.starts_with("driftgate_series_dropped{"));
    found.extend(dropped.map(|l| format!("{} without {}", of(l, "version").unwrap(), l.rsplit(' ').next().unwrap())));
    found.sort();
    found
}

#[test]
fn what_fails_has_series_before_what_passes() {
    let view = two_versions();
    let with = |features, top, max_series| shown(&view, Options { features, top, max_series });
    assert_eq!(with(Features::All, 9, 99).len(), 10);
    assert_eq!(with(Features::Failing, 9, 99), ["1score", "1z", "2score", "2z"]);
    assert_eq!(with(Features::None, 9, 99), ["1score", "2score"]);
    // The score, then the worst feature.
    assert_eq!(with(Features::All, 2, 99), ["1 without 3", "1score", "1z", "2 without 3", "2score", "2z"]);
    // The other groups' gap, segments and latencies take eight, both scores four, and the one feature that blocks two.
    assert_eq!(with(Features::All, 9, 15), ["1 without 3", "1score", "1z", "2 without 4", "2score"]);
}

/// Forty models with three versions, each of a hundred features that block by two rules.
fn forty_models() -> crate::view::View {
    let mut view = crate::view::View::default();
    let template = status_view();
    let model = template.models.values().next().unwrap().clone();
    for name in (0..40).map(|n| format!("fraud_detection_{n:02}")) {
        let mut model = model.clone();
        let names: Vec<String> = model.versions.keys().take(3).cloned().collect();
        model.versions.retain(|version, _| names.contains(version));
        for version in &names {
            let features = (0..100).map(|f| format!("customer_feature_{f:02}"));
            let both = |f: String| {
                let p = vec![("d", json!(0.123_456_789)), ("test", json!("ks"))];
                [
                    result("drift/psi", "psi", &f, Status::Block, Some(0.123_456_789), vec![]),
                    result("drift/ks_p", "ks_p", &f, Status::Block, Some(0.000_123_456_789), p),
                ]
            };
            let mut new = verdict(version, "drift", END, features.flat_map(both).collect());
            Arc::get_mut(&mut new).unwrap().model.clone_from(&name);
            model.versions.get_mut(version).unwrap().push(new, crate::view::Keep::default());
        }
        view.models.insert(name, model);
    }
    view
}

/// Prints how long a scrape takes: `cargo test --release -p driftgate --lib metrics::tests::a_scrape -- --ignored --nocapture`.
#[test]
#[ignore = "measures, and asserts nothing of time"]
fn a_scrape_of_forty_models_is_measured() {
    let view = forty_models();
    let mut times: Vec<std::time::Duration> = (0..50)
        .map(|_| {
            let start = std::time::Instant::now();
            assert!(!rendered(&view, &Ledger::default()).is_empty());
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    let bytes = rendered(&view, &Ledger::default()).len();
    println!(
        "a scrape of 40 models x 3 versions x 100 features: {bytes} bytes, median {:?}, slowest of 50 {:?}",
        times[25], times[49]
    );
}

#[test]
fn forty_models_with_three_versions_of_a_hundred_features_take_less_than_a_megabyte() {
    let view = forty_models();
    let text = rendered(&view, &Ledger::default());
    let shown = text.lines().filter(|l| l.starts_with("driftgate_psi{")).count();
    assert!(text.len() < 1_000_000 && shown > 1_000, "{} bytes, {shown} values of PSI", text.len());
    assert!(text.contains("driftgate_series_dropped{"));
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
