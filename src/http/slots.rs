//! How many requests work on the registry at once: a few, and of each kind some more that wait for their turn. So a flood of
//! reads holds up no change, and no number of requests takes the threads that others need.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::Problem;

/// What a request does with the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Read,
    Change,
    /// `/metrics`, which is to tell of floods.
    Scrape,
}

#[derive(Debug)]
struct Lane {
    running: Arc<Semaphore>,
    waiting: AtomicUsize,
    most: usize,
}

impl Lane {
    fn new(running: usize, most: usize) -> Self {
        Self { running: Arc::new(Semaphore::new(running)), waiting: AtomicUsize::new(0), most }
    }
}

/// The turns that requests wait for.
#[derive(Debug)]
pub struct Slots {
    reads: Lane,
    changes: Lane,
    scrapes: Lane,
}

impl Slots {
    /// Of so many connections, those that may wait for their turn leave some for others.
    #[must_use]
    pub fn of(connections: usize) -> Self {
        Self {
            reads: Lane::new(4, connections / 4),
            changes: Lane::new(2, connections / 8),
            scrapes: Lane::new(1, connections / 16),
        }
    }

    /// Waits for a turn, which ends when the permit is dropped.
    ///
    /// # Errors
    /// Too many wait already.
    pub(super) async fn turn(&self, kind: Kind) -> Result<OwnedSemaphorePermit, Problem> {
        let lane = match kind {
            Kind::Read => &self.reads,
            Kind::Change => &self.changes,
            Kind::Scrape => &self.scrapes,
        };
        if let Ok(permit) = Arc::clone(&lane.running).try_acquire_owned() {
            return Ok(permit);
        }
        let _waits = Waits::begin(&lane.waiting);
        if lane.waiting.load(Ordering::Relaxed) > lane.most {
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, CROWDED));
        }
        Arc::clone(&lane.running).acquire_owned().await.map_err(Problem::internal)
    }
}

impl Default for Slots {
    fn default() -> Self {
        Self::of(super::server::connections::CONNECTIONS)
    }
}

const CROWDED: &str = "too many requests wait for the registry already: ask again in a moment";

/// One that waits, also if its caller has gone.
struct Waits<'n>(&'n AtomicUsize);

impl<'n> Waits<'n> {
    fn begin(waiting: &'n AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_flood_of_reads_leaves_changes_their_turn_and_is_told_to_ask_again() {
        let slots = Arc::new(Slots::of(16));
        let held: Vec<_> = {
            let mut held = Vec::new();
            for _ in 0..4 {
                held.push(slots.turn(Kind::Read).await.unwrap());
            }
            held
        };
        let waiting: Vec<_> = (0..4)
            .map(|_| {
                let slots = Arc::clone(&slots);
                tokio::spawn(async move { slots.turn(Kind::Read).await.is_ok() })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(slots.turn(Kind::Read).await.is_err());
        assert!(slots.turn(Kind::Change).await.is_ok() && slots.turn(Kind::Scrape).await.is_ok());
        drop(held);
        for read in waiting {
            assert!(read.await.unwrap());
        }
        assert_eq!(slots.reads.waiting.load(Ordering::Relaxed), 0);
        assert!(slots.turn(Kind::Read).await.is_ok());
    }
}
