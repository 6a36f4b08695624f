//! Why an event is rejected whole: the one table of the reasons, with their names and what they mean. The label `reason` of
//! `driftgate_rejected_events_total`, the status, the dead letters and the reference page all take them from here.

use serde::{Deserialize, Serialize};

/// The reasons, each once: its variant, its name, and what it means to a reader of the reference.
macro_rules! reasons {
    ($($reason:ident $name:literal $meaning:literal,)*) => {
        /// Why an event was rejected whole. Everything else that is wrong with an event is counted and the event still counts.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Reason {
            $(#[doc = $meaning] $reason,)*
        }

        impl Reason {
            pub const ALL: &'static [Self] = &[$(Self::$reason,)*];

            /// The reason as metrics and dead letters name it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$reason => $name,)*
                }
            }

            /// What it means, in a sentence.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$reason => $meaning,)*
                }
            }
        }
    };
}

reasons! {
    NotJson "not_json" "The event is not a JSON object, or not JSON at all.",
    NotAvro "not_avro" "The value is not what the Avro schema says that it was written with.",
    NotProtobuf "not_protobuf" "The value is not what the Protobuf schema says that it was written with.",
    BadFrame "bad_frame" "The message names no schema: it was not written by a serializer of a schema registry.",
    BadCloudevent "bad_cloudevent" "The message is no CloudEvent in binary or structured mode, or has no data.",
    NotInference "not_inference" "The request and response of an inference are not bodies of the V1 protocol or the Open Inference Protocol, or do not fit together.",
    UnknownSchema "unknown_schema" "The schema registry does not have the schema that the message names, or nobody can read it.",
    DuplicateKey "duplicate_key" "A field of the envelope (id, model, version, time and the like) stands twice.",
    TooDeep "too_deep" "Arrays and objects are nested deeper than `limits.depth`.",
    TooLarge "too_large" "The event is longer than `limits.message_bytes`.",
    BadText "bad_text" "An id, version, model or metric is longer than `limits.string_bytes`, or is an array or object.",
    NoModel "no_model" "The event names no model, and its source has no `model`.",
    NoVersion "no_version" "A prediction or measurement has no version.",
    NoTime "no_time" "The event has no time.",
    BadTime "bad_time" "The time is neither a number nor RFC 3339, is before 1970, or has no zone where the source names none.",
    Future "future" "The time lies further ahead of the record's own time than `future` of its source allows.",
    NoId "no_id" "A label, or a prediction that labels are joined to, has no prediction id.",
    NoMetric "no_metric" "A measurement does not name its metric.",
    BadValue "bad_value" "The value of a measurement is missing, is no number, or is out of range.",
    BadWeight "bad_weight" "`n` of a measurement is no whole number from 1 to 1e9.",
    BadRecord "bad_record" "The quotes or fields of a record of a CSV file are not valid.",
}

/// A rejected event: the reason and what was read, for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", reason.name())]
pub struct Reject {
    pub reason: Reason,
    pub detail: String,
}

impl Reject {
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_kept_under_the_name_that_it_is_told_by() {
        for (at, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.name());
            assert!(Reason::ALL.iter().skip(at + 1).all(|other| other.name() != reason.name()));
            assert!(reason.meaning().ends_with('.'), "{}", reason.name());
        }
    }
}
