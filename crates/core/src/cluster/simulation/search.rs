//! Through the model: every order within bounds, or one at random.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};

use super::world::{Budget, Choice, Mutant, World};

/// How large the model is, and how much may go wrong.
#[derive(Clone, Copy)]
pub struct Bounds {
    processes: usize,
    slots: u32,
    input: u8,
    steps: usize,
    budget: Budget,
}

impl Bounds {
    pub const SMALL: Self = Self {
        processes: 2,
        slots: 1,
        input: 1,
        steps: 18,
        budget: Budget {
            crashes: 1,
            freezes: 1,
            moves: 1,
            timeouts: 0,
            lost_answers: 1,
            refusals: 0,
            commits: 2,
            stops: 0,
        },
    };
    /// Two that are held up again and again.
    pub const NARROW: Self = Self {
        processes: 2,
        slots: 1,
        input: 3,
        steps: 60,
        budget: Budget {
            crashes: 0,
            freezes: 6,
            moves: 0,
            timeouts: 0,
            lost_answers: 0,
            refusals: 0,
            commits: 12,
            stops: 0,
        },
    };
    pub const LARGE: Self = Self {
        processes: 3,
        slots: 3,
        input: 12,
        steps: 400,
        budget: Budget {
            crashes: 6,
            freezes: 6,
            moves: 12,
            timeouts: 3,
            lost_answers: 4,
            refusals: 4,
            commits: 40,
            stops: 1,
        },
    };

    fn world(self) -> World {
        World::new(self.processes, self.slots, self.input, self.budget)
    }
}

fn hash(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    hasher.finish()
}

/// Visits every state that can be reached; returns how many there are, or the way to one where a law is broken.
pub fn explore(bounds: Bounds, mutant: Option<Mutant>) -> Result<usize, String> {
    let start = bounds.world();
    let mut seen = HashSet::from([hash(&start)]);
    let mut level = vec![(start, Vec::<Choice>::new())];
    for _ in 0..bounds.steps {
        let mut next = Vec::new();
        for (world, way) in &level {
            for choice in world.choices(true, mutant) {
                let mut after = world.clone();
                let mut way = way.clone();
                way.push(choice.clone());
                after.take(&choice, mutant).map_err(|e| format!("{e}, after {way:?}"))?;
                if seen.insert(hash(&after)) {
                    next.push((after, way));
                }
            }
        }
        level = next;
    }
    Ok(seen.len())
}

/// One way through, by a seed; then faults end, and everything has to be counted.
pub fn walk(seed: u64, bounds: Bounds, mutant: Option<Mutant>) -> Result<(), String> {
    let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d;
    let mut draw = |of: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % of as u64).unwrap_or(0)
    };
    let mut world = bounds.world();
    let mut way = Vec::new();
    let mut step = |world: &mut World, faults: bool, way: &mut Vec<Choice>| -> Result<bool, String> {
        let choices = world.choices(faults, mutant);
        if choices.is_empty() {
            return Ok(false);
        }
        let choice = choices[draw(choices.len())].clone();
        way.push(choice.clone());
        world.take(&choice, mutant).map_err(|e| format!("{e}, after {way:?}"))?;
        Ok(true)
    };
    for _ in 0..bounds.steps {
        step(&mut world, true, &mut way)?;
    }
    for _ in 0..20_000 {
        if world.is_done() || world.is_deserted() {
            return Ok(());
        }
        if !step(&mut world, false, &mut way)? {
            break;
        }
    }
    Err(format!("not everything is counted in the end: {world:#?}, after {way:?}"))
}
