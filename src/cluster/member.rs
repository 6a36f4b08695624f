//! This process's membership of the group: the coordinator assigns the unit to one member, and takes it back only once that member has
//! committed a last time. Which members there are, and what the group has committed, is asked of the brokers here, too.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, ConsumerGroupMetadata, Rebalance};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::assigned;
use crate::source::kafka::{Listener, Own, metadata_of};
use driftgate_core::pipeline::lock;

/// The partition of the topic of units that stands for the one unit.
pub const SLOT: i32 = 0;
/// Between two looks at the client.
const LOOK: Duration = Duration::from_millis(20);
/// How long the coordinator waits for the last commit; a member that takes longer is expelled by it (`max.poll.interval.ms`, 5 min).
const LAST_COMMIT: Duration = Duration::from_secs(120);
/// How long the brokers are waited for when the group is left.
const LEAVING: Duration = Duration::from_millis(1500);

/// What the coordinator decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The unit is this process's.
    Assigned,
    /// The unit is wanted back, once `Membership::give_back` was called.
    Revoked,
    /// The unit is another process's already.
    Lost,
}

/// Another process of the group, or this one, as the coordinator lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub instance: String,
    pub advertise: String,
    pub host: String,
    /// The unit is assigned to it.
    pub owns: bool,
}

/// An offset that the group has committed, and its metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    pub offset: u64,
    pub metadata: String,
}

/// Which group is joined, and as whom.
#[derive(Clone, Debug)]
pub struct Identity {
    pub group: String,
    pub instance: String,
    pub advertise: String,
    pub units_topic: String,
    pub session: Duration,
}

/// What is done when the coordinator gives the unit, and takes it back.
struct Assignments {
    units_topic: String,
    changes: Mutex<Sender<Change>>,
    /// Nothing is counted here any more.
    is_free: (Mutex<bool>, Condvar),
    /// The group is being left: a unit that is assigned meanwhile is counted nowhere here.
    leaving: Arc<AtomicBool>,
}

impl Assignments {
    fn tell(&self, change: Change) {
        // Whoever listens ends with the process.
        let _ = lock(&self.changes).send(change);
    }

    fn set_free(&self, is_free: bool) {
        let (free, changed) = &self.is_free;
        *lock(free) = is_free;
        changed.notify_all();
    }

    fn wait_until_free(&self) {
        let (free, changed) = &self.is_free;
        let waits = |free: &mut bool| !*free && !self.leaving.load(Ordering::Relaxed);
        drop(changed.wait_timeout_while(lock(free), LAST_COMMIT, waits));
    }

    fn has_slot(&self, list: &TopicPartitionList) -> bool {
        list.find_partition(&self.units_topic, SLOT).is_some()
    }
}

/// Its log has what the group's other members do to it.
impl Own for Assignments {
    const WARNS: bool = true;
}

impl ConsumerContext for Listener<Assignments> {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Revoke(list) if self.own.has_slot(list) => {
                if consumer.assignment_lost() {
                    self.own.tell(Change::Lost);
                } else {
                    self.own.tell(Change::Revoked);
                    self.own.wait_until_free();
                }
            }
            _ => {}
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) if self.own.has_slot(list) => {
                // Nothing is to be fetched: there are no records.
                let _ = consumer.pause(list);
                self.own.set_free(false);
                self.own.tell(Change::Assigned);
            }
            _ => {}
        }
    }
}

/// The membership, kept alive by a thread.
pub struct Membership {
    identity: Identity,
    consumer: Arc<BaseConsumer<Listener<Assignments>>>,
    leaving: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Membership {
    /// Joins the group. Members are dynamic: librdkafka lets a static member leave only by the end of its session, and a handover would take as
    /// long.
    ///
    /// # Errors
    /// Properties that librdkafka refuses; a system without threads.
    pub fn join(
        properties: &BTreeMap<String, String>,
        identity: Identity,
        changes: Sender<Change>,
    ) -> anyhow::Result<Self> {
        let mut config = ClientConfig::new();
        config.set("heartbeat.interval.ms", (identity.session.as_millis() / 4).clamp(100, 3000).to_string());
        for (key, value) in properties {
            config.set(key, value);
        }
        config
            .set("group.id", &identity.group)
            .set("client.id", format!("{}@{}", identity.instance, identity.advertise))
            .set("session.timeout.ms", identity.session.as_millis().to_string())
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // The committed offset is a sequence number, and there are no records.
            .set("auto.offset.reset", "latest");
        let leaving = Arc::new(AtomicBool::new(false));
        let own = Assignments {
            leaving: Arc::clone(&leaving),
            units_topic: identity.units_topic.clone(),
            changes: Mutex::new(changes),
            is_free: (Mutex::new(true), Condvar::new()),
        };
        let consumer: BaseConsumer<Listener<Assignments>> = config.create_with_context(Listener::new(own))?;
        let consumer = Arc::new(consumer);
        consumer.subscribe(&[&identity.units_topic])?;
        let (polled, ends) = (Arc::clone(&consumer), Arc::clone(&leaving));
        let work = move || {
            while !ends.load(Ordering::Relaxed) {
                if polled.poll(Duration::ZERO).is_none() {
                    thread::sleep(LOOK);
                }
            }
            leave(&polled);
        };
        let thread = thread::Builder::new().name("membership".into()).spawn(work)?;
        Ok(Self { identity, consumer, leaving, thread: Mutex::new(Some(thread)) })
    }

    /// What the coordinator knows this member by, to be put into a transaction.
    #[must_use]
    pub fn metadata(&self) -> Option<ConsumerGroupMetadata> {
        self.consumer.group_metadata()
    }

    /// Nothing is counted here any more: the coordinator may give the unit to another process.
    pub fn give_back(&self) {
        self.consumer.context().own.set_free(true);
    }

    /// Leaves the group, which gives the unit to another member at once; waits a moment for the brokers.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
        // Whoever waits looks again.
        self.give_back();
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            // Whatever it panicked for, the process ends.
            let _ = thread.join();
        }
    }

    /// What the group has committed for the first partition of a topic, once no transaction is open over it; `None` where it has committed
    /// nothing.
    ///
    /// # Errors
    /// Brokers that do not answer in time, or a transaction that stays open.
    pub fn committed(&self, topic: &str, within: Duration) -> Result<Option<Committed>, KafkaError> {
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition(topic, SLOT);
        let found = self.consumer.committed_offsets(list, within)?;
        let metadata = metadata_of(&found).into_iter().next().unwrap_or_default();
        let metadata = String::from_utf8_lossy(&metadata).into_owned();
        Ok(found.find_partition(topic, SLOT).and_then(|element| match element.offset() {
            Offset::Offset(offset) => Some(Committed { offset: offset.try_into().ok()?, metadata }),
            _ => None,
        }))
    }

    /// The members of the group.
    ///
    /// # Errors
    /// Brokers that do not answer in time.
    pub fn members(&self, within: Duration) -> Result<Vec<Listed>, KafkaError> {
        let list = self.consumer.fetch_group_list(Some(&self.identity.group), within)?;
        let members = list.groups().iter().filter(|group| group.name() == self.identity.group).flat_map(|group| {
            group.members().iter().filter_map(|member| {
                let (instance, advertise) = member.client_id().split_once('@')?;
                let owns = member.assignment().is_some_and(|bytes| {
                    assigned::partitions(bytes)
                        .is_some_and(|all| all.contains(&(self.identity.units_topic.clone(), SLOT)))
                });
                Some(Listed {
                    instance: instance.to_owned(),
                    advertise: advertise.to_owned(),
                    host: member.client_host().trim_start_matches('/').to_owned(),
                    owns,
                })
            })
        });
        let mut members: Vec<Listed> = members.collect();
        members.sort_by(|a, b| a.instance.cmp(&b.instance));
        Ok(members)
    }
}

/// Leaves the group: the member's last words, for which the client is served a moment.
fn leave(consumer: &BaseConsumer<Listener<Assignments>>) {
    consumer.unsubscribe();
    let until = Instant::now() + LEAVING;
    while Instant::now() < until && consumer.assignment().is_ok_and(|list| list.count() > 0) {
        let _ = consumer.poll(LOOK);
    }
    // The request to leave follows the assignment's end.
    let until = Instant::now() + Duration::from_millis(100);
    while Instant::now() < until {
        let _ = consumer.poll(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use rdkafka::mocking::MockCluster;

    use super::*;

    #[test]
    fn a_unit_that_is_assigned_while_the_group_is_left_is_not_waited_for() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("units", 1, 1).unwrap();
        let properties = [("bootstrap.servers".to_owned(), cluster.bootstrap_servers())].into();
        let identity = Identity {
            group: "g".into(),
            instance: "a".into(),
            advertise: "http://a".into(),
            units_topic: "units".into(),
            session: Duration::from_secs(6),
        };
        let (changes, decided) = channel();
        let membership = Membership::join(&properties, identity, changes).unwrap();
        assert_eq!(decided.recv_timeout(Duration::from_secs(30)), Ok(Change::Assigned));
        // As where the assignment comes between the last look at it and the end.
        membership.give_back();
        membership.consumer.context().own.set_free(false);
        let begun = Instant::now();
        membership.leave();
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    }
}
