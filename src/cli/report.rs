//! `driftgate report`: verdicts of a replay, or of the topic, as one HTML file or as PDF.

mod pdf;

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, stdin};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::{CommandFactory as _, FromArgMatches as _};

use super::exit::{self, Failure};
use super::replay;
use super::terminal::{out, outln};
use crate::http::report::report;
use driftgate_core::judge::read::verdict_from_json;
use driftgate_core::judge::verdict::Verdict;

/// Writes verdicts as one HTML file that needs no network
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The file has the status of every window by version and group, a line per rule for its worst subject, segments with their intervals, and the distributions that do not pass. It has no script and asks nobody for anything. --pdf prints it by Chromium or Chrome; CHROMIUM names the program.\n\nExamples:\n  driftgate replay --policy policy.yaml --predictions predictions.parquet --verdicts verdicts.jsonl\n  driftgate report --verdicts verdicts.jsonl --out report.html\n  driftgate report --out report.html --pdf report.pdf --replay --policy policy.yaml --predictions predictions.parquet"
)]
#[command(group = clap::ArgGroup::new("from").required(true))]
pub struct Args {
    /// File of verdicts, one JSON object per line; - is standard input
    #[arg(long, value_name = "FILE.jsonl", group = "from")]
    verdicts: Option<PathBuf>,
    /// Replays files instead of reading verdicts; everything behind it are arguments of driftgate replay
    #[arg(long, value_name = "ARGUMENTS", group = "from", num_args = 1.., allow_hyphen_values = true)]
    replay: Option<Vec<OsString>>,
    /// File to write; default: standard output (also -), or with --pdf none
    #[arg(long, value_name = "FILE.html")]
    out: Option<PathBuf>,
    /// Also prints the page into this file
    #[arg(long, value_name = "FILE.pdf")]
    pdf: Option<PathBuf>,
    /// Title of the page
    #[arg(long, value_name = "TEXT", default_value = "driftgate report")]
    title: String,
}

/// The arguments of `driftgate replay`, as they are behind `--replay`.
#[derive(Debug, clap::Parser)]
#[command(name = "driftgate report --replay", no_binary_name = true)]
struct Replay {
    #[command(flatten)]
    args: replay::Args,
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let printer = args.pdf.as_ref().map(|_| pdf::find()).transpose()?;
    let (verdicts, from) = match (&args.verdicts, &args.replay) {
        (Some(path), _) => (read(path)?, path.display().to_string()),
        (None, given) => (replayed(given.as_deref().unwrap_or_default())?, "the replay".to_owned()),
    };
    if verdicts.is_empty() {
        let what = "give a file that driftgate replay --verdicts wrote, or files with whole windows";
        return Err(anyhow!("{from} has no verdicts: {what}").into());
    }
    let count = verdicts.len();
    let page = report(&args.title, verdicts);
    match args.out.as_deref().filter(|out| *out != Path::new("-")) {
        None if args.out.is_none() && args.pdf.is_some() => {}
        None => out!("{page}"),
        Some(path) => {
            std::fs::write(path, &page).with_context(|| format!("{} cannot be written", path.display()))?;
            outln!("{}: {count} verdicts", path.display());
        }
    }
    if let (Some(path), Some(printer)) = (&args.pdf, printer) {
        pdf::print(&printer, &page, path)?;
        if args.out.as_deref() != Some(Path::new("-")) {
            outln!("{}: {count} verdicts", path.display());
        }
    }
    Ok(exit::PASS)
}

/// The verdicts of a replay with these arguments.
fn replayed(given: &[OsString]) -> anyhow::Result<Vec<Verdict>> {
    let matches = Replay::command().try_get_matches_from(given)?;
    replay::verdicts(&Replay::from_arg_matches(&matches)?.args)
}

fn read(path: &Path) -> anyhow::Result<Vec<Verdict>> {
    let lines: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(BufReader::new(stdin()))
    } else {
        Box::new(BufReader::new(File::open(path).with_context(|| format!("{} cannot be read", path.display()))?))
    };
    let mut all = Vec::new();
    for (at, line) in lines.lines().enumerate() {
        let place = || format!("{}, line {}", path.display(), at + 1);
        let line = line.with_context(place)?;
        if !line.trim().is_empty() {
            all.push(verdict_from_json(&line).map_err(|e| anyhow!("{}: {e}", place()))?);
        }
    }
    Ok(all)
}
