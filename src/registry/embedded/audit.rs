//! The audit log as it is kept here, read for people. Whether it is whole is checked elsewhere, by its stored bytes.

use serde_json::Value;

use super::Embedded;
use crate::registry::RegistryError;

impl Embedded {
    /// Records of a model (of all for `None`), the oldest first, as JSON; at most the last `most`.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn audit(&self, model: Option<&str>, most: usize) -> Result<Vec<Value>, RegistryError> {
        let texts: Vec<String> = self.read(|tx| {
            tx.prepare_cached("SELECT bytes FROM audit ORDER BY seq DESC")?.query_map([], |row| row.get(0))?.collect()
        })?;
        let mut found: Vec<Value> = texts
            .iter()
            .filter_map(|text| serde_json::from_str::<Value>(text).ok())
            .filter(|record| model.is_none_or(|model| record.get("model").and_then(Value::as_str) == Some(model)))
            .take(most)
            .collect();
        found.reverse();
        Ok(found)
    }
}
