//! What operators are told to do about a state that does not serve any more destroys nothing: the registry lies apart from the
//! state, a hole is passed over without a new beginning, and a registry that is missing is told.

use std::process::{Command, Stdio};
use std::time::Duration;

use super::super::broker::{Daemon, committed, delete_before, publish, read, wait_for};
use super::super::kafka::{Topics, now_ms, shop, window};
use super::super::support::Folder;
use super::{Events, assert_known, complete, replayed, wait_counted};

/// A configuration without a word of the registry, and one of the release before that kept it in the state folder.
fn configure(folder: &Folder, topics: &Topics) {
    shop(folder, topics);
    let config = folder.read("driftgate.yaml");
    folder.write("before.yaml", config.replace("{path: registry.db}", "{path: state/registry.db}"));
    let own = "registry: {embedded: {path: registry.db}}\n";
    assert!(config.contains(own));
    folder.write("driftgate.yaml", config.replace(own, ""));
}

fn exists(folder: &Folder, name: &str) -> bool {
    folder.path(name).exists()
}

#[test]
fn the_registry_moves_out_of_the_state_folder_whole_whenever_it_is_killed() {
    let topics = Topics::new("moves", 1);
    let folder = Folder::new();
    configure(&folder, &topics);
    for version in 1..=3 {
        folder.driftgate(&format!("register shop {version} --config before.yaml")).exits(0);
    }
    folder.driftgate("register shop 1 --stage prod --config before.yaml").exits(0);
    assert!(exists(&folder, "state/registry.db") && exists(&folder, "state/registry.audit-key"));
    // Killed at any moment of the first start.
    for moment in 0..40 {
        let mut child = Command::new(env!("CARGO_BIN_EXE_driftgate"))
            .args(["run", "--config", "driftgate.yaml"])
            .current_dir(folder.path(""))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(moment));
        child.kill().unwrap();
        child.wait().unwrap();
        let places = ["state", "registry"].map(|at| exists(&folder, &format!("{at}/registry.db")));
        assert!(places[0] != places[1], "killed after {moment} ms: {places:?}");
        let at = if places[0] { "state" } else { "registry" };
        folder.driftgate(&format!("audit verify --registry {at}/registry.db")).exits(0).prints("intact");
    }
    let daemon = Daemon::start(&folder.path("driftgate.yaml"), &[]);
    wait_for("readiness", || (daemon.get("/ready").0 == 200).then_some(()));
    assert!(exists(&folder, "registry/registry.db") && exists(&folder, "registry/registry.audit-key"));
    assert!(!exists(&folder, "state/registry.db") && !exists(&folder, "state/registry.audit-key"));
    let history = folder.driftgate(&format!("history shop --server {}", daemon.url)).exits(0);
    let history = history.prints("prod: – → 1");
    assert_eq!(history.stdout.matches("registered").count(), 4, "{}", history.stdout);
    assert_eq!(daemon.stop(), Some(0));
    folder.driftgate("audit verify --config driftgate.yaml").exits(0).prints("intact");

    // The state goes, the registry stays.
    std::fs::remove_dir_all(folder.path("state")).unwrap();
    folder.driftgate("history shop --config driftgate.yaml").exits(0).prints("prod: – → 1");
}

#[test]
fn a_registry_or_an_audit_key_that_is_not_the_states_is_told_until_it_is_accepted() {
    let topics = Topics::new("lost-registry", 1);
    let folder = Folder::new();
    configure(&folder, &topics);
    let config = folder.path("driftgate.yaml");
    folder.driftgate("register shop 1 --stage prod --config driftgate.yaml").exits(0);
    let daemon = Daemon::start(&config, &[]);
    wait_for("readiness", || (daemon.get("/ready").0 == 200).then_some(()));
    assert_eq!(daemon.stop(), Some(0));
    std::fs::remove_dir_all(folder.path("registry")).unwrap();
    let (told, of_key) =
        ("is not the one that the state belongs to", "is not the one that the registry's records were signed with");
    let first = |daemon: &Daemon| {
        let server = format!("--server {}", daemon.url);
        wait_for("readiness", || (daemon.get("/ready").0 == 200).then_some(()));
        let status = folder.driftgate(&format!("status {server}")).stdout;
        (status.lines().next().unwrap().to_owned(), folder.driftgate(&format!("status --problems {server}")).stdout)
    };
    let doubted = |daemon: &Daemon| daemon.metric("driftgate_registry_doubted");
    let mut id = String::new();
    for _ in 0..2 {
        let daemon = Daemon::start(&config, &[]);
        let (line, all) = first(&daemon);
        assert!(line.contains(told) && line.contains("approvals"), "{line}");
        let (_, option) = all.split_once("--accept-new-registry ").unwrap_or_else(|| panic!("{all}"));
        id = option.split_whitespace().next().unwrap().to_owned();
        assert_eq!(doubted(&daemon), Some(1.0));
        assert_eq!(daemon.stop(), Some(0));
    }
    assert!(folder.driftgate("status --config driftgate.yaml").stdout.contains(told));
    let daemon = Daemon::start_with(&config, &[], &["--accept-new-registry", &id]);
    assert!(!first(&daemon).1.contains(told));
    assert_eq!(doubted(&daemon), Some(0.0));
    assert_eq!(daemon.stop(), Some(0));

    folder.driftgate("register shop 1 --stage prod --config driftgate.yaml").exits(0);
    std::fs::remove_file(folder.path("registry/registry.audit-key")).unwrap();
    let daemon = Daemon::start(&config, &[]);
    let (line, _) = first(&daemon);
    assert!(line.contains(of_key), "{line}");
    assert_eq!(daemon.stop(), Some(0));
    let daemon = Daemon::start_with(&config, &[], &["--accept-new-registry", &id]);
    assert!(!first(&daemon).1.contains(of_key));

    // Both are gone: the group's offsets say that something was here.
    publish(&topics.predictions, window("1", now_ms() - 100_000, 0).into_iter().map(|(_, k, v)| (0, k, v)));
    wait_for("a commit", || (committed(&topics.predictions, &topics.predictions, 0) > 0).then_some(()));
    assert_eq!(daemon.stop(), Some(0));
    ["state", "registry"].iter().for_each(|gone| std::fs::remove_dir_all(folder.path(gone)).unwrap());
    let daemon = Daemon::start(&config, &[]);
    let line = wait_for("word of it", || Some(first(&daemon).0).filter(|line| line.contains("a driftgate ran before")));
    assert!(line.contains("the Kafka group has committed offsets"), "{line}");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_hole_that_is_accepted_withholds_the_windows_it_may_touch_and_no_others() {
    let topics = Topics::new("hole", 2);
    let folder = Folder::new();
    configure(&folder, &topics);
    let config = folder.path("driftgate.yaml");
    folder.driftgate("register shop 1 --stage prod --config driftgate.yaml").exits(0);
    let first = now_ms() / 10_000 * 10_000 - 200_000;
    // What is lost in part would block.
    let all: Vec<Events> =
        (0..10).map(|n| window("1", first + n * 10_000, if (4..6).contains(&n) { 900 } else { 0 })).collect();
    publish(&topics.predictions, all[..4].iter().flatten().cloned());
    let daemon = Daemon::start(&config, &[]);
    wait_counted(&daemon, "1", 4000.0);
    wait_for("the first windows", || (read(&topics.verdicts).len() >= 3).then_some(()));
    assert_eq!(daemon.stop(), Some(0));
    publish(&topics.predictions, all[4..6].iter().flatten().cloned());
    // Of one partition, the fifth window is gone and a part of the sixth.
    delete_before(&topics.predictions, 0, 4 * 500 + 700);
    let daemon = Daemon::start(&config, &[]);
    let why = wait_for("the hole", || Some(daemon.get("/ready").1).filter(|body| body.contains("--accept-gap")));
    assert!(!why.contains("state folder") && why.contains("is not in the log any more"), "{why}");
    let gap = why.split_once("--accept-gap ").unwrap().1.split(':').next().unwrap().to_owned();
    assert_eq!(gap, format!("{}/0=2000", topics.predictions));
    assert_eq!(daemon.stop(), Some(0));
    // Another offset changes nothing; the one that is named goes on.
    let daemon = Daemon::start_with(&config, &[], &["--accept-gap", &gap.replace("=2000", "=1999")]);
    wait_for("the hole", || daemon.get("/ready").1.contains("--accept-gap").then_some(()));
    assert_eq!(daemon.stop(), Some(0));
    let daemon = Daemon::start_with(&config, &[], &["--accept-gap", &gap]);
    wait_for("readiness", || (daemon.get("/ready").0 == 200).then_some(()));
    publish(&topics.predictions, all[6..].iter().flatten().cloned());
    let verdicts = wait_for("the windows behind it", || Some(read(&topics.verdicts)).filter(|all| all.len() >= 9));
    let of = |whole: bool| -> Vec<i64> {
        let ends = verdicts.iter().filter(|v| v["window"]["complete"] == whole).map(|v| {
            let end: jiff::Timestamp = v["window"]["end"].as_str().unwrap().parse().unwrap();
            (end.as_millisecond() - first) / 10_000
        });
        ends.collect()
    };
    // What is gone may have been late by a second, and of the fourth window.
    assert_eq!(of(false), [4, 5, 6]);
    assert_eq!(of(true), [1, 2, 3, 7, 8, 9]);
    let refs: Vec<&Events> = all.iter().collect();
    assert_known(&complete(verdicts.clone()), &replayed(&folder, "shop.yaml", "", &refs));
    assert_eq!(read(&topics.signals).len(), 0, "what was counted in part signals nothing");
    assert!(verdicts.iter().any(|v| v.to_string().contains("gone uncounted, which an operator accepted")));
    let stages = folder.driftgate(&format!("history shop --server {}", daemon.url)).exits(0);
    let _ = stages.prints("prod: – → 1");
    // The word may stay; it is heeded once.
    assert_eq!(daemon.stop(), Some(0));
    let daemon = Daemon::start_with(&config, &[], &["--accept-gap", &gap]);
    wait_for("readiness", || (daemon.get("/ready").0 == 200).then_some(()));
    assert_eq!(daemon.stop(), Some(0));
}
