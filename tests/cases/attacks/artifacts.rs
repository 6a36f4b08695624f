//! An artifact's place is a text that a registration brings: it leads to no file but where artifacts may lie, and one that takes
//! minutes to read holds up nobody.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::broker::{Daemon, wait_for};
use crate::service::{CANARY, Service, serving, token};
use crate::support::Folder;

fn post(daemon: &Daemon, path: &str, body: &Value) -> (u16, String) {
    let client = reqwest::blocking::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
    let sent = client.post(format!("{}{path}", daemon.url)).bearer_auth(token("op")).json(body).send().unwrap();
    (sent.status().as_u16(), sent.text().unwrap())
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
    let answer: Value =
        serde_json::from_str(&daemon.get(&format!("/api/v1/gate/{model}/{version}?to=prod")).1).unwrap();
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

    // What was read once is not read again by the next process.
    let registry = rusqlite::Connection::open(folder.path("registry/registry.db")).unwrap();
    registry.execute("UPDATE artifacts SET found = ?1 WHERE location = ?2", [&"ab".repeat(32), &small]).unwrap();
    drop(registry);
    let daemon = Daemon::start(&service.config(), &[]);
    let (_, detail) = gate(&daemon, &model, "7");
    assert!(detail.contains("recomputed from its files"), "{detail}");
    assert_eq!(daemon.stop(), Some(0));
}
