//! The state in its topic on a real broker: what the mock cannot show. An owner commits, is fenced, leaves a transaction open; another process goes on.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use driftgate::checkpoint::{Checkpoint, SourceState, Store};
use driftgate::cluster::error::{ClusterError, Outcome};
use driftgate::cluster::producer::{ClaimAt, Producer, Record, fence};
use driftgate::cluster::state_log::{Commits, Held, Restored, StateLog, restore};
use driftgate::sink::Item;
use driftgate_core::intake::Setup;
use driftgate_core::pipeline::Pipeline;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::broker;

#[allow(dead_code, reason = "the tests beside the code make up more")]
#[path = "../../../src/checkpoint/made.rs"]
mod made;

const WAIT: Duration = Duration::from_secs(30);

/// Topics of a cluster of one unit.
struct Cluster {
    state: String,
    units: String,
    properties: BTreeMap<String, String>,
    member: BaseConsumer,
}

/// The owner's commits, as the daemon makes them.
struct Owner {
    cluster: Arc<Cluster>,
    producer: Producer,
    id: String,
    seq: AtomicU64,
    /// Transactions without a claim.
    added: AtomicU64,
}

impl Cluster {
    fn new(name: &str) -> Arc<Self> {
        let (state, units) = (broker::topic(&format!("{name}-state"), 1), broker::topic(&format!("{name}-units"), 1));
        let properties = [("bootstrap.servers", broker::brokers()), ("group.id", format!("{state}-group"))];
        let properties: BTreeMap<String, String> = properties.map(|(k, v)| (k.to_owned(), v)).into();
        let mut config = ClientConfig::new();
        for (k, v) in &properties {
            config.set(k, v);
        }
        Arc::new(Self { state, units, properties, member: config.create().unwrap() })
    }

    /// The committed claim.
    fn claim(&self) -> Option<(u64, String)> {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.units, 0);
        let found = self.member.committed_offsets(list, WAIT).unwrap();
        let at = found.find_partition(&self.units, 0).unwrap();
        match at.offset() {
            Offset::Offset(seq) => Some((seq as u64, at.metadata().to_owned())),
            _ => None,
        }
    }

    fn id(&self, instance: &str) -> String {
        format!("{}-{instance}", self.state)
    }

    fn owner(self: &Arc<Self>, instance: &str, seq: u64) -> Arc<Owner> {
        let id = self.id(instance);
        let producer = Producer::new(&self.properties, &id, WAIT).unwrap();
        Arc::new(Owner { cluster: Arc::clone(self), producer, id, seq: seq.into(), added: 0.into() })
    }

    fn restore(&self, seq: Option<u64>, folder: &Path, within: Duration) -> Result<Restored, ClusterError> {
        let until = Instant::now() + within;
        restore(&self.properties, (&self.state, 0), "all", seq, folder, &|| Instant::now() > until)
    }
}

impl Commits for Owner {
    fn next(&self) -> (u64, String) {
        (self.seq.load(Ordering::SeqCst) + 1, self.id.clone())
    }

    fn commit(&self, records: &[Record]) -> Outcome {
        let (seq, metadata) = self.next();
        let claim = ClaimAt { topic: self.cluster.units.clone(), partition: 0, seq, metadata };
        let outcome = self.producer.commit(records, Some((&claim, &|| self.cluster.member.group_metadata())));
        if outcome == Outcome::Done {
            self.seq.store(seq, Ordering::SeqCst);
        }
        outcome
    }

    fn add(&self, records: &[Record]) -> Outcome {
        self.added.fetch_add(1, Ordering::SeqCst);
        self.producer.commit(records, None)
    }
}

/// A model with so many predictions that wait for labels: a chunk for each 65,536.
fn pipeline(rows: i64) -> Pipeline {
    let pipeline = Pipeline::new(made::policy(), Setup::default(), 1);
    made::enter(&pipeline, 0..rows);
    pipeline
}

/// A state whose position is its number; its outbox makes the manifest large.
fn state(pipeline: &mut Pipeline, number: i64, outbox: usize) -> Checkpoint {
    let item = Item::Verdict {
        model: "m".into(),
        version: "1".into(),
        group: "g".into(),
        end_ms: number,
        json: number.to_string().repeat(outbox),
    };
    Checkpoint { outbox: vec![item], pipelines: made::of(pipeline).pipelines, ..made::checkpoint(number) }
}

/// The number of the state in a folder, with its rows and the bytes of its outbox.
fn loaded(folder: &Path) -> (i64, usize, usize) {
    let mut checkpoint = Store::open(folder).unwrap().load().unwrap().unwrap();
    let mut bytes = 0;
    checkpoint.chunks(&mut |chunk| bytes += chunk.bytes().len());
    (checkpoint.sources[0].next_offset.unwrap(), bytes, checkpoint.outbox.iter().map(Item::bytes).sum())
}

#[test]
fn another_process_goes_on_with_the_state_that_the_claim_names() {
    let cluster = Cluster::new("takeover");
    let fresh = tempfile::tempdir().unwrap();
    // A cluster that begins.
    let nothing = cluster.restore(None, fresh.path(), WAIT).unwrap();
    assert_eq!((nothing, cluster.claim()), (Restored { seq: 0, held: Held::default(), bytes: 0 }, None));
    let owner = cluster.owner("a", 0);
    let log = StateLog::new(cluster.state.clone(), "all", Arc::clone(&owner) as Arc<dyn Commits>, Held::default());
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap().publishing(Arc::new(log));
    // Twelve blocks are more than one transaction takes.
    let mut many = pipeline(12 * 65_536 + 5);
    let first = store.save(&mut state(&mut many, 1, 3_000_000)).unwrap();
    let second = store.save(&mut state(&mut many, 2, 10)).unwrap();
    store.save(&mut state(&mut many, 3, 2_000_000)).unwrap();
    assert!(owner.added.load(Ordering::SeqCst) >= 1 && first > 10 * second, "{first} and {second} bytes");
    assert_eq!(cluster.claim(), Some((3, owner.id.clone())));
    let expected = loaded_of(&mut state(&mut many, 3, 2_000_000));
    for (seq, expected_bytes) in [(Some(3), true), (Some(3), false), (None, false)] {
        let began = Instant::now();
        let restored = cluster.restore(seq, fresh.path(), WAIT).unwrap();
        println!("{} bytes in {:?}", restored.bytes, began.elapsed());
        assert_eq!(restored.seq, 3);
        assert!(!expected_bytes || 2 * restored.bytes > first);
        assert_eq!(loaded(fresh.path()), expected);
    }
    // The next owner fences the first, goes on, and writes only what is new.
    fence(&cluster.properties, &owner.id, WAIT).unwrap();
    let restored = cluster.restore(Some(3), fresh.path(), WAIT).unwrap();
    let next = cluster.owner("b", 3);
    let log = StateLog::new(cluster.state.clone(), "all", Arc::clone(&next) as Arc<dyn Commits>, restored.held);
    let taken = Store::open(fresh.path()).unwrap().publishing(Arc::new(log));
    let mut checkpoint = taken.load().unwrap().unwrap();
    checkpoint.sources[0].next_offset = Some(4);
    checkpoint.outbox.clear();
    assert!(taken.save(&mut checkpoint).unwrap() < 2 * second);
    assert_eq!(cluster.claim(), Some((4, next.id.clone())));
    // The first commits nothing more, and its checkpoint stays where it was.
    let refused = store.save(&mut state(&mut many, 5, 10)).unwrap_err().to_string();
    assert!(refused.contains("not known whether state 4 was committed"), "{refused}");
    assert_eq!(cluster.claim(), Some((4, next.id.clone())));
    drop(taken);
    let third = tempfile::tempdir().unwrap();
    assert_eq!(cluster.restore(None, third.path(), WAIT).unwrap().seq, 4);
    assert_eq!(loaded(third.path()).0, 4);
    // The state before is there as well.
    assert_eq!(cluster.restore(Some(3), third.path(), WAIT).unwrap().seq, 3);
    assert_eq!(loaded(third.path()), expected);
}

fn loaded_of(checkpoint: &mut Checkpoint) -> (i64, usize, usize) {
    let mut bytes = 0;
    checkpoint.chunks(&mut |chunk| bytes += chunk.bytes().len());
    (checkpoint.sources[0].next_offset.unwrap(), bytes, checkpoint.outbox.iter().map(Item::bytes).sum())
}

#[test]
fn what_a_dead_owner_left_open_is_waited_for_and_never_read() {
    let cluster = Cluster::new("open");
    let owner = cluster.owner("a", 0);
    let log = StateLog::new(cluster.state.clone(), "all", Arc::clone(&owner) as Arc<dyn Commits>, Held::default());
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap().publishing(Arc::new(log));
    let mut few = pipeline(10);
    store.save(&mut state(&mut few, 1, 10)).unwrap();
    // Another process under this id began a transaction, and died.
    let open = broker::open_transaction(&cluster.state, [(0, "all/manifest/1/0".to_owned(), b"half".to_vec())]);
    let fresh = tempfile::tempdir().unwrap();
    // The claim says what is looked for; without one the newest may be in that transaction.
    assert_eq!(cluster.restore(Some(1), fresh.path(), WAIT).unwrap().seq, 1);
    let early = cluster.restore(None, fresh.path(), Duration::from_secs(3));
    assert!(matches!(early, Err(ClusterError::Stopped)), "{early:?}");
    fence(&cluster.properties, &format!("{}-writer", cluster.state), WAIT).unwrap();
    assert_eq!(cluster.restore(None, fresh.path(), WAIT).unwrap().seq, 1);
    assert_eq!(loaded(fresh.path()).0, 1);
    drop(open);
}

#[test]
fn a_topic_that_is_missing_is_named() {
    let cluster = Cluster::new("missing");
    let fresh = tempfile::tempdir().unwrap();
    for seq in [None, Some(1)] {
        let missing =
            restore(&cluster.properties, ("no-such-state", 0), "all", seq, fresh.path(), &|| false).unwrap_err();
        assert!(
            missing.to_string().contains("\"no-such-state\" does not exist; `driftgate cluster topics"),
            "{missing}"
        );
    }
    let producer = cluster.owner("a", 0);
    let record =
        Record { topic: "no-such-state".into(), partition: 0, key: b"k".to_vec(), payload: Some(b"p".to_vec()) };
    let refused = producer.producer.commit(std::slice::from_ref(&record), None);
    assert!(matches!(&refused, Outcome::Refused(why) if why.contains("no-such-state")), "{refused:?}");
    // The same producer goes on.
    let there = Record { topic: cluster.state.clone(), ..record };
    assert_eq!(producer.producer.commit(&[there], None), Outcome::Done);
}
