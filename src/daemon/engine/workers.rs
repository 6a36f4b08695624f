//! The threads that read and count: each takes the next partition that no other worker has.

use std::sync::RwLock;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::shared::{MOST_CLOSINGS, Shared, StopOnPanic};
use super::worker_context::WorkerContext;
use super::world::World;
use driftgate_core::pipeline::Pipeline;

/// How long a worker rests when there is nothing to read: at first, and when that was so again and again.
const SHORTEST_REST: Duration = Duration::from_micros(250);
const LONGEST_REST: Duration = Duration::from_millis(5);

/// Reads and counts until the daemon stops.
pub fn work(mut context: WorkerContext<'_>, world: &RwLock<World>) {
    // A worker that panics leaves a batch uncounted, so that no window would close any more: all end.
    let _stop = StopOnPanic(context.shared);
    let mut at = context.worker;
    let mut idle = 0;
    let mut rest = SHORTEST_REST;
    while !context.shared.stop.load(Ordering::Relaxed) {
        let read =
            if context.shared.hold.load(Ordering::Relaxed) { None } else { take_turn(&mut context, world, &mut at) };
        if read.is_some_and(|(n, _)| n > 0) {
            (idle, rest) = (0, SHORTEST_REST);
            continue;
        }
        idle += 1;
        // Every partition was looked at, and none had anything.
        if idle > read.map_or(0, |(_, slots)| slots) {
            idle = 0;
            std::thread::sleep(rest);
            rest = (rest * 2).min(LONGEST_REST);
        }
    }
}

/// Takes a turn with the next partition that is free; returns how many messages it had, and how many partitions there
/// are.
fn take_turn(context: &mut WorkerContext<'_>, world: &RwLock<World>, at: &mut usize) -> Option<(usize, usize)> {
    let world = world.read().ok()?;
    let slots = world.slots.len();
    if !catch_up(context.shared, &world.models) {
        return Some((0, slots));
    }
    let slot = world.slots.get(*at % slots.max(1))?;
    *at = (*at + 1) % slots.max(1);
    if slot.is_paused() {
        return Some((0, slots));
    }
    let read = slot.state.try_lock().map_or(0, |mut state| state.turn(&slot.sources, &world, context));
    Some((read, slots))
}

/// Judges what is left of all models before more is read. Whether more may be read then: nothing is left, or others are
/// at it and not far behind.
fn catch_up(shared: &Shared, models: &[Pipeline]) -> bool {
    let mut read = true;
    for model in models {
        if model.unjudged().1 {
            shared.judge(model);
            read &= !model.unjudged().1;
        }
        read &= model.unjudged().0 < MOST_CLOSINGS;
    }
    read
}
