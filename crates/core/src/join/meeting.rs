//! What a prediction and a label of one id are to each other: by their times alone, and by what the prediction has met.

use crate::event::Flag;

/// A label (or KPI outcomes) of one prediction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinOutcome {
    pub ts: i64,
    pub label: Flag,
    /// KPIs that have a value, and those whose value is yes: one bit each.
    pub kpis: u32,
    pub kpis_yes: u32,
    /// The bits of a label that is a number; 0 of a class.
    pub value: u64,
    /// Whether it came in time for its stream; a late one takes its id's place but counts nowhere.
    pub in_time: bool,
}

impl JoinOutcome {
    /// One that cannot be read is as good as none.
    pub(super) fn readable(self) -> Self {
        Self { label: if self.has_label() { self.label } else { Flag::Missing }, ..self }
    }

    /// Whether there is a label: a null one, and one that cannot be read, leave the label's place free.
    fn has_label(&self) -> bool {
        matches!(self.label, Flag::No | Flag::Yes)
    }

    /// Whether it says nothing: neither a label nor a KPI. Such an event joins nothing and is not to be kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.has_label() && self.kpis == 0
    }
}

/// What changes of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    pub labelled: bool,
    /// KPIs already counted, one bit each.
    pub kpis: u32,
}

/// How the streams may lie apart, in ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// A label comes at most so long after its prediction,
    pub horizon: i64,
    /// and at most so long before it.
    pub early: i64,
}

impl Bounds {
    /// Whether a prediction at `new` repeats the id of one at `held`.
    pub(super) fn same_prediction(self, held: i64, new: i64) -> bool {
        new <= held.saturating_add(self.horizon)
    }

    /// Whether predictions of two versions at these times may be of one request.
    pub(super) fn one_request(self, a: i64, b: i64) -> bool {
        self.same_prediction(a, b) && self.same_prediction(b, a)
    }

    /// Whether a label at `label` is for a prediction at `prediction`, if for any: it joins, or is too early to.
    pub(super) fn takes(self, prediction: i64, label: i64) -> bool {
        matches!(self.relation(prediction, label), Relation::Within | Relation::TooEarly)
    }

    /// Whether a label that another prediction met is left to one at `prediction`.
    pub(super) fn leaves(self, prediction: i64, label: i64) -> bool {
        matches!(self.relation(prediction, label), Relation::Within | Relation::After)
    }

    /// The time of the earliest label that joins a prediction.
    pub(super) fn earliest(self, prediction: i64) -> i64 {
        prediction.saturating_sub(self.early)
    }

    /// How long before a prediction a label takes its place.
    pub(super) fn place(self) -> i64 {
        self.early.saturating_add(self.horizon)
    }

    fn relation(self, prediction: i64, label: i64) -> Relation {
        let rel = label.saturating_sub(prediction);
        if rel > self.horizon {
            Relation::After
        } else if rel >= -self.early {
            Relation::Within
        } else if rel >= -self.place() {
            Relation::TooEarly
        } else {
            Relation::Before
        }
    }

    /// A label comes to a prediction: a pair's outcome, or why there is none. What it leaves behind is in `marks`.
    pub(super) fn meet(self, prediction: i64, marks: &mut Marks, outcome: &JoinOutcome) -> Meeting {
        let has_label = outcome.has_label();
        let relation = self.relation(prediction, outcome.ts);
        match relation {
            Relation::Before => return Meeting::Apart,
            Relation::After => {
                marks.labelled |= has_label;
                return Meeting::Apart;
            }
            Relation::TooEarly | Relation::Within => {}
        }
        let fresh = JoinOutcome {
            kpis: outcome.kpis & !marks.kpis,
            label: if marks.labelled { Flag::Missing } else { outcome.label },
            ..*outcome
        };
        let taken = !has_label || marks.labelled;
        if taken && fresh.kpis == 0 {
            return Meeting::Duplicate;
        }
        marks.labelled |= has_label;
        if relation == Relation::TooEarly {
            return Meeting::OutOfBounds;
        }
        marks.kpis |= outcome.kpis;
        Meeting::Joins(fresh)
    }
}

/// How a label lies to a prediction of its id in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Before,
    TooEarly,
    Within,
    After,
}

/// What a prediction and a label are to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meeting {
    Joins(JoinOutcome),
    Duplicate,
    OutOfBounds,
    Apart,
}
