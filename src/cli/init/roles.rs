//! Which column is what: by what was said, by names, by types and by how many values differ. Everything that is no
//! feature is left out for a reason.

use std::collections::BTreeSet;

use anyhow::anyhow;

use super::names::{self, Output};
pub use super::outcomes::Label;
use super::outcomes::{is_hard, is_plain, label, no_classes, no_numbers, no_score};
use super::profile::{Column, Kind, Profile};
use crate::source::columns::quoted;
use driftgate_core::policy::Task;

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

/// What was said on the command line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wishes<'a> {
    pub task: Task,
    pub score: Option<&'a str>,
    pub label: Option<&'a str>,
    /// The label's value that means 1.
    pub positive: Option<&'a str>,
    pub ids: &'a [String],
}

/// Asks which of some answers is right; `None` if there is no answer.
pub type Ask<'a> = &'a mut dyn FnMut(&str, &[String]) -> Option<usize>;

/// Every column's part.
#[derive(Clone, Debug, Default)]
pub struct Roles<'p> {
    pub task: Task,
    /// Of a model of several classes: those that labels and predictions name.
    pub classes: Vec<String>,
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
        let mut roles = Self { task: wishes.task, ..Self::default() };
        for name in wishes.ids.iter().map(String::as_str) {
            find(columns, name, "--id")?;
        }
        let is_id = |c: &Column| wishes.ids.contains(&c.name);
        roles.find_label(columns, wishes, ask)?;
        roles.find_score(columns, wishes, ask)?;
        roles.find_classes(columns)?;
        roles.note_other_task(columns, wishes);
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
            Some(self.label_of(find(columns, name, "--label")?).map_err(|why| anyhow!("--label {name:?}: {why}"))?)
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
        let may = |c: &&Column| may(c) && names::output(&c.name).is_none() && self.label_of(c).is_ok();
        let mut named: Vec<(usize, &Column)> =
            columns.iter().filter(may).filter_map(|c| Some((names::outcome(&c.name)?, c))).collect();
        named.sort_by_key(|(rank, _)| *rank);
        let is_input = |c: &&Column| names::output(&c.name).is_none() && !wishes.ids.contains(&c.name);
        let last =
            columns.iter().rfind(is_input).filter(may).filter(|c| label(c).is_ok_and(|l| !l.guessed) && is_plain(c));
        // Any column could hold numbers, or one of several classes.
        let last = last.filter(|_| self.task == Task::Binary);
        let sure = match named.as_slice() {
            [(_, only)] => names::is_outcome(&only.name) || last.is_none_or(|l| l.name == only.name),
            named => named.first().is_some_and(|(_, c)| names::is_outcome(&c.name)),
        };
        let mut likely: Vec<&Column> = named.into_iter().map(|(_, c)| c).collect();
        likely.extend(last.filter(|l| likely.iter().all(|c| c.name != l.name)));
        let chosen =
            if sure { likely.first().copied() } else { self.choose("label", "says what happened", &likely, ask) };
        chosen.and_then(|c| self.label_of(c).ok())
    }

    /// The column of scores: the one that was said, or of the model's outputs by their names the likeliest that holds
    /// probabilities.
    fn find_score(&mut self, columns: &'p [Column], wishes: &Wishes<'_>, ask: Ask<'_>) -> anyhow::Result<()> {
        if let Some(name) = wishes.score {
            let column = find(columns, name, "--score")?;
            if let Some(why) = self.no_score(column) {
                return Err(anyhow!("--score {name:?}: {why}"));
            }
            self.score = Some(column);
            return Ok(());
        }
        let label = self.label.as_ref().map(|l| l.column.as_str());
        let may = |c: &&Column| !wishes.ids.contains(&c.name) && label != Some(c.name.as_str());
        let outputs = columns.iter().filter(may).filter_map(|c| Some((names::output(&c.name)?, c)));
        let is_right = |c: &Column| self.task == Task::Multiclass || !is_hard(c);
        let fits = |(output, c): &(Output, &Column)| {
            *output != Output::OtherClass && self.no_score(c).is_none() && is_right(c)
        };
        let mut found: Vec<(Output, &Column)> = outputs.filter(fits).collect();
        found.sort_by_key(|(output, _)| *output);
        let best = found.first().map(|(output, _)| *output);
        let likely: Vec<&Column> = found.iter().filter(|(output, _)| Some(*output) == best).map(|(_, c)| *c).collect();
        self.score = self.choose("score", "holds the model's scores", &likely, ask);
        Ok(())
    }

    /// A column as the outcomes of the task, or why it is none.
    fn label_of(&self, column: &Column) -> Result<Label, String> {
        let plain = || Label { column: column.name.clone(), values: Vec::new(), guessed: false };
        match self.task {
            Task::Binary => label(column),
            Task::Regression => no_numbers(column).map_or_else(|| Ok(plain()), Err),
            Task::Multiclass => no_classes(column).map_or_else(|| Ok(plain()), Err),
        }
    }

    /// Why a column holds no scores or predictions of the task.
    fn no_score(&self, column: &Column) -> Option<String> {
        match self.task {
            Task::Binary => no_score(column),
            Task::Regression => no_numbers(column),
            Task::Multiclass => no_classes(column),
        }
    }

    /// The classes that labels and predictions name.
    fn find_classes(&mut self, columns: &[Column]) -> anyhow::Result<()> {
        if self.task != Task::Multiclass {
            return Ok(());
        }
        let label = self.label.as_ref().map(|label| label.column.as_str());
        let named = columns.iter().filter(|c| label == Some(c.name.as_str())).chain(self.score);
        let classes: BTreeSet<&String> = named.flat_map(|c| &c.values).collect();
        self.classes = classes.into_iter().cloned().collect();
        if self.classes.len() < 2 {
            return Err(anyhow!("no column of labels or predictions was found: name them with --label and --score"));
        }
        Ok(())
    }

    /// Says of a column that is called an outcome and has more than two values how it would be one.
    fn note_other_task(&mut self, columns: &[Column], wishes: &Wishes<'_>) {
        if self.task != Task::Binary || self.label.is_some() || wishes.label.is_some() {
            return;
        }
        let outcome = columns.iter().find(|c| names::is_outcome(&c.name) && c.distinct > 2);
        let numbers = outcome.filter(|c| no_numbers(c).is_none() && c.distinct > FEW);
        if let Some(column) = outcome {
            let task = if numbers.is_some() { "regression" } else { "multiclass" };
            let name = quoted(std::slice::from_ref(&column.name));
            self.unclear.push(format!("{name} has {} values: as labels they need --task {task}", column.distinct));
        }
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
