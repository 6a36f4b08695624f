//! What a person does on a page: first a page that says what will happen, then the same function that the API calls.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};
use serde::{Deserialize, Serialize};

use super::layout::{self, Part};
use super::markup::{promotion_path, version_path};
use super::session::{OwnForm, leading};
use crate::api::{
    ActQuery, ApprovalRequest, Explanation, FreezeRequest, PromoteRequest, Promoted, RollbackRequest, RolloutRequest,
    UnblockRequest,
};
use crate::http::actions::request::{Body, By};
use crate::http::actions::{approvals, overrides, promotions, rollouts};
use crate::http::app::Shared;
use crate::http::auth::Visitor;
use crate::http::explain::explain;
use crate::http::needs::Act;
use crate::http::problem::{Parameters, PathNames, Problem};
use driftgate_core::promotion::PROD;

/// GET …/promotion/{action}: what will happen, and a button.
pub async fn confirm(
    State(app): State<Shared>,
    visitor: Visitor,
    PathNames((model, version, action)): PathNames<(String, String, String)>,
    Parameters(query): Parameters<ActQuery>,
) -> Result<Response, Problem> {
    let act = known(&action)?;
    let seen = explain(State(Arc::clone(&app)), PathNames((model.clone(), version.clone()))).await?.0;
    let query = filled(query);
    let back = promotion_path(&model, &version);
    let body = html! {
        h1 { (title(act)) ": " (model) " " (version) }
        div.notice.warn {
            p { b { "What will happen: " } (happens(act, &seen, &query)) }
        }
        @match visitor.may(act, &model) {
            Err(why) => {
                div.notice.block { p { (why) } }
                p { a href={ (back) } { "Back" } }
            }
            Ok(()) => {
                form method="post" action={ (back) "/" (act.name()) } {
                    input type="hidden" name="csrf" value=(visitor.csrf);
                    (hidden(&query))
                    @if asks_why(act) && query.reason.is_none() {
                        p { label { "reason, for the audit log " input name="reason" required maxlength="2000" size="60"; } }
                    }
                    p { button.main[!is_grave(act)].danger[is_grave(act)] { (title(act)) } " " a href=(back) { "Cancel" } }
                }
            }
        }
    };
    Ok(layout::page(&format!("{} {model} {version}", title(act)), Part::Models, &visitor, &body))
}

/// What the form of `confirm` sends.
#[derive(Deserialize)]
pub struct Given {
    csrf: String,
    #[serde(flatten)]
    query: ActQuery,
}

/// POST …/promotion/{action}
pub async fn act(
    State(app): State<Shared>,
    visitor: Visitor,
    PathNames((model, version, action)): PathNames<(String, String, String)>,
    OwnForm(given): OwnForm<Given>,
) -> Result<Response, Problem> {
    let act = known(&action)?;
    visitor.check(&given.csrf)?;
    // The rule of the route has let the caller through: here is who it is.
    let caller = visitor.caller.clone().ok_or_else(|| Problem::forbidden("sign in first"))?;
    let by =
        By { roles: caller.approves_as(&model), actor: caller.actor, model: model.clone(), version: version.clone() };
    if let Some(promoted) = perform(&app, act, by, filled(given.query)).await?
        && !promoted.answer.ok
    {
        return Ok(refused(&visitor, (&model, &version), &promoted));
    }
    Ok(leading(&format!("{}?done={}", promotion_path(&model, &version), act.name()), None))
}

/// Calls what the API calls.
async fn perform(app: &Shared, act: Act, by: By, query: ActQuery) -> Result<Option<Promoted>, Problem> {
    let app = || State(Arc::clone(app));
    let to = query.to.unwrap_or_else(|| PROD.to_owned());
    let reason = query.reason.clone().unwrap_or_default();
    let told = |action: &str| sent(&RolloutRequest { action: action.to_owned(), reason: query.reason.clone() });
    match act {
        Act::Approve => {
            let request = ApprovalRequest { to, role: query.role, comment: query.comment };
            drop(approvals::approvals(app(), by, sent(&request)?).await?);
        }
        Act::Promote => {
            let request = PromoteRequest { to, retry: query.retry, comment: query.comment };
            return Ok(Some(promotions::promote(app(), by, sent(&request)?).await?.0));
        }
        Act::Pause => drop(rollouts::rollout(app(), by, told("pause")?).await?),
        Act::Continue => drop(rollouts::rollout(app(), by, told("resume")?).await?),
        Act::Confirm => drop(rollouts::rollout(app(), by, told("promote")?).await?),
        Act::Abort => drop(rollouts::rollout(app(), by, told("abort")?).await?),
        Act::RollBack => {
            let request = RollbackRequest { reason, to: query.back_to, drill: false };
            drop(promotions::rollback(app(), by, sent(&request)?).await?);
        }
        Act::Unblock => {
            drop(overrides::unblock(app(), by, sent(&UnblockRequest { reason, group: query.group })?).await?);
        }
        Act::Freeze => drop(rollouts::freeze(app(), by, sent(&FreezeRequest { reason: query.reason })?).await?),
        Act::Resume => drop(rollouts::resume(app(), by).await?),
    }
    Ok(None)
}

fn sent(request: &impl Serialize) -> Result<Body, Problem> {
    serde_json::to_vec(request).map(|bytes| Ok(Bytes::from(bytes))).map_err(Problem::internal)
}

fn known(action: &str) -> Result<Act, Problem> {
    let names: Vec<&str> = Act::ALL.iter().map(|act| act.name()).collect();
    Act::read(action).ok_or_else(|| {
        Problem::not_found(format!("{action:?} is nothing that can be done here; there are {}", names.join(", ")))
    })
}

/// Fields that were left empty are not given.
fn filled(query: ActQuery) -> ActQuery {
    let set = |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    ActQuery {
        to: set(query.to),
        role: set(query.role),
        comment: set(query.comment),
        reason: set(query.reason),
        retry: set(query.retry),
        back_to: set(query.back_to),
        group: set(query.group),
    }
}

fn hidden(query: &ActQuery) -> Markup {
    let fields = [
        ("to", &query.to),
        ("role", &query.role),
        ("comment", &query.comment),
        ("reason", &query.reason),
        ("retry", &query.retry),
        ("back_to", &query.back_to),
        ("group", &query.group),
    ];
    html! { @for (name, value) in fields { @if let Some(value) = value { input type="hidden" name=(name) value=(value); } } }
}

/// What is refused without a reason.
fn asks_why(act: Act) -> bool {
    matches!(act, Act::Pause | Act::Abort | Act::RollBack | Act::Unblock | Act::Freeze)
}

/// What takes traffic away, or lets it on in spite of a block.
fn is_grave(act: Act) -> bool {
    matches!(act, Act::Abort | Act::RollBack | Act::Unblock)
}

/// The button.
pub fn title(act: Act) -> &'static str {
    match act {
        Act::Approve => "Approve",
        Act::Promote => "Promote",
        Act::Pause => "Pause the rollout",
        Act::Continue => "Resume the rollout",
        Act::Confirm => "Promote now",
        Act::Abort => "Abort the rollout",
        Act::RollBack => "Roll back",
        Act::Unblock => "End the block",
        Act::Freeze => "Freeze automatic actions",
        Act::Resume => "Resume automatic actions",
    }
}

/// A sentence for people who are about to do it.
fn happens(act: Act, seen: &Explanation, query: &ActQuery) -> String {
    let Explanation { model, version, .. } = seen;
    let to = query.to.as_deref().unwrap_or(PROD);
    let gate = seen.gates.0.iter().find(|(stage, _)| stage == to).map(|(_, answer)| answer);
    match act {
        Act::Approve => {
            let role = query.role.as_ref().map_or_else(String::new, |role| format!(" as {role}"));
            format!(
                "{model} {version} is approved for {to}{role}, in your name. The approval is bound to the artifact, the policy and the evidence as they are now; if \
                 one of them changes, it is void. Where it is the last one that is asked for, the version can be promoted."
            )
        }
        Act::Promote => {
            let says = gate.map_or("has no answer".to_owned(), |answer| {
                let reasons =
                    if answer.reasons.is_empty() { String::new() } else { format!(": {}", answer.reasons.join("; ")) };
                format!("says {} now{reasons}", answer.verdict.name())
            });
            format!(
                "the gate is asked again and, if it passes, {model} {version} is promoted to {to}: by the steps of the policy's rollout where it has one, else at once. The gate {says}."
            )
        }
        Act::Pause => format!("the rollout of {model} stands still at its present weight until somebody resumes it."),
        Act::Continue => format!("the rollout of {model} goes on from the step at which it was paused."),
        Act::Confirm => format!(
            "the rest of the rollout's steps of {model} is left out, and the gate is asked: if it passes, the stage's pointer moves to the candidate."
        ),
        Act::Abort => format!(
            "the rollout of {model} ends as failed: the candidate gets no traffic any more, and the champion stays."
        ),
        Act::RollBack => {
            let back =
                query.back_to.clone().or_else(|| seen.rollback_target.as_ref().map(|target| target.version.clone()));
            match back {
                Some(back) => format!("{PROD} of {model} moves from {version} back to {back}, at once."),
                None => format!(
                    "{PROD} of {model} is to move away from {version}, and there is no version to go back to: nothing will move."
                ),
            }
        }
        Act::Unblock => {
            let of = query.group.as_ref().map_or_else(|| "every group".to_owned(), |group| format!("group {group}"));
            format!(
                "the active blocks of {model} {version} in {of} end, although its results still block. The next window that blocks raises a new one."
            )
        }
        Act::Freeze => format!(
            "automatic promotions, rollouts and rollbacks of {model} stop until somebody resumes them. What people do is not stopped."
        ),
        Act::Resume => format!("automatic promotions, rollouts and rollbacks of {model} happen again."),
    }
}

/// The gate did not pass.
fn refused(visitor: &Visitor, (model, version): (&str, &str), promoted: &Promoted) -> Response {
    let body = html! {
        h1 { "Not promoted: " (model) " " (version) }
        div.notice.block {
            p { "The gate says " b { (promoted.answer.verdict.name()) } "." }
            ul { @for reason in &promoted.answer.reasons { li { (reason) } } }
        }
        p { a href=(promotion_path(model, version)) { "Back to the promotion" } " · " a href=(version_path(model, version)) { "Results" } }
    };
    (StatusCode::CONFLICT, layout::page("Not promoted", Part::Models, visitor, &body)).into_response()
}
