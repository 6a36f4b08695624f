//! What is learnt of traffic routers, beside the rollout that they follow.

use serde_json::json;

use super::*;
use driftgate_core::gate::{Decided, GroupVerdict};
use driftgate_core::judge::verdict::Status;
use driftgate_core::rollout::route::{Learnt, desired};

const NOW: i64 = 1_700_000_000_000;
const ROUTER: &str = "HTTPRoute ml/m";

/// The rollout of version 2 over 1 has begun, at 10%.
fn under_way<T>(registry: &Embedded, work: impl FnOnce(&RequestContext<'_>, &str) -> T) -> T {
    let policy = with_transitions(
        "- {from: dev, to: staging, approvals: auto, evidence: [tests]}
- {from: staging, to: prod, checks: [drift], rollout: {steps: [{weight: 10, for: 1h}, {weight: 100, bake: 1h}], checks: [drift],
   traffic: [{gateway_api: {route: m, namespace: ml, stable: a, canary: b}}]}}
",
    );
    let (rule, sentence) = ("drift/psi".into(), "drift/psi x 0.01".into());
    let results = vec![Decided { rule, subject: "x".into(), decides: Status::Pass, sentence }];
    let latest = vec![GroupVerdict { group: "drift".into(), end_ms: NOW, complete: true, results }];
    let live = |_: &str| StreamState { latest: latest.clone(), blocks: Vec::new(), seen: true, others: Vec::new() };
    let context = RequestContext { policy: &policy, live: &live, actor: "ann", now_ms: NOW };
    registry.register(&plain("1"), "ci", 1).unwrap();
    registry.set_stage("m", PROD, "1", "ann", "", 2).unwrap();
    let hex = "ab".repeat(32);
    let evidence = [
        ("tests", json!("pass")),
        ("data_snapshot", json!(format!("sha256:{hex}"))),
        ("code_commit", json!("git:1234abcd")),
    ];
    let new = Registration { artifact_sha256: Some(hex), ..plain("2") };
    registry.register_as(&context, &new, &evidence.map(|(kind, value)| (kind.to_owned(), value))).unwrap();
    let begun = registry.promote(&context, &PromotionRequest { version: "2", to: PROD, retry: None, comment: None });
    let id = begun.unwrap().rollout.unwrap().id;
    work(&context, &id)
}

fn notes(registry: &Embedded) -> Vec<String> {
    let records = registry.audit(Some("m"), 1000).unwrap();
    records.iter().filter_map(|record| Some(record["payload"]["note"].as_str()?.to_owned())).collect()
}

#[test]
fn what_a_router_has_is_kept_and_told_once() {
    let registry = registry();
    under_way(&registry, |context, id| {
        let before = registry.routed("m").unwrap().unwrap();
        assert_eq!((before.standing.as_deref(), desired(&before.state, Some("1"))), (Some("1"), Some(10.0)));
        let confirmed = Learnt::Confirmed { percent: 10.0, at_ms: NOW };
        for learnt in [Learnt::Writing(10.0), confirmed.clone(), confirmed] {
            registry.learn_of_router(context, id, ROUTER, learnt).unwrap();
        }
        let state = registry.routed("m").unwrap().unwrap().state;
        assert_eq!(
            (state.routes[0].confirmed, state.routes[0].writing, state.share.since_ms),
            (Some(10.0), None, Some(NOW))
        );
        let said = format!("{ROUTER} gives 10% of the traffic to version 2");
        assert_eq!(notes(&registry).iter().filter(|note| **note == said).count(), 1);
    });
}

#[test]
fn a_router_that_somebody_moved_pauses_the_rollout_until_a_person_resumes_it() {
    let registry = registry();
    under_way(&registry, |context, id| {
        registry.learn_of_router(context, id, ROUTER, Learnt::Confirmed { percent: 10.0, at_ms: NOW }).unwrap();
        registry.learn_of_router(context, id, ROUTER, Learnt::Moved("argocd moved it".into())).unwrap();
        let state = registry.rollout("m").unwrap().unwrap();
        assert_eq!((state.paused.as_deref(), state.share.since_ms), (Some("argocd moved it"), None));
        registry.tell_rollout(context, &RolloutCommand::Resume).unwrap();
        let state = registry.rollout("m").unwrap().unwrap();
        assert_eq!((state.paused, state.routes[0].confirmed, &state.routes[0].moved), (None, None, &None));
        // Of a rollout that is over it is written down, and stops nothing.
        registry.tell_rollout(context, &RolloutCommand::Abort("enough")).unwrap();
        registry.learn_of_router(context, id, ROUTER, Learnt::Moved("helm moved it".into())).unwrap();
        assert!(notes(&registry).iter().any(|note| note == "helm moved it"));
        registry.learn_of_router(context, "another", ROUTER, Learnt::Writing(1.0)).unwrap();
    });
}
