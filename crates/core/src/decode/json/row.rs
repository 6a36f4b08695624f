//! The row being decoded: one event's values in the slots of its model's schema.

use crate::event::{Flag, Fresh, code, numeric};

/// Attribute slot that no key has set.
pub(super) const UNSET: u32 = code::SPECIAL - 1;

/// The row being decoded.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub id: String,
    pub has_id: bool,
    pub version: u32,
    pub stage: u32,
    pub ts: Option<i64>,
    pub score: f64,
    pub decision: Flag,
    pub latency_ms: f64,
    pub error: Flag,
    pub label: Flag,
    pub numeric: Vec<f64>,
    pub categorical: Vec<u32>,
    pub attributes: Vec<u32>,
    pub segments: Vec<u32>,
    pub kpis: Vec<Flag>,
    /// Of a measurement: the metric's slot, `code::MISSING` for one that no rule reads, `None` for none at all.
    pub metric: Option<u32>,
    pub value: f64,
    pub n: f64,
    /// The label or decision where it stands for no class, for people.
    pub unmapped: String,
    /// The same of `error`, and of the last KPI.
    pub bad_error: String,
    pub bad_kpi: String,
    pub fresh: Fresh,
}

impl Row {
    pub fn reset(&mut self) {
        self.id.clear();
        self.has_id = false;
        self.version = code::MISSING;
        self.stage = code::MISSING;
        self.ts = None;
        self.score = numeric::MISSING;
        self.decision = Flag::Missing;
        self.latency_ms = numeric::MISSING;
        self.error = Flag::Missing;
        self.label = Flag::Missing;
        self.numeric.fill(numeric::MISSING);
        self.categorical.fill(code::MISSING);
        self.attributes.fill(UNSET);
        self.segments.fill(UNSET);
        self.kpis.fill(Flag::Missing);
        self.metric = None;
        self.value = numeric::MISSING;
        self.n = numeric::MISSING;
    }
}
