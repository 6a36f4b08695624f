//! This process's membership of the group: the coordinator assigns each slot of the topic of units to one member, and takes it back only once
//! that member has committed a last time. Which members there are, and what the group has committed, is asked of the brokers here, too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, ConsumerGroupMetadata, Rebalance};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList, TopicPartitionListElem};

use super::assigned;
use crate::source::kafka::{Listener, Own, each_metadata};
use crate::telemetry::events::cluster::GivesBackLate;
use driftgate_core::cluster::ownership::Slot;
use driftgate_core::pipeline::lock;

/// Between two looks at the client.
const LOOK: Duration = Duration::from_millis(20);
/// A member hears with a heartbeat that the group changes, and a handover waits for all of them.
const HEARTBEAT_MS: u128 = 400;
/// How long the coordinator waits for the last commit. Meanwhile no member joins, and none gets anything else; whoever has the slot next fences
/// what is still under way, and goes on from the commit before.
const LAST_COMMIT: Duration = Duration::from_secs(30);
/// So often the client's own thread is woken. It waits by the wall clock, and where that is set back it would send no heartbeat for as long.
const WAKE: Duration = Duration::from_millis(500);
/// How long the brokers are waited for when the group is left.
const LEAVING: Duration = Duration::from_millis(1500);

/// What the coordinator decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Slots are this process's.
    Assigned(BTreeSet<Slot>),
    /// Slots are wanted back, each once `Membership::give_back` was called for it.
    Revoked(BTreeSet<Slot>),
    /// Slots are another process's already.
    Lost(BTreeSet<Slot>),
}

/// Who hears what the coordinator decided, before the group goes on.
pub type OnChange = Box<dyn Fn(Change) + Send + Sync>;

/// Another process of the group, or this one, as the coordinator lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub instance: String,
    pub advertise: String,
    pub host: String,
    /// How its configuration divides the models (`units::layout`); empty of a release before.
    pub layout: String,
    /// What is assigned to it.
    pub slots: BTreeSet<Slot>,
}

/// The group, as the coordinator describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// In the coordinator's words, such as `Stable` or `PreparingRebalance`.
    pub state: String,
    /// By instance. While the group changes, nothing is listed as assigned.
    pub members: Vec<Listed>,
}

impl Group {
    /// Whether every member knows what it has.
    #[must_use]
    pub fn is_stable(&self) -> bool {
        self.state == "Stable"
    }
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
    pub layout: String,
}

/// What is done when the coordinator gives slots, and takes them back.
struct Assignments {
    units_topic: String,
    on_change: OnChange,
    held: (Mutex<Held>, Condvar),
    /// The group is being left: what is assigned meanwhile is counted nowhere here.
    leaving: Arc<AtomicBool>,
}

/// What this process has.
#[derive(Default)]
struct Held {
    /// Slots that the coordinator assigned and has not wanted back.
    assigned: BTreeSet<Slot>,
    /// Slots of which something is counted here.
    busy: BTreeSet<Slot>,
}

impl Assignments {
    fn set_free(&self, is_free: impl Fn(Slot) -> bool) {
        let (held, changed) = &self.held;
        lock(held).busy.retain(|slot| !is_free(*slot));
        changed.notify_all();
    }

    fn assigned(&self, slots: &BTreeSet<Slot>) {
        let mut held = lock(&self.held.0);
        held.assigned.extend(slots);
        held.busy.extend(slots);
    }

    fn unassigned(&self, slots: &BTreeSet<Slot>) {
        lock(&self.held.0).assigned.retain(|slot| !slots.contains(slot));
    }

    /// Which of them are not free after so long.
    fn wait_until_free(&self, slots: &BTreeSet<Slot>, within: Duration) -> BTreeSet<Slot> {
        let (held, changed) = &self.held;
        let waits = |held: &mut Held| !held.busy.is_disjoint(slots) && !self.leaving.load(Ordering::Relaxed);
        let waited = changed.wait_timeout_while(lock(held), within, waits);
        let (held, _) = waited.unwrap_or_else(PoisonError::into_inner);
        held.busy.intersection(slots).copied().collect()
    }

    /// Slots are wanted back: they are free, or lost, when this returns.
    fn give_back(&self, slots: &BTreeSet<Slot>, within: Duration) {
        (self.on_change)(Change::Revoked(slots.clone()));
        let busy = self.wait_until_free(slots, within);
        if !busy.is_empty() && !self.leaving.load(Ordering::Relaxed) {
            GivesBackLate { slots: &busy, seconds: within.as_secs_f64() }.emit();
            (self.on_change)(Change::Lost(busy));
        }
    }

    fn slots(&self, list: &TopicPartitionList) -> BTreeSet<Slot> {
        let of_units = list.elements().into_iter().filter(|element| element.topic() == self.units_topic);
        of_units.filter_map(|element| element.partition().try_into().ok()).collect()
    }
}

/// Its log has what the group's other members do to it.
impl Own for Assignments {
    const WARNS: bool = true;
}

impl ConsumerContext for Listener<Assignments> {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let Rebalance::Revoke(list) = rebalance else { return };
        let slots = self.own.slots(list);
        if slots.is_empty() {
            return;
        }
        self.own.unassigned(&slots);
        if consumer.assignment_lost() {
            (self.own.on_change)(Change::Lost(slots));
        } else {
            self.own.give_back(&slots, LAST_COMMIT);
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let Rebalance::Assign(list) = rebalance else { return };
        let slots = self.own.slots(list);
        if slots.is_empty() {
            return;
        }
        // Nothing is to be fetched: there are no records.
        let _ = consumer.pause(list);
        self.own.assigned(&slots);
        (self.own.on_change)(Change::Assigned(slots));
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
        on_change: OnChange,
    ) -> anyhow::Result<Self> {
        let mut config = ClientConfig::new();
        config.set("heartbeat.interval.ms", (identity.session.as_millis() / 4).clamp(100, HEARTBEAT_MS).to_string());
        for (key, value) in properties {
            config.set(key, value);
        }
        config
            .set("group.id", &identity.group)
            .set("client.id", format!("{}@{}#{}", identity.instance, identity.advertise, identity.layout))
            .set("session.timeout.ms", identity.session.as_millis().to_string())
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // The committed offset is a sequence number, and there are no records.
            .set("auto.offset.reset", "latest");
        let leaving = Arc::new(AtomicBool::new(false));
        let own = Assignments {
            units_topic: identity.units_topic.clone(),
            on_change,
            held: (Mutex::default(), Condvar::new()),
            leaving: Arc::clone(&leaving),
        };
        let consumer: BaseConsumer<Listener<Assignments>> = config.create_with_context(Listener::new(own))?;
        let consumer = Arc::new(consumer);
        consumer.subscribe(&[&identity.units_topic])?;
        let (polled, ends) = (Arc::clone(&consumer), Arc::clone(&leaving));
        let work = move || {
            let mut woken = Instant::now();
            while !ends.load(Ordering::Relaxed) {
                if polled.poll(Duration::ZERO).is_none() {
                    thread::sleep(LOOK);
                }
                if woken.elapsed() >= WAKE {
                    woken = Instant::now();
                    // Whatever it is asked, that thread answers.
                    let _ = polled.group_metadata();
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

    /// Nothing is counted of a slot here any more: the coordinator may give it to another process.
    pub fn give_back(&self, slot: Slot) {
        self.consumer.context().own.set_free(|busy| busy == slot);
    }

    /// Something is counted of a slot here once more, unless it is not this process's any more: whether it is.
    #[must_use]
    pub fn take_again(&self, slot: Slot) -> bool {
        let mut held = lock(&self.consumer.context().own.held.0);
        let is_mine = held.assigned.contains(&slot);
        if is_mine {
            held.busy.insert(slot);
        }
        is_mine
    }

    /// Leaves the group, which gives its slots to other members at once; waits a moment for the brokers.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
        // Whoever waits looks again.
        self.consumer.context().own.set_free(|_| true);
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            // Whatever it panicked for, the process ends.
            let _ = thread.join();
        }
    }

    /// What the group has committed for a partition of a topic, once no transaction is open over it; `None` where it has committed nothing.
    ///
    /// # Errors
    /// Brokers that do not answer in time, or a transaction that stays open.
    pub fn committed(&self, topic: &str, slot: Slot, within: Duration) -> Result<Option<Committed>, KafkaError> {
        Ok(self.all_committed(topic, &[slot].into(), within)?.remove(&slot))
    }

    /// The same of several partitions; those for which nothing is committed are left out.
    ///
    /// # Errors
    /// As `committed`.
    pub fn all_committed(
        &self,
        topic: &str,
        slots: &BTreeSet<Slot>,
        within: Duration,
    ) -> Result<BTreeMap<Slot, Committed>, KafkaError> {
        let mut list = TopicPartitionList::with_capacity(slots.len());
        for slot in slots {
            list.add_partition(topic, i32::try_from(*slot).unwrap_or(i32::MAX));
        }
        let found = self.consumer.committed_offsets(list, within)?;
        let of = |(element, metadata): (TopicPartitionListElem<'_>, Option<Vec<u8>>)| {
            let Offset::Offset(offset) = element.offset() else { return None };
            let metadata = String::from_utf8_lossy(&metadata.unwrap_or_default()).into_owned();
            Some((element.partition().try_into().ok()?, Committed { offset: offset.try_into().ok()?, metadata }))
        };
        Ok(found.elements().into_iter().zip(each_metadata(&found)).filter_map(of).collect())
    }

    /// The group and its members.
    ///
    /// # Errors
    /// Brokers that do not answer in time.
    pub fn group(&self, within: Duration) -> Result<Group, KafkaError> {
        let list = self.consumer.fetch_group_list(Some(&self.identity.group), within)?;
        let found = list.groups().iter().find(|group| group.name() == self.identity.group);
        let state = found.map_or_else(|| "Dead".to_owned(), |group| group.state().to_owned());
        let members = found.into_iter().flat_map(|group| {
            group.members().iter().filter_map(|member| {
                let (instance, rest) = member.client_id().split_once('@')?;
                let (advertise, layout) = rest.rsplit_once('#').unwrap_or((rest, ""));
                let assigned = member.assignment().and_then(assigned::partitions).unwrap_or_default();
                let slots = assigned.into_iter().filter(|(topic, _)| *topic == self.identity.units_topic);
                Some(Listed {
                    instance: instance.to_owned(),
                    advertise: advertise.to_owned(),
                    host: member.client_host().trim_start_matches('/').to_owned(),
                    layout: layout.to_owned(),
                    slots: slots.filter_map(|(_, partition)| partition.try_into().ok()).collect(),
                })
            })
        });
        let mut members: Vec<Listed> = members.collect();
        members.sort_by(|a, b| a.instance.cmp(&b.instance));
        Ok(Group { state, members })
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
mod tests;
