//! What joining needs of a part's predictions or labels, cut into buckets of their hashed ids, so that a process reads of each
//! part the rows of its bucket alone. A file of them is the length of its header, the header, and one section a bucket, each in an
//! envelope of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::carry::{Carry, Planned};
use super::counting::begin;
use super::error::BatchError;
use super::partial::Against;
use super::plan::{Plan, decode, encode};
use crate::codec::envelope::Kind;
use crate::event::{Domain, EventKind, Flag, LabelBatch, Limits, PredictionBatch};
use crate::intake::job::Job;
use crate::intake::versions::Reference;
use crate::intake::{DecoderId, Intake, SourceId};
use crate::join::{JoinOutcome, Pending};
use crate::pipeline::batch::Batch as _;
use crate::policy::Policy;
use crate::window::front::Front;

const HEADER: Kind = Kind { tag: *b"SHRD", version: 1 };
const SECTION: Kind = Kind { tag: *b"SHRS", version: 2 };
/// The length of the header.
const LENGTH: usize = 8;

/// Which bucket an id is in.
#[must_use]
pub(super) fn bucket(id: u128, buckets: u32) -> usize {
    usize::try_from(id % u128::from(buckets.max(1))).unwrap_or(0)
}

/// What a file of shared rows is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedHeader {
    /// Digest of the plan.
    pub plan: String,
    pub kind: EventKind,
    pub place: u32,
    /// By segmentation, what the codes of the rows mean.
    pub(super) segments: Vec<Vec<String>>,
    pub(super) against: BTreeMap<u32, Against>,
    /// Bytes of each section.
    pub sections: Vec<u64>,
}

impl SharedHeader {
    /// How many bytes the header has, by the first bytes of a file; `None` for too few.
    #[must_use]
    pub fn length(start: &[u8]) -> Option<u64> {
        start.first_chunk::<LENGTH>().map(|length| u64::from_le_bytes(*length))
    }

    /// Where the section of a bucket lies in the file, behind a header of so many bytes.
    #[must_use]
    pub fn section(&self, header: u64, bucket: u32) -> Option<std::ops::Range<u64>> {
        let before = self.sections.get(..bucket as usize)?.iter().try_fold(0_u64, |sum, n| sum.checked_add(*n))?;
        let start = (LENGTH as u64).checked_add(header)?.checked_add(before)?;
        Some(start..start.checked_add(*self.sections.get(bucket as usize)?)?)
    }

    /// # Errors
    /// Bytes that are none.
    pub fn read(name: &str, bytes: &[u8]) -> Result<Self, BatchError> {
        decode(HEADER, name, bytes)
    }
}

/// Predictions that were not ignored, in the order they were read. A list has an entry a row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PredictionRows {
    /// The number of each row in its part.
    pub row: Vec<u32>,
    pub id: Vec<[u8; 16]>,
    /// From the time before.
    pub step: Vec<i64>,
    pub version: Vec<u32>,
    pub stage: Vec<u32>,
    pub groups: Vec<u32>,
    pub score_cell: Vec<u32>,
    pub predicted: Vec<u8>,
    /// One list a segmentation.
    pub segments: Vec<Vec<u32>>,
    /// The bits of predicted numbers, or places of predicted classes; empty of other tasks.
    pub score: Vec<u64>,
    /// Of those that are late for every group: the place in the lists, and the largest time before.
    pub late: Vec<(u32, i64)>,
}

/// Labels that say something, likewise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LabelRows {
    pub id: Vec<String>,
    pub step: Vec<i64>,
    pub label: Vec<u8>,
    /// The bits of labels that are numbers, or places of classes; empty of other tasks.
    pub value: Vec<u64>,
    pub kpis: Vec<u32>,
    pub kpis_yes: Vec<u32>,
    /// Of those that are late.
    pub late: Vec<(u32, i64)>,
}

/// The rows of one bucket of a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rows(pub(super) Kinds);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Kinds {
    Predictions(PredictionRows),
    Labels(LabelRows),
}

impl Rows {
    /// # Errors
    /// Bytes that are none.
    pub fn read(name: &str, bytes: &[u8]) -> Result<Self, BatchError> {
        let rows: Self = decode(SECTION, name, bytes)?;
        if rows.is_sound() { Ok(rows) } else { Err(BatchError::Unsound(name.to_owned())) }
    }

    fn is_sound(&self) -> bool {
        let late = |late: &[(u32, i64)], rows: usize| {
            late.is_sorted_by(|a, b| a.0 < b.0) && late.last().is_none_or(|(at, _)| (*at as usize) < rows)
        };
        let all_or_none = |numbers: &[u64], rows: usize| numbers.is_empty() || numbers.len() == rows;
        match &self.0 {
            Kinds::Predictions(p) => {
                let n = p.row.len();
                let lists =
                    [p.id.len(), p.step.len(), p.version.len(), p.stage.len(), p.groups.len(), p.score_cell.len()];
                lists.into_iter().all(|len| len == n)
                    && p.predicted.len() == n
                    && all_or_none(&p.score, n)
                    && p.segments.iter().all(|s| s.len() == n)
                    && p.row.is_sorted_by(|a, b| a < b)
                    && late(&p.late, n)
            }
            Kinds::Labels(l) => {
                let n = l.id.len();
                [l.step.len(), l.label.len(), l.kpis.len(), l.kpis_yes.len()].into_iter().all(|len| len == n)
                    && all_or_none(&l.value, n)
                    && late(&l.late, n)
            }
        }
    }
}

pub(super) fn flag(code: u8) -> Flag {
    [Flag::No, Flag::Yes, Flag::Missing].into_iter().find(|f| *f as u8 == code).unwrap_or(Flag::Invalid)
}

/// The last time of a list, for the steps.
struct Steps(Vec<i64>);

impl Steps {
    fn step(&mut self, bucket: usize, ts: i64) -> i64 {
        let Some(last) = self.0.get_mut(bucket) else { return 0 };
        ts.wrapping_sub(std::mem::replace(last, ts))
    }
}

/// What joining needs of a part.
pub struct Shared {
    pub header: SharedHeader,
    sections: Vec<Vec<u8>>,
}

impl Shared {
    /// The bytes of its file, one piece after the other.
    ///
    /// # Errors
    /// Where it cannot be written down.
    pub fn write(&self) -> Result<Vec<Vec<u8>>, BatchError> {
        let header = encode(HEADER, "shared rows", &self.header)?;
        let length = (header.len() as u64).to_le_bytes().to_vec();
        Ok([length, header].into_iter().chain(self.sections.iter().cloned()).collect())
    }
}

/// A part whose rows are being shared.
pub struct Sharing {
    plan: Plan,
    part: Planned,
    intake: Intake,
    decoder: DecoderId,
    source: SourceId,
    job: Job,
    /// Keeps the largest time before each row.
    front: Front,
    before: Vec<Option<i64>>,
    predictions: Vec<PredictionRows>,
    labels: Vec<LabelRows>,
    steps: Steps,
    /// Whether pairs carry numbers, or places of classes.
    has_numbers: bool,
    rows: u64,
}

impl Sharing {
    /// # Errors
    /// A kind that is not joined.
    pub fn new(policy: &Arc<Policy>, carry: &Carry, part: &Planned, limits: Limits) -> Result<Self, BatchError> {
        if !matches!(part.kind, EventKind::Predictions | EventKind::Labels) || !carry.needs_pairs() {
            return Err(BatchError::Input(
                "only predictions and labels of a policy with `labels` are shared".to_owned(),
            ));
        }
        let buckets = carry.plan.buckets as usize;
        let (mut intake, decoder, source) = begin(policy, carry, part, limits);
        intake.join_elsewhere(crate::intake::repeats::Repeats::default());
        let is_predictions = part.kind == EventKind::Predictions;
        let empty = PredictionRows { segments: vec![Vec::new(); policy.segments.len()], ..PredictionRows::default() };
        Ok(Self {
            plan: carry.plan.clone(),
            front: part.front.clone(),
            predictions: if is_predictions { vec![empty; buckets] } else { Vec::new() },
            labels: if is_predictions { Vec::new() } else { vec![LabelRows::default(); buckets] },
            steps: Steps(vec![0; buckets]),
            has_numbers: policy.pairs_numbers(),
            part: part.clone(),
            intake,
            decoder,
            source,
            job: Job::default(),
            before: Vec::new(),
            rows: 0,
        })
    }

    /// Takes the next predictions of the part; `load` gives the reference of a version.
    pub fn predictions(&mut self, batch: &mut PredictionBatch, load: &mut dyn FnMut(&str) -> Reference) {
        let (decoder, first) = (self.decoder, self.rows);
        batch.learn(&mut self.intake, decoder);
        let mut done = 0;
        for (row, version) in batch.unknown_versions(&self.intake) {
            batch.translate(&mut self.intake, decoder, done..row);
            self.intake.set_reference(&version, load(&version));
            done = row;
        }
        let rest = done..batch.rows();
        batch.translate(&mut self.intake, decoder, rest);
        self.before.clear();
        for (row, &ts) in batch.ts.iter().enumerate() {
            self.before.push(self.front.advance(ts, || batch.ids.key(row)));
        }
        batch.admit(&mut self.intake, self.source, &mut self.job);
        let (before, rows, steps, buckets) = (&self.before, &mut self.predictions, &mut self.steps, self.plan.buckets);
        self.intake.pending(batch, &self.job, |row, new: Pending, segments| {
            let id = batch.ids.hash.get(row).copied().unwrap_or(0);
            let at = bucket(id, buckets);
            let Some(into) = rows.get_mut(at) else { return };
            if let (0, Some(before)) = (new.groups, before.get(row).copied().flatten()) {
                into.late.push((u32::try_from(into.row.len()).unwrap_or(u32::MAX), before));
            }
            into.row.push(u32::try_from(first + row as u64).unwrap_or(u32::MAX));
            into.id.push(id.to_le_bytes());
            into.step.push(steps.step(at, new.ts));
            into.version.push(new.version);
            into.stage.push(new.stage);
            into.groups.push(new.groups);
            into.score_cell.push(new.score_cell);
            into.predicted.push(new.predicted as u8);
            into.segments.iter_mut().zip(segments).for_each(|(column, code)| column.push(*code));
            // Behind the segments stand the halves of the score's bits, where pairs carry them.
            if let [low, high] = segments.get(into.segments.len()..).unwrap_or_default() {
                into.score.push(u64::from(*high) << 32 | u64::from(*low));
            }
        });
        self.rows += batch.len() as u64;
    }

    /// Takes the next labels of the part.
    pub fn labels(&mut self, batch: &LabelBatch) {
        let (rows, steps, buckets) = (&mut self.labels, &mut self.steps, self.plan.buckets);
        let has_values = self.has_numbers;
        self.intake.outcomes(self.source, batch, |row, outcome: JoinOutcome, before| {
            let at = bucket(batch.ids.hash.get(row).copied().unwrap_or(0), buckets);
            let Some(into) = rows.get_mut(at) else { return };
            if let (false, Some(before)) = (outcome.in_time, before) {
                into.late.push((u32::try_from(into.id.len()).unwrap_or(u32::MAX), before));
            }
            into.id.push(batch.ids.text(row).to_owned());
            into.step.push(steps.step(at, outcome.ts));
            into.label.push(outcome.label as u8);
            into.value.extend(has_values.then_some(outcome.value));
            into.kpis.push(outcome.kpis);
            into.kpis_yes.push(outcome.kpis_yes);
        });
        self.rows += batch.len() as u64;
    }

    /// What was found.
    ///
    /// # Errors
    /// A file that has changed since it was scanned.
    pub fn finish(self) -> Result<Shared, BatchError> {
        self.part.same_rows(self.rows)?;
        let names = self.intake.all_names();
        let mut segments = vec![Vec::new(); self.plan.segmentations as usize];
        for (domain, name) in names {
            if let Domain::Segmentation(at) = domain
                && let Some(of) = segments.get_mut(at)
            {
                of.push(name.into_string());
            }
        }
        super::partial::check_names(&segments, self.plan.most[0], "segments")?;
        let all =
            self.predictions.into_iter().map(Kinds::Predictions).chain(self.labels.into_iter().map(Kinds::Labels));
        let sections: Vec<Vec<u8>> =
            all.map(|rows| encode(SECTION, "shared rows", &Rows(rows))).collect::<Result<_, _>>()?;
        let header = SharedHeader {
            plan: self.plan.digest,
            kind: self.part.kind,
            place: self.part.place,
            segments,
            against: super::partial::against(&self.intake),
            sections: sections.iter().map(|s| s.len() as u64).collect(),
        };
        Ok(Shared { header, sections })
    }
}
