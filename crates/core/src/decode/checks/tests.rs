//! Tests of the checks: what is not looked at would have passed, and every entry is reached by a kind of events.

use proptest::prelude::*;

use super::*;

pub fn schema() -> Schema {
    Schema { model: "m".to_owned(), needs_id: true, ..Schema::default() }
}

fn checks(kind: EventKind, limits: Limits) -> Checks {
    Checks::new(kind, &schema(), limits)
}

#[test]
fn every_check_is_of_a_field_that_the_readers_look_at() {
    let all = EventKind::ALL.map(|kind| checks(kind, Limits::default()));
    for field in TEXTS.iter().flat_map(|check| check.fields).chain(NEEDED.iter().map(|needed| &needed.field)) {
        assert!(all.iter().any(|checks| checks.texts().contains(field)), "{field:?}");
    }
    for field in NUMBERS.iter().map(|check| check.field) {
        assert!(all.iter().any(|checks| checks.numbers().contains(&field)), "{field:?}");
    }
}

#[test]
fn an_id_is_needed_where_labels_are_joined_by_it() {
    let needed = |kind, needs_id| {
        let schema = Schema { needs_id, ..schema() };
        Checks::new(kind, &schema, Limits::default()).needed().map(|(field, ..)| field).collect::<Vec<_>>()
    };
    assert_eq!(needed(EventKind::Predictions, true), [Field::Version, Field::PredictionId]);
    assert_eq!(needed(EventKind::Predictions, false), [Field::Version]);
    assert_eq!(needed(EventKind::Labels, false), [Field::PredictionId]);
    assert_eq!(needed(EventKind::Features, true), []);
    assert_eq!(needed(EventKind::Measurements, true), [Field::Version, Field::Metric]);
}

#[test]
fn a_weight_is_what_was_read_and_one_where_nothing_was() {
    assert_eq!([weight(1e9), weight(3.0), weight(numeric::MISSING)], [1_000_000_000, 3, 1]);
}

proptest! {
    /// The readers pass over such texts and times.
    #[test]
    fn what_is_not_looked_at_would_have_passed(
        text in "\\PC{1,300}",
        string_bytes in 0_usize..1_200,
        (ts, record_ts, future) in (-5_i64..50, 0_i64..30, 0_i64..10),
    ) {
        for kind in EventKind::ALL {
            let checks = checks(kind, Limits { string_bytes, ..Limits::default() });
            for field in TEXT_FIELDS {
                if text.len() <= checks.passes_within(field) {
                    prop_assert_eq!(checks.text(field, &text), Ok(()));
                }
            }
            for field in NUMBER_FIELDS.into_iter().filter(|field| !checks.numbers().contains(field) && kind.has(*field)) {
                for cell in [0.0, -1.0, f64::INFINITY, numeric::MISSING, numeric::INVALID] {
                    prop_assert_eq!(checks.number(field, cell), Ok(()));
                }
            }
        }
        let passes = times(record_ts, future).contains(&ts);
        prop_assert_eq!(time(ts, record_ts, future).is_ok(), passes);
        prop_assert_eq!(TIMES.iter().all(|check| (check.refuses)(ts, record_ts, future).is_none()), passes);
    }
}
