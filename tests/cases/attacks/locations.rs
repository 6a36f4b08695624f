//! A registration names its snapshot's location: it leads to no file or bucket but where snapshots may lie, fills no memory,
//! and its failure shows nothing of what lies there.

use std::os::unix::fs::symlink;

use serde_json::Value;

use crate::broker::{Daemon, wait_for};
use crate::service::{CANARY, Service, serving, token};
use crate::support::Folder;

const SECRET: &str = "hunter2";

/// Registers a version with a snapshot there, sends it traffic, and waits for what the daemon says of its baseline.
fn refused(service: &Service, daemon: &Daemon, version: &'static str, minute: i64, location: &str) -> String {
    let model = &service.model;
    service.run(daemon, "op", &format!("register {model} {version} --snapshot {location}")).exits(0);
    service.minutes(minute, minute + 1, &[serving(version, "dev")]);
    wait_for("what is wrong with the snapshot", || {
        let body = daemon.get(&format!("/api/v1/models/{model}/versions/{version}")).1;
        assert!(!body.contains(SECRET), "{body}");
        serde_json::from_str::<Value>(&body).ok()?["baseline"]["error"].as_str().map(str::to_owned)
    })
}

#[test]
fn a_snapshot_lies_where_snapshots_may_lie_and_is_corrected_by_registering_again() {
    let elsewhere = Folder::new();
    elsewhere.write("payroll.csv", format!("name,{SECRET}\nx,1\n"));
    let service = Service::new("locations", "", CANARY, "");
    let folder = &service.folder;
    symlink(elsewhere.path("payroll.csv"), folder.path("link.csv")).unwrap();
    std::fs::create_dir(elsewhere.path("below")).unwrap();
    symlink(elsewhere.path("below"), folder.path("below")).unwrap();
    std::fs::hard_link(folder.path("tokens"), folder.path("t.csv")).unwrap();
    folder.write("own.csv", format!("name,{SECRET}\nx,1\n"));
    folder.write("values.csv", format!("x,score,label\n{SECRET},0.5,1\n"));
    let daemon = Daemon::start(&service.config(), &[]);
    let outside = [
        ("11", "/dev/zero".to_owned()),
        ("12", elsewhere.path("payroll.csv").display().to_string()),
        ("13", folder.path("link.csv").display().to_string()),
        ("14", "http://127.0.0.1:1/latest/meta-data".to_owned()),
        ("15", "s3://payroll/all.parquet".to_owned()),
        // By its text it is a file of the folder; what is opened is not.
        ("16", "below/../payroll.csv".to_owned()),
        ("17", "below/../absent.csv".to_owned()),
    ];
    for (n, (version, location)) in (0..).zip(&outside) {
        let version: &'static str = version;
        let why = refused(&service, &daemon, version, n, location);
        assert!(why.contains("lies outside of the folder or bucket"), "{location}: {why}");
    }
    // Inside, but wrong: nothing of what it holds is shown.
    let why = refused(&service, &daemon, "21", 10, "own.csv");
    assert!(why.contains("has no column \"x\""), "{why}");
    let why = refused(&service, &daemon, "22", 11, "values.csv");
    assert!(why.contains("column \"x\", row 1: no number"), "{why}");
    let why = refused(&service, &daemon, "23", 12, "t.csv");
    assert!(why.contains("has no column \"x\"") && why.contains("it has 1 columns"), "{why}");
    // Nor to whoever reads the log.
    let log = daemon.log();
    assert!(log.contains("has no column") && !log.contains(SECRET) && !log.contains(&token("op")), "{log}");
    // It is corrected by registering again, and then stays.
    let model = &service.model;
    service.run(&daemon, "op", &format!("register {model} 22 --snapshot train.csv")).exits(0);
    wait_for("its baseline", || {
        daemon.log().contains("\"baseline loaded\",\"model\":\"locations\",\"version\":\"22\"").then_some(())
    });
    service.run(&daemon, "op", &format!("register {model} 22 --snapshot own.csv")).exits(2);
    assert_eq!(daemon.stop(), Some(0));
}
