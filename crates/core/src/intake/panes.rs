//! The open panes of one worker. Several workers count one model at once, each into panes of its own; what they hold of a
//! pane is merged when it is sealed. The panes touched last are kept unpacked; others are packed until an event in the
//! allowed disorder touches them again.

use std::collections::BTreeMap;

use crate::window::layout::Layout;
use crate::window::pane::Sealed;
use crate::window::tally::{OpenTally, Tally};

use super::versions::Spec;

/// Unpacked open panes of one (version, group) may take about so many bytes.
pub const DENSE_BYTES: usize = 16 << 20;
/// But at least so many stay unpacked.
pub const DENSE_PANES: usize = 2;

/// A worker's counts of an open pane.
#[derive(Clone, Debug)]
pub enum Open {
    Dense {
        tally: Box<OpenTally>,
        touched: u64,
        /// The spec it was counted under.
        generation: u64,
    },
    Packed(Box<Sealed>),
}

/// The open panes of one (version, group) by start, in slides.
#[derive(Clone, Debug, Default)]
struct GroupPanes {
    panes: BTreeMap<i64, Open>,
    /// Those that are not packed.
    dense: Vec<i64>,
    /// What was taken out of open panes because their counts were full.
    full: Vec<(i64, Sealed)>,
}

/// The open panes of one worker.
#[derive(Debug, Default)]
pub struct Panes {
    /// By version code, then group.
    versions: Vec<Vec<GroupPanes>>,
    touches: u64,
}

impl Panes {
    fn row(&mut self, version: u32, group: usize) -> Option<&mut GroupPanes> {
        let at = version as usize;
        if self.versions.len() <= at {
            self.versions.resize_with(at + 1, Vec::new);
        }
        let groups = self.versions.get_mut(at)?;
        if groups.len() <= group {
            groups.resize_with(group + 1, GroupPanes::default);
        }
        groups.get_mut(group)
    }

    /// The open pane's tally with its layout, unpacked, made where it is new.
    pub fn open<'a>(
        &'a mut self,
        (version, spec): (u32, &'a Spec),
        group: usize,
        pane: i64,
    ) -> Option<(&'a mut OpenTally, &'a Layout)> {
        let layout = spec.layout(group)?;
        self.touches += 1;
        let touches = self.touches;
        let GroupPanes { panes, dense, full } = self.row(version, group)?;
        let fresh = || Box::new(OpenTally::new(layout.total, layout.segmentations));
        let open = panes.entry(pane).or_insert_with(|| {
            dense.push(pane);
            Open::Dense { tally: fresh(), touched: touches, generation: spec.generation }
        });
        if let Open::Packed(sealed) = open {
            let mut tally = fresh();
            if sealed.events() < OpenTally::FULL {
                sealed.add_to(&mut tally);
                tally.last.clone_from(&sealed.last);
            } else {
                full.push((pane, (**sealed).clone()));
            }
            dense.push(pane);
            *open = Open::Dense { tally, touched: touches, generation: spec.generation };
        }
        let room = (DENSE_BYTES / (layout.total * size_of::<u32>()).max(1)).max(DENSE_PANES);
        if dense.len() > room {
            pack_oldest(panes, dense, touches);
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
                if tally.is_full() {
                    full.push((pane, Sealed::new(tally)));
                    *tally = fresh();
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

    /// Drops the open panes of a version.
    pub fn let_go(&mut self, version: u32) {
        self.versions.get_mut(version as usize).into_iter().for_each(Vec::clear);
    }

    /// Takes out the panes of a group below `before`: version, pane and counts, in order.
    fn take(&mut self, group: usize, before: i64, out: &mut BTreeMap<(u32, i64), Vec<Open>>) {
        for (version, groups) in (0_u32..).zip(&mut self.versions) {
            let Some(GroupPanes { panes, dense, full }) = groups.get_mut(group) else { continue };
            if panes.first_key_value().is_none_or(|(&first, _)| first >= before) {
                continue;
            }
            let rest = panes.split_off(&before);
            dense.retain(|pane| *pane >= before);
            for (pane, open) in std::mem::replace(panes, rest) {
                out.entry((version, pane)).or_default().push(open);
            }
            for (pane, sealed) in full.extract_if(.., |(pane, _)| *pane < before) {
                out.entry((version, pane)).or_default().push(Open::Packed(Box::new(sealed)));
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
        for (pane, sealed) in row.iter().flat_map(|r| &r.full) {
            out.entry(*pane).or_default().push(Open::Packed(Box::new(sealed.clone())));
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
            Open::Packed(sealed) => packed.push(*sealed),
        }
    }
    packed.extend(Sealed::sum(dense));
    if packed.len() <= 1 {
        return packed.pop();
    }
    let mut sum: Tally = packed.iter().max_by_key(|p| p.cells())?.empty_tally();
    for sealed in packed {
        sealed.add_to(&mut sum);
        sum.last = sum.last.max(sealed.last);
    }
    Some(Sealed::new(&sum))
}

/// Packs the panes that were touched longest ago: a part of the unpacked ones at once, since each look at all of them for one
/// would take as long as there are panes.
fn pack_oldest(panes: &mut BTreeMap<i64, Open>, dense: &mut Vec<i64>, touches: u64) {
    let many = (dense.len() / 4).max(1);
    dense.select_nth_unstable_by_key(many - 1, |pane| match panes.get(pane) {
        Some(Open::Dense { touched, .. }) => *touched,
        _ => 0,
    });
    for pane in dense.drain(..many) {
        if let Some(open) = panes.get_mut(&pane)
            && let Open::Dense { tally, touched, .. } = open
            && *touched < touches
        {
            *open = Open::Packed(Box::new(Sealed::new(tally)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> Spec {
        let layout = Layout {
            predictions: Vec::new(),
            features: Vec::new(),
            auc: None,
            latency: None,
            error: None,
            kpis: Vec::new(),
            confusion: None,
            classes: None,
            decisions: None,
            labels: None,
            by_segment: Vec::new(),
            segmentations: 0,
            total: 2,
        };
        Spec { layouts: vec![layout], ..Spec::default() }
    }

    /// Counts so many events at once, all of them in the second cell, and one more.
    fn count(panes: &mut Panes, events: u64) {
        let spec = spec();
        let (tally, _) = panes.open((0, &spec), 0, 7).unwrap();
        tally.predictions += events;
        tally.counts[1] += u32::try_from(events).unwrap();
        let (tally, _) = panes.open((0, &spec), 0, 7).unwrap();
        tally.predictions += 1;
        tally.add(0);
    }

    fn counted(sealed: &Sealed) -> (u64, Vec<u64>) {
        let mut sum = sealed.empty_tally();
        sealed.add_to(&mut sum);
        (sum.predictions, sum.counts)
    }

    #[test]
    fn a_pane_holds_more_events_than_a_count_of_32_bits() {
        let many = OpenTally::FULL;
        let mut panes = Panes::default();
        (0..3).for_each(|_| count(&mut panes, many));
        let expected = (3 * many + 3, vec![3, 3 * many]);
        let open = open_panes(0, 0, [&panes]);
        assert_eq!(open.iter().map(|(pane, sealed)| (*pane, counted(sealed))).collect::<Vec<_>>(), [(7, expected)]);
        // A restart from that, and a second worker.
        let (mut again, mut second) = (Panes::default(), Panes::default());
        open.into_iter().for_each(|(pane, sealed)| again.put_back(0, 0, pane, sealed));
        count(&mut again, many - 1);
        count(&mut second, 5);
        let sealed = seal(0, 8, &mut |f| [&mut again, &mut second].into_iter().for_each(&mut *f));
        assert_eq!(sealed.len(), 1);
        assert_eq!(counted(&sealed[0].1), (4 * many + 9, vec![5, 4 * many + 4]));
        assert!(!again.holds(0) && open_panes(0, 0, [&again, &second]).is_empty());
    }

    #[test]
    fn many_panes_in_disorder_are_counted_and_few_stay_unpacked() {
        let spec = Spec { layouts: vec![Layout { total: 100_000, ..spec().layouts.remove(0) }], ..Spec::default() };
        let room = DENSE_BYTES / (100_000 * size_of::<u32>());
        let (mut panes, mut expected) = (Panes::default(), BTreeMap::new());
        for i in 0..400_i64 {
            // Forwards, with steps back to panes that were packed since.
            let pane = if i % 7 == 0 { i / 2 } else { i };
            let (tally, _) = panes.open((0, &spec), 0, pane).unwrap();
            tally.predictions += 1;
            tally.counts[1] += 1;
            *expected.entry(pane).or_insert(0_u64) += 1;
            let GroupPanes { panes, dense, .. } = &panes.versions[0][0];
            let unpacked = panes.values().filter(|o| matches!(o, Open::Dense { .. })).count();
            assert!(unpacked == dense.len() && unpacked <= room, "{unpacked}");
        }
        for (before, left) in [(100, true), (i64::MAX, false)] {
            for ((_, pane), sealed) in seal(0, before, &mut |each| each(&mut panes)) {
                assert_eq!(Some(counted(&sealed).0), expected.remove(&pane), "{pane}");
            }
            assert_eq!(expected.is_empty(), !left);
            let GroupPanes { panes, dense, .. } = &panes.versions[0][0];
            assert_eq!(dense.len(), panes.values().filter(|o| matches!(o, Open::Dense { .. })).count());
        }
    }
}
