//! What events count into. The status view implements it, so that `/metrics` and the status show the same numbers.

use super::metrics::{self, Metric};
use driftgate_core::judge::verdict::Action;

/// What is counted, with the labels of its series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted<'a> {
    /// Attempts to deliver that failed.
    DeliveryFailures {
        sink: &'a str,
    },
    /// What a sink can never take and was dropped.
    Undeliverable {
        sink: &'a str,
    },
    /// Signals, by what became of them: `ok`, `error`, `ignored`, `already`.
    Signals {
        action: Action,
        sink: &'a str,
        outcome: &'static str,
    },
    DeadLettersLost,
    DeadLettersFileTurns,
    CheckpointsFailed,
    BaselinesReplaced {
        model: &'a str,
        version: &'a str,
    },
    IncompleteWindows {
        model: &'a str,
    },
}

impl Counted<'_> {
    /// The metric that shows it.
    #[must_use]
    pub fn metric(&self) -> &'static Metric {
        match self {
            Self::DeliveryFailures { .. } => &metrics::DELIVERY_FAILURES,
            Self::Undeliverable { .. } => &metrics::UNDELIVERABLE,
            Self::Signals { .. } => &metrics::SIGNALS,
            Self::DeadLettersLost => &metrics::DEAD_LETTERS_LOST,
            Self::DeadLettersFileTurns => &metrics::DEAD_LETTERS_FILE_TURNS,
            Self::CheckpointsFailed => &metrics::CHECKPOINT_FAILED,
            Self::BaselinesReplaced { .. } => &metrics::BASELINE_REPLACED,
            Self::IncompleteWindows { .. } => &metrics::INCOMPLETE_WINDOWS,
        }
    }
}

/// Where counters are.
pub trait Counts {
    fn count(&self, counted: Counted<'_>, n: u64);
}
