//! The table of rules. A family's file defines each of its rules once: the metric's name and documentation, options with
//! defaults and bounds, subjects, what is counted for it, the minimum of samples, its parser, its judge and what `check --alarms`
//! simulates. Everything outside works from the definition's properties.
//!
//! | part | holds |
//! |---|---|
//! | `types`, `names` | limits, subjects, statuses; what rules may refer to |
//! | `comparison`, `alarms`, `counts`, `result` | a KPI beside its reference; how often a rule blocks without drift; what a rule is judged by, and what comes of it |
//! | `properties`, `definition` | the definition of a rule, and a parsed rule |
//! | `versus`, `by_segment` | what a window is compared with; each of its segments by itself |
//! | `limits` | what a value is compared with, and its status |
//! | `budget`, `certain` | how many false blocks a rule may make, and where its value lies for certain |
//! | `binning` | how numeric values are divided into bins |
//! | `options`, `forms`, `shown` | what several rules read and show |
//! | `explain`, `reference` | what a rule measures and blocks at, in words; the reference page and the JSON Schema of rules |
//! | `distance`, `drifted`, `rates`, `values`, `means`, `amounts`, `segments`, `decided`, `quality`, `estimated`, `regression`, `multiclass`, `service`, `kpi`, `measured` | the families |
//! | `example`, `stub` | a rule to copy, compiled with the tests; a window for tests |

pub mod alarms;
pub mod amounts;
pub mod binning;
pub mod budget;
mod by_segment;
mod certain;
pub mod comparison;
pub mod counts;
pub mod decided;
pub mod definition;
pub mod distance;
pub mod distributions;
pub mod drifted;
pub mod estimated;
#[cfg(test)]
mod example;
mod explain;
mod forms;
pub mod kpi;
pub mod limits;
pub mod means;
pub mod measured;
pub mod multiclass;
pub mod names;
pub mod options;
mod properties;
pub mod quality;
pub mod rates;
mod reference;
pub mod regression;
pub mod result;
pub mod segments;
pub mod service;
mod shown;
#[cfg(test)]
mod stub;
pub mod types;
pub mod values;
pub mod versus;

pub use definition::kind::compared_by_segment;
pub use definition::{Check, Definition, Read, RuleKind};

use crate::yaml::{Item, Map};
use budget::Budget;
use names::PolicyNames;
use versus::Versus;

/// The families, in the order of the reference.
static FAMILIES: [&[&Definition]; 18] = [
    &distance::RULES,
    &distance::lcb::RULES,
    &distance::limited::RULES,
    &drifted::RULES,
    &rates::RULES,
    &values::RULES,
    &means::RULES,
    &amounts::RULES,
    &segments::RULES,
    &segments::drops::RULES,
    &segments::metrics::RULES,
    &decided::RULES,
    &quality::RULES,
    &estimated::RULES,
    &regression::RULES,
    &service::RULES,
    &kpi::RULES,
    &measured::RULES,
];

/// Every rule, in the order of the reference.
pub fn all() -> impl Iterator<Item = &'static Definition> + Clone {
    FAMILIES.iter().flat_map(|family| family.iter().copied())
}

/// The definition of a metric.
#[must_use]
pub fn find(metric: &str) -> Option<&'static Definition> {
    all().find(|definition| definition.name == metric)
}

/// Reads a rule's options. The outer `None`: there is no such metric, or it has no options at all.
pub fn parse<'a>(metric: &str, item: &Item<'a>, names: &mut PolicyNames) -> Option<(Option<RuleKind>, Map<'a>)> {
    let Some(definition) = find(metric) else {
        let known = item.known_names(metric, all().map(|definition| definition.name));
        return item.fail(format!("unknown rule `{metric}`; {known}"));
    };
    let map = item.map(&definition.keys())?;
    let kind = (definition.parse)(definition, &map, names);
    let (versus, by) = (forms::read(definition, &map), by_segment::read(definition.options, &map, names));
    // It was read with the other options, and what is wrong with it is reported.
    let least = || map.get(limits::MIN_SAMPLES.key).and_then(|item| item.scalar()?.parse().ok());
    let against = |(kind, versus): (RuleKind, Versus)| match versus {
        Versus::Training => kind,
        _ => kind.against(versus, least()),
    };
    let kind = kind.zip(versus).map(against).zip(by).map(|(kind, by)| kind.by_segments_of(by));
    let budget = if definition.has_own_budget() { Some(None) } else { Budget::in_options(&map) };
    let kind = kind.zip(budget).and_then(|(kind, budget)| within(kind, budget, &map));
    Some((kind, map))
}

/// A rule within its budget, where it has one; its values need bounds at any level.
fn within(kind: RuleKind, budget: Option<Budget>, map: &Map) -> Option<RuleKind> {
    let Some(budget) = budget else { return Some(kind) };
    match kind.unbounded() {
        Some(why) => {
            let place = map.get(budget::BUDGET.key).unwrap_or_else(|| map.item().clone());
            place.fail(format!("{} takes no budget: {why}", kind.metric()))
        }
        None => Some(kind.within(budget)),
    }
}

/// The rules' part of the reference page: a table of all, then a section each.
#[must_use]
pub fn reference() -> String {
    let mut out = "| metric | results about | counts | limit | other options |\n|---|---|---|---|---|\n".to_owned();
    let row = |out: &mut String, text: &str| {
        out.push_str(text);
        out.push('\n');
    };
    all().for_each(|definition| row(&mut out, &definition.row()));
    for definition in all() {
        row(&mut out, "");
        out.push_str(&definition.section());
    }
    out
}
