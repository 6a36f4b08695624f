//! The topic behind a name: the id that the broker gave it when it was created. A topic that is deleted and created again has
//! another one, and its offsets have nothing to do with those of before. `rdkafka` does not offer it, the C client does.
#![allow(unsafe_code, reason = "the C client's request has no safe interface")]

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rdkafka::bindings as native;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{IsError as _, KafkaError, RDKafkaErrorCode};

use super::client::SourceContext;
use super::native::{Owned, Request};
use super::types::Found;

/// The ids of topics, as Kafka's tools write them. A topic that does not exist, or that a broker before 2.8 serves, has none.
///
/// # Errors
/// Brokers that do not answer in time.
pub fn ids(
    consumer: &BaseConsumer<SourceContext>,
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
    consumer: &BaseConsumer<SourceContext>,
    topics: &[String],
    timeout: Duration,
) -> Result<BTreeMap<String, Found>, KafkaError> {
    let mut found = BTreeMap::new();
    let kind = native::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
    let request = Request::new(consumer, kind, timeout)?;
    // Safety: each description lives while it is read.
    describe(consumer, topics, &request, &mut |one| found.extend(unsafe { topic(one) }))?;
    Ok(found)
}

/// Asks for topics by this request, and gives each of their descriptions, which live as long as they are read.
///
/// # Errors
/// Brokers that do not answer in time.
pub(super) fn describe(
    consumer: &BaseConsumer<SourceContext>,
    topics: &[String],
    request: &Request,
    each: &mut dyn FnMut(*const native::rd_kafka_TopicDescription_t),
) -> Result<(), KafkaError> {
    let mut names: Vec<CString> = topics.iter().filter_map(|topic| CString::new(topic.as_str()).ok()).collect();
    names.sort();
    names.dedup();
    let mut pointers: Vec<*const std::ffi::c_char> = names.iter().map(|name| name.as_ptr()).collect();
    // Safety: names end with zeros and are copied; so many pointers are in the list.
    let collection = unsafe {
        Owned::new(
            native::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len()),
            native::rd_kafka_TopicCollection_destroy,
        )
    };
    let collection = collection.ok_or(KafkaError::MetadataFetch(RDKafkaErrorCode::Fail))?;
    let (client, options, queue) = (consumer.client().native_ptr(), &request.options, &request.queue);
    // Safety: all of them live.
    unsafe { native::rd_kafka_DescribeTopics(client, collection.ptr(), options.ptr(), queue.ptr()) };
    let event = request.answer()?;
    // Safety: the event lives until the end of this function, and its content lives as long; the result has so many topics.
    unsafe {
        let result = native::rd_kafka_event_DescribeTopics_result(event.ptr());
        if result.is_null() {
            return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::BadMessage));
        }
        let mut n = 0;
        let described = native::rd_kafka_DescribeTopics_result_topics(result, &raw mut n);
        for at in 0..n {
            each(*described.add(at));
        }
    }
    Ok(())
}

/// A topic's name and description; `None` for one that does not exist.
///
/// # Safety
/// The description lives.
unsafe fn topic(topic: *const native::rd_kafka_TopicDescription_t) -> Option<(String, Found)> {
    // Safety: the description lives, its content lives as long, and it has so many partitions.
    unsafe {
        let error = native::rd_kafka_error_code(native::rd_kafka_TopicDescription_error(topic));
        if error.is_error() {
            return None;
        }
        let name = CStr::from_ptr(native::rd_kafka_TopicDescription_name(topic));
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
        Some((name.to_string_lossy().into_owned(), Found { partitions, id: id.flatten(), leaderless }))
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
