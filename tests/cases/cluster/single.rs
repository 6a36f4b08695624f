//! The harness itself: one process without `cluster:` under kills says what the replay says, and what is planted is found.

use super::chaos::{Chaos, run, seed};
use super::fleet::Mode;
use super::oracle::{self, Difference, Kept};
use super::stream::{Stream, write_policies};
use crate::support::Folder;

#[test]
fn one_process_that_is_killed_again_and_again_says_what_the_replay_says() {
    run(&Chaos { seed: seed(), kills: 8, names: &["one"], mode: Mode::Alone, broker_kills: 0, brokers: 1, cuts: 0 });
}

#[test]
fn a_verdict_that_is_missing_of_another_content_or_unknown_is_found() {
    let folder = Folder::new();
    write_policies(&folder);
    let expected = oracle::replayed(&folder, &Stream::new(3, 20)).verdicts;
    let all: Vec<String> = expected.values().cloned().collect();
    let compare = |found: &[String]| oracle::compare(&expected, found, "verdict_id");
    let one_more = |line: String| [all.clone(), vec![line]].concat();
    assert_eq!(compare(&all), Difference::default());

    let dropped = compare(&all[1..]);
    assert_eq!((dropped.missing.len(), dropped.is_none()), (1, false));
    assert!(dropped.told(all.len()).contains("are missing"), "{}", dropped.told(all.len()));

    // Said again as it was is allowed.
    let again = compare(&one_more(all[0].clone()));
    assert!(again.is_none() && again.repeated == 1);

    // One cell, in a verdict that is there once more as it should be: in whatever order.
    let changed = all[5].replacen("\"predictions\":", "\"predictions\":1", 1);
    assert_ne!(changed, all[5]);
    let doubled = compare(&one_more(changed.clone()));
    assert_eq!((doubled.other.len(), doubled.missing.len()), (1, 0));
    let mut replaced = all.clone();
    replaced[5] = changed;
    assert_eq!(compare(&replaced).other.len(), 1);

    let unknown = all[2].replacen("\"verdict_id\":\"", "\"verdict_id\":\"x", 1);
    assert_eq!(compare(&one_more(unknown)).unknown.len(), 1);
}

#[test]
fn a_signal_has_one_outcome() {
    let expected = [("1".to_owned(), r#"{"signal_id":"1","action":"block"}"#.to_owned())].into();
    let with = |outcome: &str| format!(r#"{{"signal_id":"1","action":"block","outcome":"{outcome}"}}"#);
    let compare = |found: &[String]| oracle::compare(&expected, found, "signal_id");
    assert!(compare(&[with("applied"), with("applied")]).is_none());
    assert_eq!(compare(&[with("applied"), with("stale")]).other.len(), 1);
    assert_eq!(compare(&[with("applied").replace("block", "clear")]).other.len(), 1);
}

#[test]
fn a_position_that_goes_back_and_a_row_that_differs_are_found() {
    let at = |next: i64| Kept { next: [(("p".to_owned(), 0), next)].into(), ..Kept::default() };
    assert!(oracle::went_back(&at(3), &at(3)).is_empty() && oracle::went_back(&at(3), &at(4)).is_empty());
    assert_eq!(oracle::went_back(&at(3), &at(2)), ["p/0 went from 3 to 2"]);
    assert_eq!(oracle::went_back(&at(3), &Kept::default()).len(), 1);

    let folder = Folder::new();
    write_policies(&folder);
    folder.write("one.yaml", "policies: [paper.yaml]\nregistry: {embedded: {path: one.db}}\n");
    folder.driftgate("register paper 1 --config one.yaml").exits(0);
    std::fs::copy(folder.path("one.db"), folder.path("two.db")).unwrap();
    let tables = |name: &str| oracle::tables(&folder.path(name));
    assert!(tables("one.db")["versions"].len() == 1);
    assert!(oracle::tables_differ(&tables("one.db"), &tables("two.db")).is_empty());
    let two = rusqlite::Connection::open(folder.path("two.db")).unwrap();
    two.execute("UPDATE versions SET registered_by = 'somebody'", []).unwrap();
    two.execute_batch("CREATE TABLE more (x)").unwrap();
    let differing = oracle::tables_differ(&tables("one.db"), &tables("two.db"));
    assert!(differing.len() == 2 && differing[1].contains("somebody"), "{differing:?}");
}
