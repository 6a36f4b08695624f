//! Which class scores by class predict: that of the largest.

use crate::event::numeric;

/// What scores by class say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Largest {
    /// There are none.
    None,
    /// The class of this place among the policy's has the largest, of equal ones the first.
    Class(usize),
    /// A class that the policy does not name has the largest.
    Unlisted,
    /// Some are no numbers.
    NoNumbers,
}

impl Largest {
    /// Of the scores by the policy's classes, missing where a class has none, and the largest of other classes.
    pub fn of(scores: impl Iterator<Item = f64>, unlisted: f64) -> Self {
        let (mut best, mut is_bad) = (None, false);
        for (at, score) in scores.enumerate() {
            is_bad |= numeric::is_invalid(score);
            match best {
                _ if score.is_nan() => {}
                Some((_, known)) if known >= score => {}
                _ => best = Some((at, score)),
            }
        }
        match best {
            _ if is_bad => Self::NoNumbers,
            None if unlisted.is_nan() => Self::None,
            Some((at, score)) if unlisted.is_nan() || score >= unlisted => Self::Class(at),
            _ => Self::Unlisted,
        }
    }

    /// The predicted class's place, and where there is none what to say of it.
    pub fn place(self) -> (f64, Option<&'static str>) {
        match self {
            Self::None => (numeric::MISSING, None),
            #[allow(clippy::cast_precision_loss, reason = "there are at most 100 classes")]
            Self::Class(at) => (at as f64, None),
            Self::Unlisted => (numeric::INVALID, Some("scores, the largest of another class")),
            Self::NoNumbers => (numeric::INVALID, Some("scores that are no numbers")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_score_of_equal_ones_the_first_predicts() {
        use numeric::{INVALID as BAD, MISSING as NONE};
        for (scores, unlisted, expected) in [
            ([0.2, 0.5, 0.3], NONE, Largest::Class(1)),
            ([0.5, 0.5, 0.1], NONE, Largest::Class(0)),
            ([NONE, -2.0, -3.0], NONE, Largest::Class(1)),
            ([0.2, 0.5, 0.3], 0.5, Largest::Class(1)),
            ([0.2, 0.5, 0.3], 0.6, Largest::Unlisted),
            ([NONE; 3], 0.1, Largest::Unlisted),
            ([NONE; 3], NONE, Largest::None),
            ([0.2, BAD, 0.3], NONE, Largest::NoNumbers),
            ([BAD, NONE, NONE], 0.9, Largest::NoNumbers),
        ] {
            assert_eq!(Largest::of(scores.into_iter(), unlisted), expected, "{scores:?} {unlisted}");
        }
    }
}
