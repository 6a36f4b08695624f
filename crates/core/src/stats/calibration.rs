//! Scores to probabilities, by labelled rows that the model was not trained on: what quality is estimated by before labels come.

use serde::{Deserialize, Serialize};

use super::auc::auc;
use super::isotonic::{Isotonic, Labelled, by_score};
use super::real::real;

/// Bins of the calibration error, and folds that it is measured over.
const BINS: u32 = 10;
const FOLDS: u64 = 10;
/// A score that separates the labels so well needs none, as NannyML has it.
const SEPARATES: f64 = 0.999;

/// What turns a score into the probability of a positive label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Labelled rows with a score, and those of them that are labelled 1.
    pub rows: u64,
    pub positives: u64,
    /// The smallest and the largest score of them: beyond these nothing is known.
    pub range: [f64; 2],
    /// The expected calibration error of the score, and of the regression over rows that it was not fitted to; `None` where they were not compared.
    pub errors: Option<[f64; 2]>,
    /// `None` where the score is the probability already.
    pub isotonic: Option<Isotonic>,
}

/// A probability as far as it is known of a run of scores: its least and largest value, and the one that is taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probability {
    pub lower: f64,
    pub value: f64,
    pub upper: f64,
    /// Whether scores of the run may lie where no labelled row was.
    pub is_unsupported: bool,
}

impl Calibration {
    /// Calibrates by rows of a score and a label; `None` without rows. The isotonic regression is taken where it lowers the expected calibration
    /// error of rows that it was not fitted to, else the score itself: NannyML's test (CBPE 0.13, `needs_calibration`) on ten folds
    /// by the order of the scores in place of ten random splits, so that the answer depends on the rows alone.
    #[must_use]
    pub fn fit(rows: impl Iterator<Item = (f64, bool)>) -> Option<Self> {
        let groups = by_score(rows);
        let range = [groups.first()?.score, groups.last()?.score];
        let (rows, positives) = groups.iter().fold((0, 0), |(n, of), group| (n + group.rows, of + group.positives));
        let is_probability = 0.0 <= range[0] && range[1] <= 1.0;
        let has_both = 0 < positives && positives < rows;
        let is_compared = is_probability && has_both && separation(&groups).is_some_and(|area| area <= SEPARATES);
        let errors = is_compared.then(|| errors(&groups)).filter(|[_, of_isotonic]| of_isotonic.is_finite());
        let needs = match errors {
            Some([of_score, of_isotonic]) => of_score > of_isotonic,
            None => !is_probability && has_both,
        };
        let isotonic = if needs { Isotonic::fit(&groups) } else { None };
        Some(Self { rows, positives, range, errors, isotonic })
    }

    /// The probability at a score; beyond the scores that were seen that of the outermost one.
    #[must_use]
    pub fn at(&self, score: f64) -> f64 {
        match &self.isotonic {
            Some(isotonic) => isotonic.at(score),
            None => score.clamp(0.0, 1.0),
        }
    }

    /// What is known of scores from `from` to `to`: a regression tells nothing beyond the scores that it was fitted to, but that
    /// probabilities there lie between its end and 0 or 1.
    #[must_use]
    pub fn between(&self, from: f64, to: f64) -> Probability {
        let (low, high) = (self.at(from), self.at(to));
        let [first, last] = self.range;
        let (is_below, is_above) = (from < first, to > last);
        let is_known = self.isotonic.is_none();
        Probability {
            lower: if is_below && !is_known { 0.0 } else { low },
            value: f64::midpoint(low, high),
            upper: if is_above && !is_known { 1.0 } else { high },
            is_unsupported: is_below || is_above,
        }
    }

    /// `isotonic` or `score`.
    #[must_use]
    pub fn method(&self) -> &'static str {
        if self.isotonic.is_some() { "isotonic" } else { "score" }
    }
}

/// The area under the ROC curve of scores that are known; `None` of one label only.
fn separation(groups: &[Labelled]) -> Option<f64> {
    let (positives, negatives): (Vec<u64>, Vec<u64>) =
        groups.iter().map(|of| (of.positives, of.rows - of.positives)).unzip();
    auc(&positives, &negatives, |_| true).map(|found| found.mid)
}

/// The expected calibration error of the score, and of regressions, each over the fold that it was not fitted to. Rows of a label are dealt to the
/// folds in turn by ascending score, so that each fold has the same share of labels and of scores.
fn errors(groups: &[Labelled]) -> [f64; 2] {
    let mut tested: Vec<Weighted> = Vec::new();
    for fold in 0..FOLDS {
        let (mut train, mut test) = (Vec::with_capacity(groups.len()), Vec::with_capacity(groups.len()));
        let (mut yes_before, mut no_before) = (0, 0);
        for group in groups {
            let no = group.rows - group.positives;
            let (positives, negatives) = (dealt(yes_before, group.positives, fold), dealt(no_before, no, fold));
            (yes_before, no_before) = (yes_before + group.positives, no_before + no);
            let taken = Labelled { rows: positives + negatives, positives, ..*group };
            let (rows, positives) = (group.rows - taken.rows, group.positives - taken.positives);
            test.push(taken);
            train.push(Labelled { rows, positives, ..*group });
        }
        let Some(isotonic) = Isotonic::fit(&train) else { continue };
        let of = |group: &Labelled| Weighted::of(group, isotonic.at(group.score));
        tested.extend(test.iter().filter(|group| group.rows > 0).map(of));
    }
    let plain: Vec<Weighted> = groups.iter().map(|group| Weighted::of(group, group.score)).collect();
    [calibration_error(plain), calibration_error(tested)]
}

/// Of `count` rows behind `before` others, those that are dealt to a fold.
fn dealt(before: u64, count: u64, fold: u64) -> u64 {
    let up_to = |rows: u64| (rows + FOLDS - 1 - fold) / FOLDS;
    up_to(before + count) - up_to(before)
}

/// Rows of one probability.
#[derive(Clone, Copy)]
struct Weighted {
    probability: f64,
    rows: f64,
    positives: f64,
}

impl Weighted {
    fn of(group: &Labelled, probability: f64) -> Self {
        Self { probability, rows: real(group.rows), positives: real(group.positives) }
    }
}

/// `Σ |positives − Σ probabilities|/n` over ten bins of equal counts by ascending probability (Naeini, Cooper and Hauskrecht 2015). Rows of one
/// probability on both sides of a bin's end are divided in proportion.
fn calibration_error(mut of: Vec<Weighted>) -> f64 {
    of.sort_by(|a, b| a.probability.total_cmp(&b.probability));
    let n: f64 = of.iter().map(|w| w.rows).sum();
    let (mut error, mut rest) = (0.0, of.into_iter().peekable());
    for bin in 0..BINS {
        let mut room = n / f64::from(BINS);
        let mut difference = 0.0;
        while let Some(next) = rest.peek_mut() {
            let is_last = bin + 1 == BINS;
            if next.rows <= room || is_last {
                room -= next.rows;
                difference += next.positives - next.rows * next.probability;
                rest.next();
                continue;
            }
            let positives = next.positives * (room / next.rows);
            difference += positives - room * next.probability;
            next.rows -= room;
            next.positives -= positives;
            break;
        }
        error += difference.abs();
    }
    error / n
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::stats::draws::Draws;

    /// Rows whose label is 1 with a probability that `of` gives for the score.
    fn rows(n: usize, of: impl Fn(f64) -> f64) -> Vec<(f64, bool)> {
        let mut draws = Draws::new(7);
        (0..n)
            .map(|_| draws.uniform())
            .map(|score| (score, score))
            .collect::<Vec<_>>()
            .into_iter()
            .map(|(score, _)| {
                let label = draws.uniform() < of(score);
                (score, label)
            })
            .collect()
    }

    #[test]
    fn a_score_that_is_calibrated_stays_and_another_is_not_believed() {
        let fine = Calibration::fit(rows(20_000, |score| score).into_iter()).unwrap();
        let off = Calibration::fit(rows(20_000, |score| score * score).into_iter()).unwrap();
        assert_eq!(off.method(), "isotonic");
        let [before, after] = off.errors.unwrap();
        // The mean of |x − x²| is 1/6.
        assert!((before - 1.0 / 6.0).abs() < 0.02 && after < 0.02, "{before} {after}");
        assert!((off.at(0.5) - 0.25).abs() < 0.05, "{}", off.at(0.5));
        assert!(fine.errors.unwrap()[0] < 0.02);
    }

    #[test]
    fn what_cannot_be_compared_is_told_by_what_there_is() {
        let of = |rows: &[(f64, bool)]| Calibration::fit(rows.iter().copied());
        assert_eq!(of(&[]), None);
        // One label only: nothing to fit. Separated: nothing to mend. No probability: it has to be.
        assert_eq!(of(&[(0.2, true), (0.9, true)]).unwrap().method(), "score");
        assert_eq!(of(&[(0.2, false), (0.9, true)]).unwrap().method(), "score");
        let logits = of(&[(-3.0, false), (4.0, true), (1.0, false), (0.0, true)]).unwrap();
        assert_eq!((logits.method(), logits.errors, logits.range), ("isotonic", None, [-3.0, 4.0]));
        let beyond = logits.between(3.0, 9.0);
        assert_eq!((beyond.upper.to_string(), beyond.is_unsupported), ("1".to_owned(), true));
        assert!(!logits.between(-1.0, 2.0).is_unsupported);
        assert_eq!(logits.between(-9.0, -8.0).lower.to_string(), "0");
    }

    #[test]
    fn rows_are_dealt_in_turn() {
        for fold in 0..FOLDS {
            let by_hand = |range: std::ops::Range<u64>| range.filter(|row| row % FOLDS == fold).count() as u64;
            for (before, count) in [(0, 0), (0, 7), (3, 25), (19, 1), (20, 1)] {
                assert_eq!(dealt(before, count, fold), by_hand(before..before + count), "{before} {count} {fold}");
            }
        }
    }

    #[test]
    fn bins_hold_equal_counts_and_ties_are_divided() {
        let of = |rows: &[(f64, u64, u64)]| {
            let weighted = rows.iter().map(|(score, rows, positives)| {
                Weighted::of(&Labelled { score: *score, rows: *rows, positives: *positives }, *score)
            });
            calibration_error(weighted.collect())
        };
        // All at 0.3, a third of them positive, whatever the bins.
        assert!((of(&[(0.3, 300, 100)]) - (1.0 / 3.0 - 0.3)).abs() < 1e-12);
        // Five bins at 0.2 with none, five at 0.8 with all.
        assert!((of(&[(0.2, 50, 0), (0.8, 50, 50)]) - 0.2).abs() < 1e-12);
        // 0.5·(0.5 − 0.2) where halves of opposite errors share no bin.
        assert!((of(&[(0.2, 50, 25), (0.8, 50, 25)]) - 0.3).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn it_depends_on_the_rows_and_not_on_their_order(rows in vec((0_u8..20, any::<bool>()), 1..80)) {
            let rows: Vec<(f64, bool)> = rows.into_iter().map(|(score, label)| (f64::from(score) / 20.0, label)).collect();
            let forwards = Calibration::fit(rows.iter().copied());
            prop_assert_eq!(&forwards, &Calibration::fit(rows.iter().rev().copied()));
            let found = forwards.unwrap();
            for step in 0..40 {
                let (from, to) = (f64::from(step) / 20.0 - 0.5, f64::from(step) / 20.0);
                let Probability { lower, value, upper, .. } = found.between(from, to);
                prop_assert!(0.0 <= lower && lower <= value && value <= upper && upper <= 1.0);
            }
        }
    }
}
