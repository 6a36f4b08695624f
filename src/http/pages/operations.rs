//! The page of operations: whether the daemon is ready, what it reads and how far, what it refuses, what it delivers and keeps, and its memory.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};

use super::layout::{self, Part};
use super::markup::time;
use super::overview::rounded;
use crate::api::Input;
use crate::http::app::{Shared, registry};
use crate::http::auth::Visitor;
use crate::http::guard::Sight;
use crate::http::problem::Problem;
use crate::ledger::Embedded;
use crate::view::{ModelView, SourceView, View};
use driftgate_core::codec::number::short;

/// GET /operations
pub async fn operations(State(app): State<Shared>, sight: Sight, visitor: Visitor) -> Result<Response, Problem> {
    let waiting: BTreeMap<String, u64> = registry(&app, Embedded::waiting).await?.into_iter().collect();
    // A copy, so that the pipeline does not wait for a page to be written.
    let mut view = app.view.read().clone();
    view.models.retain(|name, _| sight.sees(name));
    if !sight.sees_all() {
        // Topics, sinks and checkpoints are of all models.
        view = View { models: view.models, ..View::default() };
        let page = Operations { view: &view, waiting: &BTreeMap::new(), now_ms: (app.now_ms)(), resident: None };
        let body = html! {
            h1 { "Operations" }
            p.soft { "Topics, sinks, checkpoints and memory are of all models: they are shown to a token for every model." }
            (page.watermarks())
        };
        return Ok(layout::page("Operations", Part::Operations, &visitor, &body));
    }
    let page = Operations { view: &view, waiting: &waiting, now_ms: (app.now_ms)(), resident: resident() };
    Ok(layout::page("Operations", Part::Operations, &visitor, &page.body()))
}

/// What of the process's memory is in RAM, in bytes; `None` where the system does not say.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

struct Operations<'p> {
    view: &'p View,
    /// Messages that wait, by sink.
    waiting: &'p BTreeMap<String, u64>,
    now_ms: i64,
    resident: Option<u64>,
}

/// A table that can be scrolled; heads whose name begins with `#` are of numbers.
fn table(name: &str, heads: &[&str], rows: &Markup) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label=(name) {
            table {
                thead { tr { @for head in heads { th.num[head.starts_with('#')] scope="col" { (head.trim_start_matches('#')) } } } }
                tbody { (rows) }
            }
        }
    }
}

impl Operations<'_> {
    fn body(&self) -> Markup {
        html! {
            h1 { "Operations" }
            (self.readiness())
            (self.partitions())
            (self.watermarks())
            (self.rejected())
            (self.sinks())
            (self.kept())
        }
    }

    fn readiness(&self) -> Markup {
        let view = self.view;
        html! {
            @if view.is_ready() { div.notice.pass { p { b { "Ready." } } } }
            @else { div.notice.block role="status" { p { b { "Not ready." } } @for (what, why) in view.waiting().by_name() { p { (what) ": " (why) } } } }
            @for (part, why) in &view.failing { div.notice.warn { p { b { (part.name()) } " fails: " (why) } } }
            @if let Some(why) = &view.fallback { div.notice.warn { p { (why) } } }
        }
    }

    fn partitions(&self) -> Markup {
        if self.view.sources.is_empty() {
            return html! { h2 { "Partitions" } p.soft { "Nothing is read." } };
        }
        let rows = html! { @for ((topic, partition), source) in &self.view.sources { (self.partition(topic, *partition, source)) } };
        html! {
            h2 { "Partitions" }
            (table("Partitions", &["topic", "#partition", "#events", "#next offset", "#end", "#lag", "event time", "state"], &rows))
        }
    }

    fn partition(&self, topic: &str, partition: i32, source: &SourceView) -> Markup {
        let behind = self.view.behind.get(&(topic.to_owned(), partition));
        let stuck = behind.and_then(crate::view::behind::Behind::stuck);
        let grows = behind.and_then(crate::view::behind::Behind::grows);
        html! { tr {
            td { (topic) } td.num { (partition) } td.num { (source.events) }
            td.num { @if let Some(offset) = source.next_offset { (offset) } }
            td.num { @if let Some(end) = source.high_watermark { (end) } }
            td.num { @if let Some(lag) = source.lag() { (lag) } }
            td { @if let Some(ms) = source.max_ts { (time(ms)) } }
            td {
                @if source.halted { span.block { "✕ halted " } }
                @if source.paused { "paused " }
                @if source.idle { span.soft { "idle " } }
                @if source.held_by_transaction > 0 { (source.held_by_transaction) " held by an open transaction " }
                @if source.ahead > 0 { (source.ahead) " events ahead of its pace " }
                @if let Some(stuck) = stuck { span.block { "nothing read for " (stuck.as_secs()) " s " } }
                @if let Some((more, span)) = grows { span.warn { "grew by " (more) " in " (span.as_secs()) " s" } }
            }
        } }
    }

    fn watermarks(&self) -> Markup {
        let rows = html! { @for (name, seen) in &self.view.models { (self.model(name, seen)) } };
        html! {
            h2 { "Models" }
            (table("Models", &["model", "windows closed up to", "#predictions", "#late", "#duplicates", "#wait for labels", "#labels wait", "#memory of both"], &rows))
        }
    }

    fn model(&self, name: &str, seen: &ModelView) -> Markup {
        let c = &seen.counters;
        html! { tr {
            td { (name) }
            td { @for (group, ms) in &seen.closed {
                // The smallest number is that of a group whose windows have not begun.
                div { (group) ": " @if *ms == i64::MIN { span.soft { "none yet" } } @else {
                    (time(*ms)) " " span.soft { "(" (rounded(self.now_ms.saturating_sub(*ms).max(0))) " ago)" } } }
            } }
            td.num { (c.predictions) } td.num { (c.late) } td.num { (c.duplicate_predictions.saturating_add(c.duplicate_labels)) }
            td.num { (seen.waiting.0) } td.num { (seen.waiting.1) } td.num { (bytes(seen.join_bytes as u64)) }
        } }
    }

    /// What was refused of each topic, with an example of each reason.
    fn rejected(&self) -> Markup {
        let inputs: Vec<Input> = self.view.inputs.iter().map(|(topic, input)| Input::of(topic, input)).collect();
        let rows = html! { @for input in &inputs { @for (reason, count) in &input.rejected { @if *count > 0 {
            tr { td { (input.topic) } td { (reason) } td.num { (count) }
                td { @if let Some(e) = input.examples.get(reason) { "partition " (e.partition) ", offset " (e.offset) ": " (e.detail) "; it is " (e.read) } } }
        } } } };
        html! {
            h2 { "Rejected events" }
            @for input in &inputs { @if let Some(problem) = &input.problem { div.notice.block { p { (problem) } } } }
            @if inputs.iter().all(|input| input.rejected.values().all(|n| *n == 0)) { p.soft { "None since the start." } }
            @else { (table("Rejected events", &["topic", "reason", "#events", "an example"], &rows)) }
            @for (topic, count) in &self.view.unknown_model { @if *count > 0 { p { (count) " events of " (topic) " named a model without a policy." } } }
        }
    }

    fn sinks(&self) -> Markup {
        let view = self.view;
        let names: std::collections::BTreeSet<&String> =
            self.waiting.keys().chain(view.delivery_failures.keys()).chain(view.undeliverable.keys()).collect();
        let of = |counts: &BTreeMap<String, u64>, name: &String| counts.get(name).copied().unwrap_or_default();
        let rows = html! { @for name in names { tr {
            td { (name) } td.num { (of(self.waiting, name)) } td.num { (of(&view.delivery_failures, name)) } td.num { (of(&view.undeliverable, name)) }
        } } };
        let signals = html! { @for ((action, sink, outcome), count) in &view.signals { tr {
            td { (action.name()) } td { (sink) } td { (outcome) } td.num { (count) }
        } } };
        html! {
            h2 { "Deliveries" }
            (table("Sinks", &["sink", "#waiting", "#failed attempts", "#dropped"], &rows))
            @if !view.signals.is_empty() { h3 { "Signals" } (table("Signals", &["signal", "sink", "outcome", "#count"], &signals)) }
            @if view.dead_letters_lost > 0 { p.block { (view.dead_letters_lost) " dead letters could not be kept." } }
        }
    }

    /// Checkpoints, history and memory.
    fn kept(&self) -> Markup {
        let checkpoint = &self.view.checkpoint;
        let join: u64 = self.view.models.values().map(|seen| seen.join_bytes as u64).sum();
        html! {
            h2 { "State and memory" }
            dl {
                dt { "last checkpoint" }
                dd { @match checkpoint.last_ms {
                    Some(ms) => { (time(ms)) ", " (bytes(checkpoint.last_bytes)) " in " (short(checkpoint.last_seconds)) " s" }
                    None => "none yet"
                } }
                dt { "checkpoints" } dd { (checkpoint.written) " written, " (checkpoint.failed) " failed"
                    @if let Some(since) = checkpoint.since { ", one under way for " (since.elapsed().as_secs()) " s" } }
                @if let Some(history) = &self.view.history {
                    dt { "results over time" } dd { (bytes(history.bytes)) " of " (history.days) " days of models; "
                        (history.write_failures) " failures, " (history.lost) " windows lost" }
                }
                dt { "process" } dd { @match self.resident { Some(n) => (bytes(n)), None => "the system does not say" } }
                dt { "predictions and labels that wait" } dd { (bytes(join)) }
            }
        }
    }
}

/// Bytes for people, in binary units.
fn bytes(n: u64) -> String {
    let units = [(1_u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(size, _)| n >= *size) {
        Some((size, unit)) => {
            let tenths = n.saturating_mul(10) / size;
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        }
        None => format!("{n} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_one_decimal_of_their_largest_unit() {
        assert_eq!(
            [0, 1023, 1024, 1536, 5 << 20, u64::MAX].map(bytes)[..5],
            ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "5.0 MiB"]
        );
        assert!(resident().is_some_and(|n| n > 1 << 20));
    }
}
