//! Requests and responses of serving systems: the source that would join them to predictions.

use serde_json::Value;

use super::detect::{Format, Seen};
use super::fields::pointer;
use super::serving::System;

/// Words in the names of outputs that are scores.
const SCORES: [&str; 4] = ["prob", "score", "risk", "confidence"];
/// Names of values are left open for so many; more are named by their number.
const MOST_NAMES: usize = 200;

/// What was seen of requests and responses.
#[derive(Debug, Default)]
pub struct Bodies {
    requests: u64,
    responses: u64,
    /// Events of `KServe`'s logger, or bodies by themselves.
    is_logged: bool,
    /// The events name their model.
    has_model: bool,
    /// A response names a version.
    has_version: bool,
    /// Values of a row of the inputs, where they have no names.
    unnamed: Option<usize>,
    /// Outputs with their values a row; one without a name is that of V1.
    outputs: Vec<(Option<String>, usize)>,
}

/// A source, and what the guess leaves open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// `sources:` as YAML; the model of events that name none is `MODEL`.
    pub source: String,
    pub open: Vec<String>,
}

impl Bodies {
    /// Takes a message, if it is a request or a response.
    pub fn add(&mut self, seen: &Seen) {
        if seen.format == Format::SeldonLogger {
            return self.add_logged_by_seldon(seen.tree.as_ref());
        }
        let is_logged = matches!(seen.format, Format::KserveLoggerV1 | Format::KserveLoggerV2);
        if !is_logged && !matches!(seen.format, Format::KserveV2 | Format::SeldonV2) {
            return;
        }
        let Some(tree) = &seen.tree else { return };
        self.is_logged = is_logged;
        self.has_model |= tree.get("ce_inferenceservicename").is_some_and(Value::is_string);
        self.has_version |= tree.get("model_version").is_some_and(Value::is_string);
        let list = |key: &str| tree.get(key).and_then(Value::as_array).filter(|list| !list.is_empty());
        if let Some(tensors) = list("outputs") {
            self.responses += 1;
            self.outputs = tensors.iter().map(|tensor| (text(tensor, "name"), width(tensor))).collect();
        } else if let Some(predictions) = list("predictions") {
            self.responses += 1;
            self.outputs = of_prediction(predictions.first());
        } else if let Some(tensors) = list("inputs") {
            self.requests += 1;
            let widths: Vec<usize> = tensors.iter().map(width).collect();
            self.unnamed = match widths.as_slice() {
                [one] if *one > 1 => Some(*one),
                _ => None,
            };
        } else if let Some(instances) = list("instances") {
            self.requests += 1;
            self.unnamed = instances.first().and_then(Value::as_array).map(Vec::len);
        }
    }

    /// A message of Seldon Core 1's logger, whose events name their model and the predictor that answers.
    fn add_logged_by_seldon(&mut self, tree: Option<&Value>) {
        (self.has_model, self.has_version) = (true, true);
        let at = |pointer: &str| tree.and_then(|tree| tree.pointer(pointer));
        let names: Vec<String> = at("/body/data/names")
            .and_then(Value::as_array)
            .map_or_else(Vec::new, |names| names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect());
        let row = at("/body/data/ndarray/0").map(|row| row.as_array().map_or(1, Vec::len));
        let sizes = at("/body/data/tensor").map(width);
        let values = row.or(sizes).unwrap_or(names.len());
        match at("/type").and_then(Value::as_str) {
            Some("inference.request") => {
                self.requests += 1;
                self.unnamed = (names.is_empty() && values > 0).then_some(values);
            }
            Some("inference.response") => {
                self.responses += 1;
                // Names such as `t:0` say nothing.
                let is_named = names.iter().any(|name| is_score(name));
                self.outputs = if is_named || values < 2 {
                    names.into_iter().map(|name| (Some(name), 1)).collect()
                } else {
                    vec![(None, values)]
                };
            }
            _ => {}
        }
    }

    /// The source that joins them; `None` where there are no requests. `answers` is the topic of the responses, where they have one.
    pub fn proposal(&self, topic: &str, system: Option<System>, answers: Option<&str>) -> Option<Proposal> {
        if self.requests == 0 || matches!(system, Some(System::Seldon { is_responses: true })) {
            return None;
        }
        let (mut settings, mut open) = (Vec::new(), Vec::new());
        if let Some(n) = self.unnamed {
            let names: Vec<String> = (1..=n.min(MOST_NAMES)).map(|at| format!("INPUT_{at}")).collect();
            settings.push(format!("inputs: [{}]", names.join(", ")));
            open.push(format!(
                "the {n} values of a row have no names: write them in their order in place of INPUT_1 and on"
            ));
        }
        if let Some(answers) = answers {
            settings.push(format!("responses: {}", Value::from(answers)));
        } else if self.responses == 0 && system != Some(System::SeldonLogger) {
            settings.push("responses: RESPONSES".to_owned());
            open.push("there are requests only: write the topic of the responses in place of RESPONSES".to_owned());
        }
        let (score, why) = self.score();
        settings.extend(score.map(|at| format!("score: {}", Value::String(at))));
        open.extend(why);
        if system == Some(System::SeldonLogger) {
            settings.push("version: /endpoint".to_owned());
            open.push("the predictor (`endpoint`) is taken for the version".to_owned());
        } else if !self.has_version {
            settings.push("fixed_version: VERSION".to_owned());
            open.push(
                "no response names a version: write it in place of VERSION, or where the events have it as `version`"
                    .to_owned(),
            );
        }
        let mut lines = vec![
            "sources:".to_owned(),
            format!("  - topic: {}", Value::from(topic)),
            "    kind: predictions".to_owned(),
        ];
        let format = match system {
            Some(System::MlServer) => "mlserver",
            Some(System::Seldon { .. } | System::SeldonLogger) => "seldon",
            None if self.is_logged => "kserve",
            None => "oip",
        };
        lines.push(format!("    format: {format}"));
        if !self.has_model {
            lines.push("    model: MODEL".to_owned());
        }
        if !settings.is_empty() {
            lines.push(format!("    inference: {{{}}}", settings.join(", ")));
        }
        Some(Proposal { source: lines.join("\n") + "\n", open })
    }

    /// Where the score stands in a row of the outputs, and what is not sure of it. A row of one value needs no place.
    fn score(&self) -> (Option<String>, Option<String>) {
        let is_one = |name: &Option<String>| name.as_deref().is_some_and(is_score);
        let chosen = self.outputs.iter().find(|(name, _)| is_one(name)).or(self.outputs.first());
        let Some((name, values)) = chosen else { return (None, None) };
        let mut place = match name {
            Some(name) if self.outputs.len() > 1 || *values > 1 => pointer(std::slice::from_ref(name)),
            _ => String::new(),
        };
        let mut why = None;
        if *values > 1 {
            place.push_str("/1");
            why = Some(format!("of the {values} values of a row the second is taken for the score of class 1"));
        } else if self.outputs.len() > 1 {
            why = Some(format!(
                "of {} outputs {} is taken for the score",
                self.outputs.len(),
                name.as_deref().unwrap_or("the first")
            ));
        }
        (Some(place).filter(|place| !place.is_empty()), why)
    }
}

/// Whether a name is that of a score.
fn is_score(name: &str) -> bool {
    SCORES.iter().any(|word| name.to_lowercase().contains(word))
}

fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned)
}

/// The values that a tensor has for each row.
fn width(tensor: &Value) -> usize {
    let shape = tensor.get("shape").and_then(Value::as_array);
    let sizes = shape.into_iter().flatten().skip(1).filter_map(Value::as_u64);
    usize::try_from(sizes.fold(1_u64, u64::saturating_mul)).unwrap_or(usize::MAX)
}

/// The outputs of a prediction of V1: a number, a list, or an object of numbers.
fn of_prediction(prediction: Option<&Value>) -> Vec<(Option<String>, usize)> {
    match prediction {
        Some(Value::Array(values)) => vec![(None, values.len())],
        Some(Value::Object(members)) => {
            let width = |value: &Value| value.as_array().map_or(1, Vec::len);
            members.iter().map(|(name, value)| (Some(name.clone()), width(value))).collect()
        }
        _ => vec![(None, 1)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::probe::detect::{Message, message};

    fn of(bodies: &[(&str, &[(&str, &str)])]) -> Option<Proposal> {
        let mut all = Bodies::default();
        for (value, headers) in bodies {
            let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
            all.add(&message(&Message { value: Some(value.as_bytes().to_vec()), headers }));
        }
        all.proposal("logs", None, None)
    }

    const LOGGED: &[(&str, &str)] =
        &[("ce_specversion", "1.0"), ("ce_type", "x"), ("ce_inferenceservicename", "fraud")];

    #[test]
    fn a_logger_of_v1_has_lists_without_names_and_no_version() {
        let found =
            of(&[("{\"instances\": [[1, 2, 3]]}", LOGGED), ("{\"predictions\": [[0.2, 0.8]]}", LOGGED)]).unwrap();
        let expected = "sources:\n  - topic: \"logs\"\n    kind: predictions\n    format: kserve\n    inference: {inputs: [INPUT_1, INPUT_2, INPUT_3], \
                        score: \"/1\", fixed_version: VERSION}\n";
        assert_eq!(found.source, expected);
        assert_eq!(found.open.len(), 3, "{:?}", found.open);
    }

    #[test]
    fn the_logger_of_seldon_names_models_and_predictors() {
        let mut all = Bodies::default();
        for (kind, value) in [
            ("inference.request", r#"{"data": {"names": ["age"], "ndarray": [[30]]}}"#),
            (
                "inference.response",
                r#"{"data": {"names": ["t:0", "t:1"], "tensor": {"shape": [1, 2], "values": [0.3, 0.7]}}}"#,
            ),
            ("feedback", r#"{"reward": 1}"#),
        ] {
            let headers = vec![("type".to_owned(), format!("io.seldon.serving.{kind}").into_bytes())];
            let message = Message { value: Some(value.as_bytes().to_vec()), headers };
            let system = System::of("logs", std::slice::from_ref(&message)).unwrap();
            all.add(&system.see(&message).unwrap());
        }
        let found = all.proposal("logs", Some(System::SeldonLogger), None).unwrap();
        let expected = "sources:\n  - topic: \"logs\"\n    kind: predictions\n    format: seldon\n    inference: {score: \"/1\", version: /endpoint}\n";
        assert_eq!(found.source, expected);
        assert_eq!(found.open.len(), 2, "{:?}", found.open);
    }

    #[test]
    fn bodies_of_the_open_inference_protocol_name_their_inputs_and_their_version() {
        let request = "{\"id\": \"1\", \"inputs\": [{\"name\": \"a\", \"shape\": [1], \"datatype\": \"FP32\", \"data\": [1]}, {\"name\": \"b\", \"shape\": [1, 1], \"datatype\": \"FP32\", \"data\": [1]}]}";
        let response = "{\"id\": \"1\", \"model_version\": \"7\", \"outputs\": [{\"name\": \"predict\", \"shape\": [1, 1], \"datatype\": \"INT64\", \"data\": [1]}, {\"name\": \"predict_proba\", \"shape\": [1, 2], \"datatype\": \"FP64\", \"data\": [0.1, 0.9]}]}";
        let found = of(&[(request, &[]), (response, &[])]).unwrap();
        let expected = "sources:\n  - topic: \"logs\"\n    kind: predictions\n    format: oip\n    model: MODEL\n    inference: {score: \"/predict_proba/1\"}\n";
        assert_eq!(found.source, expected);
        let alone = of(&[(request, &[])]).unwrap();
        assert!(alone.source.contains("responses: RESPONSES") && alone.open[0].contains("requests only"), "{alone:?}");
        assert_eq!(of(&[(response, &[])]), None);
    }
}
