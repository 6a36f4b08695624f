//! `driftgate splits`: cuts files into parts that can be counted beside each other.

use std::path::PathBuf;

use anyhow::Context as _;

use super::exit::{self, Failure};
use super::parts;
use super::terminal::outln;
use crate::batch::list;
use crate::source::many;

/// Lists parts of files to be counted beside each other, one a line
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Parquet is cut between row groups, JSON lines between lines; a CSV file is one part.\n\nExample:\n  driftgate splits --bytes 268435456 predictions.parquet"
)]
pub struct Args {
    /// Files, folders and patterns in the order of their events; @LIST is a file with one path a line
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Bytes of a part, about
    #[arg(long, value_name = "N", default_value_t = 128 << 20, value_parser = clap::value_parser!(u64).range(1..))]
    bytes: u64,
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    for path in many::files(&parts::paths(&args.files)?)? {
        let text = path.to_str().context("a path is no UTF-8")?;
        if text.contains(['\n', '\r']) {
            return Err(anyhow::anyhow!("the path {text:?} holds a line end: parts are one a line").into());
        }
        for part in list(&path, args.bytes)? {
            outln!("{part}");
        }
    }
    Ok(exit::PASS)
}
