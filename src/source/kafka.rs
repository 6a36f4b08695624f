//! Topics of events: every partition of the configured topics, read from the offsets that the daemon's state names. Each
//! partition has a queue of its own, so a partition that must wait is simply not read; librdkafka bounds its content.
//!
//! `consumer` reads all partitions, `partition` one of them, by `messages`; `unreadable` has batches of records that cannot be read, and
//! `look` finds their ends. `handle` asks the brokers, through `described`, `ends` and `allowed`; `group` commits offsets, with the `mark` of the
//! daemon. `client` serves the client's own events;
//! `listener` is the context of every Kafka client, here and elsewhere, and `trouble` what their complaints mean. `properties` says which
//! properties are for consumers alone, and what a partition fetches ahead.

pub mod allowed;
mod client;
mod consumer;
mod described;
mod ends;
mod error;
mod group;
mod handle;
mod listener;
mod look;
mod mark;
mod messages;
mod native;
mod partition;
mod properties;
mod trouble;
mod types;
mod unreadable;

pub use consumer::KafkaSource;
pub use error::KafkaSourceError;
pub use group::each_metadata;
pub use handle::Handle;
pub use listener::{Listener, Own};
pub use mark::{Mark, mark};
pub use messages::Message;
pub use partition::{Outcome, Partition};
pub use properties::{fetched_ahead, is_for_consumers, read_by_hand};
pub use types::{Found, Start};
