//! The pass that joins the predictions and labels of one bucket of ids: which predictions are repeated, and the pairs, counted.
//!
//! Predictions come first, in the order of their stream, then labels in the order of theirs: what an id means depends on event times
//! and the order within each stream alone, not on how the streams interleave (`join/laws`). Nothing is swept. Events in time
//! cannot tell whether anything was; late ones could, and so could a label before its predictions: such ids are looked at, and
//! refused where they could.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::BatchError;
use super::order::by_model;
use super::paired::Paired;
use super::partial::{Against, Partial};
use super::plan::Plan;
use super::shared::{Kinds, LabelRows, PredictionRows, Rows, SharedHeader, flag};
use crate::event::{Domain, EventKind, Ids, Limits, PredictionId, code};
use crate::intake::count::Worker;
use crate::intake::job::Job;
use crate::intake::repeats::Repeats;
use crate::intake::versions::Reference;
use crate::intake::{Intake, Setup};
use crate::join::{Arrival, JoinOutcome, Met, Pending, halves};
use crate::policy::{LabelAttribute, LabelSpec, Policy};
use crate::seeded::Map;
use crate::window::layout::Reads;

/// Labels joined at a time.
const AT_ONCE: usize = 8_192;
/// So many labels of one id the join keeps; which ones of more depends on the order.
const MOST_OF_AN_ID: usize = 256;

/// An event of an id that has late ones.
#[derive(Clone, Copy, Debug)]
enum Event {
    Prediction { ts: i64, version: u32, in_time: bool, before: Option<i64> },
    Label { ts: i64, before: Option<i64> },
}

/// A bucket that is being joined.
pub struct Pairing {
    policy: Arc<Policy>,
    labels: LabelSpec,
    reads: Vec<Reads>,
    plan: Plan,
    bucket: u32,
    intake: Intake,
    worker: Worker,
    repeats: BTreeMap<u32, Repeats>,
    against: BTreeMap<u32, Against>,
    /// Ids that have late events, with all of their events in order.
    late: Map<u128, Vec<Event>>,
}

/// The rows of a part in this bucket.
pub type Section = (SharedHeader, Rows);

impl Pairing {
    /// `load` gives the reference of a version.
    ///
    /// # Errors
    /// A bucket that there is not.
    pub fn new(
        policy: &Arc<Policy>,
        plan: &Plan,
        bucket: u32,
        limits: Limits,
        load: &mut dyn FnMut(&str) -> Reference,
    ) -> Result<Self, BatchError> {
        let labels = policy.labels.as_ref().filter(|_| bucket < plan.buckets);
        let Some(labels) = labels.cloned() else {
            return Err(BatchError::Input(format!(
                "there is no bucket {bucket}: the carry has {}, numbered from 0",
                plan.buckets
            )));
        };
        let mut intake = Intake::new(Arc::clone(policy), Setup { limits, ..Setup::default() });
        intake.know_names(&plan.names());
        for (version, _) in plan.versions.iter().filter(|(_, predicted)| *predicted) {
            intake.set_reference(version, load(version));
        }
        Ok(Self {
            labels,
            reads: Reads::of(policy),
            against: super::partial::against(&intake),
            policy: Arc::clone(policy),
            plan: plan.clone(),
            bucket,
            intake,
            worker: Worker::default(),
            repeats: BTreeMap::new(),
            late: Map::default(),
        })
    }

    /// Joins the rows of all parts of predictions and labels.
    ///
    /// # Errors
    /// Parts that are missing, there twice, or of another plan; ids whose meaning depends on the order of events.
    pub fn join(mut self, mut sections: Vec<Section>) -> Result<Paired, BatchError> {
        sections.sort_by_key(|(header, _)| (header.kind, header.place));
        self.check(&sections)?;
        sections.iter().for_each(|(_, rows)| self.note_late(rows));
        let mut counters = crate::intake::Counters::default();
        for (header, Rows(rows)) in sections {
            match rows {
                Kinds::Predictions(rows) => self.predictions(&header, &rows),
                Kinds::Labels(rows) => self.label(&rows)?,
            }
        }
        self.late.values().try_for_each(|events| self.check_late(events))?;
        let mut partial = Partial::of(&self.plan, &self.intake, &self.worker.panes)?;
        partial.buckets.insert(self.bucket);
        counters += self.intake.counters;
        counters += self.worker.counters;
        partial.counters = counters;
        Ok(Paired { bucket: self.bucket, repeats: self.repeats, partial })
    }

    fn check(&self, sections: &[Section]) -> Result<(), BatchError> {
        for kind in [EventKind::Predictions, EventKind::Labels] {
            let of_kind: Vec<u32> = sections.iter().filter(|(h, _)| h.kind == kind).map(|(h, _)| h.place).collect();
            let all: Vec<u32> = (0..*self.plan.splits.of(kind)).collect();
            if of_kind != all {
                return Err(BatchError::Incomplete(format!(
                    "of the {} the shared rows of {} parts are needed, each once, and {} are given",
                    kind.name(),
                    all.len(),
                    of_kind.len()
                )));
            }
        }
        for (header, Rows(rows)) in sections {
            let name = format!("the shared rows of place {} of the {}", header.place, header.kind.name());
            self.plan.same(&header.plan, &name)?;
            let fits = match rows {
                Kinds::Predictions(rows) => header.kind == EventKind::Predictions && self.fits(header, rows),
                Kinds::Labels(rows) => header.kind == EventKind::Labels && self.has_all(&rows.value, rows.id.len()),
            };
            if !fits {
                return Err(BatchError::Unsound(name));
            }
            for (version, against) in &header.against {
                if self.against.get(version).is_some_and(|own| own != against) {
                    let version = self.plan.versions.get(*version as usize).map_or("", |(name, _)| name.as_str());
                    return Err(BatchError::foreign(&name, format!("against another baseline of version {version:?}")));
                }
            }
        }
        Ok(())
    }

    /// Whether the codes of rows mean something.
    fn fits(&self, header: &SharedHeader, rows: &PredictionRows) -> bool {
        let below = |codes: &[u32], most: usize| codes.iter().all(|c| *c >= code::SPECIAL || (*c as usize) < most);
        rows.segments.len() == header.segments.len()
            && header.segments.len() == self.plan.segmentations as usize
            && rows.segments.iter().zip(&header.segments).all(|(codes, names)| below(codes, names.len()))
            && rows.version.iter().all(|v| (*v as usize) < self.plan.versions.len())
            && below(&rows.stage, self.plan.stages.len())
            && self.has_all(&rows.score, rows.row.len())
    }

    /// Whether there is a number for each row of a task whose pairs carry numbers, and none of another.
    fn has_all(&self, numbers: &[u64], rows: usize) -> bool {
        numbers.len() == if self.policy.pairs_numbers() { rows } else { 0 }
    }

    fn note_late(&mut self, Rows(rows): &Rows) {
        match rows {
            Kinds::Predictions(p) => {
                let ids = p.late.iter().filter_map(|(at, _)| p.id.get(*at as usize));
                self.late.extend(ids.map(|id| (u128::from_le_bytes(*id), Vec::new())));
            }
            Kinds::Labels(l) => {
                let ids = l.late.iter().filter_map(|(at, _)| l.id.get(*at as usize));
                self.late.extend(ids.map(|id| (PredictionId::of(id).0, Vec::new())));
            }
        }
    }

    /// Has the predictions of a part wait in the join.
    #[allow(clippy::indexing_slicing, reason = "every list has an entry a row")]
    fn predictions(&mut self, header: &SharedHeader, rows: &PredictionRows) {
        let segments = self.segments_of(header);
        let (mut ts, mut codes, mut late) = (0_i64, Vec::new(), rows.late.iter().peekable());
        for row in 0..rows.row.len() {
            ts = ts.wrapping_add(rows.step[row]);
            codes.clear();
            let own = rows.segments.iter().zip(&segments);
            codes.extend(own.map(|(column, to)| to.get(column[row] as usize).copied().unwrap_or(column[row])));
            codes.extend(rows.score.get(row).into_iter().flat_map(|bits| halves(*bits)));
            let class = flag(rows.predicted[row]);
            let new =
                Pending::new(ts, rows.version[row], rows.stage[row], rows.groups[row], rows.score_cell[row], class);
            let id = u128::from_le_bytes(rows.id[row]);
            let before = late.next_if(|(at, _)| *at as usize == row).map(|(_, before)| *before);
            if let Some(events) = self.late.get_mut(&id) {
                events.push(Event::Prediction { ts, version: new.version, in_time: new.groups != 0, before });
            }
            let Some(arrival) = self.intake.wait(id, new, &codes) else { continue };
            match arrival {
                Arrival::Beside(_) if by_model(&self.policy) => {
                    self.repeats.entry(header.place).or_default().beside.push_back(rows.row[row]);
                }
                Arrival::New(_) | Arrival::Beside(_) => {}
                Arrival::Duplicate => self.repeats.entry(header.place).or_default().duplicates.push_back(rows.row[row]),
            }
            self.intake.counters.duplicate_predictions += u64::from(arrival == Arrival::Duplicate);
        }
    }

    /// What a part's codes of segments are here.
    fn segments_of(&mut self, header: &SharedHeader) -> Vec<Vec<u32>> {
        let mut all = Vec::new();
        for (at, names) in header.segments.iter().enumerate() {
            let news = names.iter().map(|name| (Domain::Segmentation(at), name.as_str().into())).collect();
            self.intake.know_names(&news);
            let code = |name: &String| self.intake.names().segment_code(at, name).unwrap_or(code::OVERFLOW);
            all.push(names.iter().map(code).collect());
        }
        all
    }

    /// Joins the labels of a part.
    #[allow(clippy::indexing_slicing, reason = "every list has an entry a row")]
    fn label(&mut self, rows: &LabelRows) -> Result<(), BatchError> {
        let (mut ids, mut job, mut ts) = (Ids::default(), Job::default(), 0_i64);
        let mut late = rows.late.iter().peekable();
        let places: Vec<usize> = (0..rows.id.len()).collect();
        for chunk in places.chunks(AT_ONCE) {
            ids.clear();
            self.intake.begin_pairs(&mut job);
            for (row, &at) in chunk.iter().enumerate() {
                ts = ts.wrapping_add(rows.step[at]);
                ids.push(&rows.id[at]);
                let id = ids.hash[row];
                let before = late.next_if(|(l, _)| *l as usize == at).map(|(_, before)| *before);
                if let Some(events) = self.late.get_mut(&id) {
                    events.push(Event::Label { ts, before });
                }
                let (kpis, kpis_yes) = (rows.kpis[at], rows.kpis_yes[at]);
                let outcome = JoinOutcome {
                    ts,
                    label: flag(rows.label[at]),
                    kpis,
                    kpis_yes,
                    value: rows.value.get(at).copied().unwrap_or(0),
                    in_time: before.is_none(),
                };
                self.meet(id, outcome, (&mut job, row))?;
            }
            self.worker.pairs(&job, &ids);
        }
        Ok(())
    }

    fn meet(&mut self, id: u128, outcome: JoinOutcome, (job, row): (&mut Job, usize)) -> Result<(), BatchError> {
        let (policy, reads, attribute) = (Arc::clone(&self.policy), &self.reads, self.labels.attribute);
        let mut closed = false;
        let met = self.intake.meet(id, outcome, (job, row), |prediction, outcome| {
            // A window that ends between a label and its prediction may be closed when the prediction comes, where another one of
            // the request had met the label.
            let groups = policy.groups.iter().zip(reads).enumerate();
            let counts = groups.filter(|(g, (_, r))| r.pairs && prediction.groups & (1 << g) != 0);
            closed |= attribute == LabelAttribute::LabelTime
                && outcome.in_time
                && counts.map(|(_, (group, _))| group.window).any(|window| window.next(outcome.ts) <= prediction.ts);
        });
        if closed && self.intake.waiting_of(id) > 1 {
            return Err(BatchError::Order(
                "a label was stamped before several predictions of its id, and a window ends between them".to_owned(),
            ));
        }
        match met {
            Some(Met::OutOfBounds) if self.intake.labels_of(id) >= MOST_OF_AN_ID => {
                return Err(BatchError::Order(format!("an id has more than {MOST_OF_AN_ID} labels")));
            }
            Some(Met::OutOfBounds) => self.intake.counters.unmatched += 1,
            Some(Met::Duplicate) => self.intake.counters.duplicate_labels += 1,
            _ => {}
        }
        Ok(())
    }

    /// Refuses an id of which late events could tell whether the join was swept: `swept` says up to where it can have been.
    fn check_late(&self, events: &[Event]) -> Result<(), BatchError> {
        let (horizon, early) = (self.labels.horizon, self.labels.lateness);
        let place = horizon.saturating_add(early);
        let lateness = self.policy.groups.iter().map(|g| g.lateness).max().unwrap_or(0);
        let predictions = || {
            events.iter().enumerate().filter_map(|(at, e)| match e {
                Event::Prediction { ts, version, in_time, .. } => Some((at, *ts, *version, *in_time)),
                Event::Label { .. } => None,
            })
        };
        for (at, event) in events.iter().enumerate() {
            match *event {
                // It repeats one that may be gone, and then takes the place of one that follows.
                Event::Prediction { ts, version, before: Some(before), .. } => {
                    let swept = before.saturating_sub(lateness).saturating_sub(place);
                    let repeats = |(n, x, v, _): (usize, i64, u32, bool)| {
                        n < at && v == version && x < swept && ts <= x.saturating_add(horizon)
                    };
                    if predictions().any(repeats) && predictions().any(|(n, .., in_time)| n > at && in_time) {
                        return Err(BatchError::Order(
                            "a late prediction repeats an id that was used anew since".to_owned(),
                        ));
                    }
                }
                // It was for one that may be gone, and then takes the label's place of one that follows.
                Event::Label { ts, before: Some(before) } => {
                    let swept = before.saturating_sub(early).saturating_sub(place);
                    let was_for = |(_, x, ..): (usize, i64, u32, bool)| x < swept && ts <= x.saturating_add(horizon);
                    let takes = |(_, q, _, in_time): (usize, i64, u32, bool)| {
                        in_time && ts < q.saturating_sub(early) && ts >= q.saturating_sub(place)
                    };
                    if predictions().any(was_for) && predictions().any(takes) {
                        return Err(BatchError::Order(
                            "a late label came for an id that was used anew since".to_owned(),
                        ));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}
