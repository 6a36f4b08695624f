//! Why Kafka's topics cannot be read, in words of what to do; and what the client's errors mean.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

#[derive(Debug, thiserror::Error)]
pub enum KafkaSourceError {
    #[error("the Kafka client cannot be made: {0}; check kafka.properties in the configuration")]
    Client(KafkaError),
    #[error(
        "sasl.mechanism in kafka.properties is OAUTHBEARER, and nothing gives a token: set enable.sasl.oauthbearer.unsecure.jwt to true for unsecured \
         tokens. Tokens of an identity provider (OpenID Connect, sasl.oauthbearer.method: oidc) are not supported: use SCRAM, PLAIN or a client certificate"
    )]
    NoToken,
    #[error("no broker of {brokers} answers: {cause}; trying again")]
    Unreachable { brokers: String, cause: String },
    #[error("the topic {topic:?} on {brokers} cannot be read now: {cause}; trying again")]
    Topic { topic: String, brokers: String, cause: Box<KafkaError> },
    #[error(
        "the brokers {brokers} do not let this user read the topic {topic:?}: grant it READ and DESCRIBE on the topic, and READ on the group; trying again"
    )]
    NotAllowed { topic: String, brokers: String },
    #[error("the topic {topic:?} does not exist on {brokers}; create it, or correct sources in the configuration")]
    NoTopic { topic: String, brokers: String },
    #[error("the partitions cannot be assigned: {0}")]
    Assign(KafkaError),
}

/// A record that is not in the log any more.
pub fn is_gap(e: &KafkaError) -> bool {
    matches!(
        e.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::OffsetOutOfRange
                | RDKafkaErrorCode::AutoOffsetReset
                | RDKafkaErrorCode::LogTruncation
                | RDKafkaErrorCode::NoOffset
        )
    )
}

/// A topic that was deleted, or deleted and made anew.
pub fn is_unknown(e: &KafkaError) -> bool {
    matches!(
        e.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownPartition
        )
    )
}
