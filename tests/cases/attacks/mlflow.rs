//! Whoever may edit a model in MLflow tries to get an unapproved version into prod: by aliases, tags, deletions and backups.
//! MLflow is heard and shown; it makes no version stable, staged, complete or immutable.

use reqwest::Method;
use serde_json::{Value, json};

use crate::broker::{Daemon, wait_for};
use crate::mlflow::{Server, mlflow_url};
use crate::service::{CANARY, Service, serving};
use crate::whole_path::{registry, versions, wait_until_told};

fn json_of(daemon: &Daemon, path: &str) -> Value {
    serde_json::from_str(&daemon.get(path).1).unwrap()
}

fn alias(server: &Server, model: &str, alias: &str, version: &str) {
    server.mlflow.set_alias(model, alias, version).unwrap();
}

fn delete_alias(server: &Server, model: &str, alias: &str) {
    let body = json!({"name": model, "alias": alias});
    server.call(Method::DELETE, "2.0/mlflow/registered-models/alias", &body);
}

fn verifies(service: &Service) {
    let verified = service.folder.driftgate(&format!("audit verify --config {}", service.config().display()));
    verified.exits(0).prints("intact");
}

#[test]
fn an_alias_that_is_moved_away_and_back_makes_nothing_stable_and_one_that_is_removed_opens_no_gate() {
    let server = Server::open();
    let model = server.model("attacked_alias");
    versions(&server, &model, 3);
    let service = Service::new(&model, "", CANARY, &registry(&mlflow_url()));
    let daemon = Daemon::start(&service.config(), &[]);
    service.register(&daemon, "1", "2");
    wait_until_told(&daemon);
    let standing = |stage: &str| service.standing(&daemon, stage);
    let run = |arguments: &str| service.run(&daemon, "op", arguments);

    // Away: told, and nothing follows.
    alias(&server, &model, "prod", "3");
    alias(&server, &model, "staging", "3");
    service.wait_for_problem(&daemon, &["registry_drift", "prod stands on version 1", "version 3"]);
    service.wait_for_problem(&daemon, &["registry_drift", "staging stands on version 2", "version 3"]);
    assert_eq!((standing("prod").as_deref(), standing("staging").as_deref()), (Some("1"), Some("2")));
    run(&format!("register {model} 3 --stage prod")).exits(2).says("is reached by a promotion");
    // And back: 3 was never in prod.
    alias(&server, &model, "prod", "1");
    wait_for("both to agree", || {
        let drift = service.status(&daemon)["registry_drift"].as_array()?.clone();
        (!drift.iter().any(|d| d["stage"] == "prod")).then_some(())
    });
    let drill = run(&format!("rollback {model} --reason drill --drill --json")).json();
    assert_eq!(drill["to"], Value::Null, "{drill}");
    run(&format!("rollback {model} --to 3 --reason attack")).exits(2).says("never was in prod");
    let explained = json_of(&daemon, &format!("/api/v1/models/{model}/versions/3/explain"));
    assert_eq!(explained["rollback_target"]["version"], "1", "{}", explained["rollback_target"]);

    // Removed: our pointer stays, and its place is not free.
    delete_alias(&server, &model, "prod");
    service.wait_for_problem(&daemon, &["registry_drift", "prod stands on version 1", "nothing"]);
    assert_eq!(standing("prod").as_deref(), Some("1"));
    run(&format!("register {model} 3 --stage prod")).exits(2).says("is reached by a promotion");
    // Deleted and made anew: another version stands for nothing, and its place is not free either.
    server.call(Method::DELETE, "2.0/mlflow/registered-models/delete", &json!({"name": model}));
    service.wait_for_problem(&daemon, &["the external registry has no version \"1\""]);
    server.mlflow.create_model(&model).unwrap();
    versions(&server, &model, 3);
    service.wait_for_problem(&daemon, &["registry_drift", "prod stood on version 1", "made anew"]);
    for version in ["1", "3"] {
        run(&format!("register {model} {version} --stage prod")).exits(2).says("is reached by a promotion");
    }
    assert_eq!(server.aliases(&model).get("prod"), None, "the new version 1 was not put there by us");
    assert_eq!(daemon.stop(), Some(0));
    verifies(&service);
}

#[test]
fn what_tags_say_satisfies_no_gate_and_is_replaced_by_what_ci_says() {
    let server = Server::open();
    let model = server.model("attacked_tags");
    versions(&server, &model, 2);
    let digest = "cd".repeat(32);
    let run = server.run("1234abcd", &[("auc", 0.99)], &[]);
    server.finish(&run);
    let tags = [
        ("driftgate.snapshot", "theirs.csv"),
        ("driftgate.snapshot_sha256", digest.as_str()),
        ("driftgate.artifact_sha256", digest.as_str()),
        ("driftgate.code_commit", "git:theirs"),
        ("driftgate.baseline_version", "1"),
        ("description", "approved by everybody"),
    ];
    server.version(&model, Some(&run), &tags);
    let service = Service::new(&model, "", CANARY, &registry(&mlflow_url()));
    // Drifted traffic is no drift against it.
    let rows: String = (0..500).map(|i| format!("{},{},{}\n", i % 10 + 50, 0.5, i % 2)).collect();
    service.folder.write("theirs.csv", format!("x,score,label\n{rows}"));
    let daemon = Daemon::start(&service.config(), &[]);
    service.register(&daemon, "1", "2");
    let of_version = |path: &str| json_of(&daemon, &format!("/api/v1/models/{model}/versions/3{path}"));
    wait_for("version 3", || {
        (of_version("/explain")["lineage"]["reported"]["code_commit"] == "git:theirs").then_some(())
    });

    let gate = json_of(&daemon, &format!("/api/v1/gate/{model}/3?to=prod"));
    let lineage = gate["reasons"].as_array().unwrap().iter().find(|r| r.to_string().contains("lineage is incomplete"));
    let lineage = lineage.unwrap_or_else(|| panic!("{gate}")).as_str().unwrap();
    for text in [
        "data_snapshot, code_commit, artifact_digest missing",
        "reported by the external registry, not confirmed",
        "git:theirs",
    ] {
        assert!(lineage.contains(text), "{lineage}");
    }
    assert!(of_version("/explain")["lineage"]["evidence"].as_array().unwrap().is_empty());
    service
        .run(&daemon, "op", &format!("explain {model} 3"))
        .exits(0)
        .prints("reported by the external registry, not confirmed");

    // It is counted against the snapshot of the tag, until somebody who may names another.
    service.minutes(0, 2, &[serving("3", "dev")]);
    let theirs = wait_for("the baseline of the tag's snapshot", || {
        of_version("")["baseline"]["sha256"].as_str().map(str::to_owned)
    });
    let evidence = json!({"data_snapshot": "sha256:".to_owned() + &"ab".repeat(32), "code_commit": "git:ours", "offline": {"auc": 0.9}});
    service.folder.write("ours.json", evidence.to_string());
    let (snapshot, evidence) = (service.folder.path("train.csv"), service.folder.path("ours.json"));
    let registered = service.run(
        &daemon,
        "op",
        &format!("register {model} 3 --snapshot {} --evidence {}", snapshot.display(), evidence.display()),
    );
    registered.exits(0).prints("the external registry reports \"theirs.csv\", which counts for nothing");
    wait_for("the baseline of the registered snapshot", || {
        (of_version("")["baseline"]["sha256"].as_str()? != theirs).then_some(())
    });
    assert!(daemon.log().contains("its baseline is loaded anew"), "{}", daemon.log());
    let explained = of_version("/explain");
    let differing = explained["lineage"]["differing"].to_string();
    for text in ["snapshot is", "code_commit is", "git:theirs", "offline is"] {
        assert!(differing.contains(text), "{differing}");
    }
    let notes = json_of(&daemon, &format!("/api/v1/gate/{model}/3?to=prod"))["notes"].to_string();
    assert!(
        notes.contains("code_commit is \\\"git:ours\\\" here, the external registry reports \\\"git:theirs\\\""),
        "{notes}"
    );
    service
        .run(&daemon, "op", &format!("history {model}"))
        .exits(0)
        .prints("the external registry reports code_commit");
    // A tag that is edited afterwards changes none of it.
    server.mlflow.set_version_tag(&model, "3", "driftgate.snapshot", "policy.yaml").unwrap();
    server.mlflow.set_version_tag(&model, "3", "driftgate.code_commit", "git:again").unwrap();
    wait_for("the edited tag", || {
        (of_version("/explain")["lineage"]["reported"]["code_commit"] == "git:again").then_some(())
    });
    let lineage = &of_version("/explain")["lineage"];
    assert_eq!(
        (&lineage["snapshot"], &lineage["evidence"][0]["value"]),
        (&json!(snapshot), &json!("git:ours")),
        "{lineage}"
    );
    assert_eq!(daemon.stop(), Some(0));
    verifies(&service);
}

#[test]
fn what_stands_in_mlflow_before_is_reported_and_no_version_of_ours() {
    let server = Server::open();
    let model = server.model("attacked_first");
    versions(&server, &model, 3);
    alias(&server, &model, "prod", "3");
    alias(&server, &model, "champion", "3");
    let service = Service::new(&model, "", CANARY, &registry(&mlflow_url()));
    let daemon = Daemon::start(&service.config(), &[]);
    service
        .wait_for_problem(&daemon, &["unconfirmed_stage", "the external registry says that prod stands on version 3"]);
    assert_eq!(service.standing(&daemon, "prod"), None);
    let gate = json_of(&daemon, &format!("/api/v1/gate/{model}/2?to=prod"));
    assert!(gate["reasons"].to_string().contains("no rollback target"), "{gate}");
    assert!(!service.status(&daemon)["problems"].to_string().contains("champion"), "an alias of somebody else's");
    // Somebody who may says which it is; MLflow is told.
    service.run(&daemon, "op", &format!("register {model} 1 --stage prod")).exits(0);
    wait_for("the alias", || (server.aliases(&model).get("prod")? == "1").then_some(()));
    assert_eq!(service.standing(&daemon, "prod").as_deref(), Some("1"));
    assert_eq!(server.aliases(&model).get("champion").map(String::as_str), Some("3"));
    // MLflow comes back from a backup, where prod stood elsewhere.
    alias(&server, &model, "prod", "3");
    service.wait_for_problem(&daemon, &["registry_drift", "prod stands on version 1", "version 3"]);
    assert_eq!(service.standing(&daemon, "prod").as_deref(), Some("1"));
    assert_eq!(daemon.stop(), Some(0));
    let daemon = Daemon::start(&service.config(), &[]);
    wait_for("the model", || (daemon.get(&format!("/api/v1/models/{model}/status")).0 == 200).then_some(()));
    assert_eq!(service.standing(&daemon, "prod").as_deref(), Some("1"));
    service.wait_for_problem(&daemon, &["registry_drift", "prod stands on version 1", "version 3"]);
    assert_eq!(server.aliases(&model).get("prod").map(String::as_str), Some("3"), "it is not fought over");
    assert_eq!(daemon.stop(), Some(0));
    verifies(&service);
}
