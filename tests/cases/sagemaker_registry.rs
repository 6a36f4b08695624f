//! The daemon and `SageMaker`'s model registry, as moto has it: its packages are versions, and their approval follows prod.

use serde_json::{Value, json};

use super::broker::{Daemon, wait_for};
use super::moto::Moto;
use super::service::{Service, serving};

const GROUP: &str = "fraud-packaged";
/// At once, and looked at for an hour.
const PLAN: &str = "{controller: driftgate, steps: [{weight: 100, bake: 1h}], checks: [slo]}";

struct Registry(Moto);

impl Registry {
    /// Makes packages, prints or approves them.
    fn packages(&self, asked: &[&str]) -> String {
        self.0.asked("packages.py", &[&[GROUP], asked].concat())
    }

    fn show(&self) -> Value {
        serde_json::from_str(&self.packages(&["show"])).unwrap()
    }

    /// Waits until a package has this approval.
    fn wait_for(&self, version: &str, approval: &str) -> Value {
        wait_for(&format!("package {version} to be {approval}"), || {
            let shown = self.show();
            (shown[version]["ModelApprovalStatus"] == approval).then_some(shown)
        })
    }

    fn daemon(&self, service: &Service) -> Daemon {
        let access =
            [("AWS_ENDPOINT_URL_SAGEMAKER", self.0.url()), ("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
        Daemon::start(&service.config(), &access)
    }
}

#[test]
fn the_approval_of_packages_follows_prod_and_what_others_approve_is_drift() {
    let registry = Registry(Moto::start());
    registry.packages(&["make", "3"]);
    let named = "registry: {embedded: {path: registry.db}, sagemaker: {region: us-east-1, every: 1s}}\n";
    let service = Service::new("fraud_packaged", "", PLAN, named);
    let daemon = registry.daemon(&service);
    let run = |token: &str, arguments: &str| service.run(&daemon, token, arguments);

    // Its packages are versions, and what they say is shown and counts for nothing.
    service
        .wait_for_problem(&daemon, &["unconfirmed_stage", "the external registry says that prod stands on version 1"]);
    let explained = run("op", "explain fraud_packaged 2").exits(0).stdout.clone();
    assert!(explained.contains("reported by the external registry, not confirmed"), "{explained}");
    assert!(explained.contains("git:9876fedc") && explained.contains("0.92"), "{explained}");

    service.register(&daemon, "1", "2");
    service.shifted(0, 125, &[serving("1", "prod"), serving("2", "staging")], 50);
    service.wait_for_gate(&daemon, "2", 1);
    let of_2 = || registry.show()["2"]["CustomerMetadataProperties"].clone();
    wait_for("the block among the metadata", || (of_2()["gate.check.drift"] == "block").then_some(()));
    let told = of_2();
    assert!(told["gate.check.drift.reasons"].as_str().unwrap().starts_with("drift/psi x 6"), "{told}");
    assert_eq!((&told["team"], &told["driftgate.stage.staging"]), (&json!("risk"), &json!("current")), "{told}");

    // It clears, is promoted, and approved.
    service.shifted(125, 310, &[serving("1", "prod"), serving("2", "staging")], 0);
    service.wait_until_judged(&daemon, "2", 309);
    service.wait_for_gate(&daemon, "2", 4);
    service.approve(&daemon, "2");
    assert_eq!(registry.show()["2"]["ModelApprovalStatus"], "PendingManualApproval");
    run("op", "promote fraud_packaged 2").exits(0);
    let shown = registry.wait_for("2", "Approved");
    assert_eq!(shown["2"]["ApprovalDescription"], "driftgate: version 2 is in prod");

    // Killed, and prod goes back: what deployments take is version 1 again.
    let mut daemon = daemon;
    daemon.signal("KILL");
    wait_for("the kill", || daemon.is_gone().then_some(()));
    let daemon = registry.daemon(&service);
    let run = |token: &str, arguments: &str| service.run(&daemon, token, arguments);
    run("op", "rollback fraud_packaged --reason complaints").exits(0);
    let shown = registry.wait_for("2", "Rejected");
    assert_eq!(
        (&shown["1"]["ModelApprovalStatus"], &shown["2"]["ApprovalDescription"]),
        (&json!("Approved"), &json!("driftgate: version 1 is in prod in place of version 2"))
    );
    let back = shown["2"]["CustomerMetadataProperties"]["gate.rollback"].as_str().unwrap_or_default().to_owned();
    assert!(back.contains("complaints"), "{shown}");

    // Somebody approves version 3 in the console, around every gate.
    registry.packages(&["approve", "3"]);
    service.wait_for_problem(&daemon, &["registry_drift", "prod stands on version 1", "version 3"]);
    assert_eq!(service.standing(&daemon, "prod").as_deref(), Some("1"));
    assert_eq!(registry.show()["3"]["ApprovalDescription"], "looks good to me");
    assert_eq!(daemon.stop(), Some(0));
    let verified = service.folder.driftgate(&format!("audit verify --config {}", service.config().display()));
    verified.exits(0).prints("intact");
}
