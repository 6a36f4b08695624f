//! How one sink does: what fails is tried again with longer and longer pauses, counted, logged now and then, and shown as not
//! ready once it has lasted.

use std::time::{Duration, Instant};

use crate::clock::pause_after;
use crate::telemetry::counts::{Counted, Counts as _};
use crate::telemetry::events::delivery::{DeliveryFailed, DeliveryResumed, Undeliverable};
use crate::view::Shared;
use crate::view::failing::Part;

/// A sink that has failed for so long is reported in `/ready`.
const LASTING: Duration = Duration::from_secs(3);

/// The standing of one sink.
pub struct Standing {
    part: Part,
    /// What metrics call it.
    sink: String,
    view: Shared,
    failures: u32,
    /// When the first attempt of those that failed one after the other began.
    since: Option<Instant>,
}

impl Standing {
    #[must_use]
    pub fn new(part: Part, view: Shared) -> Self {
        let sink = match &part {
            Part::Sink(name) => name.clone(),
            Part::DeadLetters => "dead-letters".to_owned(),
            other => other.name(),
        };
        view.write().undeliverable.entry(sink.clone()).or_default();
        view.write().delivery_failures.entry(sink.clone()).or_default();
        Self { part, sink, view, failures: 0, since: None }
    }

    /// What metrics call the sink; none of rejected events.
    #[must_use]
    pub fn sink(&self) -> Option<&str> {
        (self.part != Part::DeadLetters).then_some(self.sink.as_str())
    }

    /// An attempt that began at `began` has failed; how long to wait before the next.
    pub fn failed(&mut self, began: Instant, why: &str) -> Duration {
        let since = *self.since.get_or_insert(began);
        DeliveryFailed { sink: &self.sink, failures: self.failures, why }.emit(&self.view);
        let pause = pause_after(self.failures);
        self.failures = self.failures.saturating_add(1);
        let mut view = self.view.write();
        view.failing.insert(self.part.clone(), format!("{why}; trying again"));
        if since.elapsed() >= LASTING {
            view.undelivered.insert(self.part.clone());
        }
        pause
    }

    /// Something was delivered.
    pub fn delivered(&mut self) {
        if self.since.take().is_some() {
            self.failures = 0;
            DeliveryResumed { sink: &self.sink }.emit();
            let mut view = self.view.write();
            view.failing.remove(&self.part);
            view.undelivered.remove(&self.part);
        }
    }

    /// Something was given up.
    pub fn dropped(&self, n: u64, why: &str) {
        Undeliverable { sink: &self.sink, dropped: n, why }.emit(&self.view);
        if self.part == Part::DeadLetters {
            self.view.count(Counted::DeadLettersLost, n);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_millis(250);
    const LONGEST_PAUSE: Duration = Duration::from_secs(15);

    #[test]
    fn failures_are_counted_and_shown_once_they_last_until_something_is_delivered() {
        let view = Shared::default();
        view.write().started = true;
        let mut standing = Standing::new(Part::Sink("s".into()), view.clone());
        let now = Instant::now();
        assert_eq!(standing.failed(now, "away"), PAUSE);
        assert!(view.read().is_ready());
        for _ in 0..20 {
            standing.failed(now, "away");
        }
        assert_eq!(standing.failed(now, "away"), LONGEST_PAUSE);
        standing.since = now.checked_sub(LASTING);
        standing.failed(now, "away");
        assert!(!view.read().is_ready());
        assert_eq!(view.read().failing[&Part::Sink("s".into())], "away; trying again");
        assert_eq!(view.read().delivery_failures["s"], 23);
        standing.delivered();
        assert!(view.read().is_ready());
        assert_eq!(standing.failed(Instant::now(), "away"), PAUSE);
    }
}
