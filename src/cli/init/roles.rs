//! Which column is what: by what was said, by names, by types and by how many values differ. Everything that is no
//! feature is left out for a reason.

use anyhow::anyhow;

use super::profile::{Column, Kind, Profile};
use crate::source::columns::quoted;

/// Whole numbers with at most so many values are categories.
const FEW: usize = 12;
/// Categories beyond so many are left out.
const MOST_CATEGORIES: usize = 1000;
/// A column in which every one of at least so many values differs names rows.
const ID_ROWS: u64 = 20;
/// Values of a category that is worth comparing as segments.
const SEGMENT: std::ops::RangeInclusive<usize> = 2..=20;
/// Segments that are suggested; those with the fewest values.
const SEGMENTS: usize = 6;
/// Bytes of a name in a policy.
const LONGEST: usize = 200;
/// Names that mean something else wherever a feature is named.
const RESERVED: [&str; 3] = ["score", "label", "features"];

const SCORES: [&str; 10] = [
    "score",
    "probability",
    "prediction",
    "proba",
    "prob",
    "y_score",
    "y_pred",
    "y_prob",
    "predicted",
    "prediction_score",
];
const LABELS: [&str; 8] = ["label", "target", "y", "outcome", "y_true", "labels", "ground_truth", "actual"];
/// Words for the class that scores are high for, and for the other one.
const POSITIVE: [&str; 12] =
    ["1", "true", "yes", "y", "t", "positive", "pos", "fraud", "bad", "default", "churn", "chargeback"];
const NEGATIVE: [&str; 11] = ["0", "false", "no", "n", "f", "negative", "neg", "good", "ok", "legit", "settled"];

/// What was said on the command line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wishes<'a> {
    pub score: Option<&'a str>,
    pub label: Option<&'a str>,
    pub ids: &'a [String],
}

/// A column of outcomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    pub column: String,
    /// Texts and whether they mean 1; empty where the values are 0 and 1 anyway.
    pub values: Vec<(String, bool)>,
    /// Which text means 1 does not show in it.
    pub guessed: bool,
}

/// Every column's part.
#[derive(Clone, Debug, Default)]
pub struct Roles<'p> {
    pub score: Option<&'p Column>,
    pub label: Option<Label>,
    pub numeric: Vec<&'p Column>,
    pub categorical: Vec<&'p Column>,
    /// Names of categorical columns, those with the fewest values first.
    pub segments: Vec<&'p str>,
    /// What is no feature, and why.
    pub left: Vec<(&'p str, String)>,
}

impl<'p> Roles<'p> {
    /// Gives every column its part.
    ///
    /// # Errors
    /// A named column that is not there or cannot be what it is said to be; a file without features.
    pub fn of(profile: &'p Profile, wishes: &Wishes<'_>) -> anyhow::Result<Self> {
        let columns = &profile.columns;
        let mut roles = Self::default();
        for name in wishes.ids.iter().map(String::as_str) {
            find(columns, name, "--id")?;
        }
        let is_id = |c: &Column| wishes.ids.contains(&c.name);
        roles.score = match wishes.score {
            Some(name) => {
                let column = find(columns, name, "--score")?;
                if let Some(why) = no_score(column) {
                    return Err(anyhow!("--score {name:?}: {why}"));
                }
                Some(column)
            }
            None => named(columns, &SCORES)
                .find(|c| !is_id(c) && Some(c.name.as_str()) != wishes.label && no_score(c).is_none()),
        };
        let score = roles.score.map(|c| c.name.as_str());
        roles.label = match wishes.label {
            Some(name) => {
                Some(label(find(columns, name, "--label")?).map_err(|why| anyhow!("--label {name:?}: {why}"))?)
            }
            None => named(columns, &LABELS)
                .filter(|c| !is_id(c) && Some(c.name.as_str()) != score)
                .find_map(|c| label(c).ok()),
        };
        for column in columns {
            let name = column.name.as_str();
            if score == Some(name) || roles.label.as_ref().is_some_and(|l| l.column == name) {
                continue;
            }
            let left = if is_id(column) { Some("named as an id".to_owned()) } else { left_out(column) };
            match left {
                Some(why) => roles.left.push((name, why)),
                None if is_categorical(column) => roles.categorical.push(column),
                None => roles.numeric.push(column),
            }
        }
        if roles.numeric.is_empty() && roles.categorical.is_empty() {
            let why: Vec<String> = roles.left.iter().map(|(name, why)| format!("{name:?}: {why}")).collect();
            return Err(anyhow!("none of its columns can be a feature ({})", why.join("; ")));
        }
        roles.segments = segments(&roles.categorical);
        Ok(roles)
    }
}

fn find<'p>(columns: &'p [Column], name: &str, flag: &str) -> anyhow::Result<&'p Column> {
    let names: Vec<String> = columns.iter().map(|c| c.name.clone()).collect();
    let found = columns.iter().find(|c| c.name == name);
    found.ok_or_else(|| anyhow!("{flag}: there is no column {name:?}; there are {}", quoted(&names)))
}

/// Columns of these names, the likeliest name first, whatever their case.
fn named<'p>(columns: &'p [Column], names: &'static [&'static str]) -> impl Iterator<Item = &'p Column> {
    names.iter().flat_map(move |name| columns.iter().filter(move |c| c.name.eq_ignore_ascii_case(name)))
}

fn is_number(column: &Column) -> bool {
    matches!(column.kind, Kind::Whole | Kind::Number)
}

fn no_score(column: &Column) -> Option<String> {
    if !is_number(column) {
        return Some("it holds no numbers".to_owned());
    }
    (column.min < 0.0 || column.max > 1.0).then(|| "its numbers are not from 0 to 1".to_owned())
}

/// A column as outcomes, or why it is none.
fn label(column: &Column) -> Result<Label, String> {
    let of = |values, guessed| Label { column: column.name.clone(), values, guessed };
    if column.distinct != 2 {
        let why = "two values are needed, since binary outcomes are judged";
        return Err(format!("{} values differ; {why}", column.distinct));
    }
    match (&column.kind, column.values.as_slice()) {
        (Kind::Bool, _) => Ok(of(Vec::new(), false)),
        (Kind::Whole, _) if column.min >= 0.0 && column.max <= 1.0 => Ok(of(Vec::new(), false)),
        (Kind::Text, [first, second]) => {
            let says = |words: &[&str], value: &String| words.iter().any(|w| value.eq_ignore_ascii_case(w));
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
        _ => Err("its values are neither 0 and 1 nor two texts".to_owned()),
    }
}

/// Why a column is no feature.
fn left_out(column: &Column) -> Option<String> {
    let Column { name, kind, distinct, .. } = column;
    let is_named = |names: &[&str]| names.iter().any(|n| name.eq_ignore_ascii_case(n));
    let named_badly = name.trim().is_empty() || name.len() > LONGEST || name.chars().any(char::is_control);
    let of_the_model = is_named(&SCORES) || is_named(&LABELS) || RESERVED.contains(&name.as_str());
    Some(match kind {
        _ if named_badly => "no policy can name it so".to_owned(),
        _ if of_the_model => "by its name an output or an outcome, not an input".to_owned(),
        Kind::Opaque(kind) => format!("holds values of type {kind}"),
        Kind::Empty => "has no values".to_owned(),
        Kind::Time => "holds times".to_owned(),
        _ if *distinct == 1 => "is constant".to_owned(),
        Kind::Whole | Kind::Text if column.all_differ && column.count >= ID_ROWS => {
            "all values differ: it names rows".to_owned()
        }
        Kind::Text if *distinct > MOST_CATEGORIES => format!("more than {MOST_CATEGORIES} categories"),
        Kind::Number | Kind::Whole if !(column.min.is_finite() && column.max.is_finite()) => {
            "holds numbers that are not finite".to_owned()
        }
        Kind::Whole | Kind::Number | Kind::Bool | Kind::Text => return None,
    })
}

fn is_categorical(column: &Column) -> bool {
    match column.kind {
        Kind::Text | Kind::Bool => true,
        Kind::Whole => column.distinct <= FEW,
        _ => false,
    }
}

fn segments<'p>(categorical: &[&'p Column]) -> Vec<&'p str> {
    let usable = |c: &&&Column| SEGMENT.contains(&c.distinct) && !c.name.contains('*') && c.name.trim() == c.name;
    let mut found: Vec<&Column> = categorical.iter().filter(usable).copied().collect();
    found.sort_by_key(|c| c.distinct);
    found.into_iter().take(SEGMENTS).map(|c| c.name.as_str()).collect()
}
