//! Every answer of the brokers, from the mock cluster: which outcome it comes to, and whether the producer can go on. The mock keeps neither claims
//! nor producers apart: fencing is tested with a broker.

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey as Api, RDKafkaRespErr, RDKafkaRespErr as E};

use super::super::client::fence;
use super::*;

const WAIT: Duration = Duration::from_secs(10);

struct Mock {
    cluster: MockCluster<'static, DefaultProducerContext>,
    properties: BTreeMap<String, String>,
    member: BaseConsumer,
}

fn mock() -> Mock {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("state", 1, 1).unwrap();
    cluster.create_topic("units", 1, 1).unwrap();
    let brokers = cluster.bootstrap_servers();
    let properties =
        [("bootstrap.servers", brokers.as_str()), ("group.id", "g")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    let member = ClientConfig::new().set("bootstrap.servers", &brokers).set("group.id", "g").create().unwrap();
    Mock { cluster, properties: properties.into(), member }
}

fn record(payload: Option<&str>) -> Record {
    Record { topic: "state".into(), partition: 0, key: b"k".to_vec(), payload: payload.map(|p| p.as_bytes().to_vec()) }
}

fn claim(seq: u64) -> ClaimAt {
    ClaimAt { topic: "units".into(), partition: 0, seq, metadata: "who".into() }
}

impl Mock {
    fn producer(&self, id: &str) -> Producer {
        Producer::new(&self.properties, id, WAIT).unwrap()
    }

    fn commit(&self, producer: &Producer, seq: u64) -> Outcome {
        producer.commit(&[record(Some("p")), record(None)], Some((&claim(seq), &|| self.member.group_metadata())))
    }

    /// Tries again what is refused: connections come back with a pause, and the client purges what failed beside what is sent next.
    fn commits_soon(&self, producer: &Producer) {
        let until = Instant::now() + 6 * WAIT;
        loop {
            match self.commit(producer, 2) {
                Outcome::Done => return,
                Outcome::Refused(_) if Instant::now() < until => {}
                outcome => panic!("{outcome:?}"),
            }
        }
    }
}

#[test]
fn records_and_claim_are_committed_and_the_next_transaction_follows() {
    let mock = mock();
    let producer = mock.producer("a");
    for seq in 1..4 {
        assert_eq!(mock.commit(&producer, seq), Outcome::Done);
    }
    // Many more bytes than the queue takes are no fault.
    let large: Vec<Record> = (0..60).map(|_| record(Some(&"x".repeat(800_000)))).collect();
    assert_eq!(producer.commit(&large, None), Outcome::Done);
    assert_eq!(producer.commit(&[], None), Outcome::Done);
}

#[test]
fn who_is_no_member_commits_nothing() {
    let mock = mock();
    let producer = mock.producer("a");
    let outcome = producer.commit(&[record(Some("p"))], Some((&claim(1), &|| None)));
    assert!(matches!(&outcome, Outcome::Refused(why) if why.contains("no member")), "{outcome:?}");
    assert_eq!(mock.commit(&producer, 2), Outcome::Done);
}

/// What an answer comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comes {
    /// The client asks again by itself.
    Done,
    /// The same is committed by the next call.
    Refused,
    /// Nothing of it is durable, and the producer is never used again.
    Ended,
    /// The producer is never used again.
    Unknown,
}

/// What the next commit comes to.
fn ended(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Ended(why) | Outcome::Unknown(why) => Outcome::Ended(why),
        other => other,
    }
}

#[test]
fn every_answer_comes_to_its_outcome() {
    use Comes::{Done, Ended, Refused, Unknown};
    let answers: [(Api, RDKafkaRespErr, Comes); 21] = [
        (Api::AddPartitionsToTxn, E::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, Refused),
        (Api::AddPartitionsToTxn, E::RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS, Done),
        (Api::AddPartitionsToTxn, E::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, Ended),
        (Api::Produce, E::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, Refused),
        (Api::Produce, E::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, Done),
        (Api::Produce, E::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, Refused),
        (Api::AddOffsetsToTxn, E::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, Refused),
        (Api::AddOffsetsToTxn, E::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, Done),
        (Api::TxnOffsetCommit, E::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, Refused),
        (Api::TxnOffsetCommit, E::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, Refused),
        (Api::TxnOffsetCommit, E::RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID, Refused),
        (Api::TxnOffsetCommit, E::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS, Refused),
        (Api::TxnOffsetCommit, E::RD_KAFKA_RESP_ERR_NOT_COORDINATOR, Done),
        (Api::TxnOffsetCommit, E::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, Ended),
        (Api::EndTxn, E::RD_KAFKA_RESP_ERR_NOT_COORDINATOR, Done),
        (Api::EndTxn, E::RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS, Done),
        (Api::EndTxn, E::RD_KAFKA_RESP_ERR__TRANSPORT, Done),
        (Api::EndTxn, E::RD_KAFKA_RESP_ERR_PRODUCER_FENCED, Unknown),
        (Api::EndTxn, E::RD_KAFKA_RESP_ERR_INVALID_TXN_STATE, Unknown),
        (Api::EndTxn, E::RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID, Unknown),
        (Api::EndTxn, E::RD_KAFKA_RESP_ERR_UNKNOWN, Unknown),
    ];
    for (number, (api, error, comes)) in answers.into_iter().enumerate() {
        let mock = mock();
        let producer = mock.producer(&format!("id-{number}"));
        mock.cluster.request_errors(api, &[error]);
        let outcome = mock.commit(&producer, 1);
        let found = match outcome {
            Outcome::Done => Done,
            Outcome::Refused(_) => Refused,
            Outcome::Ended(_) => Ended,
            Outcome::Unknown(_) => Unknown,
        };
        assert_eq!(found, comes, "{api:?} {error:?}: {outcome:?}");
        match comes {
            Done | Refused => mock.commits_soon(&producer),
            // What was not tried is not unknown.
            Ended | Unknown => assert_eq!(mock.commit(&producer, 2), ended(outcome), "after {api:?} {error:?}"),
        }
    }
}

#[test]
fn a_commit_without_an_answer_is_unknown_and_the_producer_ends() {
    let mock = mock();
    let mut producer = Producer::new(&mock.properties, "a", Duration::from_secs(2)).unwrap();
    assert_eq!(mock.commit(&producer, 1), Outcome::Done);
    // A coordinator that is replaced takes its time.
    let began = Instant::now();
    mock.cluster.request_errors(Api::EndTxn, &[E::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS; 8]);
    assert_eq!(mock.commit(&producer, 2), Outcome::Done);
    assert!(began.elapsed() > Duration::from_secs(2), "{:?}", began.elapsed());
    producer.limits.answered = Duration::from_secs(2);
    mock.cluster.request_errors(Api::EndTxn, &[E::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS; 1000]);
    let outcome = mock.commit(&producer, 2);
    assert!(matches!(&outcome, Outcome::Unknown(why) if why.contains("not known whether")), "{outcome:?}");
    mock.cluster.clear_request_errors(Api::EndTxn);
    assert_eq!(mock.commit(&producer, 3), ended(outcome));
}

#[test]
fn brokers_that_are_away_refuse_and_take_the_same_once_they_are_back() {
    let mock = mock();
    let producer = Producer::new(&mock.properties, "a", Duration::from_secs(2)).unwrap();
    assert_eq!(mock.commit(&producer, 1), Outcome::Done);
    mock.cluster.broker_down(1).unwrap();
    let outcome = mock.commit(&producer, 2);
    assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
    mock.cluster.broker_up(1).unwrap();
    mock.commits_soon(&producer);
}

#[test]
fn an_id_that_cannot_be_taken_says_why() {
    let mock = mock();
    mock.cluster.request_errors(Api::InitProducerId, &[E::RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED; 3]);
    let refused = Producer::new(&mock.properties, "a", WAIT).err().unwrap().to_string();
    assert!(refused.contains("grant it WRITE and DESCRIBE"), "{refused}");
    mock.cluster.clear_request_errors(Api::InitProducerId);
    mock.cluster.broker_down(1).unwrap();
    let late = fence(&mock.properties, "a", Duration::from_secs(1)).err().unwrap().to_string();
    assert!(late.contains("could not be taken within 1 s"), "{late}");
}
