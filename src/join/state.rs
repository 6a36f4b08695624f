//! What a checkpoint keeps of a join table, and a table made from it.

use serde::{Deserialize, Serialize};

use super::meeting::{Bounds, Outcome};
use super::rows::{Marks, Shared};
use super::{Join, Pending};

/// The join table as a checkpoint keeps it: predictions and labels in the order they were read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinState {
    pending: Vec<Held>,
    early: Vec<(u128, Outcome)>,
    swept_at: i64,
}

/// A prediction with what it has met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    id: u128,
    ts: i64,
    shared: Shared,
    own: Vec<u32>,
    labelled: bool,
    kpis: u32,
}

impl Join {
    /// What a checkpoint keeps.
    #[must_use]
    pub fn state(&self) -> JoinState {
        let rows = &self.pending.rows;
        let held = |at| {
            let mut own = Vec::new();
            rows.own(at, &mut own);
            let Marks { labelled, kpis } = rows.marks(at);
            Held { id: rows.id(at), ts: rows.ts(at), shared: rows.shared(at), own, labelled, kpis }
        };
        JoinState {
            pending: rows.positions().map(held).collect(),
            early: self.waiting.all().collect(),
            swept_at: self.swept_at,
        }
    }

    /// A table as a checkpoint kept it.
    #[must_use]
    pub fn restore(bounds: Bounds, width: usize, state: JoinState) -> Self {
        let mut join = Self::new(bounds, width);
        join.swept_at = state.swept_at;
        for mut held in state.pending {
            held.own.resize(1 + width, u32::MAX);
            let pending = Pending::of(held.ts, held.shared, &held.own);
            let is_first = join.pending.nth(held.id, 0).is_none();
            let marks = Marks { labelled: held.labelled, kpis: held.kpis };
            join.hold(held.id, is_first, &pending, held.own.get(1..).unwrap_or_default(), marks);
        }
        for (id, outcome) in state.early {
            // As if it were read now: nothing it could meet is left.
            join.waiting.add(id, outcome);
        }
        join
    }
}
