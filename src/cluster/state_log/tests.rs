//! Tests of the state log without brokers: a log in memory whose owner may be cut off at every step.

use std::path::Path;

use super::gather::{Found, Gather};
use super::*;
use crate::checkpoint::made::{bytes, checkpoint, enter, of, policy};
use crate::checkpoint::{Checkpoint, Store};
use driftgate_core::codec::chunk::Chunk;
use driftgate_core::intake::Setup;
use driftgate_core::pipeline::Pipeline;

/// A folder; in memory where the system has such a place, since syncing a disk takes most of the time here.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// How a step is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// Nothing is durable, and the owner knows.
    Refused,
    /// Nothing is durable, and the owner does not know.
    Lost,
    /// It is durable, and the owner does not know.
    Durable,
}

/// A topic, and the claim.
#[derive(Default)]
struct Topic {
    records: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    claim: u64,
    steps: usize,
    cut: Option<(usize, Cut)>,
}

#[derive(Default)]
struct Owner(Mutex<Topic>);

impl Owner {
    fn step(&self, records: &[Record], claims: bool) -> Outcome {
        let mut topic = lock(&self.0);
        topic.steps += 1;
        let cut = topic.cut.filter(|(step, _)| *step == topic.steps).map(|(_, cut)| cut);
        if !matches!(cut, Some(Cut::Refused | Cut::Lost)) {
            topic.records.extend(records.iter().map(|record| (record.key.clone(), record.payload.clone())));
            topic.claim += u64::from(claims);
        }
        match cut {
            None => Outcome::Done,
            Some(Cut::Refused) => Outcome::Refused("not now".into()),
            Some(_) => Outcome::Unknown("no answer".into()),
        }
    }

    fn claim(&self) -> u64 {
        lock(&self.0).claim
    }
}

impl Commits for Owner {
    fn next(&self) -> (u64, String) {
        (self.claim() + 1, "group-a".into())
    }

    fn commit(&self, records: &[Record]) -> Outcome {
        self.step(records, true)
    }

    fn add(&self, records: &[Record]) -> Outcome {
        self.step(records, false)
    }
}

impl Topic {
    /// Compaction: of the records before `end` the last of each key stays, where none behind it has that key.
    fn compacted(&self, end: usize) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        let last: BTreeMap<&Vec<u8>, usize> = self.records.iter().enumerate().map(|(at, (key, _))| (key, at)).collect();
        let stays = |(at, (key, _)): &(usize, &(Vec<u8>, Option<Vec<u8>>))| *at >= end || last[key] == *at;
        self.records.iter().enumerate().filter(stays).map(|(_, record)| record.clone()).collect()
    }
}

/// What is found in records, read into a folder.
fn read(records: &[(Vec<u8>, Option<Vec<u8>>)], seq: Option<u64>, folder: &Path) -> Result<(u64, Held), String> {
    let mut gather = Gather::new("state", "all", folder).unwrap();
    for (key, payload) in records {
        gather.take(key, payload.as_deref()).unwrap();
    }
    match gather.find(seq) {
        Found::State(slot) => gather.finish(slot).map_err(|e| e.to_string()),
        Found::Nothing => Ok((0, gather.nothing())),
        other => Err(format!("{other:?}")),
    }
}

fn log(owner: &Arc<Owner>, held: Held) -> Arc<StateLog> {
    let commits = Arc::clone(owner) as Arc<dyn Commits>;
    // Each part of a chunk is a step.
    Arc::new(StateLog { at_once: 1, ..StateLog::new("state".into(), "all", commits, held) })
}

/// States one after the other: chunks come, stay, go and come again.
fn states() -> Vec<Checkpoint> {
    let mut all = Pipeline::new(policy(), Setup::default(), 1);
    let mut fewer = Pipeline::new(policy(), Setup::default(), 1);
    enter(&fewer, 0..66_000);
    let mut states = Vec::new();
    let mut rows = 0;
    for until in [70_000, 140_000, 140_500] {
        enter(&all, rows..until);
        rows = until;
        states.push(of(&mut all));
    }
    states.extend([of(&mut fewer), checkpoint(0), of(&mut all), of(&mut fewer)]);
    for (state, at) in states.iter_mut().zip(1..) {
        // The position names the state.
        state.sources = checkpoint(at).sources;
        // What comes again is read or made anew, never the same bytes in memory.
        state.chunks(&mut |chunk| *chunk = Chunk::Here(Arc::new(chunk.bytes().to_vec())));
    }
    states
}

/// What a checkpoint is, with its chunks as their digests.
fn content(checkpoint: &Checkpoint) -> Vec<Vec<u8>> {
    let mut checkpoint = checkpoint.clone();
    checkpoint.chunks(&mut |chunk| *chunk = Chunk::Kept(parts::digest(chunk.bytes())));
    checkpoint.pipelines.iter().map(bytes).collect()
}

/// Which of the states it is; it must be whole.
fn which(store: &Store, states: &[Checkpoint]) -> u64 {
    let loaded = store.load().unwrap().unwrap();
    let at = loaded.sources[0].next_offset.unwrap();
    let expected = &states[usize::try_from(at).unwrap() - 1];
    assert!(content(&loaded) == content(expected), "state {at} is not whole");
    u64::try_from(at).unwrap()
}

/// Saves the states behind the claim, as an owner that tries again what is refused; stops where it must end.
fn save(store: &Store, owner: &Owner, states: &[Checkpoint]) {
    for state in states.iter().skip(usize::try_from(owner.claim()).unwrap()) {
        while let Err(e) = store.save(&mut state.clone()) {
            if e.to_string().contains("not known whether") {
                // Nor does it commit anything more.
                let steps = lock(&owner.0).steps;
                assert!(store.save(&mut state.clone()).is_err() && lock(&owner.0).steps == steps);
                return;
            }
            assert!(e.to_string().contains("not now"), "{e}");
        }
    }
}

#[test]
fn wherever_an_owner_is_cut_off_the_state_that_the_claim_names_is_there_whole() {
    let states = states();
    let whole = Arc::new(Owner::default());
    let own = folder();
    save(&Store::open(own.path()).unwrap().publishing(log(&whole, Held::default())), &whole, &states);
    let steps = lock(&whole.0).steps;
    assert!(whole.claim() == 7 && steps > 2 * 7, "{steps} steps");
    for (step, cut) in (1..=steps).flat_map(|step| [Cut::Refused, Cut::Lost, Cut::Durable].map(|cut| (step, cut))) {
        let owner = Arc::new(Owner::default());
        lock(&owner.0).cut = Some((step, cut));
        let first = folder();
        save(&Store::open(first.path()).unwrap().publishing(log(&owner, Held::default())), &owner, &states);
        let claim = owner.claim();
        assert_eq!(claim == 7, cut == Cut::Refused || (cut, step) == (Cut::Durable, steps), "{step} {cut:?}");
        if claim == 0 {
            continue;
        }
        let ends = [0, lock(&owner.0).records.len() * 2 / 3, usize::MAX];
        let records = lock(&owner.0).compacted(ends[step % 3]);
        // A process that has nothing, and the one that was cut off, whose folder may hold more.
        let second = folder();
        for (folder, seq) in [(second.path(), None), (first.path(), Some(claim))] {
            let (found, held) = read(&records, seq, folder).unwrap();
            assert_eq!(found, claim, "{step} {cut:?}");
            let store = Store::open(folder).unwrap().publishing(log(&owner, held));
            assert_eq!(which(&store, &states), claim, "{step} {cut:?}");
            assert!(store.fallback().is_none());
        }
        // It goes on with the states that are missing.
        let (_, held) = read(&records, Some(claim), second.path()).unwrap();
        let store = Store::open(second.path()).unwrap().publishing(log(&owner, held));
        assert_eq!(which(&store, &states), claim);
        lock(&owner.0).cut = None;
        save(&store, &owner, &states);
        assert_eq!(owner.claim(), 7);
        // What neither of the last two states needs is gone from the log.
        let keys = |owner: &Owner| {
            let records = lock(&owner.0).compacted(usize::MAX);
            records.into_iter().filter(|(_, payload)| payload.is_some()).map(|(key, _)| key).collect::<BTreeSet<_>>()
        };
        let chunks = |keys: BTreeSet<Vec<u8>>| {
            keys.into_iter().filter(|key| key.starts_with(b"all/chunk/")).collect::<BTreeSet<_>>()
        };
        assert_eq!(chunks(keys(&owner)), chunks(keys(&whole)), "{step} {cut:?}");
    }
}

/// An owner after its second state, and its folder.
fn two_states() -> (Arc<Owner>, tempfile::TempDir, Vec<Checkpoint>) {
    let states = states();
    let (owner, folder) = (Arc::new(Owner::default()), folder());
    let store = Store::open(folder.path()).unwrap().publishing(log(&owner, Held::default()));
    save(&store, &owner, &states[..2]);
    (owner, folder, states)
}

#[test]
fn what_the_log_holds_is_not_written_again() {
    let (owner, folder, mut states) = two_states();
    let records = lock(&owner.0).records.clone();
    let (_, held) = read(&records, Some(2), folder.path()).unwrap();
    let store = Store::open(folder.path()).unwrap().publishing(log(&owner, held));
    assert_eq!(which(&store, &states), 2);
    let written = store.save(&mut states[2]).unwrap();
    assert!(written < 1_000_000, "{written} bytes for 500 more rows");
    assert!(lock(&owner.0).records[records.len()..].iter().all(|(key, _)| key.starts_with(b"all/manifest/")));
}

#[test]
fn chunks_in_the_folder_stay_unless_they_are_damaged() {
    let (owner, folder, states) = two_states();
    let records = lock(&owner.0).records.clone();
    let chunks = || std::fs::read_dir(folder.path().join("chunks")).unwrap().map(|e| e.unwrap().path());
    let kept: Vec<_> = chunks().map(|path| (path.metadata().unwrap().modified().unwrap(), path)).collect();
    assert!(kept.len() == 2);
    let mut damaged = std::fs::read(&kept[0].1).unwrap();
    damaged[100_000] ^= 1;
    std::fs::write(&kept[0].1, damaged).unwrap();
    std::fs::write(folder.path().join("checkpoint.bin"), b"").unwrap();
    assert_eq!(read(&records, Some(2), folder.path()).unwrap().0, 2);
    assert_eq!(which(&Store::open(folder.path()).unwrap(), &states), 2);
    assert_eq!(kept[1].1.metadata().unwrap().modified().unwrap(), kept[1].0);
    // The one before was another state's.
    assert!(!folder.path().join("checkpoint.before.bin").exists() && !folder.path().join("restoring").exists());
}

#[test]
fn a_log_that_lacks_something_is_refused_and_says_what() {
    let (owner, _folder, states) = two_states();
    let records = lock(&owner.0).records.clone();
    let fresh = self::folder();
    assert_eq!(read(&records, Some(3), fresh.path()).unwrap_err(), "Other(Some(2))");
    assert_eq!(read(&[], Some(1), fresh.path()).unwrap_err(), "Other(None)");
    assert_eq!(read(&[], None, fresh.path()).unwrap(), (0, Held::default()));
    // The state before is there, too.
    assert_eq!(read(&records, Some(1), fresh.path()).unwrap().0, 1);
    assert_eq!(which(&Store::open(fresh.path()).unwrap(), &states), 1);
    for missing in 0..records.len() {
        let fresh = self::folder();
        let mut fewer = records.clone();
        let (key, _) = fewer.remove(missing);
        let is_of_first = key.starts_with(b"all/manifest/0/");
        let found = read(&fewer, Some(2), fresh.path());
        assert_eq!(found.is_ok(), is_of_first, "without {}: {found:?}", String::from_utf8_lossy(&key));
        assert!(is_of_first || !fresh.path().join("checkpoint.bin").exists());
        // A record that is cut or flipped is as good as none.
        for damage in [|payload: &mut Vec<u8>| payload.truncate(4_000), |payload: &mut Vec<u8>| payload[5_000] ^= 1] {
            let mut other = records.clone();
            let payload = other[missing].1.as_mut().unwrap();
            if payload.len() > 5_000 {
                damage(payload);
                assert_eq!(read(&other, Some(2), fresh.path()).is_ok(), is_of_first);
            }
        }
    }
}

#[test]
fn the_state_of_a_newer_driftgate_is_left_to_it() {
    let (owner, folder, _) = two_states();
    let mut records = lock(&owner.0).records.clone();
    let (key, mut payload) = records.iter().rfind(|(key, _)| key.starts_with(b"all/manifest/")).cloned().unwrap();
    payload.as_mut().unwrap()[8] = 2;
    records.push((key, payload));
    for seq in [None, Some(3)] {
        assert_eq!(read(&records, seq, folder.path()).unwrap_err(), "Newer(2)");
    }
    // Records of other units are none of ours.
    records.pop();
    records.push((b"other/manifest/0/0".to_vec(), Some(b"?".to_vec())));
    assert_eq!(read(&records, None, folder.path()).unwrap().0, 2);
}
