//! Bodies of the Open Inference Protocol by themselves, as a gateway or a server logs them: a message with `outputs` is a response, one with
//! `inputs` a request (which may name the outputs that it asks for, without data), and both have the same `id`.

use super::body::Value;
use super::pairs::{Found, Half, Side};
use super::settings::{Settings, Version};
use crate::decode::time::TimeFormat;
use crate::decode::{Reason, Reject};
use crate::event::Limits;

/// Reads the bodies of one source.
#[derive(Debug)]
pub(super) struct OipBodies {
    version: Version,
    names_model: bool,
    /// Where the time stands.
    at: Option<Vec<String>>,
    time: TimeFormat,
    depth: usize,
    /// The key of a record is the id, before that of its body.
    is_keyed: bool,
}

impl OipBodies {
    pub fn new(settings: &Settings, time: Option<Vec<String>>, limits: Limits) -> Self {
        Self {
            version: settings.version.clone(),
            names_model: settings.names_model,
            at: time,
            time: TimeFormat::default(),
            depth: limits.depth,
            is_keyed: false,
        }
    }

    /// The same, where the key of a record is the id, as `MLServer` takes it.
    #[must_use]
    pub fn keyed(self) -> Self {
        Self { is_keyed: true, ..self }
    }

    /// Reads a body, of a record with this key and time (ms): its id, and the half that it is.
    ///
    /// # Errors
    /// What is no body of the protocol, and one without an id or a time.
    pub fn read(&self, value: &[u8], key: Option<&[u8]>, record_ts: Option<i64>) -> Result<(String, Found), Reject> {
        let body = Value::parse(value, self.depth)?;
        let there = |key| body.member(key).filter(|value| !matches!(value, Value::Scalar("null")));
        let side = match (there("outputs"), there("inputs")) {
            (Some(_), None) => Side::Response,
            (None, Some(_)) => Side::Request,
            (Some(asked), Some(_)) if asks(asked) => Side::Request,
            (found, _) => {
                let has =
                    if found.is_some() { "both `inputs` and `outputs`" } else { "neither `inputs` nor `outputs`" };
                let detail =
                    format!("the message has {has}: it is a request or a response of the Open Inference Protocol");
                return Err(Reject::new(Reason::NotInference, detail));
            }
        };
        let key =
            key.filter(|key| self.is_keyed && !key.is_empty()).map(|key| String::from_utf8_lossy(key).into_owned());
        let id = key.or_else(|| body.member("id").and_then(Value::text)).filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| Reject::new(Reason::NoId, "the body has no id, by which its other half is found"))?;
        let half = Half {
            ts: self.time(&body, record_ts)?,
            version: self.version(&body),
            model: body.member("model_name").and_then(Value::text).filter(|_| self.names_model),
            body: value.to_vec(),
        };
        Ok((id, Found::Half(side, half)))
    }

    fn time(&self, body: &Value<'_>, record_ts: Option<i64>) -> Result<i64, Reject> {
        let Some(at) = &self.at else {
            return record_ts.ok_or_else(|| {
                let detail = "a line of a file has no time of its own: name where it stands, `inference: {time: /parameters/time}`";
                Reject::new(Reason::NoTime, detail)
            });
        };
        match body.pointer(at) {
            None => Err(Reject::new(Reason::NoTime, format!("the body has no \"/{}\"", at.join("/")))),
            Some(value) => match (value.text(), value) {
                (Some(text), _) => self.time.text(&text),
                (None, Value::Scalar(number)) => {
                    let parsed =
                        number.parse().map_err(|_| Reject::new(Reason::BadTime, format!("the time is {number}")))?;
                    self.time.number(parsed, number)
                }
                _ => Err(Reject::new(Reason::BadTime, "the time is an array or object")),
            },
        }
    }

    /// What a parameter of the body names.
    fn version(&self, body: &Value<'_>) -> Option<String> {
        match &self.version {
            Version::Fixed(version) => Some(version.clone()),
            Version::Parameter(at) => match body.pointer(at)? {
                value @ Value::Scalar(text) => {
                    value.text().or_else(|| text.parse::<f64>().ok().map(|_| (*text).to_owned()))
                }
                _ => None,
            },
            _ => None,
        }
        .filter(|version| !version.is_empty())
    }
}

/// Whether these outputs are those that a request asks for: they have names and no data.
fn asks(outputs: &Value<'_>) -> bool {
    matches!(outputs, Value::Array(outputs) if !outputs.is_empty() && outputs.iter().all(|output| output.member("data").is_none()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bodies(time: Option<&str>, version: Version) -> OipBodies {
        let settings = Settings { version, ..Settings::default() };
        OipBodies::new(&settings, time.map(|at| at.split('/').map(str::to_owned).collect()), Limits::default())
    }

    #[test]
    fn a_body_is_the_half_that_its_tensors_say() {
        let bodies_at = bodies(Some("parameters/time"), Version::Parameter(vec!["model_version".into()]));
        let request = br#"{"id": "a", "inputs": [], "parameters": {"time": "2026-11-28T10:00:00.500Z"}}"#;
        let response = br#"{"model_name": "m", "model_version": "3", "id": "a", "outputs": [], "parameters": {"time": 1795860000500}}"#;
        let (id, found) = bodies_at.read(request, None, None).unwrap();
        let ts = 1_795_860_000_500;
        let half = |version: Option<&str>, model: Option<&str>, body: &[u8]| Half {
            ts,
            version: version.map(str::to_owned),
            model: model.map(str::to_owned),
            body: body.to_vec(),
        };
        assert_eq!((id.as_str(), found), ("a", Found::Half(Side::Request, half(None, None, request))));
        let (_, found) = bodies_at.read(response, None, Some(5)).unwrap();
        assert_eq!(found, Found::Half(Side::Response, half(Some("3"), Some("m"), response)));
        let (_, found) = bodies(None, Version::Fixed("9".into())).read(request, None, Some(ts)).unwrap();
        assert_eq!(found, Found::Half(Side::Request, half(Some("9"), None, request)));
    }

    #[test]
    fn a_request_may_name_the_outputs_that_it_asks_for() {
        let side = |text: &str| match bodies(None, Version::Response).read(text.as_bytes(), None, Some(1)).unwrap().1 {
            Found::Half(side, _) => side,
            _ => unreachable!("a body is one half"),
        };
        // As Triton's client writes it, and as pydantic models of MLServer do.
        for request in [
            r#"{"id": "a", "inputs": [{"name": "x", "data": [1]}], "outputs": [{"name": "p", "parameters": {"binary_data": false}}]}"#,
            r#"{"id": "a", "parameters": null, "inputs": [], "outputs": null}"#,
        ] {
            assert_eq!(side(request), Side::Request, "{request}");
        }
        assert_eq!(side(r#"{"id": "a", "inputs": null, "outputs": [{"name": "p", "data": [1]}]}"#), Side::Response);
    }

    #[test]
    fn mlserver_takes_the_key_of_a_record_before_the_id_of_its_body() {
        let keyed = bodies(None, Version::Response).keyed();
        let id =
            |of: &OipBodies, key: Option<&[u8]>, text: &str| of.read(text.as_bytes(), key, Some(1)).map(|(id, _)| id);
        let request = r#"{"id": "body", "inputs": []}"#;
        assert_eq!(id(&keyed, Some(b"key"), request).unwrap(), "key");
        assert_eq!(id(&keyed, Some(b""), request).unwrap(), "body");
        assert_eq!(id(&keyed, None, request).unwrap(), "body");
        assert_eq!(id(&keyed, Some(b"key"), r#"{"inputs": []}"#).unwrap(), "key");
        assert_eq!(id(&keyed, None, r#"{"inputs": []}"#).unwrap_err().reason, Reason::NoId);
        assert_eq!(id(&bodies(None, Version::Response), Some(b"key"), request).unwrap(), "body");
    }

    #[test]
    fn what_is_no_half_is_told() {
        let at = bodies(Some("t"), Version::Response);
        let told = |text: &str| at.read(text.as_bytes(), None, Some(1)).unwrap_err().reason;
        assert_eq!(told("nope"), Reason::NotJson);
        assert_eq!(told("{}"), Reason::NotInference);
        assert_eq!(told("[]"), Reason::NotInference);
        assert_eq!(told(r#"{"id": "a", "inputs": [], "outputs": []}"#), Reason::NotInference);
        let both = r#"{"id": "a", "inputs": [{"name": "x", "data": [1]}], "outputs": [{"name": "p", "data": [1]}]}"#;
        assert_eq!(told(both), Reason::NotInference);
        assert_eq!(told(r#"{"inputs": [], "t": 1}"#), Reason::NoId);
        assert_eq!(told(r#"{"id": "", "inputs": [], "t": 1}"#), Reason::NoId);
        assert_eq!(told(r#"{"id": "a", "inputs": []}"#), Reason::NoTime);
        for bad in ["[1]", "\"x\"", "true", "null"] {
            assert_eq!(told(&format!(r#"{{"id": "a", "inputs": [], "t": {bad}}}"#)), Reason::BadTime, "{bad}");
        }
        let line = bodies(None, Version::Response).read(br#"{"id": "a", "inputs": []}"#, None, None).unwrap_err();
        assert!(line.reason == Reason::NoTime && line.detail.contains("inference: {time: /parameters/time}"), "{line}");
    }
}
