//! Faults injected into a running daemon against a real Kafka: what it says afterwards is what a replay says, or it says that
//! it cannot know.
//!
//! | fault | shown by |
//! |---|---|
//! | a snapshot out of reach, or replaced, at a restart | `snapshots` |
//! | a sink's topic or webhook that is away; records too large for the topic or the client | `delivery`, `wide` (3,000 features) |
//! | a broker that is away, hangs, is killed, or lost the end of its log; partitions that are idle, paused or new | `idleness`, `brokers`, `lost_tail` |
//! | a broker that is killed while events are posted over HTTP | `ingest` |
//! | open transactions, compaction, retention, a topic made anew | `idleness`, `positions` (beside this folder) |
//! | rollback signals after a restart | `outcomes` |
//! | the registry locked, on a full disk, lost, or another one | `operation`, `disks`, `remedy` |
//! | the state on a full disk, one that takes nothing or never finishes | `disks`, `operation`, `failing` (beside this folder) |
//! | a checkpoint or chunk cut, flipped, of another format; the state folder lost; a backup put back | `state`, and the tests of `checkpoint` |
//! | two daemons of one group, or with one registry | `operation` |
//! | verdicts that cannot be delivered, labels that stay away, memory | `bounds`, `memory` |
//! | events ahead of the clock, a first event of 1970, a gap of a year; the wall clock stepped | `ahead`, `times`, `clock` |
//! | features of other streams, blocks, changed policies, versions that nobody knows | `features`, `blocks`, `starts`, `operation` |
//! | a day and a half with faults at random | `day` |
//! | ten million requests without a response, over a kill | `halves` |
//! | several processes, kills and pauses of any of them, a broker that is killed | `cluster`, and cases/cluster |

mod ahead;
mod blocks;
mod bounds;
mod brokers;
pub mod clock;
mod cluster;
mod day;
mod delivery;
mod disks;
mod features;
mod halves;
mod idleness;
mod ingest;
mod local_days;
mod lost_tail;
mod memory;
mod operation;
mod outcomes;
pub mod own_broker;
mod regression;
pub mod relay;
mod remedy;
mod snapshots;
mod starts;
mod state;
mod times;
mod wide;

use std::collections::BTreeMap;

use serde_json::Value;

use super::broker::Daemon;
use super::support::Folder;

/// Events as they are published: partition, key, payload.
pub type Events = Vec<(i32, String, Vec<u8>)>;

/// The complete verdicts of a replay of these events in this folder, by id.
pub fn replayed(folder: &Folder, policy: &str, more: &str, predictions: &[&Events]) -> BTreeMap<String, Value> {
    let lines: Vec<u8> = predictions
        .iter()
        .flat_map(|of| of.iter())
        .flat_map(|(_, _, payload)| [payload.as_slice(), b"\n"].concat())
        .collect();
    folder.write("events.jsonl", lines);
    folder
        .driftgate(&format!("replay --policy {policy} --predictions events.jsonl {more} --verdicts replayed.jsonl"))
        .exits(0);
    complete(folder.json_lines("replayed.jsonl"))
}

/// The complete ones of some verdicts, by id; of each id there is one content.
pub fn complete(verdicts: impl IntoIterator<Item = Value>) -> BTreeMap<String, Value> {
    let mut by_id: BTreeMap<String, Value> = BTreeMap::new();
    for verdict in verdicts.into_iter().filter(|v| v["window"]["complete"] == true) {
        let id = verdict["verdict_id"].as_str().unwrap().to_owned();
        if let Some(before) = by_id.insert(id, verdict.clone()) {
            assert_eq!(before, verdict, "one id with two contents");
        }
    }
    by_id
}

/// Every verdict has the content that the replay's of its id has, but for `since`, which looks back as far as counts go.
pub fn assert_known(found: &BTreeMap<String, Value>, replayed: &BTreeMap<String, Value>) {
    for (id, verdict) in found {
        let known = replayed.get(id).unwrap_or_else(|| panic!("the replay has no such verdict: {verdict}"));
        let without = |v: &Value| {
            let mut v = v.clone();
            v["results"]
                .as_array_mut()
                .unwrap()
                .iter_mut()
                .for_each(|r| drop(r.as_object_mut().unwrap().remove("since")));
            v
        };
        assert_eq!(without(verdict), without(known));
    }
}

/// Waits until so many predictions of the version were counted.
pub fn wait_counted(daemon: &Daemon, version: &str, least: f64) {
    let series = format!("driftgate_predictions_total{{model=\"shop\",version=\"{version}\"}}");
    super::broker::wait_for("the predictions to be counted", || daemon.metric(&series).filter(|n| *n >= least));
}
