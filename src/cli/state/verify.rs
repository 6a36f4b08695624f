//! `driftgate state verify`: whether everything in a state folder is as it was written.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::anyhow;

use super::place::{Place, known};
use crate::api::state::{DefectShown, StateVerified};
use crate::checkpoint::files::{BEFORE, CHUNKS, FILE, Files};
use crate::checkpoint::walk::walk;
use crate::checkpoint::{Checkpoint, CheckpointError, SourceState};
use crate::cli::check::watch::size;
use crate::cli::display::count;
use crate::cli::exit::{self, Failure};
use crate::cli::output::Output;
use crate::cli::terminal::shown;

/// Reads everything in a state folder and names every defect; writes nothing
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A daemon may run meanwhile.\n\nExit codes: 0 intact, 1 defects, 2 there is no state.\n\nExamples:\n  driftgate state verify --config config/driftgate.yaml\n  driftgate state verify --state backup/state --json"
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
    let found = verify(&folder)?;
    args.output.print(&found, || Ok(text(&found)))?;
    Ok(if found.intact { exit::PASS } else { exit::BLOCK })
}

/// What is wrong with one checkpoint.
struct Checked {
    is_there: bool,
    /// It is of a newer release, which a daemon does not go behind.
    refuses: bool,
    chunks: BTreeSet<String>,
    bytes: u64,
    defects: Vec<DefectShown>,
}

/// Reads everything in a state folder.
///
/// # Errors
/// A folder that holds no state.
pub fn verify(folder: &Path) -> anyhow::Result<StateVerified> {
    let files = Files::new(folder);
    let last = checked(&files, FILE);
    let before = checked(&files, BEFORE);
    let has_chunks = fs::read_dir(files.path(CHUNKS)).is_ok_and(|mut entries| entries.next().is_some());
    if !last.is_there && !before.is_there && !has_chunks {
        return Err(anyhow!("{} holds no checkpoint: is it the state folder?", folder.display()));
    }
    let is_whole = |c: &Checked| c.is_there && c.defects.is_empty();
    let usable = is_whole(&last) || last.is_there && !last.refuses && is_whole(&before);
    let mut defects = last.defects;
    if !last.is_there {
        let problem = "there is none: a daemon counts from the beginning of its topics".to_owned();
        defects.push(DefectShown { file: FILE.to_owned(), problem });
    }
    for defect in before.defects {
        if !defects.contains(&defect) {
            defects.push(defect);
        }
    }
    let chunks: BTreeSet<&String> = last.chunks.union(&before.chunks).collect();
    Ok(StateVerified {
        folder: folder.display().to_string(),
        intact: defects.is_empty(),
        usable,
        chunks: chunks.len() as u64,
        bytes: last.bytes.max(before.bytes),
        defects,
    })
}

fn checked(files: &Files, name: &str) -> Checked {
    let mut checked =
        Checked { is_there: false, refuses: false, chunks: BTreeSet::new(), bytes: 0, defects: Vec::new() };
    let shown = |path: &Path| path.strip_prefix(files.folder()).unwrap_or(path).display().to_string();
    match walk(files, name, &mut |_, _| Ok(())) {
        Ok(None) => {}
        Ok(Some(walked)) => {
            checked.is_there = true;
            checked.bytes = walked.bytes;
            checked.chunks = walked.chunks;
            let of_chunks = walked.defects.into_iter().map(|d| DefectShown { file: shown(&d.path), problem: d.what });
            checked.defects.extend(of_chunks);
            let implausible = implausible(&walked.read.checkpoint);
            checked
                .defects
                .extend(implausible.into_iter().map(|problem| DefectShown { file: name.to_owned(), problem }));
        }
        Err(e) => {
            checked.is_there = true;
            checked.refuses = e.downcast_ref::<CheckpointError>().is_none_or(|e| !e.is_damage());
            checked.defects.push(DefectShown { file: name.to_owned(), problem: format!("{e:#}") });
        }
    }
    checked
}

/// What no daemon writes.
fn implausible(checkpoint: &Checkpoint) -> Vec<String> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for SourceState { topic, partition, next_offset, behind, holes, .. } in &checkpoint.sources {
        let at = format!("{topic}/{partition}");
        if topic.is_empty() || *partition < 0 {
            found.push(format!("a position of {at:?}, which is no partition"));
        }
        if let Some(next) = next_offset.filter(|next| *next < 0) {
            found.push(format!("the position of {at} is {next}: offsets begin at 0"));
        }
        if !seen.insert((topic, partition)) {
            found.push(format!("two positions of {at}"));
        }
        let models = || checkpoint.pipelines.iter().map(|p| &p.model);
        for model in behind.iter().chain(holes.iter().map(|(model, _)| model)) {
            if models().all(|known| known != model) {
                found.push(format!("{at} names the model {model:?}, of which there is no state"));
            }
        }
    }
    let mut models = BTreeSet::new();
    for pipeline in &checkpoint.pipelines {
        if !models.insert(&pipeline.model) {
            found.push(format!("two states of the model {:?}", pipeline.model));
        }
    }
    found
}

fn text(found: &StateVerified) -> String {
    let mut out = String::new();
    for DefectShown { file, problem } in &found.defects {
        let _ = writeln!(out, "{}: {}", shown(file), shown(problem));
    }
    let (chunks, bytes) = (count(found.chunks), size(found.bytes));
    let folder = shown(&found.folder);
    let _ = match (found.defects.len(), found.usable) {
        (0, _) => writeln!(out, "intact: {folder}, {chunks} chunks of {bytes} read"),
        (n, true) => {
            writeln!(out, "NOT INTACT: {n} defects in {folder}; a daemon that starts goes on from what is whole")
        }
        (n, false) => {
            writeln!(out, "NOT INTACT: {n} defects in {folder}; put back the named files, or all, from a backup")
        }
    };
    out
}
