//! Somebody edits the registry's file by hand: `audit verify` names whatever does not follow from the log, and what the log
//! says and the registry has not.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::broker::{Daemon, publish, wait_for};
use crate::service::{CANARY, Service, serving};
use crate::support::Folder;

/// A registry as a service leaves it: registered, judged, approved, in a canary, blocked, overridden.
fn used() -> Service {
    let service = Service::new("audited", "", CANARY, "registry: {embedded: {path: registry.db}}\n");
    let daemon = Daemon::start(&service.config(), &[]);
    service.register(&daemon, "1", "2");
    service.minutes(0, 121, &[serving("1", "prod"), serving("2", "staging")]);
    service.wait_until_judged(&daemon, "2", 120);
    service.wait_for_gate(&daemon, "2", 4);
    service.approve(&daemon, "2");
    let run = |arguments: &str| service.run(&daemon, "op", arguments).exits(0);
    run("override audited 2 --rule drift/psi --for 24h --reason known");
    run("register audited 3");
    run("evidence add audited 3 --set tests=pass --set code_commit=git:1");
    run("promote audited 2");
    service.wait_for_rollout(&daemon, "Progressing", 10.0);
    service.shifted(121, 250, &[serving("1", "prod"), serving("2", "canary"), serving("3", "dev")], 50);
    wait_for("a block of version 3", || {
        let versions = service.status(&daemon)["versions"].as_array()?.clone();
        let blocks = versions.iter().find(|v| v["version"] == "3")?["blocks"].as_array()?.len();
        (blocks > 0).then_some(())
    });
    run("rollout abort audited --reason enough");
    run("freeze audited --reason incident");
    assert_eq!(daemon.stop(), Some(0));
    service
}

fn verify(registry: &Path) -> (Option<i32>, Value) {
    let run = Folder::new().driftgate(&format!("audit verify --registry {} --json", registry.display()));
    let said: Value =
        serde_json::from_str(&run.stdout).unwrap_or_else(|e| panic!("{e}: {} {}", run.stdout, run.stderr));
    (run.code, said)
}

/// What is said once this was done to a copy of the file.
fn after(registry: &Path, folder: &Folder, sql: &str) -> String {
    let copy: PathBuf = folder.path("copy.db");
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(folder.path(&format!("copy.db{ending}")));
    }
    Connection::open(registry).unwrap().execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
    std::fs::copy(registry.with_extension("audit-key"), folder.path("copy.audit-key")).unwrap();
    assert_eq!(verify(&copy).0, Some(0), "before {sql}");
    Connection::open(&copy).unwrap().execute_batch(sql).unwrap();
    let (code, said) = verify(&copy);
    assert_eq!((code, &said["intact"]), (Some(1), &json!(false)), "{sql}: {said}");
    let messages = said["problems"].as_array().unwrap().iter().map(|p| p["message"].as_str().unwrap().to_owned());
    messages.collect::<Vec<_>>().join("\n")
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of edits")]
fn every_edit_by_hand_is_named_and_a_registry_with_a_life_behind_it_verifies() {
    let service = used();
    let registry = service.folder.path("registry.db");
    let (code, said) = verify(&registry);
    assert_eq!((code, &said["problems"]), (Some(0), &json!([])), "{said}");
    let folder = Folder::new();
    let free =
        "DROP TRIGGER stage_moves_never_change; DROP TRIGGER stage_moves_never_go; DROP TRIGGER audit_never_changes;
                DROP TRIGGER audit_never_goes;";
    let of = |version: &str| format!("of version \"{version}\" of \"audited\"");
    let cases = [
        ("UPDATE stages SET version = '3' WHERE stage = 'prod'", "the pointer prod of \"audited\"".to_owned()),
        ("DELETE FROM stages WHERE stage = 'prod'", "the pointer prod of \"audited\" is missing".to_owned()),
        (
            "INSERT INTO stages (model, stage, version) VALUES ('audited', 'canary', '3')",
            "the pointer canary".to_owned(),
        ),
        (
            "INSERT INTO lost_stages (model, stage, version, at, reason) VALUES ('audited', 'prod', '1', 1, 'x')",
            "the pointer prod of \"audited\" does not follow".to_owned(),
        ),
        (
            "INSERT INTO stage_moves (model, stage, from_version, to_version, at, actor, reason, rollback)
             VALUES ('audited', 'prod', '3', '1', 9, 'ann', '', 0)",
            "the moves of the pointer prod".to_owned(),
        ),
        ("DELETE FROM stage_moves WHERE stage = 'staging'", "the moves of the pointer staging".to_owned()),
        (
            "INSERT INTO approvals (model, version, stage, actor, role, at, policy_sha256, evidence_sha256)
             SELECT model, '3', stage, actor, role, at, policy_sha256, evidence_sha256 FROM approvals",
            format!("an approval {}", of("3")),
        ),
        ("DELETE FROM approvals WHERE role = 'owner'", format!("an approval {} is missing", of("2"))),
        (
            "UPDATE approvals SET evidence_sha256 = 'x' WHERE role = 'owner'",
            format!("an approval {} does not", of("2")),
        ),
        (
            "INSERT INTO overrides (model, version, rule, until, reason, actor, at)
             VALUES ('audited', '3', 'slo/p95', 9999999999999, 'x', 'ann', 1)",
            "an override for version \"3\"".to_owned(),
        ),
        ("UPDATE overrides SET until = until + 1000000", "an override for version \"2\"".to_owned()),
        ("DELETE FROM overrides", "an override for version \"2\" of \"audited\" is missing".to_owned()),
        (
            "INSERT INTO evidence (model, version, kind, value, actor, at)
             VALUES ('audited', '3', 'security_scan', '\"pass\"', 'ann', 1)",
            format!("the evidence security_scan {}", of("3")),
        ),
        ("UPDATE evidence SET value = '\"fail\"' WHERE kind = 'tests'", format!("the evidence tests {}", of("3"))),
        ("DELETE FROM evidence WHERE kind = 'tests'", format!("the evidence tests {} is missing", of("3"))),
        ("DELETE FROM blocks WHERE version = '3'", format!("the block {} by drift is missing", of("3"))),
        (
            "INSERT INTO blocks (model, version, group_name, since, reasons, signal_id, verdict_id)
             VALUES ('audited', '1', 'slo', '2026-01-01T00:00:00Z', '[]', 's', 'v')",
            format!("the block {} by slo", of("1")),
        ),
        (
            "UPDATE versions SET artifact_sha256 = 'x' WHERE version = '2'",
            "the artifact_sha256 that version \"2\"".to_owned(),
        ),
        ("UPDATE versions SET rolled_back = 'x' WHERE version = '1'", "the mark that version \"1\"".to_owned()),
        ("UPDATE models SET frozen_since = NULL", "the freeze of \"audited\" is missing".to_owned()),
        ("UPDATE promotions SET record = '{}'", "the promotion record".to_owned()),
        ("DELETE FROM promotions", "the promotion record".to_owned()),
        ("UPDATE promotions SET stage = 'staging'", "the promotion record".to_owned()),
        ("UPDATE promotions SET at = at - 1000", "the promotion record".to_owned()),
        ("UPDATE stage_moves SET rollback = 1 WHERE stage = 'prod'", "the move 1 of prod of a pointer".to_owned()),
        ("UPDATE stage_moves SET at = at + 1 WHERE stage = 'prod'", "the move 1 of prod of a pointer".to_owned()),
        ("UPDATE stage_moves SET reason = 'x' WHERE stage = 'prod'", "the move 1 of prod of a pointer".to_owned()),
        (
            "UPDATE versions SET anew_noticed = 9999999999999 WHERE version = '1'",
            format!("the mark that {} was made anew", &of("1")[3..]),
        ),
        (
            "INSERT INTO versions (model, version, registered_at, registered_by) VALUES ('audited', '9', 1, 'ann')",
            format!("the row {} does not follow", of("9")),
        ),
        (
            "UPDATE versions SET registered_by = 'eve' WHERE version = '3'",
            format!("the row {} does not follow", of("3")),
        ),
        ("UPDATE signals SET done = 0", "the signal ".to_owned()),
        ("UPDATE signals SET ts_ms = ts_ms + 1", "the signal ".to_owned()),
        (
            "INSERT INTO signals (signal_id, model, version, group_name, action, ts, ts_ms, done, detail, applied_at)
             VALUES ('planted', 'audited', '3', 'drift', 'clear', '2099-01-01T00:00:00Z', 4070908800000, 0, '', 1)",
            format!("the signal planted about {} does not follow", &of("3")[3..]),
        ),
        ("", "the trigger stage_moves_never_go of the database is missing".to_owned()),
        ("DROP INDEX one_active_rollout", "the index one_active_rollout of the database is missing".to_owned()),
        (
            "CREATE TRIGGER planted AFTER INSERT ON blocks BEGIN DELETE FROM blocks; END",
            "the trigger planted of the database was added".to_owned(),
        ),
        ("CREATE VIEW planted AS SELECT 1", "the view planted of the database was added".to_owned()),
        (
            "DELETE FROM audit; DELETE FROM audit_checkpoints",
            "the log is empty, beside a registry that is in use".to_owned(),
        ),
        (
            "DROP TABLE audit; DROP TABLE audit_checkpoints",
            "the log is empty, beside a registry that is in use".to_owned(),
        ),
    ];
    for (sql, expected) in &cases {
        let said = after(&registry, &folder, &format!("PRAGMA foreign_keys = off; {free}{sql}"));
        assert!(said.contains(expected.as_str()), "{sql}: {said}");
    }
    // The same for people.
    Connection::open(folder.path("copy.db")).unwrap().execute("UPDATE stages SET version = '3'", []).unwrap();
    let text = folder.driftgate("audit verify --registry copy.db");
    text.exits(1).prints("the pointer prod of \"audited\"").prints("NOT INTACT");
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).permissions().mode() & 0o777
}

#[test]
fn state_is_its_owners_and_dead_letters_take_no_more_than_they_may() {
    let service = Service::new("private", "", CANARY, "registry: {embedded: {path: ledger/registry.db}}\n");
    let config = service.folder.read("driftgate.yaml");
    let bound = "publish: {dead_letters: {path: letters/dead.jsonl, payload: full, max_bytes: 1MiB}, ";
    service.folder.write("driftgate.yaml", config.replace("publish: {", bound));
    // What a release before left readable.
    std::fs::create_dir_all(service.folder.path("state")).unwrap();
    service.folder.write("state/instance", "0123456789abcdef0123456789abcdef");
    std::fs::set_permissions(service.folder.path("state/instance"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let daemon = Daemon::start(&service.config(), &[]);
    service.run(&daemon, "op", "register private 1 --stage prod").exits(0);
    service.minutes(0, 2, &[serving("1", "prod")]);
    let junk = |n: usize| (0, String::new(), format!("no event {n} {}", "x".repeat(2000)).into_bytes());
    publish(&service.predictions, (0..3000).map(junk));
    let turns = "driftgate_dead_letters_file_turns_total";
    wait_for("the file to be full", || (daemon.metric(turns)? >= 10.0).then_some(()));
    let path = |name: &str| service.folder.path(name);
    wait_for("a checkpoint", || path("state/checkpoint.bin").exists().then_some(()));
    for file in [
        "ledger/registry.db",
        "ledger/registry.db-wal",
        "ledger/registry.db-shm",
        "ledger/registry.audit-key",
        "state/checkpoint.bin",
        "state/lock",
        "state/instance",
        "state/registry-id",
        "letters/dead.jsonl",
        "letters/dead.jsonl.1",
    ] {
        assert_eq!(mode(&path(file)), 0o600, "{file}");
    }
    for folder in ["ledger", "letters", "state/chunks"] {
        assert_eq!(mode(&path(folder)), 0o700, "{folder}");
    }
    let size = |name: &str| std::fs::metadata(path(name)).unwrap().len();
    assert!(size("letters/dead.jsonl") + size("letters/dead.jsonl.1") <= 1 << 20);
    assert!(daemon.log().contains("the file of dead letters is full"));
    assert_eq!(daemon.stop(), Some(0));
}
