//! A rollout: its steps with weights and the time that is left, and candidate against champion.

use maud::{Markup, PreEscaped, html};

use driftgate_core::codec::number::short;
use driftgate_core::judge::verdict::Status;
use driftgate_core::policy::{Policy, Rollout, RolloutStep};
use driftgate_core::rollout::{self, Look, Phase, State};
use driftgate_core::yaml::units::show_duration;

use crate::http::pages::chart::{self, Point};
use crate::http::pages::markup::{table, time};
use crate::http::pages::overview::rounded;
use crate::http::series::Range;

/// A rollout, under way or ended.
pub fn rollout(state: &State, policy: &Policy) -> Markup {
    let plan = rollout::plan_of(policy, state);
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
    html! {
        h3 { "Against the champion" }
        p { (said) }
        (PreEscaped(over_time(&state.candidate, state.started_ms, &state.looks)))
    }
}

/// The difference of the rates at each look, with its interval: a line for each step, since each counts anew.
fn over_time(candidate: &str, started_ms: i64, looks: &[Look]) -> String {
    let (Some(first), Some(last)) = (looks.first(), looks.last()) else { return String::new() };
    let of = |look: &Look| Point {
        ms: look.at_ms,
        value: Some(look.difference),
        limit: Some(0.0),
        warn: None,
        band: Some((look.lower, look.upper)),
        status: Status::Pass,
    };
    let mut points: Vec<Point> = Vec::new();
    for step in looks.chunk_by(|a, b| a.step == b.step) {
        // A point without a value ends the line of the step before.
        points.extend(points.last().map(|before| Point { value: None, band: None, ..*before }));
        points.extend(step.iter().map(of));
    }
    let range = Range { from_ms: first.at_ms.min(started_ms), to_ms: last.at_ms.saturating_add(1) };
    let title = format!("difference of {candidate} from its champion at each look of the rollout");
    let cells = |look: &Look| {
        vec![
            time(look.at_ms),
            (look.step + 1).to_string(),
            short(look.difference),
            format!("{} to {}", short(look.lower), short(look.upper)),
        ]
    };
    let mut out = chart::line(&title, &points, &[], range);
    out.push_str("<p class=\"soft\">Blue: candidate less champion, by the counts of the step so far; shaded: the interval, valid at all looks together.</p>\n");
    out.push_str(&table(
        "Looks of the comparison",
        &["until", "step", "difference", "interval"],
        looks.iter().rev().map(cells),
    ));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_is_a_line_with_a_band_of_its_own() {
        let look = |at_ms, step, difference| Look {
            at_ms,
            step,
            difference,
            lower: difference - 0.1,
            upper: difference + 0.1,
        };
        let looks = [look(10, 0, 0.02), look(20, 0, 0.01), look(30, 1, -0.02), look(40, 1, -0.01)];
        let shown = over_time("7", 0, &looks);
        let drawn = |of: &str| shown.lines().find(|line| line.contains(of)).unwrap().matches('M').count();
        assert_eq!((drawn("class=\"band\""), drawn("class=\"value\"")), (2, 2), "{shown}");
        assert!(shown.contains("<td>2</td><td>-0.01</td><td>-0.11 to 0.09</td>"), "{shown}");
        assert_eq!(over_time("7", 0, &[]), "");
    }
}
