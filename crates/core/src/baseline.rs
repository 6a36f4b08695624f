//! What is kept of a version's training snapshot: reference grids and counts, PSI bins, category counts, segment rates.
//! Built from plain columns (who reads the file is `snapshot`), stored in a checked binary envelope. `columns` has the columns,
//! `built_for` the part of a policy that a baseline depends on, `references`, `beside` and `by_segment` what is built of both.

mod beside;
mod built_for;
mod by_segment;
mod by_segment_of;
mod calibrated;
mod classes;
mod columns;
mod kinds;
mod numbers;
mod outcomes;
mod references;
mod spreads;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::codec::envelope::{self, EnvelopeError};
use crate::codec::hash;
use crate::policy::{Policy, Target};
use crate::rule::binning::Binning;
use crate::schema::crossed_parts;
use crate::stats::bins::Bin;
use crate::stats::fairness::Confusion;
use crate::stats::fixed::FixedSum;

pub use beside::{Added, Beside, Decided, Repeats};
pub use built_for::BuiltFor;
pub use by_segment::{MOST_SEGMENTS, SegmentReference, Segmented};
use by_segment_of::{Whole, segmented};
pub use calibrated::Calibrated;
pub use classes::Classes;
pub use columns::{Coded, SnapshotColumns};
pub use kinds::KIND;
use kinds::{KIND_1, KIND_2, KIND_3, KIND_4, KIND_5, KIND_6, KIND_7, KIND_8, KIND_9, KIND_10};
pub use numbers::Regression;
pub use outcomes::SegmentOutcomes;
pub use references::{CategoricalReference, NumericReference};
use references::{categorical_reference, segment_reference, split_by_label};
use spreads::Spreads;

/// A version's reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    pub model: String,
    pub version: String,
    /// Where the snapshot was read from, as the policy or registry names it.
    pub snapshot: String,
    /// SHA-256 of the snapshot file.
    pub snapshot_sha256: String,
    pub rows: u64,
    /// In the policy's order.
    pub numeric: Vec<NumericReference>,
    pub categorical: Vec<CategoricalReference>,
    pub score: Option<NumericReference>,
    /// Score cells of the rows labelled 0 and 1.
    pub score_by_label: Option<[Vec<u64>; 2]>,
    /// One per segmentation of the policy: segments by name; `None` where the snapshot has no such column, score or label.
    pub segments: Vec<Option<BTreeMap<String, Confusion>>>,
    /// What the baseline was built for; a policy that reads something else needs another build.
    pub built_for: BuiltFor,
    pub beside: Beside,
    /// Of a policy whose labels are numbers; a file with it is of format 7.
    #[serde(skip)]
    pub regression: Option<Regression>,
    /// Of a policy with classes; a file with them is of format 8.
    #[serde(skip)]
    pub classes: Option<Classes>,
    /// Of a policy that estimates quality; a file with it is of format 9.
    #[serde(skip)]
    pub calibrated: Option<Calibrated>,
    /// Of a policy that compares classes or errors between segments; a file with it is of format 10.
    #[serde(skip)]
    pub outcomes: Option<SegmentOutcomes>,
    /// Whether its errors are kept with how far they spread, where a rule reads that; a file with it is of format 11.
    #[serde(skip)]
    pub spread: bool,
}

/// What format 5 keeps of a numeric reference.
type Kept = (Vec<(Binning, Vec<Bin>)>, Option<FixedSum>);
/// A baseline of format 5, and what stands beside it.
type Format5 = (Baseline, Option<Decided>, Option<Vec<Option<f64>>>, Added, Vec<Kept>);
/// A baseline of format 6: format 5 with values by segment.
type Format6 = (Format5, Vec<Segmented>);
/// A baseline of format 10, with outcomes by segment.
type Format10 = (Format6, Option<numbers::Kept>, Option<Classes>, SegmentOutcomes);
/// A baseline of format 11, with the spread of errors.
type Format11 = (Format6, Option<numbers::Kept>, Option<SegmentOutcomes>, Spreads);

/// A baseline as format 1 has it: still what the digest of a baseline is taken of where nothing is kept beside it, so that
/// counts which were made against it stay comparable.
#[derive(Serialize)]
struct Format1<'b> {
    model: &'b str,
    version: &'b str,
    snapshot: &'b str,
    snapshot_sha256: &'b str,
    rows: u64,
    numeric: &'b [NumericReference],
    categorical: &'b [CategoricalReference],
    score: &'b Option<NumericReference>,
    score_by_label: &'b Option<[Vec<u64>; 2]>,
    segments: &'b [Option<BTreeMap<String, Confusion>>],
    built_for: &'b BuiltFor,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BaselineError {
    #[error("the snapshot has no rows")]
    Empty,
    #[error(
        "the baseline was built for other features, bins, segments or labelled rows, or another threshold than this policy's: build it again from the snapshot"
    )]
    OtherPolicy,
    #[error(
        "the segment {segment:?} of {segmentation} is named as an earlier driftgate did, which took different values for one: build the baseline again from the snapshot"
    )]
    OldSegments { segmentation: String, segment: String },
    #[error(transparent)]
    File(#[from] EnvelopeError),
}

impl Baseline {
    /// Builds a version's reference from its snapshot's columns.
    ///
    /// # Errors
    /// An empty snapshot.
    pub fn build(
        policy: &Policy,
        version: &str,
        snapshot: &str,
        sha256: &str,
        columns: &SnapshotColumns,
    ) -> Result<Self, Vec<BaselineError>> {
        let numbered = columns.numeric.iter().enumerate();
        let numeric = numbered.map(|(i, values)| NumericReference::new(policy, Target::Numeric(i), values)).collect();
        let score = columns.score.as_ref().map(|values| NumericReference::new(policy, Target::Score, values));
        Self::of_references(policy, version, (snapshot, sha256), columns, numeric, score)
    }

    /// Builds a version's reference from its snapshot's columns and the references that were built of the numeric ones.
    /// `snapshot` is where it was read from, and the SHA-256 of its file.
    ///
    /// A column that is null throughout leaves the others judged: of it alone nothing can be said.
    ///
    /// # Errors
    /// An empty snapshot.
    pub fn of_references(
        policy: &Policy,
        version: &str,
        (snapshot, sha256): (&str, &str),
        columns: &SnapshotColumns,
        numeric: Vec<NumericReference>,
        score: Option<NumericReference>,
    ) -> Result<Self, Vec<BaselineError>> {
        if columns.rows == 0 {
            return Err(vec![BaselineError::Empty]);
        }
        let built_for = BuiltFor::new(policy);
        let categorical: Vec<_> = columns.categorical.iter().map(|c| categorical_reference(c)).collect();
        let score_by_label = match (&columns.score, &columns.label, &score) {
            (Some(scores), Some(labels), Some(reference)) => Some(split_by_label(scores, labels, reference)),
            _ => None,
        };
        let segments = columns.segments.iter().map(|s| segment_reference(policy, columns, s.as_deref())).collect();
        let whole = Whole { numeric: &numeric, categorical: &categorical, score: score.as_ref() };
        let beside = Beside { segmented: segmented(policy, columns, &whole), ..Beside::new(policy, columns) };
        let spread = Spreads::are_asked_by(policy);
        Ok(Self {
            model: policy.model.clone(),
            version: version.to_owned(),
            snapshot: snapshot.to_owned(),
            snapshot_sha256: sha256.to_owned(),
            rows: columns.rows as u64,
            numeric,
            categorical,
            score,
            score_by_label,
            segments,
            built_for,
            beside,
            regression: Regression::new(policy, columns, spread),
            classes: Classes::new(policy, columns),
            // Where rows of their own calibrate, whoever reads those puts it here.
            calibrated: (Calibrated::is_asked_by(policy) && policy.baseline.reference.is_none())
                .then(|| Calibrated::new(None, columns)),
            outcomes: SegmentOutcomes::new(policy, columns, spread),
            spread,
        })
    }

    /// The reference of a numeric target or of the score; `None` for categories and where the snapshot has no score.
    #[must_use]
    pub fn numeric(&self, target: Target) -> Option<&NumericReference> {
        match target {
            Target::Numeric(i) => self.numeric.get(i),
            Target::Score => self.score.as_ref(),
            Target::Label => self.regression.as_ref()?.label.as_ref(),
            Target::Categorical(_) | Target::Prediction => None,
        }
    }

    /// Decisions in the snapshot by segment, of a segmentation that a rule on selection reads.
    #[must_use]
    pub fn selection(&self, by: usize) -> Option<&BTreeMap<String, Confusion>> {
        let at = self.beside.selection_by.binary_search(&by).ok()?;
        self.beside.selection.get(at)?.as_ref()
    }

    /// The segments of a segmentation that are compared each by itself, where a rule does so.
    #[must_use]
    pub fn segmented(&self, by: usize) -> Option<&Segmented> {
        let segmented = &self.beside.segmented;
        segmented.get(segmented.binary_search_by_key(&by, |known| known.by).ok()?)
    }

    /// The design effect of a rule: the one written, else what repeats in the snapshot, else 1.
    #[must_use]
    pub fn design_effect(&self, written: Option<f64>) -> f64 {
        written.or_else(|| Some(self.beside.unit.as_ref()?.1.design_effect())).unwrap_or(1.0)
    }

    /// The baseline as a file's bytes.
    ///
    /// # Errors
    /// When it cannot be serialized.
    pub fn encode(&self) -> Result<Vec<u8>, EnvelopeError> {
        let each = || self.numeric.iter().chain(&self.score);
        let deviations = || each().map(|reference| reference.deviation).collect::<Vec<Option<f64>>>();
        let format_5 = |decided| {
            let deviations = self.beside.deviations.then(deviations);
            let kept: Vec<Kept> = each().map(|reference| (reference.others.clone(), reference.sum)).collect();
            (self, decided, deviations, &self.beside.added, kept)
        };
        let (regression, outcomes) = (self.regression.as_ref(), self.outcomes.as_ref());
        if self.spread {
            let spreads = Spreads::of(regression, outcomes);
            let behind = (&self.beside.segmented, regression.map(Regression::kept), outcomes, spreads);
            return envelope::encode(KIND, &(format_5(self.beside.decided), behind));
        }
        if let Some(outcomes) = outcomes {
            let kept = regression.map(Regression::kept);
            let all = (format_5(self.beside.decided), (&self.beside.segmented, kept, &self.classes, outcomes));
            return envelope::encode(KIND_10, &all);
        }
        if let Some(regression) = regression {
            let all = (format_5(self.beside.decided), &self.beside.segmented, regression.kept());
            return envelope::encode(KIND_7, &all);
        }
        if let Some(classes) = &self.classes {
            let all = (format_5(self.beside.decided), &self.beside.segmented, classes);
            return envelope::encode(KIND_8, &all);
        }
        if let Some(calibrated) = &self.calibrated {
            let all = (format_5(self.beside.decided), &self.beside.segmented, calibrated);
            return envelope::encode(KIND_9, &all);
        }
        match self.beside.decided {
            decided if !self.beside.segmented.is_empty() => {
                envelope::encode(KIND_6, &(format_5(decided), &self.beside.segmented))
            }
            decided if self.beside.added != Added::default() => envelope::encode(KIND_5, &format_5(decided)),
            decided if self.beside.deviations => envelope::encode(KIND_4, &(self, decided, deviations())),
            None => envelope::encode(KIND_2, self),
            Some(decided) => envelope::encode(KIND_3, &(self, decided)),
        }
    }

    fn set_deviations(&mut self, deviations: Vec<Option<f64>>) {
        self.beside.deviations = true;
        for (reference, deviation) in self.numeric.iter_mut().chain(&mut self.score).zip(deviations) {
            reference.deviation = deviation;
        }
    }

    fn of_format_5((mut baseline, decided, deviations, added, kept): Format5) -> Self {
        baseline.beside.decided = decided;
        baseline.beside.added = added;
        deviations.into_iter().for_each(|deviations| baseline.set_deviations(deviations));
        for (reference, (others, sum)) in baseline.numeric.iter_mut().chain(&mut baseline.score).zip(kept) {
            (reference.others, reference.sum) = (others, sum);
        }
        baseline
    }

    fn of_format_6((format_5, segmented): Format6) -> Self {
        let mut baseline = Self::of_format_5(format_5);
        baseline.beside.segmented = segmented;
        baseline
    }

    /// Reads a baseline file's bytes, of any format.
    fn read(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        Ok(match envelope::version(KIND, bytes)? {
            version if version == KIND_2.version => envelope::decode(KIND_2, bytes)?,
            version if version == KIND_3.version => {
                let (mut baseline, decided): (Self, Decided) = envelope::decode(KIND_3, bytes)?;
                baseline.beside.decided = Some(decided);
                baseline
            }
            version if version == KIND_4.version => {
                let (mut baseline, decided, deviations): (Self, Option<Decided>, Vec<Option<f64>>) =
                    envelope::decode(KIND_4, bytes)?;
                baseline.beside.decided = decided;
                baseline.set_deviations(deviations);
                baseline
            }
            version if version == KIND_5.version => Self::of_format_5(envelope::decode(KIND_5, bytes)?),
            version if version == KIND_6.version => Self::of_format_6(envelope::decode(KIND_6, bytes)?),
            version if version == KIND_7.version => {
                let (format_6, kept): (Format6, numbers::Kept) = envelope::decode(KIND_7, bytes)?;
                Self { regression: Some(Regression::of(kept)), ..Self::of_format_6(format_6) }
            }
            version if version == KIND_8.version => {
                let (format_6, classes): (Format6, Classes) = envelope::decode(KIND_8, bytes)?;
                Self { classes: Some(classes), ..Self::of_format_6(format_6) }
            }
            version if version == KIND_9.version => {
                let (format_6, calibrated): (Format6, Calibrated) = envelope::decode(KIND_9, bytes)?;
                Self { calibrated: Some(calibrated), ..Self::of_format_6(format_6) }
            }
            version if version == KIND_10.version => {
                let (format_6, kept, classes, outcomes): Format10 = envelope::decode(KIND_10, bytes)?;
                let regression = kept.map(Regression::of);
                Self { regression, classes, outcomes: Some(outcomes), ..Self::of_format_6(format_6) }
            }
            _ => {
                let (format_6, kept, mut outcomes, spreads): Format11 = envelope::decode(KIND, bytes)?;
                let mut regression = kept.map(Regression::of);
                spreads.put(regression.as_mut(), outcomes.as_mut());
                Self { regression, outcomes, spread: true, ..Self::of_format_6(format_6) }
            }
        })
    }

    /// Reads a baseline file's bytes and checks that it serves this policy.
    ///
    /// # Errors
    /// A damaged or foreign file, or one built for another policy.
    pub fn decode(bytes: &[u8], policy: &Policy) -> Result<Self, BaselineError> {
        let baseline = Self::read(bytes)?;
        if baseline.built_for != BuiltFor::new(policy)
            || !baseline.beside.serves(policy)
            || !Calibrated::serves(baseline.calibrated.as_ref(), policy)
            || baseline.outcomes.as_ref().map_or(&[][..], |known| &known.by) != SegmentOutcomes::asked_by(policy)
            || baseline.spread != Spreads::are_asked_by(policy)
            || baseline.regression.is_some() != policy.is_regression()
            || baseline.classes.as_ref().map_or(&[][..], |known| &known.names) != policy.classes
        {
            return Err(BaselineError::OtherPolicy);
        }
        for (segmentation, segments) in policy.segments.iter().zip(&baseline.segments) {
            let parts = segmentation.parts.len();
            let mut names = segments.iter().flat_map(BTreeMap::keys).filter(|_| parts > 1);
            if let Some(segment) = names.find(|name| crossed_parts(name) != Some(parts)) {
                let segmentation = segmentation.name.clone();
                return Err(BaselineError::OldSegments { segmentation, segment: segment.clone() });
            }
        }
        Ok(baseline)
    }

    /// SHA-256 of the encoded baseline, lower-case hex: what verdicts name.
    ///
    /// # Errors
    /// When it cannot be serialized.
    pub fn digest(&self) -> Result<String, EnvelopeError> {
        let is_added = self.regression.is_some() || self.classes.is_some();
        let is_plain = !is_added && self.calibrated.is_none() && self.outcomes.is_none();
        if self.beside != Beside::default() || !is_plain {
            return Ok(hash::sha256_hex(&self.encode()?));
        }
        let of_before = Format1 {
            model: &self.model,
            version: &self.version,
            snapshot: &self.snapshot,
            snapshot_sha256: &self.snapshot_sha256,
            rows: self.rows,
            numeric: &self.numeric,
            categorical: &self.categorical,
            score: &self.score,
            score_by_label: &self.score_by_label,
            segments: &self.segments,
            built_for: &self.built_for,
        };
        Ok(hash::sha256_hex(&envelope::encode(KIND_1, &of_before)?))
    }
}

#[cfg(test)]
mod tests;
