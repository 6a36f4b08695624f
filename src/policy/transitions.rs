//! `transitions:` and `rollback:`: what a promotion asks for, how its traffic moves, and what takes it back.

use std::collections::BTreeMap;

use super::groups::{Outline, hysteresis};
use super::rule_options::tolerance;
use super::types::{Approvals, OfflineGate, RollbackPlan, RollbackTarget, Rollout, RolloutStep, Transition, Trigger};
use crate::yaml::{Item, units};

const EVIDENCE: [&str; 10] = [
    "artifact_digest",
    "env_lock",
    "tests",
    "security_scan",
    "data_snapshot",
    "code_commit",
    "signature",
    "pii_controls",
    "schema",
    "model_card",
];
const SCHEMA_CHANGES: [&str; 1] = ["add_optional"];

pub(super) fn transitions(item: &Item, outline: &Outline) -> Option<Vec<Transition>> {
    let mut transitions: Vec<Option<Transition>> = Vec::new();
    for item in item.list("transitions")? {
        let transition = transition(&item, outline);
        if let Some(new) = &transition
            && transitions.iter().flatten().any(|old| old.from == new.from && old.to == new.to)
        {
            item.report(format!("the transition from {} to {} is written twice: keep one", new.from, new.to));
        }
        transitions.push(transition);
    }
    transitions.into_iter().collect()
}

fn transition(item: &Item, outline: &Outline) -> Option<Transition> {
    let map = item.map(&["from", "to", "evidence", "schema", "offline", "checks", "approvals", "rollout"])?;
    let from = map.require("from", "staging").and_then(|item| item.slug("a stage"));
    let to = map.require("to", "prod").and_then(|item| item.slug("a stage"));
    let evidence =
        map.get("evidence").map_or_else(|| Some(Vec::new()), |item| words(&item, "kinds of evidence", &EVIDENCE));
    let schema_allow = map.get("schema").map_or_else(
        || Some(Vec::new()),
        |item| words(&item.map(&["allow"])?.require("allow", "[add_optional]")?, "schema changes", &SCHEMA_CHANGES),
    );
    let offline = map.get("offline").map_or_else(|| Some(Vec::new()), |item| offline(&item));
    let checks = map.get("checks").map_or_else(|| Some(Vec::new()), |item| outline.groups(&item));
    let approvals = map.get("approvals").map_or(Some(Approvals::Auto), |item| approvals(&item));
    let rollout = map.get("rollout").map(|item| rollout(&item, outline));
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
        let map = item.map(&["metric", "min_gain", "versus"])?;
        let metric = map.require("metric", "auc").and_then(|item| item.name("an offline metric"));
        let min_gain = map.require("min_gain", "{absolute: 0.02}").and_then(|item| tolerance(&item));
        let versus = map
            .get("versus")
            .map_or(Some("baseline"), |item| item.choice(&[("baseline", "baseline"), ("champion", "champion")]));
        Some(OfflineGate { metric: metric?.to_owned(), min_gain: min_gain?, versus: versus?.to_owned() })
    };
    item.list("offline comparisons")?.iter().map(gate).collect::<Vec<_>>().into_iter().collect()
}

fn approvals(item: &Item) -> Option<Approvals> {
    if !item.is_map() {
        return match item.scalar() {
            Some("auto") => Some(Approvals::Auto),
            _ => item.fail("expected `auto` or the roles that approve: write {roles: {owner: 1, reviewer: 1}}"),
        };
    }
    let map = item.map(&["roles", "distinct", "expires"])?;
    let roles = map.require("roles", "{owner: 1, reviewer: 1}").and_then(|item| roles(&item));
    let distinct = map.get("distinct").map_or(Some(true), |item| item.boolean());
    let expires = map.get("expires").map(|item| item.duration(false));
    let expires = match expires {
        Some(expires) => Some(expires?),
        None => None,
    };
    Some(Approvals::Roles { roles: roles?, distinct: distinct?, expires })
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

fn rollout(item: &Item, outline: &Outline) -> Option<Rollout> {
    let map = item.map(&["controller", "steps", "checks", "on_inconclusive"])?;
    let external =
        map.get("controller").map_or(Some(false), |item| item.choice(&[("driftgate", false), ("external", true)]));
    let pause = map.get("on_inconclusive").map_or(Some(true), |item| item.choice(&[("pause", true), ("fail", false)]));
    // Where another controller moves the traffic, the steps may be written down there only.
    let steps = match (map.get("steps"), external) {
        (None, Some(true)) => Some(Vec::new()),
        _ => map.require("steps", "[{weight: 10, for: 30m}, {weight: 100, bake: 1h}]").and_then(|item| steps(&item)),
    };
    let checks = map.require("checks", "[slo]").and_then(|item| {
        let checks = outline.groups(&item)?;
        if item.list("").is_some_and(|items| items.is_empty()) {
            return item.fail("a rollout without checks guards nothing: name at least one group");
        }
        Some(checks)
    });
    Some(Rollout { external: external?, steps: steps?, checks: checks?, pause_on_inconclusive: pause? })
}

fn steps(item: &Item) -> Option<Vec<RolloutStep>> {
    let items = item.list("steps")?;
    let mut steps: Vec<RolloutStep> = Vec::new();
    let last = items.len().saturating_sub(1);
    for (place, item) in items.iter().enumerate() {
        let Some(map) = item.map(&["weight", "for", "bake"]) else {
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
    let map = item.map(&["to", "triggers"])?;
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
        let Some(map) = item.map(&["rule", "for"]) else {
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
