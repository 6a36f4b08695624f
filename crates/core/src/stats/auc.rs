//! Area under the ROC curve from score counts by label, as an interval when scores are binned.

use super::ratio::Ratio;
use super::real::{total, wide};

/// AUC as far as the cells tell.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Auc {
    /// Pairs inside one open bucket counted as wrong.
    pub lo: f64,
    /// Pairs inside one open bucket counted as right.
    pub hi: f64,
    /// Half of them right: (lo + hi)/2.
    pub mid: f64,
    /// `mid`, exactly: compare it with a limit.
    #[serde(skip)]
    pub exact: Ratio,
    /// `lo` and `hi`, exactly.
    #[serde(skip)]
    pub exact_ends: [Ratio; 2],
}

/// P(score of a positive > score of a negative) from counts over the same ascending cells (Mann & Whitney 1947).
///
/// Ties at an atom count half; in an open bucket their order is unknown, which makes [`Auc`] an interval at most as wide
/// as the largest bucket's share. `is_atom` says which cells hold one value. `None` when a side is empty, the slices
/// differ in length, or there are more pairs than 2^125.
#[must_use]
pub fn auc(positives: &[u64], negatives: &[u64], is_atom: impl Fn(usize) -> bool) -> Option<Auc> {
    let pairs = u128::from(total(positives)?) * u128::from(total(negatives)?);
    if pairs == 0 || positives.len() != negatives.len() {
        return None;
    }
    // Right pairs, ties at atoms and unknown pairs each sum to at most `pairs`.
    let (mut below, mut right, mut tied, mut unknown) = (0_u128, 0_u128, 0_u128, 0_u128);
    for (cell, (positive, negative)) in positives.iter().zip(negatives).enumerate() {
        let (positive, negative) = (u128::from(*positive), u128::from(*negative));
        right += positive * below;
        *(if is_atom(cell) { &mut tied } else { &mut unknown }) += positive * negative;
        below += negative;
    }
    let certain = wide(right) + wide(tied) / 2.0;
    let of_pairs = |count: f64| (count / wide(pairs)).min(1.0);
    let certain_halves = right.checked_mul(2)?.checked_add(tied)?;
    let of_halves = |unknown: u128| -> Option<Ratio> {
        let halves = i128::try_from(certain_halves.checked_add(unknown)?).ok()?;
        Ratio::new(halves, i128::try_from(pairs.checked_mul(2)?).ok()?)
    };
    Some(Auc {
        exact: of_halves(unknown)?,
        exact_ends: [of_halves(0)?, of_halves(unknown.checked_mul(2)?)?],
        lo: of_pairs(certain),
        hi: of_pairs(certain + wide(unknown)),
        mid: of_pairs(certain + wide(unknown) / 2.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_at_atoms_count_half_and_widen_nothing() {
        let found = auc(&[0, 4, 0], &[0, 4, 0], |cell| cell % 2 == 1);
        let half = Ratio::new(1, 2).unwrap();
        assert_eq!(found, Some(Auc { lo: 0.5, hi: 0.5, mid: 0.5, exact: half, exact_ends: [half; 2] }));
        let open = auc(&[4], &[4], |_| false);
        assert_eq!(open, Some(Auc { lo: 0.0, hi: 1.0, mid: 0.5, exact: half, exact_ends: [Ratio::ZERO, Ratio::ONE] }));
    }

    #[test]
    fn one_sided_samples_have_no_auc() {
        assert_eq!(auc(&[0, 0], &[1, 2], |_| false), None);
        assert_eq!(auc(&[1, 0], &[0, 0], |_| false), None);
        assert_eq!(auc(&[1], &[0, 1], |_| false), None);
    }
}
