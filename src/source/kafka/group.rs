//! Offsets that are committed for the consumer group, with the mark of the daemon that counts for it.

use std::sync::PoisonError;
use std::time::Duration;

use rdkafka::bindings as native;
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::handle::Handle;
use super::mark::{Committed, Mark};
use crate::telemetry::events::kafka::OffsetsNotCommitted;

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
        let marks = each_metadata(&found).into_iter().flatten().filter_map(|text| Mark::read(&text));
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
            OffsetsNotCommitted { error: &e }.emit();
        }
    }
}

/// The metadata of each element, whatever its bytes are.
#[allow(unsafe_code, reason = "the safe interface takes no bytes that are no UTF-8")]
#[must_use]
pub fn each_metadata(list: &TopicPartitionList) -> Vec<Option<Vec<u8>>> {
    // Safety: the list lives and has so many elements, each with so many bytes.
    unsafe {
        let native::rd_kafka_topic_partition_list_t { cnt, elems, .. } = *list.ptr();
        (0..usize::try_from(cnt).unwrap_or(0))
            .map(|at| &*elems.add(at))
            .map(|element| {
                (!element.metadata.is_null())
                    .then(|| std::slice::from_raw_parts(element.metadata.cast::<u8>(), element.metadata_size).to_vec())
            })
            .collect()
    }
}
