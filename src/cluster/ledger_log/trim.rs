//! Takes away what of a log nobody reads any more, as what stands before a whole snapshot.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::topic_partition_list::Offset;

use crate::source::kafka::is_for_consumers;

/// Deletes the records of a partition of `topic` before `offset`, which nobody reads any more.
///
/// # Errors
/// Brokers that do not answer in time, or do not allow it (DELETE on the topic).
pub fn trim(
    properties: &BTreeMap<String, String>,
    (topic, partition): (&str, i32),
    offset: i64,
    wait: Duration,
) -> Result<(), String> {
    let mut config = ClientConfig::new();
    for (k, v) in properties.iter().filter(|(k, _)| !is_for_consumers(k)) {
        config.set(k, v);
    }
    let client: AdminClient<DefaultClientContext> = config.create().map_err(|e| e.to_string())?;
    let mut before = TopicPartitionList::new();
    before.add_partition_offset(topic, partition, Offset::Offset(offset)).map_err(|e| e.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let options = AdminOptions::new().operation_timeout(Some(wait)).request_timeout(Some(wait));
    let done = runtime.block_on(client.delete_records(&before, &options)).map_err(|e| e.to_string())?;
    done.elements().iter().try_for_each(|one| one.error().map_err(|e| e.to_string()))
}
