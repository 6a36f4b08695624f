//! Evidence, by what is kept, refused and judged.

use serde_json::json;

use super::super::testing::{HEX, dossier, policy};
use super::super::types::Recomputed;
use super::*;

#[test]
fn values_are_normalised_or_refused() {
    let upper = HEX.to_uppercase();
    for (kind, given, kept) in [
        ("artifact_digest", json!(upper), json!(format!("sha256:{HEX}"))),
        ("artifact_digest", json!(format!("sha256:{upper}")), json!(format!("sha256:{HEX}"))),
        ("data_snapshot", json!(" s3://bucket/train-2024-09-01 "), json!("s3://bucket/train-2024-09-01")),
        ("code_commit", json!("git:1234abcd"), json!("git:1234abcd")),
        ("env_lock", json!({"uv.lock": "sha256:1"}), json!({"uv.lock": "sha256:1"})),
        ("tests", json!(false), json!(false)),
        ("offline", json!({"auc": 0.88, "n": 10}), json!({"auc": 0.88, "n": 10})),
        ("baseline_version", json!(10), json!("10")),
        ("params", json!({}), json!({})),
        ("schema_diff", json!({"removed": []}), json!({"removed": []})),
    ] {
        assert_eq!(check_value(kind, &given), Ok(kept), "{kind}");
    }
    for (kind, given, says) in [
        ("test", json!(true), "no evidence of kind \"test\"; the kinds are artifact_digest, env_lock, tests,"),
        (
            "artifact_digest",
            json!("sha256:abc"),
            "expected a SHA-256 as sha256:HEX or HEX, 64 digits, read \"sha256:abc\"",
        ),
        ("data_snapshot", json!("sha256:abc"), "64 hexadecimal digits after sha256:"),
        ("code_commit", json!(""), "code_commit: expected a text"),
        ("tests", json!(null), "tests: expected true, \"pass\""),
        ("offline", json!({"auc": "0.88"}), "an object of numbers"),
        ("offline", json!({}), "an object of numbers"),
        ("baseline_version", json!(1.5), "a version, like \"10\", read 1.5"),
        ("signature", json!("AAAA"), "signature: expected {\"algorithm\""),
        ("schema", json!(3), "schema: expected"),
        ("schema_diff", json!({"gone": []}), "schema_diff: expected"),
        ("model_card", json!("x".repeat(MOST_BYTES)), "attach at most 65536"),
    ] {
        let error = check_value(kind, &given).unwrap_err().to_string();
        assert!(error.contains(says), "{error} does not contain {says}");
    }
}

#[test]
fn reports_pass_fail_or_say_neither() {
    for pass in [
        json!(true),
        json!("pass"),
        json!("Passed"),
        json!("ok"),
        json!({"status": "pass"}),
        json!({"passed": 12, "failed": 0, "skipped": 1}),
        json!({"critical": 0, "high": 0, "secrets": 0, "medium": 3}),
        json!({"critical": 0}),
    ] {
        assert_eq!(passes(&pass), Ok(()), "{pass}");
    }
    for (fail, why) in [
        (json!(false), "it is false"),
        (json!("failed"), "its status is \"failed\""),
        (json!({"status": "fail"}), "its status is \"fail\""),
        (json!({"status": "pass", "failed": 2}), "2 failed"),
        (json!({"passed": 12, "failed": 1}), "1 failed"),
        (json!({"passed": 0, "failed": 0}), "none was run"),
        (json!({"critical": 0, "high": 0, "secrets": 1}), "1 secrets"),
    ] {
        assert_eq!(passes(&fail), Err(Some(why.to_owned())), "{fail}");
    }
    for neither in [
        json!("fine"),
        json!({"failed": 0}),
        json!({"passed": 12}),
        json!({"passed": 12, "failed": "0"}),
        json!({"critical": -1}),
        json!({"url": "x"}),
        json!(1),
    ] {
        assert_eq!(passes(&neither), Err(None), "{neither}");
    }
}

#[test]
fn kinds_are_judged_with_what_was_read() {
    let policy = policy("");
    let of = |kind: &str, dossier: &Dossier| judge(kind, &policy, &policy.transitions[0], dossier, 0).unwrap();
    let with = |kind: &str, value| dossier(&[(kind, value)]);
    let found = of("tests", &with("tests", json!({"passed": 3, "failed": 1})));
    assert_eq!((found.gate.as_str(), found.outcome), ("evidence/tests", GateOutcome::Block));
    assert_eq!(found.detail, "tests did not pass: 1 failed, read {\"passed\":3,\"failed\":1}");
    let found = of("security_scan", &with("security_scan", json!("clean?")));
    assert!(found.outcome == GateOutcome::Block && found.detail.contains("says neither pass nor fail: expected true"));
    let found = of("env_lock", &Dossier::default());
    assert_eq!((found.outcome, found.detail.as_str()), (GateOutcome::Block, "env_lock missing: attach it as evidence"));
    assert_eq!(of("env_lock", &with("env_lock", json!("uv.lock"))).outcome, GateOutcome::Pass);
    let registered = Dossier { snapshot_sha256: Some(HEX.into()), ..Dossier::default() };
    assert_eq!(of("data_snapshot", &registered).outcome, GateOutcome::Pass);
}

#[test]
fn an_artifact_has_one_digest() {
    let other = HEX.replace('a', "b");
    let with = |registered: Option<&str>, attached: Option<&str>, recomputed| Dossier {
        artifact_sha256: registered.map(str::to_owned),
        recomputed_sha256: recomputed,
        ..dossier(&attached.map(|d| ("artifact_digest", json!(format!("sha256:{d}")))).into_iter().collect::<Vec<_>>())
    };
    for (dossier, outcome, says) in [
        (with(None, None, None), GateOutcome::Block, "has no digest"),
        (with(Some("d1"), Some(HEX), None), GateOutcome::Block, "registered with \"d1\", which is no SHA-256"),
        (with(Some(HEX), None, None), GateOutcome::Pass, "not recomputed: no place"),
        (
            with(None, Some(HEX), Some(Recomputed::Unreachable("gone".into()))),
            GateOutcome::Inconclusive,
            "not known: gone",
        ),
        (
            with(Some(HEX), None, Some(Recomputed::Unreachable("gone".into()))),
            GateOutcome::Inconclusive,
            "readable there again",
        ),
        (
            with(Some(HEX), Some(HEX), Some(Recomputed::Known(HEX.into()))),
            GateOutcome::Pass,
            "recomputed from its files",
        ),
        (with(Some(HEX), Some(&other), None), GateOutcome::Block, "is mutable: registered as"),
        (with(Some(HEX), None, Some(Recomputed::Known(other.clone()))), GateOutcome::Block, "its files now have"),
        (with(Some(HEX), None, Some(Recomputed::Computing("1 of 2".into()))), GateOutcome::Pending, "1 of 2"),
        (
            with(Some(HEX), None, Some(Recomputed::Refused("elsewhere".into()))),
            GateOutcome::Block,
            "not recomputed: elsewhere",
        ),
    ] {
        let found = artifact::judge(&dossier);
        assert_eq!(found.outcome, outcome, "{found:?}");
        assert!(found.detail.contains(says), "{found:?}");
    }
}

#[test]
fn the_digest_of_evidence_is_of_what_it_says() {
    let of = |value| evidence_sha256(&dossier(&[("params", value)]).evidence);
    let (one, two) = (json!({"a": {"b": 1, "c": [1, 2]}, "d": null}), json!({"d": null, "a": {"c": [1, 2], "b": 1}}));
    assert_eq!(of(one.clone()), of(two), "the order of keys says nothing");
    assert_ne!(of(one), of(json!({"a": {"b": 1, "c": [2, 1]}, "d": null})));
    let mut later = dossier(&[("params", json!(1))]).evidence;
    let before = evidence_sha256(&later);
    later.get_mut("params").unwrap().at_ms += 1;
    assert_eq!(evidence_sha256(&later), before, "nor does who attached it when");
    // `{}` by sha256sum.
    let empty = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    assert_eq!(evidence_sha256(&BTreeMap::new()), empty);
}
