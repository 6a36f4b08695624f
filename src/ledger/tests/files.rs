//! The registry as a file: reopened, shared, damaged.

use std::io::{Seek, SeekFrom, Write};
use std::thread;

use super::*;

#[test]
fn what_was_written_is_there_after_a_reopen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/registry.db");
    let signals = [signal(Action::Block, "2", "drift", 1), signal(Action::Rollback, "2", "slo", 2)];
    let written = {
        let registry = Embedded::open(&path).unwrap();
        for version in ["1", "2"] {
            registry
                .register(
                    &Registration { stage: Some(PROD.into()), artifact_sha256: Some("aa".into()), ..plain(version) },
                    "ci",
                    1,
                )
                .unwrap();
        }
        for signal in &signals {
            registry.apply(signal, 5).unwrap();
        }
        registry.record_verdict("m", "2", "drift", 7, "{}").unwrap();
        (registry.versions(None).unwrap(), registry.history("m").unwrap(), registry.frozen("m").unwrap())
    };
    let registry = Embedded::open(&path).unwrap();
    assert_eq!(
        (registry.versions(None).unwrap(), registry.history("m").unwrap(), registry.frozen("m").unwrap()),
        written
    );
    assert_eq!(written.1.len(), 3);
    assert_eq!(registry.verdicts("m", "2").unwrap(), ["{}"]);
    for signal in &signals {
        assert_eq!(registry.apply(signal, 9).unwrap(), Applied::Already);
    }
    let setting = |name: &str| {
        registry
            .connection
            .lock()
            .unwrap()
            .pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0))
            .unwrap()
    };
    assert_eq!(unheld(&registry), Vec::<String>::new());
    registry.connection.lock().unwrap().execute("DELETE FROM signals WHERE action = 'rollback'", []).unwrap();
    assert!(unheld(&registry)[0].starts_with("the rollback "), "{:?}", unheld(&registry));
    assert_eq!(setting("journal_mode"), "wal".to_owned().into());
    assert_eq!(setting("synchronous"), 2_i64.into());
    assert_eq!(setting("foreign_keys"), 1_i64.into());
    assert_eq!(setting("user_version"), schema::FORMAT.into());
}

#[test]
fn two_handles_on_a_file_share_the_work() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let each = 15;
    let done: usize = thread::scope(|scope| {
        let handles: Vec<_> = (0..4)
            .map(|worker| {
                let path = &path;
                scope.spawn(move || {
                    // All of them open the file that none has made yet.
                    let registry = Embedded::open(path).unwrap();
                    (0..each)
                        .filter(|i| {
                            registry.register(&plain(&format!("{worker}-{i}")), "ci", 1).unwrap();
                            registry.set_stage("m", "dev", &format!("{worker}-{i}"), "ci", "", 1).unwrap();
                            // The same signals from everyone: each is applied by one of them.
                            let signal = Signal {
                                signal_id: format!("s{i}"),
                                ..signal(Action::Block, &i.to_string(), "drift", 1)
                            };
                            registry.apply(&signal, 1).unwrap() != Applied::Already
                        })
                        .count()
                })
            })
            .collect();
        handles.into_iter().map(|h| h.join().unwrap()).sum()
    });
    let registry = Embedded::open(&path).unwrap();
    assert_eq!((done, registry.versions(None).unwrap().len()), (each, 5 * each));
    let history = registry.history("m").unwrap();
    assert_eq!(history.len(), 4 * each);
    assert!(history.windows(2).all(|w| w[0].to == w[1].from), "every move starts where the one before ended");
}

#[track_caller]
fn refused(path: &std::path::Path, expected: &[&str]) {
    let message = Embedded::open(path).unwrap_err().to_string();
    for text in expected {
        assert!(message.contains(text), "{message:?} does not say {text:?}");
    }
}

#[test]
fn a_file_that_is_no_registry_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    let notes = "not a database, but long enough to look like one ".repeat(100);
    std::fs::write(&path, &notes).unwrap();
    refused(&path, &["notes.txt cannot be opened", "file is not a database"]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), notes);

    let path = folder.path().join("other.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE experiments (id)").unwrap();
    refused(&path, &["other.db cannot be opened", "it is a database of something else"]);

    refused(folder.path(), &["cannot be opened"]);
    refused(&folder.path().join("notes.txt/registry.db"), &["notes.txt/registry.db cannot be opened"]);
}

#[test]
fn a_newer_format_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    drop(Embedded::open(&path).unwrap());
    Connection::open(&path).unwrap().pragma_update(None, "user_version", schema::FORMAT + 1).unwrap();
    assert!(matches!(Embedded::open(&path), Err(RegistryError::Format { found: 7, known: 6 })));
}

#[test]
fn a_damaged_file_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    {
        let registry = Embedded::open(&path).unwrap();
        for i in 0..200 {
            registry.record_verdict("m", &i.to_string(), "drift", 1, &"x".repeat(200)).unwrap();
        }
    }
    let length = std::fs::metadata(&path).unwrap().len();
    let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start(length / 2)).unwrap();
    file.write_all(&[0xAA; 8192]).unwrap();
    drop(file);
    refused(&path, &["registry.db cannot be opened", "damaged"]);
    // Cut short.
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length / 3).unwrap();
    refused(&path, &["registry.db cannot be opened"]);
}
