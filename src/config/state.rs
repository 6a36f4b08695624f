//! `state:`: where checkpoints lie.

use std::time::Duration;

use super::key::{Key, default, names};
use super::reader::{ConfigReader, duration};
use super::types::StateConfig;
use driftgate_core::yaml::Item;

pub const STATE: [Key; 2] = [
    default("path", "path", "state", "Folder of the checkpoint, for one daemon at a time."),
    default("every", "duration", "10s", "How often a checkpoint is written."),
];

impl ConfigReader<'_> {
    pub fn state(&self, item: Option<&Item>) -> Option<StateConfig> {
        let map = match item {
            Some(item) => Some(item.map(const { &names(&STATE) })?),
            None => None,
        };
        let get = |key| map.as_ref().and_then(|map| map.get(key));
        let path = get("path").map_or_else(|| Some(self.directory.join("state")), |item| self.path(&item));
        let every = get("every").map_or(Some(Duration::from_secs(10)), |item| duration(&item));
        Some(StateConfig { path: path?, every: every? })
    }
}
