//! `driftgate explain`: everything that speaks for and against a version, the short answer first. The distributions
//! beside each other are `distribution`; where the version comes from and what happened to it is `record`.

mod distribution;
mod record;

use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::client::{Client, ServerArgs};
use super::terminal::{out, outln};
use super::{Failure, display, exit};
use crate::registry::ActiveBlock;
use driftgate_core::gate::{Answer, GateVerdict};
use driftgate_core::judge::verdict::{Status, written};
use driftgate_core::promotion::types::{Approval, Override, RollbackTarget};
use record::Lineage;

/// Segments in a table at most; the lowest rates are shown.
const SEGMENTS: usize = 12;

/// Explains why a version is blocked or not: reasons, distributions, segments, lineage, approvals
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  driftgate explain fraud_detector 7\n  driftgate explain fraud_detector 7 --json\n  driftgate explain fraud_detector 7 --config config/driftgate.yaml"
)]
pub struct Args {
    /// The model
    #[arg(value_name = "MODEL")]
    model: String,
    /// Its version
    #[arg(value_name = "VERSION")]
    version: String,
    /// Prints it as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// What the API says of a version.
#[derive(Deserialize)]
struct Explained {
    model: String,
    version: String,
    stages: Vec<String>,
    blocks: Vec<ActiveBlock>,
    rolled_back: Option<String>,
    frozen: Option<String>,
    rollback_target: Option<RollbackTarget>,
    lineage: Lineage,
    approvals: Vec<Approval>,
    overrides: Vec<Override>,
    /// By stage, in the policy's order.
    gates: Map<String, Value>,
    /// The newest first.
    promotions: Vec<Value>,
    verdicts: Vec<Verdict>,
}

#[derive(Deserialize)]
struct Verdict {
    group: String,
    window: Window,
    status: Status,
    results: Vec<Outcome>,
}

#[derive(Deserialize)]
struct Window {
    end: String,
    complete: bool,
}

/// One rule on one subject, as far as it is shown.
#[derive(Deserialize)]
struct Outcome {
    rule: String,
    subject: String,
    status: Status,
    value: Option<f64>,
    #[serde(default)]
    limit: Map<String, Value>,
    n: Option<u64>,
    reference_n: Option<u64>,
    reason: Option<String>,
    since: Option<String>,
    #[serde(default)]
    pending: bool,
    #[serde(default)]
    muted: bool,
    #[serde(default)]
    segments: Vec<Segment>,
    #[serde(default)]
    bins: Vec<Value>,
}

#[derive(Deserialize)]
struct Segment {
    segment: String,
    tp: u64,
    #[serde(rename = "fn")]
    fn_: u64,
    tpr: Option<f64>,
    reference_tpr: Option<f64>,
    eligible: bool,
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let path = ["api", "v1", "models", &args.model, "versions", &args.version, "explain"];
    let said: Value = Client::new(&args.server)?.get(&path, &[])?;
    if args.json {
        outln!("{}", serde_json::to_string_pretty(&said)?);
    } else {
        let width = display::table(&[]).width().map_or(distribution::WIDTH, usize::from);
        out!("{}", as_text(&said, width)?);
    }
    Ok(exit::PASS)
}

fn as_text(said: &Value, width: usize) -> anyhow::Result<String> {
    let it: Explained = serde_json::from_value(said.clone())?;
    let gates: Vec<Answer> =
        it.gates.values().map(|answer| serde_json::from_value(answer.clone())).collect::<Result<_, _>>()?;
    let mut out = format!("{}\n", answer(&it, &gates));
    for (given, what) in [(&it.frozen, "the model is frozen"), (&it.rolled_back, "it was rolled back:")] {
        if let Some(given) = given {
            let _ = writeln!(out, "{what} {given}");
        }
    }
    for gate in gates.iter().filter(|gate| !gate.ok) {
        let _ = writeln!(out, "\n{} {}:", word(gate.verdict), gate.to);
        for reason in &gate.reasons {
            let _ = writeln!(out, "  - {reason}");
        }
        for note in &gate.notes {
            let _ = writeln!(out, "  note: {note}");
        }
    }
    let told = |block: &ActiveBlock| gates.iter().any(|g| g.reasons.iter().any(|r| r.contains(&block.since)));
    for block in it.blocks.iter().filter(|block| !told(block)) {
        let _ = writeln!(out, "\nblocked by {} since {}: {}", block.group, block.since, block.reasons.join("; "));
    }
    checks(&mut out, &it.verdicts);
    let mut shown: Vec<(&str, &str)> = Vec::new();
    for (group, result) in by_group(&it.verdicts).filter(|(_, r)| r.status != Status::Pass && !r.bins.is_empty()) {
        // Two rules of a group read the same distribution.
        if shown.contains(&(group, &result.subject)) {
            continue;
        }
        shown.push((group, &result.subject));
        let title = format!("{} {}: {}", result.rule, result.subject, against(result));
        let _ = write!(out, "\n{}", distribution::chart(&title, &result.bins, result.reference_n, result.n, width));
    }
    segments(&mut out, &it.verdicts);
    record::lineage(&mut out, &it.lineage);
    record::approvals(&mut out, &it.approvals, &it.overrides);
    record::way_back(&mut out, it.rollback_target.as_ref());
    record::promotions(&mut out, &it.promotions);
    Ok(out)
}

fn results(verdicts: &[Verdict]) -> impl Iterator<Item = &Outcome> {
    verdicts.iter().flat_map(|v| &v.results)
}

fn by_group(verdicts: &[Verdict]) -> impl Iterator<Item = (&str, &Outcome)> {
    verdicts.iter().flat_map(|v| v.results.iter().map(move |r| (v.group.as_str(), r)))
}

fn word(verdict: GateVerdict) -> &'static str {
    match verdict {
        GateVerdict::Pass => "passes to",
        GateVerdict::Block => "blocked for",
        GateVerdict::Inconclusive => "inconclusive for",
        GateVerdict::Pending => "waits for an approval for",
    }
}

/// The short answer: where the version stands, and where the gate would let it go, the worst first.
fn answer(it: &Explained, gates: &[Answer]) -> String {
    let order = [GateVerdict::Block, GateVerdict::Inconclusive, GateVerdict::Pending, GateVerdict::Pass];
    let parts = order.into_iter().filter_map(|verdict| {
        let stages: Vec<&str> = gates.iter().filter(|g| g.verdict == verdict).map(|g| g.to.as_str()).collect();
        (!stages.is_empty()).then(|| format!("{} {}", word(verdict), stages.join(", ")))
    });
    let parts: Vec<String> = parts.collect();
    let stands = if it.stages.is_empty() { "on no stage".to_owned() } else { format!("in {}", it.stages.join(", ")) };
    format!("{} version {}, {stands} now: {}", it.model, it.version, parts.join("; "))
}

/// Every group with its window, and every result that does not pass.
fn checks(out: &mut String, verdicts: &[Verdict]) {
    if verdicts.is_empty() {
        out.push_str("\nno verdicts: no window of this version was judged yet\n");
        return;
    }
    out.push('\n');
    for v in verdicts {
        let passing = v.results.iter().filter(|r| r.status == Status::Pass).count();
        let cut = if v.window.complete { "" } else { " (incomplete)" };
        let (group, status, all) = (&v.group, v.status.name(), v.results.len());
        let _ = writeln!(out, "{group}: {status}, {passing} of {all} checks pass, window ending {}{cut}", v.window.end);
    }
    if results(verdicts).all(|r| r.status == Status::Pass) {
        return;
    }
    let mut table = display::table(&["rule", "subject", "status", "value", "limit", "since", "n", "why"]);
    for r in results(verdicts).filter(|r| r.status != Status::Pass) {
        let mark = match (r.muted, r.pending) {
            (true, _) => " (muted)",
            (false, true) => " (not for long enough)",
            (false, false) => "",
        };
        display::row(
            &mut table,
            [
                r.rule.clone(),
                r.subject.clone(),
                format!("{}{mark}", r.status.name()),
                display::number(r.value),
                limit(r),
                r.since.clone().unwrap_or_default(),
                r.n.map_or_else(|| "–".to_owned(), display::count),
                r.reason.clone().unwrap_or_default(),
            ],
        );
    }
    let _ = writeln!(out, "{table}");
}

fn limit(result: &Outcome) -> String {
    result.limit.iter().map(|(name, value)| format!("{name} {}", written(value))).collect::<Vec<_>>().join(", ")
}

fn against(result: &Outcome) -> String {
    format!("{}, limit {}", display::number(result.value), limit(result))
}

/// The segments of every segmentation that was judged, once a group.
fn segments(out: &mut String, verdicts: &[Verdict]) {
    let mut shown: Vec<(&str, &str)> = Vec::new();
    for (group, result) in by_group(verdicts) {
        let key = (group, result.subject.as_str());
        if result.segments.is_empty() || shown.contains(&key) {
            continue;
        }
        shown.push(key);
        let mut all: Vec<&Segment> = result.segments.iter().collect();
        let rate = |s: &Segment| s.tpr.unwrap_or(f64::INFINITY);
        all.sort_by(|a, b| b.eligible.cmp(&a.eligible).then(rate(a).total_cmp(&rate(b))));
        let mut table = display::table(&[result.subject.as_str(), "positives", "TPR", "reference TPR", "eligible"]);
        for s in all.iter().take(SEGMENTS) {
            display::row(
                &mut table,
                [
                    s.segment.clone(),
                    display::count(s.tp + s.fn_),
                    display::number(s.tpr),
                    display::number(s.reference_tpr),
                    if s.eligible { "yes" } else { "no: too few" }.to_owned(),
                ],
            );
        }
        let _ = writeln!(out, "\n{} {}: {} {}", result.rule, result.subject, result.status.name(), against(result));
        let _ = writeln!(out, "{table}");
        if let Some(more) = all.len().checked_sub(SEGMENTS).filter(|more| *more > 0) {
            let _ = writeln!(out, "and {more} more segments; --json shows all");
        }
    }
}

#[cfg(test)]
mod tests;
