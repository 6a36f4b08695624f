//! Distances of two distributions over the same bins, from their counts: Jensen–Shannon, Hellinger, and the largest difference of a
//! bin's shares. The shares are exact ratios of counts until the last operations, so equal shares are at a distance of exactly 0.

use super::ratio::Ratio;
use super::real::{real, signed, total};

/// The totals of both sides; `None` when either has no counts or the slices differ in length.
fn totals(reference: &[u64], window: &[u64]) -> Option<(u64, u64)> {
    let (m, n) = (total(reference)?, total(window)?);
    (m > 0 && n > 0 && reference.len() == window.len()).then_some((m, n))
}

/// Jensen–Shannon distance, base 2 (Lin 1991; Endres & Schindelin 2003; as `scipy.spatial.distance.jensenshannon(p, q, 2)`):
/// √(½·Σ p·log2(p/m) + ½·Σ q·log2(q/m)), m = (p + q)/2, 0·log 0 = 0. From 0 to 1, symmetric.
///
/// Where p and q are close a bin's part is ½·(p + q)·(½·ln(1 − d²) + d·artanh d)/ln 2 with d = (p − q)/(p + q), and where they are
/// not, ½·(p·log2(2p/(p + q)) + q·log2(2q/(p + q))): each keeps its digits there, and 1 − d² = 4pq/(p + q)² loses them where a bin
/// is rare on one side. `None` when either side has no counts or the slices differ in length.
#[must_use]
pub fn jensen_shannon(reference: &[u64], window: &[u64]) -> Option<f64> {
    let (m, n) = totals(reference, window)?;
    let part = |(r, w): (&u64, &u64)| {
        let (share, other) = (real(*r) / real(m), real(*w) / real(n));
        let both = share + other;
        if *r == 0 || *w == 0 {
            return both / 2.0;
        }
        // Over the common denominator n·m; totals below 2^63 are safe.
        let (p, q) = (i128::from(*r) * i128::from(n), i128::from(*w) * i128::from(m));
        let d = signed(p - q) / signed(p.saturating_add(q));
        if d.abs() > 0.5 {
            return f64::midpoint(share * (2.0 * share / both).log2(), other * (2.0 * other / both).log2());
        }
        (both / 2.0 * (0.5 * (-d * d).ln_1p() + d * d.atanh()) / std::f64::consts::LN_2).max(0.0)
    };
    Some(reference.iter().zip(window).map(part).sum::<f64>().sqrt().min(1.0))
}

/// Hellinger distance (Hellinger 1909; Le Cam & Yang 2000): √(1 − Σ √(p·q)), computed as √(½·Σ (√p − √q)²), which is the same for
/// shares and keeps its digits near 0. From 0 to 1, symmetric. `None` as of [`jensen_shannon`].
#[must_use]
pub fn hellinger(reference: &[u64], window: &[u64]) -> Option<f64> {
    let (m, n) = totals(reference, window)?;
    let part = |(r, w): (&u64, &u64)| ((real(*r) / real(m)).sqrt() - (real(*w) / real(n)).sqrt()).powi(2);
    Some((reference.iter().zip(window).map(part).sum::<f64>() / 2.0).sqrt().min(1.0))
}

/// The largest difference of a bin's shares, max |p − q|, exactly. From 0 to 1, symmetric. `None` as of [`jensen_shannon`], and
/// where the counts do not fit (totals below 2^63 do).
#[must_use]
pub fn largest_difference(reference: &[u64], window: &[u64]) -> Option<Ratio> {
    let (m, n) = totals(reference, window)?;
    let difference = |(r, w): (&u64, &u64)| (u128::from(*r) * u128::from(n)).abs_diff(u128::from(*w) * u128::from(m));
    let most = reference.iter().zip(window).map(difference).max()?;
    Ratio::new(i128::try_from(most).ok()?, i128::try_from(u128::from(n) * u128::from(m)).ok()?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::float_cmp, reason = "these values are exact by construction")]

    use proptest::prelude::*;

    use super::*;

    const RARE: [f64; 3] = [0.557_923_045_266_345_3, 0.999_999_984_329_975_9, 0.436_861_629_474_096_5];

    fn each(reference: &[u64], window: &[u64]) -> [f64; 3] {
        let largest = largest_difference(reference, window).unwrap().value();
        [jensen_shannon(reference, window).unwrap(), hellinger(reference, window).unwrap(), largest]
    }

    #[test]
    fn what_has_nothing_in_common_is_at_1() {
        assert_eq!(each(&[3, 5, 0, 0], &[0, 0, 1, 0]), [1.0, 1.0, 1.0]);
        assert_eq!(each(&[3, 1], &[6, 2]), [0.0, 0.0, 0.0]);
        assert_eq!(largest_difference(&[1, 2, 1], &[1, 1, 1]), Ratio::new(1, 6));
    }

    #[test]
    fn no_counts_are_no_value() {
        for (reference, window) in [(&[0, 0][..], &[1, 2][..]), (&[1, 2], &[0, 0]), (&[1, 2], &[1]), (&[], &[])] {
            assert_eq!((jensen_shannon(reference, window), hellinger(reference, window)), (None, None));
            assert_eq!(largest_difference(reference, window), None);
        }
    }

    #[test]
    fn a_difference_of_one_in_a_billion_keeps_its_digits() {
        let (k, one) = (500_000_000, 1_u64);
        let found = jensen_shannon(&[k, k], &[k + one, k - one]).unwrap();
        // √(δ²/2/ln 2) with p = ½, q = ½ + δ, δ = 1e-9, up to δ⁴: by Taylor's series of the definition.
        let expected = (1e-18_f64 / 2.0 / std::f64::consts::LN_2).sqrt();
        assert!((found - expected).abs() <= 1e-9 * expected, "{found} {expected}");
    }

    /// By the definition in 60 digits (Python's `decimal`).
    #[test]
    fn a_bin_that_is_rare_on_one_side_keeps_its_digits() {
        for (reference, window, expected) in [
            ([1_u64, 1_000_000_000_000_u64], [1_u64, 1_u64], RARE[0]),
            ([1, 999_999_999], [999_999_999, 1], RARE[1]),
            ([3, 1_000_000], [1_000_000, 2_000_003], RARE[2]),
        ] {
            let found = jensen_shannon(&reference, &window).unwrap();
            assert!((found - expected).abs() <= 4e-16 * expected, "{found} {expected}");
        }
    }

    proptest! {
        #[test]
        fn they_are_symmetric_and_from_0_to_1(
            bins in prop::collection::vec((0_u64..1000, 0_u64..1000), 1..30), factor in 1_u64..1000
        ) {
            let (reference, window): (Vec<u64>, Vec<u64>) = bins.into_iter().unzip();
            prop_assume!(reference.iter().sum::<u64>() > 0 && window.iter().sum::<u64>() > 0);
            let (there, back) = (each(&reference, &window), each(&window, &reference));
            for (a, b) in there.into_iter().zip(back) {
                prop_assert!((0.0..=1.0).contains(&a) && (a - b).abs() < 1e-12, "{} {}", a, b);
            }
            let scaled: Vec<u64> = reference.iter().map(|n| n * factor).collect();
            prop_assert_eq!(each(&reference, &scaled), [0.0, 0.0, 0.0]);
            // H² ≤ JS divergence in bits ≤ 2·H², and the largest difference is at most the total variation, which is at most √2·H.
            let [js, hellinger, largest] = there;
            prop_assert!(hellinger.powi(2) <= js.powi(2) + 1e-12 && js.powi(2) <= 2.0 * hellinger.powi(2) + 1e-12);
            prop_assert!(largest <= 2.0_f64.sqrt() * hellinger + 1e-12);
        }

        /// Bins that are merged tell less apart. The largest difference can grow, to at most the sum of both: differences of one
        /// sign add up.
        #[test]
        fn merging_bins_raises_neither_divergence_and_the_largest_difference_to_a_sum_at_most(
            bins in prop::collection::vec((0_u64..1000, 0_u64..1000), 2..30), at in 0_usize..28
        ) {
            let (mut reference, mut window): (Vec<u64>, Vec<u64>) = bins.into_iter().unzip();
            prop_assume!(reference.iter().sum::<u64>() > 0 && window.iter().sum::<u64>() > 0);
            let before = each(&reference, &window);
            let at = at % (reference.len() - 1);
            for counts in [&mut reference, &mut window] {
                let next = counts.remove(at + 1);
                counts[at] += next;
            }
            let after = each(&reference, &window);
            prop_assert!(after[0] <= before[0] + 1e-9 && after[1] <= before[1] + 1e-9, "{:?} {:?}", before, after);
            let total = |counts: &[u64]| u32::try_from(counts.iter().sum::<u64>()).map(f64::from).unwrap();
            let (m, n) = (total(&reference), total(&window));
            let merged = (f64::from(u32::try_from(reference[at]).unwrap()) / m
                - f64::from(u32::try_from(window[at]).unwrap()) / n).abs();
            prop_assert!(after[2] <= before[2].max(merged) + 1e-12 && merged <= 2.0 * before[2] + 1e-12);
        }
    }
}
