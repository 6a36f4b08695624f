//! The picture as Prometheus text, built anew for each scrape: series of a version that is gone disappear with it. Names
//! and labels are an interface that dashboards and alerts are built on. Verdicts are in `judged`, what the
//! registry says is in `ledger`, the rest is here.

mod judged;
pub mod ledger;
mod server;
#[cfg(test)]
mod tests;

use prometheus::{GaugeVec, IntCounterVec, Opts, TextEncoder};

use crate::registry::VersionRecord;
use crate::view::{CheckpointView, ModelView, View};
pub use ledger::Ledger;
pub use server::server;

/// What the text is served as.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

type Result<T> = std::result::Result<T, prometheus::Error>;

/// The text of everything in the picture and in the registry.
///
/// # Errors
/// Metrics that contradict each other, which a test would have shown.
pub fn render(view: &View, ledger: &Ledger) -> Result<String> {
    let page = Page(prometheus::Registry::new());
    page.sources(view)?;
    page.counters(view)?;
    page.halted(view)?;
    page.progress(view)?;
    page.checkpoint(&view.checkpoint)?;
    page.versions(view, &ledger.records)?;
    judged::verdicts(&page, view)?;
    ledger::show(&page, ledger)?;
    page.gauges("ready", &[], "Whether the daemon is ready: 1, else 0.")?
        .get_metric_with_label_values::<&str>(&[])?
        .set(flag(view.is_ready()));
    TextEncoder::new().encode_to_string(&page.0.gather())
}

/// Absent names that have a series of their own, a topic.
const MOST_ABSENT: usize = 100;

/// The families of one scrape.
struct Page(prometheus::Registry);

fn options(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("driftgate")
}

fn flag(on: bool) -> f64 {
    f64::from(u8::from(on))
}

/// Milliseconds as Prometheus wants them.
#[allow(clippy::cast_precision_loss, reason = "times are far below 2^53 ms")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

#[allow(clippy::cast_precision_loss, reason = "a gauge is a float; beyond 2^53 the last digits say nothing")]
fn real(x: u64) -> f64 {
    x as f64
}

fn set(gauges: &GaugeVec, labels: &[&str], value: f64) -> Result<()> {
    gauges.get_metric_with_label_values(labels)?.set(value);
    Ok(())
}

fn add(counters: &IntCounterVec, labels: &[&str], value: u64) -> Result<()> {
    counters.get_metric_with_label_values(labels)?.inc_by(value);
    Ok(())
}

impl Page {
    fn gauges(&self, name: &str, labels: &[&str], help: &str) -> Result<GaugeVec> {
        let gauges = GaugeVec::new(options(name, help), labels)?;
        self.0.register(Box::new(gauges.clone()))?;
        Ok(gauges)
    }

    fn counts(&self, name: &str, labels: &[&str], help: &str) -> Result<IntCounterVec> {
        let counts = IntCounterVec::new(options(name, help), labels)?;
        self.0.register(Box::new(counts.clone()))?;
        Ok(counts)
    }

    /// What was read, rejected and passed on.
    fn sources(&self, view: &View) -> Result<()> {
        let events = self.counts("events_total", &["topic"], "Events read, by topic or file.")?;
        let lag = self.gauges(
            "consumer_lag",
            &["topic", "partition"],
            "Messages that are in the partition but not read yet.",
        )?;
        for ((topic, partition), source) in &view.sources {
            add(&events, &[topic], source.events)?;
            if let Some(messages) = source.lag() {
                set(&lag, &[topic, &partition.to_string()], real(messages.unsigned_abs()))?;
            }
        }
        let rejected = self.counts(
            "rejected_events_total",
            &["topic", "reason"],
            "Events that could not be read and were sent to the dead letters, by reason.",
        )?;
        for ((topic, reason), count) in &view.rejected {
            add(&rejected, &[topic, reason.name()], *count)?;
        }
        let doubts = self.gauges(
            "registry_doubted",
            &[],
            "Whether the registry or the audit key is not the one that the state belongs to: 1, else 0. The status says why.",
        )?;
        set(&doubts, &[], if view.doubts.why.is_empty() { 0.0 } else { 1.0 })?;
        let replaced = self.gauges(
            "topic_replaced",
            &["topic"],
            "The topic was deleted and made anew, and is not read until somebody accepts it; always 1.",
        )?;
        for topic in view.replaced.keys() {
            set(&replaced, &[topic], 1.0)?;
        }
        let share = self.gauges(
            "rejected_ratio",
            &["topic"],
            "Share of the events of the last minutes (or of the last events, where they are few) that was rejected, 0 to 1.",
        )?;
        for (topic, input) in &view.inputs {
            if let Some(ratio) = input.recent().share() {
                set(&share, &[topic], ratio)?;
            }
        }
        self.remarks(view)?;
        let unknown =
            self.counts("unknown_model_events_total", &["topic"], "Events of models without a policy, ignored.")?;
        for (topic, count) in &view.unknown_model {
            add(&unknown, &[topic], *count)?;
        }
        let signals = self.counts(
            "signals_total",
            &["action", "sink", "outcome"],
            "Signals sent, by what they ask for, where to, and how it ended (ok, error, ignored).",
        )?;
        for ((action, sink, outcome), count) in &view.signals {
            add(&signals, &[action.name(), sink, outcome], *count)?;
        }
        let undeliverable = self.counts(
            "undeliverable_total",
            &["sink"],
            "Changes and signals that a sink can never take and that were dropped; the log says why.",
        )?;
        for (sink, count) in &view.undeliverable {
            add(&undeliverable, &[sink], *count)?;
        }
        let lost = self.counts("dead_letters_lost_total", &[], "Dead letters that could not be kept.")?;
        add(&lost, &[], view.dead_letters_lost)?;
        let help = "How often the file of dead letters was full: the letters of the file before it went.";
        let turned = self.counts("dead_letters_file_turns_total", &[], help)?;
        add(&turned, &[], view.dead_letters_turned)?;
        let failures = self.counts(
            "delivery_failures_total",
            &["sink"],
            "Attempts to deliver that failed and are made again, by sink.",
        )?;
        for (sink, count) in &view.delivery_failures {
            add(&failures, &[sink], *count)?;
        }
        let failing = self.gauges(
            "failing",
            &["part"],
            "What does not work at the moment and is tried again; always 1. The status says why.",
        )?;
        for part in view.failing.keys() {
            set(&failing, &[&part.name()], 1.0)?;
        }
        let unregistered = self.gauges(
            "mlflow_unregistered_versions",
            &["model"],
            "Versions with pointers or tags that MLflow is told once they are registered there.",
        )?;
        for (model, versions) in &view.unregistered {
            set(&unregistered, &[model], real(*versions))?;
        }
        Ok(())
    }

    /// What is worth telling of events that count, and of messages that are none.
    fn remarks(&self, view: &View) -> Result<()> {
        let tombstones = self.counts(
            "tombstones_total",
            &["topic"],
            "Messages without a value, which are no events and are skipped.",
        )?;
        let unmapped = self.counts(
            "unmapped_values_total",
            &["topic", "field"],
            "Labels and decisions that stand for no class by the policy's mapping.",
        )?;
        let early = self.gauges(
            "early_times_ratio",
            &["topic"],
            "Share of the events whose times are before 1980, as those of seconds read as milliseconds are, 0 to 1.",
        )?;
        let absent = self.gauges(
            "absent_name",
            &["topic", "model", "name"],
            "A name that the model's policy reads and no event of the topic has had; always 1.",
        )?;
        for (topic, of_topic) in &view.remarks {
            let notes = &of_topic.notes;
            add(&tombstones, &[topic], of_topic.tombstones)?;
            add(&unmapped, &[topic, "label"], notes.labels.count)?;
            add(&unmapped, &[topic, "decision"], notes.decisions.count)?;
            if notes.events > 0 {
                set(&early, &[topic], real(notes.early) / real(notes.events))?;
            }
            for (model, name) in of_topic.absent.iter().take(MOST_ABSENT) {
                set(&absent, &[topic, model, name], 1.0)?;
            }
        }
        Ok(())
    }

    /// What happened to a model's events.
    fn counters(&self, view: &View) -> Result<()> {
        type Read = fn(&ModelView) -> u64;
        let families: [(&str, &str, Read); 16] = [
            ("invalid_values_total", "Values of a wrong type or out of range, by model; their events count.", |m| {
                m.counters.invalid_values
            }),
            (
                "late_events_total",
                "Events too far behind their partition's newest one, once for each group that left them out.",
                |m| m.counters.late,
            ),
            (
                "ahead_events_total",
                "Events further ahead of their partition's pace than it allows, whose times the events after them contradicted.",
                |m| m.counters.ahead,
            ),
            ("after_close_total", "Events that came for a window that was judged already.", |m| m.counters.after_close),
            (
                "features_undecided_total",
                "Events of the features stream that were too many to wait for predictions: a version that shows later misses them.",
                |m| m.counters.features_undecided,
            ),
            ("labels_joined_total", "Pairs of a prediction and its label, one for each version that scored it.", |m| {
                m.counters.joined
            }),
            ("labels_unmatched_total", "Labels dropped without a prediction, or too far from it in time.", |m| {
                m.counters.unmatched
            }),
            ("null_labels_total", "Labels that say nothing.", |m| m.counters.null_labels),
            ("unlabelled_predictions_total", "Predictions dropped without a label, once none could come.", |m| {
                m.counters.unlabelled
            }),
            (
                "join_given_up_total",
                "Predictions and labels that could still have met and were dropped, since they took too much memory.",
                |m| m.counters.given_up,
            ),
            (
                "unsegmented_values_total",
                "Predictions left out of a segmentation, since its attribute is missing.",
                |m| m.counters.unsegmented,
            ),
            (
                "duplicate_events_total",
                "Predictions and labels whose id was there before; the first one counts.",
                |m| m.counters.duplicate_predictions + m.counters.duplicate_labels,
            ),
            (
                "incomplete_windows_total",
                "Windows that were judged without all of their events, since counts began within them.",
                |m| m.incomplete,
            ),
            (
                "versions_refused_total",
                "Names of versions in events that nobody registered and that were not taken on, since limits.new_versions an hour were.",
                |m| m.refused.names,
            ),
            ("refused_version_events_total", "Events of versions that were not taken on: they count for none.", |m| {
                m.refused.events
            }),
            ("ignored_events_total", "Events of a time the policy ignores.", |m| m.counters.ignored),
        ];
        for (name, help, read) in families {
            let family = self.counts(name, &["model"], help)?;
            for (model, seen) in &view.models {
                add(&family, &[model], read(seen))?;
            }
        }
        Ok(())
    }

    /// Which partitions are not read any more.
    fn halted(&self, view: &View) -> Result<()> {
        let halted = self.gauges(
            "partition_halted",
            &["topic", "partition"],
            "Whether nothing of a partition is read though there is something, and nothing here holds it back: 1, else 0. GET /ready says why.",
        )?;
        for ((topic, partition), source) in view.sources.iter().filter(|(_, s)| s.halted || s.next_offset.is_some()) {
            set(&halted, &[topic, &partition.to_string()], flag(source.halted))?;
        }
        Ok(())
    }

    /// How far each model has come.
    fn progress(&self, view: &View) -> Result<()> {
        let watermark = self.gauges(
            "watermark_timestamp_seconds",
            &["model", "group"],
            "Event time up to which windows are closed, in seconds since 1970.",
        )?;
        let waiting = self.gauges(
            "join_waiting",
            &["model", "kind"],
            "Predictions that wait for a label, and labels that wait for a prediction.",
        )?;
        let bytes = self.gauges(
            "join_bytes",
            &["model"],
            "Bytes of predictions and labels that wait for each other; limits.join_bytes bounds them.",
        )?;
        for (model, seen) in &view.models {
            set(&bytes, &[model], real(seen.join_bytes as u64))?;
            for (group, &ms) in seen.closed.iter().filter(|(_, ms)| **ms > i64::MIN) {
                set(&watermark, &[model, group], seconds(ms))?;
            }
            set(&waiting, &[model, "predictions"], real(seen.waiting.0 as u64))?;
            set(&waiting, &[model, "labels"], real(seen.waiting.1 as u64))?;
        }
        Ok(())
    }

    fn checkpoint(&self, checkpoint: &CheckpointView) -> Result<()> {
        add(&self.counts("checkpoint_written_total", &[], "Checkpoints written.")?, &[], checkpoint.written)?;
        add(
            &self.counts("checkpoint_failed_total", &[], "Checkpoints that could not be written.")?,
            &[],
            checkpoint.failed,
        )?;
        let under_way = self.gauges(
            "checkpoint_under_way_seconds",
            &[],
            "How long the checkpoint that is being written takes already, in seconds; 0 between two.",
        )?;
        set(&under_way, &[], checkpoint.since.map_or(0.0, |since| since.elapsed().as_secs_f64()))?;
        let Some(ms) = checkpoint.last_ms else { return Ok(()) };
        let gauges = [
            (
                "checkpoint_last_timestamp_seconds",
                "When the last checkpoint was written, in seconds since 1970.",
                seconds(ms),
            ),
            ("checkpoint_last_size_bytes", "Size of the last checkpoint in bytes.", real(checkpoint.last_bytes)),
            (
                "checkpoint_last_duration_seconds",
                "How long the last checkpoint took to write, in seconds.",
                checkpoint.last_seconds,
            ),
        ];
        for (name, help, value) in gauges {
            set(&self.gauges(name, &[], help)?, &[], value)?;
        }
        Ok(())
    }

    /// Which models and versions there are, and where they stand.
    fn versions(&self, view: &View, records: &[VersionRecord]) -> Result<()> {
        let left_out = self.gauges(
            "versions_left_out",
            &["model"],
            "Versions that only events name and that have no series here, since they are too many.",
        )?;
        let info = self.gauges(
            "model_info",
            &["model", "team", "severity"],
            "The model's metadata to route alerts by; always 1.",
        )?;
        let predictions =
            self.counts("predictions_total", &["model", "version"], "Predictions counted for the version.")?;
        let unreachable = self.gauges(
            "snapshot_unreachable",
            &["model", "version"],
            "The version's snapshot cannot be read, and its counts go on against a baseline that the state holds; always 1.",
        )?;
        let replaced = self.counts(
            "baseline_replaced_total",
            &["model", "version"],
            "How often the version's snapshot was another one than it was counted against, so that its counts started anew.",
        )?;
        let blocked = self.gauges(
            "block_active",
            &["model", "version", "group"],
            "Whether the group blocks the version's promotion: 1, else 0.",
        )?;
        for (model, seen) in &view.models {
            let metadata = |key: &str| seen.policy.metadata.get(key).map_or("", String::as_str);
            set(&info, &[model, metadata("team"), metadata("severity")], 1.0)?;
            set(&left_out, &[model], real(seen.left_out))?;
            for (version, v) in &seen.versions {
                add(&predictions, &[model, version], v.predictions)?;
                if v.snapshot.is_some() {
                    set(&unreachable, &[model, version], 1.0)?;
                }
                if v.replaced > 0 {
                    add(&replaced, &[model, version], v.replaced)?;
                }
                let groups = seen.policy.groups.iter().map(|g| &g.name).filter(|g| !v.blocks.contains_key(*g));
                groups
                    .map(|g| (g, false))
                    .chain(v.blocks.keys().map(|g| (g, true)))
                    .try_for_each(|(group, on)| set(&blocked, &[model, version, group], flag(on)))?;
            }
        }
        let stage = self.gauges(
            "version_stage",
            &["model", "version", "stage"],
            "A stage pointer stands on the version; always 1.",
        )?;
        for record in records {
            for name in &record.stages {
                set(&stage, &[&record.model, &record.version, name], 1.0)?;
            }
        }
        Ok(())
    }
}
