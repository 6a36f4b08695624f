//! A log made by the registry verifies; whatever is done to it afterwards is found and named.

use std::fmt::Write as _;

use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use driftgate_core::promotion::version::Registration;

/// A registry with nine records: registered, five pieces of evidence, staged, frozen, resumed.
fn registry() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let registry = Embedded::open(&path).unwrap();
    let registration = Registration { model: "m".into(), version: "1".into(), ..Registration::default() };
    registry.register(&registration, "ana", 1000).unwrap();
    // One change of five records: the last alone is signed.
    let evidence = [("auc", 0.9), ("f1", 0.8)].map(|(k, v)| (k.to_owned(), json!(v)));
    let evidence: Vec<_> = [("offline".to_owned(), json!(evidence.into_iter().collect::<serde_json::Map<_, _>>()))]
        .into_iter()
        .chain(["tests", "security_scan", "pii_controls"].map(|kind| (kind.to_owned(), json!("pass"))))
        .chain([("code_commit".to_owned(), json!("git:1234abc"))])
        .collect();
    registry.attach("m", "1", &evidence, "ana", 2000).unwrap();
    registry.set_stage("m", "staging", "1", "ana", "tested", 3000).unwrap();
    registry.freeze("m", "ana", "incident 42", 4000).unwrap();
    registry.resume("m", "ana", 5000).unwrap();
    (folder, path)
}

fn args(path: &Path) -> VerifyArgs {
    VerifyArgs {
        config: None,
        registry: Some(path.to_owned()),
        public_key: Vec::new(),
        anchors: None,
        no_anchors: false,
        output: Output::default(),
    }
}

fn checked(path: &Path) -> Checked {
    check(&args(path)).map_err(|f| f.error).unwrap()
}

/// What is found once this was done to the file.
fn after(sql: &str) -> (Vec<String>, String) {
    let (_folder, path) = registry();
    tamper(&path, sql);
    let found = checked(&path);
    assert!(!found.is_intact(), "{sql}");
    let json = found.to_json();
    assert_eq!(json["intact"], false);
    let problems = json["problems"].as_array().unwrap();
    (problems.iter().map(|p| p["message"].as_str().unwrap().to_owned()).collect(), found.to_text())
}

fn tamper(path: &Path, sql: &str) {
    let free = "DROP TRIGGER audit_never_changes; DROP TRIGGER audit_never_goes;";
    let again = "CREATE TRIGGER audit_never_changes BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'audit records are only added'); END;
         CREATE TRIGGER audit_never_goes BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'audit records are only added'); END;";
    Connection::open(path).unwrap().execute_batch(&format!("{free}{sql};{again}")).unwrap();
}

fn tamper_state(path: &Path, sql: &str) {
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

fn files(folder: &TempDir) -> Vec<(String, Vec<u8>)> {
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.unwrap();
        (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())
    };
    let mut files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(read).collect();
    files.sort();
    files
}

#[test]
fn a_log_as_it_was_written_is_intact_and_stays_untouched() {
    let (folder, path) = registry();
    let before = files(&folder);
    let found = checked(&path);
    assert!(found.is_intact(), "{}", found.to_text());
    assert_eq!((found.report.records, found.report.checkpoints, found.report.checkpoints_hold), (9, 5, 5));
    assert_eq!(found.report.vouched.as_ref().map(|v| v.seq), Some(9));
    assert!(
        found.to_text().ends_with(&format!("intact: the audit log of {}\n", path.display())),
        "{}",
        found.to_text()
    );
    assert_eq!(run(&Args { command: Command::Verify(args(&path)) }).unwrap(), exit::PASS);
    assert_eq!(files(&folder), before);
}

#[test]
fn a_log_that_is_being_written_is_read_as_well() {
    let (_folder, path) = registry();
    let registry = Embedded::open(&path).unwrap();
    registry.freeze("m", "ana", "incident 43", 6000).unwrap();
    let found = checked(&path);
    assert!(found.is_intact() && found.report.records == 10, "{}", found.to_text());
    drop(registry);
    assert!(checked(&path).is_intact());
}

#[test]
fn what_is_changed_is_named() {
    let (problems, text) = after("UPDATE audit SET bytes = replace(bytes, 'ana', 'bob') WHERE seq = 3;");
    assert!(problems[0].starts_with("record 3 was changed"), "{problems:?}");
    // What it says is not what the registry has.
    assert!(problems[1].contains("the evidence tests of version \"1\" of \"m\" does not follow"), "{problems:?}");
    assert!(text.contains("NOT INTACT: 2 problems in"), "{text}");
    let (problems, _) = after("DELETE FROM audit WHERE seq IN (4, 5);");
    assert_eq!(problems[0], "records 4 to 5 are missing: removed, or never written");
    let swap = "UPDATE audit SET seq = 100 WHERE seq = 2; UPDATE audit SET seq = 2 WHERE seq = 3;
                UPDATE audit SET seq = 3 WHERE seq = 100;";
    let (problems, _) = after(swap);
    assert!(problems.iter().any(|p| p.starts_with("record 2 says it is record 3")), "{problems:?}");
    assert!(problems.iter().any(|p| p.starts_with("record 3 says it is record 2")), "{problems:?}");
}

#[test]
fn a_record_rewritten_with_its_hash_and_links_disagrees_with_its_signature() {
    let (_folder, path) = registry();
    // From record 7 on the chain is made anew, hashes and all; the signatures cannot be.
    let rows = store::read(&path).unwrap().rows;
    let mut head = rows.get(5).map(|r| driftgate_core::audit::Head { seq: r.seq, hash: r.hash.clone() });
    let mut sql = String::new();
    for seq in 7..=9 {
        let entry = driftgate_core::audit::Entry {
            actor: "bob".into(),
            event: "freeze".into(),
            model: Some("m".into()),
            version: None,
            payload: json!({}),
        };
        let stored = driftgate_core::audit::append(head.as_ref(), entry, 1000);
        let _ = write!(sql, "UPDATE audit SET bytes = '{}', hash = '{}' WHERE seq = {seq};", stored.bytes, stored.hash);
        head = Some(stored.head());
    }
    tamper(&path, &sql);
    let found = checked(&path);
    let text = found.to_text();
    for seq in 7..=9 {
        assert!(text.contains(&format!("record {seq} hashes to ")), "{text}");
    }
    assert!(text.contains("records 7 to 9 are not covered by a checkpoint"), "{text}");
}

#[test]
fn a_cut_tail_is_found() {
    let (problems, _) = after("DELETE FROM audit WHERE seq = 9;");
    let thawed =
        "the freeze of \"m\" is missing from the registry: the log says frozen (record 8), and no record takes it away";
    assert_eq!(
        problems,
        ["the log ends at record 8, but a checkpoint from the database signed record 9: the tail was cut off", thawed]
    );
    // Whoever cuts the signature, too, and puts the registry back, leaves no trace here, but one elsewhere.
    let (folder, path) = registry();
    let anchors = folder.path().join("anchors.jsonl");
    let kept = store::read(&path).unwrap().checkpoints;
    let lines: Vec<String> = kept.iter().map(|c| serde_json::to_string(c).unwrap()).collect();
    std::fs::write(&anchors, lines.join("\n")).unwrap();
    tamper(&path, "DELETE FROM audit WHERE seq = 9; DELETE FROM audit_checkpoints WHERE seq = 9;");
    assert!(checked(&path).to_text().contains(thawed));
    tamper_state(&path, "UPDATE models SET frozen_since = 'x', frozen_reason = 'y';");
    let alone = checked(&path);
    assert!(alone.is_intact() && alone.to_text().contains("no checkpoint from elsewhere was compared"));
    let compared = check(&VerifyArgs { anchors: Some(anchors.clone()), ..args(&path) }).unwrap();
    assert!(compared.to_text().contains(&format!("a checkpoint from {} signed record 9", anchors.display())));
    assert_eq!(
        run(&Args { command: Command::Verify(VerifyArgs { anchors: Some(anchors), ..args(&path) }) }).unwrap(),
        exit::BLOCK
    );
}

#[test]
fn every_record_is_covered_by_a_checkpoint() {
    let unvouched = "not covered by a checkpoint: each change writes one";
    let (problems, _) = after("DELETE FROM audit_checkpoints WHERE seq = 9;");
    assert!(problems.len() == 1 && problems[0].starts_with(&format!("record 9 is {unvouched}")), "{problems:?}");
    let (problems, _) = after("DELETE FROM audit_checkpoints;");
    assert!(problems.len() == 1 && problems[0].starts_with(&format!("records 1 to 9 are {unvouched}")), "{problems:?}");
    let (problems, _) = after("UPDATE audit_checkpoints SET json = '{}' WHERE seq = 7;");
    assert_eq!(problems, ["the checkpoint of record 7 in the database cannot be read: it was changed"]);
    let (problems, _) = after("UPDATE audit_checkpoints SET json = replace(json, '1970', '1971') WHERE seq = 7;");
    assert!(problems[0].contains("has a signature that is not of its key"), "{problems:?}");
}

#[test]
fn keys_are_looked_for_and_not_made() {
    let (folder, path) = registry();
    let key = Embedded::key_path(&path);
    let public = crate::audit_key::open(&key).unwrap().public_key().to_pem();
    std::fs::rename(&key, folder.path().join("moved")).unwrap();
    let failure = check(&args(&path)).unwrap_err();
    assert_eq!(failure.code, exit::INPUT);
    assert!(failure.error.to_string().contains("give the public key as --public-key"), "{:#}", failure.error);
    assert!(!key.exists());
    let pem = folder.path().join("audit.pem");
    std::fs::write(&pem, public).unwrap();
    let with = |key: &Path| check(&VerifyArgs { public_key: vec![key.to_owned()], ..args(&path) });
    assert!(with(&pem).unwrap().is_intact());
    // Somebody else's key vouches for nothing.
    let other = folder.path().join("other.pem");
    std::fs::write(&other, crate::audit_key::open(&folder.path().join("other")).unwrap().public_key().to_pem())
        .unwrap();
    let text = with(&other).unwrap().to_text();
    assert!(text.contains("which is not known") && text.contains("records 1 to 9 are not covered"), "{text}");
    assert!(format!("{:#}", with(&path).unwrap_err().error).contains("registry.db"));
}

#[test]
fn what_is_no_registry_is_refused_and_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none.db");
    let failure = check(&args(&missing)).unwrap_err();
    assert_eq!(failure.code, exit::INPUT);
    assert!(failure.error.to_string().starts_with("there is no registry ") && !missing.exists());
    let text = folder.path().join("text.db");
    std::fs::write(&text, "no database, but long enough to be taken for one".repeat(100)).unwrap();
    let failure = check(&args(&text)).unwrap_err();
    assert_eq!(failure.code, exit::INPUT);
    assert!(format!("{:#}", failure.error).contains("cannot be read; is it a registry of this release?"));
    let empty = folder.path().join("empty.db");
    drop(Embedded::open(&empty).unwrap());
    std::fs::remove_file(Embedded::key_path(&empty)).unwrap();
    let found = checked(&empty);
    assert!(found.is_intact() && found.to_text().starts_with("the log is empty"), "{}", found.to_text());
}

#[test]
fn a_configuration_names_the_registry() {
    let (folder, path) = registry();
    let config = folder.path().join("d.yaml");
    std::fs::write(&config, "registry: {embedded: {path: registry.db}}\n").unwrap();
    let of =
        |no_anchors| check(&VerifyArgs { config: Some(config.clone()), registry: None, no_anchors, ..args(&path) });
    assert!(of(false).unwrap().is_intact());
    let kafka = "policies: [p.yaml]\nsources: [{topic: t, kind: predictions}]\naudit: {topic: anchors}\nkafka: {brokers: \"127.0.0.1:1\"}\nregistry: {embedded: {path: registry.db}}\n";
    std::fs::write(&config, kafka).unwrap();
    assert_eq!(of(false).unwrap_err().code, exit::UNREACHABLE);
    assert!(of(true).unwrap().is_intact());
}
