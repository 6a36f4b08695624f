//! Events in columns: a batch holds the decoded events of one source partition and one model, in the order they were
//! read.

use super::{Flag, Fresh, PredictionId};

/// Prediction ids of a batch: hash and text.
#[derive(Clone, Debug, Default)]
pub struct Ids {
    pub hash: Vec<u128>,
    ends: Vec<u32>,
    text: String,
}

impl Ids {
    pub fn clear(&mut self) {
        self.hash.clear();
        self.ends.clear();
        self.text.clear();
    }

    pub fn push(&mut self, id: &str) {
        self.hash.push(PredictionId::of(id).0);
        self.text.push_str(id);
        self.ends.push(u32::try_from(self.text.len()).unwrap_or(u32::MAX));
    }

    /// Makes room for so many more rows, with ids of the usual length.
    pub fn reserve(&mut self, rows: usize) {
        self.hash.reserve(rows);
        self.ends.reserve(rows);
        self.text.reserve(rows * 16);
    }

    pub fn truncate(&mut self, rows: usize) {
        self.hash.truncate(rows);
        self.ends.truncate(rows);
        self.text.truncate(self.ends.last().map_or(0, |&e| e as usize));
    }

    /// What tells row `i`'s id from others, nearly always; `None` where it has none.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "half of a hash is one")]
    pub fn key(&self, i: usize) -> Option<u64> {
        self.hash.get(i).filter(|_| !self.text(i).is_empty()).map(|hash| *hash as u64)
    }

    /// The text of row `i`'s id; empty beyond the end.
    #[must_use]
    pub fn text(&self, i: usize) -> &str {
        let start = i.checked_sub(1).and_then(|p| self.ends.get(p)).map_or(0, |&e| e as usize);
        let end = self.ends.get(i).map_or(start, |&e| e as usize);
        self.text.get(start..end).unwrap_or("")
    }
}

/// Decoded features of a batch, one column a feature. Every column has one entry per row.
#[derive(Clone, Debug, Default)]
pub struct FeatureColumns {
    pub numeric: Vec<Vec<f64>>,
    pub categorical: Vec<Vec<u32>>,
}

impl FeatureColumns {
    #[must_use]
    pub fn new(numeric: usize, categorical: usize) -> Self {
        Self { numeric: vec![Vec::new(); numeric], categorical: vec![Vec::new(); categorical] }
    }

    /// Makes room for so many more rows.
    pub fn reserve(&mut self, rows: usize) {
        self.numeric.iter_mut().for_each(|c| c.reserve(rows));
        self.categorical.iter_mut().for_each(|c| c.reserve(rows));
    }

    pub fn truncate(&mut self, rows: usize) {
        self.numeric.iter_mut().for_each(|c| c.truncate(rows));
        self.categorical.iter_mut().for_each(|c| c.truncate(rows));
    }
}

/// Predictions of one source partition, in columns. Codes are the decoder's own; the engine translates them.
#[derive(Clone, Debug, Default)]
pub struct PredictionBatch {
    pub ids: Ids,
    pub ts: Vec<i64>,
    pub version: Vec<u32>,
    pub stage: Vec<u32>,
    pub score: Vec<f64>,
    pub decision: Vec<Flag>,
    pub latency_ms: Vec<f64>,
    pub error: Vec<Flag>,
    pub features: FeatureColumns,
    /// One column a segmentation of the policy.
    pub segments: Vec<Vec<u32>>,
    pub fresh: Fresh,
    /// How often the decoder had started its codes again; set where the batch is learned from.
    pub generation: u64,
}

impl PredictionBatch {
    #[must_use]
    pub fn new(numeric: usize, categorical: usize, segmentations: usize) -> Self {
        Self {
            features: FeatureColumns::new(numeric, categorical),
            segments: vec![Vec::new(); segmentations],
            ..Self::default()
        }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.ts.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ts.is_empty()
    }

    /// Makes room for so many more rows.
    pub fn reserve(&mut self, rows: usize) {
        self.ids.reserve(rows);
        self.ts.reserve(rows);
        self.version.reserve(rows);
        self.stage.reserve(rows);
        self.score.reserve(rows);
        self.decision.reserve(rows);
        self.latency_ms.reserve(rows);
        self.error.reserve(rows);
        self.features.reserve(rows);
        self.segments.iter_mut().for_each(|c| c.reserve(rows));
    }

    /// Drops the rows from `rows` on; keeps `fresh`, whose codes stay assigned.
    pub fn truncate(&mut self, rows: usize) {
        self.ids.truncate(rows);
        self.ts.truncate(rows);
        self.version.truncate(rows);
        self.stage.truncate(rows);
        self.score.truncate(rows);
        self.decision.truncate(rows);
        self.latency_ms.truncate(rows);
        self.error.truncate(rows);
        self.features.truncate(rows);
        self.segments.iter_mut().for_each(|c| c.truncate(rows));
    }

    /// Empties the batch for reuse; its memory stays.
    pub fn clear(&mut self) {
        self.truncate(0);
        self.fresh.clear();
    }
}

/// Labels (and KPI outcomes) of one source partition.
#[derive(Clone, Debug, Default)]
pub struct LabelBatch {
    pub ids: Ids,
    pub ts: Vec<i64>,
    /// `Missing` for a null or absent label, `Invalid` for a value that is neither 0 nor 1 by the policy.
    pub label: Vec<Flag>,
    /// Whether labels are numbers.
    pub numbers: bool,
    /// Of a policy whose labels are numbers: the number where `label` is `Yes`. Empty of others.
    pub value: Vec<f64>,
    /// One column a KPI of the policy.
    pub kpis: Vec<Vec<Flag>>,
}

impl LabelBatch {
    #[must_use]
    pub fn new(kpis: usize) -> Self {
        Self { kpis: vec![Vec::new(); kpis], ..Self::default() }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.ts.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ts.is_empty()
    }

    /// Makes room for so many more rows.
    pub fn reserve(&mut self, rows: usize) {
        self.ids.reserve(rows);
        self.ts.reserve(rows);
        self.label.reserve(rows);
        self.kpis.iter_mut().for_each(|c| c.reserve(rows));
    }

    pub fn truncate(&mut self, rows: usize) {
        self.ids.truncate(rows);
        self.ts.truncate(rows);
        self.label.truncate(rows);
        self.value.truncate(rows);
        self.kpis.iter_mut().for_each(|c| c.truncate(rows));
    }

    pub fn clear(&mut self) {
        self.truncate(0);
    }
}

/// Events of the features stream: values without a version.
#[derive(Clone, Debug, Default)]
pub struct FeatureBatch {
    pub ts: Vec<i64>,
    pub features: FeatureColumns,
    pub fresh: Fresh,
}

impl FeatureBatch {
    #[must_use]
    pub fn new(numeric: usize, categorical: usize) -> Self {
        Self { features: FeatureColumns::new(numeric, categorical), ..Self::default() }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.ts.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ts.is_empty()
    }

    /// Makes room for so many more rows.
    pub fn reserve(&mut self, rows: usize) {
        self.ts.reserve(rows);
        self.features.reserve(rows);
    }

    pub fn truncate(&mut self, rows: usize) {
        self.ts.truncate(rows);
        self.features.truncate(rows);
    }

    pub fn clear(&mut self) {
        self.truncate(0);
        self.fresh.clear();
    }
}

/// Measurements of one source partition: what other systems measured of a version.
#[derive(Clone, Debug, Default)]
pub struct MeasurementBatch {
    pub ts: Vec<i64>,
    pub version: Vec<u32>,
    /// Index of the metric in the schema's, or `code::MISSING` for one that no rule reads.
    pub metric: Vec<u32>,
    pub value: Vec<f64>,
    /// How many observations the value is the mean of.
    pub n: Vec<u64>,
    pub fresh: Fresh,
}

impl MeasurementBatch {
    #[must_use]
    pub fn len(&self) -> usize {
        self.ts.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ts.is_empty()
    }

    /// Makes room for so many more rows.
    pub fn reserve(&mut self, rows: usize) {
        self.ts.reserve(rows);
        self.version.reserve(rows);
        self.metric.reserve(rows);
        self.value.reserve(rows);
        self.n.reserve(rows);
    }

    pub fn clear(&mut self) {
        self.ts.clear();
        self.version.clear();
        self.metric.clear();
        self.value.clear();
        self.n.clear();
        self.fresh.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_keep_their_text_by_row() {
        let mut ids = Ids::default();
        for id in ["a", "", "ccc"] {
            ids.push(id);
        }
        assert_eq!([ids.text(0), ids.text(1), ids.text(2), ids.text(3)], ["a", "", "ccc", ""]);
        ids.truncate(1);
        ids.push("bb");
        assert_eq!([ids.text(0), ids.text(1)], ["a", "bb"]);
        assert_eq!(ids.hash, [PredictionId::of("a").0, PredictionId::of("bb").0]);
    }
}
