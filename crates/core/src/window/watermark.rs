//! How far streams have come in event time. A record is late by its own partition's largest time; a stream's base is the
//! smallest of its partitions that are not idle, so that windows close only when every active partition has passed them.

use crate::event::{ByKind, EventKind};

/// A source partition's progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Progress {
    /// The largest event time that its events agree on, in ms.
    pub max_ts: Option<i64>,
    /// Caught up and silent for the configured time. A lagging partition is never idle.
    pub idle: bool,
}

/// Whether a record is late: behind the largest earlier time of its partition by more than `lateness` ms.
#[inline]
#[must_use]
pub fn is_late(ts: i64, largest_before: Option<i64>, lateness: i64) -> bool {
    largest_before.is_some_and(|m| ts < m.saturating_sub(lateness))
}

/// The base of a stream: its watermark for a lateness L is `base − L`. The minimum over partitions that are not idle,
/// the maximum when all are; `None` while a partition that is not idle has shown nothing, or without partitions.
#[must_use]
pub fn base(partitions: impl Iterator<Item = Progress>) -> Option<i64> {
    let mut active: Option<Option<i64>> = None;
    let mut idle: Option<i64> = None;
    for p in partitions {
        if p.idle {
            idle = idle.max(p.max_ts);
        } else {
            active = Some(match (active, p.max_ts) {
                (None, ts) => ts,
                (Some(Some(a)), Some(b)) => Some(a.min(b)),
                (Some(_), _) => None,
            });
        }
    }
    active.unwrap_or(idle)
}

/// The bases of a model's streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bases {
    pub by_kind: ByKind<Option<i64>>,
    /// Whether there is a features stream at all.
    pub has_features: bool,
    /// No prediction is on its way: every partition is idle, or the file has ended.
    pub predictions_quiet: bool,
    /// No label came for so long that up to here none is waited for: the labels' base then.
    pub labels_silent_to: Option<i64>,
}

impl Bases {
    /// The base of one stream.
    #[must_use]
    pub fn of(&self, kind: EventKind) -> Option<i64> {
        *self.by_kind.of(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(max_ts: Option<i64>, idle: bool) -> Progress {
        Progress { max_ts, idle }
    }

    #[test]
    fn the_slowest_active_partition_rules_and_the_fastest_when_all_are_idle() {
        for (partitions, expected) in [
            (vec![], None),
            (vec![p(Some(5), false), p(Some(3), false)], Some(3)),
            (vec![p(Some(5), false), p(Some(3), true)], Some(5)),
            (vec![p(Some(5), false), p(None, false)], None),
            (vec![p(Some(5), false), p(None, true)], Some(5)),
            (vec![p(Some(5), true), p(Some(9), true)], Some(9)),
            (vec![p(None, true)], None),
        ] {
            assert_eq!(base(partitions.iter().copied()), expected, "{partitions:?}");
        }
    }

    #[test]
    fn lateness_is_measured_from_the_largest_earlier_time() {
        assert!(!is_late(0, None, 10));
        assert!(!is_late(90, Some(100), 10));
        assert!(is_late(89, Some(100), 10));
    }
}
