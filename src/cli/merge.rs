//! `driftgate merge`: adds what was counted of parts.

use std::path::PathBuf;

use anyhow::Context as _;

use super::exit::{self, Failure};
use super::parts;
use driftgate_core::batch::{Partial, read_partial};

/// Adds what `driftgate count` counted of several parts, in any order and grouping
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Example:\n  driftgate merge 0.partial 1.partial 0.paired > all.partial"
)]
pub struct Args {
    /// What the passes count and pair wrote, merged already or not; @LIST is a file with one path a line
    #[arg(value_name = "PARTIAL", required = true)]
    partials: Vec<PathBuf>,
    /// File to write; default: standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let merged = merged(&args.partials)?;
    parts::write(args.out.as_deref(), &[merged.write()?])?;
    Ok(exit::PASS)
}

/// The sum of partials.
pub fn merged(given: &[PathBuf]) -> anyhow::Result<Partial> {
    let mut sum: Option<Partial> = None;
    for path in parts::paths(given)? {
        let (name, bytes) = parts::bytes(&path)?;
        let partial = read_partial(&name, &bytes)?;
        sum = Some(match sum {
            None => partial,
            Some(sum) => sum.and(partial).with_context(|| name)?,
        });
    }
    sum.context("no partial is given")
}
