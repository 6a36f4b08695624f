//! A p-value, of whatever test.

/// A p-value with its logarithm, because p underflows first.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct PValue {
    /// In [0, 1].
    pub p: f64,
    /// Natural logarithm of p; at most 0 and always finite, even when `p` is 0.
    pub ln_p: f64,
}

impl PValue {
    /// p = 1.
    pub const ONE: Self = Self { p: 1.0, ln_p: 0.0 };

    /// From the logarithm, which must not be NaN.
    pub(super) fn from_ln(ln_p: f64) -> Self {
        let ln_p = ln_p.clamp(f64::MIN, 0.0);
        Self { p: ln_p.exp(), ln_p }
    }

    /// From the complement 1 − p, accurately when it is small.
    pub(super) fn from_complement(cdf: f64) -> Self {
        // The largest double below 1 keeps the logarithm finite.
        let cdf = cdf.clamp(0.0, 1.0 - f64::EPSILON / 2.0);
        Self { p: 1.0 - cdf, ln_p: (-cdf).ln_1p() + 0.0 }
    }
}
