//! Whether a column can hold outcomes, scores or predictions of a task.

use super::profile::{Column, Kind};

/// Words for the class that scores are high for, and for the other one.
const POSITIVE: [&str; 18] = [
    "1",
    "true",
    "yes",
    "y",
    "t",
    "positive",
    "pos",
    "fraud",
    "bad",
    "default",
    "churn",
    "chargeback",
    "churned",
    "exited",
    "survived",
    "spam",
    "defaulted",
    "attrited customer",
];
const NEGATIVE: [&str; 16] = [
    "0",
    "false",
    "no",
    "n",
    "f",
    "negative",
    "neg",
    "good",
    "ok",
    "legit",
    "settled",
    "normal",
    "ham",
    "stayed",
    "retained",
    "existing customer",
];

/// A column of outcomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    pub column: String,
    /// Texts and whether they mean 1; empty where the values are 0 and 1 anyway.
    pub values: Vec<(String, bool)>,
    /// Which text means 1 does not show in it.
    pub guessed: bool,
}

pub fn is_number(column: &Column) -> bool {
    matches!(column.kind, Kind::Whole | Kind::Number)
}

pub fn no_score(column: &Column) -> Option<String> {
    if !is_number(column) {
        return Some("it holds no numbers".to_owned());
    }
    (column.min < 0.0 || column.max > 1.0).then(|| "its numbers are not from 0 to 1".to_owned())
}

/// Why a column holds no predicted numbers, or labels that are numbers.
pub fn no_numbers(column: &Column) -> Option<String> {
    if !is_number(column) {
        return Some("it holds no numbers".to_owned());
    }
    (!column.min.is_finite() || !column.max.is_finite()).then(|| "it holds numbers that are not finite".to_owned())
}

/// Why a column holds no classes.
pub fn no_classes(column: &Column) -> Option<String> {
    let is_of_kind = matches!(column.kind, Kind::Text | Kind::Whole | Kind::Bool);
    let is_listed = column.values.len() == column.distinct && column.distinct > 0;
    (!is_of_kind || !is_listed)
        .then(|| format!("{} values differ, and classes are at most 20 texts or whole numbers", column.distinct))
}

/// Whether both values of a column are words of outcomes, or 0 and 1.
pub fn is_plain(column: &Column) -> bool {
    let words = POSITIVE.iter().chain(&NEGATIVE);
    column.kind != Kind::Text || column.values.iter().all(|v| words.clone().any(|w| v.trim().eq_ignore_ascii_case(w)))
}

/// Whether a column of a model's outputs holds classes, not how sure it is.
pub fn is_hard(column: &Column) -> bool {
    column.distinct <= 2 || !is_number(column)
}

/// A column as outcomes, or why it is none.
pub fn label(column: &Column) -> Result<Label, String> {
    let of = |values, guessed| Label { column: column.name.clone(), values, guessed };
    if column.distinct != 2 {
        let why = "two values are needed for outcomes of two classes; write --task regression for numbers, --task multiclass for several classes";
        return Err(format!("{} values differ; {why}", column.distinct));
    }
    match (&column.kind, column.values.as_slice()) {
        (Kind::Bool, _) => Ok(of(Vec::new(), false)),
        (Kind::Whole, _) if column.min >= 0.0 && column.max <= 1.0 => Ok(of(Vec::new(), false)),
        // 1 among two numbers beside it is the outcome; of 1 and 2 either may be.
        (Kind::Whole, [first, second]) => {
            let one = |text: &str| text.parse() == Ok(1.0_f64);
            let first_is_positive = one(first) && column.min < 0.0;
            let known = column.min < 0.0 && (one(first) || one(second));
            Ok(of(vec![(first.clone(), first_is_positive), (second.clone(), !first_is_positive)], !known))
        }
        (Kind::Text, [first, second]) => {
            let says = |words: &[&str], value: &String| {
                let value = value.trim().trim_end_matches('.');
                let above = value.starts_with('>') && words.contains(&"1");
                let below = value.starts_with('<') && words.contains(&"0");
                above || below || words.iter().any(|w| value.eq_ignore_ascii_case(w))
            };
            let first_is_positive = match (says(&POSITIVE, first), says(&POSITIVE, second)) {
                (true, false) => Some(true),
                (false, true) => Some(false),
                _ => match (says(&NEGATIVE, first), says(&NEGATIVE, second)) {
                    (true, false) => Some(false),
                    (false, true) => Some(true),
                    _ => None,
                },
            };
            let positive = first_is_positive.unwrap_or(false);
            Ok(of(vec![(first.clone(), positive), (second.clone(), !positive)], first_is_positive.is_none()))
        }
        _ => Err("its values are neither two whole numbers nor two texts".to_owned()),
    }
}
