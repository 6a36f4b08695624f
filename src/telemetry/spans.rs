//! Spans, which follow one event through the daemon: the `batch` that has its offset, the `window` that it was judged in, and the
//! `delivery` of the signal that came of that. All are of level debug; where no subscriber reads them, nothing is formatted. A verdict's id
//! is in its window and in the deliveries of its signals.

use driftgate_core::codec::time::utc;
use driftgate_core::judge::verdict::{Signal, Verdict};
use serde::Deserialize;
use tracing::{Level, Span, debug_span};

/// What a turn read of a partition: offsets from the first that was read up to, without it, the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offsets<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub first: Option<i64>,
    pub next: Option<i64>,
}

/// The events of one model among them, while they are counted.
#[must_use]
pub fn batch(of: Offsets<'_>, model: &str, events: usize) -> Span {
    let Offsets { topic, partition, first, next } = of;
    debug_span!("batch", topic, partition, first_offset = first, next_offset = next, model, events)
}

/// A verdict, while it is handed on.
#[must_use]
pub fn window(verdict: &Verdict) -> Span {
    debug_span!(
        "window",
        model = verdict.model,
        version = verdict.version,
        group = verdict.group,
        window_start = utc(verdict.window.start),
        window_end = utc(verdict.window.end),
        status = verdict.status.name(),
        verdict_id = verdict.verdict_id
    )
}

/// A signal, while a sink takes it.
#[must_use]
pub fn signal(sink: &str, signal: &Signal) -> Span {
    debug_span!(
        "delivery",
        sink,
        model = signal.model,
        version = signal.version,
        group = signal.group,
        action = signal.action.name(),
        window_end = signal.ts,
        signal_id = signal.signal_id,
        verdict_id = signal.verdict_id
    )
}

/// What texts for topics and webhooks say of themselves: signals and verdicts do so directly, announcements of a signal within.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Said {
    model: Option<String>,
    version: Option<String>,
    group: Option<String>,
    action: Option<String>,
    event: Option<String>,
    ts: Option<String>,
    signal_id: Option<String>,
    verdict_id: Option<String>,
    window: Option<SaidWindow>,
    signal: Option<Box<Said>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SaidWindow {
    start: Option<String>,
    end: Option<String>,
}

/// A text in JSON, while a sink takes it. It is parsed only where a subscriber reads it.
#[must_use]
pub fn text(sink: &str, text: &str) -> Span {
    if !tracing::span_enabled!(Level::DEBUG) {
        return Span::none();
    }
    let said: Said = serde_json::from_str(text).unwrap_or_default();
    let event = said.event;
    let Said { model, version, group, action, ts, signal_id, verdict_id, window, .. } = match said.signal {
        Some(signal) => *signal,
        None => Said { event: None, ..said },
    };
    let SaidWindow { start, end } = window.unwrap_or_default();
    debug_span!(
        "delivery",
        sink,
        model,
        version,
        group,
        action = action.or(event),
        window_start = start,
        window_end = ts.or(end),
        signal_id,
        verdict_id
    )
}
