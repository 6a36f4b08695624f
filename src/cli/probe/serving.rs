//! Topics of serving systems that are known by more than their messages: `MLServer`'s by a header of its requests, Seldon Core 2's by their names.
//! Requests and responses have a topic each there, and both are looked at. Sources: the Kafka servers of `MLServer` 1.7 and Seldon Core 2.

use super::detect::{Format, Message, Seen};
use driftgate_core::kserve::seldon_json;

/// The header that names the model of a request to `MLServer`.
const MLSERVER_MODEL: &str = "mlserver-model";
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
}

impl System {
    /// The system that a topic with these messages is of.
    pub fn of(topic: &str, messages: &[Message]) -> Option<Self> {
        let parts: Vec<&str> = topic.split('.').collect();
        if let [.., _, "model" | "pipeline", _, end @ ("inputs" | "outputs")] = parts.as_slice() {
            return Some(Self::Seldon { is_responses: *end == "outputs" });
        }
        messages.iter().any(|message| message.header(MLSERVER_MODEL).is_some()).then_some(Self::MlServer)
    }

    /// What a message of the system is, if it says more than `detect` does.
    pub fn see(self, message: &Message) -> Option<Seen> {
        let Self::Seldon { is_responses } = self else { return None };
        let json =
            seldon_json(message.value.as_deref().filter(|value| !value.is_empty())?, is_responses, DEPTH).ok()?;
        Some(Seen { format: Format::SeldonV2, schema: None, tree: serde_json::from_slice(&json).ok() })
    }

    /// The same of the topic of the responses.
    pub fn of_responses(self) -> Self {
        match self {
            Self::MlServer => Self::MlServer,
            Self::Seldon { .. } => Self::Seldon { is_responses: true },
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
    }

    #[test]
    fn responses_have_the_name_that_goes_with_the_requests() {
        let of = |topic: &str| responses(topic).unwrap_or_default();
        assert_eq!(of("mlserver-input"), "mlserver-output");
        assert_eq!(of("seldon.mesh.model.iris.inputs"), "seldon.mesh.model.iris.outputs");
        assert_eq!((of("gateway_requests"), of("events")), ("gateway_responses".to_owned(), String::new()));
    }
}
