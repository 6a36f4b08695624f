//! Reading a rule's options: `of:` and `except:` with the limit that holds for each subject, `by:`, limits, and the options
//! that several rules have.

use std::collections::HashSet;

use super::definition::{Bounds, Definition, Opt, Subjects, Takes};
use super::names::PolicyNames;
use super::types::{Bound, Side, Subject, Target, Tolerance};
use crate::stats::limit::Limit;
use crate::yaml::{Item, Map, units};

/// `design_effect` of rules whose bound takes the dependence of rows into account.
pub const DESIGN_EFFECT: Opt = Opt {
    key: "design_effect",
    takes: Takes::Number { wanted: "a design effect of 1 or more", bounds: &[("minimum", 1.0)] },
    default: "",
    documentation: "How many rows that depend on each other count as one; without it, what `unit:` gives, else 1.",
};

/// `min_positives` of rules over segments.
pub const MIN_POSITIVES: Opt = Opt {
    key: "min_positives",
    takes: Takes::Whole { least: 1, most: 1_000_000_000 },
    default: "30",
    documentation: "A segment with fewer positives (or negatives, or decisions: what the rate divides by) is listed and not compared.",
};

impl Opt {
    /// The whole number that is written, or the default.
    pub(super) fn whole(&self, map: &Map) -> Option<u64> {
        let Takes::Whole { least, most } = self.takes else { return None };
        map.get(self.key).map_or_else(|| self.default.parse().ok(), |item| item.whole(least, most))
    }

    /// The whole number that is written, if one is.
    #[expect(clippy::option_option, reason = "the outer is the reader's, the inner the file's")]
    pub(super) fn optional_whole(&self, map: &Map) -> Option<Option<u64>> {
        let Takes::Whole { least, most } = self.takes else { return None };
        map.get(self.key).map_or(Some(None), |item| item.whole(least, most).map(Some))
    }

    /// One of the words, in the order of `Takes::Words`, or the default.
    pub(super) fn word<T: Copy>(&self, map: &Map, values: &[T]) -> Option<T> {
        let Takes::Words(words) = self.takes else { return None };
        let words: Vec<(&str, T)> = words.iter().copied().zip(values.iter().copied()).collect();
        match map.get(self.key) {
            Some(item) => item.choice(&words),
            None => words.iter().find(|(word, _)| *word == self.default).map(|(_, value)| *value),
        }
    }

    /// The word that is written of `Takes::OneOf`.
    pub(super) fn one_of(&self, map: &Map) -> Option<&'static str> {
        let Takes::OneOf(words) = self.takes else { return None };
        let words: Vec<(&str, &'static str)> = words.iter().map(|word| (*word, *word)).collect();
        map.require(self.key, words.first().map_or("", |(word, _)| word))?.choice(&words)
    }

    /// What numbers are wanted, in words.
    fn wanted(&self) -> &'static str {
        match self.takes {
            Takes::Number { wanted, .. } | Takes::Text { wanted, .. } => wanted,
            Takes::Whole { .. }
            | Takes::Words(_)
            | Takes::OneOf(_)
            | Takes::Rule
            | Takes::Bins { .. }
            | Takes::Daily
            | Takes::Range
            | Takes::Segmentation
            | Takes::Versus
            | Takes::KpiVersus => "a value",
        }
    }

    /// Whether a number is within the bounds that the JSON Schema states.
    fn allows<N: PartialOrd>(&self, number: &N, bound_of: impl Fn(f64) -> Option<N>) -> bool {
        let Takes::Number { bounds, .. } = self.takes else { return true };
        bounds.iter().all(|&(keyword, bound)| {
            let order = bound_of(bound).and_then(|bound| number.partial_cmp(&bound));
            order.is_some_and(|order| match keyword {
                "minimum" => order.is_ge(),
                "exclusiveMinimum" => order.is_gt(),
                "maximum" => order.is_le(),
                _ => order.is_lt(),
            })
        })
    }

    /// The number that is written, exactly, or the default.
    pub(super) fn limit(&self, map: &Map) -> Option<Limit> {
        let read = |item: Item| item.limit(self.wanted(), |number| self.allows(&number, Limit::of));
        map.get(self.key).map_or_else(|| Limit::read(self.default), read)
    }

    /// The number that is written, if one is.
    #[expect(clippy::option_option, reason = "the outer is the reader's, the inner the file's")]
    pub(super) fn optional_number(&self, map: &Map) -> Option<Option<f64>> {
        map.get(self.key)
            .map_or(Some(None), |item| item.number(self.wanted(), |number| self.allows(&number, Some)).map(Some))
    }

    /// The name that is written, if one is.
    #[expect(clippy::option_option, reason = "the outer is the reader's, the inner the file's")]
    pub(super) fn optional_name(&self, map: &Map) -> Option<Option<String>> {
        map.get(self.key).map_or(Some(None), |item| item.name(self.wanted()).map(|name| Some(name.to_owned())))
    }
}

/// By how much the variance of rows that depend on each other is larger than that of as many which do not.
#[must_use]
pub fn design_effect(item: &Item) -> Option<f64> {
    item.number(DESIGN_EFFECT.wanted(), |number| DESIGN_EFFECT.allows(&number, Some))
}

/// A limit that a rule's options hold.
pub(super) trait ReadLimit: Copy {
    /// Reads the limit of a rule, or of an exception to its `base`.
    fn in_options(map: &Map, base: Option<Self>, definition: &'static Definition) -> Option<Self>;
}

/// The subjects of a rule with their limits, in the policy's order.
pub(super) fn subjects<L: ReadLimit>(
    map: &Map,
    names: &PolicyNames,
    definition: &'static Definition,
) -> Option<Vec<Subject<L>>> {
    let targets = map.require("of", "features").and_then(|item| targets(&item, names, definition.subjects));
    let base = L::in_options(map, None, definition);
    let (targets, base) = (targets?, base?);
    let mut subjects: Vec<_> = targets.into_iter().map(|target| Subject { target, limit: base }).collect();
    if let Some(item) = map.get("except") {
        except(&item, names, definition, base, &mut subjects)?;
    }
    Some(subjects)
}

/// The limits of subjects that have their own.
fn except<L: ReadLimit>(
    item: &Item,
    names: &PolicyNames,
    definition: &'static Definition,
    base: L,
    subjects: &mut [Subject<L>],
) -> Option<()> {
    let keys = definition.limit.keys();
    for (name, item) in item.open_map("a mapping such as {temp: {lt: 0.5}}")?.entries() {
        let Some(target) = names.target_of(name, &item) else {
            continue;
        };
        let Some(subject) = subjects.iter_mut().find(|subject| subject.target == target) else {
            item.report(format!(
                "{} is not among the rule's subjects: name it in `of`, or leave it out here",
                units::quote(name)
            ));
            continue;
        };
        let Some(options) = item.map(keys) else { continue };
        if options.is_empty() {
            item.report(format!("expected a limit, read an empty mapping: write one of {}", keys.join(", ")));
        } else if let Some(limit) = L::in_options(&options, Some(base), definition) {
            subject.limit = limit;
        }
    }
    Some(())
}

/// Whether a rule on such subjects can look at a target.
fn is_usable(target: Target, subjects: Subjects, names: &PolicyNames) -> bool {
    match subjects {
        Subjects::Categories => matches!(target, Target::Categorical(_)),
        Subjects::Features { categorical: false } => {
            !matches!(target, Target::Categorical(_) | Target::Label | Target::Prediction)
        }
        Subjects::Numbers => match target {
            Target::Label => names.has_number_labels,
            other => !matches!(other, Target::Categorical(_) | Target::Prediction),
        },
        Subjects::Distributions => true,
        _ => target != Target::Label,
    }
}

fn targets(item: &Item, names: &PolicyNames, subjects: Subjects) -> Option<Vec<Target>> {
    let usable = |target: &Target| is_usable(*target, subjects, names);
    let items = if item.is_list() { item.list("feature names")? } else { vec![item.clone()] };
    if items.is_empty() {
        return item.fail("expected at least one subject: write `features`, `score`, or names of features");
    }
    let (mut targets, mut seen) = (Vec::new(), HashSet::new());
    for item in items {
        let Some(name) = item.text("`features`, `score`, or a feature's name") else {
            continue;
        };
        if name == "features" {
            let before = targets.len();
            targets.extend(names.all_features().filter(usable).filter(|&target| seen.insert(target)));
            if targets.len() == before && names.features_read() {
                let kind = match subjects {
                    Subjects::Categories => "categorical ",
                    Subjects::Features { categorical: false } | Subjects::Numbers => "numeric ",
                    _ => "",
                };
                item.report(format!("there are no {kind}features to look at: name some under `features:`"));
            }
            continue;
        }
        let Some(target) = names.target_of(name, &item) else {
            continue;
        };
        if !usable(&target) {
            let why = match target {
                Target::Categorical(_) => "is categorical, and this rule compares numbers: use ks_p or psi for it",
                Target::Label if subjects == Subjects::Numbers => {
                    "is a class, and this rule compares numbers: psi, ks_p, js, hellinger and l_inf compare it"
                }
                Target::Label => {
                    "is no feature: psi, ks_p, js, hellinger and l_inf compare it, label_rate limits the share of one class"
                }
                Target::Prediction => "is a class: psi, ks_p, js, hellinger and l_inf compare it",
                _ => "is a number, and this rule counts categories: use out_of_range for it",
            };
            item.report(format!("{} {why}", units::quote(name)));
        } else if seen.insert(target) {
            targets.push(target);
        } else {
            item.report(format!("{} is named twice: keep one", units::quote(name)));
        }
    }
    if targets.len() > 1 && targets.contains(&Target::Label) {
        return item
            .fail("label stands beside features: it is counted of joined pairs, so write a rule of its own for it");
    }
    Some(targets)
}

/// The one key that the limit has.
impl ReadLimit for Limit {
    fn in_options(map: &Map, base: Option<Self>, definition: &'static Definition) -> Option<Self> {
        let key = definition.limit.keys().first()?;
        match (map.get(key), base) {
            (Some(item), _) => limit(&item, definition.bounds),
            (None, Some(base)) => Some(base),
            (None, None) => limit(&map.require(key, definition.example)?, definition.bounds),
        }
    }
}

/// A number within bounds.
pub(super) fn limit(item: &Item, bounds: Bounds) -> Option<Limit> {
    item.limit(bounds.wanted(), |number| bounds.allow(number))
}

/// Exactly one of `lt`, `lte`, `gt` and `gte`, with a `warn` on the side that passes.
pub(super) fn bound(definition: &'static Definition, map: &Map) -> Option<Bound> {
    let amount = |item: &Item| limit(item, definition.bounds);
    let given: Vec<(Side, Item)> =
        Side::ALL.into_iter().filter_map(|side| Some((side, map.get(side.name())?))).collect();
    let (side, item) = match given.as_slice() {
        [(side, item)] => (*side, item),
        [] => return map.item().fail("no limit: write one of `lt`, `lte`, `gt` or `gte`, like `lt: 0.5`"),
        [(first, _), (second, item), ..] => {
            return item.fail(format!(
                "both `{}` and `{}`: keep one limit, and write the other as a rule of its own",
                first.name(),
                second.name()
            ));
        }
    };
    let limit = amount(item);
    let place = map.get("warn");
    let warn = match &place {
        Some(item) => Some(amount(item)?),
        None => None,
    };
    let limit = limit?;
    let (inside, below) = match side {
        Side::Lt | Side::Lte => (warn.is_none_or(|warn| warn < limit), "below"),
        Side::Gt | Side::Gte => (warn.is_none_or(|warn| warn > limit), "above"),
    };
    if let (false, Some(warn), Some(item)) = (inside, warn, &place) {
        let name = side.name();
        return item.fail(format!("warn {warn} is not {below} {name} {limit}: write a `warn` {below} the limit"));
    }
    Some(Bound { side, limit, warn })
}

/// `{absolute: 0.02}` or `{relative: 0.01}`.
#[must_use]
pub fn tolerance(item: &Item) -> Option<Tolerance> {
    if item.scalar().is_some() {
        return item.fail("expected {absolute: …} or {relative: …}, read a bare value: say which of the two it is");
    }
    let map = item.map(&["absolute", "relative"])?;
    match (map.get("absolute"), map.get("relative")) {
        (Some(item), None) => limit(&item, Bounds::Rate).map(Tolerance::Absolute),
        (None, Some(item)) => limit(&item, Bounds::Rate).map(Tolerance::Relative),
        (Some(_), Some(_)) => item.fail("both `absolute` and `relative`: keep one"),
        (None, None) => item.fail("neither `absolute` nor `relative`: write one, like {relative: 0.01}"),
    }
}
