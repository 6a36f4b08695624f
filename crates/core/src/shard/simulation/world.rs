//! Logs in memory, processes that count shards and evaluate, and everything that may happen to them: one step after the other, drawn from a
//! seed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use super::events::{Coder, Event, PARTITIONS, Random, Record, events, labels, policy, reference};
use crate::evaluate::Judgement;
use crate::event::EventKind;
use crate::intake::job::Job;
use crate::intake::{DecoderId, Setup, SourceId};
use crate::pipeline::batch::Batch;
use crate::pipeline::{Pipeline, PipelineState};
use crate::policy::Policy;
use crate::shard::{Delta, Evaluation, EvaluationState, Place, PlaceOf, Shard, setup};
use crate::window::front::ANY;

const KINDS: [EventKind; 2] = [EventKind::Predictions, EventKind::Labels];

/// What is done wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// A shard whose process died goes on behind what that one had read, and not behind its last commit.
    KeepsPosition,
    /// The evaluator takes a shard at its word that a partition is idle, without a look whether it holds more.
    BelievesIdle,
    /// The evaluator reads a delta again after a restart, and its number does not tell.
    AddsTwice,
    /// The evaluator goes on behind what it had read, and not behind its last commit.
    SkipsDeltas,
    /// A partition of which nothing is known yet does not hold its stream.
    ForgetsUnread,
}

impl Mistake {
    pub const ALL: [Self; 5] =
        [Self::KeepsPosition, Self::BelievesIdle, Self::AddsTwice, Self::SkipsDeltas, Self::ForgetsUnread];
}

/// What a shard's last commit keeps: one transaction with its delta.
#[derive(Clone)]
struct Kept {
    seq: u64,
    next: [usize; 2],
    /// As bytes.
    state: Vec<u8>,
    fronts: Vec<Option<crate::window::front::Front>>,
}

/// A process that counts a shard.
struct Counting {
    pipeline: Pipeline,
    shard: Shard,
    sources: [SourceId; 2],
    decoder: DecoderId,
    coder: Coder,
    next: [usize; 2],
    /// Rows were read that wait for a decision over their version.
    asks: BTreeSet<String>,
}

/// A process that evaluates, from its position in the log of deltas on.
struct Evaluating {
    pipeline: Pipeline,
    evaluation: Evaluation,
    next: usize,
    /// Verdicts and signals since its last commit.
    said: Vec<String>,
}

pub struct World {
    random: Random,
    policy: Arc<Policy>,
    mistake: Option<Mistake>,
    /// What is to be appended, in order, and how much of it was.
    events: Vec<Event>,
    appended: usize,
    /// Records by kind and partition.
    logs: [Vec<Vec<Record>>; 2],
    shards: Vec<Option<Counting>>,
    kept: Vec<Option<Kept>>,
    /// The log of deltas.
    deltas: Vec<Vec<u8>>,
    decided: BTreeSet<String>,
    evaluating: Option<Evaluating>,
    kept_evaluation: Option<(Vec<u8>, Vec<u8>, usize)>,
    /// The shard whose last delta is added once more, where that is the mistake.
    again: Option<u32>,
    /// What was said in committed transactions.
    said: Vec<String>,
    diary: String,
}

fn place(kind: usize, partition: u32) -> Place {
    Place { topic: ["p", "l"][kind].into(), partition: i32::try_from(partition).unwrap() }
}

fn lines(judged: &Judgement, out: &mut Vec<String>) {
    out.extend(judged.verdicts.iter().map(|v| serde_json::to_string(v).unwrap()));
    out.extend(judged.signals.iter().map(|s| serde_json::to_string(s).unwrap()));
}

/// Admits and counts rows of a partition.
fn feed<B: Batch>(pipeline: &Pipeline, (source, decoder): (SourceId, DecoderId), mut batch: B) {
    let mut job = Job::default();
    let mut intake = pipeline.intake();
    batch.learn(&mut intake, decoder);
    let rows = 0..batch.rows();
    batch.translate(&mut intake, decoder, rows);
    pipeline.admit(&mut intake, source, &batch, &mut job);
    drop(intake);
    pipeline.count(0, &batch, &job);
}

fn read(pipeline: &Pipeline, kind: usize, at: (SourceId, DecoderId), coder: &mut Coder, records: &[Record]) {
    if kind == 0 {
        let rows = records.iter().map(|r| if let Record::Prediction(p) = r { p.clone() } else { unreachable!() });
        feed(pipeline, at, coder.predictions(&rows.collect::<Vec<_>>()));
    } else {
        let rows = records.iter().map(|r| if let Record::Label(l) = r { l.clone() } else { unreachable!() });
        feed(pipeline, at, labels(&rows.collect::<Vec<_>>()));
    }
}

impl World {
    pub fn new(seed: u64, mistake: Option<Mistake>) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let policy = policy(random.pick(&["label_time", "prediction_time"]));
        let events = events(&mut random);
        let n = PARTITIONS as usize;
        Self {
            random,
            policy,
            mistake,
            events,
            appended: 0,
            logs: [vec![Vec::new(); n], vec![Vec::new(); n]],
            shards: (0..n).map(|_| None).collect(),
            kept: vec![None; n],
            deltas: Vec::new(),
            decided: BTreeSet::new(),
            evaluating: None,
            kept_evaluation: None,
            again: None,
            said: Vec::new(),
            diary: String::new(),
        }
    }

    fn is(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }

    fn note(&mut self, text: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.diary, "{text}");
    }

    /// The last steps.
    pub fn told(&self) -> String {
        let lines: Vec<&str> = self.diary.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }

    fn append(&mut self) {
        let many = 1 + self.random.below(12);
        for _ in 0..many {
            let Some(event) = self.events.get(self.appended).cloned() else { return };
            self.appended += 1;
            let kind = usize::from(matches!(event.record, Record::Label(_)));
            self.logs[kind][event.partition as usize].push(event.record);
        }
    }

    /// A process takes a shard over, from its last commit.
    fn take_over(&mut self, number: u32) {
        let at = number as usize;
        let policy = Arc::clone(&self.policy);
        let (pipeline, seq, fronts, next) = match &self.kept[at] {
            None => (Pipeline::new(policy, setup(Setup::default()), 1), 0, vec![None; 2], [0; 2]),
            Some(kept) => (self.restored(&kept.state), kept.seq, kept.fronts.clone(), kept.next),
        };
        let mut shard = Shard::new(&self.policy, number, seq);
        let sources = [0, 1].map(|kind| pipeline.intake().add_source(KINDS[kind], ANY, fronts[kind].clone()));
        for (kind, source) in sources.into_iter().enumerate() {
            shard.reads(place(kind, number), source);
        }
        let decoder = pipeline.intake().add_decoder();
        for version in &self.decided {
            if pipeline.intake().is_unknown(version) {
                pipeline.intake().set_reference(version, reference(&self.policy, version));
            }
        }
        self.note(format_args!("shard {number} is taken over at {next:?}, delta {}", shard.seq()));
        self.shards[at] =
            Some(Counting { pipeline, shard, sources, decoder, coder: Coder::default(), next, asks: BTreeSet::new() });
    }

    fn crash(&mut self, number: u32) {
        let at = number as usize;
        let keeps = self.is(Mistake::KeepsPosition);
        if let Some(dead) = self.shards[at].take()
            && keeps
            && let Some(kept) = &mut self.kept[at]
        {
            kept.next = dead.next;
        }
        self.note(format_args!("the process of shard {number} dies"));
    }

    /// A shard reads on, up to the first row whose version is not decided.
    fn count(&mut self, number: u32) {
        let kind = usize::from(self.random.below(2) == 1);
        let many = 1 + usize::try_from(self.random.below(20)).unwrap();
        let Some(counting) = &mut self.shards[number as usize] else { return };
        let log = &self.logs[kind][number as usize];
        let from = counting.next[kind];
        let to = (from + many).min(log.len());
        let undecided = |record: &Record| match record {
            Record::Prediction(p) => (!self.decided.contains(p.version)).then(|| p.version.to_owned()),
            Record::Label(_) => None,
        };
        let waits = log[from..to].iter().position(|record| undecided(record).is_some());
        let to = waits.map_or(to, |at| from + at);
        counting.asks = waits.and_then(|at| undecided(&log[from + at])).into_iter().collect();
        if to > from {
            let at = (counting.sources[kind], counting.decoder);
            read(&counting.pipeline, kind, at, &mut counting.coder, &log[from..to]);
            counting.next[kind] = to;
        }
    }

    /// A shard commits: position, state and delta in one.
    fn commit(&mut self, number: u32) {
        let ends = [0, 1].map(|kind| self.logs[kind][number as usize].len());
        let Some(counting) = &mut self.shards[number as usize] else { return };
        let next = counting.next;
        // Quiet as far as the shard has seen: what is appended later, it cannot know.
        let at = |place: &Place| {
            let kind = usize::from(place.topic == "l");
            (next[kind] as u64, next[kind] == ends[kind])
        };
        let delta = counting.shard.take_delta(&counting.pipeline, at, counting.asks.clone()).unwrap();
        let fronts = counting.sources.map(|s| counting.pipeline.intake().front(s).cloned()).to_vec();
        let state = postcard::to_stdvec(&counting.pipeline.state()).unwrap();
        self.kept[number as usize] = Some(Kept { seq: counting.shard.seq(), next, state, fronts });
        self.deltas.push(delta.write().unwrap());
        self.note(format_args!("shard {number} commits delta {} at {next:?}", delta.seq));
    }

    fn places() -> Vec<PlaceOf> {
        let of = |kind: usize, p| PlaceOf { place: place(kind, p), kind: KINDS[kind], future: ANY };
        (0..2).flat_map(|kind| (0..PARTITIONS).map(move |p| of(kind, p))).collect()
    }

    /// A pipeline as a commit kept it.
    fn restored(&self, state: &[u8]) -> Pipeline {
        let state: PipelineState = postcard::from_bytes(state).unwrap();
        let load = |version: &str| reference(&self.policy, version);
        Pipeline::restore(Arc::clone(&self.policy), setup(Setup::default()), 1, state, load).0
    }

    fn evaluator(&mut self) -> &mut Evaluating {
        if self.evaluating.is_none() {
            let places = Self::places();
            let policy = Arc::clone(&self.policy);
            let (pipeline, state, next) = match &self.kept_evaluation {
                None => (Pipeline::new(policy, setup(Setup::default()), 1), EvaluationState::default(), 0),
                Some((pipeline, state, next)) => (self.restored(pipeline), postcard::from_bytes(state).unwrap(), *next),
            };
            let mut evaluation = Evaluation::new(&pipeline, &places, state);
            for version in &self.decided {
                if pipeline.intake().is_unknown(version) {
                    pipeline.intake().set_reference(version, reference(&self.policy, version));
                }
            }
            if let Some(shard) = self.again.take() {
                evaluation.expect_again(shard);
            }
            self.evaluating = Some(Evaluating { pipeline, evaluation, next, said: Vec::new() });
        }
        self.evaluating.as_mut().unwrap()
    }

    /// The evaluator reads a delta; it decides what is asked.
    fn evaluate(&mut self) {
        let policy = Arc::clone(&self.policy);
        self.evaluator();
        let Some(evaluating) = &mut self.evaluating else { return };
        let Some(bytes) = self.deltas.get(evaluating.next) else { return };
        let delta = Delta::read(bytes).unwrap();
        for version in &delta.asks {
            if evaluating.pipeline.intake().is_unknown(version) {
                evaluating.pipeline.intake().set_reference(version, reference(&policy, version));
            }
        }
        let asked = delta.asks.clone();
        match evaluating.evaluation.add(&evaluating.pipeline, delta) {
            Ok(()) => evaluating.next += 1,
            // A mistake that is noticed at once: whoever goes on all the same has lost the delta.
            Err(_) if self.mistake.is_some() => evaluating.next += 1,
            Err(e) => panic!("{e}\n{}", self.told()),
        }
        // The decision is published with the evaluator's commit.
        for version in asked {
            self.decide(&version);
        }
    }

    fn decide(&mut self, version: &str) {
        if !self.decided.insert(version.to_owned()) {
            return;
        }
        // It is in the evaluator's state from here on, as in a commit of its own.
        self.commit_evaluation();
        for counting in self.shards.iter().flatten() {
            counting.pipeline.intake().set_reference(version, reference(&self.policy, version));
        }
    }

    fn judge(&mut self) {
        self.evaluator();
        let believes = self.is(Mistake::BelievesIdle);
        let (unread, all) = (self.is(Mistake::ForgetsUnread), Self::places());
        let Some(evaluating) = &mut self.evaluating else { return };
        if unread {
            evaluating.evaluation.forget_unread(&all);
        }
        let logs = &self.logs;
        let is_read = |place: &Place, next: u64| {
            let log = &logs[usize::from(place.topic == "l")][usize::try_from(place.partition).unwrap()];
            believes || log.len() as u64 == next
        };
        let Evaluating { pipeline, evaluation, said, .. } = evaluating;
        let read: BTreeSet<Place> = evaluation
            .standing()
            .filter(|(place, stands)| is_read(place, stands.next_offset))
            .map(|(place, _)| place.clone())
            .collect();
        evaluation.confirm(pipeline, |place| read.contains(place));
        pipeline.judge_all(&mut |judged, _| lines(&judged, said));
    }

    /// The evaluator commits: position, state and what it said in one.
    fn commit_evaluation(&mut self) {
        let Some(evaluating) = &mut self.evaluating else { return };
        let pipeline = postcard::to_stdvec(&evaluating.pipeline.state()).unwrap();
        let state = postcard::to_stdvec(&evaluating.evaluation.state()).unwrap();
        self.kept_evaluation = Some((pipeline, state, evaluating.next));
        self.said.append(&mut evaluating.said);
    }

    fn crash_evaluator(&mut self) {
        let (skips, twice) = (self.is(Mistake::SkipsDeltas), self.is(Mistake::AddsTwice));
        let Some(dead) = self.evaluating.take() else { return };
        if let Some((.., next)) = &mut self.kept_evaluation {
            if skips {
                *next = dead.next;
            }
            if twice && *next > 0 {
                *next -= 1;
                self.again = Delta::read(&self.deltas[*next]).ok().map(|delta| delta.shard);
            }
        }
        self.note(format_args!("the evaluator dies"));
    }

    fn step(&mut self) {
        let number = u32::try_from(self.random.below(u64::from(PARTITIONS))).unwrap();
        match self.random.below(100) {
            0..18 => self.append(),
            18..50 => {
                if self.shards[number as usize].is_none() {
                    self.take_over(number);
                }
                self.count(number);
            }
            50..64 => self.commit(number),
            64..82 => self.evaluate(),
            82..90 => self.judge(),
            90..94 => self.commit_evaluation(),
            94..97 => self.crash(number),
            97..98 => self.crash_evaluator(),
            // A pause: the others go on for a while.
            _ => {
                for _ in 0..self.random.below(12) {
                    let other = (number + 1) % PARTITIONS;
                    self.append();
                    self.count(other);
                    self.commit(other);
                    self.evaluate();
                    self.judge();
                }
            }
        }
    }

    /// Steps until everything is read and judged.
    pub fn run(&mut self) {
        while self.appended < self.events.len() {
            self.step();
        }
        for _ in 0..self.random.below(60) {
            self.step();
        }
        // Everything that is left, in order.
        let left = |world: &Self| {
            (0..PARTITIONS as usize).any(|p| {
                let ends = [0, 1].map(|kind| world.logs[kind][p].len());
                world.kept[p].as_ref().is_none_or(|kept| kept.next != ends)
            })
        };
        while left(self) {
            for number in 0..PARTITIONS {
                if self.shards[number as usize].is_none() {
                    self.take_over(number);
                }
                (0..8).for_each(|_| self.count(number));
                self.commit(number);
            }
            while self.evaluating.as_ref().is_none_or(|e| e.next < self.deltas.len()) {
                self.evaluate();
            }
        }
        while self.evaluating.as_ref().is_none_or(|e| e.next < self.deltas.len()) {
            self.evaluate();
        }
        self.judge();
        self.commit_evaluation();
    }

    /// What one pipeline says that reads all partitions, each in its order: another one with each call.
    fn expected(&mut self) -> BTreeSet<String> {
        let pipeline = Pipeline::new(Arc::clone(&self.policy), Setup::default(), 1);
        for version in ["1", "2", "bare"] {
            pipeline.intake().set_reference(version, reference(&self.policy, version));
        }
        let mut places = BTreeMap::new();
        for (kind, number) in (0..2).flat_map(|kind| (0..PARTITIONS).map(move |p| (kind, p))) {
            let source = pipeline.intake().add_source(KINDS[kind], ANY, None);
            let decoder = pipeline.intake().add_decoder();
            places.insert((kind, number), ((source, decoder), Coder::default(), 0_usize));
        }
        // As it is appended, a record at a time.
        let mut out = Vec::new();
        for event in &self.events {
            let kind = usize::from(matches!(event.record, Record::Label(_)));
            let (at, coder, _) = places.get_mut(&(kind, event.partition)).unwrap();
            read(&pipeline, kind, *at, coder, std::slice::from_ref(&event.record));
            pipeline.judge_all(&mut |judged, _| lines(&judged, &mut out));
        }
        out.into_iter().collect()
    }

    /// How many lines are as they should be, or what is not.
    pub fn compare(&mut self) -> Result<usize, String> {
        let expected = self.expected();
        let found: BTreeSet<String> = self.said.iter().cloned().collect();
        if found.len() != self.said.len() {
            return Err(format!("{} lines were said twice", self.said.len() - found.len()));
        }
        let missing = expected.difference(&found).next();
        let unknown = found.difference(&expected).next();
        match (missing, unknown) {
            (None, None) => Ok(found.len()),
            _ => Err(format!(
                "{} lines where {} are expected\nmissing {missing:?}\nunknown {unknown:?}",
                found.len(),
                expected.len()
            )),
        }
    }
}
