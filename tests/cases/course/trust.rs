//! What a promotion rests on: the record, who may approve, that tokens stay secret, signatures, and the audit log.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{TOKENS, Team, secret};
use crate::support::SIGNED;

/// The record that the course shows.
const RECORD: &str = include_str!("record.json");

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn the_promotion_record_has_the_courses_keys() {
    let team = Team::new("fraud_classifier");
    team.register_6_and_7(0.935);
    team.judge(&[("6", "prod", 62.0), ("7", "staging", 62.0)]);
    team.by("owner", "approve MODEL 7").exits(0);
    team.by("reviewer", "approve MODEL 7").exits(0);
    let record = team.by("ci", "promote MODEL 7 --json").exits(0).json()["record"].clone();
    let shown: Value = serde_json::from_str(RECORD).unwrap();
    assert_eq!(keys(&record)[..keys(&shown).len()], keys(&shown), "the same keys, first and in this order");
    for part in ["checks", "artifacts"] {
        for key in keys(&shown[part]) {
            assert!(!record[part][key].is_null(), "no {part}.{key} in {record}");
        }
    }
    for key in ["model", "version", "from_stage", "to_stage", "approvers", "status", "rollback_to"] {
        assert_eq!(record[key], shown[key], "{key}");
    }
    assert_eq!(record["checks"]["auc"], shown["checks"]["auc"]);
    assert_eq!(record["artifacts"]["data_snapshot"], shown["artifacts"]["data_snapshot"]);
    assert_eq!(record["units"], json!({"latency": "milliseconds", "rates": "fraction"}));
    // It is a run as well: decided elsewhere, by a policy that asks for what it shows.
    team.folder.write("record.json", record.to_string());
    let again = team.folder.driftgate("decide --policy policy.yaml --run record.json --json").exits(1).json();
    let gates: Vec<(&Value, &Value)> =
        again["gates"].as_array().unwrap().iter().map(|gate| (&gate["gate"], &gate["outcome"])).collect();
    for gate in ["slo/p95", "slo/error_rate", "drift/psi", "fairness/tpr_gap", "rollback", "approvals"] {
        assert!(gates.contains(&(&json!(gate), &json!("pass"))), "{gate} in {again}");
    }
    let reasons = again["reasons"].to_string();
    assert!(
        reasons.contains("schema, security_scan, tests missing"),
        "what a record does not show is missed: {reasons}"
    );
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn only_those_whose_token_says_so_approve_and_no_token_is_shown() {
    let team = Team::new("fraud_classifier");
    team.register_6_and_7(0.935);
    team.judge(&[("6", "prod", 62.0), ("7", "staging", 62.0)]);
    team.folder.write("unknown.token", secret("unknown"));
    for (who, arguments, says) in [
        ("viewer", "approve MODEL 7", "the token of viewer@company has the role viewer, this needs approver"),
        ("churn", "approve MODEL 7 --role owner", r#"is for models "churn_*", not for "fraud_classifier""#),
        ("unknown", "approve MODEL 7 --role owner", "this token is not known"),
        ("owner", "approve MODEL 7 --role reviewer", "may approve as owner, not as reviewer"),
        ("ann", "approve MODEL 7", "name the role to approve in"),
        ("owner", "approve MODEL 7 --to staging", "asks nobody to approve"),
        ("owner", "promote MODEL 7", "has the role approver, this needs operator"),
        ("reviewer", "evidence add MODEL 7 --set tests=pass", "has the role approver, this needs operator"),
        // Approving is a role of its own.
        ("ci", "approve MODEL 7 --role owner", "write approver, approver:ROLE or operator+approver:ROLE"),
    ] {
        team.by(who, arguments).exits(2).says(says);
    }
    team.run("approve MODEL 7 --role owner").exits(2).says("an approval needs the approver's token");
    team.run("gate MODEL 7 --to prod").exits(4).prints("0 of 2 approvals");
    team.by("owner", "approve MODEL 7").exits(0);
    team.by("reviewer", "approve MODEL 7").exits(0);
    team.by("ci", "promote MODEL 7").exits(0);
    team.run("explain MODEL 7").exits(0);
    let history = team.run("history MODEL --json").exits(0).stdout;
    for (name, ..) in TOKENS {
        assert!(["viewer", "churn", "ann"].contains(&name) || history.contains(&format!("{name}@company")), "{name}");
        let secret = secret(name);
        assert!(!team.said.borrow().contains(&secret), "{secret} was printed");
        for file in files(&team.folder.path("state")) {
            let bytes = match std::fs::read(&file) {
                Ok(bytes) => bytes,
                // The daemon has replaced it meanwhile.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                Err(e) => panic!("{}: {e}", file.display()),
            };
            assert!(
                !bytes.windows(secret.len()).any(|part| part == secret.as_bytes()),
                "{secret} is in {}",
                file.display()
            );
        }
    }
}

/// Keys of the policy that asks for signatures.
const KEYS: &str = "  - {id: release, algorithm: ed25519, public_key: \"RELEASE\"}
  - {id: build, algorithm: ecdsa_p256, public_key: \"BUILD\"}
";

#[test]
fn signatures_made_with_openssl_verify_and_others_block() {
    let folder = tempfile::tempdir().unwrap();
    let openssl = |arguments: &str| {
        let run =
            Command::new("openssl").args(arguments.split_whitespace()).current_dir(folder.path()).output().unwrap();
        assert!(run.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&run.stderr));
        String::from_utf8(run.stdout).unwrap()
    };
    let public = |name: &str, of: &str| {
        openssl(&format!("genpkey -algorithm {of} -out {name}.pem"));
        // In double quotes a line break is written down as one.
        openssl(&format!("pkey -in {name}.pem -pubout")).trim().replace('\n', "\\n")
    };
    let p256 = "EC -pkeyopt ec_paramgen_curve:P-256";
    let (release, build) = (public("release", "ed25519"), public("build", p256));
    public("stranger", "ed25519");
    let team = Team::with("signed", &(SIGNED.to_owned() + &KEYS.replace("RELEASE", &release).replace("BUILD", &build)));
    team.folder.write("model.bin", "weights");
    let model = team.folder.path("model.bin").display().to_string();
    // Ed25519 over the digest as text, ECDSA over the file itself.
    let digest = openssl(&format!("dgst -sha256 -r {model}"));
    std::fs::write(folder.path().join("digest"), format!("sha256:{}", &digest[..64])).unwrap();
    std::fs::write(folder.path().join("other"), format!("sha256:{}", "0".repeat(64))).unwrap();
    let ed25519 = |key: &str, message: &str, out: &str| {
        openssl(&format!("pkeyutl -sign -inkey {key}.pem -rawin -in {message} -out {out}"));
    };
    ed25519("release", "digest", "good");
    ed25519("release", "other", "over-another-artifact");
    ed25519("stranger", "digest", "by-a-stranger");
    openssl(&format!("dgst -sha256 -sign build.pem -out good-p256 {model}"));
    openssl("dgst -sha256 -sign build.pem -out over-another-file other");

    let attach = |version: &str, signature: &str, algorithm: &str| {
        team.run(&format!("register MODEL {version} --artifact model.bin")).exits(0);
        let file = folder.path().join(signature);
        team.run(&format!("evidence add MODEL {version} --signature {} --algorithm {algorithm}", file.display()))
            .exits(0);
    };
    for (version, signature, algorithm) in [
        ("1", "over-another-artifact", "ed25519"),
        ("2", "by-a-stranger", "ed25519"),
        ("3", "over-another-file", "ecdsa_p256"),
    ] {
        attach(version, signature, algorithm);
        team.run(&format!("gate MODEL {version} --to staging"))
            .exits(1)
            .prints("the signature does not verify over sha256:");
        assert_eq!(team.standing("staging"), None, "{signature}");
    }
    for (version, signature, algorithm, says) in [
        ("4", "good", "ed25519", "signed by key \"release\" (ed25519)"),
        ("5", "good-p256", "ecdsa_p256", "signed by key \"build\" (ecdsa_p256)"),
    ] {
        attach(version, signature, algorithm);
        assert_eq!(team.standing("staging").as_deref(), Some(version));
        team.run(&format!("gate MODEL {version} --to staging")).exits(0).prints(says);
    }
}

#[test]
fn the_audit_log_is_intact_and_a_change_in_it_is_found() {
    let team = Team::new("fraud_classifier");
    team.register_6_and_7(0.935);
    team.judge(&[("6", "prod", 62.0), ("7", "staging", 62.0)]);
    team.by("owner", "approve MODEL 7").exits(0);
    team.by("reviewer", "approve MODEL 7").exits(0);
    team.by("ci", "promote MODEL 7").exits(0);
    let intact = team.run("audit verify --json").exits(0).json();
    assert_eq!(intact["problems"], json!([]), "{intact}");
    assert!(intact["records"].as_u64().unwrap() > 10, "{intact}");

    let registry = rusqlite::Connection::open(team.folder.path("state/registry.db")).unwrap();
    let record = "SELECT seq FROM audit WHERE bytes LIKE '%\"approval\"%' AND bytes LIKE '%reviewer@company%' LIMIT 1";
    let seq: i64 = registry.query_row(record, [], |row| row.get(0)).unwrap();
    let change =
        format!("UPDATE audit SET bytes = replace(bytes, 'reviewer@company', 'mallory@company') WHERE seq = {seq}");
    assert!(registry.execute(&change, []).unwrap_err().to_string().contains("audit records are only added"));
    registry.execute_batch(&format!("DROP TRIGGER audit_never_changes; {change}")).unwrap();
    team.run("audit verify").exits(1).prints(&format!("record {seq} was changed")).prints("NOT INTACT");
    // Nor can it be made to fit by whoever has not the key.
    registry.execute_batch(&format!("DROP TRIGGER audit_never_goes; DELETE FROM audit WHERE seq >= {seq}")).unwrap();
    team.run("audit verify").exits(1).prints("the tail was cut off");
}
