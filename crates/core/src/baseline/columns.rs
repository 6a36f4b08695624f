//! The columns of a training snapshot, whatever file they come from.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::event::Flag;
use crate::schema::cross;

/// A column of texts as codes into its distinct values; `None` is null.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Coded {
    pub names: Vec<String>,
    pub codes: Vec<Option<u32>>,
}

impl Coded {
    fn name(&self, row: usize) -> Option<&str> {
        let code = self.codes.get(row).copied().flatten()?;
        self.names.get(code as usize).map(String::as_str)
    }

    /// Crosses columns: the values joined as in the name of an intersection, null where any part is.
    #[must_use]
    pub fn cross(parts: &[&Arc<Self>]) -> Self {
        let rows = parts.first().map_or(0, |p| p.codes.len());
        let mut index: BTreeMap<String, u32> = BTreeMap::new();
        let mut out = Self::default();
        let (mut key, mut values) = (String::new(), Vec::new());
        for row in 0..rows {
            key.clear();
            values.clear();
            values.extend(parts.iter().map_while(|part| part.name(row)));
            let whole = values.len() == parts.len();
            cross(values.iter().copied(), &mut key);
            out.codes.push(whole.then(|| {
                *index.entry(key.clone()).or_insert_with(|| {
                    out.names.push(key.clone());
                    u32::try_from(out.names.len() - 1).unwrap_or(u32::MAX)
                })
            }));
        }
        out
    }
}

/// A training snapshot's columns, all of the same length.
#[derive(Clone, Debug, Default)]
pub struct SnapshotColumns {
    pub rows: usize,
    /// In the policy's order; NaN is missing.
    pub numeric: Vec<Vec<f64>>,
    pub categorical: Vec<Arc<Coded>>,
    pub score: Option<Vec<f64>>,
    pub label: Option<Vec<Flag>>,
    /// Labels that are numbers, of a policy of such; NaN is missing.
    pub numbers: Option<Vec<f64>>,
    /// Predicted classes and labels as places among the policy's classes, of a policy of such; NaN is missing.
    pub classes: Option<[Option<Vec<f64>>; 2]>,
    /// One per segmentation; `None` where a part has no column.
    pub segments: Vec<Option<Arc<Coded>>>,
    /// The column of the policy's `unit`.
    pub unit: Option<Arc<Coded>>,
}
