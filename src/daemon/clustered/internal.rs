//! The internal topics are there, with the partitions that they need, before a process joins: what is written to another place, nobody reads.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::cluster::topics::Names;
use crate::daemon::control::Control;
use crate::source::kafka::{KafkaSource, KafkaSourceError};
use crate::telemetry::events::kafka::BrokersAway;
use crate::view::Shared;
use crate::view::readiness::{Latch, NotReady};

/// A question to the brokers takes at most so long, and is asked again after a pause.
const WITHIN: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(20);

/// Waits until the brokers say so; `false` where the daemon stops meanwhile.
///
/// # Errors
/// A topic that is missing, or has other partitions than it needs.
pub fn wait_for_topics(
    properties: &BTreeMap<String, String>,
    (names, units): (&Names, usize),
    view: &Shared,
    control: &Control,
) -> anyhow::Result<bool> {
    let kafka = KafkaSource::new(properties)?;
    let topics: Vec<String> = names.all().into_iter().cloned().collect();
    while !control.is_stopping() {
        match kafka.handle().partitions(&topics, WITHIN) {
            Ok(found) => {
                view.write().readiness.release(&Latch::Kafka);
                let slots = i32::try_from(units + 1).unwrap_or(i32::MAX);
                if let Some(partitions) = found.get(&names.units).filter(|partitions| **partitions < slots) {
                    bail!(
                        "the internal topic {:?} has {partitions} partitions, and {slots} are needed, one for the ledger and one for each unit of models: \
                         stop all processes of the cluster, and add partitions with kafka-topics.sh --alter --topic {} --partitions {slots}",
                        names.units,
                        names.units
                    );
                }
                let is_wrong = |(topic, partitions): &(String, i32)| *topic != names.units && *partitions != 1;
                let Some((topic, partitions)) = found.into_iter().find(is_wrong) else {
                    return Ok(true);
                };
                bail!(
                    "the internal topic {topic:?} has {partitions} partitions, and a cluster needs one: delete it, or set another cluster.topics.prefix, \
                     and create it with `driftgate cluster topics --create`"
                );
            }
            Err(e @ KafkaSourceError::NoTopic { .. }) => {
                bail!("{e}; `driftgate cluster topics --create` makes the internal topics of a cluster")
            }
            Err(e) => {
                BrokersAway { error: &e, pause: Some(PAUSE.as_secs()) }.emit();
                view.write().readiness.hold(NotReady::Brokers { error: e.to_string() });
            }
        }
        let until = Instant::now() + PAUSE;
        while Instant::now() < until && !control.is_stopping() {
            thread::sleep(LOOK);
        }
    }
    Ok(false)
}
