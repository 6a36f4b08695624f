//! Latency quantiles from logarithmic buckets with a 1% relative error, 1 µs to 1000 s (Masson, Rim & Lee 2019).
//!
//! Bucket i holds (γ^(i−1), γ^i] µs with γ = 1.01/0.99; bucket 0 everything up to 1 µs, the last one everything above.

use super::bounds;
use super::proportion::normal_quantile;
use super::ratio::Ratio;
use super::real::{length, real, total};
use std::sync::LazyLock;

/// Growth of bucket bounds.
const GAMMA: f64 = 1.01 / 0.99;

static LN_GAMMA: LazyLock<f64> = LazyLock::new(|| GAMMA.ln());

/// Number of buckets: `ceil(log_γ 1e9) + 1`.
pub const BUCKETS: usize = 1038;

/// Bucket of a latency in milliseconds, always below [`BUCKETS`]: at or below 1 µs (and NaN) the first, above 1000 s the
/// last.
#[inline]
#[must_use]
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the operand is at least 0 and below 40,000 for any finite input, and casts of floats saturate"
)]
pub fn bucket_of(ms: f64) -> usize {
    let micros = ms * 1000.0;
    if micros > 1.0 { ((micros.ln() / *LN_GAMMA).ceil() as usize).min(BUCKETS - 1) } else { 0 }
}

/// The value that represents a bucket, in milliseconds: 2γ^i/(γ+1) µs, within 1% of everything in the bucket.
#[must_use]
pub fn value_of(bucket: usize) -> f64 {
    (length(bucket.min(BUCKETS - 1)) * *LN_GAMMA).exp() * 2.0 / (GAMMA + 1.0) / 1000.0
}

/// The value, in milliseconds, of rank ceil(q·n) in bucket counts. q is read as the decimal it was written as, so that
/// 0.07 of 100 is rank 7. `None` without counts or with q outside [0, 1].
#[must_use]
pub fn quantile(counts: &[u64], q: f64) -> Option<f64> {
    let n = total(counts)?;
    if n == 0 || !(0.0..=1.0).contains(&q) {
        return None;
    }
    at_rank(counts, rank(q, n))
}

/// Distribution-free confidence interval of a quantile, in milliseconds, between two order statistics.
///
/// The ranks are floor(nq − z√(nq(1−q))) and ceil(nq + z√(nq(1−q))) + 1, the normal approximation of the binomial
/// number of values below the quantile, clamped to 1..n: with too few values an end is the sample's own. `alpha` is
/// two-sided. `None` without counts, with q outside [0, 1] or α outside (0, 1).
#[must_use]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "both are clamped to 1..n before the cast")]
pub fn quantile_bounds(counts: &[u64], q: f64, alpha: f64) -> Option<(f64, f64)> {
    let n = total(counts)?;
    let z = normal_quantile(alpha)?;
    if n == 0 || !(0.0..=1.0).contains(&q) {
        return None;
    }
    let (size, mean) = (real(n), real(n) * q);
    let spread = z * (mean * (1.0 - q)).sqrt();
    let lo = (mean - spread).floor().clamp(1.0, size) as u64;
    let hi = ((mean + spread).ceil() + 1.0).clamp(1.0, size) as u64;
    Some((at_rank(counts, lo)?, at_rank(counts, hi)?))
}

/// Where the quantile of what the values were drawn from lies but for a probability of at most α, at any number of values, of which each counts as
/// 1/φ: between the order statistics at the shares that [`bounds::below`] gives; 0 or infinite where there are too few of them. `None` as of
/// [`quantile_bounds`].
#[must_use]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "both are within 1..n where they are cast")]
pub fn bounds_at(counts: &[u64], q: f64, design_effect: f64, alpha: f64) -> Option<(f64, f64)> {
    let n = total(counts)?;
    let size = real(n);
    let (from, to) = bounds::below(q, bounds::size(n, design_effect), alpha)?;
    let (low, high) = ((from * size).floor(), (to * size).ceil() + 1.0);
    let lower = if low < 1.0 { Some(0.0) } else { at_rank(counts, low as u64) };
    let upper = if high > size { Some(f64::INFINITY) } else { at_rank(counts, high as u64) };
    Some((lower?, upper?))
}

/// ceil(q·n) in exact arithmetic, clamped to 1..n.
fn rank(q: f64, n: u64) -> u64 {
    let exact = Ratio::from_decimal(q).and_then(|q| q.ceil_of(n)).unwrap_or(1);
    exact.clamp(1, n)
}

fn at_rank(counts: &[u64], rank: u64) -> Option<f64> {
    let mut seen = 0_u64;
    let bucket = counts.iter().position(|count| {
        seen = seen.saturating_add(*count);
        seen >= rank
    })?;
    Some(value_of(bucket))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_in_range_is_within_one_percent() {
        let mut ms = 0.001;
        while ms < 1e6 {
            let bucket = bucket_of(ms);
            assert!(bucket < BUCKETS);
            assert!((value_of(bucket) - ms).abs() <= 0.010_000_1 * ms, "{ms}");
            ms *= 1.0037;
        }
        assert_eq!(bucket_of(1e6), BUCKETS - 1);
        for (ms, bucket) in [
            (0.0, 0),
            (-5.0, 0),
            (f64::NAN, 0),
            (f64::NEG_INFINITY, 0),
            (1e300, BUCKETS - 1),
            (f64::INFINITY, BUCKETS - 1),
        ] {
            assert_eq!(bucket_of(ms), bucket);
        }
    }

    #[test]
    fn ranks_are_exact() {
        assert_eq!((rank(0.07, 100), rank(0.95, 2000), rank(0.5, 3), rank(0.0, 9), rank(1.0, 9)), (7, 1900, 2, 1, 9));
        assert_eq!((rank(1e-300, 9), rank(0.999, u64::MAX) > 0), (1, true));
    }

    #[test]
    fn quantiles_come_with_an_interval() {
        let mut counts = vec![0_u64; BUCKETS];
        for ms in 1..=2000_u32 {
            counts[bucket_of(f64::from(ms))] += 1;
        }
        let p95 = quantile(&counts, 0.95).unwrap_or(0.0);
        assert!((p95 - 1900.0).abs() <= 19.1, "{p95}");
        let (lo, hi) = quantile_bounds(&counts, 0.95, 0.05).unwrap_or((0.0, 0.0));
        assert!(lo <= p95 && p95 < hi && lo > 1850.0 && hi < 1960.0, "{lo} {hi}");
        assert_eq!(quantile(&[0; 4], 0.5), None);
        assert_eq!(quantile(&[1; 4], 1.5), None);
        assert_eq!(quantile_bounds(&counts, 0.5, 0.0), None);
        assert_eq!(quantile_bounds(&[0, 1], 0.5, 0.05), Some((value_of(1), value_of(1))));
    }
}
