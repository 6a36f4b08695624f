//! `driftgate replay`: the daemon's pipeline over files, with a summary.

mod fail_on;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::exit::{self, Failure};
use super::terminal::{errln, out, outln};
use super::{display, terminal};
use crate::clock::now_ms;
use crate::config::{self, SourceConfig};
use crate::daemon::sources;
use crate::replay::{self, Input, InputFile, Observer, ReplayOutcome};
use crate::source::columns::nulls::NullTexts;
use crate::source::options::FileOptions;
use driftgate_core::decode::Reject;
use driftgate_core::event::EventKind;
use driftgate_core::intake::versions::Reference;
use driftgate_core::judge::verdict::{Signal, Status, Verdict};
use driftgate_core::pipeline::Pipeline;
use driftgate_core::policy::{self, Enforce};
use fail_on::{FailOn, FileEvents, Tried};

/// Runs the daemon's pipeline over files and prints what it would have said
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Files may be Parquet (.parquet), CSV (.csv) or JSON lines (.jsonl, .ndjson; - is standard input).\n\nExample:\n  driftgate replay --policy tests/data/flights/policy.yaml \\\n    --predictions tests/data/flights/predictions.parquet \\\n    --labels tests/data/flights/labels.parquet --verdicts verdicts.jsonl"
)]
pub struct Args {
    /// The model's policy file
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    #[command(flatten)]
    files: EventFiles,
    /// Writes every verdict as a JSON line, by end, model, version and group
    #[arg(long, value_name = "OUT.jsonl")]
    verdicts: Option<PathBuf>,
    /// Writes the block, clear and rollback signals as JSON lines
    #[arg(long, value_name = "OUT.jsonl")]
    signals: Option<PathBuf>,
    /// Writes rejected events with file, line and reason as JSON lines
    #[arg(long, value_name = "OUT.jsonl")]
    dead_letters: Option<PathBuf>,
    /// A daemon configuration whose field mappings hold for the files too
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Threads; all cores by default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Exits with 1 if a window of an enforced group blocks (or, with warn, warns), complete or not; with 3 if nothing
    /// conclusive was judged; with 0 otherwise, and says which. Mutes and `for` count
    #[arg(long, value_name = "STATUS")]
    fail_on: Option<FailOn>,
    /// Prints the summary as JSON
    #[arg(long)]
    json: bool,
}

/// A flag for each kind of event: the file that holds such events.
#[derive(Debug)]
struct EventFiles(BTreeMap<EventKind, PathBuf>);

impl clap::FromArgMatches for EventFiles {
    fn from_arg_matches(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
        let file = |kind: EventKind| Some((kind, matches.get_one::<PathBuf>(kind.name())?.clone()));
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
            flag.value_parser(clap::value_parser!(PathBuf)).required(kind == EventKind::Predictions)
        }))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let policy = Arc::new(read_policy(&args.policy)?);
    let options = Options::new(&policy, args.config.as_deref(), super::threads::threads(args.threads))?;
    let mut files: BTreeMap<EventKind, InputFile> =
        args.files.0.iter().map(|(kind, path)| (*kind, options.file(path, *kind))).collect();
    let predictions = files.remove(&EventKind::Predictions).context("--predictions names the file to replay")?;
    let input = Input { policy: Arc::clone(&policy), predictions, others: files };
    let blocking = policy.groups.iter().filter(|g| g.enforce == Enforce::Block).map(|g| g.name.clone()).collect();
    let mut summary = Summary {
        tried: Tried::new(blocking),
        verdicts: args.verdicts.as_deref().map(create).transpose()?,
        signals: args.signals.as_deref().map(create).transpose()?,
        dead_letters: args.dead_letters.as_deref().map(create).transpose()?,
        ..Summary::default()
    };
    let outcome = replay::run(&input, &mut summary)?;
    summary.finish()?;
    let decided = args.fail_on.map(|fail_on| summary.tried.decide(fail_on, &file_events(&input, &summary, &outcome)));
    if args.json {
        let mut said = summary.to_json(&outcome);
        if let (Value::Object(said), Some((code, why))) = (&mut said, &decided) {
            said.insert("fail_on".into(), json!({"exit_code": code, "reason": why}));
        }
        outln!("{}", serde_json::to_string_pretty(&said)?);
    } else {
        out!("{}", summary.to_text(&policy.model, &outcome));
        if let Some((code, why)) = &decided {
            outln!("{}: {why}", fail_on_word(*code));
        }
    }
    Ok(decided.map_or(exit::PASS, |(code, _)| code))
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
        let rejects = summary.rejects.get(&file.path);
        let rejected = rejects.map_or(0, |r| r.count);
        let first = rejects.map(|r| r.first.clone());
        FileEvents { file: file.path.clone(), read: counted.saturating_add(rejected), rejected, first }
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
    let text =
        std::fs::read_to_string(path).with_context(|| format!("the policy {} cannot be read", path.display()))?;
    Ok(policy::parse(&text, path)?)
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

    /// A file of this kind, read by the first source of its kind.
    pub fn file(&self, path: &Path, kind: EventKind) -> InputFile {
        let source = self.sources.iter().find(|s| s.kind == kind);
        let options = source.map_or_else(|| self.base.clone(), |s| sources::file_options(&self.base, s));
        InputFile { path: path.to_owned(), options }
    }
}

fn create(path: &Path) -> anyhow::Result<BufWriter<Box<dyn Write + Send>>> {
    let out: Box<dyn Write + Send> = if path == Path::new("-") {
        Box::new(terminal::results())
    } else {
        let file = File::create(path).with_context(|| format!("{} cannot be written", path.display()))?;
        Box::new(terminal::until_closed(file))
    };
    Ok(BufWriter::with_capacity(1 << 18, out))
}

/// What one rule came to over a replay.
#[derive(Default)]
struct RuleSummary {
    judged: u64,
    by_status: BTreeMap<Status, u64>,
    values: Vec<f64>,
    /// The subject most often blocked.
    blocked_subjects: BTreeMap<String, u64>,
}

/// Collects what the summary says, and writes verdicts and signals as they come.
#[derive(Default)]
struct Summary {
    /// What `--fail-on` decides by.
    tried: Tried,
    verdicts: Option<BufWriter<Box<dyn Write + Send>>>,
    signals: Option<BufWriter<Box<dyn Write + Send>>>,
    dead_letters: Option<BufWriter<Box<dyn Write + Send>>>,
    bar: Option<ProgressBar>,
    /// By version, rule.
    rules: BTreeMap<(String, String), RuleSummary>,
    windows: u64,
    incomplete: u64,
    signal_counts: BTreeMap<&'static str, u64>,
    first_rejects: BTreeMap<&'static str, String>,
    rejects: BTreeMap<PathBuf, Rejects>,
}

/// What was rejected of a file.
struct Rejects {
    count: u64,
    /// Place and reason of the first.
    first: String,
}

impl Observer for Summary {
    fn verdict(&mut self, verdict: &Verdict, signals: &[Signal]) -> anyhow::Result<()> {
        self.windows += 1;
        if !verdict.window.complete {
            self.incomplete += 1;
        }
        self.tried.note(verdict);
        for result in &verdict.results {
            let rule = self.rules.entry((verdict.version.clone(), result.rule.clone())).or_default();
            rule.judged += 1;
            *rule.by_status.entry(result.status).or_default() += 1;
            rule.values.extend(result.value);
            if result.status == Status::Block {
                *rule.blocked_subjects.entry(result.subject.clone()).or_default() += 1;
            }
        }
        if let Some(out) = &mut self.verdicts {
            serde_json::to_writer(&mut *out, verdict)?;
            out.write_all(b"\n")?;
        }
        for signal in signals {
            *self.signal_counts.entry(signal.action.name()).or_default() += 1;
            if let Some(out) = &mut self.signals {
                serde_json::to_writer(&mut *out, signal)?;
                out.write_all(b"\n")?;
            }
        }
        Ok(())
    }

    fn reject(&mut self, file: &Path, line: u64, reject: &Reject, _payload: &[u8]) -> anyhow::Result<()> {
        let first = || format!("{}:{line}: {}", file.display(), reject.detail);
        self.first_rejects.entry(reject.reason.name()).or_insert_with(first);
        match self.rejects.get_mut(file) {
            Some(rejects) => rejects.count += 1,
            None => {
                self.rejects.insert(file.to_owned(), Rejects { count: 1, first: first() });
            }
        }
        if let Some(out) = &mut self.dead_letters {
            let letter = json!({"file": file.display().to_string(), "line": line, "reason": reject.reason.name(), "detail": reject.detail});
            serde_json::to_writer(&mut *out, &letter)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    }

    fn reference(&mut self, version: &str, reference: &Reference) {
        if let Reference::Failed(why) = reference {
            errln!("driftgate: version {version} has no baseline, its verdicts will be insufficient: {why}");
        }
    }

    fn progress(&mut self, pipeline: &Pipeline, read: u64, total: Option<u64>) -> anyhow::Result<()> {
        let bar = self.bar.get_or_insert_with(|| display::bytes_bar(total, "replaying"));
        bar.set_position(read);
        // A worker does not wait for another to say how far it is.
        if let Some(intake) = pipeline.try_intake() {
            let predictions = display::count(intake.counters.predictions);
            bar.set_message(format!("{predictions} predictions, {} windows", self.windows));
        }
        Ok(())
    }
}

impl Summary {
    fn finish(&mut self) -> io::Result<()> {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        [&mut self.verdicts, &mut self.signals, &mut self.dead_letters].into_iter().flatten().try_for_each(Write::flush)
    }

    fn to_text(&mut self, model: &str, outcome: &ReplayOutcome) -> String {
        use std::fmt::Write as _;
        let mut out = String::new();
        let c = &outcome.counters;
        let versions: Vec<String> =
            outcome.versions.iter().map(|(v, n)| format!("{v} ({})", display::count(*n))).collect();
        let _ = writeln!(
            out,
            "{model}: {} predictions of versions {}; {} labels, {} joined",
            display::count(c.predictions),
            versions.join(", "),
            display::count(c.labels),
            display::count(c.joined)
        );
        let notable = [
            ("late", c.late),
            ("after their window closed", c.after_close),
            ("ahead of their partition's pace", c.ahead),
            ("duplicate predictions", c.duplicate_predictions),
            ("duplicate labels", c.duplicate_labels),
            ("in ignored time", c.ignored),
            ("null labels", c.null_labels),
            ("unmatched labels", c.unmatched),
            ("invalid values", c.invalid_values),
            ("of other models", outcome.unknown_model),
        ];
        let said: Vec<String> =
            notable.iter().filter(|(_, n)| *n > 0).map(|(what, n)| format!("{} {what}", display::count(*n))).collect();
        if !said.is_empty() {
            let _ = writeln!(out, "beside that: {}", said.join(", "));
        }
        for (reason, first) in &self.first_rejects {
            let n: u64 = outcome.rejected.iter().filter(|(r, _)| r.name() == *reason).map(|(_, n)| n).sum();
            let _ = writeln!(out, "rejected {} ({reason}), the first at {first}", display::count(n));
        }
        for remark in &outcome.remarks {
            let _ = writeln!(out, "note: {remark}");
        }
        let mut table = display::table(&[
            "version",
            "rule",
            "judged",
            "block",
            "warn",
            "insufficient",
            "p50",
            "p95",
            "max",
            "blocked most",
        ]);
        for ((version, rule), r) in &mut self.rules {
            r.values.sort_unstable_by(f64::total_cmp);
            let at = |s: Status| display::count(r.by_status.get(&s).copied().unwrap_or(0));
            let most = r
                .blocked_subjects
                .iter()
                .max_by_key(|(name, n)| (**n, std::cmp::Reverse(*name)))
                .map_or_else(String::new, |(name, n)| format!("{name} ({n})"));
            display::row(
                &mut table,
                [
                    version.clone(),
                    rule.clone(),
                    display::count(r.judged),
                    at(Status::Block),
                    at(Status::Warn),
                    at(Status::Insufficient),
                    display::number(quantile(&r.values, 0.5)),
                    display::number(quantile(&r.values, 0.95)),
                    display::number(r.values.last().copied()),
                    most,
                ],
            );
        }
        let _ = writeln!(out, "{table}");
        let signals: Vec<String> = self.signal_counts.iter().map(|(a, n)| format!("{n} {a}")).collect();
        let signals = if signals.is_empty() { "none".to_owned() } else { signals.join(", ") };
        let _ = writeln!(
            out,
            "{} windows judged ({} incomplete at the end of the files); signals: {signals}",
            display::count(self.windows),
            self.incomplete
        );
        out
    }

    fn to_json(&mut self, outcome: &ReplayOutcome) -> Value {
        let rules: Vec<Value> = self.rules.iter_mut().map(|((version, rule), r)| {
            r.values.sort_unstable_by(f64::total_cmp);
            let at = |s: Status| r.by_status.get(&s).copied().unwrap_or(0);
            json!({
                "version": version, "rule": rule, "judged": r.judged, "block": at(Status::Block), "warn": at(Status::Warn),
                "insufficient": at(Status::Insufficient), "pass": at(Status::Pass),
                "p50": quantile(&r.values, 0.5), "p95": quantile(&r.values, 0.95), "max": r.values.last(),
            })
        }).collect();
        let rejected: BTreeMap<&str, u64> = outcome.rejected.iter().map(|(r, n)| (r.name(), *n)).collect();
        json!({
            "windows": self.windows, "incomplete": self.incomplete, "signals": self.signal_counts, "versions": outcome.versions,
            "counters": outcome.counters, "rejected": rejected, "unknown_model": outcome.unknown_model, "failed": outcome.failed, "rules": rules,
            "remarks": outcome.remarks,
        })
    }
}

/// The value of rank ceil(q·n) of sorted values.
fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "0 <= q <= 1 of a length"
    )]
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}
