//! `transitions:` and `rollback:`: what a promotion asks for, how its traffic moves, and what takes it back.

use std::collections::BTreeMap;

use super::groups::{Outline, hysteresis};
use super::keys::{self, EVIDENCE_KINDS, SCHEMA_CHANGES};
use super::rollout::{Checks, increase, rollout};
use super::types::{Approvals, Excluded, OfflineGate, OfflineLimit, RollbackPlan, RollbackTarget, Transition, Trigger};
use crate::rule::options::tolerance;
use crate::yaml::{Item, units};

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
