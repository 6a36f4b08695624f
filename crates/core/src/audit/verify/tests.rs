use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::audit::chain::tests::{chain, entry};
use crate::audit::chain::{Entry, Record, append};
use crate::audit::signed_head::Signer;

fn new_signer(seed: u8) -> Signer {
    Signer::from_seed(&[seed; 32]).unwrap().0
}

static SIGNER: LazyLock<Signer> = LazyLock::new(|| new_signer(1));

fn keys() -> PublicKeys {
    [SIGNER.public_key()].into_iter().collect()
}

fn signed(row: &LogRow, origin: &str) -> Anchored {
    let head = Head { seq: row.seq, hash: row.hash.clone() };
    Anchored { origin: origin.to_owned(), checkpoint: SIGNER.sign(&head, 0) }
}

fn check(rows: &[LogRow], checkpoints: &[Anchored]) -> Report {
    verify(rows.to_vec(), checkpoints, &keys())
}

/// The rows from `from` (counted from 0) on made anew, with another content but with hashes that fit.
fn forged(rows: &[LogRow], from: usize) -> Vec<LogRow> {
    let mut all = rows[..from].to_vec();
    for i in from..rows.len() {
        let head = all.last().map(|r| Head { seq: r.seq, hash: r.hash.clone() });
        let forged = Entry { actor: "eve@org".into(), ..entry(&format!("event {i}")) };
        all.push(append(head.as_ref(), forged, 0).into());
    }
    all
}

#[test]
fn an_empty_log_is_intact_unless_a_checkpoint_knows_better() {
    let report = check(&[], &[]);
    assert!(report.is_intact() && report.head.is_none() && report.to_string() == "the log is empty");
    let report = check(&[], &[signed(&chain(3)[2], "topic a")]);
    assert_eq!(report.problems, [Problem::CutTail { seq: 3, end: 0, origin: "topic a".into() }]);
}

#[test]
fn the_last_checkpoint_that_holds_vouches_and_later_records_are_no_problem() {
    let rows = chain(9);
    let report = check(&rows, &[signed(&rows[6], "a file"), signed(&rows[2], "the database")]);
    assert!(report.is_intact(), "{report}");
    assert_eq!((report.records, report.checkpoints, report.checkpoints_hold, report.unvouched()), (9, 2, 2, 2));
    assert_eq!(report.head, Some(Head { seq: 9, hash: rows[8].hash.clone() }));
    assert_eq!(
        report.to_string(),
        format!(
            "9 records, the last one is 9 with the hash {}\n\
             vouched for up to record 7 by a checkpoint of 1970-01-01T00:00:00Z from a file\n\
             2 records after it not vouched for by a checkpoint yet",
            rows[8].hash
        )
    );
    let report = check(&rows, &[]);
    assert!(report.is_intact() && report.unvouched() == 9);
    assert!(report.to_string().contains("no checkpoint vouches for it"), "{report}");
}

#[test]
fn each_problem_is_named_once_and_in_the_order_of_records() {
    let mut rows = chain(9);
    rows[1].bytes = br#"{"hello":"world"}"#.to_vec();
    rows.remove(4);
    let report = check(&rows, &[signed(&chain(9)[6], "a file")]);
    let said: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 3, "{said:#?}");
    assert!(said[0].starts_with("record 2 was changed: its bytes hash to "), "{said:#?}");
    assert!(said[1].starts_with("record 2 is none of this log: unknown field `hello`"), "{said:#?}");
    assert_eq!(said[2], "record 5 is missing: removed, or never written");
    assert_eq!(report.vouched.unwrap().seq, 7);
}

#[test]
fn a_foreign_record_with_a_hash_that_fits_is_unreadable() {
    let mut rows = chain(2);
    let bad = String::from_utf8(rows[1].bytes.clone()).unwrap().replace("1970-01-01T00:00:01Z", "yesterday");
    rows[1] = LogRow { seq: 2, hash: crate::codec::hash::sha256_hex(bad.as_bytes()), bytes: bad.into_bytes() };
    rows.push(LogRow { seq: 3, hash: crate::codec::hash::sha256_hex(b"\xff"), bytes: b"\xff".to_vec() });
    let problems = check(&rows, &[]).problems;
    assert!(matches!(problems[..], [Problem::Unreadable { seq: 2, .. }, Problem::Unreadable { seq: 3, .. }]));
}

#[test]
fn numbers_that_cannot_be_are_named() {
    let rows = chain(3);
    let zero = LogRow { seq: 0, ..rows[0].clone() };
    let far = LogRow { seq: u64::MAX, ..rows[2].clone() };
    let problems = check(&[zero, rows[0].clone(), rows[1].clone(), rows[1].clone(), far], &[]).problems;
    let expected = [
        Problem::Unreadable { seq: 0, why: "records are numbered from 1".into() },
        Problem::Duplicate { seq: 2 },
        Problem::Missing { from: 3, to: u64::MAX - 1 },
        Problem::Misnumbered { seq: u64::MAX, inside: 3 },
    ];
    assert_eq!(problems, expected);
    assert_eq!(
        problems[2].to_string(),
        format!("records 3 to {} are missing: removed, or never written", u64::MAX - 1)
    );
}

#[test]
fn the_first_record_follows_nothing() {
    let rows = chain(3);
    let second_first = append(None, entry("x"), 0);
    let head = Head { seq: 0, hash: rows[1].hash.clone() };
    let first = append(Some(&head), entry("x"), 0);
    assert!(check(&[second_first.into()], &[]).is_intact());
    let problems = check(&[first.into()], &[]).problems;
    let expected = Problem::BrokenLink { seq: 1, prev: rows[1].hash.clone(), expected: GENESIS.into() };
    assert_eq!(problems, [expected]);
}

#[test]
fn checkpoints_that_say_nothing_are_named_and_do_not_vouch() {
    let rows = chain(5);
    let mut forged = signed(&rows[3], "topic a");
    forged.checkpoint.seq = 9;
    let mut foreign = signed(&rows[4], "a file");
    foreign.checkpoint = new_signer(2).sign(&Head { seq: 5, hash: rows[4].hash.clone() }, 0);
    let report = check(&rows, &[forged, foreign, signed(&rows[0], "the database")]);
    let said: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 2, "{said:#?}");
    assert!(said[0].starts_with("the checkpoint of record 5 from a file is signed with the key "), "{said:#?}");
    assert!(said[1].starts_with("the checkpoint of record 9 from topic a has a signature that is not"), "{said:#?}");
    assert_eq!((report.vouched.unwrap().seq, report.checkpoints_hold), (1, 1));
}

#[test]
fn a_payload_of_any_depth_can_be_checked() {
    let deep = (0..500).fold(serde_json::json!(1), |inner, _| serde_json::json!([inner]));
    let row: LogRow = append(None, Entry { payload: deep, ..entry("deep") }, 0).into();
    assert!(Record::read(&row.bytes).is_err(), "too deep to be read as a value");
    assert!(check(&[row], &[]).is_intact());
}

#[test]
fn a_report_is_json_too() {
    let report = check(&chain(1), &[signed(&chain(2)[1], "a file")]);
    let json = serde_json::to_value(&report).unwrap();
    let cut = serde_json::json!([{"problem": "cut_tail", "seq": 2, "end": 1, "origin": "a file"}]);
    assert_eq!(json["problems"], cut);
    assert_eq!(json["vouched"], serde_json::Value::Null);
}

/// A chain's length, and two of its places, the second not before the first.
fn places() -> impl Strategy<Value = (u32, usize, usize)> {
    (1_u32..24).prop_flat_map(|n| {
        let n_ = n as usize;
        (Just(n), 0..n_, 0..n_).prop_map(|(n, a, b)| (n, a.min(b), a.max(b)))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn an_untouched_chain_has_no_problem((n, a, b) in places()) {
        let rows = chain(n);
        let report = check(&rows, &[signed(&rows[a], "a"), signed(&rows[b], "b")]);
        prop_assert!(report.is_intact());
        prop_assert_eq!(report.vouched.unwrap().seq, b as u64 + 1);
        prop_assert_eq!(report.head.unwrap().hash, rows.last().unwrap().hash.clone());
    }

    #[test]
    fn a_changed_byte_is_found((n, at, _) in places(), byte in any::<prop::sample::Index>(), flip in 1_u8..) {
        let mut rows = chain(n);
        let bytes = &mut rows[at].bytes;
        let byte = byte.index(bytes.len());
        bytes[byte] ^= flip;
        let problems = check(&rows, &[]).problems;
        let seq = at as u64 + 1;
        prop_assert!(problems.iter().all(|p| p.seq() == seq), "only this record is named: {:?}", problems);
        prop_assert!(matches!(problems[0], Problem::Changed { .. }), "{:?}", problems);
    }

    #[test]
    fn a_changed_hash_is_found((n, at, other) in places(), cut in any::<bool>()) {
        let mut rows = chain(n);
        let hash = if cut { rows[at].hash[1..].to_owned() } else { crate::codec::hash::sha256_hex(&[u8::try_from(other).unwrap()]) };
        rows[at].hash = hash;
        let problems = check(&rows, &[]).problems;
        let found = matches!(problems[..], [Problem::Changed { seq, .. }] if seq == at as u64 + 1);
        prop_assert!(found, "{:?}", problems);
    }

    #[test]
    fn a_changed_record_with_a_hash_that_fits_breaks_the_link((n, at, _) in places()) {
        let rows = chain(n);
        let changed = forged(&rows[..=at], at);
        let all = [&changed[..], &rows[at + 1..]].concat();
        // The last record has none after it: a checkpoint must know it.
        let report = check(&all, &[signed(rows.last().unwrap(), "a")]);
        let found = if at + 1 == rows.len() {
            matches!(report.problems[..], [Problem::Rewritten { seq, .. }] if seq == at as u64 + 1)
        } else {
            matches!(report.problems[..], [Problem::BrokenLink { seq, .. }] if seq == at as u64 + 2)
        };
        prop_assert!(found, "{}", report);
    }

    #[test]
    fn removed_records_are_found((n, from, to) in places()) {
        let mut rows = chain(n);
        let anchor = signed(rows.last().unwrap(), "a");
        rows.drain(from..=to);
        let problems = check(&rows, &[anchor]).problems;
        let expected = if to + 1 == n as usize {
            Problem::CutTail { seq: u64::from(n), end: from as u64, origin: "a".into() }
        } else {
            Problem::Missing { from: from as u64 + 1, to: to as u64 + 1 }
        };
        prop_assert_eq!(problems, [expected]);
    }

    #[test]
    fn swapped_records_are_found((n, a, b) in places()) {
        prop_assume!(a < b);
        let mut rows = chain(n);
        rows.swap(a, b);
        let problems = check(&rows, &[]).problems;
        prop_assert!(problems.iter().all(|p| matches!(p, Problem::Reordered { .. })), "{:?}", problems);
        prop_assert!(problems.iter().any(|p| p.seq() == a as u64 + 1), "{:?}", problems);

        // The same with the numbers left where they were.
        let (low, high) = (rows[a].seq, rows[b].seq);
        (rows[a].seq, rows[b].seq) = (high, low);
        let problems = check(&rows, &[]).problems;
        for (seq, inside) in [(high, low), (low, high)] {
            prop_assert!(problems.contains(&Problem::Misnumbered { seq, inside }), "{:?}", problems);
        }
    }

    #[test]
    fn a_tail_cut_below_a_checkpoint_is_found((n, kept, at) in places()) {
        let rows = chain(n);
        let report = check(&rows[..kept], &[signed(&rows[at], "a")]);
        let expected = Problem::CutTail { seq: at as u64 + 1, end: kept as u64, origin: "a".into() };
        prop_assert_eq!(report.problems, [expected]);
        prop_assert!(report.vouched.is_none());
    }

    #[test]
    fn a_rewritten_suffix_is_found((n, from, at) in places()) {
        let rows = chain(n);
        let report = check(&forged(&rows, from), &[signed(&rows[at], "a")]);
        let found = matches!(&report.problems[..], [Problem::Rewritten { seq, .. }] if *seq == at as u64 + 1);
        prop_assert!(found && report.vouched.is_none(), "{}", report);
    }
}
