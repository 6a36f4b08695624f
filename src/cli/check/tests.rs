//! What `check` says of files.

use super::*;

#[test]
fn each_schema_that_cannot_be_read_is_an_error_at_its_source() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("p.yaml", POLICY);
    write("cut.avsc", "{\"type\": \"record\"");
    write("whole.avsc", r#"{"type": "record", "name": "E", "fields": [{"name": "ts", "type": "long"}]}"#);
    write("two.proto", "syntax = \"proto3\";\nmessage A {}\nmessage B {}\n");
    write("bad.proto", "syntax = \"proto3\";\nmessage A { strin x = 1 }\n");
    let source = |topic: &str, format: &str, file: &str| {
        format!("- {{topic: {topic}, kind: predictions, format: {format}, schema: {{file: {file}}}}}\n")
    };
    let sources = [
        ("avro", "cut.avsc"),
        ("avro", "whole.avsc"),
        ("avro", "none.avsc"),
        ("protobuf", "two.proto"),
        ("protobuf", "bad.proto"),
    ];
    let sources: String =
        sources.iter().enumerate().map(|(at, (format, file))| source(&format!("t{at}"), format, file)).collect();
    write("d.yaml", &format!("policies: [p.yaml]\nkafka: {{brokers: \"a:1\"}}\nsources:\n{sources}"));
    let errors = Report::new(Some(&folder.path().join("d.yaml")), &[]).errors.join("\n");
    for (at, says) in [
        ("sources[0]", "cut.avsc of t0: the Avro schema cannot be read"),
        ("sources[2]", "none.avsc of t2 cannot be read"),
        ("sources[3]", "name one by `message`, of A, B"),
        ("sources[4]", "bad.proto"),
    ] {
        assert!(errors.lines().any(|line| line.contains(at) && line.contains(says)), "{at}: {errors}");
    }
    assert!(!errors.contains("sources[1]"), "{errors}");
}

const POLICY: &str = "apiVersion: driftgate/v1
model: m
features: {numeric: [a]}
checks:
  drift:
    window: {size: 7d, slide: 1d}
    rules: [{psi: {of: features, lt: 0.2}}]
";

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn check(files: &[(&str, &str)], config: Option<&str>, policies: &[&str]) -> Report {
    let folder = folder(files);
    let path = |name: &&str| folder.path().join(name);
    let policies: Vec<PathBuf> = policies.iter().map(path).collect();
    Report::new(config.as_ref().map(path).as_deref(), &policies)
}

#[test]
fn every_error_of_every_file_is_shown() {
    let broken = POLICY.replace("0.2", "-1").replace("7d", "7");
    let report = check(&[("a.yaml", &broken), ("b.yaml", POLICY)], None, &["a.yaml", "b.yaml", "b.yaml", "c.yaml"]);
    let lines: Vec<&str> = report.errors.iter().flat_map(|e| e.lines()).collect();
    assert_eq!((lines.len(), report.policies.len()), (3, 1), "{lines:?}");
    assert!(
        lines[0].contains("a.yaml:6:")
            && lines[1].contains("psi.lt")
            && lines[2].contains("c.yaml: the policy cannot be read")
    );
    assert_eq!(report.to_json()["valid"], false);
}

#[test]
fn a_model_has_one_policy() {
    let config = "policies: [\"p*.yaml\"]\n";
    let report = check(&[("d.yaml", config), ("p1.yaml", POLICY), ("p2.yaml", POLICY)], Some("d.yaml"), &[]);
    assert_eq!(report.errors.len(), 1);
    assert!(
        report.errors[0].contains("p2.yaml: model \"m\" has its policy in ")
            && report.errors[0].contains("p1.yaml already"),
        "{:?}",
        report.errors
    );
    let report = check(&[("p1.yaml", POLICY), ("p2.yaml", POLICY)], None, &["p1.yaml", "p2.yaml"]);
    assert_eq!((report.errors.len(), report.policies.len()), (0, 2));
}

#[test]
fn a_missing_policy_is_an_error_and_a_source_of_an_unknown_model_too() {
    let config = "policies: [\"x.yaml\"]\n";
    assert!(check(&[("d.yaml", config)], Some("d.yaml"), &[]).errors[0].contains("no policy file matches"));
    let config = "policies: [\"p.yaml\"]\nkafka: {brokers: \"k:9092\"}\nsources: [{topic: t, kind: predictions, models: [m, other]}]\n";
    let report = check(&[("d.yaml", config), ("p.yaml", POLICY)], Some("d.yaml"), &[]);
    assert!(
        report.errors.len() == 1 && report.errors[0].contains("d.yaml: sources[0].models: no policy is for \"other\""),
        "{:?}",
        report.errors
    );
}

#[test]
fn what_is_watched_is_shown() {
    let report = check(&[("p.yaml", POLICY)], None, &["p.yaml"]);
    let text = report.to_text();
    assert!(text.contains("drift") && text.ends_with("valid\n"), "{text}");
    let json = report.to_json();
    assert_eq!((&json["valid"], &json["warnings"]), (&json!(true), &json!(0)));
    assert_eq!(json["policies"][0]["groups"][0]["subjects"], 1);
}
