//! The pages in Chromium: what is blocked is found in two clicks, a range of time is an address, an approval is given, all without JavaScript; and
//! axe-core finds nothing to mend. What an operator does to a rollout there.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::broker::{Daemon, wait_for};
use crate::service::{CANARY, Service, serving};

#[test]
fn a_person_finds_what_is_blocked_and_approves_without_javascript_and_everybody_can_read_it() {
    let service = Service::new("pages", "", CANARY, "");
    let policy =
        service.folder.read("policy.yaml").replace("min_positives: 30}}]", "min_positives: 30}}, {auc: {gte: 0.5}}]");
    service.folder.write("policy.yaml", policy);
    let daemon = Daemon::start(&service.config(), &[]);
    service.register(&daemon, "1", "2");
    service.shifted(0, 70, &[serving("1", "prod")], 50);
    wait_for("the block", || {
        let version: Value = serde_json::from_str(&daemon.get("/api/v1/models/pages/versions/1").1).unwrap();
        version["blocks"].as_array().is_some_and(|blocks| !blocks.is_empty()).then_some(())
    });
    let page = wait_for("the history", || {
        let (status, page) = daemon.get("/models/pages/versions/1/subjects/x?from=2020-01-01");
        (status == 200 && page.contains("drift/psi")).then_some(page)
    });
    assert!(page.contains("<svg"), "{page}");
    let token = service.folder.path("owner.token");
    browse("pages", &[&daemon.url, &token.display().to_string(), "pages", "1", "2", "x"]);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn an_operator_aborts_promotes_and_rolls_back_on_the_page_of_a_promotion() {
    let service = Service::new("acts", "", CANARY, "");
    let daemon = Daemon::start(&service.config(), &[]);
    service.register(&daemon, "1", "2");
    service.minutes(0, 121, &[serving("1", "prod"), serving("2", "staging")]);
    service.wait_until_judged(&daemon, "2", 120);
    service.wait_for_gate(&daemon, "2", 4);
    service.approve(&daemon, "2");
    service.run(&daemon, "op", "promote acts 2").exits(0);
    service.wait_for_rollout(&daemon, "Progressing", 10.0);
    let token = service.folder.path("op.token");
    browse("acts", &[&daemon.url, &token.display().to_string(), "acts", "1", "2"]);
    assert_eq!(service.standing(&daemon, "prod").as_deref(), Some("1"));
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn an_open_page_says_that_the_daemon_stopped() {
    let service = Service::new("stopped", "", CANARY, "");
    let daemon = Daemon::start(&service.config(), &[]);
    browse("stopped", &[&daemon.url, &daemon.id().to_string()]);
}

/// Runs a script of tests/support/browser; it says what is otherwise than it should be.
fn browse(name: &str, arguments: &[&str]) {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/support/browser.sh");
    let ran = Command::new(script).arg(name).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && ran.stdout.ends_with(b"should be\n"), "{said}");
}
