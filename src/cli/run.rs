//! `driftgate run`: the daemon.

use std::path::PathBuf;

use super::{Failure, exit, logging};
use crate::daemon;

/// Watches the configured topics until it is told to stop (SIGTERM, SIGINT)
#[derive(Debug, clap::Args)]
#[command(
    after_help = "SIGTERM or SIGINT stops in order (counts are saved, signals delivered), a second one at once; SIGHUP reads the policies again.\nDRIFTGATE_LOG filters the log, e.g. DRIFTGATE_LOG=debug.\n\nExample:\n  driftgate run --config config/driftgate.yaml"
)]
pub struct Args {
    /// The daemon's configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Threads that read and count; all cores by default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let config = daemon::read_config(&args.config)?;
    logging::start();
    daemon::run(&config, super::threads(args.threads))?;
    Ok(exit::PASS)
}
