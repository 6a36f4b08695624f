//! The topic behind a name: the id that the broker gave it when it was created. A topic that is deleted and created again has
//! another one, and its offsets have nothing to do with those of before. `rdkafka` does not offer it, the C client does.
//!
//! Unsafe code is only here and in `messages`: every pointer handed out lives in a value that gives it back.
#![allow(unsafe_code, reason = "the C client's request has no safe interface")]

use std::collections::BTreeMap;
use std::ffi::CString;
use std::ptr::{self, NonNull};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rdkafka::TopicPartitionList;
use rdkafka::bindings as native;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{IsError as _, KafkaError, RDKafkaErrorCode};

use super::{Found, Quiet};

/// A pointer that a function of the client library takes back.
pub(super) struct Owned<T> {
    it: NonNull<T>,
    give_back: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    pub(super) fn new(it: *mut T, give_back: unsafe extern "C" fn(*mut T)) -> Option<Self> {
        Some(Self { it: NonNull::new(it)?, give_back })
    }

    pub(super) fn ptr(&self) -> *mut T {
        self.it.as_ptr()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // Safety: it was handed out to this value, which ends here, and `give_back` is the function for its kind.
        unsafe { (self.give_back)(self.it.as_ptr()) }
    }
}

/// The ids of topics, as Kafka's tools write them. A topic that does not exist, or that a broker before 2.8 serves, has none.
///
/// # Errors
/// Brokers that do not answer in time.
pub fn ids(
    consumer: &BaseConsumer<Quiet>,
    topics: &[String],
    timeout: Duration,
) -> Result<BTreeMap<String, String>, KafkaError> {
    let found = described(consumer, topics, timeout)?;
    Ok(found.into_iter().filter_map(|(topic, found)| Some((topic, found.id?))).collect())
}

/// How many partitions topics have, and their ids. A topic that does not exist is left out.
///
/// # Errors
/// Brokers that do not answer in time.
pub fn described(
    consumer: &BaseConsumer<Quiet>,
    topics: &[String],
    timeout: Duration,
) -> Result<BTreeMap<String, Found>, KafkaError> {
    let mut names: Vec<CString> = topics.iter().filter_map(|topic| CString::new(topic.as_str()).ok()).collect();
    names.sort();
    names.dedup();
    let mut pointers: Vec<*const std::ffi::c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let client = consumer.client().native_ptr();
    let ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // Safety: the client outlives this function, which borrows its owner; names end with zeros and are copied; so many
    // pointers are in the list.
    let (queue, options, collection) = unsafe {
        (
            Owned::new(native::rd_kafka_queue_new(client), native::rd_kafka_queue_destroy),
            Owned::new(
                native::rd_kafka_AdminOptions_new(
                    client,
                    native::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
                ),
                native::rd_kafka_AdminOptions_destroy,
            ),
            Owned::new(
                native::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len()),
                native::rd_kafka_TopicCollection_destroy,
            ),
        )
    };
    let (Some(queue), Some(options), Some(collection)) = (queue, options, collection) else {
        return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::Fail));
    };
    // Safety: all of them live; without a buffer for it the error's text is left out.
    let event = unsafe {
        native::rd_kafka_AdminOptions_set_request_timeout(options.ptr(), ms, ptr::null_mut(), 0);
        native::rd_kafka_DescribeTopics(client, collection.ptr(), options.ptr(), queue.ptr());
        // The request ends by itself at its timeout; a little later this thread stops waiting.
        native::rd_kafka_queue_poll(queue.ptr(), ms.saturating_add(1000))
    };
    let event = Owned::new(event, native::rd_kafka_event_destroy)
        .ok_or(KafkaError::MetadataFetch(RDKafkaErrorCode::OperationTimedOut))?;
    // Safety: the event lives until the end of this function, and its content lives as long.
    unsafe {
        let error = native::rd_kafka_event_error(event.ptr());
        if error.is_error() {
            return Err(KafkaError::MetadataFetch(error.into()));
        }
        let result = native::rd_kafka_event_DescribeTopics_result(event.ptr());
        if result.is_null() {
            return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::BadMessage));
        }
        let mut n = 0;
        let described = native::rd_kafka_DescribeTopics_result_topics(result, &raw mut n);
        let mut found = BTreeMap::new();
        for at in 0..n {
            let topic = *described.add(at);
            let error = native::rd_kafka_error_code(native::rd_kafka_TopicDescription_error(topic));
            let name = std::ffi::CStr::from_ptr(native::rd_kafka_TopicDescription_name(topic));
            if error.is_error() {
                continue;
            }
            let mut partitions = 0;
            let each = native::rd_kafka_TopicDescription_partitions(topic, &raw mut partitions);
            let mut leaderless = Vec::new();
            for at in 0..partitions {
                let leader = native::rd_kafka_TopicPartitionInfo_leader(*each.add(at));
                if leader.is_null() || native::rd_kafka_Node_id(leader) < 0 {
                    leaderless.push(native::rd_kafka_TopicPartitionInfo_partition(*each.add(at)));
                }
            }
            let id = native::rd_kafka_TopicDescription_topic_id(topic);
            let id = (!id.is_null()).then(|| {
                let most = native::rd_kafka_Uuid_most_significant_bits(id);
                text(most, native::rd_kafka_Uuid_least_significant_bits(id))
            });
            let partitions = i32::try_from(partitions).unwrap_or(i32::MAX);
            found.insert(name.to_string_lossy().into_owned(), Found { partitions, id: id.flatten(), leaderless });
        }
        Ok(found)
    }
}

/// An id as Kafka's tools write it; `None` for the one that means no id.
fn text(most: i64, least: i64) -> Option<String> {
    let mut bytes = [0; 16];
    let (high, low) = bytes.split_at_mut(8);
    high.copy_from_slice(&most.to_be_bytes());
    low.copy_from_slice(&least.to_be_bytes());
    (bytes != [0; 16]).then(|| URL_SAFE_NO_PAD.encode(bytes))
}

/// Says in which leader's epoch the record before a start was written, so that the client finds out when the log was cut
/// off below it.
pub fn set_leader_epoch(list: &mut TopicPartitionList, topic: &str, partition: i32, epoch: i32) {
    let Ok(topic) = CString::new(topic) else { return };
    // Safety: the list lives and is borrowed alone; the element belongs to it.
    unsafe {
        let element = native::rd_kafka_topic_partition_list_find(list.ptr(), topic.as_ptr(), partition);
        if !element.is_null() {
            native::rd_kafka_topic_partition_set_leader_epoch(element, epoch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_written_as_kafkas_tools_do() {
        // org.apache.kafka.common.Uuid.fromString("MkU3OEVBNTcwNTJENDM2Qg")
        let (most, least) = (0x3245_3738_4556_4135_u64, 0x3730_3532_4434_3342_u64);
        assert_eq!(text(most.cast_signed(), least.cast_signed()).as_deref(), Some("MkU3OEVWQTU3MDUyRDQzQg"));
        assert_eq!(text(0, 0), None);
        assert_eq!(text(-1, -1).as_deref(), Some("_____________________w"));
    }
}
