//! Bodies of the Open Inference Protocol by themselves, as a gateway or a server logs them: a message with `outputs` is a response, one with
//! `inputs` a request (which may name the outputs that it asks for, without data), and both have the same `id`.

use std::borrow::Cow;

use super::body::Bodies;
use super::inference::{Found, Inference};
use super::pairs::Side;
use super::settings::{Settings, Version};
use super::tape::{Tape, Value};
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
    tape: Tape,
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
            tape: Tape::default(),
        }
    }

    /// The same, where the key of a record is the id, as `MLServer` takes it.
    #[must_use]
    pub fn keyed(self) -> Self {
        Self { is_keyed: true, ..self }
    }

    /// Reads a body, of a record with this key and time (ms): which half it is.
    ///
    /// # Errors
    /// What is no body of the protocol, and one without an id or a time.
    pub fn read(
        &mut self,
        value: &[u8],
        key: Option<&[u8]>,
        record_ts: Option<i64>,
        bodies: &mut Bodies,
        into: &mut Inference,
    ) -> Result<Found, Reject> {
        let mut tape = std::mem::take(&mut self.tape);
        let found = tape.read(value, self.depth).and_then(|body| self.body(body, key, record_ts, bodies, into));
        self.tape = tape;
        found
    }

    fn body(
        &self,
        body: Value<'_>,
        key: Option<&[u8]>,
        record_ts: Option<i64>,
        bodies: &mut Bodies,
        into: &mut Inference,
    ) -> Result<Found, Reject> {
        let side = side(body)?;
        let key = key.filter(|key| self.is_keyed && !key.is_empty()).map(String::from_utf8_lossy);
        let id = key.or_else(|| body.member("id")?.text()).filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| Reject::new(Reason::NoId, "the body has no id, by which its other half is found"))?;
        let ts = self.time(body, record_ts)?;
        let model = body.member("model_name").and_then(|of| of.text()).filter(|_| self.names_model);
        id.as_ref().clone_into(&mut into.id);
        into.half(side).begin(ts, &self.version(body).unwrap_or_default(), &model.unwrap_or_default());
        bodies.rows(body, &id, side, into.half(side))?;
        Ok(Found::Half(side))
    }

    fn time(&self, body: Value<'_>, record_ts: Option<i64>) -> Result<i64, Reject> {
        let Some(at) = &self.at else {
            return record_ts.ok_or_else(|| {
                let detail = "a line of a file has no time of its own: name where it stands, `inference: {time: /parameters/time}`";
                Reject::new(Reason::NoTime, detail)
            });
        };
        let Some(value) = body.pointer(at) else {
            return Err(Reject::new(Reason::NoTime, format!("the body has no \"/{}\"", at.join("/"))));
        };
        match (value.text(), value.scalar()) {
            (Some(text), _) => self.time.text(&text),
            (None, Some(number)) => {
                let parsed =
                    number.parse().map_err(|_| Reject::new(Reason::BadTime, format!("the time is {number}")))?;
                self.time.number(parsed, number)
            }
            (None, None) => Err(Reject::new(Reason::BadTime, "the time is an array or object")),
        }
    }

    /// What a parameter of the body names.
    fn version<'v>(&'v self, body: Value<'v>) -> Option<Cow<'v, str>> {
        match &self.version {
            Version::Fixed(version) => Some(Cow::Borrowed(version)),
            Version::Parameter(at) => {
                let value = body.pointer(at)?;
                let number = || value.scalar().filter(|text| text.parse::<f64>().is_ok()).map(Cow::Borrowed);
                value.text().or_else(number)
            }
            _ => None,
        }
    }
}

/// Which half a body is.
fn side(body: Value<'_>) -> Result<Side, Reject> {
    let there = |key| body.member(key).filter(|value| value.scalar() != Some("null"));
    match (there("outputs"), there("inputs")) {
        (Some(_), None) => Ok(Side::Response),
        (None, Some(_)) => Ok(Side::Request),
        (Some(asked), Some(_)) if asks(asked) => Ok(Side::Request),
        (found, _) => {
            let has = if found.is_some() { "both `inputs` and `outputs`" } else { "neither `inputs` nor `outputs`" };
            let detail = format!("the message has {has}: it is a request or a response of the Open Inference Protocol");
            Err(Reject::new(Reason::NotInference, detail))
        }
    }
}

/// Whether these outputs are those that a request asks for: they have names and no data.
fn asks(outputs: Value<'_>) -> bool {
    outputs.elements().next().is_some() && outputs.elements().all(|output| output.member("data").is_none())
}

#[cfg(test)]
mod tests {
    use super::super::pairs::Half;
    use super::*;

    fn bodies(time: Option<&str>, version: Version) -> OipBodies {
        let settings = Settings { version, ..Settings::default() };
        OipBodies::new(&settings, time.map(|at| at.split('/').map(str::to_owned).collect()), Limits::default())
    }

    /// What is read of a body, with its half.
    fn read(
        of: &mut OipBodies,
        value: &[u8],
        key: Option<&[u8]>,
        ts: Option<i64>,
    ) -> Result<(String, Side, Half), Reject> {
        let mut into = Inference::default();
        let settings =
            Settings { score: vec!["p".into(), "0".into()], version: of.version.clone(), ..Settings::default() };
        let mut bodies = Bodies::new(&settings, 8);
        match of.read(value, key, ts, &mut bodies, &mut into)? {
            Found::Half(side) => Ok((into.id.clone(), side, into.half(side).clone())),
            other => unreachable!("a body is one half: {other:?}"),
        }
    }

    #[test]
    fn a_body_is_the_half_that_its_tensors_say() {
        let mut bodies_at = bodies(Some("parameters/time"), Version::Parameter(vec!["model_version".into()]));
        let request = br#"{"id": "a", "inputs": [], "parameters": {"time": "2026-11-28T10:00:00.500Z"}}"#;
        let response = br#"{"model_name": "m", "model_version": "3", "id": "a", "outputs": [], "parameters": {"time": 1795860000500}}"#;
        let ts = 1_795_860_000_500;
        let half = |version: &str, model: &str| Half { ts, version: version.into(), model: model.into(), rows: vec![] };
        let of = read(&mut bodies_at, request, None, None).unwrap();
        assert_eq!(of, ("a".to_owned(), Side::Request, half("", "")));
        let (_, side, of) = read(&mut bodies_at, response, None, Some(5)).unwrap();
        assert_eq!((side, of), (Side::Response, half("3", "m")));
        let (_, side, of) = read(&mut bodies(None, Version::Fixed("9".into())), request, None, Some(ts)).unwrap();
        assert_eq!((side, of), (Side::Request, half("9", "")));
    }

    #[test]
    fn a_request_may_name_the_outputs_that_it_asks_for() {
        let side = |text: &str| read(&mut bodies(None, Version::Response), text.as_bytes(), None, Some(1)).unwrap().1;
        // As Triton's client writes it, and as pydantic models of MLServer do.
        for request in [
            r#"{"id": "a", "inputs": [{"name": "x", "shape": [1], "data": [1]}], "outputs": [{"name": "p", "parameters": {"binary_data": false}}]}"#,
            r#"{"id": "a", "parameters": null, "inputs": [], "outputs": null}"#,
        ] {
            assert_eq!(side(request), Side::Request, "{request}");
        }
        assert_eq!(
            side(r#"{"id": "a", "inputs": null, "outputs": [{"name": "p", "shape": [1], "data": [1]}]}"#),
            Side::Response
        );
    }

    #[test]
    fn mlserver_takes_the_key_of_a_record_before_the_id_of_its_body() {
        let keyed = &mut bodies(None, Version::Response).keyed();
        let id = |of: &mut OipBodies, key: Option<&[u8]>, text: &str| {
            read(of, text.as_bytes(), key, Some(1)).map(|(id, ..)| id)
        };
        let request = r#"{"id": "body", "inputs": []}"#;
        assert_eq!(id(keyed, Some(b"key"), request).unwrap(), "key");
        assert_eq!(id(keyed, Some(b""), request).unwrap(), "body");
        assert_eq!(id(keyed, None, request).unwrap(), "body");
        assert_eq!(id(keyed, Some(b"key"), r#"{"inputs": []}"#).unwrap(), "key");
        assert_eq!(id(keyed, None, r#"{"inputs": []}"#).unwrap_err().reason, Reason::NoId);
        assert_eq!(id(&mut bodies(None, Version::Response), Some(b"key"), request).unwrap(), "body");
    }

    #[test]
    fn what_is_no_half_is_told() {
        let mut at = bodies(Some("t"), Version::Response);
        let mut told = |text: &str| read(&mut at, text.as_bytes(), None, Some(1)).unwrap_err().reason;
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
        let body = br#"{"id": "a", "inputs": []}"#;
        let line = read(&mut bodies(None, Version::Response), body, None, None).unwrap_err();
        assert!(line.reason == Reason::NoTime && line.detail.contains("inference: {time: /parameters/time}"), "{line}");
    }
}
