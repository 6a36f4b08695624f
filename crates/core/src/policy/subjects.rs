//! `of:` and `except:`: which features a distribution rule looks at, and the limit that holds for each.

use std::collections::HashSet;

use super::metrics::{Bounds, Metric, Subjects};
use super::names::Names;
use super::types::{Subject, Target, Upper};
use crate::stats::limit::Limit;
use crate::yaml::{Item, Map, units};

/// A limit that a rule's options hold.
pub(super) trait ReadLimit: Copy {
    /// Reads the limit of a rule, or of an exception to its `base`.
    fn in_options(map: &Map, base: Option<Self>, metric: &'static Metric) -> Option<Self>;
}

/// The subjects of a rule with their limits, in the policy's order.
pub(super) fn subjects<L: ReadLimit>(map: &Map, names: &Names, metric: &'static Metric) -> Option<Vec<Subject<L>>> {
    let categorical = metric.subjects == Subjects::Features { categorical: true };
    let keys = metric.limit.keys();
    let targets = map.require("of", "features").and_then(|item| targets(&item, names, categorical));
    let base = L::in_options(map, None, metric);
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
            let Some(options) = item.map(keys) else { continue };
            if options.is_empty() {
                item.report(format!("expected a limit, read an empty mapping: write one of {}", keys.join(", ")));
            } else if let Some(limit) = L::in_options(&options, Some(base), metric) {
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

/// `lt` and a `warn` below it.
impl ReadLimit for Upper {
    fn in_options(map: &Map, base: Option<Self>, metric: &'static Metric) -> Option<Self> {
        upper(map, base, metric, metric.bounds)
    }
}

/// The one key that the limit has.
impl ReadLimit for Limit {
    fn in_options(map: &Map, base: Option<Self>, metric: &'static Metric) -> Option<Self> {
        let key = metric.limit.keys().first()?;
        match (map.get(key), base) {
            (Some(item), _) => limit(&item, metric.bounds),
            (None, Some(base)) => Some(base),
            (None, None) => limit(&map.require(key, metric.example)?, metric.bounds),
        }
    }
}

/// A number within bounds.
pub(super) fn limit(item: &Item, bounds: Bounds) -> Option<Limit> {
    item.limit(bounds.wanted(), |number| bounds.allow(number))
}

/// `lt` and `warn` within `bounds`.
pub(super) fn upper(map: &Map, base: Option<Upper>, metric: &Metric, bounds: Bounds) -> Option<Upper> {
    let lt = match (map.get("lt"), base) {
        (Some(item), _) => limit(&item, bounds),
        (None, Some(base)) => Some(base.lt),
        (None, None) => map.require("lt", metric.example).and(None),
    };
    let item = map.get("warn");
    let warn = match &item {
        Some(item) => Some(limit(item, bounds)?),
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
