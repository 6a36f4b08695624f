//! What the C client's interface needs and `rdkafka` does not offer: pointers that are given back, requests to the brokers and their
//! answers, the leader's epoch of a start.
//!
//! Unsafe code is only here, in `allowed`, `described`, `ends`, `group` and `messages`: every pointer handed out lives in a value that gives it back.
#![allow(unsafe_code, reason = "the C client's request has no safe interface")]

use std::ffi::CString;
use std::ptr::{self, NonNull};
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::bindings as native;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{IsError as _, KafkaError, RDKafkaErrorCode};

use super::client::SourceContext;

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

/// A queue of its own, and the options of a request, which go with it.
pub(super) struct Request {
    pub queue: Owned<native::rd_kafka_queue_t>,
    pub options: Owned<native::rd_kafka_AdminOptions_t>,
    timeout_ms: i32,
}

impl Request {
    /// A request of this kind, which ends by itself at its timeout.
    ///
    /// # Errors
    /// A client that makes none.
    pub(super) fn new(
        consumer: &BaseConsumer<SourceContext>,
        kind: native::rd_kafka_admin_op_t,
        timeout: Duration,
    ) -> Result<Self, KafkaError> {
        let client = consumer.client().native_ptr();
        // Safety: the client outlives this function, which borrows its owner.
        let (queue, options) = unsafe {
            (
                Owned::new(native::rd_kafka_queue_new(client), native::rd_kafka_queue_destroy),
                Owned::new(native::rd_kafka_AdminOptions_new(client, kind), native::rd_kafka_AdminOptions_destroy),
            )
        };
        let (Some(queue), Some(options)) = (queue, options) else {
            return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::Fail));
        };
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // Safety: the options live; without a buffer for it the error's text is left out.
        unsafe { native::rd_kafka_AdminOptions_set_request_timeout(options.ptr(), timeout_ms, ptr::null_mut(), 0) };
        Ok(Self { queue, options, timeout_ms })
    }

    /// The answer, once the request was sent.
    ///
    /// # Errors
    /// Brokers that do not answer in time, or that refuse.
    pub(super) fn answer(&self) -> Result<Owned<native::rd_kafka_event_t>, KafkaError> {
        // Safety: the queue lives. A little later than the request ends this thread stops waiting.
        let event = unsafe { native::rd_kafka_queue_poll(self.queue.ptr(), self.timeout_ms.saturating_add(1000)) };
        let event = Owned::new(event, native::rd_kafka_event_destroy)
            .ok_or(KafkaError::MetadataFetch(RDKafkaErrorCode::OperationTimedOut))?;
        // Safety: the event lives.
        let error = unsafe { native::rd_kafka_event_error(event.ptr()) };
        if error.is_error() { Err(KafkaError::MetadataFetch(error.into())) } else { Ok(event) }
    }
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
