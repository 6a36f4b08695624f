//! Tests of the commands of a state folder against folders that are whole, damaged, of another format or in use.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{show, verify};
use crate::api::state::CheckpointShown;
use crate::checkpoint::Store;
use crate::checkpoint::files::{BEFORE, CHUNKS, FILE};
use driftgate_core::codec::envelope::{self, Kind};

/// A state with chunks and two checkpoints, of the events of the upgrade's test.
fn state() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/upgrade/before.tgz");
    let untar = Command::new("tar").arg("-xzf").arg(kept).arg("-C").arg(folder.path()).status();
    assert!(untar.unwrap().success());
    let state = folder.path().join("state");
    let store = Store::open(&state).unwrap();
    let loaded = store.load().unwrap().unwrap();
    for _ in 0..2 {
        store.save(&mut loaded.clone()).unwrap();
    }
    drop(store);
    fs::remove_dir_all(state.join("format-4")).unwrap();
    (folder, state)
}

fn defects(state: &Path) -> Vec<(String, String)> {
    let found = verify::verify(state).unwrap();
    assert_eq!(found.intact, found.defects.is_empty());
    found.defects.into_iter().map(|d| (d.file, d.problem)).collect()
}

#[test]
fn a_whole_state_is_shown_and_verified_while_a_daemon_holds_it() {
    let (_folder, state) = state();
    // A process that another test starts may hold the lock for a moment.
    let idle = || {
        let shown = (0..500).map(|_| show::read(&state)).find(|shown| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            !shown.in_use
        });
        shown.unwrap()
    };
    let before = idle();
    assert!(before.bytes > 1000);
    let store = Store::open(&state).unwrap();
    let shown = show::read(&state);
    assert!(shown.in_use);
    let Some(CheckpointShown::Read(content)) = &shown.checkpoint else { panic!("{shown:?}") };
    assert_eq!((content.format, content.chunks.count, content.chunks.missing), (6, 3, 0));
    let places: Vec<_> = content.positions.iter().map(|p| (p.topic.as_str(), p.partition, p.next_offset)).collect();
    assert_eq!(
        places,
        [
            ("upgrade-labels", 0, Some(227)),
            ("upgrade-measurements", 0, Some(15)),
            ("upgrade-predictions", 0, Some(312))
        ]
    );
    let models: Vec<&str> = content.models.iter().map(|m| m.model.as_str()).collect();
    assert_eq!(models.len(), 3);
    assert!(content.models.iter().any(|m| m.versions.values().sum::<u64>() > 0));
    assert!(matches!(&shown.before, Some(CheckpointShown::Read(before)) if before.positions == content.positions));
    let found = verify::verify(&state).unwrap();
    assert!(found.intact && found.usable && found.chunks == 3 && found.bytes > 0, "{found:?}");
    drop(store);
    // Reading left everything as it was.
    assert_eq!(idle(), before);
}

#[test]
fn every_flipped_cut_or_missing_file_is_named_and_nothing_panics() {
    let (_folder, state) = state();
    let chunks: Vec<PathBuf> = fs::read_dir(state.join(CHUNKS)).unwrap().map(|e| e.unwrap().path()).collect();
    for path in chunks.into_iter().chain([state.join(FILE), state.join(BEFORE)]) {
        let whole = fs::read(&path).unwrap();
        let name = path.strip_prefix(&state).unwrap().display().to_string();
        let places: Vec<usize> = (0..30).map(|n| n * (whole.len() - 1) / 29).chain(0..24).collect();
        let flipped = places.iter().map(|at| {
            let mut bytes = whole.clone();
            bytes[*at] ^= 1 << (at % 8);
            bytes
        });
        for bytes in flipped.chain(places.iter().map(|at| whole[..*at].to_vec())) {
            fs::write(&path, bytes).unwrap();
            let found = defects(&state);
            assert!(found.len() == 1 && found[0].0 == name, "{name}: {found:?}");
            let _ = show::read(&state);
        }
        fs::remove_file(&path).unwrap();
        // There need not be one before the last.
        assert_eq!(defects(&state).len(), usize::from(name != BEFORE), "{name}");
        fs::write(&path, &whole).unwrap();
    }
    assert_eq!(defects(&state), []);
}

#[test]
fn another_format_is_named_and_a_folder_without_a_state_is_no_state() {
    let (folder, state) = state();
    let newer = envelope::encode(Kind { tag: *b"CKPT", version: 7 }, &vec![7_u8; 100]).unwrap();
    fs::write(state.join(FILE), &newer).unwrap();
    let found = defects(&state);
    assert!(found.len() == 1 && found[0].1.contains("from a newer driftgate"), "{found:?}");
    assert!(!verify::verify(&state).unwrap().usable);
    let shown = show::read(&state);
    assert!(
        matches!(&shown.checkpoint, Some(CheckpointShown::Failed { error, .. }) if error.contains("newer driftgate"))
    );
    assert!(verify::verify(folder.path()).unwrap_err().to_string().contains("holds no checkpoint"));
}
