//! Limits that the training data itself keeps. The rows are cut into parts as windows would be, from the fewest rows that are
//! judged up to half of them, in the file's order; what such a part is away from the whole is no drift, and no limit lies
//! below it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::anyhow;

use crate::source::columns::FileRows;
use crate::source::columns::reader::ColumnReader;
use driftgate_core::baseline::{Baseline, NumericReference};
use driftgate_core::event::numeric;
use driftgate_core::policy::Policy;
use driftgate_core::stats::bins::sum_bins;
use driftgate_core::stats::fairness::Confusion;
use driftgate_core::stats::ks;
use driftgate_core::stats::psi::{self, Zero, null_quantile, psi};

/// Rows that are looked at, the first ones.
const MOST_ROWS: usize = 500_000;
/// Parts of one length that are looked at.
const MOST_PARTS: usize = 128;
/// The customary limits.
pub const PSI: f64 = 0.2;
pub const EFFECT: f64 = 0.1;
pub const MISSING: f64 = 0.05;
pub const GAP: f64 = 0.1;
/// How much further than the training data's own parts a window may go.
const MARGIN: f64 = 1.3;
/// How much a limit is raised at a time that alarms too often.
const STEP: f64 = 1.1;
/// A feature whose parts are further apart than this is not tested by KS: its order is a trend.
const TREND: f64 = 0.25;
/// Categories whose limit would lie above this are too many to be judged by PSI.
const USELESS: f64 = 1.0;
/// What a segment needs for its rate to be compared.
const MIN_POSITIVES: u64 = 30;

/// Where limits lie, and what they are measured by.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Of every feature that has no limit of its own.
    pub psi_all: f64,
    pub missing_all: f64,
    /// PSI limits above that, by feature, each with what the parts come to.
    pub psi: BTreeMap<String, f64>,
    pub psi_score: Option<f64>,
    /// Features that KS tests: numbers of many values, without a trend.
    pub tested: Vec<String>,
    pub min_effect: f64,
    /// Increases of missing values above that of all, by feature.
    pub missing: BTreeMap<String, f64>,
    /// By segmentation.
    pub gaps: Vec<f64>,
    /// Categorical features with too many categories for PSI, and the limit that would fit.
    pub too_many: BTreeMap<String, f64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            psi_all: PSI,
            missing_all: MISSING,
            psi: BTreeMap::new(),
            psi_score: None,
            tested: Vec::new(),
            min_effect: EFFECT,
            missing: BTreeMap::new(),
            gaps: Vec::new(),
            too_many: BTreeMap::new(),
        }
    }
}

/// What one column's parts come to at most.
#[derive(Clone, Copy, Debug, Default)]
struct Spread {
    psi: f64,
    distance: f64,
    missing: f64,
}

/// Measures the parts of a snapshot by a policy with any limits.
///
/// # Errors
/// A file that cannot be read again.
pub fn measure(policy: &Policy, baseline: &Baseline, snapshot: &Path) -> anyhow::Result<Limits> {
    let columns = read(policy, snapshot)?;
    let least = usize::try_from(policy.min_samples).unwrap_or(usize::MAX);
    let mut limits = Limits::default();
    for (at, (name, reference)) in policy.features.numeric.iter().zip(&baseline.numeric).enumerate() {
        let Some(values) = columns.numeric.get(at) else { continue };
        let found = of_numbers(reference, values, least);
        limits.psi(name, found.psi, chance(reference.default_bins().len(), reference.count, policy.min_samples));
        limits.missing(name, found.missing);
        if !reference.discrete && found.distance * MARGIN < TREND {
            limits.tested.push(name.clone());
            limits.min_effect = limits.min_effect.max(up(found.distance * MARGIN));
        }
    }
    for (at, (name, reference)) in policy.features.categorical.iter().zip(&baseline.categorical).enumerate() {
        let Some(codes) = columns.categorical.get(at) else { continue };
        let found = of_categories(&reference.counts, codes, least);
        let chance = chance(reference.names.len() + 1, reference.count, policy.min_samples);
        let fits = up((found.psi * MARGIN).max(chance));
        if fits > USELESS && chance > PSI {
            limits.too_many.insert(name.clone(), fits);
        } else {
            limits.psi(name, found.psi, chance);
        }
        limits.missing(name, found.missing);
    }
    // Without any other feature there would be nothing to watch: the limit that fits is written all the same.
    if policy.features.numeric.is_empty() && limits.too_many.len() == policy.features.categorical.len() {
        limits.psi.append(&mut limits.too_many);
    }
    if let (Some(reference), Some(values)) = (&baseline.score, columns.numeric.get(policy.features.numeric.len())) {
        let chance = chance(reference.default_bins().len(), reference.count, policy.min_samples);
        let fits = up((of_numbers(reference, values, least).psi * MARGIN).max(chance));
        limits.psi_score = Some(fits).filter(|limit| *limit > PSI);
    }
    limits.gaps = baseline.segments.iter().map(|s| s.as_ref().map_or(GAP, gap)).collect();
    Ok(limits)
}

impl Limits {
    /// Raises what a rule of the draft is limited by, since it would block too often without drift.
    pub fn raise(&mut self, rule: &str) {
        let raised = |limit: f64| up(limit * STEP);
        match rule {
            "drift/psi" => {
                self.psi_all = raised(self.psi_all);
                self.psi.values_mut().for_each(|limit| *limit = raised(*limit));
                self.psi.retain(|_, limit| *limit > self.psi_all);
            }
            "drift/psi_score" => self.psi_score = Some(raised(self.psi_score.unwrap_or(PSI))),
            "drift/ks_p" => self.min_effect = raised(self.min_effect).min(1.0),
            "drift/missing_rate" => {
                self.missing_all = raised(self.missing_all).min(1.0);
                self.missing.values_mut().for_each(|limit| *limit = raised(*limit).min(1.0));
                self.missing.retain(|_, limit| *limit > self.missing_all);
            }
            _ => {
                let Some(place) = rule.strip_prefix("fairness/tpr_gap_lcb") else { return };
                let at =
                    place.strip_prefix('_').and_then(|n| n.parse::<usize>().ok()).map_or(0, |n| n.saturating_sub(1));
                self.gaps.get_mut(at).into_iter().for_each(|gap| *gap = raised(*gap).min(1.0));
            }
        }
    }

    fn psi(&mut self, name: &str, found: f64, chance: f64) {
        let fits = up((found * MARGIN).max(chance));
        if fits > PSI {
            self.psi.insert(name.to_owned(), fits);
        }
    }

    fn missing(&mut self, name: &str, found: f64) {
        let fits = up(found * MARGIN).min(1.0);
        if fits > MISSING {
            self.missing.insert(name.to_owned(), fits);
        }
    }
}

/// What PSI of so many bins comes to by chance alone in the smallest window that is judged.
fn chance(bins: usize, rows: u64, least: u64) -> f64 {
    null_quantile(least, rows, bins, psi::CHANCE).unwrap_or(0.0)
}

/// Rounded up to two decimals.
fn up(x: f64) -> f64 {
    (x * 100.0).ceil() / 100.0
}

/// A snapshot's columns by row: numeric features and then the score as numbers, categorical ones as places in their reference.
#[derive(Default)]
struct Columns {
    numeric: Vec<Vec<f64>>,
    categorical: Vec<Vec<Option<u32>>>,
}

fn read(policy: &Policy, snapshot: &Path) -> anyhow::Result<Columns> {
    let numbers: Vec<&String> = {
        let scores = policy.baseline.score_column.iter().filter(|_| !policy.is_multiclass());
        policy.features.numeric.iter().chain(scores).collect()
    };
    let texts = &policy.features.categorical;
    let wanted: Vec<String> = numbers.iter().copied().chain(texts).cloned().collect();
    let mut reader = ColumnReader::open(snapshot, &wanted)?;
    let mut out = Columns { numeric: vec![Vec::new(); numbers.len()], categorical: vec![Vec::new(); texts.len()] };
    let mut known: Vec<BTreeMap<String, u32>> = vec![BTreeMap::new(); texts.len()];
    let mut rows = 0;
    while let Some(batch) = reader.next()? {
        let cells = |batch: &FileRows, name: &String| {
            batch.cells(name).map_err(|e| anyhow!("{e}"))?.ok_or_else(|| anyhow!("the column {name:?} is gone"))
        };
        for (name, values) in numbers.iter().zip(&mut out.numeric) {
            cells(&batch, name)?.numbers(values);
        }
        for ((name, codes), known) in texts.iter().zip(&mut out.categorical).zip(&mut known) {
            let mut found = Vec::with_capacity(batch.len());
            let code = |text: &str| {
                let next = u32::try_from(known.len()).unwrap_or(u32::MAX);
                *known.entry(text.to_owned()).or_insert(next)
            };
            cells(&batch, name)?.codes(code, &mut found);
            let some = |code: u32| Some(code).filter(|c| (*c as usize) < known.len());
            codes.extend(found.into_iter().map(some));
        }
        rows += batch.len();
        if rows >= MOST_ROWS {
            break;
        }
    }
    // A baseline's categories are in order.
    for (codes, known) in out.categorical.iter_mut().zip(known) {
        let mut place = vec![0; known.len()];
        for (at, code) in (0..).zip(known.into_values()) {
            place.get_mut(code as usize).into_iter().for_each(|p| *p = at);
        }
        codes.iter_mut().flatten().for_each(|code| *code = place.get(*code as usize).copied().unwrap_or(*code));
    }
    Ok(out)
}

/// Parts of so many rows: of the fewest rows that are judged, of twice as many, and so on, and half of each over the next.
fn parts(rows: usize, least: usize) -> Vec<std::ops::Range<usize>> {
    let mut out = Vec::new();
    let mut length = least.max(1);
    while length < rows {
        let steps = ((rows - length) / (length / 2).max(1) + 1).clamp(2, MOST_PARTS);
        out.extend((0..steps).map(|step| {
            let start = (rows - length) * step / (steps - 1);
            start..start + length
        }));
        length *= 2;
    }
    out
}

fn of_numbers(reference: &NumericReference, values: &[f64], least: usize) -> Spread {
    let mut cells = Vec::new();
    reference.grid.locate_all(values, &mut cells);
    let bins = reference.default_bins();
    let by_bin = sum_bins(bins, &reference.cells);
    let mut out = Spread::default();
    let whole = share(reference.missing, reference.missing + reference.count);
    for part in parts(values.len(), least) {
        let (mut counts, mut missing) = (vec![0_u64; reference.grid.cells()], 0_u64);
        for (x, cell) in
            values.get(part.clone()).unwrap_or_default().iter().zip(cells.get(part.clone()).unwrap_or_default())
        {
            if x.is_nan() {
                missing += u64::from(!numeric::is_invalid(*x));
            } else if let Some(count) = counts.get_mut(*cell as usize) {
                *count += 1;
            }
        }
        out.missing = out.missing.max(share(missing, part.len() as u64) - whole);
        if part.len() as u64 - missing < least as u64 {
            continue;
        }
        out.psi = out.psi.max(psi(&by_bin, &sum_bins(bins, &counts), Zero::Half).unwrap_or(0.0));
        out.distance = out.distance.max(ks::distance(&reference.cells, &counts).map_or(0.0, |d| d.d_lo));
    }
    out
}

fn of_categories(reference: &[u64], codes: &[Option<u32>], least: usize) -> Spread {
    let mut out = Spread::default();
    let mut reference = reference.to_vec();
    reference.push(0);
    let missing = codes.iter().filter(|c| c.is_none()).count() as u64;
    let whole = share(missing, codes.len() as u64);
    for part in parts(codes.len(), least) {
        let (mut counts, mut missing) = (vec![0_u64; reference.len()], 0_u64);
        for code in codes.get(part.clone()).unwrap_or_default() {
            match code.and_then(|c| counts.get_mut(c as usize)) {
                Some(count) => *count += 1,
                None => missing += 1,
            }
        }
        out.missing = out.missing.max(share(missing, part.len() as u64) - whole);
        out.psi = out.psi.max(psi(&reference, &counts, Zero::Half).unwrap_or(0.0));
    }
    out
}

#[allow(clippy::cast_precision_loss, reason = "a share")]
fn share(part: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { part as f64 / of as f64 }
}

/// How far apart true positive rates may be: as far as in the training data, up to the next twentieth.
fn gap(segments: &BTreeMap<String, Confusion>) -> f64 {
    let positives = |c: &Confusion| c.tp + c.fn_;
    let rates: Vec<f64> =
        segments.values().filter(|c| positives(c) >= MIN_POSITIVES).map(|c| share(c.tp, positives(c))).collect();
    let (low, high) = rates.iter().fold((1.0_f64, 0.0_f64), |(low, high), r| (low.min(*r), high.max(*r)));
    ((high - low) * 20.0).ceil().max(GAP * 20.0) / 20.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_the_rows_at_every_length() {
        assert!(parts(200, 200).is_empty() && parts(0, 200).is_empty());
        let found = parts(1000, 200);
        for length in [200, 400, 800] {
            let of: Vec<_> = found.iter().filter(|p| p.len() == length).collect();
            assert_eq!((of[0].start, of[of.len() - 1].end), (0, 1000), "{length}");
            assert!(of.windows(2).all(|w| w[1].start <= w[0].end));
        }
        assert!(parts(10_000_000, 200).len() < 20 * MOST_PARTS);
    }

    #[test]
    fn a_gap_is_rounded_up_and_small_segments_do_not_count() {
        let of = |tp, fn_| Confusion { tp, fn_, ..Confusion::default() };
        let segments =
            BTreeMap::from([("a".to_owned(), of(90, 10)), ("b".to_owned(), of(59, 41)), ("c".to_owned(), of(0, 5))]);
        assert_eq!([gap(&segments), gap(&BTreeMap::new())].map(|g| format!("{g:.2}")), ["0.35", "0.10"]);
    }
}
