//! One of several classes: as a text, or as the largest of the scores by class. Each is its place among the policy's classes.

use super::super::largest::Largest;
use super::super::scan::Token;
use super::fields::{Values, Walk};
use crate::event::{Flag, numeric};

impl Values {
    /// Takes the class of the largest score, of equal ones the first, where the event has scores and names no class. Of scores that are no
    /// numbers, and where the largest is of a class that the policy does not name, there is none.
    pub fn choose_class(&mut self) {
        let is_named = !self.score.is_nan() || numeric::is_invalid(self.score);
        let largest = Largest::of(self.scores.iter().copied(), self.unlisted);
        if is_named || largest == Largest::None {
            return;
        }
        let (place, why) = largest.place();
        self.score = place;
        self.decision = unclassed(place);
        if let Some(why) = why {
            self.unmapped.clear();
            self.unmapped.push_str(why);
        }
    }
}

impl Walk<'_, '_> {
    /// Takes the class that a prediction names.
    pub(super) fn predicted_class(&mut self, token: Token<'_>) {
        self.row.score = self.one_of_classes(token);
        self.row.decision = unclassed(self.row.score);
    }

    /// The place of one of several classes, as a number; a text that names none is kept for people.
    pub(super) fn one_of_classes(&mut self, token: Token<'_>) -> f64 {
        let text = Self::canonical(token, self.scratch, self.text, usize::MAX);
        if token == Token::Null || text == Some("") {
            return numeric::MISSING;
        }
        text.and_then(|text| self.schema.class(text)).unwrap_or_else(|| {
            self.row.unmapped.clear();
            self.row.unmapped.push_str(text.unwrap_or("an array or object"));
            numeric::INVALID
        })
    }
}

/// What tells a prediction of no class apart where decisions are looked at.
fn unclassed(place: f64) -> Flag {
    if numeric::is_invalid(place) { Flag::Invalid } else { Flag::Missing }
}
