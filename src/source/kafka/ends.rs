//! The ends of partitions, asked for all partitions at once, which `rdkafka` does not offer.
//!
//! Unsafe code is only here, in `identity` and in `messages`: every pointer handed out lives in a value that gives it back.
#![allow(unsafe_code, reason = "the C client's request has no safe interface")]

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::ptr;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::bindings as native;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{IsError as _, KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;

use super::Quiet;
use super::identity::Owned;

/// The high watermarks of partitions: the offset after the last record, whether its transaction has ended or not. One whose
/// leader does not say is left out.
///
/// # Errors
/// Brokers that do not answer in time.
pub fn of(
    consumer: &BaseConsumer<Quiet>,
    partitions: &[(String, i32)],
    timeout: Duration,
) -> Result<BTreeMap<(String, i32), i64>, KafkaError> {
    if partitions.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for (topic, partition) in partitions {
        // The C client's sign for "the latest" is the one for a start at the end.
        list.add_partition_offset(topic, *partition, Offset::End)?;
    }
    let client = consumer.client().native_ptr();
    let ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // Safety: the client outlives this function, which borrows its owner.
    let (queue, options) = unsafe {
        let kind = native::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTOFFSETS;
        (
            Owned::new(native::rd_kafka_queue_new(client), native::rd_kafka_queue_destroy),
            Owned::new(native::rd_kafka_AdminOptions_new(client, kind), native::rd_kafka_AdminOptions_destroy),
        )
    };
    let (Some(queue), Some(options)) = (queue, options) else {
        return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::Fail));
    };
    // Safety: all of them live, and the list is copied; without a buffer for it the error's text is left out. Unless told
    // otherwise the brokers answer with the high watermark, open transactions included.
    let event = unsafe {
        native::rd_kafka_AdminOptions_set_request_timeout(options.ptr(), ms, ptr::null_mut(), 0);
        native::rd_kafka_ListOffsets(client, list.ptr(), options.ptr(), queue.ptr());
        // The request ends by itself at its timeout; a little later this thread stops waiting.
        native::rd_kafka_queue_poll(queue.ptr(), ms.saturating_add(1000))
    };
    let event = Owned::new(event, native::rd_kafka_event_destroy)
        .ok_or(KafkaError::MetadataFetch(RDKafkaErrorCode::OperationTimedOut))?;
    let mut found = BTreeMap::new();
    // Safety: the event lives until the end of this function, and its content lives as long.
    unsafe {
        let error = native::rd_kafka_event_error(event.ptr());
        if error.is_error() {
            return Err(KafkaError::MetadataFetch(error.into()));
        }
        let result = native::rd_kafka_event_ListOffsets_result(event.ptr());
        if result.is_null() {
            return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::BadMessage));
        }
        let mut n = 0;
        let infos = native::rd_kafka_ListOffsets_result_infos(result, &raw mut n);
        for at in 0..n {
            let place = native::rd_kafka_ListOffsetsResultInfo_topic_partition(*infos.add(at));
            if !(*place).err.is_error() && (*place).offset >= 0 {
                let topic = CStr::from_ptr((*place).topic).to_string_lossy().into_owned();
                found.insert((topic, (*place).partition), (*place).offset);
            }
        }
    }
    Ok(found)
}
