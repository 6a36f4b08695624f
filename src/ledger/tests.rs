//! The embedded registry: versions, pointers and verdicts here; `signals`, `promotions`, `attested` and `files` have
//! their own.

mod approvals;
mod around;
mod attested;
mod batches;
mod elsewhere;
mod files;
mod promotions;
mod routes;
mod signals;
mod upgrades;

use std::path::Path;

use rusqlite::{Connection, params};

use super::*;
use driftgate_core::fact::External;
use driftgate_core::judge::verdict::{Action, Signal};
use driftgate_core::policy::{Policy, parse};
use driftgate_core::promotion::PROD;
use driftgate_core::promotion::types::ActiveBlock;
use driftgate_core::promotion::version::{Applied, Registration, StageMove};

fn registry() -> Embedded {
    Embedded::in_memory().unwrap()
}

fn plain(version: &str) -> Registration {
    Registration { model: "m".into(), version: version.into(), ..Registration::default() }
}

/// A policy that checks drift, and has these transitions.
fn with_transitions(transitions: &str) -> Policy {
    let text = format!(
        "apiVersion: driftgate/v1
model: m
baseline: {{snapshot: s.csv}}
features: {{numeric: [x], categorical: []}}
checks:
  drift: {{window: {{size: 1h, slide: 1h}}, rules: [{{psi: {{of: features, lt: 0.2}}}}]}}
transitions:
{transitions}"
    );
    parse(&text, Path::new("p.yaml")).unwrap_or_else(|e| panic!("{e}"))
}

/// A registry whose prod pointer stood on these versions one after the other.
fn with_prod(versions: &[&str]) -> Embedded {
    let registry = registry();
    for (version, now) in versions.iter().zip(1..) {
        registry.register(&plain(version), "ci", now).unwrap();
        registry.set_stage("m", PROD, version, "ann", "promoted", now).unwrap();
    }
    registry
}

/// A signal of a group at an hour of 2013-03-01; what it says makes its id.
fn signal(action: Action, version: &str, group: &str, hour: u32) -> Signal {
    Signal {
        signal_id: format!("{}-{version}-{group}-{hour}", action.name()),
        ts: format!("2013-03-01T{hour:02}:00:00Z"),
        model: "m".into(),
        version: version.into(),
        group: group.into(),
        action,
        stage: None,
        rollback_to: None,
        reasons: vec![format!("{group}/psi a {hour} breaks lt 0.2")],
        verdict_id: format!("verdict-{hour}"),
        policy_sha256: "p".into(),
    }
}

/// What of the registry does not follow from its log.
fn unheld(registry: &Embedded) -> Vec<String> {
    let connection = registry.connection.lock().unwrap();
    let rows: Vec<driftgate_core::audit::LogRow> = connection
        .prepare("SELECT seq, bytes, hash FROM audit ORDER BY seq")
        .unwrap()
        .query_map([], |row| {
            let bytes: String = row.get(1)?;
            Ok(driftgate_core::audit::LogRow {
                seq: row.get::<_, i64>(0)?.cast_unsigned(),
                bytes: bytes.into(),
                hash: row.get(2)?,
            })
        })
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    for row in &rows {
        // Every record is one of the events that are known, and says nothing beside its fields.
        let record = driftgate_core::audit::Record::read(&row.bytes).unwrap();
        let event = driftgate_core::audit::Event::of(&record);
        assert!(!matches!(event, driftgate_core::audit::Event::Other { .. }), "{record:?}");
        let (event, said) = event.to_parts();
        assert_eq!(event, record.event);
        for (key, value) in record.payload.as_object().unwrap() {
            assert_eq!(said.get(key), Some(value), "{event}: {key}");
        }
    }
    let found = driftgate_core::audit::state::State::of_log(&rows).against(&held::read(&connection).unwrap());
    found.iter().map(ToString::to_string).collect()
}

fn prod(registry: &Embedded) -> Option<String> {
    let versions = registry.versions(Some("m")).unwrap();
    versions.into_iter().find(|v| v.stages.iter().any(|s| s == PROD)).map(|v| v.version)
}

#[test]
fn registering_twice_changes_nothing() {
    let registry = registry();
    let new = Registration {
        snapshot: Some("s3://b/train.parquet".into()),
        snapshot_sha256: Some("aa".into()),
        stage: Some("dev".into()),
        ..plain("1")
    };
    let first = registry.register(&new, "ci", 5).unwrap();
    assert_eq!(
        (first.registered_at, first.stages.as_slice(), first.snapshot_sha256.as_deref()),
        (5, ["dev".to_owned()].as_slice(), Some("aa"))
    );
    assert_eq!(registry.register(&new, "someone", 9).unwrap(), first);
    assert_eq!(registry.version("m", "1").unwrap(), Some(first));
    assert_eq!(registry.version("m", "2").unwrap(), None);
    let history = registry.history("m").unwrap();
    assert_eq!(
        history,
        [StageMove {
            stage: "dev".into(),
            from: None,
            to: Some("1".into()),
            at: 5,
            actor: "ci".into(),
            reason: "registered".into()
        }]
    );
}

#[test]
fn a_version_takes_what_it_lacks_and_keeps_what_it_has() {
    let registry = registry();
    registry.register(&Registration { snapshot_sha256: Some("aa".into()), ..plain("1") }, "ci", 1).unwrap();
    registry.register(&plain("1"), "ci", 2).unwrap();
    let filled =
        registry.register(&Registration { artifact_sha256: Some("bb".into()), ..plain("1") }, "ci", 3).unwrap();
    assert_eq!((filled.snapshot_sha256.as_deref(), filled.artifact_sha256.as_deref()), (Some("aa"), Some("bb")));
    let other = Registration {
        snapshot: Some("new".into()),
        artifact_sha256: Some("cc".into()),
        stage: Some(PROD.into()),
        ..plain("1")
    };
    let error = registry.register(&other, "ci", 4).unwrap_err();
    assert_eq!(
        error.to_string(),
        "version \"1\" of \"m\" is registered already, with another artifact_sha256: \"bb\", not \"cc\"; versions are immutable"
    );
    assert_eq!(registry.version("m", "1").unwrap(), Some(filled), "nothing of a refused registration stays");
}

#[test]
fn registering_again_after_a_rollback_does_not_promote_again() {
    let registry = with_prod(&["1"]);
    let new = Registration { stage: Some(PROD.into()), ..plain("2") };
    registry.register(&new, "ci", 2).unwrap();
    registry.apply(&signal(Action::Rollback, "2", "slo", 1), 3).unwrap();
    assert_eq!(prod(&registry).as_deref(), Some("1"));
    registry.register(&new, "ci", 4).unwrap();
    assert_eq!(prod(&registry).as_deref(), Some("1"));
}

#[test]
fn a_pointer_stays_that_somebody_takes_away_in_mlflow() {
    let registry = with_prod(&["1", "2"]);
    let new = Registration { stage: Some(PROD.into()), ..plain("2") };
    let drift = registry.drifted(External::Mlflow, ("m", PROD), Some("2"), None, 5).unwrap().unwrap();
    assert_eq!((drift.expected.as_deref(), drift.found), (Some("2"), None));
    assert_eq!(prod(&registry).as_deref(), Some("2"));
    let problem = registry.problems(Some("m")).unwrap().remove(0);
    assert!(problem.kind == "registry_drift" && problem.detail.contains("it stands on nothing"), "{problem:?}");
    assert_eq!(registry.register(&new, "ann", 6).unwrap().stages, [PROD]);
    assert_eq!(registry.history("m").unwrap().len(), 2, "nothing moved");
    registry.set_stage("m", PROD, "1", "ann", "back", 7).unwrap();
    assert_eq!(registry.problems(Some("m")).unwrap().len(), 0, "it is due there");
}

#[test]
fn names_that_do_not_fit_a_path_are_refused() {
    let registry = registry();
    let long = "x".repeat(201);
    for (bad, why) in [("", "empty"), ("a/b", "slash"), ("a\nb", "control"), (long.as_str(), "200 bytes")] {
        for new in [
            Registration { model: bad.into(), ..plain("1") },
            plain(bad),
            Registration { stage: Some(bad.into()), ..plain("1") },
        ] {
            let error = registry.register(&new, "ci", 1).unwrap_err();
            assert!(matches!(error, RegistryError::BadName { .. }) && error.to_string().contains(why), "{error}");
        }
        let error = registry.set_stage("m", bad, "1", "ann", "", 1).unwrap_err();
        assert!(matches!(error, RegistryError::BadName { what: "the stage", .. }), "{error}");
        let ignored = registry.apply(&signal(Action::Block, bad, "drift", 1), 1).unwrap();
        assert!(matches!(&ignored, Applied::Ignored(text) if text.contains(why)), "{ignored:?}");
    }
    assert_eq!(registry.versions(None).unwrap(), []);
    registry.register(&plain(&"ü".repeat(100)), "ci", 1).unwrap();
}

#[test]
fn versions_come_in_the_order_they_were_registered() {
    let registry = registry();
    for version in ["9", "10", "1"] {
        registry.register(&plain(version), "ci", 1).unwrap();
    }
    registry.register(&Registration { model: "other".into(), ..plain("7") }, "ci", 1).unwrap();
    let names = |model| registry.versions(model).unwrap().into_iter().map(|v| v.version).collect::<Vec<_>>();
    assert_eq!(names(Some("m")), ["9", "10", "1"]);
    assert_eq!(names(None), ["9", "10", "1", "7"]);
    assert!(names(Some("none")).is_empty());
}

#[test]
fn a_pointer_moves_and_its_history_stays() {
    let registry = with_prod(&["1", "2"]);
    let moved = registry.set_stage("m", PROD, "1", "bob", "2 is slow", 7).unwrap().unwrap();
    assert_eq!(
        moved,
        StageMove {
            stage: PROD.into(),
            from: Some("2".into()),
            to: Some("1".into()),
            at: 7,
            actor: "bob".into(),
            reason: "2 is slow".into()
        }
    );
    assert_eq!(registry.set_stage("m", PROD, "1", "bob", "again", 8).unwrap(), None);
    registry.set_stage("m", "canary", "2", "bob", "", 9).unwrap();
    let history = registry.history("m").unwrap();
    let told: Vec<_> = history.iter().map(|h| (h.stage.as_str(), h.from.as_deref(), h.to.as_deref(), h.at)).collect();
    assert_eq!(
        told,
        [
            (PROD, None, Some("1"), 1),
            (PROD, Some("1"), Some("2"), 2),
            (PROD, Some("2"), Some("1"), 7),
            ("canary", None, Some("2"), 9)
        ]
    );
    let error = registry.set_stage("m", PROD, "3", "bob", "", 9).unwrap_err();
    assert_eq!(error.to_string(), "model \"m\" has no version \"3\" in the registry; register it first");
    for statement in ["DELETE FROM stage_moves", "UPDATE stage_moves SET at = 0"] {
        let error = registry.connection.lock().unwrap().execute(statement, []).unwrap_err();
        assert!(error.to_string().contains("only added"), "{error}");
    }
}

#[test]
fn an_older_verdict_never_replaces_a_newer_one() {
    let registry = registry();
    for (group, end, json) in [("b", 2, "two"), ("b", 1, "one"), ("a", 5, "five"), ("b", 2, "two again")] {
        registry.record_verdict("m", "1", group, end, json).unwrap();
    }
    assert_eq!(registry.verdicts("m", "1").unwrap(), ["five", "two again"]);
    assert!(registry.verdicts("m", "2").unwrap().is_empty());
    assert_eq!(registry.versions(None).unwrap(), [], "a verdict registers nothing");
}
