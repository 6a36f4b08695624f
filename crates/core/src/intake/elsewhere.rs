//! Labels that wait in other processes, for an intake whose events those count.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Labels of a shard that wait for predictions: they hold windows open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The time (ms) of the earliest one whose prediction may still come.
    pub earliest: Option<i64>,
    /// Several versions score one request: predictions may still come for labels that were joined.
    pub is_mirrored: bool,
}

/// Labels that wait in shards.
#[derive(Debug, Default)]
pub(super) struct Elsewhere(BTreeMap<u32, Waiting>);

impl Elsewhere {
    /// Takes note of what waits in a shard.
    pub fn note(&mut self, shard: u32, waiting: Waiting) {
        self.0.insert(shard, waiting);
    }

    /// Up to where windows are held open, where predictions from `may_come_from` on may still come.
    pub fn held(&self, may_come_from: i64) -> Option<i64> {
        if self.0.values().any(|waiting| waiting.is_mirrored) {
            return Some(may_come_from);
        }
        self.0.values().filter_map(|waiting| waiting.earliest).filter(|ts| *ts >= may_come_from).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_stay_open_over_labels_that_wait_elsewhere_for_what_may_still_come() {
        let waiting = |earliest, is_mirrored| Waiting { earliest, is_mirrored };
        let mut elsewhere = Elsewhere::default();
        assert_eq!(elsewhere.held(0), None);
        elsewhere.0.extend([(0, waiting(Some(50), false)), (1, waiting(None, false)), (2, waiting(Some(70), false))]);
        assert_eq!([40, 50, 60, 80].map(|from| elsewhere.held(from)), [Some(50), Some(50), Some(70), None]);
        // Where a request was scored twice, another version's prediction may come for any label.
        elsewhere.0.insert(1, waiting(None, true));
        assert_eq!([40, 80].map(|from| elsewhere.held(from)), [Some(40), Some(80)]);
    }
}
