//! Approvals, each in a role that the policy asks for.

use axum::Json;
use axum::extract::State;

use super::request::{Body, By, LONGEST_NAME, LONGEST_REASON, all_bounded, body};
use crate::api::{ApprovalRequest, Approved};
use crate::http::app::{Shared, known_model, with_context};
use crate::http::problem::Problem;
use crate::ledger::GivenApproval;
use driftgate_core::policy::{Approvals, Policy};

/// POST …/approvals: `{"to": "prod", "role": "owner"}`
pub async fn approvals(State(app): State<Shared>, by: By, given: Body) -> Result<Json<Approved>, Problem> {
    let given: ApprovalRequest = body(given, "any of to, role and comment")?;
    all_bounded(&[
        ("to", Some(&given.to), LONGEST_NAME),
        ("role", given.role.as_deref(), LONGEST_NAME),
        ("comment", given.comment.as_deref(), LONGEST_REASON),
    ])?;
    let policy = known_model(&app, &by.model)?.policy;
    let role = approving_as(&policy, &given, &by)?;
    with_context(&app, &by.model, &by.actor, move |registry, context| {
        let said = GivenApproval {
            policy: context.policy,
            to: &given.to,
            role: &role,
            comment: given.comment.as_deref(),
            actor: context.actor,
        };
        let approval = registry.approve(&context.policy.model, &by.version, &said, context.now_ms)?;
        let answer = registry.gate(context, &by.version, &given.to)?;
        Ok(Approved { approval, gate: answer })
    })
    .await
    .map(Json)
}

/// The role that is approved in: the one that is named, if the token and the policy know it; else the only one there is.
fn approving_as(policy: &Policy, given: &ApprovalRequest, by: &By) -> Result<String, Problem> {
    let mut asked: Vec<&String> = Vec::new();
    for transition in policy.transitions.iter().filter(|t| t.to == given.to) {
        if let Approvals::Roles { roles, .. } = &transition.approvals {
            asked.extend(roles.keys());
        }
    }
    asked.sort_unstable();
    asked.dedup();
    if asked.is_empty() {
        return Err(Problem::bad_request(format!(
            "the policy of {:?} asks nobody to approve a promotion to {:?}",
            policy.model, given.to
        )));
    }
    let named = |list: &[&String]| list.iter().map(|r| r.as_str()).collect::<Vec<_>>().join(", ");
    let may: Vec<&String> =
        asked.iter().copied().filter(|role| by.roles.is_empty() || by.roles.contains(role)).collect();
    if let Some(role) = &given.role {
        if !asked.contains(&role) {
            return Err(Problem::bad_request(format!(
                "nobody is asked to approve as {role:?}; the roles are {}",
                named(&asked)
            )));
        }
        if !may.contains(&role) {
            return Err(Problem::forbidden(format!(
                "the token of {} may approve as {}, not as {role}",
                by.actor,
                by.roles.join(", ")
            )));
        }
        return Ok(role.clone());
    }
    let own = by.actor.split('@').next().unwrap_or_default();
    match may.as_slice() {
        [] => Err(Problem::forbidden(format!(
            "the token of {} may approve as {}; this promotion asks for {}",
            by.actor,
            by.roles.join(", "),
            named(&asked)
        ))),
        [only] => Ok((*only).clone()),
        several => several.iter().find(|role| role.as_str() == own).map(|role| (*role).clone()).ok_or_else(|| {
            Problem::bad_request(format!("name the role to approve in as \"role\"; it is one of {}", named(several)))
        }),
    }
}
