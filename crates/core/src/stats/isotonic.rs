//! Isotonic regression of a label of two classes on the score: the share of positive labels as a function of the score that never falls.

use serde::{Deserialize, Serialize};

use super::real::real;

/// The rows that have one score, and how many of them are labelled 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Labelled {
    pub score: f64,
    pub rows: u64,
    pub positives: u64,
}

/// Rows by ascending score; a score that is no number is left out.
#[must_use]
pub fn by_score(rows: impl Iterator<Item = (f64, bool)>) -> Vec<Labelled> {
    // A zero has one sign.
    let mut all: Vec<(f64, bool)> =
        rows.filter(|(score, _)| !score.is_nan()).map(|(score, of)| (score + 0.0, of)).collect();
    all.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    all.chunk_by(|a, b| a.0.to_bits() == b.0.to_bits())
        .filter_map(|same| {
            let positives = same.iter().filter(|(_, label)| *label).count() as u64;
            Some(Labelled { score: same.first()?.0, rows: same.len() as u64, positives })
        })
        .collect()
}

/// A function of the score that never falls: linear between its knots, and constant beyond the outermost two.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Isotonic {
    /// Scores and values, both ascending; at least one.
    knots: Vec<(f64, f64)>,
}

/// Scores next to each other that share one value.
struct Block {
    first: f64,
    last: f64,
    rows: u64,
    positives: u64,
}

impl Block {
    /// Whether its share of positive labels is at least the other's: their quotients, compared exactly.
    fn is_at_least(&self, other: &Self) -> bool {
        u128::from(self.positives) * u128::from(other.rows) >= u128::from(other.positives) * u128::from(self.rows)
    }

    fn share(&self) -> f64 {
        real(self.positives) / real(self.rows)
    }
}

impl Isotonic {
    /// The regression that fits rows best in the mean square among all functions that never fall, by pooling adjacent violators (Barlow, Bartholomew,
    /// Bremner and Brunk, Statistical inference under order restrictions, 1972); `None` without rows. It equals scikit-learn's
    /// `IsotonicRegression(out_of_bounds="clip")`, which is linear between the scores that were seen.
    #[must_use]
    pub fn fit(by_score: &[Labelled]) -> Option<Self> {
        let mut blocks: Vec<Block> = Vec::new();
        for Labelled { score, rows, positives } in by_score.iter().copied().filter(|of| of.rows > 0) {
            let mut next = Block { first: score, last: score, rows, positives };
            while let Some(before) = blocks.pop_if(|before| before.is_at_least(&next)) {
                next.first = before.first;
                next.rows += before.rows;
                next.positives += before.positives;
            }
            blocks.push(next);
        }
        let ends = |block: &Block| {
            let last = (block.last > block.first).then(|| (block.last, block.share()));
            std::iter::once((block.first, block.share())).chain(last)
        };
        let knots: Vec<(f64, f64)> = blocks.iter().flat_map(ends).collect();
        (!knots.is_empty()).then_some(Self { knots })
    }

    /// The value at a score.
    #[must_use]
    pub fn at(&self, score: f64) -> f64 {
        let above = self.knots.partition_point(|(known, _)| *known <= score);
        let (before, after) = (above.checked_sub(1).and_then(|at| self.knots.get(at)), self.knots.get(above));
        match (before, after) {
            (Some((from, low)), Some((to, high))) => low + (score - from) / (to - from) * (high - low),
            (Some((_, value)), None) | (None, Some((_, value))) => *value,
            (None, None) => f64::NAN,
        }
    }

    /// How many knots it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.knots.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.knots.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn fit(rows: &[(f64, bool)]) -> Isotonic {
        Isotonic::fit(&by_score(rows.iter().copied())).unwrap()
    }

    #[test]
    fn it_is_scikit_learns() {
        // IsotonicRegression(out_of_bounds="clip").fit(x, y).predict([0, .1, .15, .2, .25, .3, .35, .4, .5, .7, .9, 1, 2]) of scikit-learn 1.9.1, with
        // x = [.1, .2, .2, .3, .4, .4, .4, .7, .9, .9] and y = [0, 1, 0, 0, 1, 1, 0, 1, 0, 1].
        let (x, y) = ([0.1, 0.2, 0.2, 0.3, 0.4, 0.4, 0.4, 0.7, 0.9, 0.9], [0, 1, 0, 0, 1, 1, 0, 1, 0, 1]);
        let rows: Vec<(f64, bool)> = x.into_iter().zip(y.map(|y| y == 1)).collect();
        let of = fit(&rows);
        let found = [0.0, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.7, 0.9, 1.0, 2.0].map(|score| of.at(score));
        let third = 1.0 / 3.0;
        let expected = [
            0.0,
            0.0,
            third / 2.0,
            third,
            third,
            third,
            0.5,
            2.0 * third,
            2.0 * third,
            2.0 * third,
            2.0 * third,
            2.0 * third,
            2.0 * third,
        ];
        for (found, expected) in found.into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }

    #[test]
    fn few_rows_are_fitted_too() {
        assert_eq!(Isotonic::fit(&[]), None);
        assert_eq!(by_score([(f64::NAN, true)].into_iter()), []);
        let one = fit(&[(-0.0, true), (0.0, false)]);
        assert_eq!(
            (one.at(-5.0).to_bits(), one.at(9.0).to_bits(), one.len()),
            (0.5_f64.to_bits(), 0.5_f64.to_bits(), 1)
        );
    }

    proptest! {
        #[test]
        fn it_never_falls_and_keeps_the_sum(rows in vec((0_u8..30, any::<bool>()), 1..200)) {
            let rows: Vec<(f64, bool)> = rows.into_iter().map(|(score, label)| (f64::from(score) / 10.0, label)).collect();
            let of = fit(&rows);
            let mut last = 0.0;
            for step in 0..400 {
                let value = of.at(f64::from(step) / 100.0 - 0.5);
                prop_assert!((last..=1.0).contains(&value));
                last = value;
            }
            let (fitted, labels) = rows.iter().fold((0.0, 0.0), |(f, l), (x, y)| (f + of.at(*x), l + f64::from(u8::from(*y))));
            prop_assert!((fitted - labels).abs() < 1e-9);
        }
    }
}
