//! The figures of a rule's false alarms as they come together, and those that are known already.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::drift::Shape;
use super::segments::either;
use super::simulate::Blocking;
use driftgate_core::codec::number::short;

/// What was simulated without a snapshot: rules of other policies that read the same have the same figures, and a fleet has many.
#[derive(Default)]
pub struct Simulated(Mutex<HashMap<String, Figures>>);

/// Figures of a rule, as they come together.
#[derive(Clone, Default)]
pub(super) struct Figures {
    pub blocking: Option<Blocking>,
    pub finds: Vec<String>,
    pub assumes: Vec<String>,
    pub advice: &'static str,
}

impl Simulated {
    /// The figures of what has this key, computed once.
    pub(super) fn figures(&self, key: String, compute: impl FnOnce() -> Figures) -> Figures {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        known.unwrap_or_else(|| {
            let figures = compute();
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, figures.clone());
            figures
        })
    }
}

pub(super) fn unknown(why: &str) -> Figures {
    Figures { assumes: vec![why.to_owned()], ..Figures::default() }
}

pub(super) fn both(a: Blocking, b: Blocking) -> Blocking {
    Blocking { windows: either(a.windows, b.windows), days: either(a.days, b.days) }
}

/// The smallest shifts found, of the subject that hides the most.
#[derive(Default)]
pub(super) struct Shifts {
    numeric: Option<f64>,
    categorical: Option<f64>,
    missed: usize,
}

impl Shifts {
    pub(super) fn note(&mut self, shape: &Shape, finds: Option<f64>) {
        let side = if shape.categorical { &mut self.categorical } else { &mut self.numeric };
        match finds {
            Some(by) => *side = Some(side.map_or(by, |other| other.max(by))),
            None => self.missed += 1,
        }
    }

    pub(super) fn said(&self) -> Vec<String> {
        let numeric = self.numeric.map(|by| format!("a shift of {} standard deviations", short(by)));
        let categorical = self.categorical.map(|by| format!("{}% in new categories", short(by * 100.0)));
        let missed = (self.missed > 0).then(|| format!("nothing in {} subjects", self.missed));
        numeric.into_iter().chain(categorical).chain(missed).collect()
    }
}
