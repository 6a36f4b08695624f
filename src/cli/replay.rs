//! `driftgate replay`: runs the daemon's pipeline over files and prints a summary.

mod fail_on;
mod summary;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::exit::{self, Failure};
use super::output::Output;
use super::terminal;
use crate::clock::now_ms;
use crate::config::{self, SourceConfig};
use crate::daemon::sources;
use crate::replay::{self, Input, InputFile, ReplayOutcome};
use crate::source::columns::nulls::NullTexts;
use crate::source::many;
use crate::source::options::FileOptions;
use driftgate_core::event::EventKind;
use driftgate_core::judge::verdict::Verdict;
use driftgate_core::policy::{self, Enforce};
use fail_on::{FailOn, FileEvents, Tried};
pub use summary::Out;
use summary::{Outs, Summary};

/// Runs the daemon's pipeline over files and prints a summary of its verdicts
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Files may be Parquet (.parquet), Avro (.avro), CSV (.csv) or JSON lines (.jsonl, .ndjson; - is standard input). CSV and JSON lines may be packed (.gz, .zst).\nA folder stands for all event files in it, a pattern in quotes (logs/2026-*/**.jsonl.gz) for those that match, both in the order of their paths. A flag may be given several times: what it names is read one behind the other, as one file.\n\nExample:\n  driftgate replay --policy tests/data/flights/policy.yaml \\\n    --predictions tests/data/flights/predictions.parquet \\\n    --labels tests/data/flights/labels.parquet --verdicts verdicts.jsonl"
)]
pub struct Args {
    /// Policy of the model
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    #[command(flatten)]
    files: EventFiles,
    /// Writes each verdict as a JSON line, ordered by end, model, version and group
    #[arg(long, value_name = "OUT.jsonl")]
    verdicts: Option<PathBuf>,
    /// Writes the block, clear and rollback signals as JSON lines
    #[arg(long, value_name = "OUT.jsonl")]
    signals: Option<PathBuf>,
    /// Writes rejected events as JSON lines with file, line and reason
    #[arg(long, value_name = "OUT.jsonl")]
    dead_letters: Option<PathBuf>,
    /// Daemon configuration whose field mappings apply to the files
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Number of threads; default: one per core
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Exits with 1 if a window of an enforced group has this status (warn: warns or blocks), complete or not; with 3 if no window had a conclusive
    /// verdict; else with 0. The summary says which. Mutes and `for` apply
    #[arg(long, value_name = "STATUS")]
    fail_on: Option<FailOn>,
    #[command(flatten)]
    output: Output,
}

/// A flag for each kind of event: the files that hold such events, as they are named.
#[derive(Debug)]
pub struct EventFiles(BTreeMap<EventKind, Vec<PathBuf>>);

impl clap::FromArgMatches for EventFiles {
    fn from_arg_matches(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
        let file = |kind: EventKind| Some((kind, matches.get_many::<PathBuf>(kind.name())?.cloned().collect()));
        Ok(Self(EventKind::ALL.into_iter().filter_map(file).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &clap::ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl clap::Args for EventFiles {
    fn augment_args(command: clap::Command) -> clap::Command {
        command.args(EventKind::LISTED.map(|kind| {
            let flag = clap::Arg::new(kind.name()).long(kind.name()).value_name("FILE").help(kind.help());
            flag.value_parser(clap::value_parser!(PathBuf))
                .action(clap::ArgAction::Append)
                .num_args(1..)
                .required(kind == EventKind::Predictions)
        }))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let input = input(args)?;
    let policy = &input.policy;
    let mut summary = summary(args, policy)?;
    let outcome = replay::run(&input, &mut summary)?;
    summary.finish()?;
    let decided = args.fail_on.map(|fail_on| summary.tried.decide(fail_on, &file_events(&input, &summary, &outcome)));
    let mut answer = summary.to_json(&outcome);
    if let (Value::Object(answer), Some((code, why))) = (&mut answer, &decided) {
        answer.insert("fail_on".into(), json!({"exit_code": code, "reason": why}));
    }
    args.output.print(&answer, || {
        let mut text = summary.to_text(&policy.model, &outcome);
        if let Some((code, why)) = &decided {
            writeln!(text, "{}: {why}", fail_on_word(*code))?;
        }
        Ok(text)
    })?;
    Ok(decided.map_or(exit::PASS, |(code, _)| code))
}

/// The verdicts of a replay that arguments of `driftgate replay` describe, which also writes the files that they name.
///
/// # Errors
/// Files that cannot be read or written.
pub fn verdicts(args: &Args) -> anyhow::Result<Vec<Verdict>> {
    let input = input(args)?;
    let mut summary = summary(args, &input.policy)?.keeping();
    replay::run(&input, &mut summary)?;
    summary.finish()?;
    Ok(summary.kept.unwrap_or_default())
}

fn input(args: &Args) -> anyhow::Result<Input> {
    let policy = Arc::new(read_policy(&args.policy)?);
    input_of(policy, &args.files, args.config.as_deref(), args.threads)
}

/// What to replay: a policy over these files, by the field mappings of a configuration.
///
/// # Errors
/// Files or a configuration that cannot be read.
pub fn input_of(
    policy: Arc<policy::Policy>,
    files: &EventFiles,
    config: Option<&Path>,
    threads: Option<u16>,
) -> anyhow::Result<Input> {
    let options = Options::new(&policy, config, super::threads::threads(threads))?;
    let mut files: BTreeMap<EventKind, InputFile> =
        files.0.iter().map(|(kind, paths)| Ok((*kind, options.files(paths, *kind)?))).collect::<anyhow::Result<_>>()?;
    let predictions = files.remove(&EventKind::Predictions).context("--predictions names the file to replay")?;
    Ok(Input { policy, predictions, others: files })
}

/// Every verdict of a replay, and what was read.
pub struct Replayed {
    pub verdicts: Vec<Verdict>,
    pub outcome: ReplayOutcome,
    /// What was read and what was left out, in lines.
    pub read: String,
}

/// Replays files without writing any.
///
/// # Errors
/// Files that cannot be read.
pub fn replayed(input: &Input) -> anyhow::Result<Replayed> {
    let mut summary = Summary::new(Tried::new(enforced(&input.policy)), Outs::default()).keeping();
    let outcome = replay::run(input, &mut summary)?;
    summary.finish()?;
    let read = summary.read_text(&input.policy.model, &outcome);
    Ok(Replayed { verdicts: summary.kept.unwrap_or_default(), outcome, read })
}

/// The names of the groups that can block.
fn enforced(policy: &policy::Policy) -> std::collections::BTreeSet<String> {
    policy.groups.iter().filter(|g| g.enforce == Enforce::Block).map(|g| g.name.clone()).collect()
}

fn summary(args: &Args, policy: &policy::Policy) -> anyhow::Result<Summary> {
    let outs = Outs {
        verdicts: args.verdicts.as_deref().map(create).transpose()?,
        signals: args.signals.as_deref().map(create).transpose()?,
        dead_letters: args.dead_letters.as_deref().map(create).transpose()?,
    };
    Ok(Summary::new(Tried::new(enforced(policy)), outs))
}

/// What an exit code of `--fail-on` means.
fn fail_on_word(code: u8) -> &'static str {
    match code {
        exit::BLOCK => "failed",
        exit::INCONCLUSIVE => "inconclusive",
        _ => "passed",
    }
}

/// Events read and rejected, by file.
fn file_events(input: &Input, summary: &Summary, outcome: &ReplayOutcome) -> Vec<FileEvents> {
    let c = &outcome.counters;
    let of = |file: &InputFile, counted: u64| {
        let rejects = || file.paths().filter_map(|path| summary.rejects.get(path));
        let rejected = rejects().map(|r| r.count).sum();
        let first = rejects().next().map(|r| r.first.clone());
        FileEvents { file: file.name(), read: counted.saturating_add(rejected), rejected, first }
    };
    let mut others: Vec<_> = input.others.iter().collect();
    others.sort_unstable_by_key(|(kind, _)| kind.name());
    std::iter::once((&EventKind::Predictions, &input.predictions))
        .chain(others)
        .map(|(kind, file)| of(file, c.of(*kind)))
        .collect()
}

/// Reads and validates a policy file.
pub fn read_policy(path: &Path) -> anyhow::Result<policy::Policy> {
    crate::policies::read(path)
}

/// How files are read: by the field mappings of a daemon configuration, or the defaults.
pub struct Options {
    base: FileOptions,
    sources: Vec<SourceConfig>,
}

impl Options {
    pub fn new(policy: &policy::Policy, config: Option<&Path>, threads: usize) -> anyhow::Result<Self> {
        let mut base = FileOptions {
            null_values: NullTexts::listed(policy.baseline.null_values.as_deref()),
            record_ts: now_ms(),
            threads,
            ..FileOptions::default()
        };
        let Some(path) = config else { return Ok(Self { base, sources: Vec::new() }) };
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("the configuration {} cannot be read", path.display()))?;
        let config = config::parse(&text, path)?;
        base.limits = config.limits.events;
        Ok(Self { base, sources: config.sources })
    }

    /// Files, folders and patterns of this kind, read by the first source of its kind.
    fn files(&self, named: &[PathBuf], kind: EventKind) -> anyhow::Result<InputFile> {
        let mut paths = many::files(named)?.into_iter();
        let first = paths.next().context("no file is named")?;
        Ok(InputFile { more: paths.collect(), ..self.file(&first, kind) })
    }

    /// A file of this kind, read by the first source of its kind.
    pub fn file(&self, path: &Path, kind: EventKind) -> InputFile {
        let source = self.sources.iter().find(|s| s.kind == kind);
        let options = source.map_or_else(|| self.base.clone(), |s| sources::file_options(&self.base, s));
        InputFile { path: path.to_owned(), more: Vec::new(), options }
    }
}

/// Creates a file of results; `-` is standard output.
pub fn create(path: &Path) -> anyhow::Result<Out> {
    let out: Box<dyn Write + Send> = if path == Path::new("-") {
        Box::new(terminal::results())
    } else {
        let file = File::create(path).with_context(|| format!("{} cannot be written", path.display()))?;
        Box::new(terminal::until_closed(file))
    };
    Ok(BufWriter::with_capacity(1 << 18, out))
}
