//! What is decided once for all shards of a unit: which baseline a version is counted against. Whoever evaluates decides, in the commit that has
//! the decision in its state; every process reads the decisions of all units, and its shards count by them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rdkafka::consumer::Consumer as _;
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde::{Deserialize, Serialize};

use super::sets::{SetsError, Unreadable, reader};
use crate::telemetry::events::cluster::SetsUnreadable;
use crate::transaction::Record;
use driftgate_core::pipeline::lock;

/// Between two looks whether something came.
const LOOK: Duration = Duration::from_millis(10);

/// A version of a unit's model.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Of {
    /// The key of the unit that evaluates.
    pub unit: String,
    pub model: String,
    pub version: String,
}

/// What a version is counted against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The baseline of this digest.
    Baseline { sha256: String },
    /// None: why none could be loaded.
    Without { why: String },
}

/// The record of a decision.
#[must_use]
pub fn record(topic: &str, of: &Of, decision: &Decision) -> Record {
    // Texts can be written.
    Record {
        topic: topic.to_owned(),
        partition: 0,
        key: serde_json::to_vec(of).unwrap_or_default(),
        payload: serde_json::to_vec(decision).ok(),
    }
}

/// The decisions of all units, as far as they were read.
#[derive(Clone, Debug, Default)]
pub struct Decisions(Arc<Mutex<BTreeMap<Of, Decision>>>);

impl Decisions {
    #[must_use]
    pub fn of(&self, of: &Of) -> Option<Decision> {
        lock(&self.0).get(of).cloned()
    }

    fn take(&self, key: &[u8], payload: Option<&[u8]>) -> Result<(), serde_json::Error> {
        let of: Of = serde_json::from_slice(key)?;
        match payload {
            Some(payload) => drop(lock(&self.0).insert(of, serde_json::from_slice(payload)?)),
            None => drop(lock(&self.0).remove(&of)),
        }
        Ok(())
    }

    /// Reads the topic until `stops`, on a thread of its own.
    ///
    /// # Errors
    /// Properties that librdkafka refuses; a system without threads.
    pub fn follow(
        &self,
        properties: &BTreeMap<String, String>,
        topic: &str,
        stops: impl Fn() -> bool + Send + 'static,
    ) -> anyhow::Result<JoinHandle<()>> {
        let consumer = reader(properties, topic)?;
        let failed = |cause| SetsError::Topic { topic: topic.to_owned(), cause };
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, 0, Offset::Beginning).map_err(failed)?;
        consumer.assign(&list).map_err(failed)?;
        let (decisions, topic) = (self.clone(), topic.to_owned());
        let work = move || {
            let mut unreadable = Unreadable::default();
            while !stops() {
                let taken = match consumer.poll(Duration::ZERO) {
                    None => {
                        thread::sleep(LOOK);
                        continue;
                    }
                    Some(Err(e)) => {
                        unreadable.client(&topic, &e);
                        continue;
                    }
                    Some(Ok(message)) => decisions
                        .take(message.key().unwrap_or_default(), message.payload())
                        .map_err(|e| format!("the record at offset {} is none of ours: {e}", message.offset())),
                };
                if let Err(why) = taken {
                    SetsUnreadable { topic: &topic, why: &why }.emit();
                }
            }
        };
        Ok(thread::Builder::new().name("decisions".into()).spawn(work)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_decision_over_a_version_holds() {
        let decisions = Decisions::default();
        let of = |version: &str| Of { unit: "u~1".into(), model: "m".into(), version: version.into() };
        let take = |version: &str, decision: &Decision| {
            let record = record("control", &of(version), decision);
            decisions.take(&record.key, record.payload.as_deref()).unwrap();
        };
        let (first, second) = (Decision::Without { why: "no file".into() }, Decision::Baseline { sha256: "ab".into() });
        take("1", &first);
        take("2", &second);
        assert_eq!((decisions.of(&of("1")), decisions.of(&of("2"))), (Some(first), Some(second.clone())));
        take("1", &second);
        assert_eq!((decisions.of(&of("1")), decisions.of(&of("3"))), (Some(second), None));
        let key = record("control", &of("1"), &Decision::Without { why: String::new() }).key;
        decisions.take(&key, None).unwrap();
        assert_eq!(decisions.of(&of("1")), None);
        assert!(decisions.take(b"x", None).is_err() && decisions.take(&key, Some(b"{}")).is_err());
    }
}
