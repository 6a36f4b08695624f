//! The distributions of a result beside those of the reference.

use serde::ser::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::rule::result::Bins;

/// The distributions of a result, and of each segment that it compares, beside those of the reference. Only the former are written.
#[derive(Clone, Debug, PartialEq)]
pub struct Distributions {
    pub own: Json,
    pub by_segment: Vec<(String, Value)>,
}

impl From<Value> for Distributions {
    fn from(own: Value) -> Self {
        Self { own: own.into(), by_segment: Vec::new() }
    }
}

impl From<Bins> for Distributions {
    fn from(Bins { own, by_segment }: Bins) -> Self {
        Self { own: own.into(), by_segment }
    }
}

/// JSON that is kept as a text, for few read it.
#[derive(Clone, Debug, PartialEq)]
pub struct Json(Box<str>);

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        Self(value.to_string().into())
    }
}

impl Json {
    /// What it holds.
    ///
    /// # Errors
    /// Something else than is asked for.
    pub fn read<T: serde::de::DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_str(&self.0)
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        text.serialize(serializer)
    }
}
