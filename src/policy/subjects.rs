//! `of:` and `except:`: which features a distribution rule looks at, and the limit that holds for each.

use std::collections::HashSet;

use super::names::Names;
use super::types::{Subject, Target, Upper};
use crate::stats::limit::Limit;
use crate::yaml::{Item, Map, units};

/// How to read the limits of one rule.
pub(super) struct LimitReader<L> {
    /// The keys an exception may set.
    pub keys: &'static [&'static str],
    pub read: fn(&Map, Option<L>) -> Option<L>,
    /// Whether the rule can look at categorical features.
    pub categorical: bool,
}

/// The subjects of a rule with their limits, in the policy's order.
pub(super) fn subjects<L: Copy>(map: &Map, names: &Names, reader: &LimitReader<L>) -> Option<Vec<Subject<L>>> {
    let targets = map.require("of", "features").and_then(|item| targets(&item, names, reader.categorical));
    let base = (reader.read)(map, None);
    let (targets, base) = (targets?, base?);
    let mut subjects: Vec<_> = targets.into_iter().map(|target| Subject { target, limit: base }).collect();
    if let Some(item) = map.get("except") {
        for (name, item) in item.open_map("a mapping such as {temp: {lt: 0.5}}")?.entries() {
            let Some(target) = names.target(name, &item) else {
                continue;
            };
            let Some(subject) = subjects.iter_mut().find(|subject| subject.target == target) else {
                item.report(format!(
                    "{} is not among the rule's subjects: name it in `of`, or leave it out here",
                    units::quote(name)
                ));
                continue;
            };
            let Some(options) = item.map(reader.keys) else { continue };
            if options.is_empty() {
                item.report(format!(
                    "expected a limit, read an empty mapping: write one of {}",
                    reader.keys.join(", ")
                ));
            } else if let Some(limit) = (reader.read)(&options, Some(base)) {
                subject.limit = limit;
            }
        }
    }
    Some(subjects)
}

fn targets(item: &Item, names: &Names, categorical: bool) -> Option<Vec<Target>> {
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
            let usable = |target: &Target| categorical || !matches!(target, Target::Categorical(_));
            targets.extend(names.all_features().filter(usable).filter(|&target| seen.insert(target)));
            if targets.len() == before && names.features_read() {
                let kind = if categorical { "" } else { "numeric " };
                item.report(format!("there are no {kind}features to look at: name some under `features:`"));
            }
            continue;
        }
        let Some(target) = names.target(name, &item) else {
            continue;
        };
        if !categorical && matches!(target, Target::Categorical(_)) {
            item.report(format!(
                "{} is categorical, and this rule compares numbers: use ks_p or psi for it",
                units::quote(name)
            ));
        } else if seen.insert(target) {
            targets.push(target);
        } else {
            item.report(format!("{} is named twice: keep one", units::quote(name)));
        }
    }
    Some(targets)
}

/// `lt` and `warn`; `wanted` says which limits are allowed.
pub(super) fn upper(
    map: &Map,
    base: Option<Upper>,
    wanted: &str,
    example: &str,
    allowed: fn(Limit) -> bool,
) -> Option<Upper> {
    let lt = match (map.get("lt"), base) {
        (Some(item), _) => item.limit(wanted, allowed),
        (None, Some(base)) => Some(base.lt),
        (None, None) => map.require("lt", example).and(None),
    };
    let item = map.get("warn");
    let warn = match &item {
        Some(item) => Some(item.limit(wanted, allowed)?),
        None => base.and_then(|base| base.warn),
    };
    let lt = lt?;
    if let Some(warn) = warn.filter(|&warn| warn >= lt) {
        let place = item.as_ref().unwrap_or(map.item());
        let whose = if item.is_some() { "" } else { "the rule's " };
        return place.fail(format!("{whose}warn {warn} is not below lt {lt}: write a `warn` below the limit"));
    }
    Some(Upper { lt, warn })
}

/// A single limit under `key`.
pub(super) fn single(
    map: &Map,
    base: Option<Limit>,
    key: &str,
    example: &str,
    wanted: &str,
    allowed: fn(Limit) -> bool,
) -> Option<Limit> {
    match (map.get(key), base) {
        (Some(item), _) => item.limit(wanted, allowed),
        (None, Some(base)) => Some(base),
        (None, None) => map.require(key, example)?.limit(wanted, allowed),
    }
}
