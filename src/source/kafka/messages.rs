//! Messages taken from a partition's queue many at a time. One at a time, `rdkafka` makes an event of each, locks the queue
//! and looks at the clock three times: a tenth of the daemon's whole work.
//!
//! The client library hands out pointers, and each of them lives in a value that gives it back.
#![allow(unsafe_code, reason = "the C client's batches have no safe interface")]

use std::ffi::{CStr, CString};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::bindings as native;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{IsError as _, KafkaError};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::client::SourceContext;
use driftgate_core::decode::cloudevents::Headers;

use crate::telemetry::events::kafka::{PauseFailed, Place, SeekFailed};

/// Messages taken at once: their payloads stay in the nearer caches.
const AT_ONCE: usize = 128;

/// The queue of one partition, and the messages last taken from it.
pub struct Messages {
    queue: NonNull<native::rd_kafka_queue_t>,
    taken: Vec<Given>,
    /// The offset after the last record, and in which leader's epoch that record was written.
    last: Option<(i64, i32)>,
    /// Is dropped last: the queue belongs to it.
    consumer: Arc<BaseConsumer<SourceContext>>,
}

// Safety: librdkafka's queues and messages may be used from any thread, and `&mut self` admits one at a time.
unsafe impl Send for Messages {}

/// A message as the client library handed it out.
#[repr(transparent)]
struct Given(NonNull<native::rd_kafka_message_t>);

impl Drop for Given {
    fn drop(&mut self) {
        // Safety: it came from the queue, and nothing else gives it back.
        unsafe { native::rd_kafka_message_destroy(self.0.as_ptr()) }
    }
}

/// The content of a partition's queue.
pub enum Taken<'m> {
    Record(Message<'m>),
    /// The end of the readable records: the offset after the last one, control records included.
    End(i64),
    /// The error, and its offset.
    Failed(KafkaError, i64),
}

/// A message while it is looked at.
pub struct Message<'m> {
    message: &'m native::rd_kafka_message_t,
    _taken: PhantomData<&'m Given>,
}

impl Messages {
    /// The queue of a partition that is to be assigned, apart from the consumer's own from now on; `None` for a topic whose
    /// name no C library can take.
    pub fn of(consumer: &Arc<BaseConsumer<SourceContext>>, topic: &str, partition: i32) -> Option<Self> {
        let topic = CString::new(topic).ok()?;
        // Safety: the client lives, since `consumer` is held; the name ends with a zero and is copied.
        let queue =
            unsafe { native::rd_kafka_queue_get_partition(consumer.client().native_ptr(), topic.as_ptr(), partition) };
        let queue = NonNull::new(queue)?;
        // Safety: the queue was just handed out; forwarding to nothing makes it a queue of its own.
        unsafe { native::rd_kafka_queue_forward(queue.as_ptr(), ptr::null_mut()) };
        Some(Self { queue, taken: Vec::with_capacity(AT_ONCE), last: None, consumer: Arc::clone(consumer) })
    }

    /// In which leader's epoch the record before an offset was written, if that is the last one taken.
    pub fn leader_epoch(&self, next: i64) -> Option<i32> {
        self.last.filter(|(after, _)| *after == next).map(|(_, epoch)| epoch)
    }

    /// Has the client fetch from an offset on once more; messages that were fetched before and not taken are dropped.
    pub fn seek(&self, topic: &str, partition: i32, offset: i64) {
        let mut list = TopicPartitionList::new();
        let sought = list
            .add_partition_offset(topic, partition, Offset::Offset(offset))
            .and_then(|()| self.consumer.seek_partitions(list, Duration::ZERO));
        if let Err(e) = sought {
            SeekFailed { at: Place { topic, partition }, offset, error: &e }.emit();
        }
    }

    /// Has the client fetch nothing more.
    pub fn pause(&self, topic: &str, partition: i32) {
        let mut list = TopicPartitionList::new();
        list.add_partition(topic, partition);
        if let Err(e) = self.consumer.pause(&list) {
            PauseFailed { at: Place { topic, partition }, error: &e }.emit();
        }
    }

    /// Takes messages that are there, at most so many, and shows them in order; how many there were.
    pub fn take(&mut self, most: usize, mut each: impl FnMut(Taken<'_>)) -> usize {
        self.taken.clear();
        let most = most.min(self.taken.capacity());
        let to = self.taken.as_mut_ptr().cast::<*mut native::rd_kafka_message_t>();
        // Safety: `to` has room for `most` pointers, and a `Given` is one pointer. Those written are messages, never null.
        let taken = unsafe { native::rd_kafka_consume_batch_queue(self.queue.as_ptr(), 0, to, most) };
        let taken = usize::try_from(taken).unwrap_or(0).min(most);
        // Safety: so many were written; the list is the one that gives them back.
        unsafe { self.taken.set_len(taken) };
        for (at, message) in self.taken.drain(..).enumerate() {
            // Safety: it is valid until it is given back, at the end of this turn of the loop.
            let native = unsafe { message.0.as_ref() };
            // The last one may be the partition's end, for which the client library says epoch 0, whatever the leader's is.
            if at + 2 >= taken && !native.err.is_error() {
                // Safety: the same.
                let epoch = unsafe { native::rd_kafka_message_leader_epoch(native) };
                self.last = Some((native.offset + 1, epoch)).filter(|_| epoch >= 0);
            }
            each(match native.err {
                native::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__PARTITION_EOF => Taken::End(native.offset),
                e if e.is_error() => Taken::Failed(KafkaError::MessageConsumption(e.into()), native.offset),
                _ => Taken::Record(Message { message: native, _taken: PhantomData }),
            });
        }
        taken
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        self.taken.clear();
        // Safety: it was handed out to this value, which ends here.
        unsafe { native::rd_kafka_queue_destroy(self.queue.as_ptr()) }
    }
}

impl Headers for Message<'_> {
    fn header(&self, name: &CStr) -> Option<&[u8]> {
        Message::header(self, name)
    }

    fn key(&self) -> Option<&[u8]> {
        Message::key(self)
    }
}

impl Message<'_> {
    /// Whether it has no value: a mark that its key is deleted.
    #[must_use]
    pub fn is_tombstone(&self) -> bool {
        self.message.payload.is_null()
    }

    /// The value; empty for a tombstone.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        match NonNull::new(self.message.payload.cast::<u8>()) {
            None => &[],
            // Safety: the message has so many bytes there for as long as it lives.
            Some(bytes) => unsafe { std::slice::from_raw_parts(bytes.as_ptr(), self.message.len) },
        }
    }

    /// The key, if it has one.
    #[must_use]
    pub fn key(&self) -> Option<&[u8]> {
        let bytes = NonNull::new(self.message.key.cast::<u8>())?;
        // Safety: the message has so many bytes there for as long as it lives.
        Some(unsafe { std::slice::from_raw_parts(bytes.as_ptr(), self.message.key_len) })
    }

    /// The last header of a name, if it has a value. The name ends with a zero.
    #[must_use]
    pub fn header(&self, name: &CStr) -> Option<&[u8]> {
        let mut headers = ptr::null_mut();
        // Safety: the message is only read; headers that are handed out belong to it and live as long.
        let found = unsafe { native::rd_kafka_message_headers(ptr::from_ref(self.message), &raw mut headers) };
        if found != native::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return None;
        }
        let (mut value, mut length) = (ptr::null(), 0);
        // Safety: the headers live, the name ends with a zero, and both places are written to where a header is found.
        let found =
            unsafe { native::rd_kafka_header_get_last(headers, name.as_ptr(), &raw mut value, &raw mut length) };
        let value = NonNull::new(value.cast_mut().cast::<u8>())?;
        // Safety: the header has so many bytes there for as long as the message lives.
        let bytes = unsafe { std::slice::from_raw_parts(value.as_ptr(), length) };
        (found == native::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR).then_some(bytes)
    }

    #[must_use]
    pub fn offset(&self) -> i64 {
        self.message.offset
    }

    #[must_use]
    pub fn partition(&self) -> i32 {
        self.message.partition
    }

    /// The topic's name.
    #[must_use]
    pub fn topic(&self) -> String {
        // Safety: a consumed message has a topic, whose name ends with a zero and lives as long.
        let name = unsafe { CStr::from_ptr(native::rd_kafka_topic_name(self.message.rkt)) };
        name.to_string_lossy().into_owned()
    }

    /// The record's time in ms since 1970; `None` if it has none.
    #[must_use]
    pub fn timestamp_ms(&self) -> Option<i64> {
        let mut kind = native::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // Safety: the message is valid, and `kind` is written to only.
        let ms = unsafe { native::rd_kafka_message_timestamp(self.message, &raw mut kind) };
        (ms != -1 && kind != native::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE).then_some(ms)
    }
}
