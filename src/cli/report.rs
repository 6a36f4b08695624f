//! `driftgate report`: verdicts of a replay, or of the topic, as one HTML file.

use std::fs::File;
use std::io::{BufRead, BufReader, stdin};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};

use super::exit::{self, Failure};
use super::terminal::{out, outln};
use crate::http::report::report;
use driftgate_core::judge::read::verdict_from_json;
use driftgate_core::judge::verdict::Verdict;

/// Writes verdicts as one HTML file that needs no network
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The file has the status of every window by version and group, a line per rule for its worst subject, segments with their intervals, and the distributions that do not pass. It has no script and asks nobody for anything.\n\nExamples:\n  driftgate replay --policy policy.yaml --predictions predictions.parquet --verdicts verdicts.jsonl\n  driftgate report --verdicts verdicts.jsonl --out report.html"
)]
pub struct Args {
    /// File of verdicts, one JSON object per line; - is standard input
    #[arg(long, value_name = "FILE.jsonl")]
    verdicts: PathBuf,
    /// File to write; default: standard output (also -)
    #[arg(long, value_name = "FILE.html")]
    out: Option<PathBuf>,
    /// Title of the page
    #[arg(long, value_name = "TEXT", default_value = "driftgate report")]
    title: String,
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let verdicts = read(&args.verdicts)?;
    if verdicts.is_empty() {
        return Err(anyhow!(
            "{} has no verdicts: give a file that driftgate replay --verdicts wrote",
            args.verdicts.display()
        )
        .into());
    }
    let count = verdicts.len();
    let page = report(&args.title, verdicts);
    match args.out.as_deref().filter(|out| *out != Path::new("-")) {
        None => out!("{page}"),
        Some(path) => {
            std::fs::write(path, &page).with_context(|| format!("{} cannot be written", path.display()))?;
            outln!("{}: {count} verdicts", path.display());
        }
    }
    Ok(exit::PASS)
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
