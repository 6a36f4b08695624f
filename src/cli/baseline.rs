//! `driftgate baseline`: builds a baseline file from a training snapshot, or prints a baseline.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use serde_json::json;

use super::exit::{self, Failure};
use super::output::Output;
use super::terminal::outln;
use super::{display, replay};
use crate::snapshot;
use crate::stores::Stores;
use driftgate_core::baseline::{Baseline, NumericReference};
use driftgate_core::policy::Policy;
use driftgate_core::stats::calibration::Calibration;
use driftgate_core::stats::fairness::Rate;

/// Builds a baseline from a training snapshot, or prints one
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  driftgate baseline build --policy policy.yaml --version 1 --out model-1.baseline\n  driftgate baseline show --policy policy.yaml --version 1\n  driftgate baseline show --policy policy.yaml model-1.baseline"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Reads the snapshot (Parquet or CSV) and writes the baseline file
    Build {
        #[command(flatten)]
        what: What,
        /// File to write; default: MODEL-VERSION.baseline
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Prints the columns, grids and segment rates of a baseline
    Show {
        #[command(flatten)]
        what: What,
        #[command(flatten)]
        output: Output,
    },
}

#[derive(Debug, clap::Args)]
struct What {
    /// Policy of the model
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// Version of the model, which replaces {version} in the policy's baseline.snapshot
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    /// Snapshot (.parquet, .csv, also s3://, gs://, az://) or baseline file; default: the policy's baseline.snapshot
    #[arg(value_name = "SNAPSHOT")]
    snapshot: Option<String>,
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    match &args.command {
        Command::Build { what, out } => build(what, out.as_deref()),
        Command::Show { what, output } => {
            let (policy, baseline) = load(what)?;
            output.print(&as_json(&policy, &baseline)?, || as_text(&policy, &baseline))?;
            Ok(exit::PASS)
        }
    }
}

fn load(what: &What) -> anyhow::Result<(Policy, Baseline)> {
    let policy = replay::read_policy(&what.policy)?;
    let version = what.version.as_deref().unwrap_or("0");
    let location = match &what.snapshot {
        // A path of the command line is relative to where the command runs, not to the policy.
        Some(s) if s.contains("://") => s.clone(),
        Some(s) => std::path::absolute(s).with_context(|| format!("the path {s:?}"))?.display().to_string(),
        None if what.version.is_none() && policy.baseline.is_of_version() => {
            return Err(anyhow!(
                "the policy's baseline.snapshot needs a version: give --version, or a snapshot's path"
            ));
        }
        None => snapshot::location_for(&policy, version)?
            .ok_or_else(|| anyhow!("the policy has no baseline.snapshot: give a snapshot's path"))?,
    };
    let spinner = display::spinner(&format!("reading {location}"));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let baseline =
        snapshot::load_on(&policy, version, &location, threads, &Stores::default(), snapshot::Reach::Anything);
    spinner.finish_and_clear();
    Ok((policy, baseline?))
}

fn build(what: &What, out: Option<&Path>) -> Result<u8, Failure> {
    let (policy, baseline) = load(what)?;
    let path =
        out.map_or_else(|| PathBuf::from(format!("{}-{}.baseline", policy.model, baseline.version)), Path::to_owned);
    let bytes = baseline.encode()?;
    std::fs::write(&path, &bytes).with_context(|| format!("{} cannot be written", path.display()))?;
    outln!(
        "{}: {} rows of {} in {} bytes, sha256 {}",
        path.display(),
        display::count(baseline.rows),
        baseline.snapshot,
        display::count(bytes.len() as u64),
        baseline.digest()?
    );
    Ok(exit::PASS)
}

fn numeric<'b>(policy: &'b Policy, baseline: &'b Baseline) -> impl Iterator<Item = (&'b str, &'b NumericReference)> {
    let features = policy.features.numeric.iter().map(String::as_str).zip(&baseline.numeric);
    features.chain(baseline.score.as_ref().map(|s| ("score", s)))
}

fn as_text(policy: &Policy, baseline: &Baseline) -> anyhow::Result<String> {
    let mut out = String::new();
    writeln!(out, "{} version {}: {} rows", baseline.model, baseline.version, display::count(baseline.rows))?;
    writeln!(
        out,
        "snapshot {} (sha256 {})\nbaseline sha256 {}",
        baseline.snapshot,
        baseline.snapshot_sha256,
        baseline.digest()?
    )?;
    calibration(&mut out, baseline)?;
    writeln!(out, "{}", columns(policy, baseline))?;
    segments(&mut out, policy, baseline)?;
    Ok(out)
}

/// What the score is calibrated by, where a rule estimates quality.
fn calibration(out: &mut String, baseline: &Baseline) -> std::fmt::Result {
    let Some(calibrated) = &baseline.calibrated else { return Ok(()) };
    let of = calibrated.reference.as_ref().map_or_else(|| "the snapshot".to_owned(), |(location, _)| location.clone());
    let Some(found) = &calibrated.calibration else {
        return writeln!(out, "score not calibrated: {of} has no row of a score and a label");
    };
    let how = match &found.isotonic {
        Some(isotonic) => format!("isotonic regression with {} knots", isotonic.len()),
        None => "the score itself is the probability".to_owned(),
    };
    let errors = found.errors.map_or_else(String::new, |[before, after]| {
        let of = |error| display::number(Some(error));
        format!("; calibration error {} of the score, {} of the regression", of(before), of(after))
    });
    let (rows, positives) = (display::count(found.rows), display::count(found.positives));
    writeln!(out, "score calibrated by {rows} rows of {of}, {positives} of them positive: {how}{errors}")
}

/// A row per column.
fn columns(policy: &Policy, baseline: &Baseline) -> comfy_table::Table {
    let mut table =
        display::table(&["column", "type", "values", "missing", "distinct", "test", "min", "median", "max"]);
    for (name, r) in numeric(policy, baseline) {
        let points = r.grid.points();
        let test = if r.discrete { "chi2" } else { "ks" };
        let cells = [
            name.to_owned(),
            "numeric".into(),
            display::count(r.count),
            display::count(r.missing),
            display::count(r.distinct),
            test.into(),
            display::number(points.first().copied()),
            display::number(median(r)),
            display::number(points.last().copied()),
        ];
        display::row(&mut table, cells);
    }
    for (name, r) in policy.features.categorical.iter().zip(&baseline.categorical) {
        let top = r.names.iter().zip(&r.counts).max_by_key(|(_, n)| **n).map_or("", |(name, _)| name);
        let distinct = display::count(r.names.len() as u64);
        display::row(
            &mut table,
            [
                name.clone(),
                "category".into(),
                display::count(r.count),
                display::count(r.missing),
                distinct,
                "chi2".into(),
                String::new(),
                format!("most: {top}"),
                String::new(),
            ],
        );
    }
    table
}

/// A table per segmentation, with the rates of its segments.
fn segments(out: &mut String, policy: &Policy, baseline: &Baseline) -> std::fmt::Result {
    for (segmentation, segments) in policy.segments.iter().zip(&baseline.segments) {
        let Some(segments) = segments else {
            writeln!(
                out,
                "{}: no reference (the snapshot has no such column, or no score and label)",
                segmentation.name
            )?;
            continue;
        };
        let mut table = display::table(&[segmentation.name.as_str(), "rows", "positives", "TPR", "FPR", "selected"]);
        for (name, c) in segments {
            let rate = |r: Rate| display::number(r.value(c));
            display::row(
                &mut table,
                [
                    name.clone(),
                    display::count(c.total()),
                    display::count(c.positives()),
                    rate(Rate::Tpr),
                    rate(Rate::Fpr),
                    rate(Rate::Selection),
                ],
            );
        }
        writeln!(out, "{table}")?;
    }
    Ok(())
}

/// A grid point near the middle of the reference.
fn median(r: &NumericReference) -> Option<f64> {
    let mut below = 0;
    let at = r.cells.iter().position(|n| {
        below += n;
        below * 2 >= r.count
    })?;
    r.grid.points().get(at / 2).or(r.grid.points().last()).copied()
}

fn as_json(policy: &Policy, baseline: &Baseline) -> anyhow::Result<serde_json::Value> {
    let numeric: serde_json::Map<String, serde_json::Value> = numeric(policy, baseline)
        .map(|(name, r)| {
            let points = r.grid.points();
            let finite = |x: Option<&f64>| driftgate_core::codec::number::number(x.copied());
            (name.to_owned(), json!({"values": r.count, "missing": r.missing, "distinct": r.distinct, "test": if r.discrete { "chi2" } else { "ks" },
                "points": points.len(), "min": finite(points.first()), "max": finite(points.last())}))
        })
        .collect();
    let categorical: serde_json::Map<String, serde_json::Value> = policy
        .features
        .categorical
        .iter()
        .zip(&baseline.categorical)
        .map(|(name, r)| {
            let counts: serde_json::Map<String, serde_json::Value> =
                r.names.iter().cloned().zip(r.counts.iter().map(|&n| n.into())).collect();
            (name.clone(), json!({"values": r.count, "missing": r.missing, "counts": counts}))
        })
        .collect();
    let segments: serde_json::Map<String, serde_json::Value> =
        policy.segments.iter().map(|s| s.name.clone()).zip(baseline.segments.iter().map(|s| json!(s))).collect();
    Ok(json!({
        "model": baseline.model, "version": baseline.version, "rows": baseline.rows, "snapshot": baseline.snapshot,
        "snapshot_sha256": baseline.snapshot_sha256, "baseline_sha256": baseline.digest()?,
        "numeric": numeric, "categorical": categorical, "segments": segments,
        "calibrated": baseline.calibrated.as_ref().map(|of| json!({
            "reference": of.reference.as_ref().map(|(location, _)| location),
            "reference_sha256": of.reference.as_ref().map(|(_, sha256)| sha256),
            "rows": of.calibration.as_ref().map_or(0, |found| found.rows),
            "positives": of.calibration.as_ref().map_or(0, |found| found.positives),
            "method": of.calibration.as_ref().map(Calibration::method),
            "errors": of.calibration.as_ref().and_then(|found| found.errors),
        })),
    }))
}
