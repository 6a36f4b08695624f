//! Bodies of inference requests and responses: V1 (`instances`, `predictions`) and V2, the Open Inference Protocol (`inputs`, `outputs`:
//! tensors with a name, a shape and data). Scalars keep their text, so that a number is what its digits say.

use std::borrow::Cow;

use crate::decode::scan::Scanner;
use crate::decode::{Reason, Reject};

/// A JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// As it is written, a text with its quotes.
    Scalar(&'a str),
    Array(Vec<Value<'a>>),
    Object(Vec<(String, Value<'a>)>),
}

impl<'a> Value<'a> {
    /// Reads a whole text, nested no deeper than `depth`.
    ///
    /// # Errors
    /// A text that is not JSON (or `NaN`, `Infinity`).
    pub fn parse(text: &'a [u8], depth: usize) -> Result<Self, Reject> {
        std::str::from_utf8(text).map_err(|e| Reject::new(Reason::NotJson, format!("the body is not UTF-8: {e}")))?;
        let mut scanner = Scanner::new(text, depth);
        let mut scratch = String::new();
        let value = Self::read(&mut scanner, &mut scratch)?;
        scanner.end()?;
        Ok(value)
    }

    fn read(scanner: &mut Scanner<'a>, scratch: &mut String) -> Result<Self, Reject> {
        if scanner.at_object() {
            let mut members = Vec::new();
            let mut more = scanner.enter_object()?;
            while more {
                let key = scanner.key(scratch)?.to_owned();
                members.push((key, Self::read(scanner, scratch)?));
                more = scanner.next_member()?;
            }
            return Ok(Self::Object(members));
        }
        if scanner.at_array() {
            let mut values = Vec::new();
            let mut more = scanner.enter_array()?;
            while more {
                values.push(Self::read(scanner, scratch)?);
                more = scanner.next_element()?;
            }
            return Ok(Self::Array(values));
        }
        // White space was passed when it was asked what begins here.
        let start = scanner.position();
        scanner.value(scratch)?;
        let text = scanner.bytes().get(start..scanner.position()).unwrap_or(&[]);
        Ok(Self::Scalar(std::str::from_utf8(text).unwrap_or("null")))
    }

    /// A member of an object: the last of that name.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// What a pointer names, by its parts.
    #[must_use]
    pub fn pointer(&self, at: &[String]) -> Option<&Self> {
        at.iter().try_fold(self, |value, part| match value {
            Self::Array(values) => values.get(part.parse::<usize>().ok()?),
            value => value.member(part),
        })
    }

    /// What a text says.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Scalar(text) if text.starts_with('"') => serde_json::from_str(text).ok(),
            _ => None,
        }
    }

    /// Writes it as JSON.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Scalar(text) => out.extend_from_slice(text.as_bytes()),
            Self::Array(values) => {
                out.push(b'[');
                for (at, value) in values.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    value.write(out);
                }
                out.push(b']');
            }
            Self::Object(members) => write_object(members.iter().map(|(name, value)| (name.as_ref(), value)), out),
        }
    }

    fn whole(&self) -> Option<usize> {
        match self {
            Self::Scalar(text) => text.parse().ok(),
            _ => None,
        }
    }

    fn flatten<'v>(&'v self, into: &mut Vec<&'v Self>) {
        match self {
            Self::Array(values) => values.iter().for_each(|value| value.flatten(into)),
            value => into.push(value),
        }
    }
}

/// Appends an object with these members, in their order.
pub fn write_object<'v, 'b: 'v>(members: impl Iterator<Item = (&'v str, &'v Value<'b>)>, out: &mut Vec<u8>) {
    out.push(b'{');
    for (at, (name, value)) in members.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_text(name, out);
        out.push(b':');
        value.write(out);
    }
    out.push(b'}');
}

/// Writes a text as JSON.
pub fn write_text(text: &str, out: &mut Vec<u8>) {
    // Writing a text to memory does not fail.
    let _ = serde_json::to_writer(out, text);
}

/// One tensor: `width` values a row, in the order of its rows.
#[derive(Debug)]
pub struct Tensor<'v, 'a> {
    pub name: String,
    pub rows: usize,
    pub width: usize,
    values: Vec<&'v Value<'a>>,
}

impl<'v, 'a> Tensor<'v, 'a> {
    fn of(value: &'v Value<'a>) -> Result<Self, String> {
        let name = value.member("name").and_then(Value::text).ok_or("a tensor has no name")?;
        let shape = match value.member("shape") {
            Some(Value::Array(shape)) => shape.iter().map(Value::whole).collect::<Option<Vec<_>>>(),
            _ => None,
        };
        let shape = shape
            .filter(|shape| !shape.is_empty())
            .ok_or_else(|| format!("the tensor {name:?} has no shape, whose first number says how many rows it has"))?;
        let rows = shape.first().copied().unwrap_or(0);
        let width = shape.iter().skip(1).try_fold(1_usize, |width, n| width.checked_mul(*n));
        let Some(data) = value.member("data") else {
            let behind = value.member("parameters").and_then(|p| p.member("binary_data_size")).is_some();
            let why = if behind { "behind the JSON (the binary extension)" } else { "nowhere" };
            return Err(format!("the tensor {name:?} has its data {why}: driftgate reads data as JSON"));
        };
        let mut values = Vec::new();
        data.flatten(&mut values);
        match width.and_then(|width| Some((width, width.checked_mul(rows)?))) {
            Some((width, all)) if all == values.len() => Ok(Self { name, rows, width, values }),
            _ => Err(format!("the tensor {name:?} has {} values, which its shape {shape:?} does not", values.len())),
        }
    }

    /// The values of a row.
    #[must_use]
    pub fn row(&self, row: usize) -> &[&'v Value<'a>] {
        self.values.get(row * self.width..(row + 1) * self.width).unwrap_or(&[])
    }
}

/// The inputs or the outputs of a batch.
#[derive(Debug)]
pub enum Table<'v, 'a> {
    /// A value a row.
    V1(&'v [Value<'a>]),
    /// Tensors, all with as many rows.
    V2(Vec<Tensor<'v, 'a>>),
}

impl<'v, 'a> Table<'v, 'a> {
    /// What stands under `v1` or `v2` of a body.
    ///
    /// # Errors
    /// Neither of them, and tensors that do not agree.
    pub fn of(body: &'v Value<'a>, v1: &str, v2: &str) -> Result<Self, String> {
        if let Some(Value::Array(values)) = body.member(v1) {
            return Ok(Self::V1(values));
        }
        let Some(Value::Array(tensors)) = body.member(v2) else {
            return Err(format!("it has neither a list `{v1}` (V1) nor a list `{v2}` (V2)"));
        };
        let tensors = tensors.iter().map(Tensor::of).collect::<Result<Vec<_>, _>>()?;
        if let (Some(first), Some(other)) =
            (tensors.first(), tensors.iter().find(|t| Some(t.rows) != tensors.first().map(|f| f.rows)))
        {
            return Err(format!(
                "the tensor {:?} has {} rows, and {:?} has {}",
                first.name, first.rows, other.name, other.rows
            ));
        }
        Ok(Self::V2(tensors))
    }

    #[must_use]
    pub fn rows(&self) -> usize {
        match self {
            Self::V1(values) => values.len(),
            Self::V2(tensors) => tensors.first().map_or(0, |tensor| tensor.rows),
        }
    }

    /// The names and values of a row of inputs; `names` are those of values without one.
    ///
    /// # Errors
    /// Values without a name.
    pub fn inputs<'n>(&'n self, row: usize, names: &'n [String]) -> Result<Vec<(Cow<'n, str>, &'v Value<'a>)>, String> {
        match self {
            Self::V1(values) => match values.get(row) {
                Some(Value::Object(members)) => {
                    Ok(members.iter().map(|(name, value)| (Cow::Borrowed(name.as_str()), value)).collect())
                }
                Some(Value::Array(values)) => named(values.iter(), names, "an instance"),
                Some(scalar) => named(std::iter::once(scalar), names, "an instance"),
                None => Ok(Vec::new()),
            },
            Self::V2(tensors) => {
                let mut all = Vec::new();
                for tensor in tensors {
                    match tensor.row(row) {
                        [only] => all.push((Cow::Borrowed(tensor.name.as_str()), *only)),
                        several => {
                            let what = format!("a row of the tensor {:?}", tensor.name);
                            all.extend(named(several.iter().copied(), names, &what)?);
                        }
                    }
                }
                Ok(all)
            }
        }
    }

    /// The value of a row of outputs that a pointer names; the only one for none.
    ///
    /// # Errors
    /// Several values, or no such one.
    pub fn output(&self, row: usize, pointer: &[String]) -> Result<&'v Value<'a>, String> {
        match self {
            Self::V1(values) => values.get(row).ok_or_else(|| none(pointer)).and_then(|value| at(value, pointer)),
            Self::V2(tensors) => {
                let (tensor, rest) = match (tensors.as_slice(), pointer.split_first()) {
                    ([only], None) => (only, pointer),
                    (_, Some((name, rest))) => {
                        let named = tensors.iter().find(|tensor| tensor.name == *name);
                        (named.ok_or_else(|| none(pointer))?, rest)
                    }
                    _ => return Err(several(tensors.len(), "outputs")),
                };
                match (tensor.row(row), rest) {
                    ([only], []) => Ok(only),
                    (values, [index]) => {
                        index.parse().ok().and_then(|i: usize| values.get(i)).copied().ok_or_else(|| none(pointer))
                    }
                    (values, []) => Err(several(values.len(), "values")),
                    _ => Err(none(pointer)),
                }
            }
        }
    }
}

/// Values with the names that the source gives them.
fn named<'n, 'v, 'a: 'v>(
    values: impl ExactSizeIterator<Item = &'v Value<'a>>,
    names: &'n [String],
    what: &str,
) -> Result<Vec<(Cow<'n, str>, &'v Value<'a>)>, String> {
    if values.len() != names.len() {
        return Err(match names {
            [] => format!(
                "{what} has {} values without names: name them, `kserve: {{inputs: [age, income]}}`",
                values.len()
            ),
            _ => format!("{what} has {} values, and `kserve.inputs` names {}", values.len(), names.len()),
        });
    }
    Ok(names.iter().map(|name| Cow::Borrowed(name.as_str())).zip(values).collect())
}

/// The value that a pointer names, and the only one in it.
fn at<'v, 'a>(value: &'v Value<'a>, pointer: &[String]) -> Result<&'v Value<'a>, String> {
    let Some((part, rest)) = pointer.split_first() else {
        return match value {
            Value::Array(values) => match values.as_slice() {
                [only] => at(only, pointer),
                values => Err(several(values.len(), "values")),
            },
            Value::Object(members) => match members.as_slice() {
                [(_, only)] => at(only, pointer),
                members => Err(several(members.len(), "values")),
            },
            scalar @ Value::Scalar(_) => Ok(scalar),
        };
    };
    let next = match value {
        Value::Array(values) => part.parse().ok().and_then(|i: usize| values.get(i)),
        value => value.member(part),
    };
    next.ok_or_else(|| none(pointer)).and_then(|next| at(next, rest))
}

fn several(n: usize, what: &str) -> String {
    format!("a row has {n} {what}: write which one is meant, such as `kserve: {{score: /probability/1}}`")
}

fn none(pointer: &[String]) -> String {
    format!("a row has no \"/{}\"", pointer.join("/"))
}
