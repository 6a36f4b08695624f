//! One model version in the intake: what it is counted against and how far its events have come. Its counts stand in the
//! workers' panes.

use std::sync::Arc;

use crate::baseline::Baseline;
use crate::window::layout::{Layout, Reads};

use super::held::Activity;
use super::names::EventNames;
use super::segment_lookup::SegmentLookup;
use super::spelling::Spelled;
use super::starts::{Cause, Starts};
use super::stored::Stored;
use super::traffic::{ModelTraffic, Span};

/// What a version is compared with.
#[derive(Clone, Debug, PartialEq, Default)]
pub enum Reference {
    /// Not looked for yet.
    #[default]
    Unknown,
    Baseline {
        baseline: Arc<Baseline>,
        /// The baseline's digest, as verdicts name it.
        sha256: Arc<str>,
    },
    /// Why there is none; it will be tried again.
    Failed(String),
}

/// What a version is counted against; never changed, only replaced.
#[derive(Clone, Debug, Default)]
pub struct Spec {
    pub reference: Reference,
    /// By group; empty where nothing was laid out yet.
    pub layouts: Vec<Layout>,
    /// Counts made under another generation of the same version are not comparable.
    pub generation: u64,
}

impl Spec {
    #[must_use]
    pub fn baseline(&self) -> Option<&Arc<Baseline>> {
        match &self.reference {
            Reference::Baseline { baseline, .. } => Some(baseline),
            Reference::Unknown | Reference::Failed(_) => None,
        }
    }

    #[must_use]
    pub fn layout(&self, group: usize) -> Option<&Layout> {
        self.layouts.get(group)
    }
}

/// Bins of category codes, by feature.
pub type BinLookup = Vec<Vec<u32>>;

/// What workers and the evaluator need of a version to count and to judge it.
#[derive(Clone, Debug, Default)]
pub struct Known {
    pub spec: Arc<Spec>,
    pub bins: Arc<BinLookup>,
    pub segments: Arc<SegmentLookup>,
    /// Where this version's counts begin, beside the model's.
    pub starts: Starts,
    /// Where it counts the model's traffic.
    pub traffic: Span,
}

/// One version of the model.
#[derive(Clone, Debug, Default)]
pub struct Version {
    pub known: Known,
    /// Active whatever its traffic.
    pub pinned: bool,
    /// It is registered, as far as is known here.
    pub registered: bool,
    /// The largest time of its predictions.
    pub last_ts: Option<i64>,
    /// The largest time of its measurements.
    pub measured_ts: Option<i64>,
    /// Its predictions read so far.
    pub predictions: u64,
    /// By group: when it has predictions, where a features stream is read.
    pub activity: Vec<Activity>,
    pub model: ModelTraffic,
    /// It was counted without a baseline.
    pub bare: bool,
    /// Its counts could not be kept over a restart: they begin where its sources stand.
    pub anew: Option<Cause>,
    /// Where its baseline is in the state folder.
    pub stored: Stored,
    /// How many category codes, of all features, its bins were looked up for.
    looked_up: usize,
}

impl Version {
    #[must_use]
    pub fn baseline(&self) -> Option<&Arc<Baseline>> {
        self.known.spec.baseline()
    }

    #[must_use]
    pub fn reference(&self) -> &Reference {
        &self.known.spec.reference
    }

    /// Sets the reference. Panes counted without a baseline keep their event counts; the rest starts with it.
    pub fn set_reference(&mut self, reference: Reference, reads: &[Reads], features_stream: bool) {
        let mut spec = Spec { reference, layouts: Vec::new(), generation: self.known.spec.generation + 1 };
        let baseline = spec.baseline().cloned();
        spec.layouts = reads.iter().map(|r| Layout::new(r, baseline.as_deref(), features_stream)).collect();
        self.known = Known { spec: Arc::new(spec), bins: Arc::default(), segments: Arc::default(), ..self.known };
        self.stored = Stored::default();
        self.looked_up = 0;
    }

    /// Makes room to count what needs no baseline, where the version has not been seen yet; returns whether it was not.
    pub fn lay_out(&mut self, reads: &[Reads], features_stream: bool) -> bool {
        let new = self.known.spec.layouts.is_empty();
        if new {
            self.set_reference(Reference::Unknown, reads, features_stream);
        }
        new
    }

    /// Whether the last prediction and measurement are older than `since`, and nothing pins the version.
    #[must_use]
    pub fn is_past(&self, since: i64) -> bool {
        self.last_ts.max(self.measured_ts).is_some_and(|ts| ts < since) && !self.pinned
    }

    /// Lets the baseline go.
    pub fn retire(&mut self) {
        let generation = self.known.spec.generation + 1;
        let spec = Arc::new(Spec { generation, ..Spec::default() });
        self.known = Known { spec, bins: Arc::default(), segments: Arc::default(), ..self.known };
        self.stored = Stored::default();
        self.looked_up = 0;
    }

    /// Looks up the bins of category codes, and the segments, that are new since; returns whether there were any.
    pub fn look_up(&mut self, names: &EventNames) -> bool {
        let categories = self.look_up_categories(names);
        let Some(baseline) = self.known.spec.baseline() else { return categories };
        let is_behind = self.known.segments.is_behind(baseline, names);
        if is_behind {
            Arc::make_mut(&mut self.known.segments).look_up(baseline, names);
        }
        categories | is_behind
    }

    fn look_up_categories(&mut self, names: &EventNames) -> bool {
        let known = names.all_categories();
        if self.looked_up == known {
            return false;
        }
        self.looked_up = known;
        let Some(baseline) = self.known.spec.baseline() else { return false };
        let lookup = Arc::make_mut(&mut self.known.bins);
        lookup.resize_with(baseline.categorical.len(), Vec::new);
        for (feature, (bins, reference)) in lookup.iter_mut().zip(&baseline.categorical).enumerate() {
            if bins.len() == names.categories(feature) {
                continue;
            }
            let spelled = Spelled::new(&reference.names);
            for code in bins.len()..names.categories(feature) {
                let name = u32::try_from(code).ok().and_then(|c| names.category(feature, c)).unwrap_or("");
                let bin = spelled.find(name).unwrap_or(reference.names.len());
                bins.push(u32::try_from(bin).unwrap_or(u32::MAX));
            }
        }
        true
    }
}
