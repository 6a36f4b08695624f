//! Each kind of problem has its sentence, its place in the order and its next step.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::*;
use crate::ledger;
use crate::view::failing::Part;
use crate::view::inputs::InputView;
use crate::view::readiness::{NotReady, Readiness};
use crate::view::{Keep, ModelView, View};
use driftgate_core::decode::Reason;
use driftgate_core::intake::Counters;
use driftgate_core::judge::verdict::{Counted, RuleResult, Status, Verdict, WindowSpan};
use driftgate_core::promotion::types::ActiveBlock;
use driftgate_core::promotion::version::{PendingRollback, StageMove, VersionRecord};

const HOUR: i64 = 3_600_000;
const NOW: i64 = 1_772_359_200_000;

const POLICY: &str = "apiVersion: driftgate/v1
model: m
baseline: {snapshot: train.csv}
features: {numeric: [temp]}
lateness: 0s
checks:
  drift: {window: {size: 1h, slide: 1h}, rules: [{psi: {of: features, lt: 0.2}}]}
  look: {enforce: observe, window: {size: 1h, slide: 1h}, rules: [{psi: {of: features, lt: 0.2}}]}
";

fn verdict(version: &str, group: &str, status: Status, end: i64, stage: Option<&str>) -> Arc<Verdict> {
    let result = RuleResult {
        rule: format!("{group}/psi"),
        metric: "psi".into(),
        subject: "temp".into(),
        status,
        value: Some(0.31),
        evidence: vec![("limit", serde_json::json!({"lt": 0.2}))].into(),
        reason: None,
        since: None,
        pending: false,
        muted: false,
        bins: None,
    };
    Arc::new(Verdict {
        verdict_id: "v".into(),
        model: "m".into(),
        version: version.into(),
        stage: stage.map(str::to_owned),
        group: group.into(),
        window: WindowSpan { start: end - HOUR, end, complete: true },
        status,
        results: vec![result],
        counted: Counted { predictions: 1, labels: 0 },
        policy_sha256: "p".into(),
        baseline_sha256: None,
    })
}

fn record(version: &str, stages: &[&str]) -> VersionRecord {
    let stages = stages.iter().map(|&s| s.to_owned()).collect();
    VersionRecord { model: "m".into(), version: version.into(), stages, ..VersionRecord::default() }
}

fn seen(verdicts: &[Arc<Verdict>]) -> ModelView {
    let policy = Arc::new(driftgate_core::policy::parse(POLICY, Path::new("p.yaml")).unwrap());
    let mut seen = ModelView {
        policy,
        counters: Counters::default(),
        versions: std::collections::BTreeMap::new(),
        waiting: (0, 0),
        join_bytes: 0,
        closed: std::collections::BTreeMap::new(),
        incomplete: 0,
        left_out: 0,
        refused: driftgate_core::intake::newcomers::Refused::default(),
    };
    for verdict in verdicts {
        seen.versions.entry(verdict.version.clone()).or_default().push(Arc::clone(verdict), Keep::default());
    }
    seen
}

fn facts(records: Vec<VersionRecord>) -> ModelFacts {
    ModelFacts { records, ..ModelFacts::default() }
}

fn told(problems: &[Problem]) -> Vec<(Severity, &str)> {
    problems.iter().map(|p| (p.severity, p.problem.as_str())).collect()
}

#[test]
fn a_version_that_passes_in_prod_is_no_problem() {
    let seen = seen(&[verdict("1", "drift", Status::Pass, NOW - HOUR, Some("prod"))]);
    assert_eq!(told(&of_model("m", &seen, &facts(vec![record("1", &["prod"])]), NOW)), []);
}

#[test]
fn a_blocked_version_is_a_problem_wherever_it_stands() {
    let block = |version| verdict(version, "drift", Status::Block, NOW - HOUR, None);
    let mut standing = record("2", &[]);
    let since = "2026-03-01T09:00:00Z".to_owned();
    let reasons = vec!["drift/psi temp 0.31 breaks lt 0.2".to_owned()];
    standing.blocks = vec![ActiveBlock {
        group: "drift".into(),
        since,
        reasons,
        signal_id: String::new(),
        verdict_id: String::new(),
    }];
    let seen = seen(&[block("1"), block("2"), block("3"), verdict("4", "look", Status::Block, NOW - HOUR, None)]);
    let problems = of_model("m", &seen, &facts(vec![record("1", &["prod"]), standing, record("3", &["staging"])]), NOW);
    assert_eq!(
        told(&problems),
        [
            (Severity::Production, "version 1 (prod) is blocked: drift/psi temp 0.31 breaks lt 0.2"),
            (
                Severity::Candidate,
                "version 2 is blocked: drift/psi temp 0.31 breaks lt 0.2 (since 2026-03-01T09:00:00Z)"
            ),
            (Severity::Candidate, "version 3 (staging) is blocked: drift/psi temp 0.31 breaks lt 0.2"),
        ]
    );
    assert_eq!(problems[2].next.as_deref(), Some("driftgate explain m 3   # why it is blocked"));
}

#[test]
fn a_prod_pointer_that_is_lost_is_a_problem() {
    let passing = seen(&[verdict("1", "drift", Status::Pass, NOW - HOUR, Some("prod"))]);
    let lost = StageMove {
        stage: "prod".into(),
        from: Some("1".into()),
        to: None,
        at: NOW,
        actor: "mlflow".into(),
        reason: "taken away there by somebody else".into(),
    };
    let mut known = facts(vec![record("1", &[])]);
    known.last_prod_move = Some(lost);
    let problems = of_model("m", &passing, &known, NOW);
    let what = "prod points to no version since 2026-03-01T10:00:00Z: mlflow took it from 1: taken away there by somebody else";
    assert_eq!(told(&problems), [(Severity::Production, what)]);
    assert_eq!(problems[0].next.as_deref(), Some("driftgate register m 1 --stage prod"));
    let gone = |stage: Option<&str>, version: &str| ledger::Problem {
        kind: "registry_drift",
        model: "m".into(),
        version: Some(version.into()),
        stage: stage.map(str::to_owned),
        since: "2026-03-01T10:00:00Z".into(),
        detail: "it was deleted in MLflow".into(),
    };
    known.lost = vec![gone(Some("prod"), "1"), gone(None, "2")];
    let what = "registry_drift since 2026-03-01T10:00:00Z: it was deleted in MLflow";
    let problems = of_model("m", &passing, &known, NOW);
    assert_eq!(told(&problems), [(Severity::Production, what), (Severity::Candidate, what)]);
    let problems = of_model("m", &passing, &facts(Vec::new()), NOW);
    let what = "events say that version 1 serves prod, and the registry has no version there";
    assert_eq!(told(&problems), [(Severity::Production, what)]);
}

#[test]
fn what_cannot_be_said_of_a_stage_is_a_problem() {
    let records = || facts(vec![record("1", &["prod"]), record("2", &["staging"])]);
    let problems = of_model("m", &seen(&[]), &records(), NOW);
    let (prod, staging) = (
        "version 1 (prod): group drift has not judged it yet",
        "version 2 (staging): group drift has not judged it yet",
    );
    assert_eq!(told(&problems), [(Severity::Unknown, prod), (Severity::Candidate, staging)]);
    let old = seen(&[
        verdict("1", "drift", Status::Pass, NOW - 4 * HOUR, None),
        verdict("2", "drift", Status::Insufficient, NOW - HOUR, None),
    ]);
    let problems = of_model("m", &old, &records(), NOW);
    let stale = "version 1 (prod): group drift is stale: its last window ended 2026-03-01T06:00:00Z";
    assert_eq!(problems[0].problem, stale);
    assert!(problems[1].problem.starts_with("version 2 (staging): group drift has too little data: drift/psi temp"));
    let mut failed = seen(&[]);
    failed.versions.entry("9".into()).or_default().baseline = Some(Err("no such file".into()));
    let problems = of_model("m", &failed, &facts(Vec::new()), NOW);
    assert_eq!(told(&problems), [(Severity::Candidate, "version 9 has no baseline: no such file")]);
    assert_eq!(problems[0].next.as_deref(), Some("correct where its snapshot lies: it is tried again"));
    failed.versions.entry("9".into()).or_default().is_decided = true;
    let next = of_model("m", &failed, &facts(Vec::new()), NOW).remove(0).next.unwrap();
    assert!(next.ends_with("register the model under another version"), "{next}");
    let nobody = of_model("m", &seen(&[]), &facts(Vec::new()), NOW);
    assert_eq!(told(&nobody), [(Severity::Unknown, "no versions: none is registered, and no event names one")]);
}

#[test]
fn what_waits_for_a_person_is_a_problem() {
    let passing = seen(&[verdict("1", "drift", Status::Pass, NOW - HOUR, Some("prod"))]);
    let mut known = facts(vec![record("1", &["prod"])]);
    known.frozen = Some("since 2026-01-02T00:00:00Z: by ana: incident 42".into());
    known.pending = Some(PendingRollback {
        model: "m".into(),
        from: "2".into(),
        to: "1".into(),
        since: "2026-03-01T09:00:00Z".into(),
    });
    let problems = of_model("m", &passing, &known, NOW);
    let severities: Vec<Severity> = problems.iter().map(|p| p.severity).collect();
    assert_eq!(severities, [Severity::Production, Severity::Waiting]);
    assert!(problems[0].next.as_ref().unwrap().starts_with("make sure that 1 serves instead of 2"));
    assert!(problems[1].next.as_ref().unwrap().starts_with("driftgate resume m "));
}

#[test]
fn events_that_were_left_out_are_a_problem() {
    let mut passing = seen(&[verdict("1", "drift", Status::Pass, NOW - HOUR, Some("prod"))]);
    passing.counters = Counters {
        after_close: 2,
        ahead: 1,
        late: 3,
        joined: 90,
        unclassed: 12,
        unmatched: 10,
        invalid_values: 4,
        ..Counters::default()
    };
    let problems = of_model("m", &passing, &facts(vec![record("1", &["prod"])]), NOW);
    assert_eq!(
        told(&problems),
        [
            (Severity::Partial, "2 events came after their window was judged"),
            (
                Severity::Partial,
                "1 events were ahead of their partition's pace, and the events after them contradict their times",
            ),
            (Severity::Partial, "3 times an event was later than lateness allows"),
            (Severity::Partial, "10 of 100 labels found no prediction"),
            (
                Severity::Partial,
                "12 labels met a prediction without a class, with neither a decision nor a score that a threshold divides, and count in no rate",
            ),
            (Severity::Partial, "4 values were invalid: of a wrong type or out of range"),
        ]
    );
}

#[test]
fn the_daemons_own_problems_come_in_order() {
    let mut view = View { started: true, ..View::default() };
    view.models.insert("m".into(), seen(&[]));
    assert_eq!(told(&of_daemon(&view, &[("webhook".into(), 0)])), []);
    let rejected = |n: u64| {
        let mut input = InputView::default();
        input.update(Instant::now(), 100, &[(Reason::BadTime, n)].into(), 0);
        input
    };
    view.inputs.insert("p".into(), rejected(3));
    view.undeliverable.insert("signals".into(), 2);
    view.unregistered.insert("m".into(), 1);
    view.readiness.hold(NotReady::Brokers { error: "no broker answers".into() });
    let problems = of_daemon(&view, &[("webhook".into(), 3)]);
    assert_eq!(
        told(&problems),
        [
            (Severity::Halted, "not ready: kafka: no broker answers"),
            (Severity::Refused, "2 messages can never be delivered to signals and were dropped"),
            (Severity::Refused, "3 messages wait for webhook: it does not take them"),
            (
                Severity::Candidate,
                "1 versions with stages or blocks here are not registered in the external registry, which is not told of them"
            ),
            (
                Severity::Partial,
                "3 of the last 100 events of \"p\" were rejected and count nowhere (since the start: bad_time 3)"
            ),
        ]
    );
    view.inputs.insert("p".into(), rejected(99));
    assert_eq!(of_daemon(&view, &[])[1].severity, Severity::Refused);
    view.readiness = Readiness::default();
    view.started = false;
    assert_eq!(of_daemon(&view, &[])[0].problem, "not ready: it is starting");
}

#[test]
fn a_version_that_may_serve_is_watched_without_a_pointer() {
    let old = seen(&[verdict("1", "drift", Status::Pass, NOW - 4 * HOUR, None)]);
    let stale = "version 1: group drift is stale: its last window ended 2026-03-01T06:00:00Z";
    assert_eq!(told(&of_model("m", &old, &facts(Vec::new()), NOW)), [(Severity::Unknown, stale)]);
    assert_eq!(told(&of_model("m", &old, &facts(vec![record("1", &[])]), NOW)), [(Severity::Unknown, stale)]);
    // Another one serves.
    let both = seen(&[
        verdict("1", "drift", Status::Pass, NOW - 4 * HOUR, None),
        verdict("2", "drift", Status::Pass, NOW - HOUR, None),
    ]);
    assert_eq!(told(&of_model("m", &both, &facts(vec![record("2", &["prod"])]), NOW)), []);
}

#[test]
fn what_warns_is_muted_or_only_warned_of_is_told_after_what_blocks() {
    let changed = |status, change: fn(&mut RuleResult)| {
        let mut verdict = Arc::unwrap_or_clone(verdict("1", "drift", status, NOW - HOUR, None));
        verdict.results.iter_mut().for_each(change);
        Arc::new(verdict)
    };
    let known = facts(vec![record("1", &["prod"])]);
    let muted = seen(&[changed(Status::Block, |r| r.muted = true)]);
    let what = "version 1 (prod) is muted and breaks a limit: drift/psi temp 0.31 breaks lt 0.2";
    assert_eq!(told(&of_model("m", &muted, &known, NOW)), [(Severity::Warning, what)]);
    let pending = seen(&[changed(Status::Block, |r| r.pending = true)]);
    let told_of = of_model("m", &pending, &known, NOW);
    assert!(told_of[0].problem.starts_with("version 1 (prod) warns: drift/psi temp 0.31"), "{told_of:?}");
    let mut soft = seen(&[changed(Status::Block, |_| {})]);
    let policy = POLICY.replace("drift: {window", "drift: {enforce: warn, window");
    soft.policy = Arc::new(driftgate_core::policy::parse(&policy, Path::new("p.yaml")).unwrap());
    let what = "version 1 (prod) breaks a limit that only warns: drift/psi temp 0.31 breaks lt 0.2";
    assert_eq!(told(&of_model("m", &soft, &known, NOW)), [(Severity::Warning, what)]);
}

#[test]
fn whatever_fails_and_is_tried_again_is_told_until_it_works() {
    let shared = crate::view::Shared::default();
    shared.write().started = true;
    shared.write().models.insert("m".into(), seen(&[]));
    let found = || of_daemon(&shared.read(), &[("mlflow".into(), 2)]);
    let mlflow = Part::Sink("mlflow".into());
    for (part, severity, begins) in [
        (Part::Daemon, Severity::Unknown, "no space: what the daemon reads, rejects and cannot write is not known"),
        (Part::Reading, Severity::Halted, "nothing is read until results are delivered: no space"),
        (Part::Registry, Severity::Halted, "what was judged does not get into the registry"),
        (Part::Policies, Severity::Waiting, "the policies were not taken over: no space"),
        (Part::Tokens, Severity::Waiting, "the tokens were not taken over, and those read before hold: no space"),
        (Part::Issuer, Severity::Waiting, "the issuer of tokens does not give its keys"),
        (Part::DeadLetters, Severity::Refused, "dead letters are not kept: no space"),
        (Part::Tls, Severity::Waiting, "https: no space"),
        (Part::Query("cost".into()), Severity::Unknown, "cost is not measured: no space"),
        (Part::Sink("webhook".into()), Severity::Refused, "webhook does not answer: no space"),
        (mlflow, Severity::Refused, "2 messages wait for mlflow: no space"),
    ] {
        shared.fails(part.clone(), "no space");
        let problems = found();
        let is_told = |p: &Problem| p.severity == severity && p.problem.starts_with(begins);
        assert!(problems.iter().any(is_told), "{part:?}: {problems:?}");
        shared.works(&part);
        assert_eq!(told(&found()), [(Severity::Refused, "2 messages wait for mlflow: it does not take them")]);
    }
}

#[test]
fn a_partition_that_is_not_read_is_told_and_few_rejected_events_are() {
    use std::time::Duration;
    let mut view = View { started: true, ..View::default() };
    view.models.insert("m".into(), seen(&[]));
    let key = ("p".to_owned(), 0);
    let source = crate::view::SourceView { next_offset: Some(5), high_watermark: Some(8), ..Default::default() };
    view.sources.insert(key.clone(), source);
    let start = Instant::now();
    let mut behind = crate::view::behind::Behind::default();
    behind.update(start, Some(5), 3);
    behind.update(start + Duration::from_secs(40), Some(5), 3);
    view.behind.insert(key, behind);
    let stuck = "3 messages wait in p/0, and none was read for 40 s";
    assert_eq!(told(&of_daemon(&view, &[])), [(Severity::Halted, stuck)]);
    view.behind.clear();
    let mut input = InputView::default();
    input.update(start, 5, &[(Reason::NotJson, 5)].into(), 0);
    view.inputs.insert("p".into(), input);
    let few = "5 of 5 events of \"p\" were rejected and count nowhere (not_json 5) since the start";
    assert_eq!(told(&of_daemon(&view, &[])), [(Severity::Partial, few)]);
    let (mut many, mut unreadable) = (InputView::default(), InputView::default());
    many.update(start, 100, &[(Reason::NotJson, 40)].into(), 30);
    unreadable.update(start, 100, &[(Reason::NotJson, 95)].into(), 0);
    let summary = unreadable.unreadable("q").unwrap();
    view.readiness.hold(NotReady::InputUnreadable { topic: "q".into(), summary });
    view.inputs = [("p".to_owned(), many), ("q".to_owned(), unreadable)].into();
    let problems = of_daemon(&view, &[]);
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(problems[0].problem.starts_with("not ready: q is unreadable: 95 of the last 100 events"));
    let unknown = "30 of 100 events of \"p\" named a model without a policy and count nowhere since the start";
    assert_eq!(problems[1].problem, unknown);
    assert!(problems[2].problem.starts_with("40 of the last 100 events of \"p\" were rejected"));
    view.readiness = Readiness::default();
    view.inputs.clear();
    view.dead_letters_lost = 7;
    assert_eq!(told(&of_daemon(&view, &[]))[0].1, "7 dead letters could not be kept since the start");
}

#[test]
fn names_are_quoted_for_a_shell() {
    assert_eq!(
        [quoted("fraud_detector"), quoted("a b"), quoted("a'; rm")],
        ["fraud_detector", "'a b'", r"'a'\''; rm'"]
    );
}

#[test]
fn one_name_of_two_processes_of_a_cluster_is_told() {
    use crate::view::cluster::{ClusterView, Member};
    let member = |instance: &str| Member { instance: instance.into(), owns: instance == "a", ..Member::default() };
    let mut cluster = ClusterView {
        session: std::time::Duration::from_secs(6),
        owner: Some(member("a")),
        members: vec![member("a"), member("b")],
        copy_at_ms: Some(0),
        checked_at_ms: Some(0),
        ..ClusterView::default()
    };
    assert!(of_cluster(&cluster, 0).is_none());
    cluster.members.push(member("b"));
    let told = of_cluster(&cluster, 0).map(|problem| problem.problem).unwrap_or_default();
    assert!(told.starts_with("the group has two processes with the cluster.instance \"b\""), "{told}");
}
