//! How often a rule would block without drift, as far as that can be computed: what `check --alarms` simulates.

use super::types::{Correction, Target, Tolerance};
use crate::stats::fairness::Rate;
use crate::stats::psi::Zero;

/// What a simulation needs to know of a rule.
#[derive(Clone, Debug)]
pub enum Simulation {
    /// PSI of each target against its limit.
    Psi {
        of: Vec<(Target, f64)>,
        bins: usize,
        zero: Zero,
    },
    /// A two-sample test of each target at its level.
    Test {
        of: Vec<(Target, f64)>,
        correction: Correction,
        min_effect: f64,
    },
    /// A lower bound of the KS distance, for a budget of false blocks per day.
    DistanceBound {
        of: Vec<(Target, f64)>,
        budget: f64,
        design_effect: Option<f64>,
    },
    /// A share of events by target and limit. Without drift it is as large as in training if `as_in_training`, and zero otherwise.
    Rate {
        of: Vec<(Target, f64)>,
        what: &'static str,
        as_in_training: bool,
    },
    Segments(SegmentSimulation),
    /// An AUC below the limit.
    Auc {
        gte: f64,
    },
    /// A KPI that falls.
    Kpi {
        max: Tolerance,
    },
    /// Why there are no figures.
    Unknown(&'static str),
}

/// A rule over segments, each with the least that is judged.
#[derive(Clone, Debug)]
pub struct SegmentSimulation {
    pub by: usize,
    pub min_positives: u64,
    /// Rates that are judged, any of which may block.
    pub parts: Vec<(Rate, Breaks)>,
    /// What lowers the number of false alarms.
    pub advice: &'static str,
}

/// What breaks a limit, of the rates of segments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Breaks {
    /// A gap at or above the limit.
    Gap(f64),
    /// Smallest over largest, below the limit.
    Ratio(f64),
    /// Newcombe's bound over ordered pairs, above the limit.
    GapBound(f64),
    /// A rate below its training rate by more than the limit.
    Drop(f64),
    /// A bound of that drop, above the limit.
    DropBound(f64),
}
