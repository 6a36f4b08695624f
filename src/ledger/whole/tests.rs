//! A registry that goes out as a stream and comes in elsewhere.

use std::path::Path;

use super::*;
use driftgate_core::promotion::PROD;
use driftgate_core::promotion::version::Registration;

fn used(path: &Path, versions: usize) -> Embedded {
    let registry = Embedded::open(path).unwrap();
    for version in 0..versions {
        let new = Registration { model: "m".into(), version: version.to_string(), ..Registration::default() };
        registry.register(&new, "ci", 1).unwrap();
        registry.set_stage("m", PROD, &version.to_string(), "ann", "", 2).unwrap();
    }
    registry
}

fn whole(registry: &Embedded, seq: u64) -> Vec<u8> {
    let mut whole = Vec::new();
    registry
        .begin_log(seq, &mut |_, bytes, _| {
            whole.extend_from_slice(bytes);
            Ok(())
        })
        .unwrap();
    whole
}

fn all(registry: &Embedded) -> rows::All {
    registry.read(|tx| rows::all(tx)).unwrap()
}

/// Both sign with one key.
fn two(folder: &Path) -> (Embedded, Embedded) {
    let one = used(&folder.join("one.db"), 3);
    std::fs::copy(Embedded::key_path(&folder.join("one.db")), Embedded::key_path(&folder.join("two.db"))).unwrap();
    (one, Embedded::open(&folder.join("two.db")).unwrap())
}

#[test]
fn a_registry_comes_in_as_it_went_out_with_its_guards() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = two(folder.path());
    let began = whole(&one, 7);
    assert_eq!(two.import(&mut began.as_slice()).unwrap(), 7);
    assert_eq!((all(&one), two.replica_seq().unwrap()), (all(&two), Some(7)));
    assert_eq!(one.likeness().unwrap(), two.likeness().unwrap());
    let mut out = (0, Vec::new());
    let seq = one.export(&mut |seq, bytes, is_last| {
        assert_eq!(seq, 7);
        out.0 += usize::from(is_last);
        out.1.extend_from_slice(bytes);
        Ok(())
    });
    assert_eq!((seq.unwrap(), out), (7, (1, began)), "the same rows, the same bytes");
    let connection = two.connection.lock().unwrap();
    assert_eq!(held::objects(&connection).unwrap(), Vec::<String>::new());
    for statement in ["DELETE FROM audit", "UPDATE stage_moves SET at = 0"] {
        assert!(connection.execute(statement, []).unwrap_err().to_string().contains("only added"));
    }
    drop(connection);
    let names = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    assert!(!names.into_iter().any(|name| name.contains("other") || name.contains("before-cluster")), "it was empty");
}

#[test]
fn what_a_file_held_before_is_kept_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let (one, empty) = two(folder.path());
    drop(empty);
    let two = used(&folder.path().join("two.db"), 2);
    let before = all(&two);
    two.import(&mut whole(&one, 1).as_slice()).unwrap();
    let kept: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|path| path.display().to_string().contains(".other-"))
        .collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(rows::all(&Connection::open(&kept[0]).unwrap()).unwrap(), before);
    // It follows the log now, which has all that it holds.
    two.import(&mut whole(&one, 2).as_slice()).unwrap();
    assert_eq!(
        std::fs::read_dir(folder.path())
            .unwrap()
            .filter(|e| e.as_ref().unwrap().path().display().to_string().contains(".other-"))
            .count(),
        1
    );
}

#[test]
fn a_snapshot_that_is_cut_or_flipped_or_signed_with_another_key_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = two(folder.path());
    let bytes = whole(&one, 7);
    let before = all(&two);
    for at in [0, 3, 4, 9, 40, bytes.len() / 2, bytes.len() - 3, bytes.len() - 1] {
        assert!(two.import(&mut bytes.get(..at).unwrap()).is_err(), "cut at {at}");
        assert_eq!((all(&two), two.replica_seq().unwrap()), (before.clone(), None), "cut at {at}");
    }
    // Rows that name others, and their count.
    let last = bytes.len() - 1;
    let mut flipped = bytes.clone();
    flipped[last] ^= 1;
    assert!(two.import(&mut flipped.as_slice()).unwrap_err().to_string().contains("rows are missing"));
    assert_eq!(all(&two), before);
    let other = Embedded::open(&folder.path().join("other/registry.db")).unwrap();
    let refused = other.import(&mut bytes.as_slice()).unwrap_err();
    assert!(
        matches!(refused, ReplicaError::OtherKey { .. }) && refused.to_string().contains("cluster.audit_key"),
        "{refused}"
    );
    assert_eq!(two.import(&mut bytes.as_slice()).unwrap(), 7);
}

#[test]
fn a_log_that_did_not_take_all_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (one, _) = two(folder.path());
    let before = all(&one);
    let failed = one.begin_log(1, &mut |_, _, _| Err(io::Error::other("refused")));
    assert!(failed.unwrap_err().to_string().contains("refused"));
    assert_eq!((all(&one), one.replica_seq().unwrap()), (before, None));
    one.set_stage("m", PROD, "1", "ann", "it goes on alone", 9).unwrap();
}

#[test]
fn every_process_of_a_cluster_signs_with_the_key_that_it_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let (path, key) = (folder.path().join("a/registry.db"), folder.path().join("key.pem"));
    let open = || Embedded::open_shared(&path, &key, schema::PATIENCE);
    let refused = open().unwrap_err().to_string();
    assert!(refused.contains("there is no audit key") && refused.contains("openssl"), "{refused}");
    crate::audit_key::open(&key).unwrap();
    let id = open().unwrap().likeness().unwrap().key_id;
    assert_eq!(std::fs::read(&key).unwrap(), std::fs::read(Embedded::key_path(&path)).unwrap());
    assert_eq!(Embedded::open(&path).unwrap().likeness().unwrap().key_id, id, "commands sign with it, too");
    std::fs::remove_file(&key).unwrap();
    crate::audit_key::open(&key).unwrap();
    assert!(open().unwrap_err().to_string().contains("differ"));
    std::fs::remove_file(Embedded::key_path(&path)).unwrap();
    let refused = open().unwrap_err().to_string();
    assert!(refused.contains("are signed with another key"), "{refused}");
}
