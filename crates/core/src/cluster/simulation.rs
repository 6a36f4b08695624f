//! Members against a model of the brokers: every order of events within bounds, and random ones beyond. Checked after each step: the commits of
//! a slot follow each other, and the ranges that they counted tile the input. Checked from many states: when faults end, everything is counted
//! and committed.
//!
//! The model has what the promises rest on: transactions with epochs, offsets that are pending until their transaction is resolved, markers that
//! reach the claims and the state at different times, a coordinator that refuses members it dropped but does not look at who owns a partition.

mod search;
mod world;

use search::{Bounds, explore, walk};
use world::Mutant;

#[test]
#[ignore = "long: make simulation"]
fn no_order_of_events_counts_anything_twice_or_not_at_all() {
    let states = explore(Bounds::SMALL, None).unwrap_or_else(|found| panic!("{found}"));
    assert!(states > 20_000, "the bounds leave too little to explore: {states} states");
}

#[test]
fn some_random_faults_over_several_slots_change_nothing() {
    random_faults(0..200);
}

#[test]
#[ignore = "long: make simulation"]
fn many_random_faults_over_several_slots_change_nothing() {
    random_faults(200..8_000);
}

fn random_faults(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        walk(seed, Bounds::LARGE, None).unwrap_or_else(|found| panic!("seed {seed}: {found}"));
    }
}

/// Claims are read only once no transaction is open over them, and members of the past are refused; fencing saves the wait.
#[test]
#[ignore = "long: make simulation"]
fn a_takeover_without_fencing_is_as_safe() {
    explore(Bounds::SMALL, Some(Mutant::NoFence)).unwrap_or_else(|found| panic!("{found}"));
}

#[test]
#[ignore = "long: make simulation"]
fn each_mutant_is_caught() {
    for mutant in Mutant::UNSAFE {
        let by_order = explore(Bounds::SMALL, Some(mutant)).is_err();
        let by_chance = |many, bounds| (0..many).any(|seed| walk(seed, bounds, Some(mutant)).is_err());
        let is_caught = by_order || by_chance(4_000, Bounds::LARGE) || by_chance(100_000, Bounds::NARROW);
        assert!(is_caught, "{mutant:?} is not caught");
    }
}
