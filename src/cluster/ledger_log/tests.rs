//! The log in memory, cut at each place: whoever reads it has what the owner has, or says why not.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use super::follower::{Follower, Step};
use super::*;
use crate::ledger::{RegistryError, Role};
use driftgate_core::promotion::version::Registration;

/// What becomes of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Dies,
    DiesAfter,
    Refused,
    UnknownThere,
    UnknownNot,
}

const FATES: [Fate; 5] = [Fate::Dies, Fate::DiesAfter, Fate::Refused, Fate::UnknownThere, Fate::UnknownNot];

/// What is done between two transactions.
type Between = Box<dyn Fn(usize) + Send>;

/// A topic, and the claim to it.
#[derive(Default)]
struct Topic {
    records: Mutex<Vec<(i64, Record)>>,
    claim: Mutex<Option<u64>>,
    /// Which transaction from now on is cut, and how.
    cut: Mutex<Option<(usize, Fate)>>,
    transactions: Mutex<usize>,
    between: Mutex<Option<Between>>,
}

struct At(Arc<Topic>);

impl Commit for At {
    fn commit(&self, records: &[Record], claim: Option<&ClaimAt>) -> Outcome {
        let number = {
            let mut transactions = self.0.transactions.lock().unwrap();
            *transactions += 1;
            *transactions
        };
        let between = self.0.between.lock().unwrap().take();
        if let Some(between) = between {
            between(number);
            *self.0.between.lock().unwrap() = Some(between);
        }
        let fate = {
            let mut cut = self.0.cut.lock().unwrap();
            match *cut {
                Some((0, fate)) => {
                    *cut = None;
                    Some(fate)
                }
                Some((left, fate)) => {
                    *cut = Some((left - 1, fate));
                    None
                }
                None => None,
            }
        };
        assert!(fate != Some(Fate::Dies), "dies");
        if matches!(fate, None | Some(Fate::DiesAfter | Fate::UnknownThere)) {
            let mut all = self.0.records.lock().unwrap();
            // Each transaction ends with a marker, which has an offset.
            let first = all.last().map_or(0, |(offset, _)| offset + 2);
            for (offset, record) in (first..).zip(records) {
                assert!(record.bytes() < 900_000, "brokers take 1 MB");
                all.push((offset, record.clone()));
            }
            if let Some(claim) = claim {
                *self.0.claim.lock().unwrap() = Some(claim.seq);
            }
        }
        assert!(fate != Some(Fate::DiesAfter), "dies");
        match fate {
            None => Outcome::Done,
            Some(Fate::Refused) => Outcome::Refused("no".into()),
            Some(_) => Outcome::Unknown("no answer".into()),
        }
    }
}

impl Topic {
    fn log(self: &Arc<Self>, registry: &Embedded) -> Arc<LedgerLog> {
        let id = registry.likeness().unwrap().id;
        Arc::new(LedgerLog::new(Box::new(At(Arc::clone(self))), "ledger", "owner", "{}", &id))
    }

    /// Reads the log to its end.
    fn read_by(&self, follower: &mut Follower) -> Seen {
        let all = self.records.lock().unwrap().clone();
        let mut next = 0;
        for _ in 0..10 * all.len() + 100 {
            let Some((offset, record)) = all.iter().find(|(offset, _)| *offset >= next) else {
                return follower.seen().unwrap().clone();
            };
            next = match follower.take(*offset, &record.key, record.payload.as_deref().unwrap_or_default()) {
                Step::Next => offset + 1,
                Step::Seek(offset) | Step::Later(offset) => {
                    follower.moved();
                    offset
                }
                Step::Start => {
                    follower.moved();
                    0
                }
            };
        }
        panic!("it never comes to the end: {:?}", follower.seen());
    }

    /// As `DeleteRecords`.
    fn trim(&self, before: i64) {
        self.records.lock().unwrap().retain(|(offset, _)| *offset >= before);
    }
}

fn open(folder: &Path, name: &str) -> Arc<Embedded> {
    let key = folder.join("key.pem");
    crate::audit_key::open(&key).unwrap();
    let path = folder.join(name).join("registry.db");
    Arc::new(Embedded::open_shared(&path, &key, Duration::from_secs(9)).unwrap())
}

fn register(registry: &Embedded, version: &str) -> Result<(), RegistryError> {
    let new = Registration { model: "m".into(), version: version.into(), ..Registration::default() };
    registry.register(&new, "ci", 1).map(drop)
}

fn attach(registry: &Embedded, n: usize, bytes: usize) {
    let value = serde_json::json!(format!("{n}{}", "x".repeat(bytes)));
    registry.attach("m", "1", &[("model_card".to_owned(), value)], "ci", 2).unwrap();
}

/// The last change of a registry, and a digest of all that it gives.
fn whole(registry: &Embedded) -> (u64, String) {
    let mut hasher = blake3::Hasher::new();
    let seq = registry.export(&mut |_, bytes, _| {
        hasher.update(bytes);
        Ok(())
    });
    (seq.unwrap(), hasher.finalize().to_string())
}

fn follower(registry: &Arc<Embedded>) -> Follower {
    Follower::new(Arc::clone(registry)).unwrap()
}

/// A topic that a first process began, and that process as its owner.
fn begun(folder: &Path) -> (Arc<Topic>, Arc<LedgerLog>, Arc<Embedded>) {
    let (topic, owner) = (Arc::new(Topic::default()), open(folder, "owner"));
    register(&owner, "1").unwrap();
    let mut follows = follower(&owner);
    assert_eq!(topic.read_by(&mut follows), Seen::default());
    let log = topic.log(&owner);
    log.begin(&owner, 1).unwrap();
    assert_eq!(topic.read_by(&mut follows).problem, None, "it is its own");
    assert_eq!(*topic.claim.lock().unwrap(), Some(1));
    owner.set_role(Role::Owner(Arc::clone(&log) as Arc<dyn ChangeLog>)).unwrap();
    (topic, log, owner)
}

#[test]
fn whoever_comes_takes_the_snapshot_and_the_changes_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let (topic, log, owner) = begun(folder.path());
    register(&owner, "2").unwrap();
    let other = open(folder.path(), "other");
    let mut follows = follower(&other);
    assert_eq!(follows.seen().unwrap().seq, None);
    let seen = topic.read_by(&mut follows);
    assert_eq!((seen.seq, seen.newest, seen.snapshot, seen.problem), (Some(2), Some(2), Some((1, 0)), None));
    assert_eq!((whole(&owner), other.likeness().unwrap()), (whole(&other), owner.likeness().unwrap()));
    // A change that is longer than a record comes in parts.
    owner.record_verdict("m", "1", "drift", 1, &"v".repeat(3_000_000)).unwrap();
    let seen = topic.read_by(&mut follows);
    assert!(seen.seq == Some(3) && seen.since_snapshot > 3_000_000, "{seen:?}");
    assert_eq!(whole(&owner), whole(&other));
    // The owner reads what it wrote itself.
    let seen = topic.read_by(&mut follower(&owner));
    assert_eq!((seen.seq, seen.newest, seen.problem), (Some(3), Some(3), None));
    // Another snapshot: those who have it pass over it, and a newcomer begins there.
    log.publish(&owner).unwrap();
    let seen = topic.read_by(&mut follows);
    let (seq, first) = seen.snapshot.unwrap();
    assert_eq!((seq, seen.since_snapshot), (3, 0));
    topic.trim(first);
    register(&owner, "4").unwrap();
    let third = open(folder.path(), "third");
    assert_eq!(topic.read_by(&mut follower(&third)).seq, Some(4));
    assert_eq!(whole(&owner), whole(&third));
}

#[test]
fn a_log_is_kept_short_by_a_snapshot_and_a_cut_behind_it_once_it_was_read() {
    let folder = tempfile::tempdir().unwrap();
    let (topic, log, owner) = begun(folder.path());
    register(&owner, "2").unwrap();
    let mut follows = follower(&owner);
    let seen = topic.read_by(&mut follows);
    let keep = |seen: &Seen| {
        log.keep_short(&owner, seen, |before| {
            topic.trim(before);
            Ok(())
        })
    };
    assert_eq!(keep(&seen).unwrap(), Kept::AsItWas);
    let grown = Seen { since_snapshot: SNAPSHOT_EVERY, ..seen };
    assert!(matches!(keep(&grown).unwrap(), Kept::Published(bytes) if bytes > 0));
    register(&owner, "3").unwrap();
    let seen = topic.read_by(&mut follows);
    let refused = log.keep_short(&owner, &seen, |_| Err("not allowed".to_owned())).unwrap_err().to_string();
    assert!(refused.contains("grows: not allowed"), "{refused}");
    assert_eq!(keep(&seen).unwrap(), Kept::Cut(seen.snapshot.unwrap().1));
    assert_eq!(keep(&seen).unwrap(), Kept::AsItWas, "once");
    assert_eq!(topic.records.lock().unwrap().len(), 4, "three records of the snapshot, and a change");
    let other = open(folder.path(), "other");
    let mut others = follower(&other);
    let seen = topic.read_by(&mut others);
    assert_eq!((seen.seq, seen.first), (Some(3), seen.snapshot.map(|(_, first)| first)));
    assert_eq!(whole(&owner), whole(&other));
    assert_eq!(keep(&seen).unwrap(), Kept::AsItWas, "it begins with its snapshot");
}

#[test]
fn changes_that_are_made_while_a_snapshot_is_written_are_not_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (topic, log, owner) = begun(folder.path());
    for n in 0..100 {
        attach(&owner, n, 60_000);
    }
    let writer = Arc::clone(&owner);
    *topic.between.lock().unwrap() =
        Some(Box::new(move |number| register(&writer, &format!("between-{number}")).unwrap()));
    log.publish(&owner).unwrap();
    *topic.between.lock().unwrap() = None;
    let first = topic.read_by(&mut follower(&owner)).snapshot.unwrap();
    assert_eq!(first.0, 102, "one came before the registry was read");
    assert!(owner.replica_seq().unwrap() >= Some(104), "at least two transactions: {:?}", owner.replica_seq());
    for trims in [false, true] {
        if trims {
            topic.trim(first.1);
        }
        let other = open(folder.path(), &format!("other-{trims}"));
        topic.read_by(&mut follower(&other));
        assert_eq!(whole(&owner), whole(&other));
    }
}

#[test]
fn a_process_too_far_behind_or_damaged_takes_a_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let (topic, log, owner) = begun(folder.path());
    let (behind, damaged) = (open(folder.path(), "behind"), open(folder.path(), "damaged"));
    topic.read_by(&mut follower(&behind));
    let mut follows = follower(&damaged);
    topic.read_by(&mut follows);
    register(&owner, "2").unwrap();
    topic.read_by(&mut follows);
    // Somebody writes to the copy, beside the process.
    let other = rusqlite::Connection::open(folder.path().join("damaged/registry.db")).unwrap();
    other.execute("UPDATE versions SET snapshot = 'x'", []).unwrap();
    owner
        .register(
            &Registration {
                model: "m".into(),
                version: "2".into(),
                snapshot: Some("s".into()),
                ..Registration::default()
            },
            "ci",
            1,
        )
        .unwrap();
    let seen = topic.read_by(&mut follows);
    assert_eq!((seen.seq, seen.problem), (Some(3), None));
    assert_eq!(whole(&owner), whole(&damaged));
    log.publish(&owner).unwrap();
    let first = topic.read_by(&mut follows).snapshot.unwrap().1;
    register(&owner, "3").unwrap();
    topic.trim(first);
    assert_eq!(topic.read_by(&mut follower(&behind)).seq, Some(4));
    assert_eq!(whole(&owner), whole(&behind));
    // A log that lacks changes is told; the next snapshot is the way on.
    let records = topic.records.lock().unwrap().clone();
    topic.records.lock().unwrap().pop();
    register(&owner, "4").unwrap();
    let late = open(folder.path(), "late");
    let mut follows = follower(&late);
    let seen = topic.read_by(&mut follows);
    assert!(
        seen.seq == Some(3)
            && seen.problem.as_ref().is_some_and(|why| why.contains("change 5 does not follow on change 3")),
        "{seen:?}"
    );
    drop(records);
    log.publish(&owner).unwrap();
    let seen = topic.read_by(&mut follows);
    assert_eq!((seen.seq, seen.problem), (Some(5), None));
    assert_eq!(whole(&owner), whole(&late));
}

#[test]
fn a_change_that_goes_with_no_copy_is_told_and_ends_with_the_next_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let (topic, log, owner) = begun(folder.path());
    // The owner's own file was changed by hand: what it writes from then on does not go with what others have.
    let other = rusqlite::Connection::open(folder.path().join("owner/registry.db")).unwrap();
    other.execute("UPDATE versions SET snapshot = 'x'", []).unwrap();
    register(&owner, "1").unwrap();
    owner
        .register(
            &Registration {
                model: "m".into(),
                version: "1".into(),
                artifact_sha256: Some("ab".into()),
                ..Registration::default()
            },
            "ci",
            1,
        )
        .unwrap();
    let other = open(folder.path(), "other");
    let mut follows = follower(&other);
    let seen = topic.read_by(&mut follows);
    assert!(seen.seq == Some(1) && seen.problem.as_ref().is_some_and(|why| why.contains("is another one")), "{seen:?}");
    register(&owner, "3").unwrap();
    assert!(topic.read_by(&mut follows).problem.is_some());
    log.publish(&owner).unwrap();
    let seen = topic.read_by(&mut follows);
    assert_eq!((seen.seq, seen.problem), (Some(3), None));
    assert_eq!(whole(&owner), whole(&other));
}

#[test]
fn a_file_of_another_registry_makes_way_whatever_its_numbers_are() {
    let folder = tempfile::tempdir().unwrap();
    let (topic, _, owner) = begun(folder.path());
    register(&owner, "2").unwrap();
    let elsewhere = Arc::new(Topic::default());
    let other = open(folder.path(), "other");
    for version in ["7", "8", "9"] {
        register(&other, version).unwrap();
    }
    let log = elsewhere.log(&other);
    log.begin(&other, 50).unwrap();
    let seen = topic.read_by(&mut follower(&other));
    assert_eq!((seen.seq, seen.problem), (Some(2), None));
    assert_eq!(whole(&owner), whole(&other));
    let kept: Vec<_> = std::fs::read_dir(folder.path().join("other"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains(".other-"))
        .collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    // Two registries in one topic: the first is followed, and it is told.
    let foreign = elsewhere.records.lock().unwrap().clone();
    let last = topic.records.lock().unwrap().last().unwrap().0;
    topic.records.lock().unwrap().extend(foreign.into_iter().map(|(offset, record)| (last + 2 + offset, record)));
    let seen = topic.read_by(&mut follower(&other));
    assert!(seen.seq == Some(2) && seen.problem.as_ref().is_some_and(|why| why.contains("two registries")), "{seen:?}");
    assert_eq!(whole(&owner), whole(&other));
}

#[test]
fn a_log_that_is_begun_or_given_a_snapshot_is_right_wherever_that_is_cut() {
    for fate in FATES {
        for at in 0.. {
            let folder = tempfile::tempdir().unwrap();
            let (topic, owner) = (Arc::new(Topic::default()), open(folder.path(), "owner"));
            register(&owner, "1").unwrap();
            for n in 0..100 {
                attach(&owner, n, 60_000);
            }
            let log = topic.log(&owner);
            *topic.cut.lock().unwrap() = Some((at, fate));
            let done = catch_unwind(AssertUnwindSafe(|| log.begin(&owner, 1)));
            let was_cut = topic.cut.lock().unwrap().take().is_none();
            assert_eq!(matches!(done, Ok(Ok(_))), !was_cut, "{fate:?} {at}");
            match done {
                Ok(Err(PublishError::Refused(_))) => assert_eq!(fate, Fate::Refused),
                Ok(Err(PublishError::Unknown(_))) => assert!(matches!(fate, Fate::UnknownThere | Fate::UnknownNot)),
                Ok(Err(error)) => panic!("{error}"),
                Ok(Ok(_)) | Err(_) => {}
            }
            assert_eq!(owner.replica_seq().unwrap().is_some(), !was_cut, "{fate:?} {at}");
            // Whoever comes next reads the log, and begins it where it has no registry yet.
            let next = open(folder.path(), "owner");
            let seen = topic.read_by(&mut follower(&next));
            let claim = *topic.claim.lock().unwrap();
            match opening(claim, seen.newest, seen.seq).unwrap() {
                Opening::Publish(seq) => drop(topic.log(&next).begin(&next, seq).unwrap()),
                Opening::Write => assert!(!was_cut || matches!(fate, Fate::DiesAfter | Fate::UnknownThere)),
            }
            let log = topic.log(&next);
            next.set_role(Role::Owner(Arc::clone(&log) as Arc<dyn ChangeLog>)).unwrap();
            register(&next, "2").unwrap();
            // Another snapshot, cut likewise: the log goes on, or the producer has to be made anew.
            *topic.cut.lock().unwrap() = Some((at, fate));
            let _ = catch_unwind(AssertUnwindSafe(|| log.publish(&next)));
            *topic.cut.lock().unwrap() = None;
            register(&next, "3").unwrap();
            let other = open(folder.path(), "other");
            topic.read_by(&mut follower(&other));
            assert_eq!(whole(&next), whole(&other), "{fate:?} {at}");
            assert_eq!(other.versions(None).unwrap().len(), 3);
            if !was_cut {
                assert!(at >= 2, "a snapshot of several transactions");
                break;
            }
        }
    }
}
