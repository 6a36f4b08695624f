//! A pipeline that counts for another one's windows, and one that judges what others counted.

use super::{Pipeline, lock};
use crate::intake::SealedPane;
use crate::intake::panes::{self, Panes};

impl Pipeline {
    /// All panes that were counted, which are gone from here then; the workers rest meanwhile.
    #[must_use]
    pub fn take_counted(&self) -> Vec<SealedPane> {
        let each = &mut |f: &mut dyn FnMut(&mut Panes)| self.workers.iter().for_each(|w| f(&mut lock(w).panes));
        let groups = 0..self.policy.groups.len();
        let of = |group| panes::seal(group, i64::MAX, each).into_iter().map(move |of| (group, of));
        groups
            .flat_map(of)
            .map(|(group, ((version, pane), sealed))| SealedPane { version, group, pane, sealed })
            .collect()
    }

    /// Adds panes that others counted; those whose windows are closed are counted out.
    pub fn add_counted(&self, mut panes: Vec<SealedPane>) {
        let closed = self.intake().closed().to_vec();
        let mut after_close = 0;
        panes.retain(|pane| {
            let group = self.policy.groups.get(pane.group);
            let is_late =
                group.zip(closed.get(pane.group)).is_some_and(|(g, closed)| g.window.end(pane.pane) <= *closed);
            after_close += if is_late { pane.sealed.events() } else { 0 };
            !is_late
        });
        self.intake().counters.after_close += after_close;
        lock(&self.evaluator).merge(panes);
    }
}
