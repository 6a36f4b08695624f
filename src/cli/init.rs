//! `driftgate init`: drafts a policy from a training snapshot. What its columns are is `profile`, which of them mean what
//! is `roles`, and the text is `draft`.

mod draft;
mod profile;
mod roles;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};

use super::terminal::{out, outln};
use super::{Failure, exit, show};
use draft::Draft;
use roles::{Roles, Wishes};

/// Drafts a policy from a training snapshot, with a comment on every choice
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The draft is valid and watches something; its limits are common ones, not yours. Read it, then run `driftgate check`.\n\nExamples:\n  driftgate init --snapshot train.parquet\n  driftgate init --snapshot train.parquet --model fraud_detector --label chargeback --id transaction_id --out policy.yaml"
)]
pub struct Args {
    /// The training snapshot, Parquet or CSV
    #[arg(long, value_name = "FILE")]
    snapshot: PathBuf,
    /// The model's name; by default the file's
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// The column with the model's scores, from 0 to 1; by default found by its name
    #[arg(long, value_name = "COL")]
    score: Option<String>,
    /// The column with what happened; by default found by its name
    #[arg(long, value_name = "COL")]
    label: Option<String>,
    /// A column that names rows and is no feature; can be given several times
    #[arg(long, value_name = "COL")]
    id: Vec<String>,
    /// Where the draft goes; standard output by default (or -)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Overwrites what is there
    #[arg(long)]
    force: bool,
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let out = args.out.as_deref().filter(|out| *out != Path::new("-"));
    // Said before the snapshot is read, and held to when the file is made.
    if let Some(out) = out.filter(|out| out.exists() && !args.force) {
        return Err(taken(out).into());
    }
    let text = draft(args, out)?;
    let Some(out) = out else {
        out!("{text}");
        return Ok(exit::PASS);
    };
    let mut options = std::fs::OpenOptions::new();
    options.write(true);
    if args.force {
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
    })?;
    outln!("{}: read its comments, then run driftgate check --policy {}", out.display(), out.display());
    Ok(exit::PASS)
}

fn taken(out: &Path) -> anyhow::Error {
    anyhow!("{} is there already: name another --out, or overwrite it with --force", out.display())
}

fn draft(args: &Args, out: Option<&Path>) -> anyhow::Result<String> {
    let snapshot = &args.snapshot;
    let spinner = show::spinner(&format!("reading {}", snapshot.display()));
    let profile = profile::profile(snapshot);
    spinner.finish_and_clear();
    let profile = profile?;
    let wishes = Wishes { score: args.score.as_deref(), label: args.label.as_deref(), ids: &args.id };
    let roles = Roles::of(&profile, &wishes).with_context(|| format!("no policy for {}", snapshot.display()))?;
    let model = match &args.model {
        Some(model) => model.clone(),
        None => named_by(snapshot),
    };
    let draft = Draft {
        model: &model,
        model_is_guessed: args.model.is_none(),
        snapshot: &location(snapshot, out)?,
        profile: &profile,
        roles: &roles,
    };
    let text = draft.text();
    // The names come from outside; whatever is wrong with them is said now.
    crate::policy::parse(&text, out.unwrap_or(Path::new("policy.yaml"))).context("the draft would not be valid")?;
    Ok(text)
}

/// A model's name from a file's: what cannot stand in one is left out.
fn named_by(snapshot: &Path) -> String {
    let stem = snapshot.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let name: String =
        stem.chars().map(|c| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '_' }).collect();
    if name.chars().any(char::is_alphanumeric) { name } else { "model".to_owned() }
}

/// The snapshot as the policy names it: from the policy's folder where it lies below it, else from the root. On standard
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
