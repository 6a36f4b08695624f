//! Why there is no producer for transactions.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

#[derive(Debug, thiserror::Error)]
pub enum TransactionError {
    #[error("the Kafka client for transactions cannot be made: {0}; check kafka.properties in the configuration")]
    Client(KafkaError),
    #[error(
        "the brokers do not let this user write under the transactional id {transactional_id:?}: grant it WRITE and DESCRIBE on that \
         transactional id, and IDEMPOTENT_WRITE on the cluster where the brokers are older than Kafka 3.0"
    )]
    NotAllowed { transactional_id: String },
    #[error("the transactional id {transactional_id:?} cannot be taken: {cause}")]
    Refused { transactional_id: String, cause: String },
    #[error("the transactional id {transactional_id:?} could not be taken within {} s: {cause}", wait.as_secs())]
    TooLate { transactional_id: String, wait: std::time::Duration, cause: String },
}

impl TransactionError {
    /// Of an answer to `init_transactions` that is not to be asked again.
    pub(super) fn refused(transactional_id: &str, error: &KafkaError) -> Self {
        let transactional_id = transactional_id.to_owned();
        match error.rdkafka_error_code() {
            Some(
                RDKafkaErrorCode::TransactionalIdAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed,
            ) => Self::NotAllowed { transactional_id },
            _ => Self::Refused { transactional_id, cause: error.to_string() },
        }
    }
}
