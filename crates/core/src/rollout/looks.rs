//! What the comparison of candidate and champion came to at each look, for people: nothing decides by it.

use serde::{Deserialize, Serialize};

/// So many looks are kept; of more, every second one of the older half goes.
const MOST: usize = 128;

/// The difference of the rates, candidate less champion, by the counts of its step so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// The end of the last window counted, event time in ms.
    pub at_ms: i64,
    /// Index into the rollout's steps: each counts anew.
    pub step: usize,
    pub difference: f64,
    /// Bounds that hold at all looks together.
    pub lower: f64,
    pub upper: f64,
}

/// Keeps a look. The first and the last ones stay.
pub(super) fn keep(looks: &mut Vec<Look>, look: Look) {
    if looks.len() >= MOST {
        let mut at = 0;
        looks.retain(|_| {
            at += 1;
            at > MOST / 2 || at % 2 == 1
        });
    }
    looks.push(look);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_bounded_and_the_first_and_the_last_ones_stay() {
        let mut looks = Vec::new();
        for at_ms in 0..1000 {
            keep(&mut looks, Look { at_ms, step: 0, difference: 0.0, lower: -1.0, upper: 1.0 });
            assert!(looks.len() <= MOST && looks.last().is_some_and(|look| look.at_ms == at_ms));
        }
        assert!(looks.first().is_some_and(|look| look.at_ms == 0) && looks.len() > MOST / 2);
        assert!(looks.is_sorted_by(|a, b| a.at_ms < b.at_ms));
    }
}
