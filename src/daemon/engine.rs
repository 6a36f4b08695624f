//! The counting thread: reads partitions in turn, decodes, counts, closes windows, hands verdicts and signals to the
//! outbox, and writes checkpoints. Everything else only asks it through the view.

mod pace;
mod show;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::loader::Loader;
use super::topics::{Batches, Topic};
use crate::checkpoint::{Checkpoint, SourceState, Store};
use crate::clock::now_ms;
use crate::evaluate::Judgement;
use crate::event::PredictionBatch;
use crate::intake::versions::Reference;
use crate::intake::{DecoderId, Setup, SourceId};
use crate::judge::verdict::Action;
use crate::pipeline::Pipeline;
use crate::policy::Policy;
use crate::publish::Item;
use crate::publish::outbox::Outbox;
use crate::registry::Registry;
use crate::source::kafka::KafkaSource;
use crate::view::Shared;

pub use show::new_model_view;

/// Messages read from one partition before the next has its turn.
const ROUND: usize = 2048;
/// How long the thread waits when there is nothing to read.
const WAIT: Duration = Duration::from_millis(10);
/// How often stage pointers are asked for.
const PINS_EVERY: Duration = Duration::from_secs(5);
/// Items that may wait for the outlets before reading pauses.
const OUTBOX_BOUND: usize = 20_000;

/// One model's pipeline and how sources map to it.
pub struct Model {
    pub pipeline: Pipeline,
    /// By topic index: the decoder whose codes its batches carry.
    decoders: BTreeMap<usize, DecoderId>,
}

/// What the engine knows of a partition, beside the source's own.
struct Place {
    topic: usize,
    /// By model index.
    sources: BTreeMap<usize, SourceId>,
    /// By model index: when its last event was read.
    last_event: BTreeMap<usize, Instant>,
    /// Everything before this offset is counted.
    counted: Option<i64>,
    /// Batches that wait for a baseline, by model index, with their decoder.
    parked: Vec<(usize, DecoderId, PredictionBatch)>,
    paused: bool,
}

/// The counting thread's state.
pub struct Engine {
    pub models: Vec<Model>,
    pub topics: Vec<Topic>,
    pub kafka: KafkaSource,
    places: Vec<Place>,
    pub loader: Loader,
    pub outbox: Outbox,
    pub store: Store,
    pub registry: Arc<dyn Registry>,
    pub view: Shared,
    pub idle_after: Duration,
    pub checkpoint_every: Duration,
    pub dead_letters: Option<super::dead::DeadLetters>,
}

impl Engine {
    /// Adds a model; sources are attached by `attach`.
    #[must_use]
    pub fn model(pipeline: Pipeline) -> Model {
        Model { pipeline, decoders: BTreeMap::new() }
    }

    /// Tells every model of its topics' decoders, whose codes start anew.
    fn add_decoders(&mut self) {
        for (t, topic) in self.topics.iter().enumerate() {
            for &m in &topic.models {
                if let Some(model) = self.models.get_mut(m) {
                    model.decoders.insert(t, model.pipeline.intake.add_decoder());
                }
            }
        }
    }

    /// Connects the assigned partitions to the models, with the largest times a checkpoint kept.
    pub fn attach(&mut self, kept: &[SourceState]) {
        self.add_decoders();
        let now = Instant::now();
        self.places = Vec::new();
        for partition in &self.kafka.partitions {
            let Some(t) = self.topics.iter().position(|t| t.name == partition.topic) else { continue };
            let state = kept.iter().find(|s| s.topic == partition.topic && s.partition == partition.partition);
            let mut place = Place {
                topic: t,
                sources: BTreeMap::new(),
                last_event: BTreeMap::new(),
                counted: partition.next,
                parked: Vec::new(),
                paused: false,
            };
            let Some(topic) = self.topics.get(t) else { continue };
            for &m in &topic.models {
                let Some(model) = self.models.get_mut(m) else { continue };
                if !model.pipeline.reads(topic.kind) {
                    continue;
                }
                let name = &model.pipeline.policy.model;
                let max_ts = state.and_then(|s| s.max_ts.iter().find(|(n, _)| n == name)).and_then(|(_, ts)| *ts);
                place.sources.insert(m, model.pipeline.intake.add_source_at(topic.kind, max_ts));
                place.last_event.insert(m, now);
            }
            self.places.push(place);
        }
    }

    /// Starts a model's counts anew under another policy, from where its topics stand now.
    pub fn start_anew(&mut self, policy: &Arc<Policy>, setup: Setup, topics: Vec<Topic>) {
        let Some(at) = self.models.iter().position(|m| m.pipeline.policy.model == policy.model) else { return };
        let pinned: Vec<String> = self
            .models
            .get(at)
            .into_iter()
            .flat_map(|m| m.pipeline.intake.versions())
            .filter(|(_, _, v)| v.pinned)
            .map(|(_, n, _)| n.to_owned())
            .collect();
        if let Some(model) = self.models.get_mut(at) {
            *model = Self::model(Pipeline::new(Arc::clone(policy), setup));
            for version in pinned {
                model.pipeline.intake.pin(&version, true);
                self.loader.start(policy, &version);
            }
        }
        // Slots changed, so every topic decodes anew; what was counted by topic goes on.
        for (old, mut new) in self.topics.iter_mut().zip(topics) {
            new.events = old.events;
            new.rejected = std::mem::take(&mut old.rejected);
            new.unknown_model = old.unknown_model;
            *old = new;
        }
        let now = Instant::now();
        self.add_decoders();
        for (place, partition) in self.places.iter_mut().zip(&self.kafka.partitions) {
            place.parked.retain(|(m, ..)| *m != at);
            if place.parked.is_empty() {
                place.counted = partition.next;
            }
            let (Some(topic), Some(model)) = (self.topics.get(place.topic), self.models.get_mut(at)) else { continue };
            place.sources.remove(&at);
            if topic.models.contains(&at) && model.pipeline.reads(topic.kind) {
                place.sources.insert(at, model.pipeline.intake.add_source(topic.kind));
                place.last_event.insert(at, now);
            }
        }
        let mut view = self.view.write();
        if let Some(model) = self.models.get(at) {
            view.models.insert(policy.model.clone(), new_model_view(&model.pipeline));
        }
    }

    /// Runs until `stop` says so; then everything read is counted, closed and saved.
    ///
    /// # Errors
    /// A checkpoint that cannot be written at the end.
    pub fn run(&mut self, stop: &dyn Fn() -> bool, reload: &mut dyn FnMut(&mut Self)) -> anyhow::Result<()> {
        let mut saved = Instant::now();
        let mut shown = Instant::now();
        let mut pinned = Instant::now();
        self.pin_registered();
        while !stop() {
            reload(self);
            if let Some(e) = self.kafka.serve(Duration::ZERO) {
                tracing::warn!(error = %e, "kafka");
            }
            let mut read = 0;
            if self.outbox.settle() < OUTBOX_BOUND {
                self.pause_what_runs_ahead();
                for at in 0..self.places.len() {
                    read += self.round(at);
                }
            }
            self.baselines();
            self.idle();
            for m in 0..self.models.len() {
                self.advance(m);
            }
            if saved.elapsed() >= self.checkpoint_every {
                self.save();
                saved = Instant::now();
            }
            if shown.elapsed() >= Duration::from_millis(500) {
                self.show();
                shown = Instant::now();
            }
            if pinned.elapsed() >= PINS_EVERY {
                self.pin_registered();
                pinned = Instant::now();
            }
            if read == 0
                && let Some(e) = self.kafka.serve(WAIT)
            {
                tracing::warn!(error = %e, "kafka");
            }
        }
        tracing::info!("stopping: delivering and saving what was counted");
        if !self.outbox.flush(Duration::from_secs(10)) {
            tracing::warn!("some verdicts and signals are not delivered yet; they are kept and sent after the restart");
        }
        self.show();
        self.write_checkpoint().map(|_| ())
    }

    /// Versions with a stage pointer stay active, and their baselines are loaded before their first event.
    fn pin_registered(&mut self) {
        for model in &mut self.models {
            let policy = Arc::clone(&model.pipeline.policy);
            let records = match self.registry.versions(Some(&policy.model)) {
                Ok(records) => records,
                Err(e) => {
                    tracing::warn!(model = policy.model, error = %e, "the registry does not say which versions have a stage");
                    continue;
                }
            };
            for record in records {
                let staged = !record.stages.is_empty();
                if staged || model.pipeline.intake.names().version_code(&record.version).is_some() {
                    model.pipeline.intake.pin(&record.version, staged);
                }
                if staged && model.pipeline.intake.is_unknown(&record.version) {
                    self.loader.start(&policy, &record.version);
                }
            }
        }
    }

    /// Reads a partition's turn; returns how many messages there were.
    fn round(&mut self, at: usize) -> usize {
        let (Some(partition), Some(place)) = (self.kafka.partitions.get_mut(at), self.places.get_mut(at)) else {
            return 0;
        };
        if place.paused || !place.parked.is_empty() {
            return 0;
        }
        let Some(topic) = self.topics.get_mut(place.topic) else { return 0 };
        let now = now_ms();
        let drained = partition.drain(ROUND, |message| topic.read(message, now));
        if drained.messages == 0 {
            return 0;
        }
        let next = partition.next;
        self.count(at);
        if let Some(place) = self.places.get_mut(at).filter(|p| p.parked.is_empty()) {
            place.counted = next;
        }
        drained.messages
    }

    /// Counts the batches that a partition's turn filled; all of them wait if one must, so that an offset stands for all.
    fn count(&mut self, at: usize) {
        let Some(place) = self.places.get_mut(at) else { return };
        let Some(topic) = self.topics.get_mut(place.topic) else { return };
        let now = Instant::now();
        match &mut topic.batches {
            Batches::Predictions(batches) => {
                for (m, batch) in batches.iter_mut().enumerate().filter(|(_, b)| !b.is_empty() || !b.fresh.is_empty()) {
                    let Some(model) = self.models.get_mut(m).filter(|_| place.sources.contains_key(&m)) else {
                        batch.clear();
                        continue;
                    };
                    let decoder = model.decoders.get(&place.topic).copied().unwrap_or(DecoderId(usize::MAX));
                    let intake = &mut model.pipeline.intake;
                    intake.learn(decoder, batch);
                    if !batch.is_empty() {
                        place.last_event.insert(m, now);
                        let schema = intake.schema();
                        let (n, c, s) = (schema.numeric.len(), schema.categorical.len(), schema.segmentations.len());
                        place.parked.push((m, decoder, std::mem::replace(batch, PredictionBatch::new(n, c, s))));
                    }
                }
                Self::count_parked(place, &mut self.models, &mut self.loader, batches);
            }
            Batches::Labels(batches) => {
                for (m, batch) in batches.iter_mut().enumerate().filter(|(_, b)| !b.is_empty()) {
                    if let (Some(model), Some(&source)) = (self.models.get_mut(m), place.sources.get(&m)) {
                        model.pipeline.intake.labels(source, batch);
                        place.last_event.insert(m, now);
                    }
                    batch.clear();
                }
            }
            Batches::Features(batches) => {
                for (m, batch) in batches.iter_mut().enumerate().filter(|(_, b)| !b.is_empty() || !b.fresh.is_empty()) {
                    if let (Some(model), Some(&source)) = (self.models.get_mut(m), place.sources.get(&m)) {
                        let decoder = model.decoders.get(&place.topic).copied().unwrap_or(DecoderId(usize::MAX));
                        model.pipeline.intake.translate_features(decoder, batch);
                        model.pipeline.intake.features(source, batch);
                        place.last_event.insert(m, now);
                    }
                    batch.clear();
                }
            }
            Batches::Measurements(batches) => {
                for (m, batch) in batches.iter_mut().enumerate().filter(|(_, b)| !b.is_empty() || !b.fresh.is_empty()) {
                    if let (Some(model), Some(&source)) = (self.models.get_mut(m), place.sources.get(&m)) {
                        let decoder = model.decoders.get(&place.topic).copied().unwrap_or(DecoderId(usize::MAX));
                        model.pipeline.intake.translate_measurements(decoder, batch);
                        model.pipeline.intake.measurements(source, batch);
                        place.last_event.insert(m, now);
                    }
                    batch.clear();
                }
            }
        }
        match &mut self.dead_letters {
            Some(dead) => dead.send(topic.dead.drain(..)),
            None => topic.dead.clear(),
        }
    }

    /// Counts a partition's waiting batches once every version in them is known; the batches' memory goes back to `spare`.
    fn count_parked(place: &mut Place, models: &mut [Model], loader: &mut Loader, spare: &mut [PredictionBatch]) {
        let mut wait = false;
        for (m, _, batch) in &place.parked {
            let Some(model) = models.get(*m) else { continue };
            for version in model.pipeline.intake.unknown_versions(batch) {
                loader.start(&model.pipeline.policy, &version);
                wait = true;
            }
        }
        if wait {
            return;
        }
        for (m, decoder, mut batch) in place.parked.drain(..) {
            if let (Some(model), Some(&source)) = (models.get_mut(m), place.sources.get(&m)) {
                model.pipeline.intake.translate(decoder, &mut batch);
                model.pipeline.intake.predictions(source, &batch);
            }
            if let Some(spare) = spare.get_mut(m) {
                batch.clear();
                *spare = batch;
            }
        }
    }

    /// Takes over baselines that were loaded, and counts what waited for them.
    fn baselines(&mut self) {
        for ((name, version), reference) in self.loader.finished() {
            let Some(model) = self.models.iter_mut().find(|m| m.pipeline.policy.model == name) else { continue };
            let shown = match &reference {
                Reference::Baseline { baseline, sha256 } => Some((Ok(sha256.to_string()), Some(baseline.rows))),
                Reference::Failed(why) => Some((Err(why.clone()), None)),
                Reference::Unknown => None,
            };
            if let (Some((baseline, rows)), Some(v)) = (shown, self.view.write().version_mut(&name, &version)) {
                v.baseline = Some(baseline);
                v.reference_rows = rows;
            }
            model.pipeline.intake.set_reference(&version, reference);
        }
        for (place, partition) in self.places.iter_mut().zip(&self.kafka.partitions) {
            if !place.parked.is_empty() {
                Self::count_parked(place, &mut self.models, &mut self.loader, &mut []);
                if place.parked.is_empty() {
                    place.counted = partition.next;
                }
            }
        }
        for (name, version) in self.loader.due() {
            if let Some(model) = self.models.iter().find(|m| m.pipeline.policy.model == name) {
                self.loader.start(&model.pipeline.policy, &version);
            }
        }
    }

    /// Closes what a model's streams have passed.
    fn advance(&mut self, m: usize) {
        let Some(model) = self.models.get_mut(m) else { return };
        let judged = model.pipeline.advance();
        if judged.verdicts.is_empty() && judged.signals.is_empty() {
            return;
        }
        self.deliver(judged);
    }

    fn deliver(&mut self, judged: Judgement) {
        let mut view = self.view.write();
        for verdict in judged.verdicts {
            match serde_json::to_string(&verdict) {
                Ok(json) => self.outbox.put(Item::Verdict {
                    model: verdict.model.clone(),
                    version: verdict.version.clone(),
                    group: verdict.group.clone(),
                    end_ms: verdict.window.end,
                    json,
                }),
                Err(e) => tracing::error!(error = %e, "a verdict cannot be written"),
            }
            if let Some(v) = view.version_mut(&verdict.model, &verdict.version) {
                v.push(Arc::new(verdict));
            }
        }
        for signal in judged.signals {
            if let Some(v) = view.version_mut(&signal.model, &signal.version) {
                match signal.action {
                    Action::Block => drop(v.blocks.insert(signal.group.clone(), signal.reasons.clone())),
                    Action::Clear => drop(v.blocks.remove(&signal.group)),
                    Action::Rollback => {}
                }
            }
            self.outbox.put(Item::Signal(signal));
        }
    }

    fn save(&mut self) {
        if let Err(e) = self.write_checkpoint() {
            self.view.write().checkpoint.failed += 1;
            tracing::error!(error = %e, "the checkpoint was not written; the last one stays");
        }
    }

    fn write_checkpoint(&mut self) -> anyhow::Result<u64> {
        let started = Instant::now();
        self.outbox.settle();
        let sources: Vec<SourceState> = self
            .kafka
            .partitions
            .iter()
            .zip(&self.places)
            .map(|(partition, place)| SourceState {
                topic: partition.topic.clone(),
                partition: partition.partition,
                next_offset: place.counted,
                max_ts: place
                    .sources
                    .iter()
                    .filter_map(|(m, s)| {
                        let model = self.models.get(*m)?;
                        Some((model.pipeline.policy.model.clone(), model.pipeline.intake.progress(*s).max_ts))
                    })
                    .collect(),
            })
            .collect();
        let checkpoint = Checkpoint {
            pipelines: self.models.iter().map(|m| m.pipeline.state()).collect(),
            outbox: self.outbox.pending(),
            sources,
        };
        let bytes = self.store.save(&checkpoint)?;
        let offsets: Vec<_> =
            checkpoint.sources.iter().filter_map(|s| Some((s.topic.clone(), s.partition, s.next_offset?))).collect();
        self.kafka.commit(&offsets);
        let view = &mut self.view.write().checkpoint;
        view.written += 1;
        view.last_ms = Some(now_ms());
        view.last_bytes = bytes;
        view.last_seconds = started.elapsed().as_secs_f64();
        Ok(bytes)
    }
}

impl Engine {
    /// An engine without partitions yet.
    #[allow(clippy::too_many_arguments, reason = "the parts of a daemon, put together once")]
    #[must_use]
    pub fn new(
        models: Vec<Model>,
        topics: Vec<Topic>,
        kafka: KafkaSource,
        loader: Loader,
        outbox: Outbox,
        store: Store,
        registry: Arc<dyn Registry>,
        view: Shared,
        idle_after: Duration,
        checkpoint_every: Duration,
        dead_letters: Option<super::dead::DeadLetters>,
    ) -> Self {
        Self {
            models,
            topics,
            kafka,
            places: Vec::new(),
            loader,
            outbox,
            store,
            registry,
            view,
            idle_after,
            checkpoint_every,
            dead_letters,
        }
    }
}
