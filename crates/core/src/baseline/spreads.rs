//! How far the errors of a snapshot's labelled rows spread, where bounds of a rule's value need it: beside the errors, in a format of its own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::numbers::Regression;
use super::outcomes::SegmentOutcomes;
use crate::policy::Policy;
use crate::rule::Read;
use crate::stats::regression::Errors;
use crate::stats::regression::spread::Spread;

/// Of all labelled rows, and by segment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Spreads {
    whole: Option<Spread>,
    /// Of each segmentation whose errors are known, in their order.
    by: Vec<BTreeMap<String, Spread>>,
}

impl Spreads {
    /// Whether a rule of the policy needs them.
    pub fn are_asked_by(policy: &Policy) -> bool {
        policy.rules().any(|rule| rule.kind.reads().contains(&Read::Spread))
    }

    /// What errors hold of them.
    pub fn of(regression: Option<&Regression>, outcomes: Option<&SegmentOutcomes>) -> Self {
        let spreads =
            |errors: &BTreeMap<String, Errors>| errors.iter().map(|(name, of)| (name.clone(), of.spread)).collect();
        Self {
            whole: regression.and_then(|known| Some(known.errors?.spread)),
            by: outcomes.into_iter().flat_map(SegmentOutcomes::errors_by_segment).map(spreads).collect(),
        }
    }

    /// Puts them to the errors that they are of.
    pub fn put(self, regression: Option<&mut Regression>, outcomes: Option<&mut SegmentOutcomes>) {
        let errors = regression.and_then(|known| known.errors.as_mut());
        errors.zip(self.whole).into_iter().for_each(|(errors, spread)| errors.spread = spread);
        let each = outcomes.into_iter().flat_map(SegmentOutcomes::errors_by_segment_mut);
        for (errors, spreads) in each.zip(self.by) {
            for (name, spread) in spreads {
                errors.get_mut(&name).into_iter().for_each(|errors| errors.spread = spread);
            }
        }
    }
}
