//! What is kept of a version's training snapshot: reference grids and counts, PSI bins, category counts, segment rates.
//! Built from plain columns (who reads the file is `snapshot`), stored as a checked binary frame.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::codec::envelope::{self, EnvelopeError, Kind};
use crate::codec::hash;
use crate::event::Flag;
use crate::policy::{GridPoints, Policy, Target};
use crate::schema::{cross, crossed_parts};
use crate::stats::bins::{self, Bin};
use crate::stats::fairness::Confusion;
use crate::stats::grid::{self, Grid};

/// The envelope's kind of a baseline file.
pub const KIND: Kind = Kind { tag: *b"BASE", version: 2 };
/// Baselines of before knew nothing of `Beside`.
const KIND_1: Kind = Kind { tag: *b"BASE", version: 1 };

/// A numeric feature with at most so many distinct reference values is tested by chi-square.
const DISCRETE_DISTINCT: usize = 50;
/// So is one where a single value holds more than this share (one in so many).
const DISCRETE_SHARE: usize = 5;
/// PSI bins that are always there: chi-square on discrete features uses them.
const DEFAULT_BINS: usize = 10;

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
    /// One a segmentation of the policy: segments by name; `None` where the snapshot has no such column, score or label.
    pub segments: Vec<Option<BTreeMap<String, Confusion>>>,
    /// What the baseline was built for; a policy that reads something else needs another build.
    pub built_for: BuiltFor,
    pub beside: Beside,
}

/// What only some rules ask of a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Beside {
    /// Segmentations that rules on selection read, in order.
    pub selection_by: Vec<usize>,
    /// One for each: decisions over all rows with a score, labelled or not; `None` where the snapshot has no such column or
    /// no score.
    pub selection: Vec<Option<BTreeMap<String, Confusion>>>,
    /// The column of the policy's `unit` and how its values repeat.
    pub unit: Option<(String, Repeats)>,
}

/// How the values of a column repeat: with `b_i` rows of the i-th value, `Σ b_i` and `Σ b_i²`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeats {
    pub rows: u64,
    pub squares: u64,
}

impl Repeats {
    fn of(column: &Coded) -> Self {
        let mut by_code = vec![0_u64; column.names.len()];
        // A row that names no unit is one of its own.
        let mut repeats = Self::default();
        for code in &column.codes {
            repeats.rows += 1;
            match code.and_then(|c| by_code.get_mut(c as usize)) {
                Some(count) => *count += 1,
                None => repeats.squares += 1,
            }
        }
        repeats.squares = by_code.iter().fold(repeats.squares, |sum, b| sum.saturating_add(b.saturating_mul(*b)));
        repeats
    }

    /// The design effect 1 + (b − 1)·ρ of Kish (Survey Sampling, 1965, section 5.4) with the b of clusters that differ in size,
    /// `Σ b_i²/Σ b_i`, and ρ = 1: rows of one unit say all the same. An upper bound where they do not; 1 where nothing repeats.
    #[must_use]
    pub fn design_effect(self) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "a relative error of 2^-53")]
        let (squares, rows) = (self.squares as f64, self.rows as f64);
        (squares / rows.max(1.0)).max(1.0)
    }
}

impl Beside {
    /// What a policy asks for: segmentations of rules on selection, and the unit's column.
    #[must_use]
    pub fn asked_by(policy: &Policy) -> (Vec<usize>, Option<&str>) {
        (Self::selection_by(policy), policy.unit.as_deref())
    }

    fn selection_by(policy: &Policy) -> Vec<usize> {
        let mut by: Vec<usize> = policy.rules().filter_map(|r| r.kind.selection_by()).collect();
        by.sort_unstable();
        by.dedup();
        by
    }

    fn new(policy: &Policy, columns: &SnapshotColumns) -> Self {
        let selection_by = Self::selection_by(policy);
        let of = |by: &usize| selection_reference(policy, columns, columns.segments.get(*by)?.as_deref()?);
        let unit = policy.unit.clone().zip(columns.unit.as_deref().map(Repeats::of));
        Self { selection: selection_by.iter().map(of).collect(), selection_by, unit }
    }

    /// Whether it holds what a policy asks for.
    fn serves(&self, policy: &Policy) -> bool {
        let (selection_by, unit) = Self::asked_by(policy);
        self.selection_by == selection_by && self.unit.as_ref().map(|u| u.0.as_str()) == unit
    }
}

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

/// The part of a policy a baseline depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BuiltFor {
    pub numeric: Vec<String>,
    pub categorical: Vec<String>,
    pub segmentations: Vec<String>,
    pub grid: GridPoints,
    pub bins: Vec<usize>,
    pub threshold: Option<f64>,
    pub score: bool,
}

impl BuiltFor {
    #[must_use]
    pub fn new(policy: &Policy) -> Self {
        let mut bins = vec![DEFAULT_BINS];
        bins.extend(policy.rules().filter_map(|rule| rule.kind.bins()));
        bins.sort_unstable();
        bins.dedup();
        Self {
            numeric: policy.features.numeric.clone(),
            categorical: policy.features.categorical.clone(),
            segmentations: policy.segments.iter().map(|s| s.name.clone()).collect(),
            grid: policy.features.grid,
            bins,
            threshold: policy.threshold,
            score: policy.baseline.score_column.is_some(),
        }
    }
}

/// Counts of a numeric feature's reference values over its grid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NumericReference {
    pub grid: Grid,
    /// One count a grid cell.
    pub cells: Vec<u64>,
    /// Values that are there.
    pub count: u64,
    pub missing: u64,
    pub distinct: u64,
    /// Whether `ks_p` tests it by chi-square: few distinct values, or one that holds over a fifth.
    pub discrete: bool,
    /// PSI bins by their number in the policy.
    pub bins: BTreeMap<usize, Vec<Bin>>,
}

impl NumericReference {
    /// Builds the reference of a column that this policy reads; NaN is missing.
    #[must_use]
    pub fn new(policy: &Policy, values: &[f64]) -> Self {
        Self::build(values, policy.features.grid, &BuiltFor::new(policy).bins)
    }

    fn build(values: &[f64], points: GridPoints, bin_numbers: &[usize]) -> Self {
        let sorted = grid::sorted(values);
        let mut distinct = 0_usize;
        let mut most = 0_usize;
        for run in sorted.chunk_by(|a, b| a.to_bits() == b.to_bits()) {
            distinct += 1;
            most = most.max(run.len());
        }
        let edges: BTreeMap<usize, Vec<(f64, bool)>> =
            bin_numbers.iter().map(|&b| (b, bins::quantile_edges(&sorted, b))).collect();
        let all_edges: Vec<f64> = edges.values().flatten().map(|&(e, _)| e).collect();
        let points = match points {
            // So few distinct values all fit: the grid is exact.
            GridPoints::At(n) if distinct > n => Some(n),
            GridPoints::At(_) | GridPoints::Exact => None,
        };
        let grid = Grid::from_sorted(&sorted, points, &all_edges);
        Self {
            cells: grid.count_sorted(&sorted),
            count: sorted.len() as u64,
            missing: (values.len() - sorted.len()) as u64,
            distinct: distinct as u64,
            discrete: distinct <= DISCRETE_DISTINCT || most * DISCRETE_SHARE > sorted.len(),
            bins: edges.iter().map(|(&b, e)| (b, bins::bins(&grid, e))).collect(),
            grid,
        }
    }

    /// The default PSI bins (10 quantiles), which chi-square uses.
    #[must_use]
    pub fn default_bins(&self) -> &[Bin] {
        self.bins.get(&DEFAULT_BINS).map_or(&[], Vec::as_slice)
    }
}

/// Counts of a categorical feature's reference values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CategoricalReference {
    /// Category names, sorted.
    pub names: Vec<String>,
    /// One count a name.
    pub counts: Vec<u64>,
    pub count: u64,
    pub missing: u64,
}

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
    /// One a segmentation; `None` where a part has no column.
    pub segments: Vec<Option<Arc<Coded>>>,
    /// The column of the policy's `unit`.
    pub unit: Option<Arc<Coded>>,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BaselineError {
    #[error("the snapshot has no rows")]
    Empty,
    #[error(
        "the baseline was built for other features, bins, segments or another threshold than this policy's: build it again from the snapshot"
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
        let reference = |values: &Vec<f64>| NumericReference::new(policy, values);
        let numeric = columns.numeric.iter().map(reference).collect();
        let score = columns.score.as_ref().map(reference);
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
            beside: Beside::new(policy, columns),
        })
    }

    /// The reference of a numeric target or of the score; `None` for categories and where the snapshot has no score.
    #[must_use]
    pub fn numeric(&self, target: Target) -> Option<&NumericReference> {
        match target {
            Target::Numeric(i) => self.numeric.get(i),
            Target::Score => self.score.as_ref(),
            Target::Categorical(_) => None,
        }
    }

    /// Decisions in the snapshot by segment, of a segmentation that a rule on selection reads.
    #[must_use]
    pub fn selection(&self, by: usize) -> Option<&BTreeMap<String, Confusion>> {
        let at = self.beside.selection_by.binary_search(&by).ok()?;
        self.beside.selection.get(at)?.as_ref()
    }

    /// The design effect of a rule: the one that is written, else what repeats in the snapshot, else 1.
    #[must_use]
    pub fn design_effect(&self, written: Option<f64>) -> f64 {
        written.or_else(|| Some(self.beside.unit.as_ref()?.1.design_effect())).unwrap_or(1.0)
    }

    /// The baseline as a file's bytes.
    ///
    /// # Errors
    /// When it cannot be serialized.
    pub fn encode(&self) -> Result<Vec<u8>, EnvelopeError> {
        envelope::encode(KIND, self)
    }

    /// Reads a baseline file's bytes and checks that it serves this policy.
    ///
    /// # Errors
    /// A damaged or foreign file, or one built for another policy.
    pub fn decode(bytes: &[u8], policy: &Policy) -> Result<Self, BaselineError> {
        let baseline: Self = envelope::decode(KIND, bytes)?;
        if baseline.built_for != BuiltFor::new(policy) || !baseline.beside.serves(policy) {
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
        if self.beside != Beside::default() {
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

fn categorical_reference(column: &Coded) -> CategoricalReference {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let mut by_code = vec![0_u64; column.names.len()];
    let mut missing = 0;
    for code in &column.codes {
        match code.and_then(|c| by_code.get_mut(c as usize)) {
            Some(count) => *count += 1,
            None => missing += 1,
        }
    }
    for (name, count) in column.names.iter().zip(by_code).filter(|(_, c)| *c > 0) {
        *counts.entry(name).or_default() += count;
    }
    CategoricalReference {
        count: counts.values().sum(),
        missing,
        names: counts.keys().map(|&n| n.to_owned()).collect(),
        counts: counts.into_values().collect(),
    }
}

fn split_by_label(scores: &[f64], labels: &[Flag], reference: &NumericReference) -> [Vec<u64>; 2] {
    let mut split = [vec![0_u64; reference.grid.cells()], vec![0_u64; reference.grid.cells()]];
    let [negative, positive] = &mut split;
    for (&score, &label) in scores.iter().zip(labels).filter(|(s, _)| !s.is_nan()) {
        let side = match label {
            Flag::No => &mut *negative,
            Flag::Yes => &mut *positive,
            Flag::Missing | Flag::Invalid => continue,
        };
        if let Some(cell) = side.get_mut(reference.grid.locate(score)) {
            *cell += 1;
        }
    }
    split
}

fn selection_reference(
    policy: &Policy,
    columns: &SnapshotColumns,
    segments: &Coded,
) -> Option<BTreeMap<String, Confusion>> {
    let (scores, threshold) = (columns.score.as_ref()?, policy.threshold?);
    let mut by_code = vec![[0_u64; 2]; segments.names.len()];
    for (&code, &score) in segments.codes.iter().zip(scores).filter(|(_, score)| !score.is_nan()) {
        if let Some([no, yes]) = code.and_then(|c| by_code.get_mut(c as usize)) {
            *if score >= threshold { yes } else { no } += 1;
        }
    }
    Some(segments.names.iter().cloned().zip(by_code.into_iter().map(Confusion::of_decisions)).collect())
}

fn segment_reference(
    policy: &Policy,
    columns: &SnapshotColumns,
    segments: Option<&Coded>,
) -> Option<BTreeMap<String, Confusion>> {
    let (scores, labels, threshold) = (columns.score.as_ref()?, columns.label.as_ref()?, policy.threshold?);
    let segments = segments?;
    let mut by_code = vec![Confusion::default(); segments.names.len()];
    for ((&code, &score), &label) in segments.codes.iter().zip(scores).zip(labels) {
        let label = match label {
            Flag::No => false,
            Flag::Yes => true,
            Flag::Missing | Flag::Invalid => continue,
        };
        if score.is_nan() {
            continue;
        }
        if let Some(counts) = code.and_then(|c| by_code.get_mut(c as usize)) {
            counts.count(score >= threshold, label);
        }
    }
    Some(segments.names.iter().cloned().zip(by_code).collect())
}
