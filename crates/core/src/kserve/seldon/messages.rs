//! Requests and responses of the Open Inference Protocol as Protobuf, and as the JSON that it has for them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::decode::{Reason, Reject};

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Request {
    #[prost(string, tag = "1")]
    model_name: String,
    #[prost(string, tag = "2")]
    model_version: String,
    #[prost(string, tag = "3")]
    id: String,
    #[prost(btree_map = "string, message", tag = "4")]
    parameters: BTreeMap<String, Parameter>,
    #[prost(message, repeated, tag = "5")]
    inputs: Vec<Tensor>,
    #[prost(bytes = "vec", repeated, tag = "7")]
    raw: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Response {
    #[prost(string, tag = "1")]
    model_name: String,
    #[prost(string, tag = "2")]
    model_version: String,
    #[prost(string, tag = "3")]
    id: String,
    #[prost(btree_map = "string, message", tag = "4")]
    parameters: BTreeMap<String, Parameter>,
    #[prost(message, repeated, tag = "5")]
    outputs: Vec<Tensor>,
    #[prost(bytes = "vec", repeated, tag = "6")]
    raw: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Tensor {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    datatype: String,
    #[prost(int64, repeated, tag = "3")]
    shape: Vec<i64>,
    #[prost(message, optional, tag = "5")]
    contents: Option<Contents>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Contents {
    #[prost(bool, repeated, tag = "1")]
    bools: Vec<bool>,
    #[prost(int32, repeated, tag = "2")]
    ints: Vec<i32>,
    #[prost(int64, repeated, tag = "3")]
    int64s: Vec<i64>,
    #[prost(uint32, repeated, tag = "4")]
    uints: Vec<u32>,
    #[prost(uint64, repeated, tag = "5")]
    uint64s: Vec<u64>,
    #[prost(float, repeated, tag = "6")]
    fp32s: Vec<f32>,
    #[prost(double, repeated, tag = "7")]
    fp64s: Vec<f64>,
    #[prost(bytes = "vec", repeated, tag = "8")]
    bytes: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Parameter {
    #[prost(oneof = "Choice", tags = "1, 2, 3, 4, 5")]
    choice: Option<Choice>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Choice {
    #[prost(bool, tag = "1")]
    Bool(bool),
    #[prost(int64, tag = "2")]
    Int64(i64),
    #[prost(string, tag = "3")]
    Text(String),
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(uint64, tag = "5")]
    Uint64(u64),
}

impl Request {
    /// As JSON.
    ///
    /// # Errors
    /// Contents that are not of their type.
    pub fn body(self) -> Result<Value, Reject> {
        let tensors = tensors(self.inputs, &self.raw)?;
        Ok(body("inputs", tensors, (self.id, self.model_name, self.model_version), self.parameters))
    }
}

impl Response {
    /// As JSON.
    ///
    /// # Errors
    /// Contents that are not of their type.
    pub fn body(self) -> Result<Value, Reject> {
        let tensors = tensors(self.outputs, &self.raw)?;
        Ok(body("outputs", tensors, (self.id, self.model_name, self.model_version), self.parameters))
    }
}

/// The JSON of a body. Texts that are empty are not there: Protobuf cannot tell the two apart.
fn body(
    key: &str,
    tensors: Vec<Value>,
    (id, name, version): (String, String, String),
    parameters: BTreeMap<String, Parameter>,
) -> Value {
    let mut body = Map::new();
    for (key, text) in [("id", id), ("model_name", name), ("model_version", version)] {
        if !text.is_empty() {
            body.insert(key.to_owned(), text.into());
        }
    }
    let parameter = |(key, of): (String, Parameter)| {
        let value = match of.choice? {
            Choice::Bool(value) => value.into(),
            Choice::Int64(value) => value.into(),
            Choice::Text(value) => value.into(),
            Choice::Double(value) => value.into(),
            Choice::Uint64(value) => value.into(),
        };
        Some((key, value))
    };
    let parameters: Map<String, Value> = parameters.into_iter().filter_map(parameter).collect();
    body.insert("parameters".to_owned(), parameters.into());
    body.insert(key.to_owned(), tensors.into());
    body.into()
}

/// Tensors with their data: that of each in `raw`, in their order, or else its own contents.
fn tensors(tensors: Vec<Tensor>, raw: &[Vec<u8>]) -> Result<Vec<Value>, Reject> {
    if !raw.is_empty() && raw.len() != tensors.len() {
        let detail = format!("the message has {} tensors, and raw contents of {}", tensors.len(), raw.len());
        return Err(Reject::new(Reason::NotInference, detail));
    }
    let of = |(at, tensor): (usize, Tensor)| {
        let data = match raw.get(at) {
            Some(raw) => from_raw(&tensor.datatype, raw),
            None => tensor.contents.unwrap_or_default().values(),
        };
        let data = data.map_err(|why| {
            Reject::new(Reason::NotInference, format!("the tensor {:?} of {}: {why}", tensor.name, tensor.datatype))
        })?;
        Ok(json!({"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape, "data": data}))
    };
    tensors.into_iter().enumerate().map(of).collect()
}

impl Contents {
    /// Those that there are.
    fn values(self) -> Result<Vec<Value>, String> {
        let mut all: Vec<Value> = Vec::new();
        all.extend(self.bools.into_iter().map(Value::from));
        all.extend(self.ints.into_iter().map(Value::from));
        all.extend(self.int64s.into_iter().map(Value::from));
        all.extend(self.uints.into_iter().map(Value::from));
        all.extend(self.uint64s.into_iter().map(Value::from));
        all.extend(self.fp32s.into_iter().map(f64::from).map(Value::from));
        all.extend(self.fp64s.into_iter().map(Value::from));
        for bytes in &self.bytes {
            all.push(text(bytes)?);
        }
        Ok(all)
    }
}

fn text(bytes: &[u8]) -> Result<Value, String> {
    std::str::from_utf8(bytes).map(Value::from).map_err(|e| format!("a value is not UTF-8: {e}"))
}

/// Values as bytes, the lowest first; before each text its length in four bytes.
fn from_raw(datatype: &str, raw: &[u8]) -> Result<Vec<Value>, String> {
    macro_rules! numbers {
        ($number:ty) => {{
            let (each, []) = raw.as_chunks() else { return Err(uneven(raw.len(), size_of::<$number>())) };
            Ok(each.iter().map(|bytes| Value::from(<$number>::from_le_bytes(*bytes))).collect())
        }};
    }
    match datatype {
        "BOOL" => Ok(raw.iter().map(|byte| Value::from(*byte != 0)).collect()),
        "UINT8" => numbers!(u8),
        "UINT16" => numbers!(u16),
        "UINT32" => numbers!(u32),
        "UINT64" => numbers!(u64),
        "INT8" => numbers!(i8),
        "INT16" => numbers!(i16),
        "INT32" => numbers!(i32),
        "INT64" => numbers!(i64),
        "FP16" => halves(raw, |bytes| half::f16::from_le_bytes(bytes).to_f64()),
        "BF16" => halves(raw, |bytes| half::bf16::from_le_bytes(bytes).to_f64()),
        "FP32" => numbers!(f32),
        "FP64" => numbers!(f64),
        "BYTES" => texts(raw),
        _ => Err("raw contents of this type are not read: BOOL, INT8 to INT64, UINT8 to UINT64, FP16, BF16, FP32, FP64 and BYTES are"
            .to_owned()),
    }
}

/// Numbers of two bytes, the lowest first.
fn halves(raw: &[u8], number: impl Fn([u8; 2]) -> f64) -> Result<Vec<Value>, String> {
    let (each, []) = raw.as_chunks() else { return Err(uneven(raw.len(), 2)) };
    Ok(each.iter().map(|bytes| Value::from(number(*bytes))).collect())
}

fn uneven(bytes: usize, each: usize) -> String {
    format!("{bytes} bytes are no whole number of values of {each}")
}

fn texts(mut raw: &[u8]) -> Result<Vec<Value>, String> {
    let mut all = Vec::new();
    while !raw.is_empty() {
        let split = raw
            .split_first_chunk()
            .and_then(|(length, rest)| rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?));
        let Some((value, rest)) = split else { return Err("it ends within a value".to_owned()) };
        all.push(text(value)?);
        raw = rest;
    }
    Ok(all)
}
