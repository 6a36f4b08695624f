//! The owner's write at each place where it can be cut, and what the others have of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::*;
use crate::ledger::{Embedded, Logged, rows};
use driftgate_core::promotion::PROD;
use driftgate_core::promotion::version::Registration;

/// What becomes of the next change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Done,
    /// The process dies before the log has it.
    Dies,
    /// It dies once the log has it, before its own file has.
    DiesAfter,
    Refused,
    /// Others write now.
    Ended,
    UnknownThere,
    UnknownNot,
}

/// A log in memory, which can be cut.
#[derive(Debug)]
struct Log {
    changes: Mutex<Vec<(u64, Vec<u8>)>>,
    fate: Mutex<Fate>,
}

impl Log {
    fn new() -> Arc<Self> {
        Arc::new(Self { changes: Mutex::default(), fate: Mutex::new(Fate::Done) })
    }

    /// What a reader of the log does.
    fn read_by(&self, registry: &Embedded) {
        for (seq, change) in &*self.changes.lock().unwrap() {
            registry.apply_change(*seq, change).unwrap();
        }
    }
}

impl ChangeLog for Log {
    fn append(&self, seq: u64, change: &[u8]) -> Outcome {
        let mut fate = self.fate.lock().unwrap();
        let now = std::mem::replace(&mut *fate, Fate::Done);
        drop(fate);
        assert!(now != Fate::Dies, "dies");
        if matches!(now, Fate::Done | Fate::DiesAfter | Fate::UnknownThere) {
            let mut changes = self.changes.lock().unwrap();
            assert!(changes.last().is_none_or(|(last, _)| *last + 1 == seq), "numbers follow each other");
            changes.push((seq, change.to_vec()));
        }
        assert!(now != Fate::DiesAfter, "dies");
        match now {
            Fate::Refused => Outcome::Refused("no".into()),
            Fate::Ended => Outcome::Ended("others write".into()),
            Fate::UnknownThere | Fate::UnknownNot => Outcome::Unknown("no answer".into()),
            _ => Outcome::Done,
        }
    }
}

fn plain(version: &str) -> Registration {
    Registration { model: "m".into(), version: version.into(), ..Registration::default() }
}

/// Two processes with a copy each of one registry.
fn pair(folder: &Path) -> [(PathBuf, Embedded); 2] {
    let [a, b] = ["a", "b"].map(|name| folder.join(name).join("registry.db"));
    let key = folder.join("key.pem");
    crate::audit_key::open(&key).unwrap();
    let [one, two] = [&a, &b].map(|path| Embedded::open_shared(path, &key, crate::ledger::schema::PATIENCE).unwrap());
    one.register(&plain("1"), "ci", 1).unwrap();
    let mut whole = Vec::new();
    one.begin_log(1, &mut |_, bytes, _| {
        whole.extend_from_slice(bytes);
        Ok(())
    })
    .unwrap();
    assert_eq!(two.import(&mut whole.as_slice()).unwrap(), 1);
    [(a, one), (b, two)]
}

fn all(registry: &Embedded) -> rows::All {
    registry.read(|tx| rows::all(tx)).unwrap()
}

#[test]
fn an_answer_is_in_the_log_and_in_every_copy_wherever_the_owner_is_cut() {
    for fate in
        [Fate::Done, Fate::Dies, Fate::DiesAfter, Fate::Refused, Fate::Ended, Fate::UnknownThere, Fate::UnknownNot]
    {
        let folder = tempfile::tempdir().unwrap();
        let [(path, owner), (_, other)] = pair(folder.path());
        let log = Log::new();
        owner.set_role(Role::Owner(Arc::clone(&log) as Arc<dyn ChangeLog>)).unwrap();
        other.set_role(Role::Standby { owner: Some("http://a".into()) }).unwrap();
        owner.set_stage("m", PROD, "1", "ann", "first", 2).unwrap();
        *log.fate.lock().unwrap() = fate;
        let before = all(&owner);
        let written = catch_unwind(AssertUnwindSafe(|| owner.register(&plain("2"), "ci", 3)));
        let answered = matches!(&written, Ok(Ok(_)));
        assert_eq!(answered, fate == Fate::Done, "{fate:?}: {written:?}");
        if !answered {
            assert_eq!(all(&owner), before, "{fate:?}: nothing of it stays");
        }
        match &written {
            Ok(Err(RegistryError::Log { logged, .. })) => {
                let expected = match fate {
                    Fate::Refused => Logged::Refused,
                    Fate::Ended => Logged::Ended,
                    _ => Logged::Unknown,
                };
                assert_eq!(*logged, expected, "{fate:?}");
                assert_eq!(owner.stopped().is_some(), expected != Logged::Refused);
            }
            Ok(other) => assert!(other.is_ok(), "{other:?}"),
            Err(_) => {}
        }
        if owner.stopped().is_some() {
            let again = owner.register(&plain("2"), "ci", 3).unwrap_err();
            assert!(
                matches!(again, RegistryError::Log { logged: Logged::Ended, .. }),
                "{fate:?}: nothing more is written"
            );
            assert!(owner.set_role(Role::Owner(Arc::clone(&log) as Arc<dyn ChangeLog>)).is_err());
        }
        // The process ends, and is started again as one that stands by; the other one takes over.
        drop(owner);
        let owner = Embedded::open(&path).unwrap();
        owner.set_role(Role::Standby { owner: None }).unwrap();
        log.read_by(&owner);
        log.read_by(&other);
        assert_eq!(all(&owner), all(&other), "{fate:?}");
        let is_there = owner.version("m", "2").unwrap().is_some();
        assert_eq!(is_there, matches!(fate, Fate::Done | Fate::DiesAfter | Fate::UnknownThere), "{fate:?}");
        other.set_role(Role::Owner(Arc::clone(&log) as Arc<dyn ChangeLog>)).unwrap();
        other.register(&plain("3"), "ci", 4).unwrap();
        log.read_by(&owner);
        assert_eq!(all(&owner), all(&other), "{fate:?}");
        assert_eq!(owner.replica_seq().unwrap(), other.replica_seq().unwrap());
    }
}

#[test]
fn a_standby_and_a_copy_write_nothing_and_say_where_to_send_it() {
    let folder = tempfile::tempdir().unwrap();
    let [(_, owner), (path, other)] = pair(folder.path());
    let refused = other.register(&plain("2"), "ci", 2).unwrap_err();
    assert!(matches!(refused, RegistryError::Copy) && refused.to_string().contains("--server"), "{refused}");
    other.set_role(Role::Standby { owner: Some("http://a:9464".into()) }).unwrap();
    let refused = other.register(&plain("2"), "ci", 2).unwrap_err();
    assert!(matches!(&refused, RegistryError::Standby { owner: Some(owner) } if owner == "http://a:9464"), "{refused}");
    assert!(refused.to_string().contains("http://a:9464"));
    other.set_role(Role::Standby { owner: None }).unwrap();
    assert!(other.register(&plain("2"), "ci", 2).unwrap_err().to_string().contains("try again"));
    assert_eq!(other.versions(None).unwrap().len(), 1, "it reads");
    // A command beside the process.
    let beside = Embedded::open(&path).unwrap();
    assert!(matches!(beside.register(&plain("2"), "ci", 2), Err(RegistryError::Copy)));
    // A backup of it is a registry of its own.
    let copy = folder.path().join("backup.db");
    crate::ledger::copy::copy(&path, &copy).unwrap();
    let alone = Embedded::open(&copy).unwrap();
    alone.register(&plain("2"), "ci", 2).unwrap();
    drop(owner);
}

#[test]
fn a_registry_that_follows_no_log_is_no_owners() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Embedded::open(&folder.path().join("registry.db")).unwrap();
    let refused = registry.set_role(Role::Owner(Log::new())).unwrap_err();
    assert!(refused.to_string().contains("does not follow the log yet"), "{refused}");
    registry.register(&plain("1"), "ci", 1).unwrap();
}

#[test]
fn a_write_that_changes_nothing_adds_nothing_to_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let [(_, owner), _] = pair(folder.path());
    let log = Log::new();
    owner.set_role(Role::Owner(Arc::clone(&log) as Arc<dyn ChangeLog>)).unwrap();
    owner.register(&plain("1"), "ci", 2).unwrap();
    owner.delivered(&[]).unwrap();
    owner.write(3, |change| Ok(change.execute("UPDATE versions SET version = version", [])?)).unwrap();
    assert_eq!((log.changes.lock().unwrap().len(), owner.replica_seq().unwrap()), (0, Some(1)));
    owner.register(&plain("2"), "ci", 2).unwrap();
    assert_eq!((log.changes.lock().unwrap().len(), owner.replica_seq().unwrap()), (1, Some(2)));
    // Given back and taken again.
    owner.set_role(Role::Standby { owner: None }).unwrap();
    owner.set_role(Role::Owner(Arc::clone(&log) as Arc<dyn ChangeLog>)).unwrap();
    owner.register(&plain("3"), "ci", 2).unwrap();
    assert_eq!(owner.replica_seq().unwrap(), Some(3));
}

#[test]
fn a_file_that_cannot_be_committed_after_the_log_has_the_change_stops_the_owner() {
    let folder = tempfile::tempdir().unwrap();
    let [(_, owner), _] = pair(folder.path());
    let log = Log::new();
    owner.set_role(Role::Owner(Arc::clone(&log) as Arc<dyn ChangeLog>)).unwrap();
    let written = owner.write(3, |change| {
        change.execute_batch("PRAGMA defer_foreign_keys = ON")?;
        Ok(change.execute("INSERT INTO stages (model, stage, version) VALUES ('m', 'prod', 'none')", [])?)
    });
    assert!(
        matches!(&written, Err(RegistryError::Log { logged: Logged::Unknown, why }) if why.contains("change 2 is in the log")),
        "{written:?}"
    );
    assert!(owner.stopped().is_some_and(|why| why.contains("cannot be written")));
}

#[test]
fn a_change_of_another_stops_an_owner() {
    let folder = tempfile::tempdir().unwrap();
    let [(_, one), (_, two)] = pair(folder.path());
    let logs = [Log::new(), Log::new()];
    one.set_role(Role::Owner(Arc::clone(&logs[0]) as Arc<dyn ChangeLog>)).unwrap();
    two.set_role(Role::Owner(Arc::clone(&logs[1]) as Arc<dyn ChangeLog>)).unwrap();
    one.register(&plain("2"), "ci", 2).unwrap();
    let (seq, change) = logs[0].changes.lock().unwrap().remove(0);
    assert!(!one.apply_change(seq, &change).unwrap(), "its own");
    let found = two.apply_change(seq, &change).unwrap_err();
    assert!(found.to_string().contains("another process wrote change 2"), "{found}");
    assert!(two.stopped().is_some() && two.register(&plain("3"), "ci", 2).is_err());
    two.set_role(Role::Standby { owner: None }).unwrap();
    assert!(two.apply_change(seq, &change).unwrap());
    assert_eq!(all(&one), all(&two));
}

/// What a write costs with a log that takes no time, beside one without a log. Run with `--nocapture`.
#[test]
fn a_write_costs_little_more_with_a_log() {
    let folder = tempfile::tempdir().unwrap();
    let [(_, owner), (_, other)] = pair(folder.path());
    let alone = Embedded::open(&folder.path().join("alone.db")).unwrap();
    alone.register(&plain("1"), "ci", 1).unwrap();
    let log = Log::new();
    owner.set_role(Role::Owner(Arc::clone(&log) as Arc<dyn ChangeLog>)).unwrap();
    let json = "x".repeat(4000);
    let time = |registry: &Embedded| {
        let begun = std::time::Instant::now();
        for i in 0..200 {
            registry.record_verdict("m", &(i % 3).to_string(), "drift", i, &json).unwrap();
            registry.attach("m", "1", &[("code_commit".into(), format!("git:{i}").into())], "ci", i).unwrap();
        }
        begun.elapsed() / 400
    };
    let (off, on) = (time(&alone), time(&owner));
    let bytes: usize = log.changes.lock().unwrap().iter().map(|(_, change)| change.len()).sum();
    let begun = std::time::Instant::now();
    log.read_by(&other);
    eprintln!(
        "a write: {off:?} without a log, {on:?} with one, {} bytes; applied in {:?}",
        bytes / 400,
        begun.elapsed() / 400
    );
    assert_eq!(all(&owner), all(&other));
    assert!(bytes / 400 < 4000, "of a row that was there its digest is sent, no bytes: {bytes}");
}
