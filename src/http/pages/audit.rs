//! The page of the audit log: what happened, the newest first, with filters in the address; and whether the chain of its records holds.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, PreEscaped, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::layout::{self, Part};
use super::markup::version_path;
use crate::api::AuditQuery;
use crate::history::time_of;
use crate::http::app::{Shared, in_turn, known_model, registry};
use crate::http::auth::Visitor;
use crate::http::guard::Sight;
use crate::http::problem::{Parameters, Problem};
use crate::http::slots::Kind;
use crate::ledger::Intact;
use driftgate_core::audit::Event;

/// So many records are on a page; for them so many are looked through, a part at a time.
const ROWS: usize = 100;
const LOOKED_THROUGH: usize = 20_000;
const AT_A_TIME: usize = 1000;
/// So many of the last records are verified for a page.
const VERIFIED: usize = 10_000;
/// A payload is shown up to so many bytes.
const LONGEST: usize = 4000;

/// GET /audit
pub async fn audit(
    State(app): State<Shared>,
    sight: Sight,
    visitor: Visitor,
    Parameters(query): Parameters<AuditQuery>,
) -> Result<Response, Problem> {
    let query = filled(query);
    let span = span(&query)?;
    if let Some(model) = &query.model {
        if !sight.sees(model) {
            return Err(Problem::forbidden(format!("the token is not for model {model:?}")));
        }
        known_model(&app, model)?;
    }
    let models: Vec<String> = app.view.read().models.keys().filter(|model| sight.sees(model)).cloned().collect();
    let asked = query.clone();
    let of = Arc::clone(&app);
    let found = in_turn(&of, Kind::Read, move |app| find(app, &sight, &asked, span)).await??;
    let intact = registry(&app, |r| r.verify_last(VERIFIED)).await?;
    let body = html! {
        h1 { "Audit log" }
        (verified(&intact))
        (form(&query, &models))
        (table(&found, &query))
    };
    Ok(layout::page("Audit log", Part::Audit, &visitor, &body))
}

/// Fields that were left empty ask for nothing.
fn filled(query: AuditQuery) -> AuditQuery {
    let set = |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    AuditQuery {
        model: set(query.model),
        version: set(query.version),
        actor: set(query.actor),
        event: set(query.event),
        from: set(query.from),
        to: set(query.to),
        before: query.before,
    }
}

/// The times that are asked for, ms.
fn span(query: &AuditQuery) -> Result<(i64, i64), Problem> {
    let time = |name: &str, text: &Option<String>, none: i64| match text {
        None => Ok(none),
        Some(text) => time_of(text).ok_or_else(|| {
            Problem::bad_request(format!(
                "{name} is {text:?}; it can be a date such as 2026-11-28, or a time such as 2026-11-28T06:00:00Z"
            ))
        }),
    };
    Ok((time("from", &query.from, i64::MIN)?, time("to", &query.to, i64::MAX)?))
}

/// Records of a page, and where the next one begins.
#[derive(Default)]
struct Found {
    records: Vec<Value>,
    /// Older ones are before this number.
    next: Option<u64>,
}

fn find(app: &crate::http::App, sight: &Sight, query: &AuditQuery, (from, to): (i64, i64)) -> Result<Found, Problem> {
    let (mut found, mut before, mut looked) = (Found::default(), query.before, 0);
    while looked < LOOKED_THROUGH {
        let part = app.registry.audit_before(query.model.as_deref(), before, AT_A_TIME)?;
        for record in part.records.iter().rev() {
            before = record.get("seq").and_then(Value::as_u64);
            looked += 1;
            let at = time_of(text(record, "ts")).unwrap_or_default();
            if at < from {
                return Ok(Found { next: None, ..found });
            }
            if at < to && is_asked(record, query) && sees(sight, record) {
                found.records.push(record.clone());
            }
            if found.records.len() == ROWS {
                return Ok(Found { next: before, ..found });
            }
        }
        if part.records.is_empty() || (part.records.len() < AT_A_TIME && !part.left_out) {
            return Ok(Found { next: None, ..found });
        }
    }
    Ok(Found { next: before, ..found })
}

fn is_asked(record: &Value, query: &AuditQuery) -> bool {
    let is = |key: &str, wanted: &Option<String>| wanted.as_ref().is_none_or(|wanted| text(record, key) == wanted);
    let actor = query.actor.as_ref().is_none_or(|actor| text(record, "actor").contains(actor.as_str()));
    is("version", &query.version) && is("event", &query.event) && actor
}

/// What is of no model is for those who may read all.
fn sees(sight: &Sight, record: &Value) -> bool {
    match record.get("model").and_then(Value::as_str) {
        Some(model) => sight.sees(model),
        None => sight.sees_all(),
    }
}

fn verified(intact: &Intact) -> Markup {
    let report = &intact.report;
    html! {
        @if report.is_intact() {
            div.notice.pass {
                p { b { "The chain holds: " } "the last " (report.records) " records are what was written"
                    @if let Some(vouched) = &report.vouched { ", signed up to record " (vouched.seq) " at " (vouched.ts) " with the key " code { (vouched.key_id) } }
                    "." @if intact.before > 0 { " The " (intact.before) " before them were not looked at." } }
                p.soft.small { "Who can change the registry and its key can rewrite both: " code { "driftgate audit verify" } " compares all records with checkpoints that are kept elsewhere." }
            }
        } @else {
            div.notice.block role="alert" {
                p { b { "The chain is broken." } " Stop relying on it, keep a copy of the registry's file, and run " code { "driftgate audit verify" } "." }
                ul { @for problem in report.problems.iter().take(20) { li { (problem) } } }
            }
        }
    }
}

fn form(query: &AuditQuery, models: &[String]) -> Markup {
    let of = |text: &Option<String>| text.clone().unwrap_or_default();
    html! {
        form.fields method="get" action="/audit" role="search" {
            label { "model" select name="model" {
                option value="" { "any" }
                @for model in models { option value=(model) selected[query.model.as_ref() == Some(model)] { (model) } }
            } }
            label { "version" input name="version" value=(of(&query.version)) size="8"; }
            label { "actor" input name="actor" value=(of(&query.actor)) size="16"; }
            label { "event" input name="event" value=(of(&query.event)) size="10" placeholder="approval"; }
            label { "from" input name="from" value=(of(&query.from)) size="11" placeholder="2026-11-01"; }
            label { "to" input name="to" value=(of(&query.to)) size="11" placeholder="2026-12-01"; }
            button { "show" }
            a href="/audit" { "all" }
        }
    }
}

fn table(found: &Found, query: &AuditQuery) -> Markup {
    if found.records.is_empty() && found.next.is_none() {
        return html! { p.soft { "No record is like this." } };
    }
    html! {
        div.scroll tabindex="0" role="region" aria-label="Records" {
            table {
                thead { tr { @for head in ["record", "time", "actor", "event", "model", "what happened"] { th scope="col" { (head) } } } }
                tbody { @for record in &found.records { (row(record)) } }
            }
        }
        @if let Some(next) = found.next { p { a href=(older(query, next)) { "Older records" } } }
    }
}

fn row(record: &Value) -> Markup {
    let (event, model, version) = (text(record, "event"), text(record, "model"), text(record, "version"));
    let payload = record.get("payload").unwrap_or(&Value::Null);
    let whole = payload.to_string();
    let shown: String = whole.chars().take(LONGEST).collect();
    html! { tr {
        td.num { (record.get("seq").and_then(Value::as_u64).unwrap_or_default()) }
        td { (text(record, "ts").replacen('T', " ", 1).trim_end_matches('Z')) }
        td { (text(record, "actor")) }
        td { (event) }
        td { @if version.is_empty() { (model) } @else { a href=(version_path(model, version)) { (model) " " (version) } } }
        td {
            details { summary { (Event::read(event, payload)) }
                code { (shown) @if shown.len() < whole.len() { " …" } } }
        }
    } }
}

/// The page of older records.
fn older(query: &AuditQuery, before: u64) -> PreEscaped<String> {
    let pairs = [
        ("model", &query.model),
        ("version", &query.version),
        ("actor", &query.actor),
        ("event", &query.event),
        ("from", &query.from),
        ("to", &query.to),
    ];
    let kept = pairs.into_iter().filter_map(|(name, value)| {
        Some(format!("{name}={}&amp;", utf8_percent_encode(value.as_ref()?, NON_ALPHANUMERIC)))
    });
    PreEscaped(format!("/audit?{}before={before}", kept.collect::<String>()))
}

/// A text of a record.
fn text<'r>(record: &'r Value, key: &str) -> &'r str {
    record.get(key).and_then(Value::as_str).unwrap_or_default()
}
