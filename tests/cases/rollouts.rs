//! Promotions against a stream: the canary that goes through, the breach that returns, the champion and its challenger.
//! Event time is made: hours pass as fast as Kafka takes them.

use serde_json::{Value, json};

use super::broker::{Daemon, read, wait_for};
use super::service::{CANARY, Service, Traffic, serving};

#[test]
fn example_2_fraud_detector_v7_goes_through_its_canary_and_returns_to_v6_after_five_minutes_of_breach() {
    let service = Service::new("fraud_detector", "", CANARY, "");
    let daemon = Daemon::start(&service.config(), &[]);
    service.register(&daemon, "6", "7");
    // The shadow test on staging: two hours beside production.
    let shadow = [serving("6", "prod"), serving("7", "staging")];
    service.minutes(0, 121, &shadow);
    service.wait_until_judged(&daemon, "7", 120);
    service.wait_for_gate(&daemon, "7", 4);
    service.approve(&daemon, "7");
    let promoted = service.run(&daemon, "op", "promote fraud_detector 7 --json").exits(0).json();
    assert_eq!(promoted["record"]["rollback_to"], 6, "{promoted}");
    assert_eq!(promoted["record"]["approvers"], json!(["owner@company", "reviewer@company"]));
    assert_eq!(promoted["record"]["checks"]["auc"], 0.935);
    assert!(promoted["record"]["checks"]["latency_p95_ms"].as_f64().is_some_and(|p95| (p95 - 62.0).abs() < 1.0));
    service.wait_for_rollout(&daemon, "Progressing", 10.0);
    assert_eq!(service.standing(&daemon, "canary").as_deref(), Some("7"));
    assert_eq!(service.standing(&daemon, "prod").as_deref(), Some("6"));
    service.run(&daemon, "op", "promote fraud_detector 7").exits(2);

    // Ten percent for thirty minutes, fifty for two hours: neither a minute less.
    let canary = [serving("6", "prod"), serving("7", "canary")];
    service.minutes(121, 150, &canary);
    service.wait_for_rollout(&daemon, "Progressing", 10.0);
    service.minutes(150, 153, &canary);
    service.wait_for_rollout(&daemon, "Progressing", 50.0);
    // The controller outlives its process.
    assert_eq!(daemon.stop(), Some(0));
    let daemon = Daemon::start(&service.config(), &[]);
    service.minutes(153, 274, &canary);
    service.wait_for_rollout(&daemon, "Promoting", 100.0);
    assert_eq!(service.standing(&daemon, "prod").as_deref(), Some("7"));
    let all = [serving("7", "prod")];
    service.minutes(274, 336, &all);
    service.wait_for_rollout(&daemon, "Succeeded", 100.0);
    let records: Value =
        serde_json::from_str(&daemon.get("/api/v1/models/fraud_detector/versions/7/promotions").1).unwrap();
    assert_eq!(records["promotions"][0]["status"], "promoted");

    // Four minutes of breach are not five.
    let slow = [Traffic { latency_ms: 120.0, ..serving("7", "prod") }];
    service.minutes(336, 341, &slow);
    service.minutes(341, 350, &all);
    service.wait_until_judged(&daemon, "7", 348);
    assert_eq!(service.standing(&daemon, "prod").as_deref(), Some("7"), "four minutes moved prod");
    service.minutes(350, 357, &slow);
    wait_for("the return to 6", || (service.standing(&daemon, "prod")? == "6").then_some(()));
    let status = service.status(&daemon);
    assert_eq!(status["rollback_pending"]["to"], "6", "{status}");
    assert!(status["frozen"].as_str().unwrap().contains("rolled back to \"6\""), "{status}");
    let signal =
        wait_for("the rollback signal", || read(&service.signals).into_iter().find(|s| s["action"] == "rollback"));
    assert_eq!((&signal["version"], &signal["rollback_to"]), (&json!("7"), &json!("6")));
    // What was rolled back is not tried again by itself, and not by hand without a reason.
    service.run(&daemon, "op", "promote fraud_detector 7").exits(1).prints("rolled back");
    // The stream shows the old version serving.
    service.minutes(357, 362, &[serving("6", "prod")]);
    wait_for("the confirmation", || service.status(&daemon)["rollback_pending"].is_null().then_some(()));
    // Each weight was told, and told twice at most over the restart, with the same id.
    let mut told: Vec<(String, f64)> = Vec::new();
    for signal in read(&service.signals).iter().filter(|s| s["action"] == "weight") {
        let id = signal["signal_id"].as_str().unwrap().to_owned();
        if !told.iter().any(|(known, _)| *known == id) {
            told.push((id, signal["weight"].as_f64().unwrap()));
        }
    }
    assert_eq!(told.iter().map(|(_, weight)| *weight).collect::<Vec<_>>(), [10.0, 50.0, 100.0]);
    service.run(&daemon, "op", "resume fraud_detector").exits(0).prints("goes on by itself again");
    let history = service.run(&daemon, "op", "history fraud_detector --json").exits(0).stdout;
    for event in ["register", "evidence", "approval", "promotion", "rollback", "rollback_confirmed", "resume"] {
        assert!(history.contains(&format!("\"{event}\"")), "no {event} in {history}");
    }
    assert_eq!(daemon.stop(), Some(0));
    let config = service.config();
    service.folder.driftgate(&format!("audit verify --config {}", config.display())).exits(0);
}

#[test]
fn a_breach_during_the_canary_ends_it_and_a_rollout_without_measurements_never_succeeds() {
    let service = Service::new("fraud_canary", "", CANARY, "");
    let daemon = Daemon::start(&service.config(), &[]);
    service.register(&daemon, "6", "7");
    service.minutes(0, 121, &[serving("6", "prod"), serving("7", "staging")]);
    service.wait_until_judged(&daemon, "7", 120);
    service.wait_for_gate(&daemon, "7", 4);
    service.approve(&daemon, "7");
    service.run(&daemon, "op", "promote fraud_canary 7").exits(0);
    service.wait_for_rollout(&daemon, "Progressing", 10.0);
    // The candidate gets no traffic: hours pass, and nothing is promoted.
    service.minutes(121, 400, &[serving("6", "prod")]);
    service.wait_until_judged(&daemon, "6", 398);
    service.wait_for_rollout(&daemon, "Progressing", 10.0);
    // Held by a person, and let go again.
    service.run(&daemon, "op", "rollout pause fraud_canary --reason lunch").exits(0).prints("paused: lunch");
    service.run(&daemon, "op", "rollout resume fraud_canary").exits(0);
    let slow = Traffic { latency_ms: 120.0, ..serving("7", "canary") };
    service.minutes(400, 408, &[serving("6", "prod"), slow]);
    let failed = service.wait_for_rollout(&daemon, "Failed", 0.0);
    assert!(failed["why"].as_str().unwrap().contains("slo/p95"), "{failed}");
    assert_eq!(service.standing(&daemon, "prod").as_deref(), Some("6"));
    assert_eq!(service.standing(&daemon, "canary"), None);
    assert_eq!(daemon.stop(), Some(0));
}

const AB: &str = "{controller: driftgate, steps: [{weight: 10, for: 24h}, {weight: 100, bake: 1h}], checks: [slo], \
                  compare: {of: ctr, min_gain: {relative: 0.015}, latency: {max_increase: {relative: 0.05}}}}";
const CTR: &str = "  kpi:
    window: {size: 30m, slide: 30m}
    stale_after: 90d
    rules: [{kpi_drop: {id: ctr, of: ctr, max: {relative: 0.01}, versus: champion}}]
";

#[test]
fn example_3_recommendation_model_v22_wins_over_v21_by_its_clicks() {
    let service = Service::new("recommendation_model", CTR, AB, "");
    let daemon = Daemon::start(&service.config(), &[]);
    service.register(&daemon, "21", "22");
    service.minutes(0, 121, &[serving("21", "prod"), serving("22", "staging")]);
    service.wait_until_judged(&daemon, "22", 120);
    service.wait_for_gate(&daemon, "22", 4);
    service.approve(&daemon, "22");
    service.run(&daemon, "op", "promote recommendation_model 22").exits(0).prints("10%");
    // A day of 90/10: the challenger is clicked more often, and no slower.
    let challenger = Traffic { clicks: 15, ..serving("22", "canary") };
    service.minutes(121, 121 + 24 * 60 - 60, &[serving("21", "prod"), challenger]);
    service.wait_for_rollout(&daemon, "Progressing", 10.0);
    service.minutes(121 + 24 * 60 - 60, 121 + 24 * 60 + 15, &[serving("21", "prod"), challenger]);
    service.wait_for_rollout(&daemon, "Promoting", 100.0);
    service.minutes(121 + 24 * 60 + 15, 121 + 25 * 60 + 20, &[serving("22", "prod")]);
    service.wait_for_rollout(&daemon, "Succeeded", 100.0);
    assert_eq!(service.standing(&daemon, "prod").as_deref(), Some("22"));
    // The champion remains as what a rollback would return to.
    service
        .run(&daemon, "op", "rollback recommendation_model --reason practice --drill")
        .exits(0)
        .prints("from version 22 to 21");
    assert_eq!(service.standing(&daemon, "prod").as_deref(), Some("22"));
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn project_2_a_drift_monitor_blocks_promotion_at_psi_and_ks_also_of_a_candidate_without_traffic() {
    let service = Service::new("drift_monitor", "", CANARY, "");
    // The candidate is judged on the model's requests.
    let policy = service.folder.read("policy.yaml").replace(
        "    rules: [{psi: {of: features, lt: 0.2, warn: 0.1}}]",
        "    traffic: model\n    rules: [{psi: {of: features, lt: 0.2, warn: 0.1}}, {ks_p: {of: features, gte: 0.01}}]",
    );
    service.folder.write("policy.yaml", policy.replace("checks: [drift, fairness, slo]", "checks: [drift]"));
    let daemon = Daemon::start(&service.config(), &[]);
    service.register(&daemon, "1", "2");
    let drifted = |from, to, shift| service.shifted(from, to, &[serving("1", "prod")], shift);
    // It counts from when the daemon has its baseline: its pointer is enough for that.
    wait_for("the candidate's baseline", || {
        let log = daemon.log();
        log.lines().any(|l| l.contains("baseline loaded") && l.contains("\"version\":\"2\"")).then_some(())
    });
    drifted(0, 95, 4);
    service.wait_for_gate(&daemon, "2", 1);
    let answer = service.run(&daemon, "op", "gate drift_monitor 2 --to prod --json").exits(1).json();
    let reasons = answer["reasons"].to_string();
    for reason in ["drift/psi x", "breaks lt 0.2", "drift/ks_p x", "breaks gte 0.01"] {
        assert!(reasons.contains(reason), "no {reason} in {reasons}");
    }
    let blocked = format!("driftgate_block_active{{group=\"drift\",model=\"{}\",version=\"2\"}}", service.model);
    assert_eq!(daemon.metric(&blocked), Some(1.0));
    drifted(95, 250, 0);
    service.wait_for_gate(&daemon, "2", 4);
    assert_eq!(daemon.metric(&blocked), Some(0.0));
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn project_3_a_canary_controller_moves_pointers_and_writes_a_promotion_log_with_its_metrics() {
    let plan = "{controller: driftgate, steps: [{weight: 20, for: 10m}, {weight: 100, bake: 5m}], checks: [slo]}";
    let service = Service::new("canary_controller", "", plan, "");
    let daemon = Daemon::start(&service.config(), &[]);
    service.register(&daemon, "3", "4");
    service.minutes(0, 121, &[serving("3", "prod"), serving("4", "staging")]);
    service.wait_until_judged(&daemon, "4", 120);
    service.wait_for_gate(&daemon, "4", 4);
    service.approve(&daemon, "4");
    service.run(&daemon, "op", "promote canary_controller 4 --comment faster").exits(0);
    service.wait_for_rollout(&daemon, "Progressing", 20.0);
    let weight = "driftgate_rollout_weight_ratio{model=\"canary_controller\",version=\"4\"}";
    assert_eq!(daemon.metric(weight), Some(0.2));
    service.minutes(121, 132, &[serving("3", "prod"), serving("4", "canary")]);
    service.wait_for_rollout(&daemon, "Promoting", 100.0);
    assert_eq!(service.standing(&daemon, "prod").as_deref(), Some("4"));
    service.minutes(132, 139, &[serving("4", "prod")]);
    service.wait_for_rollout(&daemon, "Succeeded", 100.0);
    assert_eq!(service.standing(&daemon, "canary"), None);
    let log = service.run(&daemon, "op", "history canary_controller --limit 100").exits(0).stdout;
    for line in ["promoted staging → prod, goes back to 3", "20% of the traffic", "100% of the traffic", "Succeeded"]
    {
        assert!(log.contains(line), "no {line} in\n{log}");
    }
    let records: Value =
        serde_json::from_str(&daemon.get("/api/v1/models/canary_controller/versions/4/promotions").1).unwrap();
    let record = &records["promotions"][0];
    assert_eq!(
        (&record["status"], &record["comment"], &record["rollback_to"]),
        (&json!("promoted"), &json!("faster"), &json!(3))
    );
    for metric in ["auc", "latency_p95_ms", "error_rate", "drift_psi", "fairness_tpr_gap"] {
        assert!(record["checks"][metric].is_number(), "no {metric} in {record}");
    }
    let note = daemon.get("/api/v1/models/canary_controller/versions/4/promotions?format=markdown").1;
    assert!(note.contains("20% for 10m, 100% with a bake of 5m") && note.contains("slo/p95 blocks for 5m"), "{note}");
    assert_eq!(daemon.stop(), Some(0));
}
