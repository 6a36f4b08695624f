//! What is worth saying of files that were read without an error: times that look like another unit's, values that stand for no
//! class, names that no event had.

use std::path::PathBuf;

use driftgate_core::decode::notes::Notes;
use driftgate_core::decode::seen::Seen;
use driftgate_core::event::{EventKind, FieldMap, TimeUnit};
use driftgate_core::intake::Counters;
use driftgate_core::kserve::pairs::Counts;
use driftgate_core::pipeline::absent::{absent, sentence};
use driftgate_core::policy::Policy;
use driftgate_core::schema::Schema;

/// Longer ids are cut.
const SHOWN_CHARS: usize = 40;

/// What was found in one file.
pub(super) struct Findings {
    pub path: PathBuf,
    pub kind: EventKind,
    pub fields: FieldMap,
    pub unit: TimeUnit,
    pub notes: Notes,
    pub seen: Seen,
    /// The id of its first event.
    pub first_id: String,
    /// What became of requests and responses, where its events are such.
    pub halves: Option<Counts>,
}

/// A sentence each, in the order of the files.
pub(super) fn remarks(policy: &Policy, schema: &Schema, files: &[Findings]) -> Vec<String> {
    let mut out = Vec::new();
    let features = files.iter().find(|f| f.kind == EventKind::Features && f.notes.events > 0);
    let halves = files.iter().filter_map(|file| alone(&file.path.display().to_string(), file.halves?));
    out.extend(halves);
    for file in files.iter().filter(|f| f.notes.events > 0) {
        let name = file.path.display().to_string();
        out.extend(file.notes.sentences(&name, file.unit));
        let mut seen = file.seen.clone();
        match (file.kind, features) {
            // A feature may come with the predictions or in a stream of its own.
            (EventKind::Predictions, Some(features)) => seen.merge(&features.seen),
            (EventKind::Features, _) => continue,
            _ => {}
        }
        let absent = absent(&seen, policy, schema, &file.fields, file.kind);
        if !absent.is_empty() {
            out.push(sentence(&name, file.notes.events, &absent, seen.nested.as_deref()));
        }
    }
    out
}

/// What to say of requests and responses that did not meet.
fn alone(name: &str, counts: Counts) -> Option<String> {
    let Counts { joined, repeated, requests, responses, dropped, waiting } = counts;
    if repeated + requests + responses + dropped + waiting == 0 {
        return None;
    }
    let mut parts = Vec::new();
    for (n, what) in [
        (requests, "requests without a response in time"),
        (responses, "responses without a request in time"),
        (waiting, "requests or responses whose other half had not come at the end"),
        (repeated, "that came twice, of which the first counts"),
        (dropped, "dropped as too many waited"),
    ] {
        if n > 0 {
            parts.push(format!("{n} {what}"));
        }
    }
    Some(format!("{name}: {joined} requests met their response; {}", parts.join("; ")))
}

/// What to say where labels came for predictions and none of them met one.
pub(super) fn unjoined(files: &[Findings], counters: &Counters) -> Option<String> {
    let of = |kind| files.iter().find(|f| f.kind == kind && f.notes.events > 0);
    let (predictions, labels) = (of(EventKind::Predictions)?, of(EventKind::Labels)?);
    let known = counters.labels.saturating_sub(counters.null_labels + labels.notes.labels.count);
    if counters.joined > 0 || known == 0 {
        return None;
    }
    Some(format!(
        "none of {known} labels met a prediction: their ids differ (the first is {:?} in {}, {:?} in {}), or their times lie \
         further apart than `labels.horizon`",
        shown(&predictions.first_id),
        predictions.path.display(),
        shown(&labels.first_id),
        labels.path.display()
    ))
}

fn shown(id: &str) -> String {
    id.chars().take(SHOWN_CHARS).collect()
}
