//! `driftgate count`: counts a part of a file, or does one of the passes that must come before.

use std::path::PathBuf;

use anyhow::{Context as _, bail};

use super::exit::{self, Failure};
use super::parts;
use crate::batch;
use driftgate_core::batch::{Carry, Split};
use driftgate_core::event::EventKind;

/// Counts a part of a file, so that parts can be counted on many machines and merged to the verdicts of a replay
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The passes, in their order (docs/guide/batch.md):\n  scan    the times and versions of a part; `driftgate carry` makes of all scans what the next passes need\n  share   of a part of predictions or labels what is joined, in buckets of ids (policies with labels)\n  pair    joins one bucket of all shared files; `driftgate carry` adds which predictions are repeated\n  count   counts a part of predictions or measurements\n\nA part is FILE, FILE:3 or FILE:0-3 (row groups of Parquet), or FILE:0..4096 (JSON lines that begin in these bytes).\n\nExamples:\n  driftgate count --pass scan --policy policy.yaml --split predictions.parquet:0-3 --place 0 > 0.scan\n  driftgate carry --policy policy.yaml 0.scan 1.scan > carry\n  driftgate count --policy policy.yaml --carry carry --split predictions.parquet:0-3 > 0.partial"
)]
pub struct Args {
    #[command(flatten)]
    read: parts::Read,
    /// Which pass to do
    #[arg(long, value_enum, default_value_t = Pass::Count)]
    pass: Pass,
    /// The part to read
    #[arg(long, value_name = "FILE[:PART]")]
    split: Option<String>,
    /// Kind of the part's events: predictions, labels or measurements; default: as the carry says, for a scan predictions
    #[arg(long, value_name = "KIND", value_parser = parts::kind)]
    kind: Option<EventKind>,
    /// Place of the part among the parts of its kind, from 0; default: as the carry says, for a scan 0
    #[arg(long, value_name = "N")]
    place: Option<u32>,
    /// What `driftgate carry` wrote
    #[arg(long, value_name = "FILE")]
    carry: Option<PathBuf>,
    /// The bucket to join, from 0
    #[arg(long, value_name = "N")]
    bucket: Option<u32>,
    /// Shared files of all parts, for the pass pair; @LIST is a file with one path a line
    #[arg(value_name = "SHARED")]
    shared: Vec<PathBuf>,
    /// File to write; default: standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Pass {
    Scan,
    Share,
    Pair,
    Count,
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let files = args.read.files()?;
    if !args.shared.is_empty() && args.pass != Pass::Pair {
        return Err(anyhow::anyhow!("only the pass pair takes files beside --split").into());
    }
    let written = match args.pass {
        Pass::Scan => {
            let split = Split {
                kind: args.kind.unwrap_or(EventKind::Predictions),
                place: args.place.unwrap_or(0),
                name: args.split()?.to_owned(),
            };
            vec![batch::scan(&files, split)?.write()?]
        }
        Pass::Share => {
            let (carry, name) = (args.carry()?, args.split()?);
            batch::share(&files, &carry, carry.find(args.kind, args.place, name)?, name)?.write()?
        }
        Pass::Pair => {
            let bucket = args.bucket.context("the pass pair needs --bucket")?;
            vec![batch::pair(&files, &args.carry()?, bucket, &parts::paths(&args.shared)?)?.write()?]
        }
        Pass::Count => {
            let (carry, name) = (args.carry()?, args.split()?);
            vec![batch::count(&files, &carry, carry.find(args.kind, args.place, name)?, name)?.write()?]
        }
    };
    parts::write(args.out.as_deref(), &written)?;
    Ok(exit::PASS)
}

impl Args {
    fn split(&self) -> anyhow::Result<&str> {
        self.split.as_deref().context("--split names the part to read")
    }

    fn carry(&self) -> anyhow::Result<Carry> {
        let Some(path) = &self.carry else {
            bail!("this pass needs --carry, what `driftgate carry` makes of all scans")
        };
        let (name, bytes) = parts::bytes(path)?;
        Ok(Carry::read(&name, &bytes)?)
    }
}
