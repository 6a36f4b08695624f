//! The overview: what is wrong first, then every version with its stages, groups, drifted features and last week. Its address says what it shows.

mod rows;
mod spark;

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, PreEscaped, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::markup::{NO_HISTORY, status, time, version_path};
use crate::api::{Input, OverviewQuery};
use crate::history::recent::Hours;
use crate::problems::{Problem, Severity};
use driftgate_core::codec::number::short;
use driftgate_core::text;
use driftgate_core::yaml::units::show_duration;

pub use rows::{NO_STAGE, Row, STALE, State, asked, of_model, sort};
pub use spark::WEEK_MS;

/// So many rows are on a page, and so many problems above them.
pub const ROWS: usize = 20;
const PROBLEMS: usize = 6;

/// Everything that the overview shows.
pub struct Overview<'p> {
    pub query: &'p OverviewQuery,
    pub now_ms: i64,
    /// What readiness waits for, by name; nothing where the daemon is ready.
    pub waiting: &'p BTreeMap<String, String>,
    pub is_ready: bool,
    /// Of the daemon and the models that are asked for, the worst first.
    pub problems: &'p [Problem],
    /// All that the query asks for but for its status; and of them those of the page.
    pub counted: &'p [Row],
    pub shown: &'p [Row],
    /// So many rows in all.
    pub total: usize,
    pub teams: &'p BTreeSet<String>,
    pub stages: &'p BTreeSet<String>,
    /// The last week, by model, up to this time.
    pub hours: &'p BTreeMap<String, Hours>,
    /// Whether there is a history that the last week is in.
    pub is_kept: bool,
    pub to_ms: i64,
    pub inputs: &'p [Input],
}

impl Overview<'_> {
    pub fn body(&self) -> Markup {
        html! {
            h1 { "Overview" }
            (self.connection())
            (self.problems())
            (self.tabs())
            (self.form())
            (self.table())
            (self.pages())
            (self.inputs())
        }
    }

    /// Whether what is shown is current.
    fn connection(&self) -> Markup {
        if self.is_ready {
            return html! {};
        }
        html! {
            div.notice.block role="status" {
                p { b { "Not ready: " } "what is shown may be old." }
                @for (what, why) in self.waiting { p.small { (what) ": " (why) } }
            }
        }
    }

    fn problems(&self) -> Markup {
        if self.problems.is_empty() {
            return html! { div.notice.pass { p { "Nothing is wrong with what is shown here." } } };
        }
        let rest = self.problems.len().saturating_sub(PROBLEMS);
        html! {
            h2 { (self.problems.len()) @if self.problems.len() == 1 { " problem" } @else { " problems, the worst first" } }
            ul.problems {
                @for problem in self.problems.iter().take(PROBLEMS) { li { (one_problem(problem)) } }
            }
            @if rest > 0 {
                details {
                    summary { (rest) " more" }
                    ul.problems { @for problem in self.problems.iter().skip(PROBLEMS).take(200) { li { (one_problem(problem)) } } }
                }
            }
        }
    }

    /// How many versions have which status, each a link to them.
    fn tabs(&self) -> Markup {
        let count = |state: State| self.counted.iter().filter(|row| row.state == state).count();
        let stale = self.counted.iter().filter(|row| row.is_stale()).count();
        let chosen = self.query.status.as_deref().unwrap_or_default();
        let tab = |name: &str, many: usize| {
            let path = self.path(|q| q.status = Some(name.to_owned()).filter(|name| !name.is_empty()));
            let shown = if name.is_empty() { "all" } else { name };
            html! { li { a href=(path) aria-current=[(name == chosen).then_some("true")] { (shown) " " (many) } } }
        };
        html! {
            h2 { "Versions" }
            ul.tabs {
                (tab("", self.counted.len()))
                @for state in State::ALL { (tab(state.name(), count(state))) }
                (tab(STALE, stale))
            }
        }
    }

    fn form(&self) -> Markup {
        let query = self.query;
        let of = |text: &Option<String>| text.clone().unwrap_or_default();
        let choice = |name: &str, chosen: String, all: &mut dyn Iterator<Item = &str>| {
            html! {
                label { (name) select name=(name) {
                    option value="" { "any" }
                    @for one in all { option value=(one) selected[one == chosen] { (one) } }
                } }
            }
        };
        let states = State::ALL.iter().map(|state| state.name()).chain([STALE]);
        html! {
            form.fields method="get" action="/" role="search" {
                label { "search" input type="search" name="q" value=(of(&query.q)) placeholder="model, version, team"; }
                (choice("team", of(&query.team), &mut self.teams.iter().map(String::as_str)))
                (choice("status", of(&query.status), &mut states.into_iter()))
                (choice("stage", of(&query.stage), &mut self.stages.iter().map(String::as_str).chain([NO_STAGE])))
                button { "show" }
                @if query.refresh.is_some() {
                    a href=(self.path(|q| q.refresh = None)) { "stop refreshing" }
                } @else {
                    a href=(self.path(|q| q.refresh = Some(30))) { "refresh every 30 s" }
                }
            }
        }
    }

    fn table(&self) -> Markup {
        if self.shown.is_empty() {
            return html! {
                @if self.total == 0 && self.counted.is_empty() && *self.query == OverviewQuery::default() {
                    p.soft { "No version was registered or seen in events." }
                } @else {
                    p.soft { "No version is like this. " a href="/" { "Show all" } }
                }
            };
        }
        let week = self.is_kept.then_some("last 7 days");
        let heads = ["status", "version", "stages", "groups", "drifted"].into_iter().chain(week);
        let heads = heads.chain(["rollout", "newest window", "why"]);
        html! {
            @if !self.is_kept { p.notice { (PreEscaped(NO_HISTORY)) "." } }
            div.scroll tabindex="0" role="region" aria-label="Versions" {
                table.rows {
                    thead { tr { @for head in heads { th scope="col" { (head) } } } }
                    tbody { @for row in self.shown { (self.row(row)) } }
                }
            }
        }
    }

    fn row(&self, row: &Row) -> Markup {
        let spark =
            self.hours.get(&row.model).and_then(|hours| spark::spark(hours, &row.version, &row.cells, self.to_ms));
        let is_grey = row.is_stale() || !self.is_ready;
        html! {
            tr.stale[is_grey] {
                td { span class={ "state " (row.state.name()) } { (sign(row.state)) " " (row.state.name()) } }
                td { a href=(PreEscaped(version_path(&row.model, &row.version))) { (row.model) " " (row.version) }
                    @if let Some(team) = &row.team { " " span.soft.small { (team) } } }
                td data-of="stages" { @for stage in &row.stages { span.chip { (stage) } } }
                td data-of="groups" {
                    @for cell in &row.cells {
                        span.chip.stale[cell.is_stale] title=[(!cell.is_enforced).then_some("watched only: it blocks nothing")] {
                            (cell.group) " "
                            @match cell.status {
                                Some(of) => { (PreEscaped(status(of))) @if cell.is_stale { " stale" } }
                                None => span.soft { "–" }
                            }
                        }
                    }
                }
                td.num data-of="drifted" { @if let Some((some, all)) = row.drifted { (some) " of " (all) } }
                @if self.is_kept { td { @if let Some(svg) = spark { (PreEscaped(svg)) } } }
                td.num data-of="rollout" { @if let Some(weight) = row.weight { (short(weight)) "%" } }
                td data-of="newest window" { (self.freshness(row)) }
                td.why.small { @if let Some((_, why)) = &row.worst { span title=(why) { (text::in_line(why)) } } }
            }
        }
    }

    /// How long ago the newest window ended, and whether it is too old.
    fn freshness(&self, row: &Row) -> Markup {
        let Some(newest) = row.newest_ms else { return html! {} };
        let age = self.now_ms.saturating_sub(newest).max(0);
        html! {
            span title=(time(newest)) { (rounded(age)) " ago" }
            @if !self.is_ready { ", not ready" } @else if row.is_stale() { ", stale" }
        }
    }

    fn pages(&self) -> Markup {
        let last = self.total.div_ceil(ROWS);
        if last <= 1 {
            return html! {};
        }
        let at = self.query.page.unwrap_or(1);
        html! {
            nav aria-label="Rows" {
                ul.tabs {
                    @for page in 1..=last.min(500) {
                        li { a href=(self.path(|q| q.page = Some(page))) aria-current=[(page == at).then_some("page")] {
                            (((page - 1) * ROWS) + 1) "–" ((page * ROWS).min(self.total)) } }
                    }
                }
            }
        }
    }

    /// What was read of each topic.
    fn inputs(&self) -> Markup {
        if self.inputs.is_empty() {
            return html! {};
        }
        html! {
            h2 { "Inputs" }
            div.scroll tabindex="0" role="region" aria-label="Inputs" {
                table {
                    thead { tr { th scope="col" { "topic" } th.num scope="col" { "events" } th.num scope="col" { "rejected" }
                        th.num scope="col" { "rejected lately" } th scope="col" { "problem" } } }
                    tbody { @for input in self.inputs { (one_input(input)) } }
                }
            }
        }
    }

    /// This page with another query, from its first row on.
    fn path(&self, change: impl FnOnce(&mut OverviewQuery)) -> PreEscaped<String> {
        let mut query = OverviewQuery { page: None, ..self.query.clone() };
        change(&mut query);
        let texts = [("q", query.q), ("team", query.team), ("status", query.status), ("stage", query.stage)];
        let numbers = [("page", query.page.map(|n| n.to_string())), ("refresh", query.refresh.map(|n| n.to_string()))];
        let pairs: Vec<String> = texts
            .into_iter()
            .chain(numbers)
            .filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_empty())?)))
            .map(|(name, value)| format!("{name}={}", utf8_percent_encode(&value, NON_ALPHANUMERIC)))
            .collect();
        PreEscaped(if pairs.is_empty() { "/".to_owned() } else { format!("/?{}", pairs.join("&amp;")) })
    }
}

fn one_input(input: &Input) -> Markup {
    let rejected: u64 = input.rejected.values().sum();
    html! {
        tr {
            td { (input.topic) }
            td.num { (input.events) }
            td.num { (rejected) }
            td.num.block[input.problem.is_some()] {
                @if let Some(share) = input.recent.share { (short((share * 10_000.0).round() / 100.0)) "%" }
            }
            td.small { @if let Some(problem) = &input.problem { (problem) } }
        }
    }
}

fn one_problem(problem: &Problem) -> Markup {
    html! {
        span class={ "state " (colour(problem.severity)) } { (named(problem.severity)) } " "
        @match (&problem.model, &problem.version) {
            (Some(model), Some(version)) => { a href=(PreEscaped(version_path(model, version))) { (model) " " (version) } ": " }
            (Some(model), None) => { b { (model) } ": " }
            _ => {}
        }
        (problem.problem)
        @if let Some(next) = &problem.next { " " span.soft.small { "Next: " code { (next) } } }
    }
}

fn sign(state: State) -> &'static str {
    match state {
        State::Block => "✕",
        State::Insufficient | State::Unjudged => "?",
        State::Warn => "!",
        State::Pass => "✓",
    }
}

fn named(severity: Severity) -> &'static str {
    match severity {
        Severity::Halted => "halted",
        Severity::Production => "production",
        Severity::Refused => "refused",
        Severity::Waiting => "waiting",
        Severity::Unknown => "unknown",
        Severity::Candidate => "candidate",
        Severity::Warning => "warning",
        Severity::Partial => "partial",
    }
}

fn colour(severity: Severity) -> &'static str {
    match severity {
        Severity::Halted | Severity::Production | Severity::Refused => "block",
        Severity::Waiting | Severity::Candidate | Severity::Warning => "warn",
        Severity::Unknown | Severity::Partial => "insufficient",
    }
}

/// A span of time for people, in its largest units.
pub fn rounded(ms: i64) -> String {
    let units = [(120_000, 1000), (7_200_000, 60_000), (172_800_000, 3_600_000)];
    let to = units.into_iter().find(|(below, _)| ms < *below).map_or(86_400_000, |(_, unit)| unit);
    show_duration(ms.div_euclid(to).saturating_mul(to).max(0))
}
