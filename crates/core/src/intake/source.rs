//! One source partition as an intake sees it.

use crate::event::EventKind;
use crate::window::front::Front;
use crate::window::watermark::Progress;

/// One source partition.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub kind: EventKind,
    pub front: Front,
    /// Caught up, and silent for the configured time.
    pub idle: bool,
    /// Its records before the first one that is read were not counted, and none was read yet.
    pub behind: bool,
    /// Among them are some that followed records that were counted, of times before this one: an operator went on behind a hole.
    pub hole: Option<i64>,
    /// It has no more events: a file that was read.
    pub ended: bool,
}

impl Source {
    pub fn progress(&self) -> Progress {
        Progress { max_ts: self.front.reached(), idle: self.idle }
    }
}
