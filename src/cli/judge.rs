//! `driftgate judge`: verdicts and signals from all that was counted.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::anyhow;
use serde_json::json;

use super::exit::{self, Failure};
use super::output::Output;
use super::terminal::errln;
use super::{merge, parts, replay};
use crate::replay::{Ordered, ReplayError};
use driftgate_core::batch::{judge, reason_for_none};
use driftgate_core::evaluate::Judgement;
use driftgate_core::event::EventKind;
use driftgate_core::intake::versions::Reference;
use driftgate_core::judge::verdict::{Signal, Verdict};

/// Judges what was counted of all parts: the verdicts and signals of a replay over the whole files
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  driftgate judge --policy policy.yaml all.partial --verdicts verdicts.jsonl --signals signals.jsonl"
)]
pub struct Args {
    #[command(flatten)]
    read: parts::Read,
    /// What was counted of all parts and buckets, merged already or not; @LIST is a file with one path a line
    #[arg(value_name = "PARTIAL", required = true)]
    partials: Vec<PathBuf>,
    /// Writes each verdict as a JSON line, ordered by end, model, version and group
    #[arg(long, value_name = "OUT.jsonl")]
    verdicts: Option<PathBuf>,
    /// Writes the block, clear and rollback signals as JSON lines
    #[arg(long, value_name = "OUT.jsonl")]
    signals: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

/// Where results go, and how many there were.
struct Results {
    verdicts: Option<replay::Out>,
    signals: Option<replay::Out>,
    windows: u64,
    complete: u64,
    by_status: BTreeMap<&'static str, u64>,
    by_action: BTreeMap<&'static str, u64>,
}

impl Results {
    fn take(&mut self, verdict: &Verdict, signals: &[Signal]) -> anyhow::Result<()> {
        self.windows += 1;
        self.complete += u64::from(verdict.window.complete);
        *self.by_status.entry(verdict.status.name()).or_default() += 1;
        if let Some(out) = &mut self.verdicts {
            serde_json::to_writer(&mut *out, verdict)?;
            out.write_all(b"\n")?;
        }
        for signal in signals {
            *self.by_action.entry(signal.action.name()).or_default() += 1;
            if let Some(out) = &mut self.signals {
                serde_json::to_writer(&mut *out, signal)?;
                out.write_all(b"\n")?;
            }
        }
        Ok(())
    }

    fn text(&self, model: &str, predictions: u64) -> anyhow::Result<String> {
        let Self { windows, complete, .. } = self;
        let mut text =
            format!("{model}: {predictions} predictions; {windows} windows judged, {complete} of them complete\n");
        for (what, of) in [("windows", &self.by_status), ("signals", &self.by_action)] {
            if !of.is_empty() {
                let each: Vec<String> = of.iter().map(|(name, n)| format!("{n} {name}")).collect();
                writeln!(text, "{what}: {}", each.join(", "))?;
            }
        }
        Ok(text)
    }
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let files = args.read.files()?;
    let partial = merge::merged(&args.partials)?;
    files.origin.same(&partial.plan.origin, "the partial")?;
    let counters = partial.counters;
    let limits = files.options.of(EventKind::Predictions).limits;
    let pipeline = judge(&files.policy, partial, limits, &mut |version| {
        let found = files.load(version);
        if let Reference::Failed(why) = &found {
            errln!("driftgate: version {version} has no baseline, its verdicts will be insufficient: {why}");
        }
        found
    })?;
    if reason_for_none(&files.policy, &pipeline.intake()) {
        return Err(anyhow!(ReplayError::NoBaseline).into());
    }
    let mut results = Results {
        verdicts: args.verdicts.as_deref().map(replay::create).transpose()?,
        signals: args.signals.as_deref().map(replay::create).transpose()?,
        windows: 0,
        complete: 0,
        by_status: BTreeMap::new(),
        by_action: BTreeMap::new(),
    };
    let (mut ordered, mut failed) = (Ordered::default(), Ok(()));
    let mut give = |judged: Judgement, closed_to: i64| {
        ordered.take(judged);
        while let (Ok(()), Some((verdict, signals))) = (&failed, ordered.next(closed_to)) {
            failed = results.take(&verdict, &signals);
        }
    };
    pipeline.finish(&mut give);
    give(Judgement::default(), i64::MAX);
    failed?;
    for out in [&mut results.verdicts, &mut results.signals].into_iter().flatten() {
        out.flush()?;
    }
    let answer = json!({
        "model": files.policy.model,
        "predictions": counters.predictions,
        "measurements": counters.measurements,
        "windows": results.windows,
        "complete": results.complete,
        "by_status": results.by_status,
        "signals": results.by_action,
    });
    args.output.print(&answer, || results.text(&files.policy.model, counters.predictions))?;
    Ok(exit::PASS)
}
