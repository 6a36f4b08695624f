//! Which column is what: by what was said, by names, by types and by how many values differ. Everything that is no
//! feature is left out for a reason.

use anyhow::anyhow;

use super::names::{self, Output};
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
/// Of so many values of a text more than half must come again.
const TEXT_ROWS: u64 = 50;
/// Names that mean something else wherever a feature is named.
const RESERVED: [&str; 3] = ["score", "label", "features"];

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

/// What was said on the command line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wishes<'a> {
    pub score: Option<&'a str>,
    pub label: Option<&'a str>,
    /// The label's value that means 1.
    pub positive: Option<&'a str>,
    pub ids: &'a [String],
}

/// Asks which of some answers is right; `None` if there is no answer.
pub type Ask<'a> = &'a mut dyn FnMut(&str, &[String]) -> Option<usize>;

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
    /// What the names and values leave open, and which flag decides it.
    pub unclear: Vec<String>,
}

impl<'p> Roles<'p> {
    /// Gives every column its part.
    ///
    /// # Errors
    /// A named column that is not there or cannot be what it is said to be; a file without features.
    pub fn of(profile: &'p Profile, wishes: &Wishes<'_>, ask: Ask<'_>) -> anyhow::Result<Self> {
        let columns = &profile.columns;
        let mut roles = Self::default();
        for name in wishes.ids.iter().map(String::as_str) {
            find(columns, name, "--id")?;
        }
        let is_id = |c: &Column| wishes.ids.contains(&c.name);
        roles.find_label(columns, wishes, ask)?;
        roles.find_score(columns, wishes, ask)?;
        let score = roles.score.map(|c| c.name.as_str());
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

    /// The column of outcomes: the one that was said, the likeliest by its name, or the last one if it could be.
    fn find_label(&mut self, columns: &'p [Column], wishes: &Wishes<'_>, ask: Ask<'_>) -> anyhow::Result<()> {
        let found = if let Some(name) = wishes.label {
            Some(label(find(columns, name, "--label")?).map_err(|why| anyhow!("--label {name:?}: {why}"))?)
        } else {
            self.likely_label(columns, wishes, &mut *ask)
        };
        let Some(mut found) = found else {
            if let Some(positive) = wishes.positive {
                return Err(anyhow!("--positive {positive:?}: no column of labels was found; name it with --label"));
            }
            return Ok(());
        };
        if let Some(positive) = wishes.positive {
            let among: Vec<String> = found.values.iter().map(|(text, _)| text.clone()).collect();
            if !among.iter().any(|text| text == positive) {
                return Err(anyhow!(
                    "--positive {positive:?}: the labels are {}",
                    if among.is_empty() { "0 and 1".to_owned() } else { quoted(&among) }
                ));
            }
            found.values.iter_mut().for_each(|(text, yes)| *yes = text == positive);
            found.guessed = false;
        }
        if found.guessed {
            let texts: Vec<String> = found.values.iter().map(|(text, _)| text.clone()).collect();
            match ask(&format!("Which value of {:?} means 1, what scores are high for?", found.column), &texts) {
                Some(at) => {
                    found.values.iter_mut().enumerate().for_each(|(i, (_, yes))| *yes = i == at);
                    found.guessed = false;
                }
                None => self.unclear.push(format!("which label means 1: {}; say it with --positive", quoted(&texts))),
            }
        }
        self.label = Some(found);
        Ok(())
    }

    /// The likeliest label by names, by values and by its place.
    fn likely_label(&mut self, columns: &'p [Column], wishes: &Wishes<'_>, ask: Ask<'_>) -> Option<Label> {
        let may = |c: &&Column| !wishes.ids.contains(&c.name) && wishes.score != Some(c.name.as_str());
        let may = |c: &&Column| may(c) && names::output(&c.name).is_none() && label(c).is_ok();
        let mut named: Vec<(usize, &Column)> =
            columns.iter().filter(may).filter_map(|c| Some((names::outcome(&c.name)?, c))).collect();
        named.sort_by_key(|(rank, _)| *rank);
        let is_input = |c: &&Column| names::output(&c.name).is_none() && !wishes.ids.contains(&c.name);
        let last =
            columns.iter().rfind(is_input).filter(may).filter(|c| label(c).is_ok_and(|l| !l.guessed) && is_plain(c));
        let sure = match named.as_slice() {
            [(_, only)] => names::is_outcome(&only.name) || last.is_none_or(|l| l.name == only.name),
            named => named.first().is_some_and(|(_, c)| names::is_outcome(&c.name)),
        };
        let mut likely: Vec<&Column> = named.into_iter().map(|(_, c)| c).collect();
        likely.extend(last.filter(|l| likely.iter().all(|c| c.name != l.name)));
        let chosen =
            if sure { likely.first().copied() } else { self.choose("label", "says what happened", &likely, ask) };
        chosen.and_then(|c| label(c).ok())
    }

    /// The column of scores: the one that was said, or of the model's outputs by their names the likeliest that holds
    /// probabilities.
    fn find_score(&mut self, columns: &'p [Column], wishes: &Wishes<'_>, ask: Ask<'_>) -> anyhow::Result<()> {
        if let Some(name) = wishes.score {
            let column = find(columns, name, "--score")?;
            if let Some(why) = no_score(column) {
                return Err(anyhow!("--score {name:?}: {why}"));
            }
            self.score = Some(column);
            return Ok(());
        }
        let label = self.label.as_ref().map(|l| l.column.as_str());
        let may = |c: &&Column| !wishes.ids.contains(&c.name) && label != Some(c.name.as_str());
        let outputs = columns.iter().filter(may).filter_map(|c| Some((names::output(&c.name)?, c)));
        let fits =
            |(output, c): &(Output, &Column)| *output != Output::OtherClass && no_score(c).is_none() && !is_hard(c);
        let mut found: Vec<(Output, &Column)> = outputs.filter(fits).collect();
        found.sort_by_key(|(output, _)| *output);
        let best = found.first().map(|(output, _)| *output);
        let likely: Vec<&Column> = found.iter().filter(|(output, _)| Some(*output) == best).map(|(_, c)| *c).collect();
        self.score = self.choose("score", "holds the model's scores", &likely, ask);
        Ok(())
    }

    /// The first of some likely columns, or the answer; notes what is unclear if there is no answer.
    fn choose(&mut self, flag: &str, what: &str, likely: &[&'p Column], ask: Ask<'_>) -> Option<&'p Column> {
        let (first, others) = likely.split_first()?;
        if others.is_empty() && flag == "score" {
            return Some(first);
        }
        let mut answers: Vec<String> = likely.iter().map(|c| c.name.clone()).collect();
        answers.push("none of them".to_owned());
        if let Some(at) = ask(&format!("Which column {what}?"), &answers) {
            return likely.get(at).copied();
        }
        answers.pop();
        self.unclear.push(format!(
            "which column {what}: {} is taken of {}; say it with --{flag}",
            quoted(std::slice::from_ref(&first.name)),
            quoted(&answers)
        ));
        Some(first)
    }
}

fn find<'p>(columns: &'p [Column], name: &str, flag: &str) -> anyhow::Result<&'p Column> {
    let names: Vec<String> = columns.iter().map(|c| c.name.clone()).collect();
    let found = columns.iter().find(|c| c.name == name);
    found.ok_or_else(|| anyhow!("{flag}: there is no column {name:?}; there are {}", quoted(&names)))
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

/// Whether both values of a column are words of outcomes, or 0 and 1.
fn is_plain(column: &Column) -> bool {
    let words = POSITIVE.iter().chain(&NEGATIVE);
    column.kind != Kind::Text || column.values.iter().all(|v| words.clone().any(|w| v.trim().eq_ignore_ascii_case(w)))
}

/// Whether a column of a model's outputs holds classes, not how sure it is.
fn is_hard(column: &Column) -> bool {
    column.distinct <= 2 || !is_number(column)
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

/// Why a column is no feature.
fn left_out(column: &Column) -> Option<String> {
    let Column { name, kind, distinct, .. } = column;
    let named_badly = name.trim().is_empty() || name.len() > LONGEST || name.chars().any(char::is_control);
    let rows = column.all_differ && column.count >= ID_ROWS;
    Some(match kind {
        _ if named_badly => "no policy can name it so".to_owned(),
        _ if names::output(name) == Some(Output::OtherClass) => {
            "by its name the probability of the other class".to_owned()
        }
        _ if names::output(name).is_some() && is_hard(column) => {
            "by its name a model's class, not how sure it is: events carry it as decision, or as prediction with `task: multiclass`".to_owned()
        }
        _ if names::output(name).is_some() || names::is_outcome(name) || RESERVED.contains(&name.as_str()) => {
            "by its name an output or an outcome, not an input".to_owned()
        }
        Kind::Opaque(kind) => format!("holds values of type {kind}"),
        Kind::Empty => "has no values".to_owned(),
        Kind::Time => "holds times".to_owned(),
        _ if *distinct == 1 => "is constant".to_owned(),
        Kind::Text if rows => "all values differ: it names rows".to_owned(),
        Kind::Whole if rows && (names::is_id(name) || is_run(column)) => "all values differ: it names rows".to_owned(),
        Kind::Whole | Kind::Text if names::is_id(name) && *distinct > 20 => "by its name it names rows".to_owned(),
        Kind::Text if column.dates => "holds times".to_owned(),
        Kind::Text if *distinct > MOST_CATEGORIES => format!("more than {MOST_CATEGORIES} categories"),
        Kind::Text if column.count >= TEXT_ROWS && *distinct as u64 > column.count / 2 => {
            format!("{distinct} of {} values differ", column.count)
        }
        Kind::Number | Kind::Whole if !(column.min.is_finite() && column.max.is_finite()) => {
            "holds numbers that are not finite".to_owned()
        }
        Kind::Whole | Kind::Number | Kind::Bool | Kind::Text => return None,
    })
}

/// Whether whole numbers count the rows.
#[allow(clippy::cast_precision_loss, reason = "compared with some rows' slack")]
fn is_run(column: &Column) -> bool {
    column.max - column.min < column.count as f64
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
