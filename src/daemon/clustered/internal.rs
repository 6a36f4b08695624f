//! What is divided, and the internal topics with the partitions that this needs, before a process joins: what is written to another place, nobody
//! reads.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::cluster::topics::{Names, Partitions};
use crate::config::Division;
use crate::daemon::counting::Daemon;
use crate::daemon::division;
use crate::source::kafka::{KafkaSource, KafkaSourceError};
use crate::telemetry::events::cluster::NotDivided;
use crate::telemetry::events::kafka::BrokersAway;
use crate::view::Shared;
use crate::view::readiness::{Latch, NotReady};

/// A question to the brokers takes at most so long, and is asked again after a pause.
const WITHIN: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(20);

/// What the processes divide, once the brokers say how many partitions there are and that the internal topics are there; `None` where the daemon
/// stops meanwhile.
///
/// # Errors
/// A topic that is missing, or has other partitions than it needs; partitions that cannot be divided.
pub fn division(
    daemon: &Daemon<'_>,
    properties: &BTreeMap<String, String>,
    names: &Names,
    view: &Shared,
) -> anyhow::Result<Option<Division>> {
    let kafka = KafkaSource::new(properties)?;
    let ask = || division::partitions(&kafka.handle(), daemon.config, WITHIN);
    let Some(found) = patiently(daemon, view, ask)? else { return Ok(None) };
    let divided = daemon.config.division(daemon.policies, &found)?;
    for (unit, why) in &divided.whole {
        NotDivided { unit, why }.emit();
    }
    let needed = names.needed(division::needed(&divided));
    let internal: Vec<String> = needed.iter().map(|(name, _)| (*name).clone()).collect();
    let ask = || kafka.handle().partitions(&internal, WITHIN);
    let Some(found) = patiently(daemon, view, ask)? else { return Ok(None) };
    for (name, partitions) in needed {
        hold(name, partitions, found.get(name).copied().unwrap_or(0))?;
    }
    Ok(Some(divided))
}

/// Asks until the brokers answer.
fn patiently(
    daemon: &Daemon<'_>,
    view: &Shared,
    ask: impl Fn() -> Result<BTreeMap<String, i32>, KafkaSourceError>,
) -> anyhow::Result<Option<BTreeMap<String, i32>>> {
    let control = daemon.control;
    while !control.is_stopping() {
        match ask() {
            Ok(found) => {
                view.write().readiness.release(&Latch::Kafka);
                return Ok(Some(found));
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
    Ok(None)
}

fn hold(name: &str, needed: Partitions, found: i32) -> anyhow::Result<()> {
    match needed {
        Partitions::AtLeast(slots) if found < slots => bail!(
            "the internal topic {name:?} has {found} partitions, and {slots} are needed, one for the ledger and one for each unit of models: \
             stop all processes of the cluster, and add partitions with kafka-topics.sh --alter --topic {name} --partitions {slots}"
        ),
        Partitions::One if found != 1 => bail!(
            "the internal topic {name:?} has {found} partitions, and a cluster needs one: delete it, or set another cluster.topics.prefix, \
             and create it with `driftgate cluster topics --create`"
        ),
        Partitions::One | Partitions::AtLeast(_) => Ok(()),
    }
}
