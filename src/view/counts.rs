//! The counters of the status view, as events add to them.

use super::{Shared, View};
use crate::telemetry::counts::{Counted, Counts};

impl Counts for Shared {
    fn count(&self, what: Counted<'_>, n: u64) {
        self.write().count(what, n);
    }
}

impl View {
    /// Adds to a counter; to that of a model or version which is not shown, nothing.
    pub fn count(&mut self, what: Counted<'_>, n: u64) {
        let counter = match what {
            Counted::DeliveryFailures { sink } => self.delivery_failures.entry(sink.to_owned()).or_default(),
            Counted::Undeliverable { sink } => self.undeliverable.entry(sink.to_owned()).or_default(),
            Counted::Signals { action, sink, outcome } => {
                self.signals.entry((action, sink.to_owned(), outcome)).or_default()
            }
            Counted::DeadLettersLost => &mut self.dead_letters_lost,
            Counted::DeadLettersFileTurns => &mut self.dead_letters_turned,
            Counted::CheckpointsFailed => &mut self.checkpoint.failed,
            Counted::IncompleteWindows { model } => match self.models.get_mut(model) {
                Some(model) => &mut model.incomplete,
                None => return,
            },
            Counted::BaselinesReplaced { model, version } => match self.version_mut(model, version) {
                Some(version) => &mut version.replaced,
                None => return,
            },
        };
        *counter += n;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftgate_core::judge::verdict::Action;

    #[test]
    fn each_counter_is_the_one_that_its_metric_shows() {
        let view = Shared::default();
        let signals = |outcome| Counted::Signals { action: Action::Block, sink: "s", outcome };
        for (counted, n) in [
            (Counted::DeliveryFailures { sink: "s" }, 1),
            (Counted::Undeliverable { sink: "s" }, 2),
            (signals("ok"), 3),
            (signals("ok"), 3),
            (signals("error"), 1),
            (Counted::DeadLettersLost, 4),
            (Counted::DeadLettersFileTurns, 5),
            (Counted::CheckpointsFailed, 6),
            // Nothing shows this model.
            (Counted::IncompleteWindows { model: "m" }, 7),
            (Counted::BaselinesReplaced { model: "m", version: "1" }, 8),
        ] {
            view.count(counted, n);
        }
        let view = view.read();
        assert_eq!((view.delivery_failures["s"], view.undeliverable["s"]), (1, 2));
        assert_eq!(view.signals[&(Action::Block, "s".to_owned(), "ok")], 6);
        assert_eq!(view.signals[&(Action::Block, "s".to_owned(), "error")], 1);
        assert_eq!((view.dead_letters_lost, view.dead_letters_turned, view.checkpoint.failed), (4, 5, 6));
    }
}
