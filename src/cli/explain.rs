//! `driftgate explain`: why a version is blocked or not, the short answer first. `distribution` draws the distributions side by side;
//! `record` prints lineage, approvals and promotions.

mod distribution;
mod record;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

use super::client::{Client, ServerArgs};
use super::display;
use super::exit::{self, Failure};
use super::model::VersionArgs;
use super::output::Output;
use crate::api::Explanation;
use driftgate_core::codec::number::written;
use driftgate_core::codec::time::utc;
use driftgate_core::gate::{Answer, GateVerdict};
use driftgate_core::judge::evidence::SegmentRates;
use driftgate_core::judge::ranking;
use driftgate_core::judge::verdict::{RuleResult, Status, Verdict};
use driftgate_core::promotion::types::ActiveBlock;
use driftgate_core::rule;

/// Segments in a table at most; the lowest rates are shown.
const SEGMENTS: usize = 12;

/// Explains why a version is blocked or not: reasons, distributions, segments, lineage, approvals
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  driftgate explain fraud_detector 7\n  driftgate explain fraud_detector 7 --json\n  driftgate explain fraud_detector 7 --config config/driftgate.yaml"
)]
pub struct Args {
    #[command(flatten)]
    of: VersionArgs,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: ServerArgs,
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let client = Client::new(&args.server)?;
    let said: Value = client.get(&args.of.path("explain"), &[])?;
    let width = display::table(&[]).width().map_or(distribution::WIDTH, usize::from);
    args.output.print(&said, || {
        let page = client.page(&args.of.page()).map_or_else(String::new, |page| format!("\npage: {page}\n"));
        Ok(as_text(&said, width)? + &page)
    })?;
    Ok(exit::PASS)
}

fn as_text(said: &Value, width: usize) -> anyhow::Result<String> {
    let it: Explanation = serde_json::from_value(said.clone())?;
    let gates: Vec<&Answer> = it.gates.values().collect();
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
    distributions(&mut out, &it.verdicts, width);
    segments(&mut out, &it.verdicts);
    record::lineage(&mut out, &it.lineage);
    record::approvals(&mut out, &it.approvals, &it.overrides);
    record::way_back(&mut out, it.rollback_target.as_ref());
    record::promotions(&mut out, &it.promotions);
    Ok(out)
}

/// The distributions of what does not pass, once per group and subject.
fn distributions(out: &mut String, verdicts: &[Verdict], width: usize) {
    let mut shown: Vec<(&str, &str)> = Vec::new();
    let mut failing: Vec<_> = by_group(verdicts).filter(|(_, r)| r.status != Status::Pass).collect();
    ranking::sort(&mut failing, |(_, result)| result.rank());
    for (group, result) in failing {
        let bins = result.distribution();
        // Two rules of a group read the same distribution.
        if bins.is_empty() || shown.contains(&(group, &result.subject)) {
            continue;
        }
        shown.push((group, &result.subject));
        let title = format!("{} {}: {}", result.rule, result.subject, against(result));
        let (reference_n, n) = (result.read("reference_n"), result.read("n"));
        let _ = write!(out, "\n{}", distribution::chart(&title, &bins, reference_n, n, width));
    }
}

fn results(verdicts: &[Verdict]) -> impl Iterator<Item = &RuleResult> {
    verdicts.iter().flat_map(|v| &v.results)
}

fn by_group(verdicts: &[Verdict]) -> impl Iterator<Item = (&str, &RuleResult)> {
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

/// The short answer: the stages of the version, and the gate's answer for each stage, the worst first.
fn answer(it: &Explanation, gates: &[&Answer]) -> String {
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
        let _ = writeln!(
            out,
            "{group}: {status}, {passing} of {all} checks pass, window ending {}{cut}",
            utc(v.window.end)
        );
    }
    if results(verdicts).all(|r| r.status == Status::Pass) {
        return;
    }
    failing(out, verdicts);
    measured(out, verdicts);
}

/// A table of the results that do not pass: what matters most first, where the policy says how much features matter.
fn failing(out: &mut String, verdicts: &[Verdict]) {
    let mut failing: Vec<&RuleResult> = results(verdicts).filter(|r| r.status != Status::Pass).collect();
    ranking::sort(&mut failing, |result| result.rank());
    let is_ranked = failing.iter().any(|r| r.importance().is_some());
    let mut heads = vec!["rule", "subject", "status", "value", "limit", "since", "n"];
    heads.extend(is_ranked.then_some(["importance", "rank"]).into_iter().flatten());
    heads.push("why");
    let mut table = display::table(&heads);
    for r in failing {
        let mark = match (r.muted, r.pending) {
            (true, _) => " (muted)",
            (false, true) => " (not for long enough)",
            (false, false) => "",
        };
        let mut cells = vec![
            r.rule.clone(),
            r.subject.clone(),
            format!("{}{mark}", r.status.name()),
            display::number(r.value),
            limit(r),
            r.since.map(utc).unwrap_or_default(),
            r.read("n").map_or_else(|| "–".to_owned(), display::count),
        ];
        if is_ranked {
            cells.extend([display::number(r.importance()), display::number(r.rank())]);
        }
        cells.push(r.reason.clone().unwrap_or_default());
        display::row(&mut table, cells);
    }
    let _ = writeln!(out, "{table}");
    if is_ranked {
        let _ = writeln!(out, "rank: value over limit times the feature's importance; the greatest first");
    }
}

/// What the rules measure that do not pass, by their own definitions; one line per metric.
fn measured(out: &mut String, verdicts: &[Verdict]) {
    let mut told = BTreeSet::new();
    for result in results(verdicts).filter(|r| r.status != Status::Pass) {
        if let Some(definition) = rule::find(&result.metric).filter(|d| told.insert(d.name)) {
            let _ = writeln!(out, "{}: {}", definition.name, definition.explanation());
        }
    }
}

fn limit(result: &RuleResult) -> String {
    let limit = result.get("limit").unwrap_or_default();
    let parts = limit.as_object().into_iter().flatten().map(|(name, value)| format!("{name} {}", written(value)));
    parts.collect::<Vec<_>>().join(", ")
}

fn against(result: &RuleResult) -> String {
    format!("{}, limit {}", display::number(result.value), limit(result))
}

/// The segments of every segmentation that was judged, once a group.
fn segments(out: &mut String, verdicts: &[Verdict]) {
    let mut shown: Vec<(&str, &str)> = Vec::new();
    for (group, result) in by_group(verdicts) {
        if result.get("by").is_some() {
            compared(out, result);
            continue;
        }
        let key = (group, result.subject.as_str());
        if shown.contains(&key) {
            continue;
        }
        let mut all = result.segments();
        if all.is_empty() {
            continue;
        }
        shown.push(key);
        let rate = |s: &SegmentRates| s.tpr.unwrap_or(f64::INFINITY);
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

/// The segments of a rule on a distance that is judged by segment, the worst first.
fn compared(out: &mut String, result: &RuleResult) {
    let all = result.compared_segments();
    if all.is_empty() {
        return;
    }
    let by: String = result.read("by").unwrap_or_default();
    let mut table = display::table(&[by.as_str(), "status", "value", "n", "training n", "why"]);
    let count = |n: Option<u64>| n.map_or_else(|| "–".to_owned(), display::count);
    for s in all.iter().take(SEGMENTS) {
        let (status, why) = (s.status.name().to_owned(), s.reason.clone().unwrap_or_default());
        let cells = [s.segment.clone(), status, display::number(s.value), count(s.n), count(s.reference_n), why];
        display::row(&mut table, cells);
    }
    let (rule, subject, status) = (&result.rule, &result.subject, result.status.name());
    let _ = writeln!(out, "\n{rule} {subject} by {by}: {status} {}", against(result));
    let _ = writeln!(out, "{table}");
    if let Some(more) = all.len().checked_sub(SEGMENTS).filter(|more| *more > 0) {
        let _ = writeln!(out, "and {more} more segments; --json shows all");
    }
}

#[cfg(test)]
mod tests;
