//! Conversions from counts to reals, in one place so that every lossy cast is named once, and small integer helpers.

/// A count as a real. Exact below 2^53; above it the relative error is 2^-53.
#[allow(clippy::cast_precision_loss, reason = "a relative error of 2^-53 is the accuracy of the result anyway")]
pub(crate) fn real(count: u64) -> f64 {
    count as f64
}

/// A length or an index as a real.
#[allow(clippy::cast_precision_loss, reason = "lengths are far below 2^53")]
pub(super) fn length(len: usize) -> f64 {
    len as f64
}

/// A product of counts as a real (finite: `u128::MAX` is below 3.5e38).
#[allow(clippy::cast_precision_loss, reason = "a relative error of 2^-53 is the accuracy of the result anyway")]
pub(super) fn wide(product: u128) -> f64 {
    product as f64
}

/// A signed product of counts as a real.
#[allow(clippy::cast_precision_loss, reason = "a relative error of 2^-53 is the accuracy of the result anyway")]
pub(super) fn signed(product: i128) -> f64 {
    product as f64
}

/// Sum of counts, or `None` when it does not fit (which takes more records than exist).
pub(super) fn total(counts: &[u64]) -> Option<u64> {
    counts.iter().try_fold(0_u64, |sum, count| sum.checked_add(*count))
}

/// Greatest common divisor; `gcd(0, b) = b`.
pub(super) fn gcd(a: u128, b: u128) -> u128 {
    let (mut a, mut b) = (a, b);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// `-0.0` becomes `0.0`; everything else is unchanged.
pub(super) fn plain_zero(x: f64) -> f64 {
    x + 0.0
}

/// Index of the order statistic `ceil(i·m/parts)` of `m` sorted values, 0-based and clamped to the slice.
/// `i`, `m` and `parts` are counts of values; the division is done in integers.
pub(super) fn order_index(i: usize, m: usize, parts: usize) -> usize {
    let rank = (i as u128 * m as u128).div_ceil(parts.max(1) as u128);
    usize::try_from(rank.saturating_sub(1)).map_or(m.saturating_sub(1), |index| index.min(m.saturating_sub(1)))
}
