//! The page of a promotion: the gate's answer with every finding, the rollout, approvals and records; and, for who is signed in, forms that lead to a page
//! which says what will happen.

mod forms;
mod steps;

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, PreEscaped, html};
use serde_json::Value;

use super::act::title;
use super::layout::{self, Part};
use super::markup::{part, time, version_path};
use super::standing::standing;
use crate::api::{Explanation, PromotionPageQuery};
use crate::http::app::{Shared, known_model, registry};
use crate::http::auth::Visitor;
use crate::http::explain::explain;
use crate::http::needs::Act;
use crate::http::problem::{Parameters, PathNames, Problem};
use driftgate_core::gate::{Answer, GateVerdict};
use driftgate_core::policy::Policy;
use driftgate_core::promotion::types::{Approval, Finding, GateOutcome};
use driftgate_core::rollout;
use forms::Forms;

/// GET /models/{model}/versions/{version}/promotion
pub async fn promotion(
    State(app): State<Shared>,
    visitor: Visitor,
    PathNames((model, version)): PathNames<(String, String)>,
    Parameters(query): Parameters<PromotionPageQuery>,
) -> Result<Response, Problem> {
    let seen = explain(State(Arc::clone(&app)), PathNames((model.clone(), version.clone()))).await?.0;
    let policy = known_model(&app, &model)?.policy;
    let name = model.clone();
    let rollout = registry(&app, move |r| r.last_rollout(&name)).await?;
    let done = query.done.as_deref().and_then(Act::read);
    let page = Page { seen: &seen, policy: &policy, rollout: rollout.as_ref(), visitor: &visitor, done };
    Ok(layout::page(&format!("Promotion of {model} {version}"), Part::Models, &visitor, &page.body()))
}

/// Everything that the page shows.
struct Page<'p> {
    seen: &'p Explanation,
    policy: &'p Policy,
    /// The model's last one.
    rollout: Option<&'p rollout::State>,
    visitor: &'p Visitor,
    /// What was just done.
    done: Option<Act>,
}

impl Page<'_> {
    fn body(&self) -> Markup {
        let Explanation { model, version, stages, .. } = self.seen;
        let forms = Forms { seen: self.seen, policy: self.policy, rollout: self.rollout, visitor: self.visitor };
        html! {
            h1 { "Promotion of " (model) " " (version) " "
                @for stage in stages { span.chip { (stage) } } }
            p { a href=(version_path(model, version)) { "Results over time" } }
            @if let Some(done) = self.done {
                div.notice.pass role="status" { p { (title(done)) ": done. The audit log has a record of it." } }
            }
            (standing(self.seen))
            @if self.seen.gates.0.is_empty() { p.soft { "The policy has no transitions: nothing is promoted." } }
            @for (stage, answer) in &self.seen.gates.0 { (gate(stage, answer, &forms)) }
            @if let Some(state) = self.rollout { (steps::rollout(state, self.policy)) (forms.rollout()) }
            (self.approvals())
            (self.records())
            (forms.others())
        }
    }

    fn approvals(&self) -> Markup {
        if self.seen.approvals.is_empty() {
            return html! {};
        }
        let row = |approval: &Approval| {
            let whole = approval.policy_sha256 == self.policy.sha256;
            html! { tr {
                td { (time(approval.at_ms)) } td { (approval.actor) } td { (approval.role) } td { (approval.to) }
                td { @if whole { "yes" } @else { span.warn { "no: another policy" } } }
                td { (approval.comment.as_deref().unwrap_or_default()) }
            } }
        };
        html! {
            h2 { "Approvals" }
            div.scroll tabindex="0" role="region" aria-label="Approvals" {
                table {
                    thead { tr { @for head in ["given", "by", "as", "for", "of this policy", "comment"] { th scope="col" { (head) } } } }
                    tbody { @for approval in self.seen.approvals.iter().rev() { (row(approval)) } }
                }
            }
        }
    }

    /// The promotion records, the newest first.
    fn records(&self) -> Markup {
        let Explanation { model, version, promotions, .. } = self.seen;
        let Some(newest) = promotions.first() else { return html! {} };
        let shown = [
            "status",
            "at",
            "actor",
            "approvers",
            "from_stage",
            "to_stage",
            "rollout",
            "rollback_to",
            "comment",
            "retry",
            "ended_at",
            "promotion_id",
        ];
        let note = format!("/api/v1/models/{}/versions/{}/promotions?format=markdown", part(model), part(version));
        html! {
            h2 { "Record" }
            dl { @for name in shown { @if let Some(text) = said(newest.get(name)) { dt { (name.replace('_', " ")) } dd { (text) } } } }
            p { a href=(PreEscaped(note)) { "The whole record as a note" }
                @if promotions.len() > 1 { span.soft { " · " (promotions.len() - 1) " before it" } } }
        }
    }
}

/// The gate's answer for a stage, with every finding.
fn gate(stage: &str, answer: &Answer, forms: &Forms<'_>) -> Markup {
    let mut findings: Vec<&Finding> = answer.gates.iter().collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(weight(finding.outcome)));
    let colour = match answer.verdict {
        GateVerdict::Pass => "pass",
        GateVerdict::Pending => "warn",
        GateVerdict::Block => "block",
        GateVerdict::Inconclusive => "insufficient",
    };
    html! {
        h2 { "To " (stage) ": " span class=(colour) { (answer.verdict.name()) } }
        @if let Some(copy) = &answer.copy {
            p.soft { "From a copy of the registry" @if let Some(age) = copy.age_ms { ", " (age) " ms old" } "." }
        }
        @if !answer.reasons.is_empty() { ul { @for reason in &answer.reasons { li { (reason) } } } }
        @for note in &answer.notes { p.soft { (note) } }
        (forms.gate(stage))
        details open[answer.verdict != GateVerdict::Pass] {
            summary { (findings.len()) " findings" }
            div.scroll tabindex="0" role="region" aria-label={ "Findings of the gate to " (stage) } {
                table {
                    thead { tr { th scope="col" { "gate" } th scope="col" { "outcome" } th scope="col" { "finding" } } }
                    tbody { @for finding in findings { tr {
                        td { (finding.gate) } td { (outcome(finding.outcome)) } td { (finding.detail) }
                    } } }
                }
            }
        }
    }
}

/// A field of a record for people.
fn said(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Array(list) if list.is_empty() => None,
        Value::Array(list) => Some(list.iter().filter_map(|one| said(Some(one))).collect::<Vec<_>>().join(", ")),
        other => Some(other.to_string()),
    }
}

/// What speaks most against it is greatest.
fn weight(outcome: GateOutcome) -> u8 {
    match outcome {
        GateOutcome::Pass => 0,
        GateOutcome::Warn => 1,
        GateOutcome::Pending => 2,
        GateOutcome::Inconclusive => 3,
        GateOutcome::Block => 4,
    }
}

fn outcome(outcome: GateOutcome) -> Markup {
    let (colour, sign, name) = match outcome {
        GateOutcome::Pass => ("pass", "✓", "pass"),
        GateOutcome::Warn => ("warn", "!", "warn"),
        GateOutcome::Pending => ("warn", "…", "pending"),
        GateOutcome::Inconclusive => ("insufficient", "?", "inconclusive"),
        GateOutcome::Block => ("block", "✕", "block"),
    };
    html! { span class={ "state " (colour) } { (sign) " " (name) } }
}
