//! The check that CONTRIBUTING describes adding, compiled and tested, and in no table: ids have a length. The lines between the marks are what
//! a reason takes here; a test compares them with CONTRIBUTING.

use super::*;

/// As if `reject` had a line for it.
#[allow(non_upper_case_globals, reason = "it stands for a variant")]
const IdTooLong: Reason = Reason::BadText;

// begin
/// A longer id is made up of something else.
const LONGEST_ID: usize = 64;

const ID_TOO_LONG: TextCheck = TextCheck {
    fields: &[Field::PredictionId],
    reason: IdTooLong,
    passes: |_| LONGEST_ID,
    refuses: |id, _| (id.len() > LONGEST_ID).then(|| format!("has {} bytes, more than {LONGEST_ID}", id.len())),
};
// end

#[test]
fn an_entry_is_all_that_a_check_takes() {
    let schema = tests::schema();
    let checks = |kind| Checks::of(kind, &schema, Limits::default(), &[ID_TOO_LONG], &[]);
    for kind in [EventKind::Predictions, EventKind::Labels] {
        let checks = checks(kind);
        assert!(checks.texts().contains(&Field::PredictionId));
        assert_eq!(checks.passes_within(Field::PredictionId), 64);
        checks.text(Field::PredictionId, &"x".repeat(64)).unwrap();
        let reject = checks.text(Field::PredictionId, &"x".repeat(65)).unwrap_err();
        assert_eq!(reject.detail, "the prediction id has 65 bytes, more than 64");
        checks.text(Field::Version, &"x".repeat(65)).unwrap();
    }
    assert!(!checks(EventKind::Measurements).texts().contains(&Field::PredictionId));
}
