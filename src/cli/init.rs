//! `driftgate init`: drafts a policy from a training snapshot. `profile` reads the columns, `roles` finds out what each of them is for, by what
//! `outcomes` says that it can be, `draft` writes the text.

mod draft;
mod limits;
pub(super) mod names;
mod outcomes;
mod profile;
mod roles;
mod sources;

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};

use super::check::alarms::{Simulated, alarms};
use super::display;
use super::exit::{self, Failure};
use super::terminal::{out, outln};
use crate::snapshot as training;
use draft::Draft;
use driftgate_core::policy::Task;
use limits::Limits;
use roles::{Roles, Wishes};

/// How often limits are raised until `check` finds no rule that alarms too often.
const RAISES: usize = 12;

/// Drafts a policy from a training snapshot, with a comment on each choice
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The draft has rules on drift and, if the snapshot has scores and labels, on fairness (errors or quality of another task); the training data itself keeps their limits. What names and values of columns do not tell, the command asks in a terminal and marks as `unclear` elsewhere. Read the draft, then run `driftgate check`.\n\nExamples:\n  driftgate init --snapshot train.parquet\n  driftgate init --snapshot train.parquet --model fraud_detector --label chargeback --id transaction_id --out policy.yaml\n  driftgate init --snapshot train.parquet --out policy.yaml --topic predictions --config-out driftgate.yaml"
)]
pub struct Args {
    /// Training snapshot: Parquet or CSV, or a folder of such
    #[arg(long, value_name = "FILE")]
    snapshot: PathBuf,
    /// Name of the model; default: the name of the snapshot's file
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// What the model predicts
    #[arg(long, value_name = "TASK", default_value = "binary")]
    task: What,
    /// Column with the model's scores, from 0 to 1, or of another task with what it predicts; default: found by its name
    #[arg(long, value_name = "COL")]
    score: Option<String>,
    /// Column with the labels; default: found by its name
    #[arg(long, value_name = "COL")]
    label: Option<String>,
    /// Value of the label that is the positive class
    #[arg(long, value_name = "VALUE")]
    positive: Option<String>,
    /// Column that identifies rows and is no feature; can be given several times
    #[arg(long, value_name = "COL")]
    id: Vec<String>,
    /// Adds rules on latency and errors, whose limits do not come from the snapshot
    #[arg(long)]
    slo: bool,
    /// Adds the promotion to prod: evidence, approvals, a rollout, and with --slo a rollback
    #[arg(long)]
    promotion: bool,
    /// File to write; default: standard output (also -)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Overwrites an existing file
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    events: sources::Events,
}

/// What a model predicts.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum What {
    /// One of two classes, by a score from 0 to 1
    #[default]
    Binary,
    /// A number
    Regression,
    /// One of several classes
    Multiclass,
}

impl What {
    fn task(self) -> Task {
        match self {
            Self::Binary => Task::Binary,
            Self::Regression => Task::Regression,
            Self::Multiclass => Task::Multiclass,
        }
    }
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let out = args.out.as_deref().filter(|out| *out != Path::new("-"));
    // Said before the snapshot is read, and held to when the file is made.
    let config_out = args.events.config_out.as_deref();
    if let Some(out) = [out, config_out].into_iter().flatten().find(|out| out.exists() && !args.force) {
        return Err(taken(out).into());
    }
    let text = draft(args, out)?;
    let configuration = sources::configuration(&args.events, &text, out.unwrap_or(Path::new("policy.yaml")))?;
    let Some(out) = out else {
        out!("{text}");
        return Ok(exit::PASS);
    };
    write(out, &text, args.force)?;
    outln!("{}: read its comments, then run driftgate check --policy {}", out.display(), out.display());
    if let (Some(path), Some(text)) = (config_out, &configuration) {
        write(path, text, args.force)?;
        outln!("{}: read its comments, then run driftgate check --config {}", path.display(), path.display());
    }
    Ok(exit::PASS)
}

/// Writes a file that is not there, or replaces it by `force`.
fn write(out: &Path, text: &str, force: bool) -> anyhow::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let written = options.open(out).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|e| {
        if e.kind() == std::io::ErrorKind::AlreadyExists {
            taken(out)
        } else {
            anyhow!("{} cannot be written: {e}", out.display())
        }
    })
}

fn taken(out: &Path) -> anyhow::Error {
    anyhow!("{} exists already: give another --out, or overwrite it with --force", out.display())
}

fn draft(args: &Args, out: Option<&Path>) -> anyhow::Result<String> {
    let snapshot = &args.snapshot;
    let spinner = display::spinner(&format!("reading {}", snapshot.display()));
    let profile = profile::profile(snapshot);
    spinner.finish_and_clear();
    let profile = profile?;
    let wishes = Wishes {
        task: args.task.task(),
        score: args.score.as_deref(),
        label: args.label.as_deref(),
        positive: args.positive.as_deref(),
        ids: &args.id,
    };
    let roles =
        Roles::of(&profile, &wishes, &mut ask).with_context(|| format!("no policy for {}", snapshot.display()))?;
    let (model, location, version) = named_by(snapshot, out)?;
    let draft = Draft {
        model: args.model.as_deref().unwrap_or(&model),
        model_is_guessed: args.model.is_none(),
        snapshot: &location,
        profile: &profile,
        roles: &roles,
        limits: &Limits::default(),
        slo: args.slo,
        promotion: args.promotion,
    };
    // The names come from outside: what is wrong with them is reported now.
    let path = out.unwrap_or(Path::new("policy.yaml"));
    let parsed = |text: &str| driftgate_core::policy::parse(text, path).context("the draft would not be valid");
    let policy = parsed(&draft.text())?;
    let baseline = training::load(&policy, &version, &snapshot_of(&policy, &version)?)?;
    let mut limits = limits::measure(&policy, &baseline, snapshot)?;
    let mut left = RAISES;
    loop {
        let text = Draft { limits: &limits, ..draft }.text();
        let policy = parsed(&text)?;
        let often: Vec<String> = alarms(&policy, Some(&baseline), &Simulated::default())
            .into_iter()
            .filter(|a| a.lint().is_some())
            .map(|a| a.rule)
            .collect();
        if often.is_empty() || left == 0 {
            return Ok(text);
        }
        often.iter().for_each(|rule| limits.raise(rule));
        left -= 1;
    }
}

/// The location of a version's snapshot by the draft.
fn snapshot_of(policy: &driftgate_core::policy::Policy, version: &str) -> anyhow::Result<String> {
    training::location_for(policy, version)?.context("the draft names no snapshot")
}

/// Asks a person at a terminal; elsewhere there is no answer.
fn ask(question: &str, answers: &[String]) -> Option<usize> {
    let (input, mut screen) = (std::io::stdin(), std::io::stderr());
    if !input.is_terminal() || !screen.is_terminal() {
        return None;
    }
    let numbered = answers.iter().enumerate().map(|(at, answer)| format!("  {} {answer}\n", at + 1));
    let shown: String = std::iter::once(format!("{question}\n")).chain(numbered).collect();
    loop {
        write!(screen, "{shown}Number, or Enter to leave it open: ").and_then(|()| screen.flush()).ok()?;
        let mut line = String::new();
        // At the end of the input there are no more answers.
        if input.lock().read_line(&mut line).ok()? == 0 || line.trim().is_empty() {
            return None;
        }
        if let Some(at) =
            line.trim().parse::<usize>().ok().and_then(|n| n.checked_sub(1)).filter(|at| *at < answers.len())
        {
            return Some(at);
        }
    }
}

/// What a file's name says: the model's name, the snapshot as the policy names it, and the version it is of. `fraud_v3.parquet`
/// is the snapshot of version 3 of `fraud`, and the policy names those of all its versions.
fn named_by(snapshot: &Path, out: Option<&Path>) -> anyhow::Result<(String, String, String)> {
    let location = location(snapshot, out)?;
    let stem = snapshot.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let (of_model, version) = versioned(&stem).unwrap_or((&stem, "1"));
    let name: String =
        of_model.chars().map(|c| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '_' }).collect();
    let name = if name.chars().any(char::is_alphanumeric) { name } else { "model".to_owned() };
    let mut named = location.clone();
    if versioned(&stem).is_some()
        && let Some(at) = location.rfind(&stem)
    {
        let end = at + stem.len();
        named.replace_range(end - version.len()..end, "{version}");
    }
    Ok((name, named, version.to_owned()))
}

/// The name before a version at the end of a file's name, and the version: of `fraud_v3` or `fraud-v1.2`.
fn versioned(stem: &str) -> Option<(&str, &str)> {
    let at = stem.rfind(['v', 'V'])?;
    let (before, after) = stem.split_at(at);
    let version = after.get(1..)?;
    let parted = before.ends_with(['_', '-', '.', ' ']) && before.len() > 1;
    let number = version.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    (parted && number).then(|| (before.get(..before.len() - 1).unwrap_or(before), version))
}

/// The snapshot as the policy names it: relative to the policy's folder if it is below it, else from the root. On standard
/// output the policy's folder is taken to be this one.
fn location(snapshot: &Path, out: Option<&Path>) -> anyhow::Result<String> {
    let snapshot = std::path::absolute(snapshot)?;
    let folder = match out {
        Some(out) => std::path::absolute(out)?.parent().map(Path::to_owned).unwrap_or_default(),
        None => std::env::current_dir()?,
    };
    Ok(snapshot.strip_prefix(&folder).unwrap_or(&snapshot).display().to_string())
}

#[cfg(test)]
mod tests;
