//! What is told of topics, rights and transactions.

use std::path::Path;

use super::*;
use crate::cluster::topics::Needed;

const CONFIG: &str = "policies: [p.yaml]
kafka: {brokers: \"k:9092\", group: g}
sources: [{topic: p, kind: predictions}, {topic: l, kind: labels}, {topic: m, kind: measurements}]
publish: {verdicts: v, dead_letters: {topic: d}}
prometheus: [{url: \"http://p\", query: up, model: a, metric: x, topic: m}]
cluster: {instance: a, advertise: \"http://a:1\", audit_key: k, topics: {prefix: c.}}
";

fn config(text: &str) -> Config {
    crate::config::parse(text, Path::new("c.yaml")).unwrap()
}

fn there(partitions: i32, allowed: &[Operation]) -> TopicSeen {
    TopicSeen::There { partitions, replicas: 3, allowed: Some(allowed.iter().copied().collect()) }
}

fn told(lints: &[Lint]) -> Vec<String> {
    lints.iter().map(|lint| format!("{}: {}", lint.path, lint.message)).collect()
}

#[test]
fn every_topic_is_named_with_the_rights_that_its_use_needs() {
    let needs = needs(&config(CONFIG));
    let rights: Vec<(&str, String)> =
        needs.iter().map(|(name, need)| (name.as_str(), listed(&need.operations))).collect();
    assert_eq!(
        rights,
        [
            ("c.ledger", "READ and WRITE and DESCRIBE".to_owned()),
            ("c.ledger-owner", "READ and DESCRIBE".to_owned()),
            ("c.results", "READ and WRITE and DESCRIBE".to_owned()),
            ("c.state", "READ and WRITE and DESCRIBE".to_owned()),
            ("c.units", "READ and DESCRIBE".to_owned()),
            ("d", "WRITE and DESCRIBE".to_owned()),
            ("l", "READ and DESCRIBE".to_owned()),
            ("m", "READ and WRITE and DESCRIBE".to_owned()),
            ("p", "READ and DESCRIBE".to_owned()),
            ("v", "WRITE and DESCRIBE".to_owned()),
        ]
    );
    let alone = config(CONFIG.split("cluster:").next().unwrap());
    assert_eq!(
        (groups(&config(CONFIG), "g"), groups(&alone, "g")),
        (vec!["g".into(), "g-inputs".into()], vec!["g".to_owned()])
    );
    assert!(super::needs(&alone).keys().all(|topic| !topic.starts_with("c.")));
}

#[test]
fn what_is_not_there_or_not_allowed_is_an_error_with_what_to_grant() {
    let needs = needs(&config(CONFIG));
    let mut findings = Findings::default();
    needs["p"].hold_against("p", &TopicSeen::Missing, &mut findings);
    needs["l"].hold_against("l", &TopicSeen::Hidden, &mut findings);
    needs["m"].hold_against("m", &there(1, &[Operation::Read, Operation::Describe]), &mut findings);
    needs["v"].hold_against("v", &TopicSeen::There { partitions: 2, replicas: 1, allowed: None }, &mut findings);
    hold_group("g", &GroupSeen::Hidden, &mut findings);
    hold_group("g", &GroupSeen::There(None), &mut findings);
    hold_transaction(
        "g",
        &KafkaError::MetadataFetch(RDKafkaErrorCode::TransactionalIdAuthorizationFailed),
        &mut findings,
    );
    assert_eq!(
        told(&findings.errors),
        [
            "sources[0].topic: the topic \"p\" does not exist: create it, or correct its name",
            "sources[1].topic: this user may not describe the topic \"l\": grant it READ and DESCRIBE on the topic",
            "prometheus[0].topic, sources[2].topic: this user lacks rights on the topic \"m\": grant it WRITE on the topic",
            "kafka.group: this user lacks rights on the group \"g\": grant it READ and DESCRIBE on the group",
            "cluster: this user may not use transactional ids: grant it WRITE and DESCRIBE on those that begin with \"g-\"",
        ]
    );
    assert_eq!(findings.partitions, BTreeMap::from([("m".to_owned(), 1), ("v".to_owned(), 2)]));
}

#[test]
fn an_internal_topic_is_told_once_and_what_only_helps_is_a_warning() {
    let config = config(CONFIG);
    let needs = needs(&config);
    let mut findings = Findings::default();
    let all = [Operation::Read, Operation::Write, Operation::Describe];
    needs["c.ledger"].hold_against("c.ledger", &there(1, &all), &mut findings);
    needs["c.state"].hold_against("c.state", &TopicSeen::Missing, &mut findings);
    let needed = Topic::needed(&Names::of("c."), 3, Needed { units: 1, evaluators: 0 });
    hold_internal(&needed[1], &Found::Missing, &mut findings);
    assert_eq!(
        told(&findings.warnings),
        [
            "cluster.topics: this user lacks DELETE on the topic \"c.ledger\": without it it is not shortened and grows",
            "cluster.topics: this user lacks DESCRIBE_CONFIGS on the topic \"c.ledger\": without it its settings are not verified",
        ]
    );
    assert_eq!(
        told(&findings.errors),
        [
            "cluster.topics: the internal topic \"c.state\" does not exist: driftgate cluster topics --config FILE --create"
        ]
    );
}

#[test]
fn different_numbers_of_partitions_are_a_note_in_a_cluster() {
    let partitions = [("p", 12), ("l", 6), ("m", 1)].map(|(topic, n)| (topic.to_owned(), n)).into();
    let mut findings = Findings { partitions, ..Findings::default() };
    shared_by_models(&config(CONFIG), &["a"], &mut findings);
    assert!(findings.notes.len() == 1 && findings.notes[0].contains("p has 12, l has 6"), "{:?}", findings.notes);
    findings.partitions.insert("l".into(), 12);
    findings.notes.clear();
    shared_by_models(&config(CONFIG), &["a"], &mut findings);
    assert_eq!(findings.notes, Vec::<String>::new());
}
