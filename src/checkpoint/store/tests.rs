//! Tests of durable state: replaced as a whole, chunks written once, damage named.

use super::*;
use crate::checkpoint::made::{bytes, checkpoint, enter, feed, of, policy, push, source};
use crate::checkpoint::{PartState, UNPARTED};
use driftgate_core::baseline::{Baseline, SnapshotColumns};
use driftgate_core::codec::envelope::Kind;
use driftgate_core::event::{Domain, PredictionBatch};
use driftgate_core::intake::Setup;
use driftgate_core::intake::versions::Reference;
use driftgate_core::pipeline::{Anew, Pipeline};

#[test]
fn a_checkpoint_is_replaced_as_a_whole_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    assert!(store.load().unwrap().is_none());
    for next in [7, 8] {
        store.save(&mut checkpoint(next)).unwrap();
        assert_eq!(store.load().unwrap().unwrap().sources[0].next_offset, Some(next));
    }
    // A crash while the next one was written leaves the last one.
    fs::write(folder.path().join("checkpoint.bin.new"), b"half").unwrap();
    assert_eq!(store.load().unwrap().unwrap().sources[0].next_offset, Some(8));
}

#[test]
fn a_folder_serves_one_process_and_damage_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let second = Store::open(folder.path()).err().unwrap();
    assert!(second.to_string().contains("is in use by another driftgate"), "{second}");
    store.save(&mut checkpoint(7)).unwrap();
    let path = folder.path().join(FILE);
    let mut bytes = fs::read(&path).unwrap();
    bytes[40] ^= 1;
    fs::write(&path, bytes).unwrap();
    let damaged = store.load().err().unwrap().to_string();
    assert!(
        damaged.contains("damaged: its checksum does not match")
            && damaged.contains("checkpoint.bin")
            && damaged.contains("move this file away"),
        "{damaged}"
    );
}

fn chunk_files(folder: &Path) -> BTreeSet<PathBuf> {
    fs::read_dir(folder.join(CHUNKS)).into_iter().flatten().map(|e| e.unwrap().path()).collect()
}

#[test]
fn what_was_kept_is_not_written_again_and_comes_back_whole() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let mut pipeline = Pipeline::new(policy(), Setup::default(), 1);
    enter(&pipeline, 0..200_000);
    let all = store.save(&mut of(&mut pipeline)).unwrap();
    let first = chunk_files(folder.path());
    assert_eq!(first.len(), 3, "200,000 rows fill three blocks");
    enter(&pipeline, 200_000..200_500);
    let more = store.save(&mut of(&mut pipeline)).unwrap();
    assert!(more * 8 < all, "{more} bytes for 500 more predictions, {all} for all");
    assert_eq!(chunk_files(folder.path()), first);
    let now = pipeline.state();
    let back = store.load().unwrap().unwrap().pipelines.remove(0);
    assert_eq!(bytes(&back), bytes(&now));
    let (mut restored, lost) = Pipeline::restore(policy(), Setup::default(), 1, back, |_| panic!("no baseline"));
    assert!(lost.is_empty());
    assert_eq!(restored.intake().waiting(), (200_500, 0));
    // What was read back is not written again either.
    assert_eq!(store.save(&mut of(&mut restored)).unwrap(), more);
    assert_eq!(chunk_files(folder.path()), first);
}

#[test]
fn a_crash_between_chunks_and_checkpoint_leaves_the_old_one_and_chunks_go_when_nothing_names_them() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let mut pipeline = Pipeline::new(policy(), Setup::default(), 1);
    enter(&pipeline, 0..70_000);
    store.save(&mut of(&mut pipeline)).unwrap();
    let (old, named) = (bytes(&store.load().unwrap().unwrap().pipelines[0]), chunk_files(folder.path()));
    enter(&pipeline, 70_000..300_000);
    // The chunks of the next checkpoint are there, whole or not, and the checkpoint is not.
    let mut next = of(&mut pipeline);
    let mut kept = 0;
    next.chunks(&mut |chunk| {
        store.write_chunk(chunk).unwrap();
        kept += 1;
        assert_eq!(bytes(&store.load().unwrap().unwrap().pipelines[0]), old);
    });
    fs::write(folder.path().join(CHUNKS).join("0123.new"), b"half").unwrap();
    assert!(kept == 4 && chunk_files(folder.path()).len() == 5);
    assert_eq!(bytes(&store.load().unwrap().unwrap().pipelines[0]), old);
    // The next one that is written takes only what it names along.
    let mut fewer = Pipeline::new(policy(), Setup::default(), 1);
    enter(&fewer, 0..70_000);
    store.save(&mut of(&mut fewer)).unwrap();
    assert_eq!(chunk_files(folder.path()), named);
    // The one before is kept with its chunks until it is replaced.
    store.save(&mut checkpoint(1)).unwrap();
    assert_eq!(chunk_files(folder.path()), named);
    store.save(&mut checkpoint(2)).unwrap();
    assert!(chunk_files(folder.path()).is_empty());
}

#[test]
fn a_chunk_that_is_damaged_or_gone_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let mut pipeline = Pipeline::new(policy(), Setup::default(), 1);
    enter(&pipeline, 0..70_000);
    store.save(&mut of(&mut pipeline)).unwrap();
    let path = chunk_files(folder.path()).pop_first().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[1000] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let damaged = store.load().err().unwrap().to_string();
    assert!(damaged.contains("is damaged: its checksum does not match") && damaged.contains("chunks"), "{damaged}");
    fs::remove_file(&path).unwrap();
    let gone = store.load().err().unwrap().to_string();
    assert!(
        gone.contains("cannot be read")
            && gone.contains("move the checkpoint ")
            && gone.contains("checkpoint.bin away"),
        "{gone}"
    );
}

#[test]
fn sealed_panes_are_written_once_and_come_back_whole() {
    const FEATURES: usize = 30;
    const ROWS: usize = 4000;
    const MINUTE: i64 = 60_000;
    let names: Vec<String> = (0..FEATURES).map(|f| format!("f{f}")).collect();
    let text = format!(
        "apiVersion: driftgate/v1\nmodel: m\nbaseline: {{snapshot: \"v{{version}}.csv\"}}\nfeatures: {{numeric: [{}], categorical: []}}\n\
         lateness: 0s\nchecks:\n  drift:\n    window: {{size: 1h, slide: 5m}}\n    rules:\n    - psi: {{of: features, lt: 0.2}}\n    - ks_p: {{of: features, gte: 0.01}}\n",
        names.join(", ")
    );
    let policy = Arc::new(driftgate_core::policy::parse(&text, Path::new("p.yaml")).unwrap_or_else(|e| panic!("{e}")));
    let value = |f: usize, row: usize| f64::from(u32::try_from((row * 7919 + f * 13) % ROWS).unwrap());
    let columns = SnapshotColumns {
        rows: ROWS,
        numeric: (0..FEATURES).map(|f| (0..ROWS).map(|row| value(f, row)).collect()).collect(),
        ..SnapshotColumns::default()
    };
    let baseline = Arc::new(Baseline::build(&policy, "1", "made up", "00", &columns).unwrap());
    let reference = Reference::Baseline { sha256: baseline.digest().unwrap().into(), baseline };
    let mut pipeline = Pipeline::new(Arc::clone(&policy), Setup::default(), 1);
    pipeline.intake().set_reference("1", reference.clone());
    let (source, decoder) = source(&pipeline);
    let pane = |pipeline: &Pipeline, number: i64| {
        let mut batch = PredictionBatch::new(FEATURES, 0, 0);
        for row in 0..ROWS {
            push(&mut batch, "", number * 5 * MINUTE + i64::try_from(row).unwrap(), |f| value(f, row));
        }
        if number == 0 {
            batch.fresh.push((Domain::Version, "1".into()));
        }
        feed(pipeline, source, decoder, &mut batch);
        pipeline.judge_all(&mut |_, _| ());
    };
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    (0..4).for_each(|number| pane(&pipeline, number));
    store.save(&mut of(&mut pipeline)).unwrap();
    let first = chunk_files(folder.path());
    // The fourth is still open; equal panes share a file. The other one is the baseline's.
    assert_eq!(first.len(), 2);
    let back = store.load().unwrap().unwrap().pipelines.remove(0);
    assert_eq!(bytes(&back), bytes(&pipeline.state()));
    let (mut restored, lost) = Pipeline::restore(policy, Setup::default(), 1, back, |_| reference.clone());
    assert!(lost.is_empty());
    assert_eq!(bytes(&restored.state()), bytes(&pipeline.state()));
}

/// A store on the state that the release before left, and its folder.
fn of_the_release_before() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/upgrade/before.tgz");
    let untar = std::process::Command::new("tar").arg("-xzf").arg(kept).arg("-C").arg(folder.path()).status();
    assert!(untar.unwrap().success());
    let store = Store::open(&folder.path().join("state")).unwrap();
    (folder, store)
}

#[test]
fn the_checkpoint_of_the_release_before_is_read_and_kept() {
    let (folder, store) = of_the_release_before();
    let before = fs::read(store.path()).unwrap();
    let read = store.load().unwrap().unwrap();
    let offsets: Vec<_> = read.sources.iter().map(|s| (s.topic.as_str(), s.next_offset)).collect();
    let expected =
        [("upgrade-labels", Some(227)), ("upgrade-measurements", Some(15)), ("upgrade-predictions", Some(312))];
    assert_eq!(offsets.into_iter().collect::<BTreeSet<_>>(), BTreeSet::from(expected));
    let models: BTreeSet<&str> = read.pipelines.iter().map(|p| p.model.as_str()).collect();
    assert_eq!(models, BTreeSet::from(["f", "m", "w"]));
    // Reading changes nothing but for the copy.
    assert_eq!(fs::read(store.path()).unwrap(), before);
    let written = &mut read.clone();
    store.save(written).unwrap();
    assert_ne!(fs::read(store.path()).unwrap(), before);
    let again = store.load().unwrap().unwrap();
    for (was, is) in read.pipelines.iter().zip(&again.pipelines) {
        assert_eq!(bytes(was), bytes(is));
    }
    let kept = folder.path().join("state/format-4");
    assert_eq!(fs::read(kept.join(FILE)).unwrap(), before);
    assert_eq!(chunk_files(&kept).len(), 3);
    let from_copy = Store::open(&kept).unwrap().load().unwrap().unwrap();
    assert_eq!(from_copy.pipelines.len(), 3);
}

#[test]
fn counts_of_the_release_before_serve_the_policies_that_count_the_same() {
    let (_folder, store) = of_the_release_before();
    let read = store.load().unwrap().unwrap();
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/upgrade");
    let policy = |model: &str, from: &str, to: &str| {
        let text = fs::read_to_string(policies.join(format!("{model}.yaml"))).unwrap();
        assert!(text.contains(from));
        driftgate_core::policy::parse(&text.replace(from, to), Path::new("p.yaml")).unwrap_or_else(|e| panic!("{e}"))
    };
    let anew = |model: &str, from: &str, to: &str| {
        read.pipelines.iter().find(|p| p.model == model).unwrap().anew(&policy(model, from, to))
    };
    assert_eq!([anew("m", "", ""), anew("w", "", ""), anew("m", "lt: 0.5", "lt: 0.6")], [None, None, None]);
    for (from, to) in [("lateness: 5m", "lateness: 6m"), ("categorical: [c]", "categorical: [u]"), ("by: u,", "by: v,")]
    {
        assert_eq!(anew("m", from, to), Some(Anew::Policy), "{to}");
    }
    assert_eq!(anew("f", "", ""), Some(Anew::Rule("choice/selection_gap".into())));
}

#[test]
fn a_checkpoint_from_before_units_had_parts_is_of_a_whole_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let Checkpoint { sources, pipelines, outbox, .. } = checkpoint(7);
    fs::write(store.path(), envelope::encode(UNPARTED, &(&sources, &pipelines, &outbox)).unwrap()).unwrap();
    let read = store.load().unwrap().unwrap();
    assert_eq!((read.sources, read.part), (sources, PartState::Whole));
}

#[test]
fn a_checkpoint_of_another_format_is_refused_and_left_as_it_is() {
    for (version, says) in [(7, "from a newer driftgate"), (3, "run a release in between first")] {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let other = envelope::encode(Kind { version, ..KIND }, &vec![7_u8; 100]).unwrap();
        fs::write(store.path(), &other).unwrap();
        let refused = store.load().err().unwrap().to_string();
        assert!(refused.contains(says) && refused.contains(&format!("format {version}")), "{refused}");
        assert_eq!(fs::read(store.path()).unwrap(), other);
        // A version that damage made is no other format.
        let mut damaged = envelope::encode(KIND, &vec![7_u8; 100]).unwrap();
        damaged[8] = u8::try_from(version).unwrap();
        fs::write(store.path(), &damaged).unwrap();
        assert!(store.load().err().unwrap().to_string().contains("damaged: its checksum"));
    }
}

/// Opens a folder; a process that another test starts may hold the lock of one before for a moment.
fn open(folder: &Path) -> Store {
    for _ in 0..500 {
        match Store::open(folder) {
            Err(CheckpointError::Locked { .. }) => std::thread::sleep(std::time::Duration::from_millis(10)),
            opened => return opened.unwrap(),
        }
    }
    panic!("the folder stays locked")
}

/// Two checkpoints of 70,000 and 140,000 predictions; the positions name which is which.
fn two_checkpoints(folder: &Path) -> [Vec<u8>; 2] {
    let store = open(folder);
    assert!(store.load().unwrap().is_none());
    let mut pipeline = Pipeline::new(policy(), Setup::default(), 1);
    let mut rows = 0;
    [70_000, 140_000].map(|until| {
        enter(&pipeline, rows..until);
        rows = until;
        let mut all = of(&mut pipeline);
        all.sources = checkpoint(until).sources;
        store.save(&mut all).unwrap();
        bytes(&pipeline.state())
    })
}

/// Loads; which of the checkpoints it is, by its position, and what is said of the last one.
fn loaded(folder: &Path, states: &[Vec<u8>; 2]) -> Result<(i64, Option<String>), String> {
    let store = open(folder);
    let checkpoint = store.load().map_err(|e| e.to_string())?.unwrap();
    let next = checkpoint.sources[0].next_offset.unwrap();
    let expected = if next == 70_000 { &states[0] } else { &states[1] };
    assert!(bytes(&checkpoint.pipelines[0]) == *expected, "a state that is none of the two");
    Ok((next, store.fallback().map(|f| f.to_string())))
}

#[test]
fn where_the_last_checkpoint_is_damaged_anywhere_the_one_before_is_used_and_says_what_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let states = two_checkpoints(folder.path());
    let files = Files::new(folder.path());
    let of_before = files.read(BEFORE).unwrap().unwrap().digests();
    let of_last = files.read(FILE).unwrap().unwrap().digests();
    assert!(of_last.len() > of_before.len() && of_before.is_subset(&of_last) && !of_before.is_empty());
    let own = of_last.difference(&of_before).map(|d| files.chunk(d));
    let attacked: Vec<PathBuf> = own.chain([files.path(FILE)]).collect();
    for path in &attacked {
        let whole = fs::read(path).unwrap();
        let places = (0..15).map(|n| n * (whole.len() - 1) / 14).chain(0..24);
        let flipped = places.clone().map(|at| {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            bytes
        });
        let cut = places.map(|at| whole[..at].to_vec());
        let store = open(folder.path());
        for damaged in flipped.chain(cut).chain([vec![0; whole.len()], [&whole[..], b"more"].concat()]) {
            fs::write(path, &damaged).unwrap();
            let next = store.load().unwrap().unwrap().sources[0].next_offset;
            let said = store.fallback().unwrap().to_string();
            assert_eq!(next, Some(70_000));
            assert!(said.contains(path.to_str().unwrap()) && said.contains("t/0 from offset 70000"), "{said}");
        }
        drop(store);
        fs::remove_file(path).unwrap();
        if path.ends_with(FILE) {
            // That is how an operator begins anew.
            assert!(open(folder.path()).load().unwrap().is_none());
        } else {
            assert_eq!(loaded(folder.path(), &states).unwrap().0, 70_000);
        }
        fs::write(path, &whole).unwrap();
        assert_eq!(loaded(folder.path(), &states), Ok((140_000, None)));
    }
}

#[test]
fn a_chunk_of_both_checkpoints_has_no_replacement_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let states = two_checkpoints(folder.path());
    let files = Files::new(folder.path());
    let shared = files.chunk(files.read(BEFORE).unwrap().unwrap().digests().first().unwrap());
    let whole = fs::read(&shared).unwrap();
    fs::write(&shared, &whole[1..]).unwrap();
    let refused = loaded(folder.path(), &states).unwrap_err();
    assert!(refused.contains(shared.to_str().unwrap()) && refused.contains("damaged"), "{refused}");
    // From a copy of the folder that one file is enough.
    fs::write(&shared, &whole).unwrap();
    assert_eq!(loaded(folder.path(), &states), Ok((140_000, None)));
}

#[test]
fn a_checkpoint_that_was_used_instead_stays_until_two_good_ones_follow() {
    let folder = tempfile::tempdir().unwrap();
    let states = two_checkpoints(folder.path());
    let path = folder.path().join(FILE);
    fs::write(&path, b"DRFGCKPT and no more").unwrap();
    let store = open(folder.path());
    let mut used = store.load().unwrap().unwrap();
    store.save(&mut used.clone()).unwrap();
    assert_eq!(fs::read(folder.path().join(UNUSABLE)).unwrap(), b"DRFGCKPT and no more");
    // The one that is written after it fails just as well, and the same is there still.
    let good = fs::read(&path).unwrap();
    fs::write(&path, b"").unwrap();
    drop(store);
    assert_eq!(loaded(folder.path(), &states).unwrap().0, 70_000);
    fs::write(&path, &good).unwrap();
    let store = open(folder.path());
    used = store.load().unwrap().unwrap();
    assert_eq!(store.fallback(), None);
    used.sources[0].next_offset = Some(80_000);
    store.save(&mut used).unwrap();
    let before = Files::new(folder.path()).read(BEFORE).unwrap().unwrap();
    assert_eq!(before.checkpoint.sources[0].next_offset, Some(70_000));
}

#[test]
fn a_newer_checkpoint_refuses_although_there_is_one_before_it_and_one_moved_away_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    let states = two_checkpoints(folder.path());
    let path = folder.path().join(FILE);
    let newer = envelope::encode(Kind { version: KIND.version + 1, ..KIND }, &vec![7_u8; 100]).unwrap();
    fs::write(&path, &newer).unwrap();
    let refused = loaded(folder.path(), &states).unwrap_err();
    assert!(refused.contains("from a newer driftgate"), "{refused}");
    assert_eq!(fs::read(&path).unwrap(), newer);
    // An older one than can be read is no better than a damaged one.
    fs::write(&path, envelope::encode(Kind { version: 3, ..KIND }, &vec![7_u8; 100]).unwrap()).unwrap();
    assert_eq!(loaded(folder.path(), &states).unwrap().0, 70_000);
    fs::remove_file(&path).unwrap();
    let store = open(folder.path());
    assert!(store.load().unwrap().is_none());
    store.save(&mut checkpoint(1)).unwrap();
    assert!(!folder.path().join(BEFORE).exists() && chunk_files(folder.path()).is_empty());
}

#[test]
fn wherever_a_save_ends_one_whole_checkpoint_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let states = two_checkpoints(folder.path());
    let (last, before) = (folder.path().join(FILE), folder.path().join(BEFORE));
    // Killed between the new name of the last one and the move of the next: both names are of one file.
    link_over(&last, &before).unwrap();
    assert_eq!(loaded(folder.path(), &states), Ok((140_000, None)));
    link_over(&last, &before).unwrap();
    assert!(!folder.path().join("checkpoint.before.bin.new").exists());
    let store = open(folder.path());
    let mut used = store.load().unwrap().unwrap();
    used.sources[0].next_offset = Some(5);
    // What lies in the way of a save leaves what there is.
    fs::create_dir(folder.path().join("checkpoint.bin.new")).unwrap();
    assert!(store.save(&mut used.clone()).is_err());
    fs::remove_dir(folder.path().join("checkpoint.bin.new")).unwrap();
    fs::create_dir(folder.path().join("checkpoint.before.bin.new")).unwrap();
    assert!(store.save(&mut used.clone()).is_err());
    fs::remove_dir(folder.path().join("checkpoint.before.bin.new")).unwrap();
    drop(store);
    assert_eq!(loaded(folder.path(), &states), Ok((140_000, None)));
}
