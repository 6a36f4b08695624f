//! The ends of partitions, asked for all partitions at once, which `rdkafka` does not offer.
#![allow(unsafe_code, reason = "the C client's request has no safe interface")]

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::bindings as native;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{IsError as _, KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;

use super::client::SourceContext;
use super::native::Request;

/// The high watermarks of partitions: the offset after the last record, whether its transaction has ended or not. One whose
/// leader does not say is left out.
///
/// # Errors
/// Brokers that do not answer in time.
pub fn of(
    consumer: &BaseConsumer<SourceContext>,
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
    let request = Request::new(consumer, native::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTOFFSETS, timeout)?;
    let (client, options, queue) = (consumer.client().native_ptr(), &request.options, &request.queue);
    // Safety: all of them live, and the list is copied. Unless told otherwise the brokers answer with the high watermark, open
    // transactions included.
    unsafe { native::rd_kafka_ListOffsets(client, list.ptr(), options.ptr(), queue.ptr()) };
    let event = request.answer()?;
    let mut found = BTreeMap::new();
    // Safety: the event lives until the end of this function, and its content lives as long.
    unsafe {
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
