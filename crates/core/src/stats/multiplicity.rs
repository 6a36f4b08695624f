//! Adjusted p-values for many tests in one window.
//!
//! Each function returns the adjusted values in the order of its input; an adjusted value is compared with the same α as
//! a single one. Values outside [0, 1] are clamped and NaN counts as 1.

use super::real::length;

/// Bonferroni: min(1, k·p). Controls the family-wise error under any dependence.
#[must_use]
pub fn bonferroni(p: &[f64]) -> Vec<f64> {
    let count = length(p.len());
    p.iter().map(|p| (probability(*p) * count).min(1.0)).collect()
}

/// Step-down adjustment (Holm 1979): family-wise error under any dependence, never weaker than Bonferroni.
#[must_use]
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut adjusted = vec![1.0; p.len()];
    let mut largest = 0.0_f64;
    for (rank, (index, value)) in ascending(p).into_iter().enumerate() {
        largest = largest.max(value * length(p.len() - rank)).min(1.0);
        if let Some(slot) = adjusted.get_mut(index) {
            *slot = largest;
        }
    }
    adjusted
}

/// Step-up adjustment (Benjamini & Hochberg 1995): false discovery rate, for independent or positively dependent tests.
#[must_use]
pub fn bh(p: &[f64]) -> Vec<f64> {
    let mut adjusted = vec![1.0; p.len()];
    let mut smallest = 1.0_f64;
    for (rank, (index, value)) in ascending(p).into_iter().enumerate().rev() {
        smallest = smallest.min(value * length(p.len()) / length(rank + 1));
        if let Some(slot) = adjusted.get_mut(index) {
            *slot = smallest;
        }
    }
    adjusted
}

fn probability(p: f64) -> f64 {
    if p.is_nan() { 1.0 } else { p.clamp(0.0, 1.0) }
}

/// Indexes and values, ascending by value; equal values keep their order.
fn ascending(p: &[f64]) -> Vec<(usize, f64)> {
    let mut order: Vec<(usize, f64)> = p.iter().map(|p| probability(*p)).enumerate().collect();
    order.sort_by(|a, b| a.1.total_cmp(&b.1));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_back_in_the_order_of_the_input() {
        assert_eq!(holm(&[0.5, 0.125, 0.25]), [0.5, 0.375, 0.5]);
        assert_eq!(bh(&[0.75, 0.125, 0.25]), [0.75, 0.375, 0.375]);
        assert_eq!(bonferroni(&[0.5, 0.125]), [1.0, 0.25]);
    }

    #[test]
    fn odd_input_stays_a_probability() {
        for adjust in [bonferroni, holm, bh] {
            assert!(adjust(&[]).is_empty());
            let found = adjust(&[f64::NAN, -1.0, 7.0, 0.01]);
            assert!(found.iter().all(|p| (0.0..=1.0).contains(p)), "{found:?}");
        }
    }
}
