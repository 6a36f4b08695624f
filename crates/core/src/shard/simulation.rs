//! Shards and an evaluator over logs in memory, against one pipeline that reads all partitions: every run follows from a seed. A run ends
//! with everything read, and the verdicts must be the pipeline's, byte for byte, each with one content.
//!
//! `world` has the logs, the processes and their steps; here is what is asserted, and that each planted mistake is found.

mod events;
mod world;

use world::{Mistake, World};

/// Seeds of a run in `make test`.
const FEW: u64 = 40;
/// And beyond.
const MANY: u64 = 6_000;

fn run(seeds: std::ops::Range<u64>) -> usize {
    let mut verdicts = 0;
    for seed in seeds {
        let mut world = World::new(seed, None);
        world.run();
        verdicts += world.compare().unwrap_or_else(|e| panic!("seed {seed}: {e}\n{}", world.told()));
    }
    verdicts
}

#[test]
fn shards_say_what_one_pipeline_says_through_crashes_pauses_and_takeovers() {
    // Fewer where nothing is optimised, which takes five times as long.
    let runs = if cfg!(debug_assertions) { FEW / 4 } else { FEW };
    let verdicts = run(0..runs);
    assert!(verdicts as u64 > 20 * runs, "{verdicts} verdicts were compared");
}

#[test]
#[ignore = "minutes: make simulation"]
fn shards_say_what_one_pipeline_says_through_many_more() {
    run(FEW..MANY);
}

#[test]
fn every_planted_mistake_is_found() {
    for mistake in Mistake::ALL {
        let found = (0..FEW).any(|seed| {
            let mut world = World::new(seed, Some(mistake));
            world.run();
            world.compare().is_err()
        });
        assert!(found, "{mistake:?} changed nothing in {FEW} runs");
    }
}
