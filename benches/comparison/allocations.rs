//! How often an event asks for memory once its names and values were seen, by a counting allocator.

use serde_json::json;

use crate::counting::allocations;
use crate::feed::Feed;
use crate::growth::{REFERENCE_ROWS, events};
use crate::results::{Claim, Part, Spread, Table, count, real};

/// Models by their features and versions.
const MODELS: [(usize, usize); 4] = [(1, 1), (20, 1), (20, 50), (1_000, 1)];
const EVENTS: u64 = 100_000;
/// Events decoded before they are counted.
const BATCH: usize = 1_000;

pub fn run() -> Part {
    let each = |x: f64| format!("{x}");
    let (mut rows, mut raw, mut most) = (Vec::new(), Vec::new(), 0.0_f64);
    for (features, versions) in MODELS {
        let mut feed = Feed::new(features, versions, REFERENCE_ROWS);
        let lines = events(features, versions);
        // All names and values come by.
        let at_first = allocations(|| lines.chunks(BATCH).for_each(|chunk| feed.lines(chunk)));
        assert!(at_first > 0, "the allocator counts");
        let before = feed.counted();
        let asked = allocations(|| {
            for chunk in lines.chunks(BATCH).cycle() {
                if feed.counted() - before >= EVENTS {
                    break;
                }
                feed.lines(chunk);
            }
        });
        let counted = feed.counted() - before;
        let an_event = real(asked) / real(counted);
        most = most.max(an_event);
        let numbers = [features as u64, versions as u64, at_first, counted, asked];
        rows.push(numbers.map(count).to_vec());
        raw.push(json!({
            "features": features, "versions": versions, "at_first": at_first, "events": counted, "allocations": asked,
        }));
    }
    let spread = Spread::of([most]);
    Part {
        title: "Allocations".to_owned(),
        about: "JSON events decoded, admitted and counted from memory, after all of them were seen once.".to_owned(),
        tables: vec![Table {
            head: ["features", "versions", "allocations at first", "events after that", "allocations then"]
                .map(str::to_owned)
                .to_vec(),
            rows,
        }],
        claims: vec![Claim::at_most("allocations per event once its names and values were seen", spread, 0.0, each)],
        raw,
        ..Part::default()
    }
}
