//! The daemon that counts for a consumer group. A daemon assigns partitions to itself, so the brokers do not keep two of a group
//! apart; but it commits offsets, and their metadata names it: a mark that it renews as long as it runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::PoisonError;
use std::time::Duration;

use rdkafka::bindings as native;
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde::{Deserialize, Serialize};

use super::Handle;

/// A daemon as the committed offsets name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// A daemon that starts again on the same state is the same one.
    pub instance: String,
    pub started_ms: i64,
    /// Renewed all the time.
    pub beat: u64,
    pub host: String,
    pub pid: u32,
    pub state: String,
    /// It stopped in good order.
    pub stopped: bool,
}

/// How a mark is written into the metadata.
#[derive(Serialize, Deserialize)]
struct Metadata {
    driftgate: Mark,
}

impl Mark {
    /// The written form.
    fn text(&self) -> String {
        serde_json::to_string(&Metadata { driftgate: self.clone() }).unwrap_or_default()
    }

    fn read(metadata: &[u8]) -> Option<Self> {
        Some(serde_json::from_slice::<Metadata>(metadata).ok()?.driftgate)
    }

    /// Of two that count at the same time: whether this one gives way, because it started later.
    #[must_use]
    pub fn yields_to(&self, other: &Self) -> bool {
        (self.started_ms, &self.instance) > (other.started_ms, &other.instance)
    }

    /// For people.
    #[must_use]
    pub fn who(&self) -> String {
        format!("process {} on {} with the state folder {}", self.pid, self.host, self.state)
    }
}

/// A name of the daemon that counts in a state folder: kept there, and another one for a copy of it or on another machine.
///
/// # Errors
/// A folder that cannot be written.
pub fn mark(folder: &Path, now_ms: i64) -> std::io::Result<Mark> {
    let file = folder.join("instance");
    let kept = match std::fs::read_to_string(&file) {
        Ok(kept) if !kept.is_empty() => kept,
        _ => {
            let here = std::ptr::from_ref(&file).addr().to_le_bytes();
            let made = name(&[&now_ms.to_le_bytes(), &std::process::id().to_le_bytes(), &here]);
            crate::private::write(&file, made.as_bytes())?;
            made
        }
    };
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
    let state = std::fs::canonicalize(folder)?.display().to_string();
    let instance = name(&[kept.as_bytes(), host.as_bytes(), state.as_bytes()]);
    Ok(Mark { instance, started_ms: now_ms, beat: 0, host, pid: std::process::id(), state, stopped: false })
}

fn name(parts: &[&[u8]]) -> String {
    driftgate_core::codec::hash::digest(parts).chars().take(32).collect()
}

/// The offsets to commit, and the daemon that commits them.
#[derive(Debug, Default)]
pub struct Committed {
    offsets: BTreeMap<(String, i32), i64>,
    mark: Option<Mark>,
    /// Another daemon counts for the group: nothing is committed any more.
    lost: bool,
}

impl Handle {
    /// The marks of other daemons that did not stop in good order, on the first partition of each topic; offsets that are
    /// committed there are kept in mind.
    ///
    /// # Errors
    /// Brokers that do not answer in time.
    pub fn others(&self, partitions: &[(String, i32)], me: &Mark, wait: Duration) -> Result<Vec<Mark>, KafkaError> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for (topic, partition) in partitions {
            list.add_partition(topic, *partition);
        }
        let found = self.consumer.committed_offsets(list, wait)?;
        let mut committed = self.committed.lock().unwrap_or_else(PoisonError::into_inner);
        for element in found.elements() {
            if let Offset::Offset(offset) = element.offset() {
                let key = (element.topic().to_owned(), element.partition());
                committed.offsets.entry(key).or_insert(offset);
            }
        }
        drop(committed);
        let marks = metadata(&found).into_iter().filter_map(|text| Mark::read(&text));
        Ok(marks.filter(|mark| mark.instance != me.instance && !mark.stopped).collect())
    }

    /// Begins to commit on behalf of a daemon; a partition of which nothing was counted yet begins at 0.
    pub fn claim(&self, mark: Mark, partitions: &[(String, i32)]) {
        let mut committed = self.committed.lock().unwrap_or_else(PoisonError::into_inner);
        for key in partitions {
            committed.offsets.entry(key.clone()).or_insert(0);
        }
        committed.mark = Some(mark);
        drop(committed);
        self.renew(partitions);
    }

    /// Renews the mark on some partitions.
    pub fn renew(&self, partitions: &[(String, i32)]) {
        self.write(partitions, CommitMode::Async, false);
    }

    /// Another daemon counts for the group: nothing is committed any more.
    pub fn give_way(&self) {
        self.committed.lock().unwrap_or_else(PoisonError::into_inner).lost = true;
    }

    /// Says that the daemon stopped in good order; waits for the brokers.
    pub fn release(&self, partitions: &[(String, i32)]) {
        self.write(partitions, CommitMode::Sync, true);
    }

    /// Commits offsets; tools that show lag read them, and state does not depend on them.
    pub(super) fn commit(&self, offsets: &[(String, i32, i64)]) {
        let mut committed = self.committed.lock().unwrap_or_else(PoisonError::into_inner);
        for (topic, partition, next) in offsets {
            committed.offsets.insert((topic.clone(), *partition), *next);
        }
        let partitions: Vec<(String, i32)> = offsets.iter().map(|(t, p, _)| (t.clone(), *p)).collect();
        drop(committed);
        self.write(&partitions, CommitMode::Async, false);
    }

    fn write(&self, partitions: &[(String, i32)], mode: CommitMode, stopped: bool) {
        // Held while it is handed over, so that an older offset never follows a newer one.
        let mut committed = self.committed.lock().unwrap_or_else(PoisonError::into_inner);
        let Committed { offsets, mark, lost: false } = &mut *committed else { return };
        let text = mark.as_mut().map(|mark| {
            mark.beat += 1;
            mark.stopped = stopped;
            mark.text()
        });
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for key in partitions {
            let Some(next) = offsets.get(key) else { continue };
            // Fails only for offsets that do not exist.
            let _ = list.add_partition_offset(&key.0, key.1, Offset::Offset(*next));
            if let (Some(text), Some(mut element)) = (&text, list.find_partition(&key.0, key.1)) {
                element.set_metadata(text);
            }
        }
        if let Err(e) = self.consumer.commit(&list, mode) {
            tracing::debug!(error = %e, "offsets were not committed");
        }
    }
}

/// The metadata of each element, whatever its bytes are.
#[allow(unsafe_code, reason = "the safe interface takes no bytes that are no UTF-8")]
fn metadata(list: &TopicPartitionList) -> Vec<Vec<u8>> {
    // Safety: the list lives and has so many elements, each with so many bytes.
    unsafe {
        let native::rd_kafka_topic_partition_list_t { cnt, elems, .. } = *list.ptr();
        (0..usize::try_from(cnt).unwrap_or(0))
            .map(|at| &*elems.add(at))
            .filter(|element| !element.metadata.is_null())
            .map(|element| std::slice::from_raw_parts(element.metadata.cast::<u8>(), element.metadata_size).to_vec())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_is_the_same_on_the_same_state_and_another_on_a_copy() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let first = mark(one.path(), 1).unwrap();
        let again = mark(one.path(), 2).unwrap();
        assert_eq!(first.instance, again.instance);
        assert!(again.yields_to(&first) && !first.yields_to(&again));
        std::fs::copy(one.path().join("instance"), two.path().join("instance")).unwrap();
        assert_ne!(mark(two.path(), 1).unwrap().instance, first.instance);
        assert_eq!(Mark::read(first.text().as_bytes()), Some(first));
        assert_eq!((Mark::read(b""), Mark::read(b"{\"v\":1}"), Mark::read(&[0xff, 0])), (None, None, None));
    }
}
