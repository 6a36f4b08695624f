//! What signals do, once.

use proptest::prelude::*;

use super::*;

const DONE: Applied = Applied::Done { rollback_to: None };

fn apply(registry: &Embedded, action: Action, version: &str, group: &str, hour: u32) -> Applied {
    registry.apply(&signal(action, version, group, hour), 100 + i64::from(hour)).unwrap()
}

fn blocked(registry: &Embedded, version: &str) -> Vec<(String, String)> {
    let record = registry.version("m", version).unwrap().unwrap();
    record.blocks.into_iter().map(|b| (b.group, b.signal_id)).collect()
}

#[track_caller]
fn ignored(applied: &Applied, why: &str) {
    assert!(matches!(applied, Applied::Ignored(text) if text.contains(why)), "{applied:?} does not say {why}");
}

#[test]
fn a_block_stands_until_its_group_clears() {
    let registry = registry();
    assert_eq!(apply(&registry, Action::Block, "1", "drift", 1), DONE);
    assert_eq!(apply(&registry, Action::Block, "1", "slo", 1), DONE);
    let record = registry.version("m", "1").unwrap().unwrap();
    assert_eq!(record.registered_at, 101, "a version that a signal names is added");
    let block = ActiveBlock {
        group: "drift".into(),
        since: "2013-03-01T01:00:00Z".into(),
        reasons: vec!["drift/psi a 1 breaks lt 0.2".into()],
        signal_id: "block-1-drift-1".into(),
        verdict_id: "verdict-1".into(),
    };
    assert_eq!(record.blocks[0], block);
    // A newer block of the group replaces it.
    assert_eq!(apply(&registry, Action::Block, "1", "drift", 2), DONE);
    assert_eq!(
        blocked(&registry, "1"),
        [("drift".into(), "block-1-drift-2".into()), ("slo".into(), "block-1-slo-1".into())]
    );
    assert_eq!(apply(&registry, Action::Clear, "1", "drift", 3), DONE);
    assert_eq!(blocked(&registry, "1"), [("slo".into(), "block-1-slo-1".into())]);
}

#[test]
fn a_signal_is_applied_once() {
    let registry = registry();
    apply(&registry, Action::Block, "1", "drift", 1);
    apply(&registry, Action::Clear, "1", "drift", 2);
    assert_eq!(apply(&registry, Action::Block, "1", "drift", 1), Applied::Already);
    assert_eq!(apply(&registry, Action::Clear, "1", "drift", 2), Applied::Already);
    assert!(blocked(&registry, "1").is_empty());
    // What was ignored stays ignored, even where it would do something by now.
    let registry = with_prod(&["1", "2"]);
    ignored(&apply(&registry, Action::Rollback, "3", "slo", 1), "prod stands on version \"2\", not on \"3\"");
    registry.set_stage("m", PROD, "3", "ann", "", 5).unwrap();
    assert_eq!(apply(&registry, Action::Rollback, "3", "slo", 1), Applied::Already);
    assert_eq!(prod(&registry).as_deref(), Some("3"));
}

#[test]
fn a_signal_older_than_the_newest_of_its_group_is_ignored() {
    let registry = registry();
    apply(&registry, Action::Clear, "1", "drift", 5);
    ignored(
        &apply(&registry, Action::Block, "1", "drift", 4),
        "the newer clear of 2013-03-01T05:00:00Z was applied before",
    );
    assert!(blocked(&registry, "1").is_empty());
    assert_eq!(apply(&registry, Action::Block, "1", "slo", 4), DONE, "another group");
    apply(&registry, Action::Block, "1", "drift", 6);
    ignored(&apply(&registry, Action::Clear, "1", "drift", 3), "the newer block of 2013-03-01T06");
    let unread =
        registry.apply(&Signal { ts: "yesterday".into(), ..signal(Action::Clear, "1", "drift", 7) }, 1).unwrap();
    ignored(&unread, "\"yesterday\" is not RFC 3339");
    assert_eq!(blocked(&registry, "1").len(), 2);
}

#[test]
fn a_rollback_moves_prod_back_and_freezes_the_model() {
    let registry = with_prod(&["1", "2"]);
    registry.set_stage("m", "canary", "2", "ann", "", 3).unwrap();
    assert_eq!(registry.frozen("m").unwrap(), None);
    assert_eq!(apply(&registry, Action::Rollback, "2", "slo", 4), Applied::Done { rollback_to: Some("1".into()) });
    let two = registry.version("m", "2").unwrap().unwrap();
    assert_eq!((two.rolled_back.as_deref(), two.stages), (Some("2013-03-01T04:00:00Z"), vec!["canary".to_owned()]));
    assert_eq!(prod(&registry).as_deref(), Some("1"));
    let last = registry.history("m").unwrap().pop().unwrap();
    let reason = "version \"2\" was rolled back to \"1\": slo/psi a 4 breaks lt 0.2";
    assert_eq!(
        last,
        StageMove {
            stage: PROD.into(),
            from: Some("2".into()),
            to: Some("1".into()),
            at: 104,
            actor: "driftgate".into(),
            reason: reason.into()
        }
    );
    assert_eq!(registry.frozen("m").unwrap().unwrap(), format!("since 2013-03-01T04:00:00Z: {reason}"));
    assert_eq!(registry.frozen("other").unwrap(), None);
    ignored(&apply(&registry, Action::Rollback, "1", "slo", 5), "the model is frozen since 2013-03-01T04:00:00Z");
    assert_eq!(apply(&registry, Action::Block, "1", "slo", 5), DONE, "a freeze is about rollbacks alone");
    assert_eq!((registry.resume("m", "ann", 9).unwrap(), registry.resume("m", "ann", 9).unwrap()), (true, false));
    assert_eq!(registry.frozen("m").unwrap(), None);
    // Both versions are known to be bad now.
    assert_eq!(apply(&registry, Action::Rollback, "1", "slo", 6), DONE);
    assert_eq!(prod(&registry).as_deref(), Some("1"));
    assert!(registry.frozen("m").unwrap().unwrap().contains("no former prod version is stable"));
    assert_eq!(registry.version("m", "1").unwrap().unwrap().rolled_back, None, "it was not moved");
}

#[test]
fn a_new_promotion_ends_the_freeze_and_a_return_does_not() {
    let registry = with_prod(&["0", "1", "2"]);
    apply(&registry, Action::Rollback, "2", "slo", 1);
    registry.register(&plain("3"), "ci", 5).unwrap();
    registry.set_stage("m", "canary", "3", "ann", "", 5).unwrap();
    registry.set_stage("m", PROD, "0", "ann", "an old one", 6).unwrap();
    assert!(registry.frozen("m").unwrap().is_some());
    registry.set_stage("m", PROD, "3", "ann", "a new one", 7).unwrap();
    assert_eq!(registry.frozen("m").unwrap(), None);
}

/// What a rollback of the version in prod does after `before`, and where prod is then.
fn rolled(registry: &Embedded, failing: &str, hour: u32) -> Option<String> {
    match apply(registry, Action::Rollback, failing, "slo", hour) {
        Applied::Done { rollback_to } => {
            assert_eq!(prod(registry).as_deref(), Some(rollback_to.as_deref().unwrap_or(failing)));
            rollback_to
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_last_stable_version_is_the_one_that_left_prod_last_with_nothing_against_it() {
    // No pointer, no history.
    ignored(&apply(&registry(), Action::Rollback, "1", "slo", 1), "stands on no version");
    assert_eq!(rolled(&with_prod(&["1"]), "1", 1), None);
    // By when it left prod, not by when it was registered or first promoted.
    assert_eq!(rolled(&with_prod(&["1", "2", "3"]), "3", 1).as_deref(), Some("2"));
    assert_eq!(rolled(&with_prod(&["1", "2", "1", "3"]), "3", 1).as_deref(), Some("1"));
    assert_eq!(rolled(&with_prod(&["2", "1", "2"]), "2", 1).as_deref(), Some("1"), "not itself");
    // Another stage is no prod.
    let registry = with_prod(&["2"]);
    registry.register(&Registration { stage: Some("staging".into()), ..plain("1") }, "ci", 1).unwrap();
    registry.set_stage("m", "staging", "2", "ann", "", 2).unwrap();
    assert_eq!(rolled(&registry, "2", 1), None);
}

#[test]
fn a_version_with_an_active_block_is_passed_over() {
    let registry = with_prod(&["1", "2", "3"]);
    apply(&registry, Action::Block, "2", "drift", 1);
    assert_eq!(rolled(&registry, "3", 2).as_deref(), Some("1"));
    let registry = with_prod(&["1", "2", "3"]);
    apply(&registry, Action::Block, "2", "drift", 1);
    apply(&registry, Action::Clear, "2", "drift", 2);
    apply(&registry, Action::Block, "3", "drift", 2);
    assert_eq!(rolled(&registry, "3", 3).as_deref(), Some("2"));
}

#[test]
fn a_version_that_was_rolled_back_is_never_gone_back_to() {
    let registry = with_prod(&["1", "2"]);
    assert_eq!(rolled(&registry, "2", 1).as_deref(), Some("1"));
    // Promoted again by a person, and left in peace: still not a place to go back to.
    registry.set_stage("m", PROD, "2", "ann", "", 5).unwrap();
    registry.register(&plain("3"), "ci", 6).unwrap();
    registry.set_stage("m", PROD, "3", "ann", "", 6).unwrap();
    assert_eq!(rolled(&registry, "3", 2).as_deref(), Some("1"));
    // The same where a rollback found nowhere to go.
    let registry = with_prod(&["1"]);
    assert_eq!(rolled(&registry, "1", 1), None);
    registry.register(&Registration { stage: Some(PROD.into()), ..plain("2") }, "ci", 2).unwrap();
    assert_eq!(registry.frozen("m").unwrap(), None);
    assert_eq!(rolled(&registry, "2", 2), None);
}

/// Everything there is to see.
fn picture(registry: &Embedded) -> impl PartialEq + std::fmt::Debug + use<> {
    (registry.versions(None).unwrap(), registry.history("m").unwrap(), registry.frozen("m").unwrap())
}

fn any_signal() -> impl Strategy<Value = Signal> {
    let action = prop_oneof![Just(Action::Block), Just(Action::Clear), Just(Action::Rollback)];
    (action, 1..5_u32, 0..2_usize, 0..24_u32)
        .prop_map(|(action, version, group, hour)| signal(action, &version.to_string(), ["drift", "slo"][group], hour))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn duplicates_anywhere_change_nothing(
        signals in prop::collection::vec((any_signal(), any::<bool>()), 1..40),
        repeats in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..40),
    ) {
        let (once, twice) = (with_prod(&["1", "2", "3", "4"]), with_prod(&["1", "2", "3", "4"]));
        for (at, (signal, resume)) in signals.iter().enumerate() {
            let now = i64::try_from(at).unwrap() + 100;
            prop_assert_eq!(once.apply(signal, now).unwrap(), twice.apply(signal, now).unwrap());
            if *resume {
                prop_assert_eq!(once.resume("m", "ann", now).unwrap(), twice.resume("m", "ann", now).unwrap());
            }
            // Anything up to here comes again, some of it more than once.
            for (_, what) in repeats.iter().filter(|(when, _)| when.index(signals.len()) == at) {
                let (again, _) = &signals[what.index(at + 1)];
                prop_assert_eq!(twice.apply(again, now + 1000).unwrap(), Applied::Already);
            }
        }
        prop_assert_eq!(picture(&once), picture(&twice));
    }
}
