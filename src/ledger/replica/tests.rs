//! Changes that are applied, and those that are not. That every kind of write comes out equal is looked at in all tests of the
//! registry, by `shadow`.

use std::sync::{Arc, Mutex};

use super::*;
use crate::ledger::role::{ChangeLog, Role};
use crate::transaction::Outcome;
use driftgate_core::promotion::version::Registration;

#[derive(Debug, Default)]
struct Log(Mutex<Vec<(u64, Vec<u8>)>>);

impl ChangeLog for Log {
    fn append(&self, seq: u64, change: &[u8]) -> Outcome {
        self.0.lock().unwrap().push((seq, change.to_vec()));
        Outcome::Done
    }
}

/// An owner and its log, and a registry that follows it.
fn pair() -> (Embedded, Arc<Log>, Embedded) {
    let (owner, other) = (Embedded::made_in_memory().unwrap(), Embedded::made_in_memory().unwrap());
    let mut whole = Vec::new();
    owner
        .begin_log(1, &mut |_, bytes, _| {
            whole.extend_from_slice(bytes);
            Ok(())
        })
        .unwrap();
    other.import(&mut whole.as_slice()).unwrap();
    let log = Arc::new(Log::default());
    owner.set_role(Role::Owner(Arc::clone(&log) as Arc<dyn ChangeLog>)).unwrap();
    (owner, log, other)
}

fn register(registry: &Embedded, version: &str) {
    let new = Registration { model: "m".into(), version: version.into(), ..Registration::default() };
    registry.register(&new, "ci", 1).unwrap();
}

fn all(registry: &Embedded) -> rows::All {
    rows::all(&registry.connection.lock().unwrap()).unwrap()
}

fn write(owner: &Embedded, sql: &str) {
    owner.write(1, |change| Ok(change.execute_batch(sql)?)).unwrap();
}

#[test]
fn a_change_is_applied_once_in_order_and_as_a_whole() {
    let (owner, log, other) = pair();
    for version in ["1", "2", "3"] {
        register(&owner, version);
    }
    let changes = log.0.lock().unwrap().clone();
    assert_eq!(changes.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [2, 3, 4]);
    let gap = other.apply_change(3, &changes[1].1).unwrap_err();
    assert!(matches!(gap, ReplicaError::Gap { at: 1, found: 3 }), "{gap}");
    for (seq, change) in &changes {
        assert!(other.apply_change(*seq, change).unwrap());
        assert!(!other.apply_change(*seq, change).unwrap(), "again");
    }
    assert_eq!(all(&owner), all(&other));
}

#[test]
fn rows_that_are_replaced_moved_taken_away_and_put_back_come_out_equal() {
    let (owner, log, other) = pair();
    let tag =
        |key: &str| format!("INSERT INTO mirror_tags (model, version, key, value) VALUES ('m', '1', '{key}', 'v')");
    for sql in [
        // A key without a number: what is read in the order of entry has to have one order.
        &format!("{}; {}; {}", tag("z"), tag("a"), tag("m")),
        "INSERT OR REPLACE INTO mirror_tags (model, version, key, value) VALUES ('m', '1', 'z', 'new')",
        "UPDATE mirror_tags SET value = 'other' WHERE key = 'a'",
        // Unique values that change places.
        "DELETE FROM mirror_tags WHERE key = 'm'; UPDATE mirror_tags SET key = 'm' WHERE key = 'a'; UPDATE mirror_tags SET key = 'a' WHERE key = 'z'",
        "UPDATE mirror_tags SET rowid = rowid + 100",
        // A number that was given is not given again, even where nothing stays.
        "INSERT INTO outgoing (sink, key, body, at) VALUES ('s', 'k', 'b', 1); DELETE FROM outgoing",
        "INSERT INTO outgoing (sink, key, body, at) VALUES ('s', 'k', 'b', 1)",
        // A row that others name goes and comes back.
        "INSERT INTO versions (model, version, registered_at, registered_by) VALUES ('m', '1', 1, 'a');
         INSERT INTO stages (model, stage, version) VALUES ('m', 'prod', '1')",
        "PRAGMA defer_foreign_keys = ON; DELETE FROM versions;
         INSERT INTO versions (model, version, registered_at, registered_by) VALUES ('m', '1', 2, 'b')",
        // Only added.
        "INSERT INTO stage_moves (model, stage, to_version, at, actor, reason, rollback) VALUES ('m', 'prod', '1', 1, 'a', '', 0)",
        "INSERT INTO audit (seq, bytes, hash) VALUES (1, 'ü\u{1F980}', 'h')",
        "DELETE FROM mirror_tags",
    ] {
        write(&owner, sql);
        let (seq, change) = log.0.lock().unwrap().last().unwrap().clone();
        assert!(other.apply_change(seq, &change).unwrap(), "{sql}");
        assert_eq!(all(&owner), all(&other), "{sql}");
    }
    // What a part of a write took back is none of it.
    owner
        .write(1, |change| {
            change.execute_batch(&format!("SAVEPOINT one; {}; ROLLBACK TO one; RELEASE one", tag("gone")))?;
            Ok(change.execute_batch(&tag("stays"))?)
        })
        .unwrap();
    let (seq, change) = log.0.lock().unwrap().last().unwrap().clone();
    assert_eq!(Changed::decode(&change).unwrap().rows.len(), 1);
    assert!(other.apply_change(seq, &change).unwrap());
    assert_eq!(all(&owner), all(&other));
}

#[test]
fn a_copy_that_somebody_else_wrote_to_is_told_and_stays_as_it_is() {
    for (there, change) in [
        ("UPDATE versions SET artifact = 'x'", "UPDATE versions SET artifact = 'y'"),
        ("DELETE FROM versions", "UPDATE versions SET artifact = 'y'"),
        (
            "INSERT INTO versions (id, model, version, registered_at, registered_by) VALUES (2, 'o', '2', 1, 'a')",
            "INSERT INTO versions (model, version, registered_at, registered_by) VALUES ('m', '2', 1, 'a')",
        ),
        (
            "INSERT INTO versions (id, model, version, registered_at, registered_by) VALUES (9, 'm', '2', 1, 'a')",
            "INSERT INTO versions (model, version, registered_at, registered_by) VALUES ('m', '2', 1, 'a')",
        ),
        ("DELETE FROM versions", "INSERT INTO stages (model, stage, version) VALUES ('m', 'prod', '1')"),
        ("ALTER TABLE versions ADD COLUMN more TEXT", "UPDATE versions SET artifact = 'y'"),
    ] {
        let (owner, log, other) = pair();
        register(&owner, "1");
        write(&owner, change);
        let changes = log.0.lock().unwrap().clone();
        assert!(other.apply_change(2, &changes[0].1).unwrap());
        other.connection.lock().unwrap().execute_batch(there).unwrap();
        let before = all(&other);
        let damaged = other.apply_change(3, &changes[1].1).unwrap_err();
        assert!(matches!(damaged, ReplicaError::Damaged(_)), "{there}: {damaged:?}");
        assert_eq!((all(&other), other.replica_seq().unwrap()), (before, Some(2)), "{there}");
    }
}

#[test]
fn bytes_that_are_cut_flipped_or_of_another_registry_or_release_are_refused() {
    let (owner, log, other) = pair();
    register(&owner, "1");
    let (seq, change) = log.0.lock().unwrap()[0].clone();
    for at in (0..change.len()).step_by(7) {
        let mut flipped = change.clone();
        flipped[at] ^= 1;
        assert!(matches!(other.apply_change(seq, &flipped), Err(ReplicaError::Unreadable { .. })), "{at}");
        assert!(matches!(other.apply_change(seq, &change[..at]), Err(ReplicaError::Unreadable { .. })), "{at}");
    }
    let mut changed = Changed::decode(&change).unwrap();
    changed.format += 1;
    let refused = other.apply_change(seq, &changed.encode()).unwrap_err();
    assert!(matches!(refused, ReplicaError::OtherFormat { .. }) && refused.to_string().contains("the same release"));
    changed.format -= 1;
    changed.registry = "another".into();
    assert!(matches!(other.apply_change(seq, &changed.encode()), Err(ReplicaError::OtherRegistry { .. })));
    assert!(other.apply_change(seq, &change).unwrap());
    let alone = Embedded::made_in_memory().unwrap();
    assert!(matches!(alone.apply_change(seq, &change), Err(ReplicaError::Gap { at: 0, .. })), "it has no snapshot yet");
}
