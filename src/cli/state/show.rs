//! `driftgate state show`: what a state folder holds.

use std::fmt::Write as _;
use std::fs::{self, File, TryLockError};
use std::path::Path;

use super::found;
use super::place::{Place, known};
use crate::api::state::{CheckpointContent, CheckpointShown, StateShown};
use crate::checkpoint::files::{BEFORE, FILE, Files, LOCK, REGISTRY_ID};
use crate::cli::check::watch::size;
use crate::cli::display::{self, count};
use crate::cli::exit::{self, Failure};
use crate::cli::output::Output;
use crate::cli::terminal::shown;

/// Shows what a state folder holds: checkpoints, positions, models, what waits; writes nothing
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A daemon may run meanwhile.\n\nExit codes: 0 whatever the checkpoints are like (see state verify), 2 there is no such folder.\n\nExamples:\n  driftgate state show --config config/driftgate.yaml\n  driftgate state show --state /var/lib/driftgate --json"
)]
pub struct Args {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    output: Output,
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let folder = args.place.folder()?;
    known(&folder)?;
    let shown = read(&folder);
    args.output.print(&shown, || Ok(text(&shown)))?;
    Ok(exit::PASS)
}

pub fn read(folder: &Path) -> StateShown {
    let files = Files::new(folder);
    let registry_id = fs::read_to_string(files.path(REGISTRY_ID)).ok().map(|id| id.trim().to_owned());
    StateShown {
        folder: folder.display().to_string(),
        in_use: is_in_use(&files.path(LOCK)),
        registry_id: registry_id.filter(|id| !id.is_empty()),
        bytes: bytes(folder),
        checkpoint: found::checkpoint(&files, FILE),
        before: found::checkpoint(&files, BEFORE),
    }
}

/// Whether a process holds the folder.
fn is_in_use(lock: &Path) -> bool {
    File::open(lock).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// The bytes of all files in a folder and those below.
pub fn bytes(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let of = |entry: fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => bytes(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    entries.map(of).sum()
}

fn text(state: &StateShown) -> String {
    let mut out = String::new();
    let used = if state.in_use { ", in use by a daemon" } else { "" };
    let _ = writeln!(out, "state folder {}: {}{used}", shown(&state.folder), size(state.bytes));
    let registry = state.registry_id.as_deref().unwrap_or("not known");
    let _ = writeln!(out, "registry: {}", shown(registry));
    match &state.checkpoint {
        None => out.push_str("no checkpoint: a daemon counts from the beginning of its topics\n"),
        Some(CheckpointShown::Failed { error, .. }) => {
            let _ = writeln!(out, "the last checkpoint cannot be used: {}", shown(error));
        }
        Some(CheckpointShown::Read(content)) => checkpoint(&mut out, content),
    }
    match &state.before {
        None => out.push_str("no checkpoint before it\n"),
        Some(CheckpointShown::Failed { error, .. }) => {
            let _ = writeln!(out, "the checkpoint before it cannot be used: {}", shown(error));
        }
        Some(CheckpointShown::Read(content)) => {
            let _ = writeln!(out, "the checkpoint before it: {}", headline(content));
        }
    }
    out
}

fn headline(content: &CheckpointContent) -> String {
    let written = content.written.as_deref().unwrap_or("an unknown time");
    let missing = match content.chunks.missing {
        0 => String::new(),
        n => format!(", {n} of them MISSING"),
    };
    format!(
        "format {}, written at {written}, {} and {} chunks of {}{missing}",
        content.format,
        size(content.bytes),
        count(content.chunks.count),
        size(content.chunks.bytes)
    )
}

fn checkpoint(out: &mut String, content: &CheckpointContent) {
    let _ = writeln!(out, "the last checkpoint: {}", headline(content));
    let outbox = &content.outbox;
    let _ = writeln!(
        out,
        "not yet in the registry: {} verdicts and {} signals, {}",
        count(outbox.verdicts),
        count(outbox.signals),
        size(outbox.bytes)
    );
    let mut positions = display::table(&["topic", "partition", "next offset", "not counted by"]);
    for p in &content.positions {
        let next = p.next_offset.map_or_else(|| "–".to_owned(), |next| next.to_string());
        display::row(&mut positions, [&p.topic, &p.partition.to_string(), &next, &p.behind.join(", ")]);
    }
    let _ = writeln!(out, "{positions}");
    let mut models =
        display::table(&["model", "version", "predictions", "closed to", "wait for labels", "labels wait"]);
    for m in &content.models {
        let closed = m.closed_to.clone().unwrap_or_else(|| "–".to_owned());
        display::row(
            &mut models,
            [&m.model, "", "", &closed, &count(m.predictions_waiting), &count(m.labels_waiting)].map(str::to_owned),
        );
        for (version, predictions) in &m.versions {
            display::row(&mut models, ["", version, &count(*predictions), "", "", ""]);
        }
    }
    let _ = writeln!(out, "{models}");
}
