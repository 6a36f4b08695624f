//! Topics of serving systems that are known by more than their messages: `MLServer`'s by a header of its requests, Seldon Core 2's by their names,
//! that of Seldon Core 1's logger by a header. In the first two requests and responses have a topic each, and both are looked at. Sources: the Kafka
//! servers of `MLServer` 1.7 and Seldon Core 2, and the executor of Seldon Core 1.18.

use serde_json::{Value, json};

use super::detect::{Format, Message, Seen};
use driftgate_core::kserve::seldon_json;

/// The header that names the model of a request to `MLServer`.
const MLSERVER_MODEL: &str = "mlserver-model";
/// How the types of events of Seldon Core 1's logger begin.
const SELDON: &str = "io.seldon.serving.";
/// Messages of Seldon are nested no deeper than this.
const DEPTH: usize = 16;
/// How the names of topics of requests end, and those of their responses.
const ENDS: [(&str, &str); 5] =
    [("inputs", "outputs"), ("input", "output"), ("requests", "responses"), ("request", "response"), ("req", "resp")];

/// A system whose topics are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    MlServer,
    /// Whether the topic has responses.
    Seldon {
        is_responses: bool,
    },
    /// Seldon Core 1's logger.
    SeldonLogger,
}

/// The kind of an event of Seldon Core 1's logger: `inference.request`, `inference.response` or `feedback`.
fn logged(message: &Message) -> Option<&str> {
    let kind = message.header("type").or_else(|| message.header("ce_type"))?;
    std::str::from_utf8(kind).ok()?.strip_prefix(SELDON)
}

impl System {
    /// The system that a topic with these messages is of.
    pub fn of(topic: &str, messages: &[Message]) -> Option<Self> {
        let parts: Vec<&str> = topic.split('.').collect();
        if let [.., _, "model" | "pipeline", _, end @ ("inputs" | "outputs")] = parts.as_slice() {
            return Some(Self::Seldon { is_responses: *end == "outputs" });
        }
        if messages.iter().any(|message| logged(message).is_some()) {
            return Some(Self::SeldonLogger);
        }
        messages.iter().any(|message| message.header(MLSERVER_MODEL).is_some()).then_some(Self::MlServer)
    }

    /// What a message of the system is, if it says more than `detect` does.
    pub fn see(self, message: &Message) -> Option<Seen> {
        let value = message.value.as_deref().filter(|value| !value.is_empty())?;
        let (format, tree) = match self {
            Self::MlServer => return None,
            Self::Seldon { is_responses } => {
                (Format::SeldonV2, serde_json::from_slice(&seldon_json(value, is_responses, DEPTH).ok()?).ok())
            }
            Self::SeldonLogger => {
                let (kind, body): (&str, Value) = (logged(message)?, serde_json::from_slice(value).ok()?);
                (Format::SeldonLogger, Some(json!({"type": kind, "body": body})))
            }
        };
        Some(Seen { format, schema: None, tree })
    }

    /// The same of the topic of the responses.
    pub fn of_responses(self) -> Self {
        match self {
            Self::MlServer => Self::MlServer,
            Self::Seldon { .. } => Self::Seldon { is_responses: true },
            Self::SeldonLogger => Self::SeldonLogger,
        }
    }
}

/// The topic that would have the responses to the requests of this one.
pub fn responses(topic: &str) -> Option<String> {
    ENDS.iter().find_map(|(requests, responses)| Some(topic.strip_suffix(requests)?.to_owned() + responses))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_is_known_by_a_name_or_by_a_header() {
        let of = |topic: &str| System::of(topic, &[]);
        assert_eq!(of("seldon.mesh.model.iris.inputs"), Some(System::Seldon { is_responses: false }));
        assert_eq!(of("a.b.ns.pipeline.iris-2.outputs"), Some(System::Seldon { is_responses: true }));
        for other in ["model.iris.inputs", "seldon.mesh.model.iris.errors", "inputs", "mlserver-input", ""] {
            assert_eq!(of(other), None, "{other}");
        }
        let asked = Message { value: None, headers: vec![("MLServer-Model".into(), b"iris".to_vec())] };
        assert_eq!(System::of("mlserver-input", &[asked]), Some(System::MlServer));
        let logged = |name: &str| {
            let kind = b"io.seldon.serving.inference.request".to_vec();
            System::of("logs", &[Message { value: None, headers: vec![(name.into(), kind)] }])
        };
        assert_eq!((logged("type"), logged("ce_type")), (Some(System::SeldonLogger), Some(System::SeldonLogger)));
    }

    #[test]
    fn responses_have_the_name_that_goes_with_the_requests() {
        let of = |topic: &str| responses(topic).unwrap_or_default();
        assert_eq!(of("mlserver-input"), "mlserver-output");
        assert_eq!(of("seldon.mesh.model.iris.inputs"), "seldon.mesh.model.iris.outputs");
        assert_eq!((of("gateway_requests"), of("events")), ("gateway_responses".to_owned(), String::new()));
    }
}
