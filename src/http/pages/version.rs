//! The page of a version: the status of each group over time, with what happened to the version, and a line per rule for its worst subject.

use std::fmt::Write as _;

use serde_json::Value;

use super::chart::{self, Moment, Point, point};
use super::confusion::confusion;
use super::curves::curves;
use super::features::{self, Choice, Line, Room, Table};
use super::forest::forest;
use super::lineage::lineage;
use super::markup::{NO_HISTORY, choice, escaped, number, promotion_path, status, subject_path, table, time};
use super::segments::segments;
use super::standing::standing;
use crate::api::Explanation;
use crate::history::columns::Row;
use crate::http::series::Range;
use driftgate_core::audit::{Event, event::SignalOutcome};
use driftgate_core::judge::verdict::{Action, RuleResult, Status, Verdict};

/// Of so many results of a group segments are looked for.
const FORESTS: usize = 2000;
/// So many features of a group are shown by segment.
const SEGMENTED: usize = 3;

pub struct Page<'p> {
    /// Verdicts, lineage, evidence and approvals.
    pub seen: &'p Explanation,
    pub range: Range,
    pub groups: &'p [Group<'p>],
    pub features: Features<'p>,
    pub moments: &'p [Moment],
}

/// The features of all groups.
pub struct Features<'p> {
    /// By group.
    pub lines: &'p [Vec<Line<'p>>],
    pub room: Room,
    /// Windows of the first ones; `None` where results over time are not kept.
    pub over_time: Option<&'p [Row]>,
    pub choice: &'p Choice,
}

/// A group of the policy.
pub struct Group<'p> {
    pub name: &'p str,
    /// The status of each window.
    pub windows: Vec<Row>,
    /// The newest verdict.
    pub verdict: Option<&'p Verdict>,
    /// Its results.
    pub last: Vec<Row>,
    /// The worst subject of each rule, and its windows.
    pub lines: Vec<(&'p RuleResult, Vec<Row>)>,
}

impl Group<'_> {
    /// The features of its newest verdict.
    pub fn features(&self, choice: &Choice) -> Vec<Line<'_>> {
        features::lines(&self.last, self.verdict.map_or(&[][..], |verdict| &verdict.results), choice)
    }
}

/// The worst result of each rule: by status, then by its rank where the policy says how much features matter, then by its value; the first of those
/// that are alike.
pub fn worst_by_rule(verdict: &Verdict) -> Vec<(&str, &RuleResult)> {
    let mut found: Vec<(&str, &RuleResult)> = Vec::new();
    for result in &verdict.results {
        match found.iter_mut().find(|(rule, _)| *rule == result.rule) {
            Some((_, worst)) => {
                let of = |r: &RuleResult| (r.status, r.rank(), value(r));
                let is_worse = of(result) > of(worst);
                if is_worse {
                    *worst = result;
                }
            }
            None => found.push((&result.rule, result)),
        }
    }
    found
}

/// Greater is worse; of p-values and the like, whose limit is below, the other way round.
fn value(result: &RuleResult) -> Option<f64> {
    let limit = result.get("limit");
    let is_below =
        limit.and_then(|l| l.as_object().map(|l| l.contains_key("gte") || l.contains_key("gt"))).unwrap_or(false);
    result.value.map(|value| if is_below { -value } else { value })
}

/// Blocks, clears, promotions and rollbacks of a version in a range of time, the oldest first. Signals have event time, what people do the
/// wall clock's.
pub fn moments(records: &[Value], version: &str, range: Range) -> Vec<Moment> {
    let ms = |text: &str| text.parse().ok().map(jiff::Timestamp::as_millisecond);
    let mut found: Vec<Moment> = Vec::new();
    for record in records {
        let event = Event::read(text(record, "event"), record.get("payload").unwrap_or(&Value::Null));
        let is_own = text(record, "version") == version;
        let (kind, at) = match &event {
            Event::Signal { signal, outcome: SignalOutcome::Applied, .. } if is_own => match signal.action {
                Action::Block => ("block", ms(&signal.ts)),
                Action::Clear => ("clear", ms(&signal.ts)),
                Action::Rollback => continue,
            },
            Event::Unblock { .. } if is_own => ("clear", ms(text(record, "ts"))),
            Event::Promotion(_) if is_own => ("promotion", ms(text(record, "ts"))),
            Event::Rollback { from, ts, .. } if from == version => {
                ("rollback", ms(ts).or_else(|| ms(text(record, "ts"))))
            }
            _ => continue,
        };
        let Some(at) = at.filter(|at| (range.from_ms..range.to_ms).contains(at)) else { continue };
        found.push(Moment { ms: at, kind, sentence: event.to_string() });
    }
    found.sort_by_key(|moment| moment.ms);
    found
}

impl Page<'_> {
    pub fn body(&self) -> String {
        let Self { seen, range, groups, moments, features } = self;
        let Explanation { model, version, stages, .. } = seen;
        let stages = if stages.is_empty() { "no stage".to_owned() } else { escaped(&stages.join(", ")) };
        let mut out =
            format!("<h1>{} {} <span class=\"soft\">{stages}</span></h1>\n", escaped(model), escaped(version));
        let _ = writeln!(out, "<p><a href=\"{}\">Promotion</a></p>", promotion_path(model, version));
        out.push_str(&standing(seen).into_string());
        if self.is_kept() {
            out.push_str(&choice(*range));
        } else {
            let _ = writeln!(
                out,
                "<p class=\"notice\">{NO_HISTORY}. These are the results of the last window of each group.</p>"
            );
        }
        if features.choice.find.is_some() || features.lines.iter().any(|lines| !lines.is_empty()) {
            out.push_str(&features::search(features.choice, *range));
        }
        for (group, lines) in groups.iter().zip(features.lines) {
            out.push_str(&self.group(group, lines));
        }
        out.push_str("<h2>What happened</h2>\n<p class=\"soft\">✕ block, ✓ clear, ▲ promotion, ▼ rollback</p>\n");
        let cells = |m: &Moment| vec![time(m.ms), m.kind.to_owned(), escaped(&m.sentence)];
        out.push_str(&table("What happened", &["time", "event", "what"], moments.iter().rev().map(cells)));
        out.push_str(&lineage(seen).into_string());
        out
    }

    /// Whether results over time are kept.
    fn is_kept(&self) -> bool {
        self.features.over_time.is_some()
    }

    fn group(&self, group: &Group<'_>, lines: &[Line<'_>]) -> String {
        let name = escaped(group.name);
        let latest =
            group.verdict.map_or_else(|| "<span class=\"soft\">not judged yet</span>".to_owned(), |v| status(v.status));
        let mut out = format!("<h2>{name} {latest}</h2>\n");
        if self.is_kept() {
            out.push_str(&self.over_time(group));
        }
        out.push_str(&self.lines(group));
        let Features { room, over_time, choice, .. } = self.features;
        let (model, version) = (&self.seen.model, &self.seen.version);
        let range = self.range;
        let table = Table { model, version, group: group.name, lines, room, over_time, range, choice };
        out.push_str(&table.shown());
        if let Some(verdict) = group.verdict {
            out.push_str(&confusion(verdict));
            out.push_str(&curves(verdict));
            verdict.results.iter().take(FORESTS).for_each(|result| out.push_str(&forest(result)));
            // The others are on the pages of their features.
            let failing = verdict.results.iter().filter(|result| result.status != Status::Pass);
            failing.map(segments).filter(|shown| !shown.is_empty()).take(SEGMENTED).for_each(|s| out.push_str(&s));
            out.push_str(&self.subjects(verdict));
        }
        out
    }

    /// The status of each window of the range.
    fn over_time(&self, group: &Group<'_>) -> String {
        if group.windows.is_empty() {
            return format!(
                "<p class=\"soft\">No window of {} ends in this range: choose another one above.</p>\n",
                escaped(group.name)
            );
        }
        let mut out = String::new();
        let windows: Vec<(i64, Status)> = group.windows.iter().map(|row| (row.end_ms, row.of.status)).collect();
        out.push_str(&chart::strip(&format!("status of {} over time", group.name), &windows, self.moments, self.range));
        let count = |status| windows.iter().filter(|(_, s)| *s == status).count();
        let counts: Vec<String> = Status::ALL.iter().map(|s| format!("{} {}", count(*s), s.name())).collect();
        let _ = writeln!(out, "<p class=\"soft\">{} windows: {}</p>", windows.len(), counts.join(", "));
        out
    }

    /// A line per rule, for its worst subject; with its values over time, where they are kept.
    fn lines(&self, group: &Group<'_>) -> String {
        let cells = |(result, rows): &(&RuleResult, Vec<Row>)| {
            let points: Vec<Point> = rows.iter().map(point).collect();
            let path = subject_path(&self.seen.model, &self.seen.version, &result.subject);
            let spark = chart::spark(&format!("{} of {}", result.rule, result.subject), &points, self.range);
            let least = points.iter().filter_map(|p| p.value).reduce(f64::min);
            let most = points.iter().filter_map(|p| p.value).reduce(f64::max);
            let mut cells = vec![
                escaped(&result.rule),
                format!("<a href=\"{path}\">{}</a>", escaped(&result.subject)),
                status(result.status),
                number(result.value),
            ];
            if self.is_kept() {
                cells.extend([spark, format!("{} to {}", number(least), number(most))]);
            }
            cells
        };
        let mut heads = vec!["rule", "worst subject", "status", "value"];
        if self.is_kept() {
            heads.extend(["over time", "from to"]);
        }
        table(&format!("Rules of {}", group.name), &heads, group.lines.iter().map(cells))
    }

    /// Every subject of a group, with its page.
    fn subjects(&self, verdict: &Verdict) -> String {
        let mut subjects: Vec<&str> = verdict.results.iter().map(|r| r.subject.as_str()).collect();
        subjects.sort_unstable();
        subjects.dedup();
        let link = |s: &&str| {
            format!("<a href=\"{}\">{}</a>", subject_path(&self.seen.model, &self.seen.version, s), escaped(s))
        };
        let links: Vec<String> = subjects.iter().map(link).collect();
        format!("<p>All subjects: {}</p>\n", links.join(", "))
    }
}

/// A text of a record.
fn text<'r>(record: &'r Value, key: &str) -> &'r str {
    record.get(key).and_then(Value::as_str).unwrap_or_default()
}
