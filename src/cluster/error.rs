//! Why a step of the cluster failed, and what to do about it.

use std::io;
use std::path::PathBuf;

use rdkafka::error::KafkaError;

use crate::checkpoint::CheckpointError;
pub use crate::transaction::Outcome;
use crate::transaction::TransactionError;
use driftgate_core::codec::envelope::EnvelopeError;

#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    #[error("state {seq} was not committed: {why}")]
    Refused { seq: u64, why: String },
    #[error("it is not known whether state {seq} was committed, so this process must not count on: {why}")]
    Unknown { seq: u64, why: String },
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Encode(#[from] EnvelopeError),
    #[error("{path}: {source}", path = path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("the Kafka client that reads the state cannot be made: {0}; check kafka.properties in the configuration")]
    Client(KafkaError),
    #[error("the topic {topic:?} does not exist; `driftgate cluster topics --create` makes it")]
    NoTopic { topic: String },
    #[error(
        "the brokers do not let this user read the topic {topic:?}: grant it READ and DESCRIBE on the topic, and READ on the group"
    )]
    NotAllowed { topic: String },
    #[error("the state cannot be read from the topic {topic:?}: {cause}")]
    Unreachable { topic: String, cause: String },
    #[error(
        "the last commit of {unit:?} is {claimed}, and the topic {topic:?} holds {}: records were deleted from it, or it was made anew. Restore it; or \
         delete the group's committed offset of this unit, and the newest state that is there is used: what came since is counted again, as far as the \
         input topics still hold it",
        held(*newest)
    )]
    Behind { topic: String, unit: String, claimed: u64, newest: Option<u64> },
    #[error(
        "the state in the topic {topic:?} is damaged: {what}; restore the topic, or delete all records of this unit and the group's committed offset of it to \
         start anew from the beginning of the input topics"
    )]
    Damaged { topic: String, what: String },
    #[error("the state in the topic {topic:?} is of format {found}, from a newer driftgate: run that one")]
    Newer { topic: String, found: u32 },
    #[error("stopped while the state was read")]
    Stopped,
}

fn held(newest: Option<u64>) -> String {
    newest.map_or_else(|| "no state".to_owned(), |seq| format!("states up to {seq}"))
}
