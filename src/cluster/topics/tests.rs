//! Tests of the internal topics' settings.

use super::*;

fn needed(replication: i32) -> Vec<Topic> {
    Topic::needed(&Names::of("eu."), replication, Needed { units: 3, evaluators: 0 })
}

fn settings(of: &[(&str, &str)]) -> BTreeMap<String, String> {
    of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn every_name_begins_with_the_prefix() {
    let names = Names::of("eu.");
    let all = ["eu.units", "eu.state", "eu.ledger", "eu.ledger-owner", "eu.results", "eu.partials", "eu.control"];
    assert_eq!(needed(3).into_iter().map(|topic| topic.name).collect::<Vec<_>>(), all[..5]);
    // What only divided units need.
    let divided = Topic::needed(&names, 3, Needed { units: 9, evaluators: 2 });
    assert_eq!(divided.iter().map(|topic| topic.name.as_str()).collect::<Vec<_>>(), all);
    let partitions: Vec<i32> = divided.iter().map(|topic| topic.partitions).collect();
    assert_eq!(partitions, [10, 1, 1, 1, 1, 2, 1]);
    let of = |at: usize| divided[at].settings.iter().find(|s| s.name == "cleanup.policy").map(|s| s.value);
    assert_eq!((of(5), of(6)), (Some("delete"), Some("compact")));
}

#[test]
fn one_broker_may_fail_where_there_are_three_replicas() {
    let in_sync = |replication| {
        let topics = needed(replication);
        let of = |topic: &Topic| topic.settings.iter().find(|s| s.name == "min.insync.replicas").map(|s| s.value);
        topics.iter().filter_map(of).collect::<Vec<_>>()
    };
    assert_eq!(
        (in_sync(1), in_sync(2), in_sync(3), in_sync(5)),
        (vec!["1"; 3], vec!["1"; 3], vec!["2"; 3], vec!["2"; 3])
    );
}

#[test]
fn what_differs_is_told_and_what_is_more_than_enough_is_not() {
    let [units, state, ledger, _, _] = <[Topic; 5]>::try_from(needed(3)).unwrap();
    let right = settings(&[
        ("cleanup.policy", "compact"),
        ("max.message.bytes", "2097152"),
        ("min.insync.replicas", "2"),
        ("unclean.leader.election.enable", "false"),
        ("segment.bytes", "1073741824"),
    ]);
    assert_eq!(state.differences(1, 4, &right), []);
    let told = |found: Vec<Difference>| {
        found.into_iter().map(|d| format!("{} {} {}", d.what, d.found, d.wanted)).collect::<Vec<_>>()
    };
    let wrong =
        settings(&[("cleanup.policy", "compact,delete"), ("max.message.bytes", "1000"), ("min.insync.replicas", "1")]);
    assert_eq!(
        told(state.differences(2, 1, &wrong)),
        [
            "partitions 2 1",
            "replicas 1 3",
            "cleanup.policy compact,delete compact",
            "max.message.bytes 1000 at least 1048588",
            "min.insync.replicas 1 at least 2"
        ]
    );
    let trimmed = settings(&[("retention.ms", "604800000"), ("retention.bytes", "-1"), ("cleanup.policy", "delete")]);
    assert_eq!(told(ledger.differences(1, 3, &trimmed)), ["retention.ms 604800000 -1"]);
    // Settings that may not be read are not held against anything.
    assert_eq!(ledger.differences(1, 3, &BTreeMap::new()), []);
    // More slots than units are no harm.
    assert_eq!((units.differences(4, 3, &right), units.differences(9, 3, &right)), (vec![], vec![]));
    assert_eq!(told(units.differences(1, 3, &right)), ["slots 1 at least 4"]);
}

#[test]
fn a_topic_can_be_created_by_kafkas_own_tool() {
    let topics = needed(2);
    assert_eq!(
        topics[0].command(),
        "kafka-topics.sh --bootstrap-server BROKERS --create --topic eu.units --partitions 4 --replication-factor 2"
    );
    assert!(topics[2].command().contains(" --config retention.ms=-1 --config retention.bytes=-1 "));
}
