//! Tests of measurements through the coupled pipeline: any order, split and restart gives the same verdicts, no baseline is
//! needed, and a group waits for the streams its rules read.

use proptest::prelude::*;

use super::*;
use crate::event::{Domain, MeasurementBatch, code};
use crate::intake::{DecoderId, SourceId};
use crate::judge::verdict::Status;
use crate::window::front::{ANY, Front};

const VERSIONS: [&str; 2] = ["1", "2"];
const LATENESS: i64 = 30 * SECOND;
const BUSINESS: &str = "  business:
    window: {size: 2m, slide: 1m, lateness: 30s}
    rules:
    - measured: {id: cost, of: cost, lt: 0.5, warn: 0.4}
    - measured: {id: peak, of: cost, lte: 1, agg: max, for: 2}
    - measured: {id: low, of: refunds, gt: 0, agg: min}
    - measured: {id: refunds, of: refunds, lt: 100, agg: sum}
";

#[derive(Clone, Copy, Debug)]
struct Event {
    ts: i64,
    version: u32,
    metric: u32,
    value: f64,
    n: u64,
}

fn event(ts: i64, metric: u32, value: f64, n: u64) -> Event {
    Event { ts, version: 0, metric, value, n }
}

fn batch(events: &[Event], introduce: bool) -> MeasurementBatch {
    let fresh = if introduce { VERSIONS.map(|v| (Domain::Version, v.into())).to_vec() } else { Vec::new() };
    MeasurementBatch {
        ts: events.iter().map(|e| e.ts).collect(),
        version: events.iter().map(|e| e.version).collect(),
        metric: events.iter().map(|e| e.metric).collect(),
        value: events.iter().map(|e| e.value).collect(),
        n: events.iter().map(|e| e.n).collect(),
        fresh,
    }
}

/// Source partitions of measurements alone.
struct Streams {
    pipeline: Pipeline,
    sources: Vec<SourceId>,
    decoder: DecoderId,
    introduced: bool,
}

impl Streams {
    fn new(partitions: usize) -> Self {
        Self::over(Pipeline::new(policy(BUSINESS, ""), Setup::default(), 2), vec![None; partitions])
    }

    fn over(pipeline: Pipeline, fronts: Vec<Option<Front>>) -> Self {
        let add = |front| pipeline.intake().add_source(EventKind::Measurements, ANY, front);
        let sources = fronts.into_iter().map(add).collect();
        let decoder = pipeline.intake().add_decoder();
        Self { decoder, sources, pipeline, introduced: false }
    }

    fn feed(&mut self, partition: usize, events: &[Event]) -> Judgement {
        let mut batch = batch(events, !std::mem::replace(&mut self.introduced, true));
        self.pipeline.intake().translate_measurements(self.decoder, &mut batch);
        feed(&self.pipeline, self.sources[partition], &batch)
    }

    /// Through a checkpoint's bytes and back.
    fn restart(mut self) -> Self {
        let bytes = postcard::to_stdvec(&self.pipeline.state()).unwrap();
        let state: PipelineState = postcard::from_bytes(&bytes).unwrap();
        let policy = policy(BUSINESS, "");
        assert_eq!(state.anew(&policy), None);
        let fronts: Vec<_> = self.sources.iter().map(|s| self.pipeline.intake().front(*s).cloned()).collect();
        let (restored, lost) =
            Pipeline::restore(policy, Setup::default(), 2, state, |v| panic!("a baseline of {v:?} is asked for"));
        assert!(lost.is_empty(), "{lost:?}");
        Self::over(restored, fronts)
    }
}

/// Every verdict in the end, as it is published. `deal` says which partition an event goes to; `cuts`, after which events
/// the process stops and starts again.
fn verdicts(events: &[Event], partitions: usize, deal: &[usize], cuts: &[usize]) -> Vec<String> {
    let mut streams = Streams::new(partitions);
    let mut out = Vec::new();
    for (i, e) in events.iter().enumerate() {
        if cuts.contains(&i) {
            streams = streams.restart();
        }
        out.extend(streams.feed(deal.get(i).copied().unwrap_or(0) % partitions, &[*e]).verdicts);
    }
    // What no rule reads moves the watermark past all windows.
    for partition in 0..partitions {
        let last = event(100 * MINUTE, code::MISSING, 1.0, 1);
        out.extend(streams.feed(partition, &[last, last]).verdicts);
    }
    let counters = streams.pipeline.counters();
    assert_eq!((counters.late, counters.after_close), (0, 0));
    out.sort_by(|a, b| a.order().cmp(&b.order()));
    assert!(out.iter().all(|v| v.window.complete && v.baseline_sha256.is_none() && v.stage.is_none()));
    out.iter().map(|v| serde_json::to_string(v).unwrap()).collect()
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let value = prop_oneof![3 => 0.0..1.2_f64, 1 => -1e12..1e12_f64, 1 => Just(0.5), 1 => Just(0.1)];
    let one = (0..6 * MINUTE, 0..2_u32, 0..2_u32, value, prop_oneof![Just(1), 1..1_000_000_000_u64])
        .prop_map(|(ts, version, metric, value, n)| Event { ts, version, metric, value, n });
    prop::collection::vec(one, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn order_split_and_restarts_change_no_byte(
        mut events in events(),
        jitter in prop::collection::vec(0..=LATENESS, 40),
        deal in prop::collection::vec(0..3_usize, 40),
        partitions in 1..4_usize,
        cuts in prop::collection::vec(0..40_usize, 0..3),
    ) {
        events.sort_by_key(|e| e.ts);
        let first = verdicts(&events, 1, &[], &[]);
        prop_assert!(!first.is_empty());
        let mut late: Vec<(i64, Event)> = events.iter().zip(&jitter).map(|(e, j)| (e.ts + j, *e)).collect();
        late.sort_by_key(|(at, _)| *at);
        let disordered: Vec<Event> = late.into_iter().map(|(_, e)| e).collect();
        prop_assert_eq!(&verdicts(&disordered, partitions, &deal, &cuts), &first);
    }
}

#[test]
fn a_window_says_what_was_measured_in_it() {
    let mut streams = Streams::new(1);
    let judged = streams.feed(
        0,
        &[
            event(10 * SECOND, 0, 0.42, 1200),
            event(20 * SECOND, 0, 0.5, 800),
            event(70 * SECOND, 0, 1.5, 1),
            event(80 * SECOND, 1, 60.0, 2),
            event(4 * MINUTE, 0, 0.1, 1),
        ],
    );
    let of = |end: i64| -> Vec<(Option<f64>, u64, Status)> {
        let verdict = judged.verdicts.iter().find(|v| v.window.end == end * MINUTE).unwrap();
        verdict.results.iter().map(|r| (r.value, r.get("n").unwrap().as_u64().unwrap(), r.status)).collect()
    };
    let nothing = (None, 0, Status::Insufficient);
    assert_eq!(of(1), [(Some(0.452), 2000, Status::Warn), (Some(0.5), 2000, Status::Pass), nothing, nothing]);
    // 905.5 / 2001, then the first minute has slid out.
    let refunds = [(Some(60.0), 2, Status::Pass), (Some(120.0), 2, Status::Block)];
    assert_eq!(of(2)[..2], [(Some(905.5 / 2001.0), 2001, Status::Warn), (Some(1.5), 2001, Status::Block)]);
    assert_eq!(of(3), [[(Some(1.5), 1, Status::Block), (Some(1.5), 1, Status::Block)], refunds].concat());
    assert_eq!(of(2)[2..], refunds);
    let peak = |end: i64| &judged.verdicts.iter().find(|v| v.window.end == end * MINUTE).unwrap().results[1];
    assert_eq!((peak(2).pending, peak(3).pending), (true, false), "`for: 2`");
    assert_eq!(serde_json::to_value(peak(2)).unwrap()["subject"], "cost");
    assert_eq!((&*peak(2).metric, peak(2).get("method").unwrap().as_str()), ("measured", Some("max")));
    assert_eq!(judged.verdicts.len(), 3, "and none where nothing was measured");
    assert_eq!((judged.verdicts[0].counted.predictions, judged.verdicts[0].counted.labels), (0, 0));
}

#[test]
fn late_ignored_and_closed_measurements_are_counted_as_such() {
    let rest = "ignore: [{from: 1970-01-01T00:10:00Z, to: 1970-01-01T00:11:00Z, reason: test}]\n";
    let mut streams = Streams::over(Pipeline::new(policy(BUSINESS, rest), Setup::default(), 2), vec![None, None]);
    let at = |ts| event(ts, 0, 0.1, 1);
    streams.feed(0, &[at(5 * MINUTE), at(5 * MINUTE), at(4 * MINUTE), at(4 * MINUTE + LATENESS), at(10 * MINUTE)]);
    streams.sources.truncate(1);
    let counters = streams.pipeline.counters();
    assert_eq!((counters.measurements, counters.late, counters.ignored, counters.after_close), (5, 1, 1, 0));
    // A partition that begins behind the line.
    let mut streams = Streams::new(1);
    streams.feed(0, &[at(5 * MINUTE), at(5 * MINUTE)]);
    streams.sources.push(streams.pipeline.intake().add_source(EventKind::Measurements, ANY, None));
    streams.feed(1, &[at(MINUTE)]);
    assert_eq!(streams.pipeline.counters().after_close, 1);
}

#[test]
fn a_group_of_both_waits_for_both_and_each_rule_judges_what_it_reads() {
    let both = "  slo:
    window: {size: 1m, slide: 1m}
    rules:
    - latency_p95_ms: {lt: 80}
    - measured: {of: cost, lt: 0.5}
";
    let mut feed = Feed::new(policy(both, ""));
    let source = feed.pipeline.intake().add_source(EventKind::Measurements, ANY, None);
    let decoder = feed.pipeline.intake().add_decoder();
    let rows: Vec<_> = [0, 1, 3].into_iter().flat_map(|at| minute(at, 0.0)).collect();
    assert!(feed.predict(&rows).verdicts.is_empty(), "no measurement has come yet");
    let events = [event(SECOND, 0, 0.1, 1), event(2 * MINUTE, 0, 0.7, 1), event(3 * MINUTE, 0, 0.1, 1)];
    let mut batch = batch(&events, true);
    feed.pipeline.intake().translate_measurements(decoder, &mut batch);
    let judged = self::feed(&feed.pipeline, source, &batch);
    let said: Vec<_> =
        judged.verdicts.iter().map(|v| (v.window.end / MINUTE, v.results[0].status, v.results[1].status)).collect();
    use Status::{Block, Insufficient, Pass};
    assert_eq!(said, [(1, Pass, Pass), (2, Pass, Insufficient), (3, Insufficient, Block)]);
    let alone = &judged.verdicts[2];
    assert_eq!(alone.results[0].reason.as_deref(), Some("the window holds measurements only"));
    assert_eq!((alone.baseline_sha256.as_deref(), alone.stage.as_deref()), (None, None));
    assert!(judged.verdicts[0].baseline_sha256.is_some() && judged.verdicts[0].counted.predictions == 60);
}

#[test]
fn predictions_neither_hold_nor_count_in_a_group_of_measurements() {
    let mut feed = Feed::new(policy(BUSINESS, ""));
    let source = feed.pipeline.intake().add_source(EventKind::Measurements, ANY, None);
    let decoder = feed.pipeline.intake().add_decoder();
    assert!(feed.predict(&minute(0, 0.0)).verdicts.is_empty());
    let mut batch = batch(&[event(SECOND, 0, 0.1, 1), event(3 * MINUTE, 0, 0.1, 1)], true);
    feed.pipeline.intake().translate_measurements(decoder, &mut batch);
    let judged = self::feed(&feed.pipeline, source, &batch);
    assert_eq!(judged.verdicts.len(), 2);
    assert!(judged.verdicts.iter().all(|v| v.counted.predictions == 0 && v.baseline_sha256.is_none()));
}
