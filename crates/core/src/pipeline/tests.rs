//! Tests of the coupled pipeline: signals on edges, rollback triggers, KPIs against the champion, both label attributes,
//! and that a pipeline put away and restored at any moment says the same.

mod data;
mod measured;
mod references;

use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::baseline::{Baseline, SnapshotColumns};
use crate::event::{Domain, Flag, LabelBatch, PredictionBatch, code, numeric};
use crate::intake::{DecoderId, SourceId};
use crate::judge::verdict::{Action, Status, Verdict};
use crate::policy;
use crate::window::front::ANY;

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const VERSIONS: [&str; 2] = ["1", "2"];
const STAGES: [&str; 2] = ["prod", "staging"];

fn policy(checks: &str, rest: &str) -> Arc<Policy> {
    let text = format!(
        "apiVersion: driftgate/v1\nmodel: m\nbaseline: {{snapshot: \"v{{version}}.csv\", columns: {{score: score, label: label}}}}\n\
         features: {{numeric: [x], categorical: []}}\nscore: {{threshold: 0.5}}\nsegments: [s]\nmin_samples: 20\nlateness: 0s\n{rest}checks:\n{checks}"
    );
    Arc::new(policy::parse(&text, Path::new("p.yaml")).unwrap_or_else(|e| panic!("{e}")))
}

fn reference(policy: &Policy, version: &str) -> Reference {
    let x: Vec<f64> = (0..1000).map(f64::from).collect();
    let columns = SnapshotColumns {
        numbers: None,
        classes: None,
        rows: x.len(),
        score: Some(x.iter().map(|x| x / 1000.0).collect()),
        label: Some(x.iter().map(|x| Flag::from(*x >= 500.0)).collect()),
        numeric: vec![x],
        categorical: vec![],
        segments: vec![None],
        unit: None,
    };
    let baseline = Baseline::build(policy, version, "made up", "00", &columns).unwrap();
    let sha256 = baseline.digest().unwrap().into();
    Reference::Baseline { baseline: Arc::new(baseline), sha256 }
}

/// One prediction and, if it has one, its label.
#[derive(Clone, Debug)]
struct Row {
    /// Its version and its number, unless given.
    id: Option<String>,
    version: &'static str,
    stage: &'static str,
    ts: i64,
    x: f64,
    score: f64,
    latency_ms: f64,
    label: Option<(i64, bool)>,
    kpi: Option<bool>,
}

fn row(ts: i64, x: f64) -> Row {
    Row { id: None, version: "1", stage: "prod", ts, x, score: 0.7, latency_ms: 10.0, label: None, kpi: None }
}

/// Admits and counts a batch, by the workers in turn, and judges what that makes ready.
fn feed<B: Batch>(pipeline: &Pipeline, source: SourceId, batch: &B) -> Judgement {
    let mut job = Job::default();
    pipeline.admit(&mut pipeline.intake(), source, batch, &mut job);
    pipeline.count(usize::from(job.number % 2 == 1), batch, &job);
    all_judged(|deliver| pipeline.judge_all(deliver))
}

/// Everything that is judged meanwhile.
fn all_judged(run: impl FnOnce(&mut dyn FnMut(Judgement, i64))) -> Judgement {
    let mut all = Judgement::default();
    run(&mut |judged, _| {
        all.verdicts.extend(judged.verdicts);
        all.signals.extend(judged.signals);
    });
    all
}

/// A pipeline fed row by row.
struct Feed {
    pipeline: Pipeline,
    decoder: DecoderId,
    predictions: SourceId,
    labels: SourceId,
    /// Whether the decoder has told what its codes mean.
    introduced: bool,
    fed: usize,
}

impl Feed {
    fn new(policy: Arc<Policy>) -> Self {
        Self::over(Pipeline::new(policy, Setup::default(), 2))
    }

    fn over(pipeline: Pipeline) -> Self {
        for version in VERSIONS {
            let found = reference(&pipeline.policy, version);
            pipeline.intake().set_reference(version, found);
        }
        let mut intake = pipeline.intake();
        let decoder = intake.add_decoder();
        let predictions = intake.add_source(EventKind::Predictions, ANY, None);
        let labels = intake.add_source(EventKind::Labels, ANY, None);
        drop(intake);
        Self { predictions, labels, pipeline, decoder, introduced: false, fed: 0 }
    }

    fn predict(&mut self, rows: &[Row]) -> Judgement {
        let mut batch = PredictionBatch::new(1, 0, 1);
        if !self.introduced {
            self.introduced = true;
            batch.fresh.extend(VERSIONS.map(|v| (Domain::Version, v.into())));
            batch.fresh.extend(STAGES.map(|s| (Domain::Stage, s.into())));
        }
        let code = |texts: &[&str], text: &str| u32::try_from(texts.iter().position(|t| *t == text).unwrap()).unwrap();
        for r in rows {
            batch.version.push(code(&VERSIONS, r.version));
            batch.stage.push(code(&STAGES, r.stage));
            batch.ids.push(&r.id.clone().unwrap_or_else(|| format!("{}-{}", r.version, self.fed)));
            batch.ts.push(r.ts);
            batch.score.push(r.score);
            batch.decision.push(Flag::Missing);
            batch.latency_ms.push(r.latency_ms);
            batch.error.push(Flag::No);
            batch.features.numeric[0].push(r.x);
            batch.segments[0].push(code::MISSING);
            self.fed += 1;
        }
        self.pipeline.intake().learn(self.decoder, &mut batch);
        self.pipeline.intake().translate(self.decoder, &mut batch);
        feed(&self.pipeline, self.predictions, &batch)
    }

    /// What a restart does.
    fn put_away_and_restore(&mut self, policy: &Arc<Policy>) {
        let state: Vec<u8> = postcard::to_stdvec(&self.pipeline.state()).unwrap();
        let state: PipelineState = postcard::from_bytes(&state).unwrap();
        assert_eq!(state.anew(policy), None);
        let [predictions, labels] = [self.predictions, self.labels].map(|s| self.pipeline.intake().front(s).cloned());
        let (restored, lost) =
            Pipeline::restore(Arc::clone(policy), Setup::default(), 2, state, |v| reference(policy, v));
        assert!(lost.is_empty());
        self.predictions = restored.intake().add_source(EventKind::Predictions, ANY, predictions);
        self.labels = restored.intake().add_source(EventKind::Labels, ANY, labels);
        self.decoder = restored.intake().add_decoder();
        self.introduced = false;
        self.pipeline = restored;
    }

    /// Labels by id, time and class.
    fn outcomes(&mut self, labels: &[(String, i64, Option<bool>)]) -> Judgement {
        let mut batch = LabelBatch::new(0);
        for (id, ts, label) in labels {
            batch.ids.push(id);
            batch.ts.push(*ts);
            batch.label.push(label.map_or(Flag::Missing, Flag::from));
        }
        feed(&self.pipeline, self.labels, &batch)
    }

    /// Labels of rows that were fed from number `first` on.
    fn label(&mut self, first: usize, rows: &[Row]) -> Judgement {
        let mut batch = LabelBatch::new(self.pipeline.policy.kpis.len());
        for (i, r) in rows.iter().enumerate().filter(|(_, r)| r.label.is_some() || r.kpi.is_some()) {
            let (ts, label) = r.label.map_or((r.ts, None), |(ts, l)| (ts, Some(l)));
            batch.ids.push(&format!("{}-{}", r.version, first + i));
            batch.ts.push(ts);
            batch.label.push(label.map_or(Flag::Missing, Flag::from));
            if let Some(kpis) = batch.kpis.first_mut() {
                kpis.push(r.kpi.map_or(Flag::Missing, Flag::from));
            }
        }
        feed(&self.pipeline, self.labels, &batch)
    }
}

/// A minute of rows every second; `shift` moves x.
fn minute(at: i64, shift: f64) -> Vec<Row> {
    (0..60).map(|s| row(at * MINUTE + s * SECOND, f64::from(i32::try_from(s).unwrap()) * 16.0 + shift)).collect()
}

fn actions(judgement: &Judgement) -> Vec<(Action, &str)> {
    judgement.signals.iter().map(|s| (s.action, s.ts.get(11..16).unwrap())).collect()
}

const PSI: &str = "  drift:\n    window: {size: 1m, slide: 1m}\n    rules:\n    - psi: {of: features, lt: 0.5}\n";

#[test]
fn signals_come_on_edges_only() {
    let mut feed = Feed::new(policy(PSI, ""));
    let shifts = [0.0, 900.0, 900.0, 0.0, 900.0, 0.0, 0.0];
    let rows: Vec<Row> = (0_i64..).zip(shifts).flat_map(|(at, shift)| minute(at, shift)).collect();
    let judged = feed.predict(&rows);
    assert_eq!(
        judged.verdicts.iter().map(|v| v.status).collect::<Vec<_>>(),
        [Status::Pass, Status::Block, Status::Block, Status::Pass, Status::Block, Status::Pass]
    );
    assert_eq!(
        actions(&judged),
        [(Action::Block, "00:02"), (Action::Clear, "00:04"), (Action::Block, "00:05"), (Action::Clear, "00:06")]
    );
    assert!(judged.signals[0].reasons[0].contains("drift/psi x") && judged.signals[1].reasons.is_empty());
    let since: Vec<_> = judged.verdicts.iter().map(|v| v.results[0].since.map(|s| s / MINUTE)).collect();
    assert_eq!(since, [None, Some(2), Some(2), None, Some(5), None]);
    // The window that is left is not complete, and says nothing.
    let rest = all_judged(|deliver| feed.pipeline.finish(deliver));
    assert_eq!((rest.verdicts.len(), rest.verdicts[0].window.complete, rest.signals.len()), (1, false, 0));
}

#[test]
fn a_version_that_is_only_known_at_the_end_has_its_name() {
    // One event moves no line: nothing confirms its time before the end.
    let mut feed = Feed::new(policy(PSI, ""));
    assert!(feed.predict(&[row(5 * MINUTE, 1.0)]).verdicts.is_empty());
    let judged = all_judged(|deliver| feed.pipeline.finish(deliver));
    let named: Vec<_> = judged.verdicts.iter().map(|v| (v.version.as_str(), v.stage.as_deref())).collect();
    assert_eq!(named, [("1", Some("prod"))]);
}

#[test]
fn a_version_that_is_counted_anew_has_no_past() {
    let checks = "  drift:\n    window: {size: 4m, slide: 1m}\n    rules: [{psi: {of: features, lt: 0.2}}]\n";
    let mut feed = Feed::new(policy(checks, ""));
    // A minute of events far from the baseline, of both versions.
    let minute = |at: i64| -> Vec<Row> {
        let rows =
            (0..40).flat_map(|i| VERSIONS.map(|version| Row { version, ..row(at * MINUTE + i * SECOND, 5000.0) }));
        rows.collect()
    };
    let blocked = |judged: &Judgement| -> Vec<String> { judged.signals.iter().map(|s| s.version.clone()).collect() };
    let before = feed.predict(&(0..4).flat_map(minute).collect::<Vec<_>>());
    assert_eq!(blocked(&before), ["1", "2"]);
    // Panes that are judged, and one that is open.
    feed.pipeline.count_anew("1");
    let unknown = VERSIONS.map(|version| feed.pipeline.intake().is_unknown(version));
    assert_eq!(unknown, [true, false]);
    feed.pipeline.intake().set_reference("1", reference(&feed.pipeline.policy, "1"));
    let after = feed.predict(&(4..7).flat_map(minute).collect::<Vec<_>>());
    let counted = |version: &str| -> Vec<u64> {
        after.verdicts.iter().filter(|v| v.version == version).map(|v| v.counted.predictions).collect()
    };
    assert_eq!(counted("2"), [160, 160, 160]);
    assert_eq!(counted("1"), [40, 80], "windows hold nothing of the other one");
    // Windows that reach back to the other one's time say nothing; from then on what blocks is said again of this one.
    let complete = |judged: &Judgement| -> Vec<bool> {
        judged.verdicts.iter().filter(|v| v.version == "1").map(|v| v.window.complete).collect()
    };
    assert_eq!((complete(&after), blocked(&after)), (vec![false, false], vec![]));
    let later = feed.predict(&(7..9).flat_map(minute).collect::<Vec<_>>());
    assert_eq!((complete(&later), blocked(&later)), (vec![false, true], vec!["1".to_owned()]));
}

#[test]
fn hysteresis_mutes_and_enforcement_change_decisions_not_facts() {
    let rows: Vec<Row> = (0..6).flat_map(|at| minute(at, 900.0)).collect();
    let of = |checks: &str, rest: &str| Feed::new(policy(checks, rest)).predict(&rows);
    let held = of(&PSI.replace("lt: 0.5", "lt: 0.5, for: 3"), "");
    assert_eq!(actions(&held), [(Action::Block, "00:03")]);
    assert_eq!(
        held.verdicts.iter().map(|v| v.results[0].pending).collect::<Vec<_>>(),
        [true, true, false, false, false]
    );
    assert!(held.verdicts.iter().all(|v| v.status == Status::Block));
    let muted = of(PSI, "mute: [{of: x, until: 1970-01-01T00:02:00Z, reason: OPS-1}]\n");
    assert_eq!(actions(&muted), [(Action::Block, "00:03")]);
    assert_eq!(
        muted.verdicts.iter().map(|v| (v.status, v.results[0].muted)).collect::<Vec<_>>()[1..3],
        [(Status::Block, true), (Status::Block, false)]
    );
    let observed = of(&PSI.replace("    rules:", "    enforce: observe\n    rules:"), "");
    assert!(observed.signals.is_empty() && observed.verdicts.iter().all(|v| v.status == Status::Block));
    let ignored = of(PSI, "ignore: [{from: 1970-01-01T00:01:00Z, to: 1970-01-01T00:03:00Z, reason: backfill}]\n");
    assert_eq!(ignored.verdicts.iter().map(|v| v.window.end / MINUTE).collect::<Vec<_>>(), [1, 4, 5]);
}

#[test]
fn a_trigger_fires_once_after_five_minutes_of_breach_and_not_after_four() {
    let slo = "  slo:\n    window: {size: 1m, slide: 1m}\n    rules:\n    - latency_p95_ms: {id: p95, lt: 80}\n";
    let rollback = "rollback: {to: last_stable, triggers: [{rule: slo/p95, for: 5m}]}\n";
    let slow = |minutes: i64| -> Vec<Row> {
        let slow = |r: Row| Row { latency_ms: if r.ts < minutes * MINUTE { 95.0 } else { 60.0 }, ..r };
        (0..10).flat_map(|at| minute(at, 0.0)).map(slow).collect()
    };
    let rollbacks = |minutes| {
        let judged = Feed::new(policy(slo, rollback)).predict(&slow(minutes));
        judged.signals.into_iter().filter(|s| s.action == Action::Rollback).collect::<Vec<_>>()
    };
    assert_eq!(rollbacks(5).len(), 0, "the first breaching window ends at 00:01, the fifth at 00:05: four minutes");
    let fired = rollbacks(8);
    assert_eq!(fired.len(), 1);
    assert_eq!((fired[0].ts.as_str(), fired[0].stage.as_deref()), ("1970-01-01T00:06:00Z", Some("prod")));
    assert!(fired[0].reasons[0].starts_with("slo/p95 latency_ms 9"), "{:?}", fired[0].reasons);
}

#[test]
fn a_kpi_is_compared_with_the_champion_of_the_same_window() {
    let kpi = "  kpi:\n    window: {size: 1m, slide: 1m}\n    rules:\n    - kpi_drop: {id: ctr, of: ctr, max: {relative: 0.01}, versus: champion}\n";
    let mut feed = Feed::new(policy(kpi, "labels: {horizon: 1h, lateness: 0s}\n"));
    let rows: Vec<Row> = (0..1200)
        .map(|i| {
            let challenger = i % 2 == 1;
            let clicked = if challenger { i % 20 == 1 } else { i % 4 == 0 };
            let (version, stage) = if challenger { ("2", "staging") } else { ("1", "prod") };
            Row { version, stage, kpi: Some(clicked), ..row(i64::from(i) * 50, 1.0) }
        })
        .chain([row(2 * MINUTE, 1.0)])
        .collect();
    feed.predict(&rows);
    let labels: Vec<Row> = rows.iter().map(|r| Row { label: None, kpi: r.kpi.or(Some(false)), ..r.clone() }).collect();
    let judged = feed.label(0, &labels);
    let of = |version: &str| judged.verdicts.iter().find(|v| v.version == version).unwrap();
    assert_eq!(of("2").status, Status::Block);
    let result = &of("2").results[0];
    assert_eq!(
        (result.get("champion").unwrap().as_str(), result.get("rate").unwrap().as_f64()),
        (Some("1"), Some(0.1))
    );
    assert_eq!(result.get("versus").unwrap().as_str(), Some("champion"));
    // The champion has nothing beside it, and had nothing before.
    assert_eq!(of("1").results[0].status, Status::Insufficient);
    assert!(of("1").results[0].reason.as_deref().unwrap().starts_with("nothing to compare with"));
}

/// A minute of 60 rows of a version in prod, of which every `each`th is clicked.
fn served(at: i64, version: &'static str, each: i64) -> Vec<Row> {
    let click = |r: Row| Row { version, kpi: Some(r.ts / SECOND % each == 0), ..r };
    minute(at, 0.0).into_iter().map(click).collect()
}

const KPI: &str = "  kpi:\n    window: {size: 3m, slide: 1m}\n    rules:\n    - kpi_drop: {id: ctr, of: ctr, max: {relative: 0.01}OPTIONS}\n";
const KPI_ROLLBACK: &str =
    "labels: {horizon: 1h, lateness: 0s}\nrollback: {to: last_stable, triggers: [{rule: kpi/ctr}]}\n";

/// Feeds rows and their labels in pieces; at each cut the pipeline is put away and restored.
fn judged_in_pieces(policy: &Arc<Policy>, rows: &[Row], cuts: &[usize]) -> Judgement {
    let mut feed = Feed::new(Arc::clone(policy));
    let mut all = Judgement::default();
    for (i, piece) in rows.chunks(50).enumerate() {
        if cuts.contains(&i) {
            let state: Vec<u8> = postcard::to_stdvec(&feed.pipeline.state()).unwrap();
            let state: PipelineState = postcard::from_bytes(&state).unwrap();
            let [predictions, labels] =
                [feed.predictions, feed.labels].map(|s| feed.pipeline.intake().front(s).cloned());
            let (restored, _) =
                Pipeline::restore(Arc::clone(policy), Setup::default(), 2, state, |v| reference(policy, v));
            feed.predictions = restored.intake().add_source(EventKind::Predictions, ANY, predictions);
            feed.labels = restored.intake().add_source(EventKind::Labels, ANY, labels);
            feed.decoder = restored.intake().add_decoder();
            feed.introduced = false;
            feed.pipeline = restored;
        }
        for judged in [feed.predict(piece), feed.label(i * 50, piece)] {
            all.verdicts.extend(judged.verdicts);
            all.signals.extend(judged.signals);
        }
    }
    all
}

fn versus(verdict: &Verdict) -> (&str, Option<&'static str>, Option<&'static str>, Status) {
    let result = &verdict.results[0];
    let text = |key| {
        let found = result.get(key)?;
        ["self", "predecessor", "champion", "1", "2"].into_iter().find(|t| found == *t)
    };
    (&verdict.version, text("versus"), text("champion"), verdict.status)
}

#[test]
fn a_version_in_prod_is_compared_with_the_one_before_it_and_then_with_its_own_past() {
    let policy = policy(&KPI.replace("OPTIONS", ""), KPI_ROLLBACK);
    let rows: Vec<Row> = (0..20)
        .flat_map(|at| if at < 10 { served(at, "1", 3) } else { served(at, "2", 12) })
        .chain(served(20, "2", 12))
        .collect();
    let judged = judged_in_pieces(&policy, &rows, &[]);
    let found: Vec<_> = judged.verdicts.iter().map(versus).collect();
    // The first has nothing, then its own slides that have left the window.
    assert!(found[..3].iter().all(|f| *f == ("1", None, None, Status::Insufficient)), "{found:?}");
    assert!(found[3..10].iter().all(|f| *f == ("1", Some("self"), Some("1"), Status::Pass)), "{found:?}");
    let second: Vec<_> = judged.verdicts.iter().filter(|v| v.version == "2").collect();
    assert_eq!(second.len(), 10);
    assert!(second.iter().all(|v| versus(v).1 == Some("predecessor") && versus(v).2 == Some("1")), "{found:?}");
    assert!(second[1..].iter().all(|v| v.status == Status::Block), "{found:?}");
    // Everything that the first has shown, once each, although its windows overlap.
    let of = |key| second[5].results[0].get(key).and_then(|v| v.as_u64());
    assert_eq!((of("champion_n"), of("n"), of("total_n")), (Some(600), Some(180), Some(360)));
    let rollbacks: Vec<_> = judged.signals.iter().filter(|s| s.action == Action::Rollback).collect();
    assert_eq!((rollbacks.len(), rollbacks[0].version.as_str()), (1, "2"), "{:?}", judged.signals);
    assert!(judged.signals.iter().all(|s| s.version == "2"), "{:?}", judged.signals);
    // Put away and restored anywhere it says the same.
    for cuts in [vec![3], vec![12, 13], vec![7, 14, 20]] {
        assert_eq!(judged_in_pieces(&policy, &rows, &cuts), judged, "{cuts:?}");
    }
}

#[test]
fn the_first_version_in_prod_blocks_when_its_kpi_falls_and_does_not_get_used_to_it() {
    let policy = policy(&KPI.replace("OPTIONS", ""), KPI_ROLLBACK);
    let rows: Vec<Row> = (0..31).flat_map(|at| served(at, "1", if at < 15 { 2 } else { 15 })).collect();
    let judged = judged_in_pieces(&policy, &rows, &[]);
    let at = |end: i64| judged.verdicts.iter().find(|v| v.window.end == end * MINUTE).unwrap();
    assert!((4..=15).all(|end| at(end).status == Status::Pass));
    assert!((18..=30).all(|end| at(end).status == Status::Block), "what was bad is no past to compare with");
    assert_eq!(judged.signals.iter().filter(|s| s.action == Action::Rollback).count(), 1);
    assert_eq!(judged_in_pieces(&policy, &rows, &[9, 18]), judged);
}

#[test]
fn a_version_that_returns_has_come_after_the_one_in_between_and_a_good_one_passes() {
    let policy = policy(&KPI.replace("OPTIONS", ", for: 2"), KPI_ROLLBACK);
    let of = |at: i64| match at {
        0..=7 => served(at, "1", 4),
        8..=15 => served(at, "2", 3),
        _ => served(at, "1", 3),
    };
    let judged = judged_in_pieces(&policy, &(0..24).flat_map(of).collect::<Vec<_>>(), &[]);
    let back: Vec<_> = judged.verdicts.iter().filter(|v| v.window.end > 17 * MINUTE && v.version == "1").collect();
    assert!(back.len() > 4 && back.iter().all(|v| versus(v).1 == Some("predecessor") && versus(v).2 == Some("2")));
    assert!(judged.signals.is_empty(), "{:?}", judged.signals);
    let method = back[0].results[0].get("method");
    assert_eq!(method, Some("newcombe".into()), "with `for` it is the interval of one window");
}

#[test]
fn two_versions_that_both_serve_in_prod_are_compared_with_each_other() {
    let rows: Vec<Row> = (0..12)
        .flat_map(|at| served(at, "1", 2).into_iter().zip(served(at, "2", 10)).flat_map(|(a, b)| [a, b]))
        .collect();
    let judge = |options: &str| judged_in_pieces(&policy(&KPI.replace("OPTIONS", options), KPI_ROLLBACK), &rows, &[]);
    let judged = judge("");
    let late = |v: &&Verdict| v.window.end >= 5 * MINUTE;
    assert!(judged.verdicts.iter().filter(late).count() >= 12);
    for verdict in judged.verdicts.iter().filter(late) {
        let (status, other) = if verdict.version == "1" { (Status::Pass, "2") } else { (Status::Block, "1") };
        assert_eq!(versus(verdict), (verdict.version.as_str(), Some("champion"), Some(other), status));
    }
    // Asked for by name, the predecessor comes first.
    let judged = judge(", versus: predecessor");
    assert!(judged.verdicts.iter().filter(late).all(|v| versus(v).1 != Some("champion")));
}

#[test]
fn pairs_count_in_the_window_of_the_label_or_of_the_prediction() {
    let auc = "  quality:\n    window: {size: 1m, slide: 1m}\n    rules:\n    - auc: {gte: 0.5}\n";
    let rows: Vec<Row> = minute(0, 0.0)
        .into_iter()
        .map(|r| Row { label: Some((r.ts + 90 * SECOND, r.x > 500.0)), score: r.x / 1000.0, ..r })
        .collect();
    let late = [Row { label: Some((10 * MINUTE, true)), ..row(10 * MINUTE, 0.0) }];
    let ends = |attribute: &str| {
        let mut feed =
            Feed::new(policy(auc, &format!("labels: {{horizon: 2m, lateness: 0s, attribute: {attribute}}}\n")));
        feed.predict(&rows);
        feed.predict(&late);
        let mut verdicts = feed.label(0, &rows).verdicts;
        verdicts.extend(feed.label(rows.len(), &late).verdicts);
        verdicts.iter().map(|v| (v.window.end / MINUTE, v.counted.labels)).collect::<Vec<_>>()
    };
    assert_eq!(ends("label_time"), [(2, 30), (3, 30)]);
    assert_eq!(ends("prediction_time"), [(1, 60)]);
}

#[test]
fn a_window_waits_for_the_prediction_of_a_label_that_came_before_it() {
    let auc = "  quality:\n    window: {size: 1m, slide: 1m}\n    rules:\n    - auc: {gte: 0.5}\n";
    let mut feed = Feed::new(policy(auc, "labels: {horizon: 1h, lateness: 10s}\n"));
    // The label is stamped 2 s before its prediction, on the other side of a window's end, and read first.
    let early = [Row { label: Some((MINUTE - SECOND, true)), ..row(MINUTE + SECOND, 0.0) }];
    let other = [Row { label: Some((2 * MINUTE, true)), ..row(30 * SECOND, 0.0) }];
    feed.label(1, &early);
    feed.predict(&other);
    // Everything has passed 00:01, but the prediction may still come.
    let judged = feed.label(0, &other);
    assert!(judged.verdicts.is_empty());
    let judged = feed.predict(&early);
    assert_eq!(judged.verdicts.iter().map(|v| (v.window.end / MINUTE, v.counted.labels)).collect::<Vec<_>>(), [(1, 1)]);
}

#[test]
fn a_null_label_is_counted_and_leaves_everything_to_the_true_one() {
    let auc = "  quality:\n    window: {size: 1m, slide: 1m}\n    rules:\n    - auc: {gte: 0.5}\n";
    let rows: Vec<Row> = minute(0, 0.0).into_iter().map(|r| Row { score: r.x / 1000.0, ..r }).collect();
    let last = [row(10 * MINUTE, 0.0)];
    // Null labels so long after their predictions, read before the predictions or after them.
    let judged = |nulls: &[i64], first: bool| {
        let mut feed = Feed::new(policy(auc, "labels: {horizon: 2m, lateness: 5s}\n"));
        let label = |r: &Row, at: i64, yes: Option<bool>| (format!("1-{}", r.ts / SECOND), r.ts + at, yes);
        let mut labels: Vec<_> = nulls.iter().flat_map(|&at| rows.iter().map(move |r| label(r, at, None))).collect();
        labels.extend(rows.iter().map(|r| label(r, 30 * SECOND, Some(r.x > 500.0))));
        labels.push(("none".into(), 10 * MINUTE, Some(true)));
        labels.sort_by_key(|(_, ts, _)| *ts);
        let mut out = Vec::new();
        if !first {
            out.extend(feed.predict(&rows).verdicts);
        }
        let (before, after) = labels.split_at(labels.len() / 2);
        out.extend(feed.outcomes(before).verdicts);
        if first {
            out.extend(feed.predict(&rows).verdicts);
        }
        out.extend(feed.outcomes(after).verdicts);
        out.extend(feed.predict(&last).verdicts);
        out.extend(all_judged(|deliver| feed.pipeline.finish(deliver)).verdicts);
        let c = feed.pipeline.counters();
        (out, c.null_labels, (c.duplicate_labels, c.joined, c.unlabelled))
    };
    let (plain, none, counted) = judged(&[], false);
    assert_eq!((none, counted), (0, (0, 60, 0)));
    assert_eq!(plain.iter().map(|v| v.counted.labels).sum::<u64>(), 60);
    for nulls in [&[2 * SECOND][..], &[-4 * SECOND, 40 * SECOND], &[30 * SECOND]] {
        for first in [false, true] {
            let (with, null, counted_with) = judged(nulls, first);
            assert!(with == plain, "{nulls:?} {first}");
            assert_eq!((null, counted_with), (60 * nulls.len() as u64, counted), "{nulls:?} {first}");
        }
    }
}

const MIRRORED: &str = "  quality:\n    window: {size: 1m, slide: 1m}\n    rules:\n    - auc: {gte: 0.5}\n  own:\n    window: {size: 1m, slide: 1m}\n    rules:\n    - psi: {of: features, lt: 9}\n  all:\n    window: {size: 1m, slide: 1m}\n    traffic: model\n    rules:\n    - psi: {of: features, lt: 9}\n";

/// Requests that version 1 scored, and the same scored by version 2 a second later.
fn mirrored() -> (Vec<Row>, Vec<Row>) {
    let rows = (0..3).flat_map(|at| minute(at, 0.0)).enumerate();
    let first = rows.map(|(n, r)| Row { id: Some(format!("r{n}")), score: r.x / 1000.0, ..r }).collect::<Vec<_>>();
    let second = first.iter().map(|r| Row { version: "2", stage: "staging", ts: r.ts + SECOND, ..r.clone() });
    let second = second.collect();
    (first, second)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn mirrored_versions_are_judged_as_each_alone(
        delay in -4..100_i64,
        labels_first in any::<bool>(),
        cut in prop::option::of(0..30_usize),
        chunk in 1..40_usize,
    ) {
        let mirrored_policy = || policy(MIRRORED, "labels: {horizon: 2m, lateness: 10s}\n");
        let (first, second) = mirrored();
        let labels: Vec<(String, i64, Option<bool>)> =
            first.iter().map(|r| (r.id.clone().unwrap(), r.ts + delay * SECOND, Some(r.x > 500.0))).collect();
        let last = [Row { id: Some("last".into()), ..row(20 * MINUTE, 0.0) }];
        let run = |versions: &[&[Row]], cut: Option<usize>| -> (Vec<Verdict>, Counters) {
            let mut feed = Feed::new(mirrored_policy());
            // Versions whose snapshot is there count the model's traffic.
            VERSIONS.iter().for_each(|v| feed.pipeline.intake().pin(v, true));
            let mut rows: Vec<Row> = versions.iter().copied().flatten().cloned().collect();
            rows.sort_by_key(|r| r.ts);
            let mut out = Vec::new();
            for at in 0..first.len().div_ceil(chunk).max(rows.len().div_ceil(chunk)) {
                if Some(at) == cut {
                    feed.put_away_and_restore(&mirrored_policy());
                }
                let rows = rows.chunks(chunk).nth(at).unwrap_or_default();
                let labels = labels.chunks(chunk).nth(at).unwrap_or_default();
                if labels_first {
                    out.extend(feed.outcomes(labels).verdicts);
                }
                out.extend(feed.predict(rows).verdicts);
                if !labels_first {
                    out.extend(feed.outcomes(labels).verdicts);
                }
            }
            out.extend(feed.predict(&last).verdicts);
            out.extend(feed.outcomes(&[("none".into(), 20 * MINUTE, Some(true))]).verdicts);
            out.extend(all_judged(|deliver| feed.pipeline.finish(deliver)).verdicts);
            let counters = feed.pipeline.counters();
            (out, counters)
        };
        let (both, counters) = run(&[&first, &second], cut);
        let of = |all: &[Verdict], version: &str, group: &str| {
            let of = all.iter().filter(|v| v.version == version && v.group == group && v.window.end <= 10 * MINUTE);
            of.map(|v| (v.window.end, v.status, v.counted, v.results.clone())).collect::<Vec<_>>()
        };
        let (one, two) = (run(&[&first], None).0, run(&[&second], None).0);
        for group in ["quality", "own"] {
            prop_assert_eq!(of(&both, "1", group), of(&one, "1", group));
            prop_assert_eq!(of(&both, "2", group), of(&two, "2", group));
        }
        // A request is one request of the model, by whichever version it was scored first.
        for version in VERSIONS {
            prop_assert_eq!(of(&both, version, "all"), of(&one, version, "all"));
        }
        prop_assert_eq!((counters.duplicate_predictions, counters.duplicate_labels, counters.unmatched), (0, 0, 0));
        prop_assert_eq!((counters.joined, counters.after_close), (360, 0));
    }
}

fn drift_and_fairness() -> Arc<Policy> {
    let checks = format!(
        "{PSI}  quality:\n    window: {{size: 3m, slide: 1m, lateness: 30s}}\n    rules:\n    - auc: {{gte: 0.5}}\n"
    );
    policy(&checks, "labels: {horizon: 2m, lateness: 5s}\n")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_pipeline_put_away_and_restored_at_any_moment_says_the_same(
        shifts in prop::collection::vec(prop_oneof![Just(0.0), Just(900.0), Just(numeric::MISSING)], 3..8),
        cuts in prop::collection::vec(0..400_usize, 0..4),
        lag in 1..100_i64,
    ) {
        let labelled = |r: Row| Row { label: Some((r.ts + lag * SECOND, r.x > 400.0)), ..r };
        let rows: Vec<Row> = (0_i64..).zip(&shifts).flat_map(|(at, shift)| minute(at, *shift)).map(labelled).collect();
        let run = |cuts: &[usize]| -> Vec<Verdict> {
            let mut feed = Feed::new(drift_and_fairness());
            let mut out = Vec::new();
            for (i, r) in rows.chunks(7).enumerate() {
                if cuts.contains(&i) {
                    feed.put_away_and_restore(&drift_and_fairness());
                }
                out.extend(feed.predict(r).verdicts);
                out.extend(feed.label(i * 7, r).verdicts);
            }
            out.extend(all_judged(|deliver| feed.pipeline.finish(deliver)).verdicts);
            out
        };
        prop_assert_eq!(run(&cuts), run(&[]));
    }
}
