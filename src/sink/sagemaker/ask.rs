//! What asks: the API of the service, or a test's stand-in.

use serde_json::Value;

use crate::aws::{Api, AwsError};

/// What is asked of an API: an operation and its JSON.
pub trait Ask: Send {
    fn call(&self, operation: &'static str, asked: &Value) -> Result<Value, AwsError>;

    fn pages(&self, operation: &'static str, asked: Value) -> Result<Vec<Value>, AwsError>;
}

impl Ask for Api {
    fn call(&self, operation: &'static str, asked: &Value) -> Result<Value, AwsError> {
        Self::call(self, operation, asked)
    }

    fn pages(&self, operation: &'static str, asked: Value) -> Result<Vec<Value>, AwsError> {
        Self::pages(self, operation, asked)
    }
}
