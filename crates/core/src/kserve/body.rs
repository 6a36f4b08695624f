//! Bodies of inference requests and responses: V1 (`instances`, `predictions`), V2, the Open Inference Protocol (`inputs`, `outputs`:
//! tensors with a name, a shape and data), and the messages of Seldon Core 1 (`data`). Each is written as what its half says of the rows, a line a row: a request as the object of the
//! row's features, a response as the members `score` and `decision` of its prediction, each with a comma before it.

mod members;
mod message;
mod tensors;

use super::pairs::{Half, Side};
use super::settings::{Settings, Version};
use super::tape::{Tape, Value, write_text};
use crate::decode::{Reason, Reject};
use members::{named, none, several};
use message::Message;
use tensors::Tensors;

/// Reads the bodies of one source.
#[derive(Debug)]
pub(super) struct Bodies {
    /// Names of values that have none, as JSON.
    names: Vec<Vec<u8>>,
    score: Vec<String>,
    decision: Option<Vec<String>>,
    /// Whether the version is `model_version` of a response.
    names_version: bool,
    depth: usize,
    tape: Tape,
    tensors: Tensors,
}

impl Bodies {
    pub fn new(settings: &Settings, depth: usize) -> Self {
        let as_json = |name: &String| {
            let mut json = Vec::new();
            write_text(name, &mut json);
            json
        };
        Self {
            depth,
            names: settings.inputs.iter().map(as_json).collect(),
            score: settings.score.clone(),
            decision: settings.decision.clone(),
            names_version: settings.version == Version::Response,
            tape: Tape::default(),
            tensors: Tensors::default(),
        }
    }

    /// Reads the body of a half of the pair `id`.
    ///
    /// # Errors
    /// A body that is no JSON, or none of this side.
    pub fn read(&mut self, body: &[u8], id: &str, side: Side, half: &mut Half) -> Result<(), Reject> {
        let mut tape = std::mem::take(&mut self.tape);
        let read = match tape.read(body, self.depth) {
            Ok(body) => self.rows(body, id, side, half),
            Err(e) => Err(Reject::new(e.reason, format!("the {} of {id:?}: {}", side.name(), e.detail))),
        };
        self.tape = tape;
        read
    }

    /// The same of a body that is parsed already.
    ///
    /// # Errors
    /// A body that is none of this side.
    pub fn rows(&mut self, body: Value<'_>, id: &str, side: Side, half: &mut Half) -> Result<(), Reject> {
        half.rows.clear();
        if side == Side::Response && self.names_version {
            let version = body.member("model_version").and_then(|of| of.text()).unwrap_or_default();
            version.as_ref().clone_into(&mut half.version);
        }
        let written = self.write(body, side, &mut half.rows);
        written.map_err(|why| Reject::new(Reason::NotInference, format!("the {} of {id:?}: {why}", side.name())))
    }

    fn write(&mut self, body: Value<'_>, side: Side, out: &mut Vec<u8>) -> Result<(), String> {
        let (v1, v2) = match side {
            Side::Request => ("instances", "inputs"),
            Side::Response => ("predictions", "outputs"),
        };
        let list = |key: &str| body.member(key).filter(Value::is_array);
        match (list(v1), list(v2)) {
            (Some(values), _) => values.elements().try_for_each(|value| {
                match side {
                    Side::Request => self.instance(value, out)?,
                    Side::Response => self.outputs(out, |pointer| at(value, pointer))?,
                }
                out.push(b'\n');
                Ok(())
            }),
            (None, Some(tensors)) => {
                self.tensors.read(tensors)?;
                (0..self.tensors.rows()).try_for_each(|row| {
                    match side {
                        Side::Request => self.tensors.features(tensors, row, &self.names, out)?,
                        Side::Response => {
                            self.outputs(out, |pointer| self.tensors.output(tensors, row, pointer))?;
                        }
                    }
                    out.push(b'\n');
                    Ok(())
                })
            }
            (None, None) => match Message::of(body)? {
                Some(message) => self.message(&message, side, out),
                None => Err(format!("it has neither a list `{v1}` (V1) nor a list `{v2}` (V2)")),
            },
        }
    }

    fn message(&self, message: &Message<'_>, side: Side, out: &mut Vec<u8>) -> Result<(), String> {
        message.each_row(|row| {
            match side {
                Side::Request => message.features(row, &self.names, out)?,
                Side::Response => self.outputs(out, |pointer| message.output(row, pointer))?,
            }
            out.push(b'\n');
            Ok(())
        })
    }

    /// The only value of each row of a Seldon message, in order; such as the labels of its feedback.
    ///
    /// # Errors
    /// No such message, or a row of several values.
    pub fn values<'t>(body: Value<'t>, mut take: impl FnMut(Value<'t>)) -> Result<(), String> {
        let message = Message::of(body)?.ok_or("it has no `data`")?;
        message.each_row(|row| {
            take(message.output(row, &[])?);
            Ok(())
        })
    }

    /// Writes the features of an instance of V1.
    fn instance(&self, value: Value<'_>, out: &mut Vec<u8>) -> Result<(), String> {
        if value.is_object() {
            value.write(out);
            return Ok(());
        }
        out.push(b'{');
        let what = || "an instance".to_owned();
        if value.is_array() {
            named(value.elements().count(), value.elements(), &self.names, out, what)?;
        } else {
            named(1, std::iter::once(value), &self.names, out, what)?;
        }
        out.push(b'}');
        Ok(())
    }

    /// Writes the outputs of a row that the settings' pointers name.
    fn outputs<'t>(
        &self,
        out: &mut Vec<u8>,
        find: impl Fn(&[String]) -> Result<Value<'t>, String>,
    ) -> Result<(), String> {
        out.extend_from_slice(b",\"score\":");
        find(&self.score)?.write(out);
        if let Some(pointer) = &self.decision {
            out.extend_from_slice(b",\"decision\":");
            find(pointer)?.write(out);
        }
        Ok(())
    }
}

/// The value that a pointer names, and the only one in it.
fn at<'t>(value: Value<'t>, pointer: &[String]) -> Result<Value<'t>, String> {
    let mut value = value.pointer(pointer).ok_or_else(|| none(pointer))?;
    loop {
        let (first, n) = if value.is_array() {
            (value.elements().next(), value.elements().count())
        } else if value.is_object() {
            (value.members().next().map(|(_, value)| value), value.members().count())
        } else {
            return Ok(value);
        };
        match first {
            Some(only) if n == 1 => value = only,
            _ => return Err(several(n, "values")),
        }
    }
}
