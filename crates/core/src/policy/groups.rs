//! `checks:`: groups of rules that share a window.

use std::collections::HashMap;

use super::keys;
use super::task::{self, Task};
use super::types::{
    BaselineSpec, Enforce, Group, Hysteresis, LabelAttribute, LabelSpec, Rule, RuleKind, Target, Traffic,
};
use super::windows::{DAY, LocalDays, Millis, WindowSpec};
use crate::rule;
use crate::rule::budget::Budget;
use crate::rule::definition::Reference;
use crate::rule::names::PolicyNames;
use crate::rule::versus::Versus;
use crate::yaml::{Item, units};

const MAX_GROUPS: usize = 32;
const MAX_PANES: Millis = 100_000;

/// What rules need to know of the rest of the policy.
pub(super) struct Surroundings<'a> {
    /// The policy's `lateness`.
    pub lateness: Millis,
    /// What the model predicts.
    pub task: Task,
    /// What `windows:` says.
    pub local: Option<LocalDays>,
    /// Whether `labels:` is written, and what it says unless it has an error of its own.
    pub has_labels: bool,
    pub labels: Option<&'a LabelSpec>,
    /// Whether `score:` is written.
    pub threshold: bool,
    /// `None` where it has an error of its own.
    pub baseline: Option<&'a BaselineSpec>,
}

/// The groups' and rules' names as written, so that references to them can be checked even where a group has errors.
pub(super) struct Outline {
    groups: Vec<(String, Vec<String>)>,
}

impl Outline {
    pub fn of(checks: Option<&Item>) -> Self {
        let Some(map) = checks.filter(|item| item.is_map()).and_then(|item| item.open_map("")) else {
            return Self { groups: Vec::new() };
        };
        let rules = |item: &Item| -> Option<Vec<String>> {
            let rules = item.is_map().then(|| item.open_map(""))??.get("rules").filter(Item::is_list)?.list("")?;
            let id = |rule: &Item| -> Option<String> {
                let map = rule.is_map().then(|| rule.open_map(""))??;
                let (metric, options) = map.entries().next()?;
                let given = options.is_map().then(|| options.open_map(""))?.and_then(|options| options.get("id"));
                Some(given.and_then(|id| id.scalar()).unwrap_or(metric).to_owned())
            };
            Some(rules.iter().map(|rule| id(rule).unwrap_or_default()).collect())
        };
        Self { groups: map.entries().map(|(name, item)| (name.to_owned(), rules(&item).unwrap_or_default())).collect() }
    }

    /// The indexes of groups named in a list.
    pub fn groups(&self, item: &Item) -> Option<Vec<usize>> {
        let mut indexes = Vec::new();
        for item in item.list("groups of `checks:`")? {
            let Some(name) = item.text("a group of `checks:`") else {
                continue;
            };
            match self.groups.iter().position(|(group, _)| group == name) {
                Some(index) if indexes.contains(&index) => {
                    item.report(format!("{} is named twice: keep one", units::quote(name)));
                }
                Some(index) => indexes.push(index),
                None => {
                    let known = item.known_names(name, self.groups.iter().map(|(group, _)| group.as_str()));
                    item.report(format!("unknown group {}; {known}", units::quote(name)));
                }
            }
        }
        Some(indexes)
    }

    /// The indexes of a rule written as `group/id`.
    pub fn rule(&self, item: &Item) -> Option<(usize, usize)> {
        let text = item.text("a rule as group/id")?;
        let place = text.split_once('/').and_then(|(name, id)| {
            let group = self.groups.iter().position(|(group, _)| group == name)?;
            let rule = self.groups.get(group)?.1.iter().position(|rule| rule == id)?;
            Some((group, rule))
        });
        place.or_else(|| {
            let all =
                self.groups.iter().flat_map(|(group, rules)| rules.iter().map(move |rule| format!("{group}/{rule}")));
            let all: Vec<String> = all.collect();
            let same_id = all.iter().find(|rule| !text.contains('/') && rule.ends_with(&format!("/{text}")));
            let hint = match same_id {
                Some(rule) => format!("write `{rule}`"),
                None => item.known_names(text, all.iter().map(String::as_str)),
            };
            item.fail(format!("unknown rule {}; {hint}", units::quote(text)))
        })
    }
}

pub(super) fn groups(item: &Item, names: &mut PolicyNames, surroundings: &Surroundings) -> Option<Vec<Group>> {
    let map = item.open_map("a mapping of group names to groups")?;
    if !(1..=MAX_GROUPS).contains(&map.len()) {
        return item.fail(format!("{} groups: write from 1 to {MAX_GROUPS}", map.len()));
    }
    let read = |(name, item): (&str, Item)| {
        let legal = item.key_is_slug(name, "a group's name");
        group(name, &item, names, surroundings).filter(|_| legal)
    };
    let groups: Vec<Option<Group>> = map.entries().map(read).collect();
    groups.into_iter().collect()
}

fn group(name: &str, item: &Item, names: &mut PolicyNames, surroundings: &Surroundings) -> Option<Group> {
    let map = item.map(&keys::GROUP.names())?;
    let window = map.require("window", "{size: 7d, slide: 1d}").and_then(|item| window(&item, surroundings));
    let traffic = map.get("traffic").map(|item| {
        let traffic = item.choice(&[("version", Traffic::Version), ("model", Traffic::Model)]);
        (item, traffic.unwrap_or(Traffic::Version))
    });
    let enforce = map.get("enforce").and_then(|item| {
        item.choice(&[("block", Enforce::Block), ("warn", Enforce::Warn), ("observe", Enforce::Observe)])
    });
    let stale_after = map.get("stale_after").map(|item| item.duration(false));
    let rules = map
        .require("rules", "[psi: {of: features, lt: 0.2}]")
        .and_then(|item| rules(&item, (name, window), names, surroundings));
    let budget = map.get("budget").map(|item| (Budget::read(&item), item));
    let (window, lateness) = window?;
    let rules = rules?;
    let rules = match budget {
        Some((budget, item)) => within(rules, budget?, &item),
        None => rules,
    };
    if let Some((item, Traffic::Model)) = &traffic
        && let Some(rule) = rules.iter().find(|rule| !reads_only_features(&rule.kind))
    {
        item.report(format!(
            "`traffic: model` is for rules about features, and `{}` reads more than those: move that rule to a group of its own",
            rule.id
        ));
    }
    let stale_after = match stale_after {
        Some(given) => given?,
        None => default_stale_after(window, lateness, &rules, surroundings),
    };
    Some(Group {
        name: name.to_owned(),
        window,
        lateness,
        traffic: traffic.map_or(Traffic::Version, |(_, traffic)| traffic),
        enforce: enforce.unwrap_or(Enforce::Block),
        stale_after,
        rules,
    })
}

/// Three slides and the lateness. A window of labels by prediction time is judged a horizon after its end, and would
/// otherwise be stale before it is judged.
fn default_stale_after(window: WindowSpec, lateness: Millis, rules: &[Rule], surroundings: &Surroundings) -> Millis {
    let horizon = match surroundings.labels {
        Some(labels) if labels.attribute == LabelAttribute::PredictionTime => labels.horizon,
        _ => 0,
    };
    let reads_labels = rules.iter().any(|rule| rule.kind.reads_labels());
    window.slide * 3 + lateness + if reads_labels { horizon } else { 0 }
}

/// Divides a group's budget among the rules that have none.
fn within(rules: Vec<Rule>, budget: Budget, item: &Item) -> Vec<Rule> {
    let is_free = |rule: &Rule| rule.kind.budget().is_none() && !rule.kind.definition().has_own_budget();
    for rule in rules.iter().filter(|rule| is_free(rule)) {
        if let Some(why) = rule.kind.unbounded() {
            item.report(format!("`{}` takes no budget: {why}; move it to a group of its own", rule.id));
        }
    }
    let share = budget.shared_by(u32::try_from(rules.iter().filter(|rule| is_free(rule)).count()).unwrap_or(u32::MAX));
    let one = |rule: Rule| if is_free(&rule) { Rule { kind: rule.kind.clone().within(share), ..rule } } else { rule };
    rules.into_iter().map(one).collect()
}

fn reads_only_features(kind: &RuleKind) -> bool {
    let of_events = |target: &Target| matches!(target, Target::Score | Target::Label | Target::Prediction);
    kind.of_rule().is_some() || kind.reads_features() && !kind.targets().iter().any(of_events)
}

fn window(item: &Item, surroundings: &Surroundings) -> Option<(WindowSpec, Millis)> {
    let map = item.map(&keys::WINDOW.names())?;
    let size_item = map.require("size", "7d");
    let size = size_item.as_ref().and_then(|item| item.duration(false));
    let slide = map.require("slide", "1d").and_then(|item| item.duration(false));
    let lateness = map.get("lateness").map_or(Some(surroundings.lateness), |item| item.duration(true));
    let (item, size, slide) = (size_item?, size?, slide?);
    let shown = units::show_duration;
    if size % slide != 0 {
        return item.fail(format!(
            "size {} is not a multiple of slide {}: write a size that is, like {}",
            shown(size),
            shown(slide),
            shown((size / slide + 1) * slide)
        ));
    }
    if size / slide > MAX_PANES {
        return item.fail(format!(
            "size {} holds {} slides of {}: write a longer slide, at most {MAX_PANES} slides a window",
            shown(size),
            size / slide,
            shown(slide)
        ));
    }
    let local = surroundings.local.filter(|_| slide % DAY == 0);
    Some((WindowSpec { size, slide, local }, lateness?))
}

fn rules(
    item: &Item,
    (group, window): (&str, Option<(WindowSpec, Millis)>),
    names: &mut PolicyNames,
    surroundings: &Surroundings,
) -> Option<Vec<Rule>> {
    let items = item.list("rules")?;
    if items.is_empty() {
        return item
            .fail("expected at least one rule, read an empty list: write one like `psi: {of: features, lt: 0.2}`");
    }
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut rules = Vec::new();
    for (place, item) in items.iter().enumerate() {
        let rule = rule(item, window.map(|(window, _)| window), names, surroundings);
        if let Some(rule) = &rule {
            if let Some(first) = seen.get(&rule.id) {
                item.report(format!(
                    "two rules are called `{}` in this group, the first is rules[{first}]: give this one an `id`",
                    rule.id
                ));
            } else {
                seen.insert(rule.id.clone(), place);
            }
        }
        rules.push(rule);
    }
    let read: Vec<Rule> = rules.into_iter().collect::<Option<_>>()?;
    for (rule, item) in read.iter().zip(&items) {
        of_rule(rule, &read, group, item)?;
    }
    Some(read)
}

/// A rule that is judged by another one's results needs that one beside it.
fn of_rule(rule: &Rule, rules: &[Rule], group: &str, item: &Item) -> Option<()> {
    let Some((of, id)) = rule.kind.of_rule() else { return Some(()) };
    let on_features = |other: &&Rule| other.kind.reads_features();
    if of == group && rules.iter().filter(on_features).any(|other| other.id == id) {
        return Some(());
    }
    let known: Vec<String> = rules.iter().filter(on_features).map(|other| format!("`{group}/{}`", other.id)).collect();
    item.fail(format!(
        "`{}` counts the subjects of `{of}/{id}`, which is no rule on features of this group; known here: {}",
        rule.id,
        known.join(", ")
    ))
}

fn rule(item: &Item, window: Option<WindowSpec>, names: &mut PolicyNames, surroundings: &Surroundings) -> Option<Rule> {
    let map = item.open_map("one metric with its options, like `psi: {of: features, lt: 0.2}`")?;
    let mut entries = map.entries();
    let (Some((metric, options)), None) = (entries.next(), entries.next()) else {
        let keys: Vec<String> = map.entries().map(|(key, _)| format!("`{key}`")).collect();
        return item.fail(format!(
            "expected one metric with its options, read the keys {}: write the options in braces or indented below the metric, and each rule with its own dash",
            keys.join(", ")
        ));
    };
    let (kind, map) = rule::parse(metric, &options, names)?;
    let kind = kind.map(|kind| local_dates(kind, map.get("versus"), window));
    let id = map.get("id").map(|item| item.slug("a rule's id"));
    let hysteresis = map.get("for").map(|item| hysteresis(&item));
    let metric = kind.as_ref().map_or("", RuleKind::metric);
    if let Some(kind) = &kind {
        needs(kind, metric, &options, surroundings);
        fits(kind, metric, map.get("versus").as_ref().unwrap_or(&options), window);
    }
    Some(Rule {
        id: match id {
            Some(id) => id?.to_owned(),
            None => metric.to_owned(),
        },
        hysteresis: match hysteresis {
            Some(hysteresis) => Some(hysteresis?),
            None => None,
        },
        kind: kind?,
    })
}

/// The same rule, whose reference's dates are those of the windows' time zone: a date is its midnight there.
fn local_dates(kind: RuleKind, versus: Option<Item>, window: Option<WindowSpec>) -> RuleKind {
    let (Versus::Between(from, to), Some(window)) = (kind.versus(), window) else { return kind };
    let Some(map) = versus.and_then(|item| item.map(&["rolling", "season", "back", "from", "to"])) else { return kind };
    let is_date =
        |key| map.get(key).and_then(|item| item.text("a date")).is_some_and(|text| text.len() == "2026-01-01".len());
    let there = |key, ts| if is_date(key) { window.midnight(ts) } else { ts };
    let least = kind.least();
    kind.against(Versus::Between(there("from", from), there("to", to)), least)
}

/// What a rule is compared with has to fit its windows, and to exist.
fn fits(kind: &RuleKind, metric: &str, item: &Item, window: Option<WindowSpec>) {
    let versus = kind.versus();
    if versus == Versus::Training
        && kind.is_change()
        && kind.definition().baseline == Reference::None
        && metric != "invalid_rate"
    {
        item.report(format!(
            "a change of {metric} has nothing to be compared with, a snapshot has no such value: write `versus: previous`, or another earlier time"
        ));
    }
    let Some(window) = window else { return };
    let WindowSpec { size, slide, local } = window;
    if let Some(why) = versus.misfit(size, slide, |ts| window.is_start(ts)) {
        let zone = local.filter(|_| matches!(versus, Versus::Between(..)));
        item.report(zone.map_or_else(
            || why.clone(),
            |local| {
                format!(
                    "{why}; in the time zone {} each begins at midnight there, so write dates like 2026-01-01",
                    local.name()
                )
            },
        ));
    } else if versus.back(size).saturating_add(size) / slide > MAX_PANES {
        item.report(format!(
            "the reference reaches back {} slides of {}: write a longer slide, or look back less; at most {MAX_PANES} are kept",
            versus.back(size) / slide,
            units::show_duration(slide)
        ));
    }
}

/// What is estimated needs rows of a score and a label.
fn calibrates(metric: &str, item: &Item, surroundings: &Surroundings) {
    if let Some(baseline) = surroundings.baseline
        && (baseline.score_column.is_none() || baseline.label_column.is_none())
    {
        item.report(format!(
            "{metric} is calibrated by rows of a score and a label: write `baseline: {{columns: {{score: …, label: …}}, reference: …}}`"
        ));
    }
}

/// What a rule needs from the rest of the policy.
fn needs(kind: &RuleKind, metric: &str, item: &Item, surroundings: &Surroundings) {
    if let Some(why) = task::misfit(surroundings.task, kind, metric) {
        return item.report(why);
    }
    if kind.reads_calibration() {
        calibrates(metric, item, surroundings);
    }
    if kind.reads_labels() && !surroundings.has_labels {
        item.report(format!(
            "{metric} reads labels, and the policy has none: write `labels: {{horizon: 2d}}` at the top"
        ));
    }
    // What is estimated of decisions divides the scores at the threshold.
    let divides = kind.reads_calibration() && kind.binning().is_some();
    if (kind.definition().counts.reads_decisions() || divides) && !surroundings.threshold {
        item.report(format!(
            "{metric} reads decisions, and those come from the score: write `score: {{threshold: 0.5}}` at the top"
        ));
    }
}

/// `3`, consecutive windows, `3 of 5`, so many of the last windows, or `5m`, a span of event time.
pub(super) fn hysteresis(item: &Item) -> Option<Hysteresis> {
    if let Some((breaching, of)) = item.scalar().and_then(|text| text.split_once(" of ")) {
        let count = |text: &str| text.trim().parse::<u32>().ok();
        return match (count(breaching), count(of)) {
            (Some(breaching @ 1..), Some(of @ ..=Hysteresis::MOST_OF)) if breaching <= of => {
                Some(Hysteresis::SomeOf { breaching, of })
            }
            _ => item.fail(format!(
                "expected so many of the last windows, of at most {}, read {}: write `3 of 5`",
                Hysteresis::MOST_OF,
                units::quote(item.scalar().unwrap_or_default())
            )),
        };
    }
    match item.scalar().map(str::parse::<u32>) {
        Some(Ok(windows @ 1..=1000)) => Some(Hysteresis::Windows(windows)),
        Some(Ok(windows)) => item
            .fail(format!("expected from 1 to 1000 windows, read {windows}: write the count, or a duration like 5m")),
        _ => item.duration(false).map(Hysteresis::Duration),
    }
}
