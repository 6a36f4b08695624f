//! One model version in the intake: its reference, where its counts stand, and its open panes. The panes touched last are
//! kept unpacked; others are packed until an event in the allowed disorder touches them again.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::baseline::Baseline;
use crate::window::layout::{Layout, Reads};
use crate::window::pane::Sealed;
use crate::window::tally::Tally;

use super::BinLookup;
use super::names::Names;

/// Unpacked open panes of one (version, group) may take about so many bytes.
const DENSE_BYTES: usize = 16 << 20;
/// But at least so many stay unpacked.
const DENSE_PANES: usize = 4;

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

/// An open pane.
#[derive(Clone, Debug)]
enum Open {
    Dense { tally: Box<Tally>, touched: u64 },
    Packed(Box<Sealed>),
}

/// One version of the model.
#[derive(Clone, Debug, Default)]
pub struct Version {
    pub reference: Reference,
    /// Active whatever its traffic.
    pub pinned: bool,
    /// The largest time of its predictions.
    pub last_ts: Option<i64>,
    /// The largest time of its measurements.
    pub measured_ts: Option<i64>,
    /// Its predictions read so far.
    pub predictions: u64,
    layouts: Vec<Layout>,
    panes: Vec<BTreeMap<i64, Open>>,
    dense: Vec<usize>,
    touches: u64,
    bins: BinLookup,
}

impl Version {
    #[must_use]
    pub fn new(groups: usize) -> Self {
        Self { panes: vec![BTreeMap::new(); groups], dense: vec![0; groups], ..Self::default() }
    }

    #[must_use]
    pub fn baseline(&self) -> Option<&Arc<Baseline>> {
        match &self.reference {
            Reference::Baseline { baseline, .. } => Some(baseline),
            Reference::Unknown | Reference::Failed(_) => None,
        }
    }

    /// Sets the reference. Panes counted without a baseline keep their event counts; the rest starts with it.
    pub fn set_reference(&mut self, reference: Reference, reads: &[Reads], features_stream: bool) {
        self.reference = reference;
        let baseline = self.baseline().cloned();
        self.layouts = reads.iter().map(|r| Layout::new(r, baseline.as_deref(), features_stream)).collect();
        self.bins.clear();
        for (group, panes) in self.panes.iter_mut().enumerate() {
            let Some(layout) = self.layouts.get(group) else { continue };
            for open in panes.values_mut() {
                if let Open::Dense { tally, .. } = open {
                    tally.counts.clear();
                    tally.counts.resize(layout.total, 0);
                }
            }
        }
    }

    /// Makes room to count what needs no baseline, where the version has not been seen yet.
    pub fn lay_out(&mut self, reads: &[Reads], features_stream: bool) {
        if self.layouts.is_empty() {
            self.layouts = reads.iter().map(|r| Layout::new(r, None, features_stream)).collect();
        }
    }

    /// Lets the baseline go if the last prediction and measurement are older than `since`, nothing pins the version and no pane is open;
    /// returns whether the version is retired.
    pub fn retire(&mut self, since: i64) -> bool {
        let past = self.last_ts.max(self.measured_ts).is_some_and(|ts| ts < since) && !self.pinned;
        if !past || self.panes.iter().any(|p| !p.is_empty()) {
            return false;
        }
        self.reference = Reference::Unknown;
        self.layouts.clear();
        self.bins.clear();
        true
    }

    #[must_use]
    pub fn layout(&self, group: usize) -> Option<&Layout> {
        self.layouts.get(group)
    }

    /// Bins of category codes by feature, extended to the codes known by now.
    pub fn bins(&mut self, names: &Names) -> &BinLookup {
        if let Some(baseline) = self.baseline().cloned() {
            self.bins.resize_with(baseline.categorical.len(), Vec::new);
            for (feature, (bins, reference)) in self.bins.iter_mut().zip(&baseline.categorical).enumerate() {
                for code in bins.len()..names.categories(feature) {
                    let name = u32::try_from(code).ok().and_then(|c| names.category(feature, c)).unwrap_or("");
                    let bin =
                        reference.names.binary_search_by(|n| n.as_str().cmp(name)).unwrap_or(reference.names.len());
                    bins.push(u32::try_from(bin).unwrap_or(u32::MAX));
                }
            }
        }
        &self.bins
    }

    /// The open pane's tally with its layout, unpacked, made where it is new.
    pub fn open(&mut self, group: usize, pane: i64) -> Option<(&mut Tally, &Layout)> {
        let layout = self.layouts.get(group)?;
        let (panes, dense) = (self.panes.get_mut(group)?, self.dense.get_mut(group)?);
        self.touches += 1;
        let touches = self.touches;
        let fresh = || Box::new(Tally::new(layout.total, layout.segmentations));
        let open = panes.entry(pane).or_insert_with(|| {
            *dense += 1;
            Open::Dense { tally: fresh(), touched: touches }
        });
        if let Open::Packed(sealed) = open {
            let mut tally = fresh();
            sealed.add_to(&mut tally);
            tally.last.clone_from(&sealed.last);
            *dense += 1;
            *open = Open::Dense { tally, touched: touches };
        }
        let room = (DENSE_BYTES / (layout.total * size_of::<u64>()).max(1)).max(DENSE_PANES);
        if *dense > room {
            pack_oldest(panes, touches);
            *dense -= 1;
        }
        match panes.get_mut(&pane)? {
            Open::Dense { tally, touched } => {
                *touched = touches;
                Some((tally, layout))
            }
            Open::Packed(_) => None,
        }
    }

    /// Takes out the panes below `before`, sealed, in order.
    pub fn seal(&mut self, group: usize, before: i64) -> Vec<(i64, Sealed)> {
        let (Some(panes), Some(dense)) = (self.panes.get_mut(group), self.dense.get_mut(group)) else {
            return Vec::new();
        };
        if panes.first_key_value().is_none_or(|(&first, _)| first >= before) {
            return Vec::new();
        }
        let rest = panes.split_off(&before);
        let closed = std::mem::replace(panes, rest);
        closed
            .into_iter()
            .map(|(pane, open)| match open {
                Open::Dense { tally, .. } => {
                    *dense -= 1;
                    (pane, Sealed::new(&tally))
                }
                Open::Packed(sealed) => (pane, *sealed),
            })
            .collect()
    }

    /// The open panes of a group, sealed copies, for a checkpoint.
    #[must_use]
    pub fn open_panes(&self, group: usize) -> Vec<(i64, Sealed)> {
        let panes = self.panes.get(group).into_iter().flatten();
        panes
            .map(|(&pane, open)| match open {
                Open::Dense { tally, .. } => (pane, Sealed::new(tally)),
                Open::Packed(sealed) => (pane, (**sealed).clone()),
            })
            .collect()
    }

    /// Puts an open pane of a checkpoint back.
    pub fn put_back(&mut self, group: usize, pane: i64, sealed: Sealed) {
        if let Some(panes) = self.panes.get_mut(group) {
            panes.insert(pane, Open::Packed(Box::new(sealed)));
        }
    }
}

fn pack_oldest(panes: &mut BTreeMap<i64, Open>, touches: u64) {
    let oldest = panes
        .values_mut()
        .filter(|o| matches!(o, Open::Dense { touched, .. } if *touched < touches))
        .min_by_key(|o| match o {
            Open::Dense { touched, .. } => *touched,
            Open::Packed(_) => u64::MAX,
        });
    if let Some(open) = oldest
        && let Open::Dense { tally, .. } = open
    {
        *open = Open::Packed(Box::new(Sealed::new(tally)));
    }
}
