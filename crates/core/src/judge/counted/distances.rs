//! Distances of a window from training that several rules read: each is computed once.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::rule::counts::Distribution;
use crate::rule::types::Target;
use crate::stats::ks;

/// Those that a rule has asked for, by target.
#[derive(Default)]
pub struct Distances(RefCell<BTreeMap<Target, Option<ks::Distance>>>);

impl Distances {
    /// The distance of Kolmogorov and Smirnov of a target whose counts these are.
    pub(super) fn ks(&self, target: Target, c: &Distribution<'_>) -> Option<ks::Distance> {
        *self.0.borrow_mut().entry(target).or_insert_with(|| c.ks())
    }
}
