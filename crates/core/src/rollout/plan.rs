//! The plan of a rollout for people.

use super::state::State;
use crate::policy::{Compare, Policy, Rollout, RolloutStep, Router, Tolerance};
use crate::yaml::units::show_duration;

/// What the policy, as it is now, says of a rollout.
#[must_use]
pub fn plan_of<'p>(policy: &'p Policy, state: &State) -> Option<&'p Rollout> {
    policy.transitions.iter().find(|t| t.from == state.from && t.to == state.to)?.rollout.as_ref()
}

/// The plan in a line: `10% for 30m, 50% for 2h, 100% with a bake of 1h; checks slo; inconclusive pauses`.
#[must_use]
pub fn describe(policy: &Policy, rollout: &Rollout) -> String {
    let mut parts = Vec::new();
    if rollout.external {
        parts.push("another controller moves the traffic".to_owned());
    }
    if !rollout.steps.is_empty() {
        parts.push(rollout.steps.iter().map(step).collect::<Vec<_>>().join(", "));
    }
    let groups = rollout.checks.iter().filter_map(|&at| policy.groups.get(at)).map(|group| group.name.as_str());
    parts.push(format!("checks {}", groups.collect::<Vec<_>>().join(", ")));
    parts.push(if rollout.pause_on_inconclusive { "inconclusive pauses" } else { "inconclusive fails" }.to_owned());
    if rollout.initial_delay > 0 {
        parts.push(format!("starts {} after the first verdict", show_duration(rollout.initial_delay)));
    }
    if let Some(compare) = &rollout.compare {
        parts.push(comparison(policy, compare));
    }
    if rollout.confirm {
        parts.push("a person confirms the last step".to_owned());
    }
    if !rollout.traffic.is_empty() {
        let routers: Vec<String> = rollout.traffic.iter().map(Router::name).collect();
        parts.push(format!("driftgate sets the weights of {}", routers.join(", ")));
    }
    if rollout.dry_run {
        parts.push("dry run".to_owned());
    }
    parts.join("; ")
}

/// `10% for 30m`, `mirrored traffic for 1h`, `100% with a bake of 1h`.
pub(super) fn step(step: &RolloutStep) -> String {
    let weight = if step.weight > 0.0 { format!("{}%", step.weight) } else { "mirrored traffic".to_owned() };
    match (step.hold, step.bake) {
        (Some(hold), _) => format!("{weight} for {}", show_duration(hold)),
        (None, Some(bake)) => format!("{weight} with a bake of {}", show_duration(bake)),
        (None, None) => weight,
    }
}

/// Whether candidate and champion both have traffic of their own on a step.
pub(super) fn compares(step: &RolloutStep) -> bool {
    step.weight > 0.0 && step.weight < 100.0
}

/// The KPI that a comparison is about.
pub(super) fn kpi<'a>(policy: &'a Policy, compare: &Compare) -> &'a str {
    let kind = policy.groups.get(compare.group).and_then(|group| group.rules.get(compare.rule)).map(|rule| &rule.kind);
    kind.and_then(|kind| policy.kpis.get(kind.kpi()?)).map_or("the KPI", String::as_str)
}

/// `1.5%` of the champion's, or `0.02` as it is.
pub(super) fn amount(tolerance: Tolerance) -> String {
    match tolerance {
        Tolerance::Absolute(x) => x.to_string(),
        Tolerance::Relative(x) => x.percent(),
    }
}

fn comparison(policy: &Policy, compare: &Compare) -> String {
    let latency = compare.latency.map_or_else(String::new, |latency| {
        let unit = if matches!(latency.max_increase, Tolerance::Absolute(_)) { " ms" } else { "" };
        format!(" and latency at most {}{unit} above", amount(latency.max_increase))
    });
    format!(
        "{} at least {} above the champion's{latency}, {} confidence",
        kpi(policy, compare),
        amount(compare.min_gain),
        compare.confidence.percent()
    )
}
