//! The open panes of one worker. Several workers count one model at once, each into panes of its own; what they hold of a
//! pane is merged when it is sealed. The panes touched last are kept unpacked; others are packed until an event in the
//! allowed disorder touches them again.

use std::collections::BTreeMap;

use crate::window::layout::Layout;
use crate::window::pane::Sealed;
use crate::window::tally::Tally;

use super::versions::Spec;

/// Unpacked open panes of one (version, group) may take about so many bytes.
const DENSE_BYTES: usize = 16 << 20;
/// But at least so many stay unpacked.
const DENSE_PANES: usize = 4;

/// A worker's counts of an open pane.
#[derive(Clone, Debug)]
pub enum Open {
    Dense {
        tally: Box<Tally>,
        touched: u64,
        /// The spec it was counted under.
        generation: u64,
    },
    Packed(Box<Sealed>),
}

/// The open panes of one (version, group) by start, in slides.
#[derive(Clone, Debug, Default)]
struct Row {
    panes: BTreeMap<i64, Open>,
    dense: usize,
}

/// The open panes of one worker.
#[derive(Debug, Default)]
pub struct Panes {
    /// By version code, then group.
    versions: Vec<Vec<Row>>,
    touches: u64,
}

impl Panes {
    fn row(&mut self, version: u32, group: usize) -> Option<&mut Row> {
        let at = version as usize;
        if self.versions.len() <= at {
            self.versions.resize_with(at + 1, Vec::new);
        }
        let groups = self.versions.get_mut(at)?;
        if groups.len() <= group {
            groups.resize_with(group + 1, Row::default);
        }
        groups.get_mut(group)
    }

    /// The open pane's tally with its layout, unpacked, made where it is new.
    pub fn open<'a>(
        &'a mut self,
        (version, spec): (u32, &'a Spec),
        group: usize,
        pane: i64,
    ) -> Option<(&'a mut Tally, &'a Layout)> {
        let layout = spec.layout(group)?;
        self.touches += 1;
        let touches = self.touches;
        let Row { panes, dense } = self.row(version, group)?;
        let fresh = || Box::new(Tally::new(layout.total, layout.segmentations));
        let open = panes.entry(pane).or_insert_with(|| {
            *dense += 1;
            Open::Dense { tally: fresh(), touched: touches, generation: spec.generation }
        });
        if let Open::Packed(sealed) = open {
            let mut tally = fresh();
            sealed.add_to(&mut tally);
            tally.last.clone_from(&sealed.last);
            *dense += 1;
            *open = Open::Dense { tally, touched: touches, generation: spec.generation };
        }
        let room = (DENSE_BYTES / (layout.total * size_of::<u64>()).max(1)).max(DENSE_PANES);
        if *dense > room {
            pack_oldest(panes, touches);
            *dense -= 1;
        }
        match panes.get_mut(&pane)? {
            Open::Dense { tally, touched, generation } => {
                *touched = touches;
                if *generation != spec.generation {
                    // Counted against something else: only its events count.
                    *generation = spec.generation;
                    tally.counts.clear();
                    tally.counts.resize(layout.total, 0);
                }
                Some((tally, layout))
            }
            Open::Packed(_) => None,
        }
    }

    /// Whether a version has open panes.
    #[must_use]
    pub fn holds(&self, version: u32) -> bool {
        self.versions.get(version as usize).is_some_and(|groups| groups.iter().any(|r| !r.panes.is_empty()))
    }

    /// Takes out the panes of a group below `before`: version, pane and counts, in order.
    fn take(&mut self, group: usize, before: i64, out: &mut BTreeMap<(u32, i64), Vec<Open>>) {
        for (version, groups) in (0_u32..).zip(&mut self.versions) {
            let Some(Row { panes, dense }) = groups.get_mut(group) else { continue };
            if panes.first_key_value().is_none_or(|(&first, _)| first >= before) {
                continue;
            }
            let rest = panes.split_off(&before);
            for (pane, open) in std::mem::replace(panes, rest) {
                *dense -= usize::from(matches!(open, Open::Dense { .. }));
                out.entry((version, pane)).or_default().push(open);
            }
        }
    }

    /// Puts an open pane of a checkpoint back.
    pub fn put_back(&mut self, version: u32, group: usize, pane: i64, sealed: Sealed) {
        if let Some(row) = self.row(version, group) {
            row.panes.insert(pane, Open::Packed(Box::new(sealed)));
        }
    }

    /// Copies of the open panes of a (version, group).
    fn copies(&self, version: u32, group: usize, out: &mut BTreeMap<i64, Vec<Open>>) {
        let row = self.versions.get(version as usize).and_then(|groups| groups.get(group));
        for (&pane, open) in row.iter().flat_map(|r| &r.panes) {
            out.entry(pane).or_default().push(open.clone());
        }
    }
}

/// Hands each worker's panes to the function it is given.
pub type EachWorker<'a> = &'a mut dyn FnMut(&mut dyn FnMut(&mut Panes));

/// Takes the panes of a group below `before` out of all workers' panes, merged and sealed, by version and time.
pub fn seal(group: usize, before: i64, workers: EachWorker<'_>) -> Vec<((u32, i64), Sealed)> {
    let mut parts = BTreeMap::new();
    workers(&mut |panes| panes.take(group, before, &mut parts));
    parts.into_iter().filter_map(|(key, opens)| Some((key, merge(opens)?))).collect()
}

/// The open panes of a (version, group) of all workers, merged: sealed copies, for a checkpoint.
#[must_use]
pub fn open_panes<'p>(version: u32, group: usize, workers: impl IntoIterator<Item = &'p Panes>) -> Vec<(i64, Sealed)> {
    let mut parts = BTreeMap::new();
    workers.into_iter().for_each(|panes| panes.copies(version, group, &mut parts));
    parts.into_iter().filter_map(|(pane, opens)| Some((pane, merge(opens)?))).collect()
}

/// What the workers counted of one pane, added. Of counts made under different specs only the newest are kept, of the
/// others the events.
fn merge(opens: Vec<Open>) -> Option<Sealed> {
    let newest = opens
        .iter()
        .filter_map(|o| if let Open::Dense { generation, .. } = o { Some(*generation) } else { None })
        .max();
    let (mut dense, mut packed) = (Vec::new(), Vec::new());
    for open in opens {
        match open {
            Open::Dense { mut tally, generation, .. } => {
                if Some(generation) != newest {
                    tally.counts.clear();
                }
                dense.push(tally);
            }
            Open::Packed(sealed) => packed.push(sealed),
        }
    }
    // The widest first: those that were cleared merge into it.
    dense.sort_by_key(|t| std::cmp::Reverse(t.counts.len()));
    let mut dense = dense.into_iter();
    let mut sum = match (dense.next(), packed.len()) {
        (Some(first), _) => first,
        (None, 0) => return None,
        (None, 1) => return packed.pop().map(|sealed| *sealed),
        (None, _) => Box::new(packed.iter().max_by_key(|p| p.cells()).map(|p| p.empty_tally()).unwrap_or_default()),
    };
    for tally in dense {
        sum.merge(&tally);
    }
    for sealed in packed {
        sealed.add_to(&mut sum);
        sum.last = sum.last.max(sealed.last);
    }
    Some(Sealed::new(&sum))
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
