//! Files of a release before: what MLflow had put there becomes a report, and what no record said is written down once.

use serde_json::{Value, json};

use super::*;
use crate::ledger::{Found, FoundVersion};
use driftgate_core::audit::{Entry, Head, append};

/// Writes records as the release before did.
fn log(old: &Connection, records: &[(&str, &str, Option<&str>, Value)]) {
    let mut head: Option<Head> = None;
    for (at, (actor, event, version, payload)) in (1_i64..).zip(records) {
        let entry = Entry {
            actor: (*actor).into(),
            event: (*event).into(),
            model: Some("m".into()),
            version: version.map(str::to_owned),
            payload: payload.clone(),
        };
        let stored = append(head.as_ref(), entry, at);
        old.execute(
            "INSERT INTO audit (seq, bytes, hash) VALUES (?1, ?2, ?3)",
            params![stored.seq.cast_signed(), stored.bytes, stored.hash],
        )
        .unwrap();
        head = Some(stored.head());
    }
}

/// A file of format 4: prod went from 1 to 40 and back by somebody's hand in MLflow, and was taken away there.
fn before(path: &Path) {
    let old = Connection::open(path).unwrap();
    for part in [schema::FIRST, schema::PROMOTION_TABLES, schema::MIRROR_TABLES, schema::OUTCOMES] {
        old.execute_batch(part).unwrap();
    }
    old.execute_batch(
        "INSERT INTO versions (model, version, snapshot, artifact_sha256, registered_at, registered_by, created_elsewhere_ms)
             VALUES ('m', '1', 'ours.csv', 'ab', 1, 'ci', 5), ('m', '3', 'theirs.csv', NULL, 2, 'mlflow', 6),
                    ('m', '40', NULL, NULL, 3, 'mlflow', 7);
         INSERT INTO stages (model, stage, version) VALUES ('m', 'staging', '3');
         INSERT INTO stage_moves (model, stage, from_version, to_version, at, actor, reason, rollback)
             VALUES ('m', 'prod', NULL, '1', 3, 'ci', '', 0), ('m', 'prod', '1', '40', 4, 'mlflow', '', 0),
                    ('m', 'prod', '40', '1', 5, 'mlflow', '', 0), ('m', 'staging', NULL, '3', 6, 'mlflow', '', 0),
                    ('m', 'prod', '1', NULL, 7, 'mlflow', '', 0);
         INSERT INTO lost_stages (model, stage, version, at, reason) VALUES ('m', 'prod', '1', 7, 'somebody took it away');
         INSERT INTO evidence (model, version, kind, value, actor, at)
             VALUES ('m', '3', 'offline', '{\"auc\":0.99}', 'mlflow', 8), ('m', '3', 'tests', '\"pass\"', 'ci', 9);
         INSERT INTO blocks (model, version, group_name, since, reasons, signal_id, verdict_id)
             VALUES ('m', '3', 'drift', 't', '[]', 's', 'v');",
    )
    .unwrap();
    let stage = |stage: &str, from: Option<&str>, to: Option<&str>| json!({"stage": stage, "from": from, "to": to, "reason": "", "foreign": true});
    log(
        &old,
        &[
            (
                "ci",
                "register",
                Some("1"),
                json!({"model": "m", "version": "1", "snapshot": "ours.csv", "artifact_sha256": "ab"}),
            ),
            ("mlflow", "register", Some("3"), json!({"source": "s3://m", "run_id": null})),
            ("ci", "stage", Some("1"), json!({"stage": PROD, "from": null, "to": "1", "reason": "", "foreign": false})),
            ("mlflow", "stage", Some("40"), stage(PROD, Some("1"), Some("40"))),
            ("mlflow", "stage", Some("1"), stage(PROD, Some("40"), Some("1"))),
            ("mlflow", "stage", Some("3"), stage("staging", None, Some("3"))),
            ("mlflow", "stage", Some("1"), stage(PROD, Some("1"), None)),
            ("mlflow", "evidence", Some("3"), json!({"kind": "offline", "value": {"auc": 0.99}})),
            ("ci", "evidence", Some("3"), json!({"kind": "tests", "value": "pass"})),
            ("mlflow", "register", Some("40"), json!({"source": "s3://m", "run_id": null})),
        ],
    );
    old.pragma_update(None, "user_version", 4).unwrap();
}

#[test]
fn what_mlflow_had_moved_and_said_is_a_report_and_what_no_record_said_is_written_down() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    before(&path);
    let upgrades = |registry: &Embedded| {
        let all = registry.audit(None, 100).unwrap();
        all.into_iter().filter(|r| r["event"] == "upgrade").map(|r| r["payload"].clone()).collect::<Vec<Value>>()
    };
    let registry = Embedded::open(&path).unwrap();
    let of = |version: &str| registry.version("m", version).unwrap().unwrap();
    // Nobody who may took prod from 1.
    assert_eq!((prod(&registry).as_deref(), of("1").snapshot.as_deref()), (Some("1"), Some("ours.csv")));
    assert_eq!(registry.roll_back("m", None, "ann", "drill", true, 20).unwrap().1, None, "40 was never stable");
    assert!(registry.roll_back("m", Some("40"), "ann", "", true, 20).unwrap_err().to_string().contains("never was"));
    // 3 is in staging by nobody's word, and what was said of it there is reported.
    let three = of("3");
    assert_eq!((three.stages.len(), three.snapshot.as_deref(), three.snapshot_in_use()), (0, None, Some("theirs.csv")));
    assert_eq!(three.reported["offline"], json!({"auc": 0.99}));
    let problems = registry.problems(Some("m")).unwrap();
    let stages: Vec<_> = problems.iter().map(|p| (p.kind, p.stage.as_deref().unwrap())).collect();
    assert!(
        stages.contains(&("registry_drift", "staging")) && stages.contains(&("registry_drift", PROD)),
        "{problems:?}"
    );
    let upgrade = upgrades(&registry).remove(0);
    let taken = upgrade["taken_over"].as_array().unwrap();
    assert!(taken.len() == 1 && taken[0]["kind"] == "block" && taken[0]["name"] == "drift", "{upgrade}");
    assert_eq!(unheld(&registry), Vec::<String>::new());
    // The alias stays taken away; ours is told, and goes there once it moves.
    let version =
        |v: &str, created| FoundVersion { version: v.into(), created_ms: Some(created), ..FoundVersion::default() };
    let aliases = [("staging".to_owned(), "3".to_owned())].into();
    let found = Found {
        exists: true,
        aliases,
        versions: vec![version("1", 5), version("3", 6), version("40", 7)],
        ..Found::default()
    };
    assert_eq!(registry.follow("m", &found, 21).unwrap(), Followed::default());
    registry.set_stage("m", "staging", "3", "ann", "tested", 22).unwrap();
    assert_eq!(of("3").stages, ["staging"]);
    drop(registry);
    let registry = Embedded::open(&path).unwrap();
    assert_eq!((upgrades(&registry).len(), unheld(&registry)), (1, vec![]), "once");
}

#[test]
fn a_file_of_the_fifth_format_follows_no_log_and_nothing_else_of_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let registry = Embedded::open(&path).unwrap();
    registry.register(&plain("1"), "ci", 1).unwrap();
    let before = registry.audit(None, 100).unwrap();
    drop(registry);
    Connection::open(&path).unwrap().execute_batch("DROP TABLE replica; PRAGMA user_version = 5").unwrap();
    let registry = Embedded::open(&path).unwrap();
    assert_eq!((registry.replica_seq().unwrap(), registry.audit(None, 100).unwrap()), (None, before));
    let format: i64 =
        registry.connection.lock().unwrap().pragma_query_value(None, "user_version", |r| r.get(0)).unwrap();
    assert_eq!(format, schema::FORMAT);
    registry.register(&plain("2"), "ci", 2).unwrap();
}
