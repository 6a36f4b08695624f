//! What scripts rely on: exit codes of `replay --fail-on`, and commands whose reader goes away.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use super::support::Folder;

const POLICY: &str = "apiVersion: driftgate/v1
model: m
baseline: {snapshot: train.csv}
features: {numeric: [x]}
min_samples: 200
lateness: 1h
checks:
  drift:
    window: {size: 1d, slide: 1d}
    rules:
    - psi: {of: features, lt: 0.2}
";

/// A day's predictions: `x` runs through 100 values from `from` on.
fn day(rows: u64, from: u64) -> String {
    let mut csv = "prediction_id,model,version,ts,x\n".to_owned();
    for i in 0..rows {
        writeln!(csv, "p{i},m,1,{},{}", 1_700_006_400_000_u64 + i * 60_000, from + i % 100).unwrap();
    }
    csv
}

fn folder() -> Folder {
    let folder = Folder::new();
    let train: String = (0..1000).map(|i| format!("{}\n", i % 100)).collect();
    folder.write("train.csv", format!("x\n{train}"));
    folder.write("policy.yaml", POLICY);
    folder
}

const REPLAY: &str = "replay --policy policy.yaml --predictions p.csv --fail-on block";

#[test]
fn a_days_file_that_is_shifted_fails_although_its_window_is_incomplete() {
    let folder = folder();
    folder.write("p.csv", day(1000, 0));
    folder.driftgate(REPLAY).exits(0).prints("passed: none of 1 conclusive windows of enforced groups blocks");
    folder.write("p.csv", day(1000, 500));
    folder
        .driftgate(REPLAY)
        .exits(1)
        .prints("failed: 1 of 1 windows block (1 of them incomplete), the first: version 1, group drift, window ending")
        .prints("drift/psi x");
    let json = folder.driftgate(&format!("{REPLAY} --json")).exits(1).json();
    assert_eq!(json["fail_on"]["exit_code"], 1);
    assert!(json["fail_on"]["reason"].as_str().unwrap().starts_with("1 of 1 windows block"), "{json}");
}

#[test]
fn a_file_that_says_nothing_is_inconclusive_and_says_why() {
    let folder = folder();
    // Too few events for min_samples.
    folder.write("p.csv", day(150, 500));
    folder.driftgate(REPLAY).exits(3).prints("inconclusive: all 1 windows of enforced groups are insufficient");
    // No events.
    folder.write("p.csv", day(0, 0));
    folder.driftgate(REPLAY).exits(3).prints("inconclusive: no window of an enforced group was judged");
    // Every event is rejected.
    let unreadable = day(1000, 0).replace(",1700", ",yesterday 1700").replace(",1701", ",yesterday 1701");
    folder.write("p.csv", unreadable);
    folder
        .driftgate(REPLAY)
        .exits(3)
        .prints("inconclusive: 1,000 of 1,000 events of p.csv were rejected, the first at p.csv:1: ");
    // More than half are, and the rest would pass.
    let half: String = day(1000, 0)
        .lines()
        .enumerate()
        .map(|(i, line)| if i % 5 > 1 { line.replace(",1,17", ",1,yesterday 17") + "\n" } else { format!("{line}\n") })
        .collect();
    folder.write("p.csv", half);
    folder.driftgate(REPLAY).exits(3).prints("inconclusive: 600 of 1,000 events of p.csv were rejected");
    // What blocks is said before what was rejected.
    let shifted: String = day(1000, 500)
        .lines()
        .enumerate()
        .map(|(i, line)| if i % 5 > 1 { line.replace(",1,17", ",1,yesterday 17") + "\n" } else { format!("{line}\n") })
        .collect();
    folder.write("p.csv", shifted);
    folder.driftgate(REPLAY).exits(1).prints("failed: 1 of 1 windows block");
    // Events of another model are judged nowhere.
    folder.write("p.csv", day(1000, 500).replace(",m,1,", ",other,1,"));
    folder.driftgate(REPLAY).exits(3).prints("inconclusive: no window of an enforced group was judged");
}

#[test]
fn a_group_that_only_observes_fails_nothing() {
    let folder = folder();
    folder.write("policy.yaml", POLICY.replace("  drift:\n", "  drift:\n    enforce: observe\n"));
    folder.write("p.csv", day(1000, 500));
    folder.driftgate(REPLAY).exits(3).prints("inconclusive: no group of the policy has `enforce: block`");
}

#[test]
fn warnings_fail_where_that_is_asked_for() {
    let folder = folder();
    folder.write("policy.yaml", POLICY.replace("lt: 0.2}", "lt: 50, warn: 0.1}"));
    folder.write("p.csv", day(1000, 500));
    folder.driftgate(REPLAY).exits(0).prints("passed: ");
    folder.driftgate(&REPLAY.replace("block", "warn")).exits(1).prints("failed: 1 of 1 windows warn");
    folder.driftgate(&REPLAY.replace("block", "pass")).exits(2);
}

/// Runs a command, reads its first line, closes the pipe, and gives back exit code and standard error.
fn read_one_line(folder: &Folder, arguments: &str) -> (Option<i32>, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_driftgate"))
        .args(arguments.split_whitespace())
        .current_dir(folder.path(""))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::with_capacity(1, child.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    assert!(!line.is_empty(), "{arguments} printed nothing");
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_reader_that_goes_away_changes_neither_code_nor_messages() {
    let folder = folder();
    folder.write("p.csv", day(400 * 1440, 500));
    folder.write("d.yaml", "policies: [policy.yaml]\nregistry: {embedded: {path: registry.db}}\n");
    for (arguments, code) in [
        (format!("{REPLAY} --verdicts -"), 1),
        (format!("{REPLAY} --json"), 1),
        (REPLAY.to_owned(), 1),
        ("baseline show --policy policy.yaml --version 1".to_owned(), 0),
        ("check --policy policy.yaml".to_owned(), 0),
        ("init --snapshot train.csv --out -".to_owned(), 0),
        ("gate m 1 --to prod --config d.yaml".to_owned(), 3),
        ("status --config d.yaml".to_owned(), 0),
    ] {
        let (found, said) = read_one_line(&folder, &arguments);
        assert_eq!(found, Some(code), "driftgate {arguments} | head -1: {said}");
        assert!(!said.contains("panicked") && !said.contains("ipe"), "driftgate {arguments} | head -1: {said}");
    }
    // Nobody reads standard error either.
    let both = Command::new("sh")
        .args(["-c", "{ \"$0\" gate m 1 --to prod --config nowhere.yaml 2>&1; echo $? >code; } | true"])
        .arg(env!("CARGO_BIN_EXE_driftgate"))
        .current_dir(folder.path(""))
        .status()
        .unwrap();
    assert!(both.success());
    assert_eq!(folder.read("code").trim(), "2");
}

#[test]
fn the_gate_names_what_is_not_registered_and_what_is() {
    let folder = folder();
    folder.write("d.yaml", "policies: [policy.yaml]\nregistry: {embedded: {path: registry.db}}\n");
    let gate = |version: &str| folder.driftgate(&format!("gate m {version} --to prod --config d.yaml"));
    gate("v1")
        .exits(3)
        .prints("version \"v1\" of \"m\" was neither registered nor seen in events; no version of it is known");
    folder.driftgate("register m 1 --config d.yaml").exits(0);
    folder.driftgate("register m 2 --config d.yaml").exits(0);
    gate("v1").exits(3).prints("version \"v1\" of \"m\" was neither registered nor seen in events; known are 1, 2");
}
