//! `transitions[].rollout`: the steps of the traffic, what they are checked by, and the comparison with the champion.

use super::groups::Outline;
use super::keys;
use super::traffic::traffic;
use super::types::{Compare, Group, LatencyCompare, Rollout, RolloutStep, RuleKind, Tolerance};
use super::windows::Millis;
use crate::rule::options::{design_effect, tolerance};
use crate::stats::limit::Limit;
use crate::yaml::{Item, units};

/// What transitions may name of `checks:`.
pub(super) struct Checks<'a> {
    pub outline: &'a Outline,
    /// `None` where a group has errors.
    pub groups: Option<&'a [Group]>,
    /// As rules count them.
    pub kpis: &'a [String],
}

pub(super) fn rollout(item: &Item, written: &Checks) -> Option<Rollout> {
    let map = item.map(&keys::ROLLOUT.names())?;
    let external =
        map.get("controller").map_or(Some(false), |item| item.choice(&[("driftgate", false), ("external", true)]));
    let pause = map.get("on_inconclusive").map_or(Some(true), |item| item.choice(&[("pause", true), ("fail", false)]));
    let flag = |key| map.get(key).map_or(Some(false), |item: Item| item.boolean());
    let (dry_run, confirm) = (flag("dry_run"), flag("confirm"));
    let initial_delay = map.get("initial_delay").map_or(Some(0), |item| item.duration(true));
    // Where another controller moves the traffic, the steps may be written down there only.
    let steps = match (map.get("steps"), external) {
        (None, Some(true)) => Some(Vec::new()),
        _ => map.require("steps", "[{weight: 10, for: 30m}, {weight: 100, bake: 1h}]").and_then(|item| steps(&item)),
    };
    let shadow = map.get("shadow").map(|item| (item.duration(false), item));
    let steps = match shadow {
        None => steps,
        Some((hold, item)) => steps.and_then(|steps| with_shadow(steps, hold?, &item)),
    };
    let checks = map.require("checks", "[slo]").and_then(|item| {
        let checks = written.outline.groups(&item)?;
        if item.list("").is_some_and(|items| items.is_empty()) {
            return item.fail("a rollout without checks guards nothing: name at least one group");
        }
        Some(checks)
    });
    let compare = map.get("compare").map(|item| {
        if external == Some(true) {
            return item.fail("a comparison decides steps, and here another controller takes them: leave it out");
        }
        compare(&item, written, steps.as_deref(), checks.as_deref())
    });
    let traffic = map.get("traffic").map_or_else(
        || Some(Vec::new()),
        |item| {
            if external == Some(true) {
                return item
                    .fail("another controller moves the traffic: leave this out, or write `controller: driftgate`");
            }
            let weights: Vec<f64> = steps.iter().flatten().map(|step| step.weight).collect();
            traffic(&item, &weights)
        },
    );
    Some(Rollout {
        external: external?,
        steps: steps?,
        checks: checks?,
        pause_on_inconclusive: pause?,
        initial_delay: initial_delay?,
        dry_run: dry_run?,
        traffic: traffic?,
        confirm: confirm?,
        compare: match compare {
            Some(compare) => Some(compare?),
            None => None,
        },
    })
}

/// The steps with one of mirrored traffic before them.
fn with_shadow(mut steps: Vec<RolloutStep>, hold: Millis, item: &Item) -> Option<Vec<RolloutStep>> {
    match steps.first() {
        None => item.fail("`shadow` is a step before the first, and there are none: write `steps`, or leave it out"),
        Some(first) if first.weight <= 0.0 => {
            item.fail("the first step has weight 0 already, which is what `shadow` adds: keep one of the two")
        }
        Some(_) => {
            steps.insert(0, RolloutStep { weight: 0.0, hold: Some(hold), bake: None });
            Some(steps)
        }
    }
}

fn compare(item: &Item, written: &Checks, steps: Option<&[RolloutStep]>, checks: Option<&[usize]>) -> Option<Compare> {
    let map = item.map(&keys::COMPARE.names())?;
    let place = map.require("of", "ctr").and_then(|item| kpi_rule(&item, written));
    let min_gain = map.require("min_gain", "{relative: 0.015}").and_then(|item| tolerance(&item));
    let level = |number| number > Limit::HALF && number < Limit::ONE;
    let usual = Limit::whole(95).of_percent();
    let confidence =
        map.get("confidence").map_or(Some(usual), |item| item.limit("a confidence above 0.5 and below 1", level));
    let design_effect = map.get("design_effect").map_or(Some(1.0), |item| design_effect(&item));
    let latency = map.get("latency").map(|item| latency_compare(&item, written, checks));
    if let Some([before @ .., _]) = steps
        && !before.iter().any(|step| step.weight > 0.0)
    {
        item.report(
            "only on a step between 0 and 100 do both versions have traffic to compare: write one, like {weight: 10, for: 24h}",
        );
    }
    let (group, rule) = place?;
    let latency = match latency {
        Some(latency) => Some(latency?),
        None => None,
    };
    Some(Compare { group, rule, min_gain: min_gain?, confidence: confidence?, latency, design_effect: design_effect? })
}

/// The first `kpi_drop` rule that reads the KPI.
fn kpi_rule(item: &Item, written: &Checks) -> Option<(usize, usize)> {
    let name = item.name("a KPI's name")?;
    let kpi = written.kpis.iter().position(|known| known == name);
    // Where a group has errors, they are reported there.
    find_rule(written.groups?, |_, kind| kind.kpi().is_some_and(|of| Some(of) == kpi)).or_else(|| {
        let quoted = units::quote(name);
        if written.kpis.is_empty() {
            return item.fail(format!(
                "no rule reads the KPI {quoted}: add `kpi_drop: {{of: {name}, max: {{relative: 0.01}}}}` to a group"
            ));
        }
        let known = item.known_names(name, written.kpis.iter().map(String::as_str));
        item.fail(format!("no `kpi_drop` rule reads the KPI {quoted}; {known}"))
    })
}

fn latency_compare(item: &Item, written: &Checks, checks: Option<&[usize]>) -> Option<LatencyCompare> {
    let map = item.map(&keys::LATENCY.names())?;
    let max_increase =
        map.require("max_increase", "{relative: 0.05}").and_then(|item| increase(&item, "milliseconds, 0 or more"));
    let (groups, checks) = (written.groups?, checks?);
    let quantile = RuleKind::latency_quantile;
    let checked = |group: usize| checks.contains(&group);
    let of_p95 = |kind: &RuleKind| quantile(kind).is_some_and(|quantile| (quantile - 0.95).abs() < 1e-9);
    let place = find_rule(groups, |group, kind| checked(group) && of_p95(kind))
        .or_else(|| find_rule(groups, |group, kind| checked(group) && quantile(kind).is_some()));
    let Some((group, rule)) = place else {
        return item
            .fail("no group of the rollout's checks has a latency rule: add one, like `latency_p95_ms: {lt: 80}`");
    };
    Some(LatencyCompare { group, rule, max_increase: max_increase? })
}

/// An increase that is tolerated; `absolute` says what its absolute form is.
pub(super) fn increase(item: &Item, absolute: &str) -> Option<Tolerance> {
    let map = item.map(&keys::TOLERANCE.names())?;
    let number = |item: Item, wanted: &str| item.limit(wanted, |number| number >= Limit::ZERO);
    match (map.get("absolute"), map.get("relative")) {
        (Some(item), None) => number(item, absolute).map(Tolerance::Absolute),
        (None, Some(item)) => number(item, "a share, 0 or more").map(Tolerance::Relative),
        _ => item.fail(format!("expected one of `absolute` ({absolute}) and `relative`: write {{relative: 0.05}}")),
    }
}

/// The indexes of the first rule for which `wanted` holds.
fn find_rule(groups: &[Group], wanted: impl Fn(usize, &RuleKind) -> bool) -> Option<(usize, usize)> {
    groups.iter().enumerate().find_map(|(at, group)| {
        let rule = group.rules.iter().position(|rule| wanted(at, &rule.kind))?;
        Some((at, rule))
    })
}

fn steps(item: &Item) -> Option<Vec<RolloutStep>> {
    let items = item.list("steps")?;
    let mut steps: Vec<RolloutStep> = Vec::new();
    let last = items.len().saturating_sub(1);
    for (place, item) in items.iter().enumerate() {
        let Some(map) = item.map(&keys::STEP.names()) else {
            continue;
        };
        let weight = map
            .require("weight", "10")
            .and_then(|item| item.number("a percentage from 0 to 100", |number| (0.0..=100.0).contains(&number)));
        let hold = map.get("for").map(|item| item.duration(false));
        let bake = map.get("bake").map(|item| item.duration(false));
        if place == last {
            if hold.is_some() || bake.is_none() || weight.is_some_and(|weight| weight < 100.0) {
                item.report("the last step moves all traffic and watches it: write {weight: 100, bake: 1h}");
            }
        } else if bake.is_some() || hold.is_none() {
            item.report("a step before the last holds its weight for some time: write {weight: 10, for: 30m}");
        }
        let before = steps.last().map(|step| step.weight);
        if let (Some(weight), Some(before)) = (weight, before)
            && weight <= before
        {
            item.report(format!("weight {weight} is not above the {before} before it: write ascending weights"));
        }
        if let Some(weight) = weight {
            steps.push(RolloutStep { weight, hold: hold.flatten(), bake: bake.flatten() });
        }
    }
    if items.is_empty() {
        return item.fail("expected at least one step, read an empty list: write [{weight: 100, bake: 1h}]");
    }
    Some(steps)
}
