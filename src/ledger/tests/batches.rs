//! What the stream hands over in batches: the same as one by one, all of it or nothing.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::*;
use driftgate_core::codec::time::utc;
use driftgate_core::gate::{Decided, GroupVerdict};
use driftgate_core::judge::verdict::{Counted, RuleResult, Status, Verdict, WindowSpan};
use driftgate_core::policy::{Policy, parse};

const NOW: i64 = 1_700_000_000_000;
const HOUR: i64 = 3_600_000;

fn policy() -> Arc<Policy> {
    let text = "apiVersion: driftgate/v1
model: m
baseline: {snapshot: s.csv}
features: {numeric: [x], categorical: []}
checks:
  drift: {window: {size: 1h, slide: 1h}, rules: [{psi: {of: features, lt: 0.2}}]}
  slo: {window: {size: 1h, slide: 1h}, rules: [{latency_p95_ms: {lt: 80}}]}
transitions:
- {from: dev, to: staging, approvals: auto, evidence: [tests]}
- {from: staging, to: prod, checks: [drift], rollout: {steps: [{weight: 10, for: 2h}, {weight: 100, bake: 2h}], checks: [drift]}}
";
    Arc::new(parse(text, Path::new("p.yaml")).unwrap_or_else(|e| panic!("{e}")))
}

fn passing(_: &str, _: &str) -> StreamState {
    let result = Decided {
        rule: "drift/psi".into(),
        subject: "x".into(),
        decides: Status::Pass,
        sentence: "drift/psi x 0.01 against lt 0.2".into(),
    };
    let latest = GroupVerdict { group: "drift".into(), end_ms: NOW, complete: true, results: vec![result] };
    StreamState { latest: vec![latest], seen: true, ..StreamState::default() }
}

/// Something of the stream.
enum Item {
    Verdict(Box<Verdict>, String),
    Signal(Box<Signal>),
}

impl Item {
    fn verdict(version: &str, group: &str, stage: &str, hour: i64) -> Self {
        let end = NOW + hour * HOUR;
        let result = RuleResult {
            rule: format!("{group}/psi"),
            metric: "psi".into(),
            subject: "x".into(),
            status: Status::Pass,
            value: Some(0.01),
            evidence: vec![("limit", json!({"lt": 0.2}))].into(),
            reason: None,
            since: None,
            pending: false,
            muted: false,
            bins: None,
        };
        let verdict = Verdict {
            verdict_id: format!("{version}-{group}-{hour}"),
            model: "m".into(),
            version: version.into(),
            stage: Some(stage.into()),
            group: group.into(),
            window: WindowSpan { start: end - HOUR, end, complete: true },
            status: Status::Pass,
            results: vec![result],
            counted: Counted { predictions: 500, labels: 0 },
            policy_sha256: "p".into(),
            baseline_sha256: None,
        };
        let json = serde_json::to_string(&verdict).unwrap();
        Self::Verdict(Box::new(verdict), json)
    }

    fn signal(action: Action, version: &str, group: &str, hour: i64) -> Self {
        let said = signal(action, version, group, u32::try_from(hour).unwrap());
        Self::Signal(Box::new(Signal { ts: utc(NOW + hour * HOUR), ..said }))
    }

    fn given(&self) -> Given<'_> {
        match self {
            Self::Signal(signal) => Given::Signal(signal),
            Self::Verdict(v, json) => Given::Verdict(GivenVerdict {
                model: &v.model,
                version: &v.version,
                group: &v.group,
                end_ms: v.window.end,
                json,
            }),
        }
    }
}

/// A canary of version 2 that succeeds, its rollback to 1, which is seen serving, and what comes before and afterwards.
fn stream() -> Vec<Item> {
    let mut items = Vec::new();
    for hour in 1..=12 {
        let serving = if hour < 3 { "1" } else { "2" };
        items.push(Item::verdict("1", "drift", if hour < 3 { "prod" } else { "staging" }, hour));
        items.push(Item::verdict("2", "drift", if serving == "2" { "prod" } else { "canary" }, hour));
        items.push(Item::verdict("2", "slo", "canary", hour));
        if hour % 4 == 1 {
            items.push(Item::signal(Action::Block, "1", "slo", hour));
            items.push(Item::signal(Action::Clear, "1", "slo", hour + 1));
        }
    }
    items.push(Item::signal(Action::Rollback, "2", "slo", 12));
    for hour in 13..=16 {
        items.push(Item::verdict("1", "drift", "prod", hour));
        items.push(Item::verdict("2", "drift", "canary", hour));
        items.push(Item::verdict("unheard", "drift", "dev", hour));
    }
    items
}

/// A registry with version 1 in prod and a rollout of version 2 under way.
fn begun(policy: &Policy) -> Embedded {
    let registry = registry();
    let live = |version: &str| passing("m", version);
    let context = RequestContext { policy, live: &live, actor: "ann", now_ms: NOW };
    registry.register(&plain("1"), "ci", 1).unwrap();
    registry.set_stage("m", PROD, "1", "ann", "", 2).unwrap();
    let hex = "ab".repeat(32);
    let new = Registration { artifact_sha256: Some(hex.clone()), ..plain("2") };
    let evidence = [("tests", "pass"), ("data_snapshot", &format!("sha256:{hex}")), ("code_commit", "git:1234abcd")];
    let evidence: Vec<_> = evidence.iter().map(|(kind, value)| ((*kind).to_owned(), json!(value))).collect();
    registry.register_as(&context, &new, &evidence).unwrap();
    let promoted =
        registry.promote(&context, &PromotionRequest { version: "2", to: PROD, retry: None, comment: None }).unwrap();
    assert!(promoted.rollout.is_some(), "{:?}", promoted.answer.reasons);
    registry
}

/// Every row of every table, but for what tells one file from another.
fn rows(registry: &Embedded) -> Vec<String> {
    let connection = registry.connection.lock().unwrap();
    let names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name NOT IN ('likeness', 'replica') ORDER BY name";
    let tables: Vec<String> =
        connection.prepare(names).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let mut out = Vec::new();
    for table in tables {
        let mut all = connection.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = all.column_count();
        let mut found = all.query([]).unwrap();
        let mut of_table = Vec::new();
        while let Some(row) = found.next().unwrap() {
            let values: Vec<_> = (0..columns).map(|at| row.get::<_, rusqlite::types::Value>(at).unwrap()).collect();
            of_table.push(format!("{table} {values:?}"));
        }
        of_table.sort();
        out.extend(of_table);
    }
    out
}

fn one_by_one(policy: &Policy, items: &[Item]) -> Embedded {
    let registry = begun(policy);
    let live = |version: &str| passing("m", version);
    let context = RequestContext { policy, live: &live, actor: "driftgate", now_ms: NOW };
    for item in items {
        match item {
            Item::Verdict(verdict, json) => registry.take(&context, verdict, json).unwrap(),
            Item::Signal(signal) => drop(registry.apply(signal, NOW).unwrap()),
        }
    }
    registry
}

fn take(registry: &Embedded, policy: &Arc<Policy>, items: &[Item]) -> Result<Vec<Taken>, RegistryError> {
    let of = |model: &str| (model == "m").then(|| Arc::clone(policy));
    let given: Vec<Given<'_>> = items.iter().map(Item::given).collect();
    registry
        .take_all(&given, &Stream { policy: &of, live: &passing, now_ms: NOW, queue_verdicts: false, applied: None })
}

#[test]
fn a_batch_is_what_its_items_are_one_by_one_wherever_it_is_cut() {
    let (policy, items) = (policy(), stream());
    let expected = rows(&one_by_one(&policy, &items));
    for part in ["rollouts", "Succeeded", "rollback_confirmed", "rolled_back"] {
        assert!(expected.iter().any(|row| row.contains(part)), "the stream has no {part}: {expected:#?}");
    }
    for size in [1, 2, 3, 5, 7, 11, 20, items.len()] {
        let registry = begun(&policy);
        let before = registry.transactions();
        for batch in items.chunks(size) {
            let taken = take(&registry, &policy, batch).unwrap();
            assert_eq!(taken.len(), batch.len());
            assert!(!taken.iter().any(|t| matches!(t, Taken::Failed(_))), "{taken:?}");
        }
        assert_eq!(registry.transactions() - before, items.len().div_ceil(size) as u64);
        assert_eq!(rows(&registry), expected, "in batches of {size}");
        // Delivered again, as after a kill -9.
        for again in items.chunks(items.len()) {
            let taken = take(&registry, &policy, again).unwrap();
            let already = |t: &&Taken| matches!(t, Taken::Signal(Applied::Already));
            assert_eq!(taken.iter().filter(already).count(), 7, "{taken:?}");
        }
        assert_eq!(rows(&registry), expected, "a second time");
    }
}

#[test]
fn a_batch_that_fails_leaves_nothing_and_what_does_not_fit_is_left_out_alone() {
    let policy = policy();
    let registry = begun(&policy);
    let before = rows(&registry);
    let trigger = "CREATE TRIGGER full BEFORE INSERT ON verdicts WHEN NEW.version = 'unheard'
                   BEGIN SELECT RAISE(ABORT, 'the disk is full'); END";
    registry.connection.lock().unwrap().execute_batch(trigger).unwrap();
    let error = take(&registry, &policy, &stream()).unwrap_err();
    assert!(matches!(error, RegistryError::Sql(_)) && error.to_string().contains("the disk is full"), "{error}");
    assert_eq!(rows(&registry), before, "nothing of it");
    registry.connection.lock().unwrap().execute_batch("DROP TRIGGER full").unwrap();

    crate::ledger::shadow::leave(&registry);
    // A rollout that cannot be read: its verdicts are kept, and what is beside them is done.
    registry.connection.lock().unwrap().execute("UPDATE rollouts SET state = '{'", []).unwrap();
    let items = [
        Item::verdict("2", "drift", "canary", 1),
        Item::signal(Action::Block, "a/b", "drift", 1),
        Item::signal(Action::Block, "2", "drift", 1),
    ];
    let taken = take(&registry, &policy, &items).unwrap();
    assert_eq!((&taken[0], &taken[2]), (&Taken::Verdict, &Taken::Signal(Applied::Done { rollback_to: None })));
    assert!(matches!(&taken[1], Taken::Signal(Applied::Ignored(why)) if why.contains("slash")), "{taken:?}");
    assert_eq!(registry.verdicts("m", "2").unwrap().len(), 1);
    assert_eq!(registry.version("m", "2").unwrap().unwrap().blocks.len(), 1);
}

#[test]
fn a_gate_that_waits_for_a_large_artifact_pauses_no_rollout_and_is_asked_again() {
    use driftgate_core::rollout::Phase;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.bin");
    // Nothing but holes; it takes longer to read than a gate waits.
    std::fs::File::create(&file).unwrap().set_len(1 << 30).unwrap();
    let mut policy = policy();
    Arc::make_mut(&mut policy).directory = folder.path().to_owned();
    let registry = registry();
    let live = |version: &str| passing("m", version);
    let context = RequestContext { policy: &policy, live: &live, actor: "ann", now_ms: NOW };
    registry.register(&plain("1"), "ci", 1).unwrap();
    registry.set_stage("m", PROD, "1", "ann", "", 2).unwrap();
    let hex = crate::artifact::digest(file.to_str().unwrap()).unwrap();
    let evidence = [("tests", "pass"), ("data_snapshot", &format!("sha256:{hex}")), ("code_commit", "git:1234abcd")];
    let evidence: Vec<_> = evidence.iter().map(|(kind, value)| ((*kind).to_owned(), json!(value))).collect();
    let new = Registration { artifact: Some("model.bin".into()), artifact_sha256: Some(hex), ..plain("2") };
    registry.register_as(&context, &new, &evidence).unwrap();
    registry.finish_artifact(&policy, "2").unwrap();
    registry.promote_automatically(&context, "2").unwrap();
    let ask = PromotionRequest { version: "2", to: PROD, retry: None, comment: None };
    let begun = (0..100).find_map(|_| registry.promote(&context, &ask).unwrap().rollout).unwrap();
    assert_eq!(begun.phase, Phase::Progressing);
    // As after a restart: nothing is known of the file any more.
    let registry = registry.with_artifacts(crate::artifact::Artifacts::default());
    let windows: Vec<Item> = (1..=3).map(|hour| Item::verdict("2", "drift", "canary", hour)).collect();
    take(&registry, &policy, &windows).unwrap();
    let state = registry.rollout("m").unwrap().unwrap();
    assert_eq!((state.phase, &state.paused), (Phase::WaitingPromotion, &None), "{}", state.why);
    assert!(state.why.starts_with("the gate cannot answer yet: "), "{}", state.why);
    registry.finish_artifact(&policy, "2").unwrap();
    let of = |model: &str| (model == "m").then(|| Arc::clone(&policy));
    let stream = Stream { policy: &of, live: &passing, now_ms: NOW, queue_verdicts: false, applied: None };
    registry.ask_waiting_gates(&stream).unwrap();
    assert_eq!(registry.rollout("m").unwrap().unwrap().phase, Phase::Promoting);
    assert_eq!(registry.standing("m", PROD).unwrap().as_deref(), Some("2"));
    let before = registry.transactions();
    registry.ask_waiting_gates(&stream).unwrap();
    assert_eq!(registry.transactions(), before, "nothing waits any more");
}
