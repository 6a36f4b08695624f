//! The pages in Chromium: what is blocked is found in two clicks, a range of time is an address, an approval is given, all without JavaScript; and
//! axe-core finds nothing to mend.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::broker::{Daemon, wait_for};
use crate::service::{CANARY, Service, serving};

#[test]
fn a_person_finds_what_is_blocked_and_approves_without_javascript_and_everybody_can_read_it() {
    let service = Service::new("pages", "", CANARY, "");
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
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/support/browser.sh");
    let token = service.folder.path("owner.token");
    let ran = Command::new(script).arg(&daemon.url).arg(token).args(["pages", "1", "2", "x"]).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && ran.stdout.ends_with(b"as they should be\n"), "{said}");
    assert_eq!(daemon.stop(), Some(0));
}
