//! `driftgate run`: the daemon, and the signals that control it.

use std::panic::resume_unwind;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use super::exit::{self, Failure};
use super::logging;
use crate::daemon::starts::{Accepted, Gap, NewTopic};
use crate::daemon::{self, Control, End, Options};
use crate::telemetry::events::lifecycle::{SignalsUnhandled, StopForced, StopOverdue, StopRequested};
use crate::telemetry::otlp::Export;

/// How long an orderly end may take before the process leaves anyway.
const GRACE: Duration = Duration::from_secs(30);
/// Between two looks whether the daemon stops by itself.
const LOOK: Duration = Duration::from_millis(500);
/// What the process exits with where its orderly end took longer, and after a second signal.
const TOO_SLOW: u8 = 1;
const SECOND_SIGNAL: u8 = 130;
/// The daemon's thread has as large a stack as a main thread.
const STACK: usize = 8 << 20;

/// Runs the daemon, which reads the configured topics until SIGTERM or SIGINT
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Upon SIGTERM or SIGINT the daemon saves its counts, delivers its signals and ends; upon a second one it ends at once. Upon SIGHUP it reads policies, tokens and certificates again.\nDRIFTGATE_LOG, else RUST_LOG, filters the log, for example DRIFTGATE_LOG=debug.\n\nExample:\n  driftgate run --config config/driftgate.yaml"
)]
pub struct Args {
    /// Configuration of the daemon
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Number of threads that read and count; default: one per core
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Reads a topic that was deleted and created again, from its beginning; the log and GET /ready show its ID
    #[arg(long = "accept-new-topic", value_name = "TOPIC=ID", value_parser = new_topic)]
    topics: Vec<NewTopic>,
    /// Skips records of a partition that Kafka has deleted or that cannot be read; OFFSET is the next one to count, which the log and GET /ready
    /// show. Windows that may lack such records are incomplete
    #[arg(long = "accept-gap", value_name = "TOPIC/PARTITION=OFFSET", value_parser = gap)]
    gaps: Vec<Gap>,
    /// Continues with a registry that was created again or replaced; the log and the status show its ID
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
    parsed().ok_or_else(|| "expected TOPIC/PARTITION=OFFSET, as the log and GET /ready show it".to_owned())
}

fn new_topic(text: &str) -> Result<NewTopic, String> {
    match text.split_once('=') {
        Some((topic, id)) if !topic.is_empty() && !id.is_empty() => {
            Ok(NewTopic { topic: topic.to_owned(), id: id.to_owned() })
        }
        _ => Err("expected TOPIC=ID, as the log and GET /ready of the daemon show it".to_owned()),
    }
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let config = daemon::read_config(&args.config)?;
    let export = config.otlp.as_ref().map(Export::start).transpose()?;
    logging::start(export.as_ref().map(Export::tracer));
    let Args { topics, gaps, registry, .. } = args;
    let accepted = Accepted { topics: topics.clone(), gaps: gaps.clone(), registry: registry.clone() };
    let options = Options { threads: super::threads::threads(args.threads), accepted, export };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let signals = {
        let _runtime = runtime.enter();
        Signals::new()
    };
    let control = Control::default();
    let (running, ended) = oneshot::channel::<()>();
    let of_daemon = control.clone();
    let work = move || {
        // Ends with the thread, also where that panics.
        let _running = running;
        daemon::run(&config, &options, &of_daemon)
    };
    let daemon = thread::Builder::new().name("daemon".into()).stack_size(STACK).spawn(work)?;
    let forced = runtime.block_on(async {
        if let Some(signals) = signals {
            signals.heed(&control, ended).await
        } else {
            let _ = ended.await;
            None
        }
    });
    if let Some(code) = forced {
        return Ok(code);
    }
    match daemon.join().unwrap_or_else(|panic| resume_unwind(panic))? {
        End::Stopped => Ok(exit::PASS),
        End::GaveWay => Ok(exit::INPUT),
    }
}

/// SIGTERM and SIGINT stop, a second one at once; SIGHUP makes the daemon read policies, tokens and certificates again.
struct Signals {
    term: Signal,
    int: Signal,
    hup: Signal,
}

impl Signals {
    fn new() -> Option<Self> {
        let (Ok(term), Ok(int), Ok(hup)) =
            (signal(SignalKind::terminate()), signal(SignalKind::interrupt()), signal(SignalKind::hangup()))
        else {
            SignalsUnhandled.emit();
            return None;
        };
        Some(Self { term, int, hup })
    }

    /// Passes signals on until the daemon has `ended`; the exit code where the process is not to wait for that.
    async fn heed(mut self, control: &Control, mut ended: oneshot::Receiver<()>) -> Option<u8> {
        let (mut since, mut is_asked): (Option<Instant>, bool) = (None, false);
        loop {
            // A daemon that cannot go on stops by itself, and has no more time for it.
            let wait = since.map_or(LOOK, |since| GRACE.saturating_sub(since.elapsed()));
            tokio::select! {
                _ = &mut ended => return None,
                _ = self.term.recv() => {}
                _ = self.int.recv() => {}
                _ = self.hup.recv() => {
                    control.reload();
                    continue;
                }
                () = tokio::time::sleep(wait) => {
                    if since.is_none() {
                        since = control.is_stopping().then(Instant::now);
                        continue;
                    }
                    StopOverdue { seconds: GRACE.as_secs() }.emit();
                    return Some(TOO_SLOW);
                }
            }
            if is_asked {
                StopForced.emit();
                return Some(SECOND_SIGNAL);
            }
            StopRequested.emit();
            control.stop();
            is_asked = true;
            since = since.or_else(|| Some(Instant::now()));
        }
    }
}
