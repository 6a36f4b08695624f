//! Names and sentences of readiness are what they were: operators and probes read them.

use super::*;

fn names(model: &str, version: &str) -> (String, String) {
    (model.to_owned(), version.to_owned())
}

/// One reason of each kind.
fn reasons() -> Vec<NotReady> {
    let (topic, part) = ("p".to_owned(), "sink mlflow".to_owned());
    let (model, version, why) = ("m".to_owned(), "7".to_owned(), "no such file".to_owned());
    vec![
        NotReady::NotAsked,
        NotReady::Brokers { error: "no broker answers".into() },
        NotReady::OtherDaemon { who: "host-1".into() },
        NotReady::CheckpointFailed { error: "no space".into() },
        NotReady::CheckpointSlow { seconds: 11 },
        NotReady::NoBaseline { model: model.clone(), version: version.clone(), why: why.clone() },
        NotReady::SnapshotUnreadable { model, version, why: why.clone() },
        NotReady::InputUnreadable { topic: topic.clone(), summary: "95 of the last 100 events".into() },
        NotReady::Replaced { topic: topic.clone(), before: "old".into(), now: "new".into() },
        NotReady::Halted { topic: topic.clone(), partition: 3, why: why.clone() },
        NotReady::Still { topic: topic.clone(), partition: 3, lag: 9, seconds: 30, client: Some("timed out".into()) },
        NotReady::Still { topic: topic.clone(), partition: 3, lag: 9, seconds: 30, client: None },
        NotReady::WaitsForBaseline {
            topic: topic.clone(),
            partition: 3,
            versions: vec![names("m", "7"), names("n", "8")],
            more: true,
            since_ms: 0,
        },
        NotReady::WaitsForBaseline { topic, partition: 3, versions: vec![], more: false, since_ms: 0 },
        NotReady::Undelivered { part, why },
        NotReady::LedgerNotReached,
        NotReady::Starting,
    ]
}

#[test]
fn every_reason_has_its_name_and_sentence() {
    let told: Vec<String> = reasons().iter().map(|reason| format!("{}: {reason}", reason.latch())).collect();
    let expected = [
        "kafka: not asked yet",
        "kafka: no broker answers",
        "the consumer group: another driftgate was reading for this group, host-1: waiting whether it still does",
        "checkpoint: no space; the last one stays, and a restart would go on from there",
        "checkpoint: the checkpoint is being written for 11 s without an end, and windows wait meanwhile: look at the disk of the state folder",
        "version 7 of m: the state does not hold its baseline, so that it is waited for: no such file",
        "the snapshot of version 7 of m: its snapshot cannot be read, its counts go on against the baseline that the state holds, and it is tried \
         again: no such file",
        "p is unreadable: 95 of the last 100 events",
        "p was made anew: the topic \"p\" was deleted and made anew: its id is new, the offsets that were counted up to are those of old. Nothing of it \
         is read, since they mean other records now. To read it from its beginning, start driftgate once with --accept-new-topic p=new",
        "p/3: no such file",
        "p/3: p/3: 9 messages wait, and none was read for 30 s (the Kafka client: timed out): look whether its broker answers, and whether a batch \
         of records is damaged or larger than receive.message.max.bytes",
        "p/3: p/3: 9 messages wait, and none was read for 30 s: look whether its broker answers, and whether a batch of records is damaged or \
         larger than receive.message.max.bytes",
        "counting of p/3: it waits for the baseline of version \"7\" of m, version \"8\" of n and others since 1970-01-01T00:00:00Z, and nothing is \
         counted of it: look whether the snapshot's store answers",
        "counting of p/3: it waits for the baseline of a version since 1970-01-01T00:00:00Z, and nothing is counted of it: look whether the \
         snapshot's store answers",
        "delivery: sink mlflow: no such file",
        "the cluster's ledger: its copy of the registry has not reached the end of the cluster's ledger yet",
        "daemon: is starting",
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_latch_is_held_by_its_last_reason_until_it_is_released() {
    let mut readiness = Readiness::default();
    assert!(readiness.is_empty() && !readiness.release(&Latch::Kafka));
    assert!(!readiness.hold(NotReady::NotAsked));
    assert!(readiness.hold(NotReady::Brokers { error: "away".into() }));
    assert!(!readiness.hold(NotReady::CheckpointSlow { seconds: 11 }));
    assert_eq!(serde_json::to_value(&readiness).unwrap()["kafka"], "away");
    assert_eq!(readiness.by_name().keys().collect::<Vec<_>>(), ["checkpoint", "kafka"]);
    assert!(readiness.release(&Latch::Kafka) && !readiness.holds(&Latch::Kafka));
    assert!(readiness.reason(&Latch::Checkpoint).is_some());
    // Each reason of the list holds the latch that it names.
    for reason in reasons() {
        let latch = reason.latch();
        readiness.hold(reason);
        assert!(readiness.release(&latch));
    }
    assert!(readiness.is_empty());
}
