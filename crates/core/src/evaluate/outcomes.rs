//! Which version each one is compared with by `kpi_drop` rules, from the events alone: who serves in prod at a window's end,
//! who served there before, and what both have shown.

use super::evaluator::Evaluator;
use super::rolling::{Close, PROD, Rolling};
use crate::intake::Closing;
use crate::intake::names::EventNames;
use crate::intake::versions::Spec;
use crate::judge::kpi::{Compared, InProd, Other, Seen, Share, epoch};
use crate::policy::WindowSpec;
use crate::window::layout::{CellBlock, Layout};
use crate::window::pane::Sealed;

/// A version that serves in prod in a window, and its last prediction there.
#[derive(Clone, Copy)]
struct Serving {
    code: u32,
    last: i64,
    prod: InProd,
}

impl Serving {
    /// Whether both served after both had come: neither has replaced the other.
    fn is_beside(self, other: Self) -> bool {
        other.last > self.prod.since && self.last > other.prod.since
    }
}

fn share(block: Option<&CellBlock>, counts: &[u64]) -> Share {
    match block.map(|b| b.slice(counts)) {
        Some(&[no, yes]) => Share { yes, n: no + yes },
        _ => Share::default(),
    }
}

/// What a slide's panes counted of a KPI.
fn slide_share(panes: &[Sealed], layout: &Layout, at: usize) -> Share {
    let Some(block) = layout.kpis.get(at) else { return Share::default() };
    let mut sum = Share::default();
    // A pane counted before its version had a baseline has another layout.
    for pane in panes.iter().filter(|p| p.cells() == layout.total) {
        let (no, yes) = (pane.count(block.offset), pane.count(block.offset + 1));
        sum.add(Share { yes, n: no + yes });
    }
    sum
}

fn is_in_prod(panes: &[Sealed], names: &EventNames) -> bool {
    let last = panes.iter().filter_map(|p| p.last.as_ref()).max();
    last.is_some_and(|last| names.stage(last.stage) == Some(PROD))
}

impl Rolling {
    /// Remembers slides that are in no window any more.
    pub(super) fn remember(&mut self, (from, to): (i64, i64), layout: &Layout, names: &EventNames, close: &Close<'_>) {
        let window = close.group.window;
        for (pane, sealed) in self.panes.range(from..to).filter(|(_, sealed)| is_in_prod(sealed, names)) {
            for at in 0..close.reads.kpis.len() {
                let slide = slide_share(sealed, layout, at);
                self.memory.outcomes.kpi(at).leave(
                    window.start(*pane),
                    epoch(window.nominal(*pane), window.size),
                    slide,
                );
            }
        }
    }

    /// What it has shown in prod of a KPI before `end`.
    fn shown(&self, end: i64, at: usize, layout: &Layout, names: &EventNames, window: WindowSpec) -> Share {
        let mut shown = self.memory.outcomes.past(at);
        // Those before the last window are remembered already.
        let to = window.pane_behind(end);
        let panes =
            self.panes.range(self.first_pane(window).min(to)..to).filter(|(_, sealed)| is_in_prod(sealed, names));
        panes.for_each(|(_, sealed)| shown.add(slide_share(sealed, layout, at)));
        shown
    }
}

impl Evaluator {
    fn rolling(&self, code: u32, group: usize) -> Option<&Rolling> {
        self.versions.get(code as usize)?.get(group)
    }

    fn rolling_mut(&mut self, code: u32, group: usize) -> Option<&mut Rolling> {
        self.versions.get_mut(code as usize)?.get_mut(group)
    }

    /// What each version that is due is compared with, by KPI of the group.
    pub(super) fn compare(
        &mut self,
        close: &Close<'_>,
        closing: &Closing,
        due: &[(u32, &Spec)],
        champion: Option<u32>,
    ) -> Vec<Vec<Compared>> {
        let kpis = close.reads.kpis.len();
        if kpis == 0 {
            return vec![Vec::new(); due.len()];
        }
        let serving = self.note_prod(close, closing, due);
        let found = due.iter().map(|&(code, spec)| {
            (0..kpis)
                .map(|at| self.compare_one(close, closing, (code, spec), at, (&serving, champion)).unwrap_or_default())
                .collect()
        });
        found.collect()
    }

    /// Takes note of who serves in prod at this end, and whom they came after.
    fn note_prod(&mut self, close: &Close<'_>, closing: &Closing, due: &[(u32, &Spec)]) -> Vec<Serving> {
        let here: Vec<(u32, i64)> = due
            .iter()
            .filter(|(code, _)| self.stage(*code, close.at) == Some(PROD))
            .filter_map(|&(code, _)| Some((code, self.sum(code, close.at)?.last.as_ref()?.ts)))
            .collect();
        // As they were before this end, so that the versions' order does not matter.
        let codes = 0..u32::try_from(self.versions.len()).unwrap_or(u32::MAX);
        let before: Vec<Option<InProd>> =
            codes.map(|code| self.rolling(code, close.at).and_then(|r| r.memory.outcomes.prod)).collect();
        let known = |code: u32| before.get(code as usize).copied().flatten();
        let mut serving = Vec::new();
        for &(code, last) in &here {
            // Another one had taken over, and this one is back.
            let took_over = |prod: InProd, other: InProd| other.since > prod.last && last > other.since;
            let stays = known(code).filter(|prod| {
                let mut others = (0_u32..).zip(&before).filter(|(other, _)| *other != code);
                !others.any(|(_, other)| other.is_some_and(|other| took_over(*prod, other)))
            });
            let prod = stays.map_or(InProd { since: last, last }, |prod| InProd { last: last.max(prod.last), ..prod });
            serving.push(Serving { code, last, prod });
            if stays.is_some() {
                if let Some(rolling) = self.rolling_mut(code, close.at) {
                    rolling.memory.outcomes.prod = Some(prod);
                }
                continue;
            }
            let seen = |other: u32| here.iter().find(|(c, _)| *c == other).map(|(_, last)| *last);
            let others = (0_u32..).zip(&before).filter(|(other, _)| *other != code);
            let earlier = others.filter_map(|(other, prod)| {
                let ts = prod.map(|p| p.last).max(seen(other))?;
                (ts < last).then(|| (ts, self.names.version(other).unwrap_or_default(), other))
            });
            let predecessor = earlier.max().map(|(_, _, other)| other);
            let name = predecessor.and_then(|p| self.names.version(p)).map(str::to_owned);
            if let Some(rolling) = self.rolling_mut(code, close.at) {
                rolling.memory.outcomes.moved_to_prod(last, name);
            }
            if let Some(predecessor) = predecessor {
                self.take_over(close, closing, code, predecessor);
            }
        }
        // A version beside it is the one that it will have come after.
        for &one in &serving {
            let beside = serving.iter().filter(|other| other.code != one.code && one.is_beside(**other));
            let latest = beside.max_by_key(|o| (o.last, self.names.version(o.code))).copied();
            let Some(latest) = latest else { continue };
            let name = self.names.version(latest.code).map(str::to_owned);
            if let Some(rolling) = self.rolling_mut(one.code, close.at) {
                rolling.memory.outcomes.predecessor = name;
            }
            self.take_over(close, closing, one.code, latest.code);
        }
        serving
    }

    /// Keeps what the predecessor has shown up to now.
    fn take_over(&mut self, close: &Close<'_>, closing: &Closing, code: u32, predecessor: u32) {
        let layout = closing.known.get(predecessor as usize).and_then(|k| k.spec.layout(close.at));
        for at in 0..close.reads.kpis.len() {
            let shown = self.rolling(predecessor, close.at).map(|r| match layout {
                Some(layout) => r.shown(close.end, at, layout, &self.names, close.group.window),
                None => r.memory.outcomes.past(at),
            });
            if let Some(rolling) = self.rolling_mut(code, close.at) {
                rolling.memory.outcomes.kpi(at).comes_after(shown.unwrap_or_default());
            }
        }
    }

    /// What a version has shown of a KPI in the window and in its last slide.
    fn shares(&self, close: &Close<'_>, layout: &Layout, code: u32, at: usize) -> Option<(Share, Share)> {
        let rolling = self.rolling(code, close.at)?;
        let slide = rolling.panes.get(&(close.group.window.pane_behind(close.end) - 1));
        let slide = slide.map_or_else(Share::default, |panes| slide_share(panes, layout, at));
        Some((share(layout.kpis.get(at), &rolling.sum.counts), slide))
    }

    fn compare_one(
        &mut self,
        close: &Close<'_>,
        closing: &Closing,
        (code, spec): (u32, &Spec),
        at: usize,
        (serving, champion): (&[Serving], Option<u32>),
    ) -> Option<Compared> {
        let least = self.policy.min_samples;
        let (window, slide) = self.shares(close, spec.layout(close.at)?, code, at)?;
        let shares = |other: u32| {
            let layout = closing.known.get(other as usize)?.spec.layout(close.at)?;
            self.shares(close, layout, other, at)
        };
        let own = serving.iter().find(|s| s.code == code).copied();
        let found = match own {
            // Another version in prod, as long as it has enough to compare with.
            Some(own) => {
                let beside = serving.iter().filter(|other| other.code != code && own.is_beside(**other));
                let beside = beside.filter_map(|other| Some((other, shares(other.code)?)));
                let beside = beside.filter(|(_, (window, _))| window.n >= least);
                let latest = beside.max_by_key(|(other, _)| (other.last, self.names.version(other.code)));
                latest.map(|(other, shares)| (other.code, shares))
            }
            None => champion.and_then(|other| Some((other, shares(other)?))),
        };
        let name = |code: u32| self.names.version(code).unwrap_or_default().to_owned();
        let (version, other) = (name(code), found.map(|(other, shares)| (name(other), shares)));
        let champion =
            other.as_ref().map(|(version, (window, slide))| Other { version, window: *window, slide: *slide });
        let outcomes = &mut self.rolling_mut(code, close.at)?.memory.outcomes;
        let (predecessor, spec) = (outcomes.predecessor.clone(), close.group.window);
        let seen = Seen {
            version: &version,
            window,
            slide,
            epoch: epoch(spec.nominal_end(close.end).saturating_sub(spec.slide), spec.size),
            in_prod: own.is_some(),
            champion,
            predecessor: predecessor.as_deref(),
        };
        Some(outcomes.kpi(at).compare(&seen, least))
    }
}
