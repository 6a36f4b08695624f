//! Half of an inference.

use serde::{Deserialize, Serialize};

/// Which half an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    Request,
    Response,
}

impl Side {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Response => "response",
        }
    }
}

/// Half of a prediction, or of several that were asked for at once. Texts that are empty are not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Half {
    /// Its event time, in ms.
    pub ts: i64,
    /// The version and the model that its attributes or its body name.
    pub version: String,
    pub model: String,
    /// What it says of each row, a line each, as `Bodies` writes it.
    pub rows: Vec<u8>,
}

impl Half {
    /// The half of a message with this time (ms), which names a version and a model, where it does.
    pub fn begin(&mut self, ts: i64, version: &str, model: &str) {
        self.ts = ts;
        version.clone_into(&mut self.version);
        model.clone_into(&mut self.model);
        self.rows.clear();
    }
}
