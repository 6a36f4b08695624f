//! `transitions:` and `rollback:`: what a promotion asks for, how its traffic moves, and what takes it back.

use std::collections::BTreeMap;

use super::groups::{Outline, hysteresis};
use super::keys::{self, EVIDENCE_KINDS, SCHEMA_CHANGES};
use super::types::{
    Approvals, Compare, Excluded, Group, LatencyCompare, OfflineGate, OfflineLimit, RollbackPlan, RollbackTarget,
    Rollout, RolloutStep, RuleKind, Tolerance, Transition, Trigger,
};
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

pub(super) fn transitions(item: &Item, checks: &Checks) -> Option<Vec<Transition>> {
    let mut transitions: Vec<Option<Transition>> = Vec::new();
    for item in item.list("transitions")? {
        let transition = transition(&item, checks);
        if let Some(new) = &transition
            && transitions.iter().flatten().any(|old| old.from == new.from && old.to == new.to)
        {
            item.report(format!("the transition from {} to {} is written twice: keep one", new.from, new.to));
        }
        transitions.push(transition);
    }
    transitions.into_iter().collect()
}

fn transition(item: &Item, written: &Checks) -> Option<Transition> {
    let map = item.map(&keys::TRANSITION.names())?;
    let from = map.require("from", "staging").and_then(|item| item.slug("a stage"));
    let to = map.require("to", "prod").and_then(|item| item.slug("a stage"));
    let evidence =
        map.get("evidence").map_or_else(|| Some(Vec::new()), |item| words(&item, "kinds of evidence", &EVIDENCE_KINDS));
    let schema_allow = map.get("schema").map_or_else(
        || Some(Vec::new()),
        |item| {
            words(
                &item.map(&keys::SCHEMA.names())?.require("allow", "[add_optional]")?,
                "schema changes",
                &SCHEMA_CHANGES,
            )
        },
    );
    let offline = map.get("offline").map_or_else(|| Some(Vec::new()), |item| offline(&item));
    let checks = map.get("checks").map_or_else(|| Some(Vec::new()), |item| written.outline.groups(&item));
    let approvals = map.get("approvals").map_or(Some(Approvals::Auto), |item| approvals(&item));
    let rollout = map.get("rollout").map(|item| rollout(&item, written));
    let (from, to) = (from?, to?);
    if from == to {
        return item.fail(format!("the transition leads from {from} to itself: write two stages"));
    }
    Some(Transition {
        from: from.to_owned(),
        to: to.to_owned(),
        evidence: evidence?,
        schema_allow: schema_allow?,
        offline: offline?,
        checks: checks?,
        approvals: approvals?,
        rollout: match rollout {
            Some(rollout) => Some(rollout?),
            None => None,
        },
    })
}

/// A list of known words, each at most once.
fn words(item: &Item, wanted: &str, known: &[&'static str]) -> Option<Vec<String>> {
    let mut words: Vec<String> = Vec::new();
    for item in item.list(wanted)? {
        let Some(word) = item.text(wanted) else { continue };
        if !known.contains(&word) {
            item.report(format!("unknown {}; {}", units::quote(word), item.known_names(word, known.iter().copied())));
        } else if words.iter().any(|other| other == word) {
            item.report(format!("{} is named twice: keep one", units::quote(word)));
        } else {
            words.push(word.to_owned());
        }
    }
    Some(words)
}

fn offline(item: &Item) -> Option<Vec<OfflineGate>> {
    let gate = |item: &Item| {
        let map = item.map(&keys::OFFLINE.names())?;
        let metric = map.require("metric", "auc").and_then(|item| item.name("an offline metric"));
        let limit = match (map.get("min_gain"), map.get("max_increase")) {
            (Some(item), None) => tolerance(&item).map(OfflineLimit::MinGain),
            (None, Some(item)) => increase(&item, "a number, 0 or more").map(OfflineLimit::MaxIncrease),
            (Some(_), Some(_)) => item.fail("both `min_gain` and `max_increase`: keep one, a metric is high or low at best"),
            (None, None) => item.fail(
                "no limit: write `min_gain: {absolute: 0.02}`, or `max_increase: {relative: 0.1}` for a cost-like metric",
            ),
        };
        let versus = map.get("versus").map_or(Some("baseline"), |item| versus(&item));
        Some(OfflineGate { metric: metric?.to_owned(), limit: limit?, versus: versus?.to_owned() })
    };
    item.list("offline comparisons")?.iter().map(gate).collect::<Vec<_>>().into_iter().collect()
}

/// `baseline`, `champion`, or a version; a word without a digit is taken for a slip of the finger.
fn versus<'a>(item: &Item<'a>) -> Option<&'a str> {
    let name = item.name("`baseline` or `champion`, or a version in quotes,")?;
    if matches!(name, "baseline" | "champion") || name.bytes().any(|byte| byte.is_ascii_digit()) {
        return Some(name);
    }
    item.fail(format!("expected `baseline` or `champion`, or a version like \"10\", read {}", units::quote(name)))
}

fn approvals(item: &Item) -> Option<Approvals> {
    if !item.is_map() {
        return match item.scalar() {
            Some("auto") => Some(Approvals::Auto),
            _ => item.fail("expected `auto` or the roles that approve: write {roles: {owner: 1, reviewer: 1}}"),
        };
    }
    let map = item.map(&keys::APPROVALS.names())?;
    let roles = map.require("roles", "{owner: 1, reviewer: 1}").and_then(|item| roles(&item));
    let people = map.get("people").map_or_else(|| Some(BTreeMap::new()), |item| people(&item, roles.as_ref()?));
    let distinct = map.get("distinct").map_or(Some(true), |item| item.boolean());
    let expires = map.get("expires").map(|item| item.duration(false));
    let expires = match expires {
        Some(expires) => Some(expires?),
        None => None,
    };
    let exclude = map.get("exclude").map_or_else(|| Some(Vec::new()), |item| excluded(&item));
    Some(Approvals::Roles { roles: roles?, people: people?, distinct: distinct?, exclude: exclude?, expires })
}

fn excluded(item: &Item) -> Option<Vec<Excluded>> {
    let named = words(item, "those who cannot approve", &Excluded::ALL.map(|(name, _)| name))?;
    Some(Excluded::ALL.into_iter().filter(|(name, _)| named.iter().any(|n| n == name)).map(|(_, who)| who).collect())
}

fn roles(item: &Item) -> Option<BTreeMap<String, u32>> {
    let map = item.open_map("a mapping such as {owner: 1, reviewer: 1}")?;
    if map.is_empty() {
        return item.fail("expected at least one role, read an empty mapping: write {owner: 1}, or `approvals: auto`");
    }
    let mut roles = BTreeMap::new();
    for (role, item) in map.entries() {
        let named = item.key_is_slug(role, "a role");
        let count = item.whole(1, 20).and_then(|count| u32::try_from(count).ok());
        if let (true, Some(count)) = (named, count) {
            roles.insert(role.to_owned(), count);
        }
    }
    Some(roles)
}

/// Who may sign as a role.
fn people(item: &Item, roles: &BTreeMap<String, u32>) -> Option<BTreeMap<String, Vec<String>>> {
    let map = item.open_map("a mapping such as {owner: [ann@example.org]}")?;
    let mut people = BTreeMap::new();
    for (role, item) in map.entries() {
        let Some(&count) = roles.get(role) else {
            let known = item.known_names(role, roles.keys().map(String::as_str));
            item.report(format!("unknown role {}; {known}", units::quote(role)));
            continue;
        };
        let Some(items) = item.list("people, like ann@example.org") else { continue };
        let mut names: Vec<String> = Vec::new();
        for item in items {
            let Some(name) = item.name("who may sign") else { continue };
            if names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                item.report(format!("{} is named twice: keep one", units::quote(name)));
            }
            names.push(name.to_owned());
        }
        if names.len() < count as usize {
            item.report(format!("{count} must sign as {role}, and only {} may: name more people", names.len()));
        }
        people.insert(role.to_owned(), names);
    }
    Some(people)
}

fn rollout(item: &Item, written: &Checks) -> Option<Rollout> {
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
    Some(Rollout {
        external: external?,
        steps: steps?,
        checks: checks?,
        pause_on_inconclusive: pause?,
        initial_delay: initial_delay?,
        dry_run: dry_run?,
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
fn increase(item: &Item, absolute: &str) -> Option<Tolerance> {
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

pub(super) fn rollback(item: &Item, outline: &Outline) -> Option<RollbackPlan> {
    let map = item.map(&keys::ROLLBACK.names())?;
    let to = map
        .get("to")
        .map_or(Some(RollbackTarget::LastStable), |item| item.choice(&[("last_stable", RollbackTarget::LastStable)]));
    let triggers = map.require("triggers", "[{rule: slo/p95, for: 5m}]").and_then(|item| triggers(&item, outline));
    Some(RollbackPlan { to: to?, triggers: triggers? })
}

fn triggers(item: &Item, outline: &Outline) -> Option<Vec<Trigger>> {
    let items = item.list("triggers")?;
    if items.is_empty() {
        return item.fail(
            "expected at least one trigger, read an empty list: write [{rule: slo/p95, for: 5m}], or no `rollback:`",
        );
    }
    let mut triggers: Vec<Trigger> = Vec::new();
    for item in items {
        let Some(map) = item.map(&keys::TRIGGER.names()) else {
            continue;
        };
        let rule = map.require("rule", "group/id").and_then(|item| outline.rule(&item));
        let hysteresis = map.get("for").and_then(|item| hysteresis(&item));
        let Some((group, rule)) = rule else { continue };
        if triggers.iter().any(|trigger| (trigger.group, trigger.rule) == (group, rule)) {
            item.report("this rule triggers already: keep one");
        }
        triggers.push(Trigger { group, rule, hysteresis });
    }
    Some(triggers)
}
