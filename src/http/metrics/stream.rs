//! What was read of each topic: events, lag, what was rejected, and what is worth telling of the rest.

use super::page::{Page, Result, add, flag, real, set};
use crate::telemetry::metrics;
use crate::view::View;

/// Absent names that have a series of their own, per topic.
const MOST_ABSENT: usize = 100;

pub(super) fn show(page: &Page, view: &View) -> Result<()> {
    sources(page, view)?;
    remarks(page, view)?;
    halves(page, view)?;
    halted(page, view)
}

/// What was read, rejected and passed on.
fn sources(page: &Page, view: &View) -> Result<()> {
    let events = page.counts(&metrics::EVENTS)?;
    let lag = page.gauges(&metrics::CONSUMER_LAG)?;
    for ((topic, partition), source) in &view.sources {
        add(&events, &[topic], source.events)?;
        if let Some(messages) = source.lag() {
            set(&lag, &[topic, &partition.to_string()], real(messages.unsigned_abs()))?;
        }
    }
    let rejected = page.counts(&metrics::REJECTED_EVENTS)?;
    for ((topic, reason), count) in &view.rejected {
        add(&rejected, &[topic, reason.name()], *count)?;
    }
    let replaced = page.gauges(&metrics::TOPIC_REPLACED)?;
    for topic in view.replaced.keys() {
        set(&replaced, &[topic], 1.0)?;
    }
    let share = page.gauges(&metrics::REJECTED_RATIO)?;
    for (topic, input) in &view.inputs {
        if let Some(ratio) = input.recent().share() {
            set(&share, &[topic], ratio)?;
        }
    }

    let unknown = page.counts(&metrics::UNKNOWN_MODEL_EVENTS)?;
    for (topic, count) in &view.unknown_model {
        add(&unknown, &[topic], *count)?;
    }
    page.count(&metrics::DEAD_LETTERS_LOST, view.dead_letters_lost)?;
    page.count(&metrics::DEAD_LETTERS_FILE_TURNS, view.dead_letters_turned)?;
    Ok(())
}

/// What is worth telling of events that count, and of messages that are none.
fn remarks(page: &Page, view: &View) -> Result<()> {
    let tombstones = page.counts(&metrics::TOMBSTONES)?;
    let unmapped = page.counts(&metrics::UNMAPPED_VALUES)?;
    let early = page.gauges(&metrics::EARLY_TIMES_RATIO)?;
    let absent = page.gauges(&metrics::ABSENT_NAME)?;
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

/// What became of requests and responses.
fn halves(page: &Page, view: &View) -> Result<()> {
    let joined = page.counts(&metrics::INFERENCES_JOINED)?;
    let unmatched = page.counts(&metrics::INFERENCES_UNMATCHED)?;
    let dropped = page.counts(&metrics::INFERENCES_DROPPED)?;
    let repeated = page.counts(&metrics::INFERENCES_REPEATED)?;
    let waiting = page.gauges(&metrics::INFERENCES_WAITING)?;
    for (topic, counts) in &view.halves {
        add(&joined, &[topic], counts.joined)?;
        add(&unmatched, &[topic, "request"], counts.requests)?;
        add(&unmatched, &[topic, "response"], counts.responses)?;
        add(&dropped, &[topic], counts.dropped)?;
        add(&repeated, &[topic], counts.repeated)?;
        set(&waiting, &[topic], real(counts.waiting))?;
    }
    Ok(())
}

/// Which partitions are not read any more.
fn halted(page: &Page, view: &View) -> Result<()> {
    let halted = page.gauges(&metrics::PARTITION_HALTED)?;
    for ((topic, partition), source) in view.sources.iter().filter(|(_, s)| s.halted || s.next_offset.is_some()) {
        set(&halted, &[topic, &partition.to_string()], flag(source.halted))?;
    }
    Ok(())
}
