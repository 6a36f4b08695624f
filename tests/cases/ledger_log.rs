//! The registry's log on a real Kafka: an owner that writes, others that read.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use driftgate::cluster::ledger_log::{LedgerLog, Opening, Place, Tail, WithGroup, opening, trim};
use driftgate::ledger::{ChangeLog, Embedded, RegistryError, Role};
use driftgate::transaction::Producer;
use driftgate_core::promotion::version::Registration;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::broker::{brokers, topic};

const WAIT: Duration = Duration::from_secs(30);

struct Cluster {
    folder: tempfile::TempDir,
    topic: String,
    owner_topic: String,
    properties: BTreeMap<String, String>,
    member: Arc<BaseConsumer>,
}

impl Cluster {
    fn new(name: &str) -> Self {
        let (topic, owner_topic) = (topic(&format!("{name}-ledger"), 1), topic(&format!("{name}-owner"), 1));
        let properties: BTreeMap<String, String> =
            [("bootstrap.servers", brokers()), ("group.id", topic.clone())].map(|(k, v)| (k.to_owned(), v)).into();
        let mut config = ClientConfig::new();
        for (k, v) in &properties {
            config.set(k, v);
        }
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key.pem");
        driftgate::audit_key::open(&key).unwrap();
        Self { folder, topic, owner_topic, properties, member: Arc::new(config.create().unwrap()) }
    }

    fn registry(&self, name: &str) -> Arc<Embedded> {
        let path = self.folder.path().join(name).join("registry.db");
        Arc::new(Embedded::open_shared(&path, &self.folder.path().join("key.pem"), WAIT).unwrap())
    }

    fn tail(&self, registry: &Arc<Embedded>) -> Tail {
        Tail::start(&self.properties, &self.topic, Arc::clone(registry), |_| {}).unwrap()
    }

    /// Takes over as a process does: fences, reads to the end, and writes from then on.
    fn own(&self, registry: &Arc<Embedded>, tail: &Tail) -> Arc<LedgerLog> {
        let producer = Arc::new(Producer::new(&self.properties, &format!("{}-ledger", self.topic), WAIT).unwrap());
        let place = tail.catch_up(Instant::now() + WAIT, &|| false).unwrap();
        let member = Arc::clone(&self.member);
        let commit = WithGroup { producer, metadata: move || member.group_metadata() };
        let id = || registry.likeness().unwrap().id;
        let log = Arc::new(LedgerLog::new(Box::new(commit), &self.topic, &self.owner_topic, "{}", &id()));
        if let Opening::Publish(seq) = opening(self.claim(), place.seen.newest, place.seen.seq).unwrap() {
            log.begin(registry, seq).unwrap();
        }
        registry.set_role(Role::Owner(Arc::clone(&log) as Arc<dyn ChangeLog>)).unwrap();
        log
    }

    fn claim(&self) -> Option<u64> {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.owner_topic, 0);
        let found = self.member.committed_offsets(list, WAIT).unwrap();
        match found.elements().first().unwrap().offset() {
            Offset::Offset(offset) => Some(offset as u64),
            _ => None,
        }
    }
}

fn register(registry: &Embedded, version: &str) -> Result<(), RegistryError> {
    let new = Registration { model: "m".into(), version: version.into(), ..Registration::default() };
    registry.register(&new, "ci", 1).map(drop)
}

fn whole(registry: &Embedded) -> Vec<u8> {
    let mut out = Vec::new();
    registry
        .export(&mut |_, bytes, _| {
            out.extend_from_slice(bytes);
            Ok(())
        })
        .unwrap();
    out
}

fn caught_up(tail: &Tail) -> Place {
    tail.catch_up(Instant::now() + WAIT, &|| false).unwrap()
}

fn copies_equal(owner: &Path, other: &Path) {
    // With the tools of a user, too.
    for path in [owner, other] {
        assert!(path.join("registry.audit-key").exists(), "{}", path.display());
    }
}

#[test]
fn every_process_follows_the_registrys_owner_and_knows_how_old_its_copy_is() {
    let cluster = Cluster::new("follow");
    let (owner, other) = (cluster.registry("a"), cluster.registry("b"));
    register(&owner, "before").unwrap();
    let changes = Arc::new(AtomicU64::new(0));
    let heard = Arc::clone(&changes);
    let tail = Tail::start(&cluster.properties, &cluster.topic, Arc::clone(&other), move |seq| {
        heard.store(seq, Ordering::Relaxed);
    })
    .unwrap();
    let place = caught_up(&tail);
    assert_eq!((place.seen.seq, place.seen.newest), (None, None), "the log is empty");
    let owners = cluster.tail(&owner);
    cluster.own(&owner, &owners);
    assert_eq!(cluster.claim(), Some(1));
    let begun = Instant::now();
    for n in 0..30 {
        register(&owner, &n.to_string()).unwrap();
    }
    let each = begun.elapsed() / 30;
    let begun = Instant::now();
    let place = caught_up(&tail);
    eprintln!("a write through the log takes {each:?}; the copy had the last one after {:?}", begun.elapsed());
    assert_eq!((place.seen.seq, cluster.claim(), changes.load(Ordering::Relaxed)), (Some(31), Some(31), 31));
    assert!(whole(&owner) == whole(&other));
    copies_equal(&cluster.folder.path().join("a"), &cluster.folder.path().join("b"));
    assert_eq!(caught_up(&owners).seen.problem, None);
    // Nothing is written, and the copy knows that it has everything.
    std::thread::sleep(Duration::from_secs(5));
    let age = driftgate::clock::now_ms() - tail.at().reached_ms.unwrap();
    assert!(age < 3000, "{age} ms");
    // A change of more bytes than a record takes, and one after a restart.
    owner.record_verdict("m", "0", "drift", 1, &"v".repeat(2_500_000)).unwrap();
    drop((tail, other));
    let other = cluster.registry("b");
    let tail = cluster.tail(&other);
    assert_eq!(caught_up(&tail).seen.seq, Some(32));
    assert!(whole(&owner) == whole(&other));
}

#[test]
fn an_owner_that_was_fenced_writes_nothing_more_and_the_next_one_goes_on() {
    let cluster = Cluster::new("fence");
    let (first, second) = (cluster.registry("a"), cluster.registry("b"));
    let (first_tail, second_tail) = (cluster.tail(&first), cluster.tail(&second));
    cluster.own(&first, &first_tail);
    register(&first, "1").unwrap();
    second.set_role(Role::Standby { owner: None }).unwrap();
    cluster.own(&second, &second_tail);
    register(&second, "2").unwrap();
    let refused = register(&first, "zombie").unwrap_err();
    assert!(matches!(&refused, RegistryError::Log { .. }), "{refused}");
    assert!(register(&first, "zombie").is_err());
    register(&second, "3").unwrap();
    assert!(first.version("m", "zombie").unwrap().is_none());
    drop((first_tail, first));
    let first = cluster.registry("a");
    first.set_role(Role::Standby { owner: None }).unwrap();
    let tail = cluster.tail(&first);
    assert_eq!(caught_up(&tail).seen.seq, Some(4));
    assert!(whole(&first) == whole(&second));
    assert_eq!(cluster.claim(), Some(4));
}

#[test]
fn a_log_that_was_cut_behind_a_snapshot_brings_everybody_up() {
    let cluster = Cluster::new("trim");
    let (owner, behind) = (cluster.registry("a"), cluster.registry("b"));
    let (tail, behinds) = (cluster.tail(&owner), cluster.tail(&behind));
    let log = cluster.own(&owner, &tail);
    register(&owner, "1").unwrap();
    assert_eq!(caught_up(&behinds).seen.seq, Some(2));
    behinds.pause();
    for n in 0..100 {
        let value = serde_json::json!(format!("{n}{}", "x".repeat(60_000)));
        owner.attach("m", "1", &[("model_card".to_owned(), value)], "ci", 2).unwrap();
    }
    assert!(caught_up(&tail).seen.since_snapshot > 6_000_000);
    let bytes = log.publish(&owner).unwrap();
    let (seq, first) = caught_up(&tail).seen.snapshot.unwrap();
    assert!(seq == 102 && bytes > 5_000_000, "{seq} {bytes}");
    trim(&cluster.properties, (&cluster.topic, 0), first, WAIT).unwrap();
    register(&owner, "2").unwrap();
    behinds.resume();
    assert_eq!(caught_up(&behinds).seen.seq, Some(103));
    let fresh = cluster.registry("c");
    assert_eq!(caught_up(&cluster.tail(&fresh)).seen.seq, Some(103));
    for copy in [&behind, &fresh] {
        assert!(whole(&owner) == whole(copy));
    }
}
