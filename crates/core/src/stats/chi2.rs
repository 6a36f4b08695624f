//! Pearson's chi-square test of homogeneity, and the chi-square tail with its logarithm.

use super::p_value::PValue;
use super::real::{length, real, signed, total};
use statrs::function::gamma::ln_gamma;
use std::f64::consts::PI;

/// A 2×K test of homogeneity.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Chi2 {
    /// Pearson's X².
    pub statistic: f64,
    /// Non-empty columns less one.
    pub df: u64,
    /// P(χ²(df) ≥ statistic).
    pub p: PValue,
}

/// Pearson's test (Pearson 1900) of window against reference counts over the columns that are not empty on both
/// sides, without Yates' correction.
///
/// The numerators are integers: X² = Σ (r·n − w·m)²/((r + w)·n·m). One non-empty column has df 0 and p = 1. `None`
/// when either side is empty or the slices differ in length.
#[must_use]
pub fn pearson(reference: &[u64], window: &[u64]) -> Option<Chi2> {
    let (m, n) = (total(reference)?, total(window)?);
    if m == 0 || n == 0 || reference.len() != window.len() {
        return None;
    }
    let (wide_m, wide_n) = (i128::from(m), i128::from(n));
    let scale = real(m) * real(n);
    let (mut statistic, mut columns) = (0.0, 0_usize);
    for (r, w) in reference.iter().zip(window).filter(|(r, w)| **r > 0 || **w > 0) {
        let (r, w) = (i128::from(*r), i128::from(*w));
        let excess = signed(r.saturating_mul(wide_n).saturating_sub(w.saturating_mul(wide_m)));
        statistic += excess / scale * (excess / signed(r + w));
        columns += 1;
    }
    let df = u64::try_from(columns - 1).ok()?;
    Some(Chi2 { statistic, df, p: chi2_sf(statistic, df) })
}

/// The least expectation of a column in the smaller sample that is a cell of its own in [`pearson_pooled`].
const LEAST_EXPECTED: u128 = 5;
/// The least expectation of the cell that the others are pooled into.
const LEAST_POOLED: u128 = 1;

/// The sizes of two samples, as a column's expectation needs them: with N = n + m in both, a column of t counts is expected
/// t·min(n, m)/N times in the smaller of them when nothing has drifted.
struct Expected {
    smaller: u128,
    both: u128,
}

impl Expected {
    fn new(reference: &[u64], window: &[u64]) -> Option<Self> {
        let (m, n) = (total(reference)?, total(window)?);
        (m > 0 && n > 0).then(|| Self { smaller: m.min(n).into(), both: u128::from(m) + u128::from(n) })
    }

    /// Whether a column of so many counts is expected fewer than `least` times, in integers.
    fn is_below(&self, counts: u128, least: u128) -> bool {
        counts.saturating_mul(self.smaller) < least.saturating_mul(self.both)
    }
}

/// How many columns that are not empty on both sides are expected fewer than five times in the smaller sample.
#[must_use]
pub fn sparse(reference: &[u64], window: &[u64]) -> u64 {
    let Some(expected) = Expected::new(reference, window) else { return 0 };
    let counts = reference.iter().zip(window).map(|(r, w)| u128::from(*r) + u128::from(*w));
    counts.filter(|t| *t > 0 && expected.is_below(*t, LEAST_EXPECTED)).count() as u64
}

/// [`pearson`] with columns that are too rare for it pooled, and how many were (0: none, the table is as given).
///
/// Pearson's X² follows χ² only where expectations are not small: with hundreds of rare categories it rejects far too often.
/// After Cochran (Some methods for strengthening the common χ² tests, Biometrics 10, 1954): all columns that are expected
/// fewer than 5 times in the smaller sample are added up into one cell; where even that is expected less than once and
/// there are two other columns or more, the rarest of these (the first of equals) joins it.
///
/// Which columns are pooled depends on the counts of both samples together, so that the test stays one of homogeneity. What
/// the reference has not must therefore come as the columns it consists of, not as one that is empty there by construction;
/// `scattered` are counts of the window whose columns are not known, which are pooled.
#[must_use]
pub fn pearson_pooled(reference: &[u64], window: &[u64], scattered: u64) -> Option<(Chi2, u64)> {
    if reference.len() != window.len() {
        return None;
    }
    let mut columns: Vec<(u64, u64)> = reference.iter().copied().zip(window.iter().copied()).collect();
    columns.push((0, scattered));
    columns.retain(|(r, w)| *r > 0 || *w > 0);
    let table = |columns: &[(u64, u64)]| {
        let (reference, window): (Vec<u64>, Vec<u64>) = columns.iter().copied().unzip();
        pearson(&reference, &window)
    };
    let expected = Expected::new(reference, &[window, &[scattered]].concat())?;
    let sum = |(r, w): &(u64, u64)| u128::from(*r) + u128::from(*w);
    let last = columns.len().checked_sub(1).filter(|_| scattered > 0);
    let is_rare =
        |(at, column): &(usize, (u64, u64))| Some(*at) == last || expected.is_below(sum(column), LEAST_EXPECTED);
    let (rare, kept): (Vec<_>, Vec<_>) = columns.iter().copied().enumerate().partition(is_rare);
    let without_place = |columns: Vec<(usize, (u64, u64))>| columns.into_iter().map(|(_, c)| c).collect::<Vec<_>>();
    let (mut rare, mut kept) = (without_place(rare), without_place(kept));
    let together: u128 = rare.iter().map(sum).sum();
    if !rare.is_empty() && kept.len() >= 2 && expected.is_below(together, LEAST_POOLED) {
        let rarest = kept.iter().enumerate().min_by_key(|(_, column)| sum(column)).map(|(at, _)| at);
        rare.extend(rarest.map(|at| kept.remove(at)));
    }
    if rare.len() < 2 {
        return Some((table(&columns)?, 0));
    }
    let add = |sum: (u64, u64), column: &(u64, u64)| (sum.0.saturating_add(column.0), sum.1.saturating_add(column.1));
    kept.push(rare.iter().fold((0, 0), add));
    Some((table(&kept)?, rare.len() as u64))
}

/// P(χ²(df) ≥ x), the regularised upper incomplete gamma function Q(df/2, x/2), with its logarithm.
///
/// Below df + 2 from the power series of P, above it from Legendre's continued fraction in logarithms, so `ln_p` stays
/// accurate after `p` underflows. df 0, and x that is NaN or not positive, give p = 1.
#[must_use]
pub fn chi2_sf(x: f64, df: u64) -> PValue {
    if df == 0 || x.is_nan() || x <= 0.0 {
        return PValue::ONE;
    }
    let (a, x) = (real(df) / 2.0, (x / 2.0).min(1e300));
    if x < a + 1.0 {
        PValue::from_complement(ln_prefactor(a, x).exp() / a * series(a, x))
    } else {
        PValue::from_ln(ln_prefactor(a, x) + fraction(a, x).ln())
    }
}

/// The x that χ²(df) exceeds with probability `alpha`: the inverse of [`chi2_sf`], by bisection on its logarithm.
/// 0 for df 0 and for an α of 1 or more; `None` for an α that is not positive.
#[must_use]
pub fn chi2_isf(alpha: f64, df: u64) -> Option<f64> {
    if alpha.is_nan() || alpha <= 0.0 {
        return None;
    }
    if df == 0 || alpha >= 1.0 {
        return Some(0.0);
    }
    let (ln_alpha, df_real) = (alpha.ln(), real(df));
    // P(χ²(df) ≥ df + 2√(df·t) + 2t) ≤ exp(−t) (Laurent and Massart 2000, lemma 1).
    let t = -ln_alpha;
    let (mut below, mut above) = (0.0, df_real + 2.0 * (df_real * t).sqrt() + 2.0 * t);
    loop {
        let middle = f64::midpoint(below, above);
        if middle <= below || middle >= above || above - below <= 1e-14 * above {
            return Some(middle);
        }
        if chi2_sf(middle, df).ln_p > ln_alpha {
            below = middle;
        } else {
            above = middle;
        }
    }
}

/// ln(x^a·e^(−x)/Γ(a)). From 20 on by Stirling's series around x = a, where the terms would cancel.
fn ln_prefactor(a: f64, x: f64) -> f64 {
    if a < 20.0 {
        return a * x.ln() - x - ln_gamma(a);
    }
    let excess = (x - a) / a;
    let ln_ratio = if excess.abs() < 0.5 { excess.ln_1p() } else { (x / a).ln() };
    let inverse_square = 1.0 / (a * a);
    let tail =
        (1.0 / 12.0 - inverse_square * (1.0 / 360.0 - inverse_square * (1.0 / 1260.0 - inverse_square / 1680.0))) / a;
    a * (ln_ratio - excess) + 0.5 * (a / (2.0 * PI)).ln() - tail
}

/// Enough steps for any df below 1e12; both expansions take about √a of them.
const STEPS: usize = 20_000_000;

/// Σ x^k/((a+1)…(a+k)), k ≥ 0: P(a, x)·Γ(a)·a/(x^a·e^(−x)).
fn series(a: f64, x: f64) -> f64 {
    let (mut term, mut sum) = (1.0, 1.0);
    for k in 1..STEPS {
        term *= x / (a + length(k));
        sum += term;
        if term < sum * 1e-17 {
            break;
        }
    }
    sum
}

/// Legendre's continued fraction 1/(x+1−a− 1(1−a)/(x+3−a− …)) by Lentz's method: Q(a, x)·Γ(a)/(x^a·e^(−x)).
fn fraction(a: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let guard = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut b = x + 1.0 - a;
    let mut c = 1.0 / TINY;
    let mut d = 1.0 / guard(b);
    let mut value = d;
    for k in 1..STEPS {
        let numerator = length(k) * (a - length(k));
        b += 2.0;
        d = 1.0 / guard(numerator * d + b);
        c = guard(b + numerator / c);
        let step = c * d;
        value *= step;
        if (step - 1.0).abs() < 1e-16 {
            break;
        }
    }
    value.max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (x, df, ln p) by mpmath 1.3 with 60 digits.
    #[allow(clippy::unreadable_literal, clippy::excessive_precision, reason = "copied as printed")]
    const TAILS: &[(f64, u64, f64)] = &[
        (0.001, 1, -0.025550779355950622),
        (1.4, 1, -1.4408621872008949),
        (3.0, 1, -2.4857327909860796),
        (50.0, 1, -27.200889545537434),
        (10.0, 9, -1.0484367636304457),
        (12.5, 9, -1.6789703498617316),
        (1400.0, 9, -679.51995005043456),
        (3000.0, 9, -1476.8551307169786),
        (100000.0, 9, -49964.584442574356),
        (1000000000.0, 3, -499999989.86415843),
        (1000000000000.0, 9, -499999999908.17118),
        (43.0, 41, -0.95293214798738423),
        (39.5, 40, -0.70806931513443051),
        (990.0, 999, -0.55481110020789589),
        (1010.0, 999, -0.92282365333978722),
        (1100.0, 999, -4.2817493549581392),
        (5000.0, 999, -1201.5000908441765),
        (99800.0, 100000, -0.39718596485328889),
        (101500.0, 100000, -7.7741731680671773),
        (1000000.0, 100000, -334879.27140668625),
        (30.0, 100, -9.0561255431522378e-13),
        (203.703125, 2, -101.8515625),
    ];

    #[test]
    fn logarithms_hold_far_beyond_underflow() {
        for (x, df, ln_p) in TAILS {
            let value = chi2_sf(*x, *df);
            // The error of p is the absolute error of its logarithm.
            let tolerance = 1e-10_f64.max(2e-15 * ln_p.abs()).min(1e-10 + 1e-9 * ln_p.abs());
            assert!((value.ln_p - ln_p).abs() <= tolerance, "{x} {df}: {} {ln_p}", value.ln_p);
            assert!((value.p - ln_p.exp()).abs() <= 1e-9 * ln_p.exp());
        }
    }

    /// (α, df, x) by scipy 1.17, `scipy.stats.chi2.isf`.
    #[allow(clippy::unreadable_literal, clippy::excessive_precision, reason = "copied as printed")]
    const QUANTILES: &[(f64, u64, f64)] = &[
        (0.001, 1, 10.827566170662733),
        (0.001, 9, 27.877164871256575),
        (0.001, 19, 43.82019596451753),
        (0.01, 9, 21.665994333461928),
        (0.05, 1, 3.8414588206941285),
        (0.001, 451, 549.5353349987017),
        (0.001, 600, 712.7711628852962),
        (0.001, 9999, 10441.708713915372),
        (0.001, 99999, 101386.6886225523),
        (0.5, 3, 2.3659738843753377),
        (0.999, 4, 0.09080403553897913),
        (1e-10, 50, 141.84380360643843),
    ];

    #[test]
    fn quantiles_are_those_of_scipy() {
        for (alpha, df, x) in QUANTILES {
            let found = chi2_isf(*alpha, *df).unwrap();
            assert!((found - x).abs() <= 1e-9 * x, "{alpha} {df}: {found} {x}");
        }
        assert_eq!((chi2_isf(0.5, 0), chi2_isf(1.0, 3), chi2_isf(0.0, 3)), (Some(0.0), Some(0.0), None));
        assert_eq!(chi2_isf(f64::NAN, 3), None);
    }

    #[test]
    fn both_expansions_meet() {
        for df in [1, 2, 9, 39, 40, 41, 999, 100_000] {
            let middle = real(df) + 2.0;
            let (below, above) = (chi2_sf(middle - 1e-9, df).p, chi2_sf(middle, df).p);
            assert!((below - above).abs() < 1e-9, "{df}: {below} {above}");
        }
    }

    /// Reference, window, and the results of numpy and scipy 1.17 (`chi2_contingency(…, correction=False)`) once the columns
    /// are pooled: how many were, df, X², p.
    #[allow(
        clippy::type_complexity,
        clippy::unreadable_literal,
        clippy::excessive_precision,
        reason = "copied as printed"
    )]
    const POOLED: &[(&[u64], &[u64], u64, u64, f64, f64)] = &[
        (&[500, 300, 150, 30, 12, 5, 3], &[150, 90, 40, 12, 4, 2, 2], 3, 4, 1.629072681704261, 0.8035576358752441),
        // An unseen category alone is expected less than once: it joins the rarest of the others.
        (&[500, 300, 200, 0], &[100, 120, 79, 1], 2, 2, 25.793650793650794, 2.5059932454995933e-06),
        (&[5000, 4000, 990, 10, 0], &[150, 110, 36, 3, 1], 3, 2, 4.016158213238505, 0.13424629998323584),
        (&[7000, 2000, 900, 60, 40], &[210, 60, 24, 4, 2], 2, 3, 3.1548640039206073, 0.36835897773069387),
        // Nothing to pool, or nothing to pool it with.
        (&[40, 40, 40], &[20, 25, 15], 0, 2, 1.6783216783216786, 0.4320729500400361),
        (&[1000, 9], &[300, 3], 0, 1, 0.024758136406764115, 0.8749712356670429),
        // Everything is rare.
        (&[2, 3, 1, 0, 4, 10], &[1, 0, 2, 3, 1, 2], 6, 0, 0.0, 1.0),
    ];

    #[test]
    fn rare_columns_are_pooled() {
        for (reference, window, pooled, df, statistic, p) in POOLED {
            let (found, n) = pearson_pooled(reference, window, 0).unwrap();
            assert_eq!((n, found.df), (*pooled, *df), "{reference:?} {window:?}");
            assert!((found.statistic - statistic).abs() <= 1e-10 * statistic.max(1.0), "{found:?}");
            assert!((found.p.p - p).abs() <= 1e-9 * p, "{found:?}");
            if *pooled == 0 {
                assert_eq!(Some(found), pearson(reference, window));
            }
        }
        // Counts without columns join the rare ones, as one more column.
        let (reference, window, pooled, ..) = POOLED[0];
        let apart: Vec<u64> = window.iter().copied().chain([1, 1, 1]).collect();
        let (with, without) = ([reference, &[0, 0, 0]].concat(), pearson_pooled(reference, window, 3).unwrap());
        let individually = pearson_pooled(&with, &apart, 0).unwrap();
        assert_eq!((without.0, without.1, individually.1), (individually.0, pooled + 1, pooled + 3));
        assert_eq!((sparse(POOLED[0].0, POOLED[0].1), sparse(POOLED[4].0, POOLED[4].1)), (3, 0));
        assert_eq!((pearson_pooled(&[1], &[1, 2], 0), pearson_pooled(&[0, 0], &[1, 2], 3)), (None, None));
        let big = u64::MAX / 4;
        assert!(pearson_pooled(&[big, big], &[1, big], 0).is_some_and(|(t, _)| t.p.p <= 1.0));
    }

    /// How often 600 windows of 300 without drift are found to differ at 0.01 from a sample of 10,000, over 791 categories of
    /// which the k-th is drawn with weight `weight(k)`.
    fn false_alarms(weight: impl Fn(usize) -> f64, test: impl Fn(&[u64], &[u64]) -> Option<f64>) -> usize {
        const CATEGORIES: usize = 791;
        let mut sums: Vec<f64> = Vec::new();
        for k in 0..CATEGORIES {
            sums.push(sums.last().copied().unwrap_or(0.0) + weight(k));
        }
        let (all, mut state) = (sums[CATEGORIES - 1], 42_u64);
        // `SplitMix64`.
        let mut uniform = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            real((z ^ (z >> 31)) >> 11) / real(1 << 53)
        };
        let mut sample = |n: usize| {
            let mut counts = vec![0_u64; CATEGORIES];
            (0..n).for_each(|_| {
                let x = uniform() * all;
                counts[sums.partition_point(|sum| *sum <= x).min(CATEGORIES - 1)] += 1;
            });
            counts
        };
        let mut alarms = 0;
        for _ in 0..600 {
            let (reference, window) = (sample(10_000), sample(300));
            alarms += usize::from(test(&reference, &window).is_some_and(|p| p < 0.01));
        }
        alarms
    }

    #[test]
    fn hundreds_of_rare_categories_alarm_no_more_often_than_they_should() {
        let unpooled = |r: &[u64], w: &[u64]| pearson(r, w).map(|t| t.p.p);
        let pooled = |r: &[u64], w: &[u64]| pearson_pooled(r, w, 0).map(|(t, _)| t.p.p);
        // A few common categories and a long tail of rare ones; a gentler tail. numpy and scipy count 128 and 80 of 600 unpooled,
        // 8 and 9 pooled.
        for exponent in [-1.5, -1.0] {
            let weight = |k: usize| length(k + 1).powf(exponent);
            let (before, now) = (false_alarms(weight, unpooled), false_alarms(weight, pooled));
            // 0.01 of 600 are 6; 17 or more come by chance once in five thousand times.
            assert!(now < 17 && before > 50, "{exponent}: {now} of 600, {before} unpooled");
        }
    }

    #[test]
    fn degenerate_tables() {
        assert_eq!(pearson(&[0, 0], &[1, 1]), None);
        assert_eq!(pearson(&[3, 0], &[7, 0]).map(|t| (t.df, t.p)), Some((0, PValue::ONE)));
        let big = 1_u64 << 40;
        assert!(pearson(&[big, 0], &[0, big]).is_some_and(|t| t.p.p == 0.0 && t.p.ln_p < -1e11));
        assert!(chi2_sf(f64::INFINITY, 3).ln_p.is_finite());
        assert_eq!(chi2_sf(f64::NAN, 3), PValue::ONE);
    }
}
