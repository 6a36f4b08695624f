//! Parts counted beside each other against a pipeline that reads the whole streams: random events (late, ahead, repeated, of
//! several versions, with labels before and long after), random cuts, buckets and merge orders. What the answers of two readings of the
//! same streams differ in must be refused.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "made-up values are small, and half of a hash is one"
)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::baseline::{Baseline, Coded, SnapshotColumns};
use crate::evaluate::Judgement;
use crate::event::{ByKind, Domain, EventKind, Flag, Fresh, LabelBatch, Limits, MeasurementBatch, PredictionBatch};
use crate::intake::job::Job;
use crate::intake::versions::Reference;
use crate::intake::{DecoderId, Setup, SourceId};
use crate::pipeline::Pipeline;
use crate::pipeline::batch::Batch;
use crate::policy::{self, Policy};

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const START: i64 = 1_700_000_000_000 / MINUTE * MINUTE;

/// A generator of numbers that are the same each time.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, n: i64) -> i64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        i64::try_from((z ^ (z >> 31)) % u64::try_from(n.max(1)).unwrap()).unwrap()
    }

    fn one_in(&mut self, n: i64) -> bool {
        self.below(n) == 0
    }

    fn between(&mut self, from: i64, to: i64) -> i64 {
        from + self.below(to - from)
    }

    fn size(&mut self, n: usize) -> usize {
        usize::try_from(self.below(i64::try_from(n).unwrap())).unwrap()
    }
}

fn policy(attribute: &str, traffic: &str, labels: bool) -> Arc<Policy> {
    let labels_key = format!("labels: {{horizon: 20m, lateness: 4m, attribute: {attribute}}}\n");
    let fair = "  fair:\n    window: {size: 6m, slide: 2m}\n    rules:\n    - tpr_gap: {by: s, lt: 0.3, min_positives: 2}\n\
         \x20   - auc: {gte: 0.4}\n    - recall: {gte: 0.4}\n    - brier: {max_increase: 0.1}\n    - gap: {of: precision, by: s, lt: 0.3, min_positives: 2}\n    - kpi_drop: {of: ctr, max: {relative: 0.2}}\n";
    let text = format!(
        "apiVersion: driftgate/v1\nmodel: m\nbaseline: {{snapshot: \"v{{version}}.csv\", columns: {{score: score, label: label}}}}\n\
         features: {{numeric: [x], categorical: [c]}}\nscore: {{threshold: 0.5}}\nsegments: [s]\nlateness: 2m\nmin_samples: 3\nretire_after: 4d\n{}checks:\n\
         \x20 drift:\n    window: {{size: 3m, slide: 1m, lateness: 30s}}\n    traffic: {traffic}\n    rules:\n    - psi: {{of: features, lt: 0.3}}\n    - psi: {{id: by, of: [x, c], by: s, lt: 0.3}}\n    - ks: {{of: x, by: s, lt: 0.5, versus: previous}}\n\
         \x20 serve:\n    window: {{size: 2m, slide: 2m}}\n    rules:\n    - latency_p95_ms: {{id: p95, lt: 80}}\n    - selection_gap: {{by: s, lt: 0.4}}\n    - selection_rate: {{lt: 0.6}}\n    - js: {{of: score, by: s, lt: 0.9}}\n{}\
         \x20 cost:\n    window: {{size: 4m, slide: 2m}}\n    rules:\n    - measured: {{of: cost, lt: 1, budget: 2/day}}\n\
         rollback: {{to: last_stable, triggers: [{{rule: serve/p95}}]}}\n",
        if labels { &labels_key } else { "" },
        if labels { fair } else { "" },
    );
    Arc::new(policy::parse(&text, Path::new("p.yaml")).unwrap_or_else(|e| panic!("{e}\n{text}")))
}

thread_local! {
    /// Baselines by the digest of their policy and their version: each is built once.
    static LOADED: RefCell<BTreeMap<(String, String), Reference>> = const { RefCell::new(BTreeMap::new()) };
}

fn load(policy: &Policy, version: &str) -> Reference {
    let of = (policy.sha256.clone(), version.to_owned());
    LOADED.with_borrow_mut(|loaded| loaded.entry(of).or_insert_with(|| build(policy, version)).clone())
}

fn build(policy: &Policy, version: &str) -> Reference {
    if version == "bare" {
        return Reference::Failed("it has none".into());
    }
    let known: &[&str] = if version == "2" { &["a", "b", "d"] } else { &["a", "b"] };
    let n = 400;
    let of = |i: usize| Some(u32::try_from(i % known.len()).unwrap());
    let columns = SnapshotColumns {
        numbers: None,
        classes: None,
        rows: n,
        score: Some((0..n).map(|i| i as f64 / n as f64).collect()),
        label: Some((0..n).map(|i| Flag::from(i >= n / 2)).collect()),
        numeric: vec![(0..n).map(|i| i as f64).collect()],
        categorical: vec![Arc::new(Coded {
            names: known.iter().map(|&k| k.to_owned()).collect(),
            codes: (0..n).map(of).collect(),
        })],
        segments: vec![Some(Arc::new(Coded {
            names: ["u", "v"].map(str::to_owned).to_vec(),
            codes: (0..n).map(|i| u32::try_from(i % 3 % 2).ok()).collect(),
        }))],
        unit: None,
    };
    let baseline = Baseline::build(policy, version, "made up", "00", &columns).unwrap();
    let sha256 = baseline.digest().unwrap().into();
    Reference::Baseline { baseline: Arc::new(baseline), sha256 }
}

#[derive(Clone, Debug)]
struct Prediction {
    id: String,
    version: &'static str,
    stage: &'static str,
    ts: i64,
    x: f64,
    category: &'static str,
    segment: &'static str,
    score: f64,
    latency: f64,
}

#[derive(Clone, Debug)]
struct Label {
    id: String,
    ts: i64,
    label: Flag,
    kpi: Flag,
}

#[derive(Clone, Debug)]
struct Measurement {
    version: &'static str,
    ts: i64,
    value: f64,
}

#[derive(Clone, Debug, Default)]
struct Events {
    predictions: Vec<Prediction>,
    labels: Vec<Label>,
    measurements: Vec<Measurement>,
}

/// How unruly events are.
#[derive(Clone, Copy, Debug)]
struct Habits {
    /// Of so many events one is late, by up to half an hour.
    late: i64,
    /// Of so many one is far ahead, or comes behind a pause.
    jump: i64,
    /// Of so many one repeats an id from any time before.
    anew: i64,
    /// Of so many labels one is stamped before its prediction.
    early: i64,
    /// Whether requests are scored by two versions.
    mirrored: bool,
}

const TAME: Habits = Habits { late: 12, jump: 60, anew: 1 << 40, early: 1 << 40, mirrored: true };
const WILD: Habits = Habits { late: 12, jump: 60, anew: 12, early: 6, mirrored: true };

fn pick<T: Copy>(random: &mut Random, of: &[T]) -> T {
    of[random.size(of.len())]
}

fn any_time(random: &mut Random, at: &mut i64, habits: Habits) -> i64 {
    *at += random.below(4 * SECOND);
    if random.one_in(habits.jump) {
        if random.one_in(2) {
            *at += random.below(15 * MINUTE);
        } else {
            return *at + random.below(120 * MINUTE);
        }
    }
    if random.one_in(habits.late) { *at - random.below(40 * MINUTE) } else { *at - random.below(40 * SECOND) }
}

fn any_events(random: &mut Random, habits: Habits) -> Events {
    let mut events = Events::default();
    let mut at = START;
    let versions: &[&str] = if random.one_in(4) { &["1", "bare"] } else { &["1", "2"] };
    for n in 0..random.between(20, 400) {
        let ts = any_time(random, &mut at, habits);
        let (mut id, mut version) = (format!("i{n}"), pick(random, versions));
        if random.one_in(8)
            && let Some(last) = events.predictions.last()
        {
            // Sent twice, or scored by another version.
            id.clone_from(&last.id);
            version = if habits.mirrored && random.one_in(2) { version } else { last.version };
        } else if random.one_in(habits.anew) && !events.predictions.is_empty() {
            id.clone_from(&events.predictions[random.size(events.predictions.len())].id);
        }
        events.predictions.push(Prediction {
            id,
            version,
            stage: pick(random, &["prod", "staging", "prod"]),
            ts,
            x: random.below(500) as f64,
            category: pick(random, &["a", "b", "d", "e", "f"]),
            segment: pick(random, &["u", "v", "w"]),
            score: random.below(100) as f64 / 100.0,
            latency: random.below(120) as f64,
        });
    }
    let mut labels: Vec<(i64, Label)> = Vec::new();
    for p in &events.predictions {
        for _ in 0..pick(random, &[0, 1, 1, 1, 2]) {
            let after = if random.one_in(habits.early) { -random.below(5 * MINUTE) } else { random.below(24 * MINUTE) };
            let ts = p.ts + after;
            let late = if random.one_in(habits.late) { random.below(60 * MINUTE) } else { random.below(3 * MINUTE) };
            let label = pick(random, &[Flag::Yes, Flag::No, Flag::Missing]);
            let kpi = pick(random, &[Flag::Yes, Flag::No, Flag::Missing]);
            labels.push((ts + late, Label { id: p.id.clone(), ts, label, kpi }));
        }
    }
    labels.sort_by_key(|(came, _)| *came);
    events.labels = labels.into_iter().map(|(_, label)| label).collect();
    let mut at = START;
    for _ in 0..random.below(40) {
        at += random.below(60 * SECOND);
        let ts = any_time(random, &mut at, habits);
        events.measurements.push(Measurement {
            version: pick(random, &["1", "2", "measured"]),
            ts,
            value: random.below(300) as f64 / 200.0,
        });
    }
    events
}

/// The codes of a decoder.
#[derive(Default)]
struct Codes(Vec<(Domain, String)>);

impl Codes {
    fn code(&mut self, domain: Domain, text: &str, fresh: &mut Fresh) -> u32 {
        let of_domain = self.0.iter().filter(|(d, _)| *d == domain);
        if let Some(at) = of_domain.clone().position(|(_, known)| known == text) {
            return u32::try_from(at).unwrap();
        }
        let next = of_domain.count();
        self.0.push((domain, text.to_owned()));
        fresh.push((domain, text.into()));
        u32::try_from(next).unwrap()
    }

    fn predictions(&mut self, rows: &[Prediction]) -> PredictionBatch {
        let mut batch = PredictionBatch::new(1, 1, 1);
        let mut fresh = Fresh::new();
        for r in rows {
            batch.ids.push(&r.id);
            batch.ts.push(r.ts);
            batch.version.push(self.code(Domain::Version, r.version, &mut fresh));
            batch.stage.push(self.code(Domain::Stage, r.stage, &mut fresh));
            batch.score.push(r.score);
            batch.decision.push(Flag::Missing);
            batch.latency_ms.push(r.latency);
            batch.error.push(Flag::No);
            batch.features.numeric[0].push(r.x);
            batch.features.categorical[0].push(self.code(Domain::Categorical(0), r.category, &mut fresh));
            batch.segments[0].push(self.code(Domain::Segmentation(0), r.segment, &mut fresh));
        }
        batch.fresh = fresh;
        batch
    }

    fn measurements(&mut self, rows: &[Measurement]) -> MeasurementBatch {
        let mut batch = MeasurementBatch::default();
        let mut fresh = Fresh::new();
        for r in rows {
            batch.ts.push(r.ts);
            batch.version.push(self.code(Domain::Version, r.version, &mut fresh));
            batch.metric.push(0);
            batch.value.push(r.value);
            batch.n.push(1);
        }
        batch.fresh = fresh;
        batch
    }
}

fn labels(rows: &[Label], kpis: usize) -> LabelBatch {
    let mut batch = LabelBatch::new(kpis);
    for r in rows {
        batch.ids.push(&r.id);
        batch.ts.push(r.ts);
        batch.label.push(r.label);
        batch.kpis.iter_mut().for_each(|column| column.push(r.kpi));
    }
    batch
}

/// Verdicts and signals as they are written.
fn lines(finish: impl FnOnce(&mut dyn FnMut(Judgement, i64))) -> Vec<String> {
    let mut found = Vec::new();
    finish(&mut |judged: Judgement, _| {
        for verdict in judged.verdicts {
            let key = (verdict.window.end, verdict.version.clone(), verdict.group.clone());
            found.push((key.clone(), 0, serde_json::to_string(&verdict).unwrap()));
            let own = judged.signals.iter().filter(|s| s.verdict_id == verdict.verdict_id);
            found.extend(own.map(|s| (key.clone(), 1, serde_json::to_string(s).unwrap())));
        }
    });
    found.sort();
    found.into_iter().map(|(.., line)| line).collect()
}

/// A stream as a replay reads it.
struct Lane<'e> {
    source: SourceId,
    decoder: DecoderId,
    codes: Codes,
    kind: EventKind,
    events: &'e Events,
    at: usize,
    reached: Option<i64>,
    told: bool,
}

impl Lane<'_> {
    fn len(&self) -> usize {
        match self.kind {
            EventKind::Predictions => self.events.predictions.len(),
            EventKind::Labels => self.events.labels.len(),
            _ => self.events.measurements.len(),
        }
    }

    fn feed(&mut self, pipeline: &Pipeline, rows: usize) {
        let range = self.at..(self.at + rows.max(1)).min(self.len());
        self.at = range.end;
        match self.kind {
            EventKind::Predictions => {
                self.admit(pipeline, |lane| lane.codes.predictions(&lane.events.predictions[range]));
            }
            EventKind::Labels => {
                let kpis = pipeline.policy.kpis.len();
                self.admit(pipeline, |lane| labels(&lane.events.labels[range], kpis));
            }
            _ => self.admit(pipeline, |lane| lane.codes.measurements(&lane.events.measurements[range])),
        }
    }

    fn admit<B: Batch>(&mut self, pipeline: &Pipeline, batch: impl FnOnce(&mut Self) -> B) {
        let mut batch = batch(self);
        let mut intake = pipeline.intake();
        batch.learn(&mut intake, self.decoder);
        let mut done = 0;
        for (row, version) in batch.unknown_versions(&intake) {
            batch.translate(&mut intake, self.decoder, done..row);
            let found = load(&pipeline.policy, &version);
            intake.set_reference(&version, found);
            done = row;
        }
        let rest = done..batch.rows();
        batch.translate(&mut intake, self.decoder, rest);
        let mut job = Job::default();
        pipeline.admit(&mut intake, self.source, &batch, &mut job);
        self.reached = self.reached.max(intake.progress(self.source).max_ts);
        drop(intake);
        pipeline.count(0, &batch, &job);
    }
}

/// What a replay says that reads batches of up to so many rows.
fn replay(policy: &Arc<Policy>, events: &Events, future: i64, most: usize, random: &mut Random) -> Vec<String> {
    let pipeline = Pipeline::new(Arc::clone(policy), Setup::default(), 1);
    let kinds = [EventKind::Predictions, EventKind::Labels, EventKind::Measurements];
    let mut lanes: Vec<Lane> = kinds
        .into_iter()
        .filter(|kind| pipeline.reads(*kind))
        .map(|kind| {
            let mut intake = pipeline.intake();
            let (decoder, source) = (intake.add_decoder(), intake.add_source(kind, future, None));
            let codes = Codes::default();
            Lane { source, decoder, codes, kind, events, at: 0, reached: None, told: false }
        })
        .collect();
    if super::order::by_model(policy) {
        let versions: std::collections::BTreeSet<&str> = events.predictions.iter().map(|p| p.version).collect();
        for version in versions {
            let mut intake = pipeline.intake();
            intake.set_reference(version, load(policy, version));
            intake.expect(version);
        }
    }
    lines(|deliver| {
        loop {
            let left = lanes.iter_mut().filter(|l| l.at < l.len());
            let Some(lane) = left.min_by_key(|l| l.reached.unwrap_or(i64::MIN)) else { break };
            let reached = lane.reached;
            let kind = lane.kind;
            for done in lanes.iter_mut().filter(|l| l.at == l.len() && !l.told && l.reached < reached) {
                done.told = true;
                pipeline.intake().end(done.source);
            }
            let rows = 1 + random.size(most);
            if let Some(lane) = lanes.iter_mut().find(|l| l.kind == kind) {
                lane.feed(&pipeline, rows);
            }
            pipeline.judge_all(deliver);
        }
        pipeline.finish(deliver);
    })
}

fn origin(policy: &Policy) -> Origin {
    Origin { policy: policy.sha256.clone(), config: String::new() }
}

/// Rows of the parts of each kind.
struct Cut {
    kind: EventKind,
    ranges: Vec<std::ops::Range<usize>>,
}

fn any_cuts(random: &mut Random, rows: usize) -> Vec<std::ops::Range<usize>> {
    let mut at: Vec<usize> = (0..random.size(7)).map(|_| random.size(rows + 1)).chain([0, rows]).collect();
    at.sort_unstable();
    at.windows(2).map(|pair| pair[0]..pair[1]).collect()
}

/// What the passes say.
fn passes(policy: &Arc<Policy>, events: &Events, future: i64, random: &mut Random) -> Result<Vec<String>, BatchError> {
    let cuts = [
        (EventKind::Predictions, events.predictions.len()),
        (EventKind::Labels, events.labels.len()),
        (EventKind::Measurements, events.measurements.len()),
    ]
    .map(|(kind, rows)| Cut { kind, ranges: any_cuts(random, rows) });
    let limits = Limits::default();
    let mut scans = Vec::new();
    for cut in &cuts {
        for (place, range) in (0_u32..).zip(&cut.ranges) {
            let mut scanning = Scanning::new(Arc::clone(policy), limits);
            let mut codes = Codes::default();
            for part in parts(range, random) {
                match cut.kind {
                    EventKind::Predictions => scanning.take(&mut codes.predictions(&events.predictions[part])),
                    EventKind::Labels => scanning.take(&mut labels(&events.labels[part], policy.kpis.len())),
                    _ => scanning.take(&mut codes.measurements(&events.measurements[part])),
                }
            }
            let name = format!("{}-{place}", cut.kind.name());
            let split = Split { kind: cut.kind, place, name: name.clone() };
            let scan = scanning.finish(origin(policy), split, (name.clone(), Part::Whole, 0));
            scans.push(Scan::read(&name, &scan.write()?)?);
        }
    }
    // In any order.
    for at in (1..scans.len()).rev() {
        scans.swap(at, random.size(at + 1));
    }
    let range = |kind: EventKind, place: u32| {
        let cut = cuts.iter().find(|c| c.kind == kind).unwrap();
        cut.ranges[place as usize].clone()
    };
    let times = &mut |scan: &Scan, each: &mut dyn FnMut(i64, Option<u64>) -> ControlFlow<()>| {
        let range = range(scan.split.kind, scan.split.place);
        let _ = match scan.split.kind {
            EventKind::Predictions => events.predictions[range]
                .iter()
                .try_for_each(|p| each(p.ts, Some(crate::event::PredictionId::of(&p.id).0 as u64))),
            EventKind::Labels => events.labels[range]
                .iter()
                .try_for_each(|l| each(l.ts, Some(crate::event::PredictionId::of(&l.id).0 as u64))),
            _ => events.measurements[range].iter().try_for_each(|m| each(m.ts, None)),
        };
        Ok(())
    };
    let buckets = u32::try_from(random.between(1, 5)).unwrap();
    let mut streams = Streams { limits, future: ByKind::each(|_| future), times };
    let carry = Carry::new(policy, &origin(policy), scans, buckets, &mut streams)?;
    let mut carry = Carry::read("carry", &carry.write()?)?;
    let mut partials = Vec::new();
    let load = &mut |version: &str| load(policy, version);
    if carry.needs_pairs() {
        let mut shared = Vec::new();
        for part in carry.splits.iter().filter(|s| s.kind != EventKind::Measurements) {
            let mut sharing = Sharing::new(policy, &carry, part, limits)?;
            let mut codes = Codes::default();
            for rows in parts(&range(part.kind, part.place), random) {
                match part.kind {
                    EventKind::Predictions => {
                        sharing.predictions(&mut codes.predictions(&events.predictions[rows]), load);
                    }
                    _ => sharing.labels(&labels(&events.labels[rows], policy.kpis.len())),
                }
            }
            shared.push(sharing.finish()?.write()?.concat());
        }
        let section = |bytes: &Vec<u8>, bucket: u32| -> Result<(SharedHeader, Rows), BatchError> {
            let length = SharedHeader::length(bytes).unwrap();
            let header = SharedHeader::read("h", &bytes[8..8 + usize::try_from(length).unwrap()])?;
            let range = header.section(length, bucket).unwrap();
            let rows = &bytes[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()];
            Ok((header, Rows::read("r", rows)?))
        };
        let mut paired = Vec::new();
        for bucket in 0..carry.plan.buckets {
            let pairing = Pairing::new(policy, &carry.plan, bucket, limits, load)?;
            let sections = shared.iter().map(|bytes| section(bytes, bucket)).collect::<Result<_, _>>()?;
            let found = pairing.join(sections)?;
            let bytes = found.write()?;
            partials.push(read_partial("paired", &bytes)?);
            paired.push(Paired::read("paired", &bytes)?);
        }
        assert!(Counting::new(policy, &carry, &carry.splits[0], limits, load).is_err(), "repeats are not known yet");
        carry = carry.joined(&paired)?;
    }
    for part in carry.splits.iter().filter(|s| s.kind != EventKind::Labels) {
        let mut counting = Counting::new(policy, &carry, part, limits, load)?;
        let mut codes = Codes::default();
        for rows in parts(&range(part.kind, part.place), random) {
            match part.kind {
                EventKind::Predictions => counting.take(&mut codes.predictions(&events.predictions[rows]), load),
                _ => counting.take(&mut codes.measurements(&events.measurements[rows]), load),
            }
        }
        partials.push(Partial::read("partial", &counting.finish()?.write()?)?);
    }
    let merged = merge(partials.clone(), random)?;
    assert_eq!(merge(partials, random)?.write()?, merged.write()?, "the order of merging does not matter");
    let pipeline = judge(policy, merged, limits, load)?;
    Ok(lines(|deliver| pipeline.finish(deliver)))
}

/// Batches of a part.
fn parts(range: &std::ops::Range<usize>, random: &mut Random) -> Vec<std::ops::Range<usize>> {
    any_cuts(random, range.len()).into_iter().map(|r| range.start + r.start..range.start + r.end).collect()
}

/// Adds any two, until one is left.
fn merge(mut partials: Vec<Partial>, random: &mut Random) -> Result<Partial, BatchError> {
    while partials.len() > 1 {
        let a = partials.swap_remove(random.size(partials.len()));
        let b = partials.swap_remove(random.size(partials.len()));
        partials.push(a.and(b)?);
    }
    Ok(partials.remove(0))
}

/// How many of so many streams were refused; all others came to what a replay says.
fn refused(habits: Habits, seeds: std::ops::Range<u64>) -> (usize, usize) {
    let (mut refusals, mut windows) = (0, 0);
    for seed in seeds {
        let random = &mut Random::new(seed);
        let attribute = pick(random, &["label_time", "prediction_time"]);
        let traffic = pick(random, &["version", "version", "model"]);
        let joins = !random.one_in(4);
        let policy = policy(attribute, traffic, joins);
        let events = any_events(random, habits);
        let future = pick(random, &[MINUTE, 10 * MINUTE, crate::window::front::ANY]);
        let whole = replay(&policy, &events, future, 1_000, random);
        let others = [3, 40].map(|most| replay(&policy, &events, future, most, random));
        let found = passes(&policy, &events, future, random);
        let shown = || format!("seed {seed}: {attribute}, traffic {traffic}, labels {joins}, future {future}");
        match found {
            Err(BatchError::Order(why)) => {
                refusals += 1;
                assert!(!why.is_empty());
            }
            Err(e) => panic!("{}: {e}", shown()),
            Ok(found) => {
                for (of, other) in [&whole].into_iter().chain(&others).enumerate() {
                    let differs = found.iter().zip(other).position(|(a, b)| a != b);
                    let differs =
                        differs.or_else(|| (found.len() != other.len()).then_some(found.len().min(other.len())));
                    if let Some(at) = differs {
                        panic!(
                            "{}: of replay {of} line {at} differs\n{:?}\n{:?}",
                            shown(),
                            found.get(at),
                            other.get(at)
                        );
                    }
                }
                windows += found.len();
            }
        }
    }
    (refusals, windows)
}

/// So many streams; a fifth of them where nothing is optimised, which takes eight times as long.
const fn streams(all: u64) -> u64 {
    if cfg!(debug_assertions) { all / 5 } else { all }
}

#[test]
fn parts_come_to_the_verdicts_of_a_replay() {
    let n = streams(100);
    // A clock ahead can put a label long before the second version's prediction.
    let (refusals, windows) = refused(TAME, 0..n);
    assert!(refusals < 20 && windows as u64 > 50 * n, "{refusals} refused, {windows} lines");
}

#[test]
fn what_readings_of_the_same_streams_differ_in_is_refused_and_no_more_than_some() {
    let n = streams(150);
    let (refusals, windows) = refused(WILD, 1_000..1_000 + n);
    let few = 1..n * 2 / 3;
    assert!(few.contains(&(refusals as u64)) && windows as u64 > 33 * n, "{refusals} refused, {windows} lines");
}
