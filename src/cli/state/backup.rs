//! `driftgate state backup`: a copy of the state folder and of the registry that fit each other, also while a daemon runs. The state
//! is copied first: a registry that is newer than its state knows signals that are told to it again, which changes nothing; an
//! older one would miss some.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};

use super::found;
use super::place::known;
use super::show::bytes;
use super::verify::verify;
use crate::api::state::StateBackup;
use crate::checkpoint::files::{CHUNKS, FILE, Files, REGISTRY_ID};
use crate::checkpoint::walk::{Walked, walk};
use crate::cli::check::watch::size;
use crate::cli::exit::{self, Failure};
use crate::cli::output::Output;
use crate::cli::terminal::shown;
use crate::clock::now_ms;
use crate::config::Config;
use crate::daemon::read_config;
use crate::ledger::{Embedded, copy, home};
use crate::private;
use driftgate_core::codec::time::utc;

/// The folder of the state in a backup.
const STATE: &str = "state";
const REGISTRY: &str = "registry";
const HOW: &str = "RESTORE.txt";
const MANIFEST: &str = "backup.json";

/// Copies the state folder and the registry, so that they fit each other, also while a daemon runs
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The folder and its files are the owner's alone. RESTORE.txt in it says how to put them back.\n\nExit codes: 0 done, 1 what is to be copied is damaged, 2 something cannot be read or written.\n\nExample:\n  driftgate state backup /backup/2026-08-01 --config config/driftgate.yaml"
)]
pub struct Args {
    /// Where to: a folder that is not there yet, or empty
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The daemon's configuration, which names the state folder and the registry
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Copies the key that signs the audit log, too: whoever has it can sign records
    #[arg(long)]
    with_audit_key: bool,
    #[command(flatten)]
    output: Output,
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let config = read_config(&args.config)?;
    known(&config.state.path)?;
    let done = backup(&config, &args.folder, args.with_audit_key)?;
    args.output.print(&done, || Ok(text(&done)))?;
    Ok(exit::PASS)
}

fn text(done: &StateBackup) -> String {
    let mut out = format!("backup of {} in {}\n", size(done.bytes), shown(&done.folder));
    if done.checkpoint_written.is_none() {
        out.push_str("the state has no checkpoint yet: what is put back counts from the beginning of the topics\n");
    }
    let _ = writeln!(out, "to put it back ({HOW} in it says the same):");
    for step in &done.restore {
        let _ = writeln!(out, "  {}", shown(step));
    }
    out
}

/// Copies state and registry into a folder that appears once everything is in it.
fn backup(config: &Config, folder: &Path, with_key: bool) -> Result<StateBackup, Failure> {
    let unusable = || format!("{} cannot be written", folder.display());
    match fs::read_dir(folder).map(Iterator::count) {
        Ok(0) => {}
        Ok(_) => return Err(anyhow!("{} is not empty: name a folder that is not there yet", folder.display()).into()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(anyhow::Error::new(e).context(unusable()).into()),
    }
    let mut part = std::path::absolute(folder).with_context(unusable)?.into_os_string();
    part.push(".partial");
    let part = PathBuf::from(part);
    if part.exists() {
        fs::remove_dir_all(&part).with_context(|| format!("{} cannot be removed", part.display()))?;
    }
    let done = fill(config, &part, folder, with_key).and_then(|done| {
        sync(&part).with_context(unusable)?;
        fs::rename(&part, folder).with_context(unusable)?;
        Ok(done)
    });
    if done.is_err() {
        let _ = fs::remove_dir_all(&part);
    }
    done
}

fn fill(config: &Config, part: &Path, folder: &Path, with_key: bool) -> Result<StateBackup, Failure> {
    let unusable = || format!("{} cannot be written", part.display());
    private::make_folder(&part.join(STATE).join(CHUNKS)).with_context(unusable)?;
    private::make_folder(&part.join(REGISTRY)).with_context(unusable)?;
    let walked = state(&config.state.path, &part.join(STATE))?;
    let from = home::find(&config.registry.path, &config.registry_before());
    let name = config.registry.path.file_name().map_or_else(|| "registry.db".into(), PathBuf::from);
    let registry = part.join(REGISTRY).join(name);
    copy::copy(&from, &registry)?;
    if with_key {
        let (key, to) = (Embedded::key_path(&from), Embedded::key_path(&registry));
        let bytes = fs::read(&key).with_context(|| format!("the audit key {} cannot be read", key.display()))?;
        private::write(&to, &bytes).with_context(unusable)?;
    }
    if walked.is_some() {
        let checked = verify(&part.join(STATE))?;
        if !checked.intact {
            return Err(damaged(&format!("the copy of the state is damaged: {:?}", checked.defects)));
        }
    }
    let inside = |path: &Path| path.strip_prefix(part).unwrap_or(path).display().to_string();
    let mut done = StateBackup {
        folder: folder.display().to_string(),
        driftgate: env!("CARGO_PKG_VERSION").to_owned(),
        made: utc(now_ms()),
        checkpoint_written: walked.as_ref().and_then(|(_, written)| written.clone()),
        positions: walked.map(|(w, _)| found::positions(&w.read.checkpoint.sources)).unwrap_or_default(),
        registry: inside(&registry),
        audit_key: with_key,
        bytes: 0,
        restore: restore(config, &inside(&registry), with_key),
    };
    private::write(&part.join(HOW), (done.restore.join("\n") + "\n").as_bytes()).with_context(unusable)?;
    done.bytes = bytes(part);
    private::write(&part.join(MANIFEST), (serde_json::to_string_pretty(&done)? + "\n").as_bytes())
        .with_context(unusable)?;
    Ok(done)
}

fn damaged(what: &str) -> Failure {
    Failure { code: exit::BLOCK, error: anyhow!("{what}; see driftgate state verify. Nothing was kept of this backup") }
}

/// Copies the last checkpoint with its chunks; returns it, and when it was written. Of a state without one only the registry's id.
fn state(from: &Path, to: &Path) -> Result<Option<(Walked, Option<String>)>, Failure> {
    let files = Files::new(from);
    let target = Files::new(to);
    let walked = walk(&files, FILE, &mut |digest, bytes| {
        private::write(&target.chunk(digest), bytes).with_context(|| format!("{} cannot be written", to.display()))
    });
    let walked = match walked {
        Ok(walked) => walked,
        Err(e) if e.downcast_ref::<crate::checkpoint::CheckpointError>().is_some() => {
            return Err(damaged(&format!("{e:#}")));
        }
        Err(e) => return Err(e.into()),
    };
    let id = files.path(REGISTRY_ID);
    match fs::read(&id) {
        Ok(id) => private::write(&target.path(REGISTRY_ID), &id)?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(anyhow::Error::new(e).context(format!("{} cannot be read", id.display())).into()),
    }
    let Some(walked) = walked else { return Ok(None) };
    if let Some(defect) = walked.defects.first() {
        return Err(damaged(&format!("{} {}", defect.path.display(), defect.what)));
    }
    // Copied for a checkpoint that was replaced meanwhile.
    for entry in fs::read_dir(to.join(CHUNKS))? {
        let path = entry?.path();
        if !path.file_name().and_then(|n| n.to_str()).is_some_and(|name| walked.chunks.contains(name)) {
            fs::remove_file(path)?;
        }
    }
    private::write(&target.path(FILE), &walked.read.bytes)?;
    let written = found::written(&files, FILE);
    Ok(Some((walked, written)))
}

/// Sees that everything in a folder stays over a crash.
fn sync(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { sync(&path)? } else { File::open(path)?.sync_all()? }
    }
    File::open(folder)?.sync_all()
}

/// What an operator does to put it back.
fn restore(config: &Config, registry: &str, with_key: bool) -> Vec<String> {
    let (state, to) = (config.state.path.display(), config.registry.path.display());
    let key = Embedded::key_path(&config.registry.path);
    let of_key = if with_key {
        let name = Embedded::key_path(Path::new(registry));
        format!("4. Copy {} to {}.", name.display(), key.display())
    } else {
        format!(
            "4. Put the key {} in its place, from where you keep it. Without it a new one is made, and the status asks you to accept it.",
            key.display()
        )
    };
    vec![
        "1. Stop driftgate, and move away what is left of the state folder and the registry (also FILE-wal and FILE-shm beside it).".to_owned(),
        format!("2. Copy the folder {STATE} to {state}. Leave this step out to count from the beginning of the topics instead."),
        format!("3. Copy {registry} to {to}."),
        of_key,
        "5. Give the files to the user that driftgate runs as, and nobody else.".to_owned(),
        "6. driftgate state verify --config FILE && driftgate audit verify --config FILE".to_owned(),
        "7. Start driftgate. It reads again what came since the backup, as far as the topics still hold it.".to_owned(),
    ]
}
