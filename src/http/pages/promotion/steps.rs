//! A rollout: its steps with weights and the time that is left, and candidate against champion.

use maud::{Markup, html};

use driftgate_core::codec::number::short;
use driftgate_core::policy::{Policy, Rollout, RolloutStep};
use driftgate_core::rollout::{self, Phase, State};
use driftgate_core::yaml::units::show_duration;

use crate::http::pages::markup::time;
use crate::http::pages::overview::rounded;

/// A rollout, under way or ended.
pub fn rollout(state: &State, policy: &Policy) -> Markup {
    let plan = policy.transitions.iter().filter(|t| t.to == state.to).find_map(|t| t.rollout.as_ref());
    html! {
        h2 { "Rollout of " (state.candidate) ": " (state.phase.name())
            @if !state.phase.is_over() { " at " (short(state.weight)) "%" } }
        p { "From " (state.from) " to " (state.to) ", " @match &state.champion {
                Some(champion) => { "against " (champion) } None => "without a champion" }
            ", since " (time(state.started_ms)) "." @if state.dry_run { " A dry run: nothing moves." }
            @if state.external { " Another controller moves the traffic." } }
        @if let Some(why) = &state.paused { div.notice.warn { p { b { "Paused: " } (why) } } }
        p.soft { (state.why) }
        @if !state.routes.is_empty() {
            ul { @for route in &state.routes { li { (route.sentence()) } } @if let Some(said) = rollout::measured(state) { li { (said) } } }
        }
        @if let Some(plan) = plan { (steps(state, plan)) (compared(state, policy, plan)) }
    }
}

fn steps(state: &State, plan: &Rollout) -> Markup {
    if plan.steps.is_empty() {
        return html! {};
    }
    html! {
        div.scroll tabindex="0" role="region" aria-label="Steps of the rollout" {
            table {
                thead { tr { th.num scope="col" { "step" } th.num scope="col" { "weight" } th scope="col" { "for" } th scope="col" { "state" } } }
                tbody { @for (at, step) in plan.steps.iter().enumerate() {
                    tr aria-current=[(at == state.step && !state.phase.is_over()).then_some("step")] {
                        td.num { (at + 1) }
                        td.num { (short(step.weight)) "%" }
                        td { (span(step)) }
                        td { (standing(state, at, step)) }
                    }
                } }
            }
        }
    }
}

fn span(step: &RolloutStep) -> String {
    match (step.hold, step.bake) {
        (Some(hold), _) => show_duration(hold),
        (None, Some(bake)) => format!("bakes {}", show_duration(bake)),
        (None, None) => String::new(),
    }
}

fn standing(state: &State, at: usize, step: &RolloutStep) -> Markup {
    let is_over = state.phase.is_over();
    html! {
        @if state.phase == Phase::Succeeded || at < state.step { span.pass { "✓ done" } }
        @else if at > state.step { span.soft { @if is_over { "not reached" } @else { "to come" } } }
        @else if is_over { span.block { "✕ ended here" } }
        @else {
            b { "now" }
            @if let Some(all) = step.hold.or(step.bake) {
                // Event time, without pauses.
                @let left = all.saturating_sub(state.elapsed_ms(state.step_started_ms, state.now_ms));
                @if left > 0 { ", " (rounded(left)) " left" } @else { ", its time is over" }
            }
        }
    }
}

/// Candidate against champion, with the interval.
fn compared(state: &State, policy: &Policy, plan: &Rollout) -> Markup {
    let Some(said) = rollout::standing(state, policy, plan) else { return html! {} };
    html! { h3 { "Against the champion" } p { (said) } }
}
