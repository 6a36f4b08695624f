//! An artifact's place is a text that a registration brings: it leads to no file but where artifacts may lie, and one that takes
//! minutes to read holds up nobody.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::broker::{Daemon, wait_for};
use crate::service::{CANARY, Service, serving, token};
use crate::support::Folder;

fn post(daemon: &Daemon, path: &str, body: &Value) -> (u16, String) {
    let client = reqwest::blocking::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
    // While a daemon restores what it had, it says so and is asked again.
    wait_for("an answer", || {
        let sent = client.post(format!("{}{path}", daemon.url)).bearer_auth(token("op")).json(body).send().unwrap();
        (sent.status() != 503).then(|| (sent.status().as_u16(), sent.text().unwrap()))
    })
}

/// Registers a version by its artifact's place and any digest, and gives what the gate finds of the artifact.
fn found(daemon: &Daemon, model: &str, version: &str, artifact: &str) -> (String, String) {
    let body = json!({"artifact": artifact, "artifact_sha256": "ab".repeat(32)});
    let (status, answer) = post(daemon, &format!("/api/v1/models/{model}/versions/{version}"), &body);
    assert_eq!(status, 201, "{answer}");
    gate(daemon, model, version)
}

/// How the gate of the artifact came out, and its sentence.
fn gate(daemon: &Daemon, model: &str, version: &str) -> (String, String) {
    gate_to(daemon, model, version, "prod")
}

fn gate_to(daemon: &Daemon, model: &str, version: &str, to: &str) -> (String, String) {
    let answer: Value = wait_for("the gate's answer", || {
        let (status, body) = daemon.get(&format!("/api/v1/gate/{model}/{version}?to={to}"));
        (status != 503).then(|| serde_json::from_str(&body).unwrap())
    });
    let gates = answer["gates"].as_array().unwrap_or_else(|| panic!("{answer}"));
    let artifact = gates.iter().find(|gate| gate["gate"] == "evidence/artifact_digest");
    let artifact = artifact.unwrap_or_else(|| panic!("{answer}"));
    (artifact["outcome"].as_str().unwrap().to_owned(), artifact["detail"].as_str().unwrap().to_owned())
}

#[test]
fn an_artifact_lies_where_artifacts_may_lie_and_a_large_one_holds_up_nobody() {
    let elsewhere = Folder::new();
    elsewhere.write("model.bin", "weights");
    std::fs::create_dir(elsewhere.path("allowed")).unwrap();
    elsewhere.write("allowed/model.bin", "weights");
    let extra = format!("artifacts: [\"{}\"]\n", elsewhere.path("allowed").display());
    let service = Service::new("artifacts", "", CANARY, &extra);
    let model = service.model.clone();
    let folder = &service.folder;
    std::os::unix::fs::symlink(elsewhere.path("model.bin"), folder.path("link.bin")).unwrap();
    // It takes no room, and minutes to read.
    std::fs::File::create(folder.path("large.bin")).unwrap().set_len(200 << 30).unwrap();
    folder.write("small.bin", "weights");
    let daemon = Daemon::start(&service.config(), &[]);
    service.run(&daemon, "op", &format!("register {model} 5 --stage prod")).exits(0);

    let own = folder.path("large.bin").display().to_string();
    let began = Instant::now();
    let (outcome, detail) = found(&daemon, &model, "6", &own);
    assert_eq!(outcome, "pending", "{detail}");
    let text = format!("the digest of {own} is being computed, ");
    assert!(detail.starts_with(&text) && detail.ends_with(" of 214748364800 bytes"), "{detail}");
    service.run(&daemon, "op", &format!("gate {model} 6 --to prod")).prints("is being computed");
    service.run(&daemon, "op", &format!("promote {model} 6")).prints("is being computed");
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());

    // Others go on meanwhile, also one whose digest is known.
    let small = folder.path("small.bin").display().to_string();
    let (outcome, detail) = found(&daemon, &model, "7", &small);
    assert!(outcome == "block" && detail.contains("its files now have another digest"), "{detail}");
    service.minutes(0, 2, &[serving("5", "prod")]);
    wait_for("a verdict beside the reading", || {
        daemon.get(&format!("/api/v1/models/{model}/versions/5")).1.contains("\"slo\":{").then_some(())
    });
    assert_eq!(daemon.get("/live").0, 200);

    let outside = [
        ("20", "/dev/zero".to_owned()),
        ("21", elsewhere.path("model.bin").display().to_string()),
        ("22", folder.path("link.bin").display().to_string()),
        ("23", folder.path("../model.bin").display().to_string()),
        ("24", "http://127.0.0.1:1/latest/meta-data".to_owned()),
        ("25", "s3://other/model.bin".to_owned()),
        ("26", "file:///etc/passwd".to_owned()),
    ];
    for (version, location) in &outside {
        let (outcome, detail) = found(&daemon, &model, version, location);
        assert!(outcome == "block" && detail.contains("lies outside of the folder or bucket"), "{location}: {detail}");
    }
    let allowed = elsewhere.path("allowed/model.bin").display().to_string();
    let (_, detail) = found(&daemon, &model, "30", &allowed);
    assert!(detail.contains("its files now have another digest"), "{detail}");
    assert_eq!(daemon.stop(), Some(0));

    // What somebody writes into the registry is not what was read: it is named, not believed, and the file is read again.
    let registry = rusqlite::Connection::open(folder.path("registry/registry.db")).unwrap();
    registry.execute("UPDATE artifacts SET found = ?1 WHERE location = ?2", [&"ab".repeat(32), &small]).unwrap();
    drop(registry);
    let verify =
        folder.driftgate(&format!("audit verify --registry {}", folder.path("registry/registry.db").display()));
    verify.exits(1).prints("is not signed with this registry's key").prints(&small);
    let daemon = Daemon::start(&service.config(), &[]);
    let (_, detail) = gate(&daemon, &model, "7");
    assert!(detail.contains("its files now have another digest"), "{detail}");
    assert_eq!(daemon.stop(), Some(0));
}

/// A policy of one transition, which asks for the digest and nothing else.
fn bare(extra: &str) -> Service {
    let service = Service::new("unread", "", "", extra);
    let policy = std::fs::read_to_string(service.folder.path("policy.yaml")).unwrap();
    let (kept, _) = policy.split_once("transitions:").unwrap_or_else(|| panic!("{policy}"));
    let transition = "transitions:\n- {from: dev, to: staging, checks: [], evidence: [artifact_digest], approvals: {roles: {owner: 1}}}\n";
    service.folder.write("policy.yaml", format!("{kept}{transition}"));
    service
}

fn staging(daemon: &Daemon, model: &str, version: &str) -> (String, String) {
    gate_to(daemon, model, version, "staging")
}

#[test]
fn files_that_cannot_be_read_pass_no_gate_and_secrets_are_no_artifacts() {
    const WEIGHTS: &str = "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c";
    let service = bare("");
    let (model, folder) = (service.model.clone(), &service.folder);
    std::fs::create_dir_all(folder.path("models/m6")).unwrap();
    folder.write("models/m6.bin", "weights");
    folder.write("models/m6/part", "weights");
    let daemon = Daemon::start(&service.config(), &[]);
    let register = |version: &str, location: &str, digest: &str| {
        let body = json!({"artifact": folder.path(location), "artifact_sha256": digest});
        let (status, answer) = post(&daemon, &format!("/api/v1/models/{model}/versions/{version}"), &body);
        assert_eq!(status, 201, "{answer}");
    };
    register("6", "models/m6.bin", WEIGHTS);
    assert_eq!(staging(&daemon, &model, "6").0, "pass");
    // A pipe, nothing, and a link outward in its place.
    let away = folder.path("away.bin");
    std::fs::rename(folder.path("models/m6.bin"), &away).unwrap();
    let unread = |says: &str| {
        let (outcome, detail) = staging(&daemon, &model, "6");
        assert!(
            outcome == "inconclusive" && detail.contains(says) && detail.contains("ask again"),
            "{outcome} {detail}"
        );
        service.run(&daemon, "op", &format!("gate {model} 6 --to staging")).exits(3);
        service.run(&daemon, "op", &format!("promote {model} 6 --to staging")).exits(3);
    };
    unread("No such file");
    let made = std::process::Command::new("mkfifo").arg(folder.path("models/m6.bin")).status().unwrap();
    assert!(made.success());
    unread("is not a regular file");
    std::fs::remove_file(folder.path("models/m6.bin")).unwrap();
    std::fs::rename(&away, folder.path("models/m6.bin")).unwrap();
    let folders = folder.path("models/m6").display().to_string();
    service.run(&daemon, "op", &format!("register {model} 7 --artifact {folders}")).exits(0);
    assert_eq!(staging(&daemon, &model, "7").0, "pass");
    std::os::unix::fs::symlink("/etc/hostname", folder.path("models/m6/outward")).unwrap();
    let (outcome, detail) = staging(&daemon, &model, "7");
    assert!(outcome == "inconclusive" && detail.contains("leads out of where artifacts may lie"), "{detail}");
    std::fs::remove_file(folder.path("models/m6/outward")).unwrap();

    // The daemon's own files, by their names and by others, and a folder around them.
    std::fs::hard_link(folder.path("tokens"), folder.path("twin")).unwrap();
    std::os::unix::fs::symlink(folder.path("tokens"), folder.path("alias")).unwrap();
    for (version, own) in
        [("20", "tokens"), ("21", "twin"), ("22", "alias"), ("23", "registry/registry.db"), ("24", "state")]
    {
        register(version, own, &"ab".repeat(32));
        let (outcome, detail) = staging(&daemon, &model, version);
        assert!(outcome == "block" && detail.contains("is a file of the daemon itself"), "{own}: {detail}");
    }
    register("25", "", &"ab".repeat(32));
    let (outcome, detail) = staging(&daemon, &model, "25");
    assert!(outcome == "inconclusive" && detail.contains("is a file of the daemon itself"), "{detail}");
    // Another secret than those, whose digest nobody is told.
    folder.write_secret("other-secret", "weights");
    register("26", "other-secret", &"ab".repeat(32));
    let (outcome, detail) = staging(&daemon, &model, "26");
    assert!(outcome == "block" && !detail.contains("9a1290") && detail.contains("another digest"), "{detail}");
    assert_eq!(daemon.stop(), Some(0));

    // A row of the registry says that the files are right, without a signature: they are read anew.
    // Until then, the gate says that they are being read, which is no pass.
    let read_anew = |daemon: &Daemon| {
        let read = || Some(staging(daemon, &model, "6").0).filter(|outcome| outcome != "pending");
        wait_for("the file to be read", read)
    };
    std::fs::write(folder.path("models/m6.bin"), "evil!!!").unwrap();
    let daemon = Daemon::start(&service.config(), &[]);
    assert_eq!(read_anew(&daemon), "block");
    assert_eq!(daemon.stop(), Some(0));
    let registry = rusqlite::Connection::open(folder.path("registry/registry.db")).unwrap();
    registry.execute("UPDATE artifacts SET found = ?1 WHERE location LIKE '%/m6.bin'", [WEIGHTS]).unwrap();
    drop(registry);
    let daemon = Daemon::start(&service.config(), &[]);
    assert_eq!(read_anew(&daemon), "block");
    service.run(&daemon, "op", &format!("promote {model} 6 --to staging")).exits(1).prints("another digest");
    assert_eq!(daemon.stop(), Some(0));
}
