//! The distributions of a result beside those of the reference: as texts, for few read them.

use serde::ser::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// The distributions of a result, and of each segment that it compares, beside those of the reference. Only the former are written.
#[derive(Clone, Debug, PartialEq)]
pub struct Distributions {
    pub own: Json,
    /// By name.
    pub by_segment: Vec<(String, Json)>,
}

impl From<Json> for Distributions {
    fn from(own: Json) -> Self {
        Self { own, by_segment: Vec::new() }
    }
}

impl From<Value> for Distributions {
    fn from(own: Value) -> Self {
        Json::from(own).into()
    }
}

/// JSON that is kept as a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Json(Box<str>);

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        Self(value.to_string().into())
    }
}

impl Json {
    /// A text that is JSON.
    pub(super) fn of_text(text: String) -> Self {
        Self(text.into())
    }

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
