//! What became of each model's events, how far it has come, and its versions.

use super::page::{Page, Result, add, flag, real, seconds, set};
use crate::telemetry::metrics::{self, Metric};
use crate::view::{ModelView, View};
use driftgate_core::promotion::version::VersionRecord;

pub(super) fn show(page: &Page, view: &View, records: &[VersionRecord]) -> Result<()> {
    counters(page, view)?;
    progress(page, view)?;
    versions(page, view, records)
}

/// What became of each model's events.
fn counters(page: &Page, view: &View) -> Result<()> {
    type Read = fn(&ModelView) -> u64;
    let families: [(&Metric, Read); 17] = [
        (&metrics::INVALID_VALUES, |m| m.counters.invalid_values),
        (&metrics::LATE_EVENTS, |m| m.counters.late),
        (&metrics::AHEAD_EVENTS, |m| m.counters.ahead),
        (&metrics::AFTER_CLOSE, |m| m.counters.after_close),
        (&metrics::FEATURES_UNDECIDED, |m| m.counters.features_undecided),
        (&metrics::LABELS_JOINED, |m| m.counters.joined),
        (&metrics::UNCLASSED_PAIRS, |m| m.counters.unclassed),
        (&metrics::LABELS_UNMATCHED, |m| m.counters.unmatched),
        (&metrics::NULL_LABELS, |m| m.counters.null_labels),
        (&metrics::UNLABELLED_PREDICTIONS, |m| m.counters.unlabelled),
        (&metrics::JOIN_GIVEN_UP, |m| m.counters.given_up),
        (&metrics::UNSEGMENTED_VALUES, |m| m.counters.unsegmented),
        (&metrics::DUPLICATE_EVENTS, |m| m.counters.duplicate_predictions + m.counters.duplicate_labels),
        (&metrics::INCOMPLETE_WINDOWS, |m| m.incomplete),
        (&metrics::VERSIONS_REFUSED, |m| m.refused.names),
        (&metrics::REFUSED_VERSION_EVENTS, |m| m.refused.events),
        (&metrics::IGNORED_EVENTS, |m| m.counters.ignored),
    ];
    for (metric, read) in families {
        let family = page.counts(metric)?;
        for (model, seen) in &view.models {
            add(&family, &[model], read(seen))?;
        }
    }
    Ok(())
}

/// How far each model has come.
fn progress(page: &Page, view: &View) -> Result<()> {
    let watermark = page.gauges(&metrics::WATERMARK)?;
    let waiting = page.gauges(&metrics::JOIN_WAITING)?;
    let bytes = page.gauges(&metrics::JOIN_BYTES)?;
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

/// Which models and versions there are, and where they stand.
fn versions(page: &Page, view: &View, records: &[VersionRecord]) -> Result<()> {
    let left_out = page.gauges(&metrics::VERSIONS_LEFT_OUT)?;
    let info = page.gauges(&metrics::MODEL_INFO)?;
    let predictions = page.counts(&metrics::PREDICTIONS)?;
    let unreachable = page.gauges(&metrics::SNAPSHOT_UNREACHABLE)?;
    let replaced = page.counts(&metrics::BASELINE_REPLACED)?;
    let blocked = page.gauges(&metrics::BLOCK_ACTIVE)?;
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
    let stage = page.gauges(&metrics::VERSION_STAGE)?;
    for record in records {
        for name in &record.stages {
            set(&stage, &[&record.model, &record.version, name], 1.0)?;
        }
    }
    Ok(())
}
