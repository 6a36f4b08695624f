//! The report as text and as JSON; examples are covered unless values are asked for.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::fields::{Field, masked};
use super::report::{From, Report};
use crate::cli::display;
use crate::cli::terminal::shown;
use driftgate_core::event::{EventKind, Field as Of};

/// Bytes that are shown of what is not known, unless values are asked for.
const COVERED: usize = 8;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

fn bytes(bytes: &[u8], show: bool) -> String {
    if show {
        return format!("{} {:?}", hex(bytes), String::from_utf8_lossy(bytes));
    }
    hex(bytes.get(..COVERED).unwrap_or(bytes))
}

fn example(text: &str, show: bool) -> String {
    if show { text.to_owned() } else { masked(text) }
}

/// What a field would be: of an event, or of a policy.
fn role(report: &Report, field: &Field) -> String {
    let of = report.guess.fields.iter().find(|(_, place)| **place == field.place);
    if let Some((of, _)) = of {
        return of.name().to_owned();
    }
    let place = report.guess.fields.get(&Of::Features).map_or(0, Vec::len);
    let inside = report.guess.fields.get(&Of::Features).is_none_or(|at| field.place.starts_with(at));
    let is =
        |names: &[String]| inside && field.place.len() == place + 1 && names.iter().any(|name| name == field.name());
    if is(&report.guess.numeric) {
        "numeric feature".to_owned()
    } else if is(&report.guess.categorical) {
        "categorical feature".to_owned()
    } else {
        String::new()
    }
}

fn share(report: &Report, field: &Field) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    let (of, all) = (field.values as f64, report.fields.values.max(1) as f64);
    of / all
}

fn types(field: &Field) -> String {
    let all: Vec<String> = field.types.iter().map(|(of, n)| format!("{of} {}", display::count(*n))).collect();
    match all.as_slice() {
        [_] => field.types.keys().copied().collect(),
        _ => all.join(", "),
    }
}

/// The report for people.
pub fn text(report: &Report, show: bool) -> String {
    let mut out = String::new();
    let n = display::count(report.looked_at);
    let _ = match &report.from {
        From::Topic { topic, partitions } => {
            writeln!(out, "{}: {n} messages of {partitions} partitions looked at", shown(topic))
        }
        From::File(path) => writeln!(out, "{}: {n} rows looked at", shown(&path.display().to_string())),
    };
    for (format, count) in &report.formats {
        let _ = match report.from {
            From::Topic { .. } => writeln!(out, "  {} {}", display::count(*count), format.says()),
            From::File(_) => writeln!(out, "  {}", format.says()),
        };
    }
    if !report.schemas.is_empty() {
        let schemas: Vec<String> = report.schemas.iter().map(ToString::to_string).collect();
        let _ = writeln!(out, "  schemas: {}", schemas.join(", "));
    }
    for unknown in &report.unknown {
        let _ = writeln!(out, "  first bytes: {}", shown(&bytes(unknown, show)));
    }
    if !report.fields.all.is_empty() {
        let _ = writeln!(out, "{}", table(report, show));
    }
    if report.fields.more {
        out.push_str("There are more fields than are shown: are names of fields values?\n");
    }
    proposal(report, &mut out);
    for problem in &report.problems {
        let _ = writeln!(out, "not read: {}", shown(problem));
    }
    if !report.fields.all.is_empty() {
        for open in report.open() {
            let _ = writeln!(out, "open: {}", shown(open));
        }
    }
    out
}

fn table(report: &Report, show: bool) -> comfy_table::Table {
    let mut table = display::table(&["field", "type", "share", "examples", "may be"]);
    for field in &report.fields.all {
        let examples: Vec<String> = field.examples.iter().map(|text| example(text, show)).collect();
        let share = format!("{:.1}%", 100.0 * share(report, field));
        display::row(&mut table, [field.pointer(), types(field), share, examples.join(" "), role(report, field)]);
    }
    table
}

/// What to write into a configuration and a policy.
fn proposal(report: &Report, out: &mut String) {
    let Some(source) = report.source() else { return };
    let what = match report.from {
        From::Topic { .. } => "A source that would read it",
        From::File(_) => "A source by which `driftgate replay --config` would read it",
    };
    let _ = write!(out, "\n{what}, by the fields of what was looked at:\n\n{}", steered(&source));
    let (numeric, categorical) = (&report.guess.numeric, &report.guess.categorical);
    if report.inference.is_none() && !(numeric.is_empty() && categorical.is_empty()) {
        let list = |names: &[String]| serde_json::to_string(names).unwrap_or_default().replace("\",\"", "\", \"");
        let _ = write!(
            out,
            "\nFeatures that a policy may name:\n\nfeatures:\n  numeric: {}\n  categorical: {}\n",
            shown(&list(numeric)),
            shown(&list(categorical))
        );
    }
    out.push('\n');
}

/// Lines of ours, with names of others in them.
fn steered(lines: &str) -> String {
    lines.lines().fold(String::new(), |all, line| all + &shown(line) + "\n")
}

/// The kind of the events that a source would read.
fn kind(report: &Report) -> Option<&'static str> {
    let inference = report.inference.as_ref().map(|_| EventKind::Predictions);
    inference.or(report.guess.kind).map(EventKind::name)
}

/// The report for programs.
pub fn json(report: &Report, show: bool) -> Value {
    let from = match &report.from {
        From::Topic { topic, partitions } => json!({"topic": topic, "partitions": partitions}),
        From::File(path) => json!({"file": path.display().to_string()}),
    };
    let formats =
        report.formats.iter().map(|(format, n)| json!({"format": format.name(), "is": format.says(), "messages": n}));
    let fields = report.fields.all.iter().map(|field| {
        let role = role(report, field);
        json!({
            "field": field.pointer(), "types": field.types, "values": field.values, "share": share(report, field),
            "examples": field.examples.iter().map(|text| example(text, show)).collect::<Vec<_>>(),
            "may_be": Some(role).filter(|role| !role.is_empty()),
        })
    });
    json!({
        "from": from, "looked_at": report.looked_at, "formats": formats.collect::<Vec<_>>(),
        "schemas": report.schemas.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "first_bytes": report.unknown.iter().map(|unknown| bytes(unknown, show)).collect::<Vec<_>>(),
        "fields": fields.collect::<Vec<_>>(), "more_fields": report.fields.more,
        "read": report.is_read, "kind": kind(report),
        "source": report.source(), "not_read": report.problems, "open": report.open(),
        "policy": {"numeric": report.guess.numeric, "categorical": report.guess.categorical},
    })
}
