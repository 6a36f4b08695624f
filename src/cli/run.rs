//! `driftgate run`: the daemon.

use std::path::PathBuf;

use super::{Failure, exit, logging};
use crate::daemon;
use crate::daemon::health::{Accepted, Gap, Word};
use crate::telemetry::otlp::Export;

/// Watches the configured topics until it is told to stop (SIGTERM, SIGINT)
#[derive(Debug, clap::Args)]
#[command(
    after_help = "SIGTERM or SIGINT stops in order (counts are saved, signals delivered), a second one at once; SIGHUP reads the policies again.\nDRIFTGATE_LOG, or else RUST_LOG, filters the log, e.g. DRIFTGATE_LOG=debug.\n\nExample:\n  driftgate run --config config/driftgate.yaml"
)]
pub struct Args {
    /// The daemon's configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Threads that read and count; all cores by default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Reads a topic that was deleted and made anew from its beginning; the log and /ready say its ID
    #[arg(long = "accept-new-topic", value_name = "TOPIC=ID", value_parser = accepted)]
    topics: Vec<Accepted>,
    /// Goes on behind records that are gone from a partition, or cannot be read, from OFFSET, which the log and /ready say; windows
    /// that may lack them are incomplete
    #[arg(long = "accept-gap", value_name = "TOPIC/PARTITION=OFFSET", value_parser = gap)]
    gaps: Vec<Gap>,
    /// Goes on with a registry that was made anew or put in place of the one before; the log and the status say its ID
    #[arg(long = "accept-new-registry", value_name = "ID")]
    registry: Option<String>,
}

fn gap(text: &str) -> Result<Gap, String> {
    let parsed = || {
        let (place, offset) = text.rsplit_once('=')?;
        let (topic, partition) = place.rsplit_once('/')?;
        let (partition, next) = (partition.parse().ok()?, offset.parse().ok()?);
        (!topic.is_empty()).then(|| Gap { topic: topic.to_owned(), partition, next })
    };
    parsed().ok_or_else(|| "expected TOPIC/PARTITION=OFFSET, as the log and /ready say".to_owned())
}

fn accepted(text: &str) -> Result<Accepted, String> {
    match text.split_once('=') {
        Some((topic, id)) if !topic.is_empty() && !id.is_empty() => {
            Ok(Accepted { topic: topic.to_owned(), id: id.to_owned() })
        }
        _ => Err("expected TOPIC=ID, as the log and /ready of the daemon that refused it say".to_owned()),
    }
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let config = daemon::read_config(&args.config)?;
    let export = config.otlp.as_ref().map(Export::start).transpose()?;
    logging::start(export.as_ref().map(Export::tracer));
    let Args { topics, gaps, registry, .. } = args;
    let word = Word { topics: topics.clone(), gaps: gaps.clone(), registry: registry.clone() };
    daemon::run(&config, super::threads(args.threads), &word, export.as_ref())?;
    Ok(exit::PASS)
}
