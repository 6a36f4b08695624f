//! Events that could not be counted, or only in part. Those of the stream are counted where they are read or joined, since that is per
//! event; the types here name the metric that shows them.

use crate::telemetry::counts::{Counted, Counts};

/// Whether a growing count is logged: at its first, and each time that it has doubled.
fn has_doubled(before: u64, now: u64) -> bool {
    now > 0 && before.checked_ilog2() != now.checked_ilog2()
}

/// Messages of a topic were rejected for one reason; at most one line per minute. `rejected_events_total` counts each.
pub struct EventsRejected<'a> {
    pub topic: &'a str,
    pub reason: &'static str,
    /// Since the last line.
    pub rejected: u64,
    /// One of them.
    pub partition: i32,
    pub offset: i64,
    pub read: &'a str,
    pub detail: &'a str,
}

impl EventsRejected<'_> {
    pub fn emit(&self) {
        let Self { topic, reason, rejected, partition, offset, read, detail } = *self;
        tracing::warn!(topic, partition, offset, reason, rejected, read, "events are rejected: {detail}");
    }
}

/// Dead letters are left out, since too many wait. Counted always, logged now and then.
pub struct DeadLettersLeftOut<'a> {
    pub sink: &'a str,
    pub left_out: u64,
    pub is_told: bool,
}

impl DeadLettersLeftOut<'_> {
    pub fn emit(&self, counts: &impl Counts) {
        let Self { sink, left_out, is_told } = *self;
        if is_told {
            tracing::error!(left_out, "dead letters are left out: too many wait for their topic or file");
        }
        counts.count(Counted::DeadLettersLost, left_out);
        counts.count(Counted::Undeliverable { sink }, left_out);
    }
}

/// The file of dead letters was full, and a new one was begun.
pub struct DeadLettersTurned<'a> {
    pub file: &'a std::path::Path,
    /// Bytes of letters that are gone with the file before.
    pub gone: u64,
}

impl DeadLettersTurned<'_> {
    pub fn emit(&self, counts: &impl Counts) {
        let Self { file, gone } = *self;
        counts.count(Counted::DeadLettersFileTurns, 1);
        if gone > 0 {
            let file = file.display();
            tracing::warn!(%file, gone, "the file of dead letters is full: the letters of the one before it are gone");
        }
    }
}

/// Dead letters that were still waiting when the daemon ended.
pub struct DeadLettersUnwritten {
    pub unwritten: usize,
}

impl DeadLettersUnwritten {
    pub fn emit(&self) {
        let unwritten = self.unwritten;
        tracing::error!(unwritten, "dead letters are lost: their topic or file does not take them");
    }
}

/// Names of versions were not taken on; logged each time that their number has doubled. `versions_refused_total` counts them, and
/// `refused_version_events_total` their events.
pub struct VersionsRefused<'a> {
    pub model: &'a str,
    pub before: u64,
    pub names: u64,
}

impl VersionsRefused<'_> {
    pub fn emit(&self) {
        let Self { model, before, names } = *self;
        if has_doubled(before, names) {
            tracing::warn!(
                model,
                names,
                "events name more new versions that nobody registered than limits.new_versions an hour: events of the others count for no version. Register \
                 those that are"
            );
        }
    }
}

/// What waited to be joined was given up for memory; logged each time that its number has doubled. `join_given_up_total` counts it.
pub struct JoinGivenUp<'a> {
    pub model: &'a str,
    pub before: u64,
    pub events: u64,
}

impl JoinGivenUp<'_> {
    pub fn emit(&self) {
        let Self { model, before, events } = *self;
        if has_doubled(before, events) {
            tracing::warn!(
                model,
                events,
                "what waits to be joined takes more than limits.join_bytes: the oldest was given up, and windows that could hold it are incomplete"
            );
        }
    }
}

/// An event's time is ahead of its partition's pace, and the events after it contradict it. `ahead_events_total` counts such events.
pub struct EventAhead<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub model: &'a str,
    /// Its time, and what its partition had reached, in RFC 3339.
    pub time: &'a str,
    pub reached: &'a str,
}

impl EventAhead<'_> {
    pub fn emit(&self) {
        let Self { topic, partition, model, time, reached } = *self;
        tracing::warn!(
            topic,
            partition,
            model,
            "an event's time {time} is ahead of its partition's pace, which had reached {reached}, and the events after it contradict it: it counts in \
             its own window and closes none"
        );
    }
}

/// No labels come of a model. `failing` shows it as long as it holds.
pub struct LabelsSilent<'a> {
    pub model: &'a str,
    pub why: &'a str,
}

impl LabelsSilent<'_> {
    pub fn emit(&self) {
        let Self { model, why } = *self;
        tracing::warn!(
            model,
            "labels are silent: {why}; windows that read them are judged without, and are incomplete"
        );
    }
}

/// Labels of a model whose partitions are divided find no predictions.
pub struct LabelsApart<'a> {
    pub model: &'a str,
    pub why: &'a str,
}

impl LabelsApart<'_> {
    pub fn emit(&self) {
        let Self { model, why } = *self;
        tracing::error!(model, "labels are apart from their predictions: {why}");
    }
}

/// Labels of a model come again.
pub struct LabelsResumed<'a> {
    pub model: &'a str,
}

impl LabelsResumed<'_> {
    pub fn emit(&self) {
        tracing::info!(model = self.model, "labels come again");
    }
}

/// A window was judged without all of its events. Only counted; its verdict says so.
pub struct WindowIncomplete<'a> {
    pub model: &'a str,
}

impl WindowIncomplete<'_> {
    pub fn emit(&self, counts: &impl Counts) {
        counts.count(Counted::IncompleteWindows { model: self.model }, 1);
    }
}

/// Something about a topic's events is worth a sentence; `tombstones_total`, `unmapped_values_total`, `early_times_ratio` and
/// `absent_name` show it.
pub struct TopicRemarked<'a> {
    pub topic: &'a str,
    pub sentence: &'a str,
}

impl TopicRemarked<'_> {
    pub fn emit(&self) {
        tracing::warn!(topic = self.topic, "{}", self.sentence);
    }
}

/// A schema that messages name was fetched.
pub struct SchemaFetched<'a> {
    pub schema: &'a str,
    pub url: &'a str,
}

impl SchemaFetched<'_> {
    pub fn emit(&self) {
        let Self { schema, url } = *self;
        tracing::info!(schema, registry = url, "a schema was fetched");
    }
}

/// A schema that messages name cannot be used: they are rejected, and counted in `rejected_events_total`.
pub struct SchemaRefused<'a> {
    pub schema: &'a str,
    pub why: &'a str,
}

impl SchemaRefused<'_> {
    pub fn emit(&self) {
        let Self { schema, why } = *self;
        tracing::error!(schema, "the messages that name this schema are rejected: {why}");
    }
}

/// The schema registry gives no answer: partitions wait. `failing` shows it until it does.
pub struct SchemasAway<'a> {
    pub url: &'a str,
    pub why: &'a str,
}

impl SchemasAway<'_> {
    pub fn emit(&self) {
        let Self { url, why } = *self;
        tracing::warn!(registry = url, "messages wait until their schema can be fetched: {why}");
    }
}

#[cfg(test)]
mod tests {
    use super::has_doubled;

    #[test]
    fn a_count_is_told_at_its_first_and_as_it_doubles() {
        for (before, now, told) in
            [(0, 0, false), (0, 1, true), (1, 1, false), (1, 2, true), (2, 3, false), (3, 9, true)]
        {
            assert_eq!(has_doubled(before, now), told, "{before} {now}");
        }
    }
}
