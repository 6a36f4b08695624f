//! The summary of a replay: what it collects while verdicts come, and how it is printed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use comfy_table::Table;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::fail_on::Tried;
use crate::cli::display;
use crate::cli::terminal::errln;
use crate::replay::{Observer, ReplayOutcome};
use driftgate_core::decode::Reject;
use driftgate_core::intake::versions::Reference;
use driftgate_core::judge::verdict::{Signal, Status, Verdict};
use driftgate_core::pipeline::Pipeline;

/// A file, or standard output, that JSON lines are written to.
pub type Out = BufWriter<Box<dyn Write + Send>>;

/// Where verdicts, signals and rejected events are written, if they are.
#[derive(Default)]
pub struct Outs {
    pub verdicts: Option<Out>,
    pub signals: Option<Out>,
    pub dead_letters: Option<Out>,
}

/// What one rule came to over a replay.
#[derive(Default)]
struct RuleSummary {
    judged: u64,
    by_status: BTreeMap<Status, u64>,
    values: Vec<f64>,
    /// The subject most often blocked.
    blocked_subjects: BTreeMap<String, u64>,
}

/// Collects what the summary says, and writes verdicts and signals as they come.
#[derive(Default)]
pub struct Summary {
    /// What `--fail-on` decides by.
    pub tried: Tried,
    outs: Outs,
    /// Every verdict, where they are kept.
    pub kept: Option<Vec<Verdict>>,
    bar: Option<ProgressBar>,
    /// By version, rule.
    rules: BTreeMap<(String, String), RuleSummary>,
    windows: u64,
    incomplete: u64,
    signal_counts: BTreeMap<&'static str, u64>,
    first_rejects: BTreeMap<&'static str, String>,
    pub rejects: BTreeMap<PathBuf, Rejects>,
}

/// What was rejected of a file.
pub struct Rejects {
    pub count: u64,
    /// Place and reason of the first.
    pub first: String,
}

impl Observer for Summary {
    fn verdict(&mut self, verdict: &Verdict, signals: &[Signal]) -> anyhow::Result<()> {
        self.windows += 1;
        if !verdict.window.complete {
            self.incomplete += 1;
        }
        self.tried.note(verdict);
        for result in &verdict.results {
            let rule = self.rules.entry((verdict.version.clone(), result.rule.clone())).or_default();
            rule.judged += 1;
            *rule.by_status.entry(result.status).or_default() += 1;
            rule.values.extend(result.value);
            if result.status == Status::Block {
                *rule.blocked_subjects.entry(result.subject.clone()).or_default() += 1;
            }
        }
        if let Some(out) = &mut self.outs.verdicts {
            serde_json::to_writer(&mut *out, verdict)?;
            out.write_all(b"\n")?;
        }
        if let Some(kept) = &mut self.kept {
            kept.push(verdict.clone());
        }
        for signal in signals {
            *self.signal_counts.entry(signal.action.name()).or_default() += 1;
            if let Some(out) = &mut self.outs.signals {
                serde_json::to_writer(&mut *out, signal)?;
                out.write_all(b"\n")?;
            }
        }
        Ok(())
    }

    fn reject(&mut self, file: &Path, line: u64, reject: &Reject, _payload: &[u8]) -> anyhow::Result<()> {
        let first = || format!("{}:{line}: {}", file.display(), reject.detail);
        self.first_rejects.entry(reject.reason.name()).or_insert_with(first);
        match self.rejects.get_mut(file) {
            Some(rejects) => rejects.count += 1,
            None => {
                self.rejects.insert(file.to_owned(), Rejects { count: 1, first: first() });
            }
        }
        if let Some(out) = &mut self.outs.dead_letters {
            let letter = json!({"file": file.display().to_string(), "line": line, "reason": reject.reason.name(), "detail": reject.detail});
            serde_json::to_writer(&mut *out, &letter)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    }

    fn reference(&mut self, version: &str, reference: &Reference) {
        if let Reference::Failed(why) = reference {
            errln!("driftgate: version {version} has no baseline, its verdicts will be insufficient: {why}");
        }
    }

    fn progress(&mut self, pipeline: &Pipeline, read: u64, total: Option<u64>) -> anyhow::Result<()> {
        let bar = self.bar.get_or_insert_with(|| display::bytes_bar(total, "replaying"));
        bar.set_position(read);
        // A worker does not wait for another to say how far it is.
        if let Some(intake) = pipeline.try_intake() {
            let predictions = display::count(intake.counters.predictions);
            bar.set_message(format!("{predictions} predictions, {} windows", self.windows));
        }
        Ok(())
    }
}

impl Summary {
    pub fn new(tried: Tried, outs: Outs) -> Self {
        Self { tried, outs, ..Self::default() }
    }

    /// The same, which keeps every verdict.
    pub fn keeping(self) -> Self {
        Self { kept: Some(Vec::new()), ..self }
    }

    pub fn finish(&mut self) -> io::Result<()> {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        [&mut self.outs.verdicts, &mut self.outs.signals, &mut self.outs.dead_letters]
            .into_iter()
            .flatten()
            .try_for_each(Write::flush)
    }

    /// What was read of the files, and what was left out.
    pub fn read_text(&self, model: &str, outcome: &ReplayOutcome) -> String {
        let mut out = counted(model, outcome);
        for (reason, first) in &self.first_rejects {
            let n: u64 = outcome.rejected.iter().filter(|(r, _)| r.name() == *reason).map(|(_, n)| n).sum();
            let _ = writeln!(out, "rejected {} ({reason}), the first at {first}", display::count(n));
        }
        for remark in &outcome.remarks {
            let _ = writeln!(out, "note: {remark}");
        }
        out
    }

    pub fn to_text(&mut self, model: &str, outcome: &ReplayOutcome) -> String {
        let mut out = self.read_text(model, outcome);
        let _ = writeln!(out, "{}", self.table());
        let signals: Vec<String> = self.signal_counts.iter().map(|(a, n)| format!("{n} {a}")).collect();
        let signals = if signals.is_empty() { "none".to_owned() } else { signals.join(", ") };
        let _ = writeln!(
            out,
            "{} windows judged ({} incomplete at the end of the files); signals: {signals}",
            display::count(self.windows),
            self.incomplete
        );
        out
    }

    /// A row per version and rule.
    fn table(&mut self) -> Table {
        let mut table = display::table(&[
            "version",
            "rule",
            "judged",
            "block",
            "warn",
            "insufficient",
            "p50",
            "p95",
            "max",
            "blocked most",
        ]);
        for ((version, rule), r) in &mut self.rules {
            r.values.sort_unstable_by(f64::total_cmp);
            let at = |s: Status| display::count(r.by_status.get(&s).copied().unwrap_or(0));
            let most = r
                .blocked_subjects
                .iter()
                .max_by_key(|(name, n)| (**n, std::cmp::Reverse(*name)))
                .map_or_else(String::new, |(name, n)| format!("{name} ({n})"));
            let cells = [
                version.clone(),
                rule.clone(),
                display::count(r.judged),
                at(Status::Block),
                at(Status::Warn),
                at(Status::Insufficient),
                display::number(quantile(&r.values, 0.5)),
                display::number(quantile(&r.values, 0.95)),
                display::number(r.values.last().copied()),
                most,
            ];
            display::row(&mut table, cells);
        }
        table
    }

    pub fn to_json(&mut self, outcome: &ReplayOutcome) -> Value {
        let rules: Vec<Value> = self.rules.iter_mut().map(|((version, rule), r)| {
            r.values.sort_unstable_by(f64::total_cmp);
            let at = |s: Status| r.by_status.get(&s).copied().unwrap_or(0);
            json!({
                "version": version, "rule": rule, "judged": r.judged, "block": at(Status::Block), "warn": at(Status::Warn),
                "insufficient": at(Status::Insufficient), "pass": at(Status::Pass),
                "p50": quantile(&r.values, 0.5), "p95": quantile(&r.values, 0.95), "max": r.values.last(),
            })
        }).collect();
        let rejected: BTreeMap<&str, u64> = outcome.rejected.iter().map(|(r, n)| (r.name(), *n)).collect();
        json!({
            "windows": self.windows, "incomplete": self.incomplete, "signals": self.signal_counts, "versions": outcome.versions,
            "counters": outcome.counters, "rejected": rejected, "unknown_model": outcome.unknown_model, "failed": outcome.failed, "rules": rules,
            "remarks": outcome.remarks,
        })
    }
}

/// How many events were counted, and how many were left out, by reason.
fn counted(model: &str, outcome: &ReplayOutcome) -> String {
    let c = &outcome.counters;
    let versions: Vec<String> = outcome.versions.iter().map(|(v, n)| format!("{v} ({})", display::count(*n))).collect();
    let mut out = format!(
        "{model}: {} predictions of versions {}; {} labels, {} joined\n",
        display::count(c.predictions),
        versions.join(", "),
        display::count(c.labels),
        display::count(c.joined)
    );
    let notable = [
        ("late", c.late),
        ("after their window closed", c.after_close),
        ("ahead of their partition's pace", c.ahead),
        ("duplicate predictions", c.duplicate_predictions),
        ("duplicate labels", c.duplicate_labels),
        ("in ignored time", c.ignored),
        ("null labels", c.null_labels),
        ("unmatched labels", c.unmatched),
        ("pairs whose prediction has no class", c.unclassed),
        ("invalid values", c.invalid_values),
        ("of other models", outcome.unknown_model),
    ];
    let said: Vec<String> =
        notable.iter().filter(|(_, n)| *n > 0).map(|(what, n)| format!("{} {what}", display::count(*n))).collect();
    if !said.is_empty() {
        let _ = writeln!(out, "beside that: {}", said.join(", "));
    }
    out
}

/// The value of rank ceil(q·n) of sorted values.
fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "0 <= q <= 1 of a length"
    )]
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}
