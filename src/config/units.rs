//! What of a configuration several processes divide between each other.

use super::types::Config;
use driftgate_core::cluster::units::{Read, Unit, units};

impl Config {
    /// The units of these models, as the sources have them.
    #[must_use]
    pub fn units(&self, models: &[String]) -> Vec<Unit> {
        let named = |source: &super::SourceConfig| -> Vec<String> {
            source.models.iter().chain(&source.model).cloned().collect()
        };
        let named: Vec<Vec<String>> = self.sources.iter().map(named).collect();
        let named: Vec<Vec<&str>> = named.iter().map(|models| models.iter().map(String::as_str).collect()).collect();
        let reads: Vec<Read<'_>> =
            self.sources.iter().zip(&named).map(|(source, models)| Read { topic: &source.topic, models }).collect();
        units(models, &reads)
    }
}
