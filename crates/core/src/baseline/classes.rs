//! What a snapshot says of one of several classes: how often each is predicted, and labelled, and the confusion matrix.

use serde::{Deserialize, Serialize};

use super::columns::SnapshotColumns;
use crate::policy::Policy;

/// How often each class stands in a column of the snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassColumn {
    /// By class.
    pub counts: Vec<u64>,
    pub missing: u64,
}

/// Of a policy with classes; `None` where the snapshot has no such column.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Classes {
    /// The policy's classes, in its order.
    pub names: Vec<String>,
    pub predictions: Option<ClassColumn>,
    pub labels: Option<ClassColumn>,
    /// A row a label, a column a prediction, row by row.
    pub confusion: Option<Vec<u64>>,
}

impl ClassColumn {
    fn of(classes: usize, places: &[f64]) -> Self {
        let mut found = Self { counts: vec![0; classes], missing: 0 };
        for place in places {
            match place_of(*place).and_then(|at| found.counts.get_mut(at)) {
                Some(n) => *n += 1,
                None => found.missing += 1,
            }
        }
        found
    }

    /// Values that are there.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.counts.iter().sum()
    }
}

impl Classes {
    /// What a policy asks for.
    pub(super) fn new(policy: &Policy, columns: &SnapshotColumns) -> Option<Self> {
        let names = policy.classes.clone();
        let [predictions, labels] = columns.classes.as_ref().map_or([None, None], |[p, l]| [p.as_ref(), l.as_ref()]);
        let of = |column: Option<&Vec<f64>>| column.map(|places| ClassColumn::of(names.len(), places));
        let confusion = predictions.zip(labels).map(|(predictions, labels)| {
            let mut matrix = vec![0; names.len() * names.len()];
            for (predicted, label) in predictions.iter().zip(labels) {
                if let (Some(predicted), Some(label)) = (place_of(*predicted), place_of(*label)) {
                    matrix.get_mut(label * names.len() + predicted).into_iter().for_each(|n| *n += 1);
                }
            }
            matrix
        });
        let (predictions, labels) = (of(predictions), of(labels));
        policy.is_multiclass().then_some(Self { names, predictions, labels, confusion })
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place among at most 100 classes")]
pub(super) fn place_of(place: f64) -> Option<usize> {
    (!place.is_nan()).then_some(place as usize)
}
