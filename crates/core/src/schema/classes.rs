//! Values that stand for one of two classes, however they are written: what the policy maps, and 0, 1, true and false.

use std::collections::BTreeMap;

use crate::event::Flag;
use crate::policy::number_of;

/// How a label or a decision is read. A value that the policy maps is what the policy says, whether it comes as a number, a
/// text or a boolean; 0, 1, true and false mean themselves where the policy does not name them; anything else is invalid.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Classes {
    texts: BTreeMap<String, bool>,
    /// Those of the texts that are numbers.
    numbers: Vec<(f64, bool)>,
    /// What the policy says of false and true, in whatever case it writes them.
    booleans: [Option<bool>; 2],
}

impl Classes {
    #[must_use]
    pub fn new(values: &BTreeMap<String, bool>) -> Self {
        let numbers = values.iter().filter_map(|(text, class)| Some((number_of(text)?, *class))).collect();
        let word = |word: &str| {
            let other_case = || values.iter().find(|(text, _)| text.eq_ignore_ascii_case(word)).map(|(_, class)| class);
            values.get(word).or_else(other_case).copied()
        };
        Self { texts: values.clone(), numbers, booleans: ["false", "true"].map(word) }
    }

    /// The class of a number; NaN is no value.
    #[inline]
    #[must_use]
    #[allow(clippy::float_cmp, reason = "the very number that was written")]
    pub fn number(&self, x: f64) -> Flag {
        match self.numbers.iter().find(|(number, _)| *number == x) {
            Some((_, class)) => (*class).into(),
            None if x == 0.0 => Flag::No,
            None if x == 1.0 => Flag::Yes,
            None if x.is_nan() => Flag::Missing,
            None => Flag::Invalid,
        }
    }

    #[inline]
    #[must_use]
    pub fn boolean(&self, yes: bool) -> Flag {
        let [no, of_true] = self.booleans;
        if yes { of_true } else { no }.unwrap_or(yes).into()
    }

    /// The class of a text: by the mapping as it stands, else as the number or boolean that it writes.
    #[must_use]
    pub fn text(&self, text: &str) -> Flag {
        if let Some(class) = self.texts.get(text) {
            return (*class).into();
        }
        let text = text.trim();
        if let Some(class) = self.texts.get(text) {
            return (*class).into();
        }
        if let Some(x) = number_of(text) {
            return self.number(x);
        }
        match ["true", "false"].iter().position(|word| text.eq_ignore_ascii_case(word)) {
            Some(at) => self.boolean(at == 0),
            None => Flag::Invalid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(values: &[(&str, bool)]) -> Classes {
        Classes::new(&values.iter().map(|(text, class)| ((*text).to_owned(), *class)).collect())
    }

    #[test]
    fn a_mapping_holds_however_a_value_is_written() {
        use Flag::{Invalid, Missing, No, Yes};
        let plain = Classes::default();
        assert_eq!(
            ["0", "1", "1.0", " 1 ", "true", "FALSE", "True"].map(|t| plain.text(t)),
            [No, Yes, Yes, Yes, Yes, No, Yes]
        );
        assert_eq!(["2", "-1", "", "yes", "inf", "NaN"].map(|t| plain.text(t)), [Invalid; 6]);
        assert_eq!(
            [0.0, -0.0, 1.0, 2.0, 0.5, f64::INFINITY].map(|x| plain.number(x)),
            [No, No, Yes, Invalid, Invalid, Invalid]
        );
        assert_eq!(plain.number(f64::NAN), Missing);
        let signs = classes(&[("-1", false)]);
        assert_eq!([-1.0, 1.0, 0.0, 2.0].map(|x| signs.number(x)), [No, Yes, No, Invalid]);
        assert_eq!(["-1", "-1.0", "1", "2"].map(|t| signs.text(t)), [No, No, Yes, Invalid]);
        let ranks = classes(&[("1", false), ("2", true)]);
        assert_eq!([1.0, 2.0, 0.0].map(|x| ranks.number(x)), [No, Yes, No], "what the policy says goes before 1 is 1");
        assert_eq!(["1", "2.0", "true"].map(|t| ranks.text(t)), [No, Yes, Yes]);
        let words = classes(&[("late", true), ("on time", false), ("true", false)]);
        assert_eq!(["late", "on time", " late ", "Late"].map(|t| words.text(t)), [Yes, No, Yes, Invalid]);
        assert_eq!([words.boolean(true), words.boolean(false), words.text("TRUE")], [No, No, No]);
        // As Python writes them.
        let turned = classes(&[("True", false), ("False", true)]);
        assert_eq!([turned.boolean(true), turned.boolean(false)], [No, Yes]);
        assert_eq!(["True", "true", "FALSE"].map(|t| turned.text(t)), [No, No, Yes]);
    }
}
