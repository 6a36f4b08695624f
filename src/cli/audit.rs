//! `driftgate audit verify`: whether the audit log of a registry is what was written, and whether what the registry has follows
//! from it. Both are read without writing anything (`store`); signed checkpoints that lie elsewhere come from a file or a topic (`anchors`). Anchors are read
//! first: what they vouch for was in the log by then, so a daemon may go on writing meanwhile.

mod anchors;
mod store;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use serde::Serialize;
use serde_json::{Value, json};

use super::display;
use super::exit::{self, Failure};
use super::output::Output;
use crate::audit_key;
use crate::config::Config;
use crate::daemon::read_config;
use crate::ledger::{Embedded, home};
use anchors::Anchors;
use driftgate_core::audit::fact::Mismatch;
use driftgate_core::audit::signed_head::{PublicKey, PublicKeys};
use driftgate_core::audit::state::State;
use driftgate_core::audit::verify::{Anchored, Report, verify};
use store::Log;

/// Where the registry's own checkpoints are found, for messages.
const DATABASE: &str = "the database";

/// Verifies the audit log
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Verify(VerifyArgs),
}

/// Verifies the audit log: its records, their chain, its signed checkpoints, and that the registry's content follows from it. Writes nothing
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A person who can change the registry and its key can rewrite both; only checkpoints that are kept elsewhere reveal that.\n\nExit codes: 0 intact, 1 problems found, 2 something cannot be read, 5 the brokers cannot be reached.\n\nExamples:\n  driftgate audit verify --config config/driftgate.yaml\n  driftgate audit verify --registry copy/registry.db --public-key audit.pem --anchors anchors.jsonl"
)]
#[command(group = clap::ArgGroup::new("where").required(true))]
struct VerifyArgs {
    /// Configuration of the daemon: its registry, and the topic of its audit section
    #[arg(long, value_name = "FILE", group = "where")]
    config: Option<PathBuf>,
    /// File of the registry
    #[arg(long, value_name = "PATH", group = "where")]
    registry: Option<PathBuf>,
    /// PEM file of a public key that verifies checkpoints; can be given several times, for former keys; default: the public half of the key
    /// beside the registry
    #[arg(long, value_name = "FILE")]
    public_key: Vec<PathBuf>,
    /// File of checkpoints that were kept elsewhere, one JSON object per line
    #[arg(long, value_name = "FILE.jsonl")]
    anchors: Option<PathBuf>,
    /// Does not read the audit topic of the configuration
    #[arg(long)]
    no_anchors: bool,
    #[command(flatten)]
    output: Output,
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let Command::Verify(args) = &args.command;
    let checked = check(args)?;
    args.output.print(&checked.to_json(), || Ok(checked.to_text()))?;
    Ok(if checked.is_intact() { exit::PASS } else { exit::BLOCK })
}

fn check(args: &VerifyArgs) -> Result<Checked, Failure> {
    let config = args.config.as_deref().map(read_config).transpose()?;
    let path = match (&config, &args.registry) {
        (Some(config), _) => home::find(&config.registry.path, &config.registry_before()),
        (None, Some(path)) => path.clone(),
        (None, None) => return Err(anyhow!("give a registry as --registry, or a configuration as --config").into()),
    };
    let mut anchors = args.anchors.as_deref().map(anchors::from_file).transpose()?.unwrap_or_default();
    if let Some((config, topic)) = config.as_ref().and_then(|c| Some((c, c.audit_topic.as_ref()?)))
        && !args.no_anchors
    {
        anchors.extend(from_topic(config, topic)?);
    }
    let has_anchors = !anchors.checkpoints.is_empty();
    let log = store::read(&path)?;
    let keys = keys(&args.public_key, &path, &log, has_anchors)?;
    let artifacts = store::unsigned_artifacts(&path, &keys)?;
    let mut checked = Checked::new(log, anchors, &keys, &path);
    checked.unheld.extend(artifacts.into_iter().map(|location| Unheld::Artifact { location }));
    Ok(checked)
}

fn from_topic(config: &Config, topic: &str) -> Result<Anchors, Failure> {
    let Some(kafka) = &config.kafka else {
        return Err(
            anyhow!("the configuration has an audit topic and no brokers: add them, or give --no-anchors").into()
        );
    };
    let spinner = display::spinner(&format!("reading {topic}"));
    let read = anchors::from_topic(&kafka.client_properties()?, topic);
    spinner.finish_and_clear();
    read
}

/// The keys whose signatures count. A log without records and checkpoints needs none.
fn keys(given: &[PathBuf], registry: &Path, log: &Log, has_anchors: bool) -> anyhow::Result<PublicKeys> {
    if !given.is_empty() {
        return given.iter().map(|path| public_key(path)).collect();
    }
    let path = Embedded::key_path(registry);
    if path.is_file() {
        return Ok(PublicKeys::from_iter([audit_key::open(&path)?.public_key()]));
    }
    if log.rows.is_empty() && log.checkpoints.is_empty() && !has_anchors {
        return Ok(PublicKeys::default());
    }
    Err(anyhow!(
        "there is no key {} beside the registry, so no signature can be verified: give the public key as --public-key",
        path.display()
    ))
}

fn public_key(path: &Path) -> anyhow::Result<PublicKey> {
    let text = std::fs::read_to_string(path);
    let text = text.with_context(|| format!("the public key {} cannot be read", path.display()))?;
    PublicKey::parse(&text).with_context(|| path.display().to_string())
}

/// Problems beside those of `verify`: driftgate writes a checkpoint with each change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "problem", rename_all = "snake_case")]
enum Unsealed {
    #[error(
        "{} not covered by a checkpoint: each change writes one, so records were added, or checkpoints removed",
        span(*from, *to)
    )]
    Unvouched { from: u64, to: u64 },
    #[error("the checkpoint of record {seq} in the database cannot be read: it was changed")]
    UnreadableCheckpoint { seq: u64 },
    #[error("{place} holds no checkpoint: {why}")]
    UnreadableAnchor { place: String, why: String },
}

fn span(from: u64, to: u64) -> String {
    if from == to { format!("record {from} is") } else { format!("records {from} to {to} are") }
}

/// What the registry has and the log does not say, and the other way around.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "problem", rename_all = "snake_case")]
enum Unheld {
    #[error(
        "the log is empty, beside a registry that is in use: its records were removed, or the registry was not written by driftgate"
    )]
    NoLog,
    #[error("{0}")]
    Mismatch(Mismatch),
    #[error("{what}")]
    Object { what: String },
    #[error(
        "the record that the registry keeps of the artifact {location} is not signed with this registry's key: it is not used, and the artifact is read again"
    )]
    Artifact { location: String },
}

/// Everything that was found.
#[derive(Debug)]
struct Checked {
    registry: String,
    report: Report,
    unsealed: Vec<Unsealed>,
    unheld: Vec<Unheld>,
    /// What a release before had without a record of it, as the upgrade wrote it down.
    taken_over: Vec<Mismatch>,
    /// Checkpoints that lay elsewhere.
    anchors: usize,
}

impl Checked {
    fn new(log: Log, anchors: Anchors, keys: &PublicKeys, registry: &Path) -> Self {
        let own = log.checkpoints.into_iter().map(|checkpoint| Anchored { origin: DATABASE.to_owned(), checkpoint });
        let count = anchors.checkpoints.len();
        let all: Vec<Anchored> = own.chain(anchors.checkpoints).collect();
        let said = State::of_log(&log.rows);
        let mut unheld: Vec<Unheld> =
            (log.rows.is_empty() && log.is_used).then_some(Unheld::NoLog).into_iter().collect();
        unheld.extend(said.against(&log.state).into_iter().map(Unheld::Mismatch));
        unheld.extend(log.objects.into_iter().map(|what| Unheld::Object { what }));
        let report = verify(log.rows, &all, keys);
        let mut unsealed: Vec<Unsealed> =
            log.unreadable.into_iter().map(|seq| Unsealed::UnreadableCheckpoint { seq }).collect();
        unsealed.extend(anchors.unreadable.into_iter().map(|(place, why)| Unsealed::UnreadableAnchor { place, why }));
        if let Some(head) = report.head.as_ref().filter(|_| report.unvouched() > 0) {
            let from = report.vouched.as_ref().map_or(0, |v| v.seq) + 1;
            unsealed.push(Unsealed::Unvouched { from, to: head.seq });
        }
        let registry = registry.display().to_string();
        Self { registry, report, unsealed, unheld, taken_over: said.taken_over, anchors: count }
    }

    fn is_intact(&self) -> bool {
        self.report.is_intact() && self.unsealed.is_empty() && self.unheld.is_empty()
    }

    fn to_text(&self) -> String {
        use std::fmt::Write as _;
        let mut out = String::new();
        // The report says first what does not hold, a line each, then how far the log goes and who vouches for it.
        let _ = writeln!(out, "{}", self.report);
        for problem in &self.unsealed {
            let _ = writeln!(out, "{problem}");
        }
        for problem in &self.unheld {
            let _ = writeln!(out, "{problem}");
        }
        for Mismatch { fact, registry, .. } in &self.taken_over {
            let was = if registry.is_some() { "was there without a record" } else { "was not there, against the log" };
            let _ = writeln!(out, "note: {fact} {was} when the file of a release before was taken over");
        }
        if self.anchors == 0 {
            out.push_str("no checkpoint from elsewhere was compared: a log rewritten by somebody who has its key would not show\n");
        }
        let problems = self.report.problems.len() + self.unsealed.len() + self.unheld.len();
        let _ = match problems {
            0 => writeln!(out, "intact: the audit log of {}", self.registry),
            1 => writeln!(out, "NOT INTACT: 1 problem in the audit log of {}", self.registry),
            n => writeln!(out, "NOT INTACT: {n} problems in the audit log of {}", self.registry),
        };
        out
    }

    fn to_json(&self) -> Value {
        let said = |problem: Value, text: String| {
            let mut problem = problem;
            if let Some(fields) = problem.as_object_mut() {
                fields.insert("message".to_owned(), text.into());
            }
            problem
        };
        let report = self.report.problems.iter().map(|p| said(json!(p), p.to_string()));
        let unsealed = self.unsealed.iter().map(|p| said(json!(p), p.to_string()));
        let unheld = self.unheld.iter().map(|p| said(json!(p), p.to_string()));
        let problems: Vec<Value> = report.chain(unsealed).chain(unheld).collect();
        json!({
            "intact": self.is_intact(),
            "registry": self.registry,
            "problems": problems,
            "records": self.report.records,
            "checkpoints": self.report.checkpoints,
            "checkpoints_hold": self.report.checkpoints_hold,
            "anchors": self.anchors,
            "head": self.report.head,
            "vouched": self.report.vouched,
            "taken_over": self.taken_over,
        })
    }
}

#[cfg(test)]
mod tests;
