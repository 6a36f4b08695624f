//! What stops a version and should not: overrides of rules, and blocks that a person ends.

use axum::Json;
use axum::extract::State;

use super::request::{Body, By, LONGEST_NAME, all_bounded, body, said};
use crate::api::{Overridden, OverrideRequest, UnblockRequest, Unblocked};
use crate::http::app::{Shared, known_model, with_context};
use crate::http::problem::Problem;
use driftgate_core::codec::time::utc;
use driftgate_core::policy::Policy;
use driftgate_core::promotion::types::Override;
use driftgate_core::yaml::units;

/// An override holds no longer than this: 30 days.
const LONGEST_OVERRIDE_MS: i64 = 30 * 24 * 3_600_000;

/// POST …/overrides: `{"rule": "drift/psi", "subject": "temp", "for": "24h", "reason": "…"}`
pub async fn overrides(State(app): State<Shared>, by: By, given: Body) -> Result<Json<Overridden>, Problem> {
    let given: OverrideRequest = body(given, "rule, reason, for or until, and if wanted subject")?;
    let reason = said("reason", &given.reason)?;
    let policy = known_model(&app, &by.model)?.policy;
    known_rule(&policy, &given)?;
    let until_ms = end(&given, (app.now_ms)())?;
    with_context(&app, &by.model, &by.actor, move |registry, context| {
        let new = Override {
            rule: given.rule,
            subject: given.subject,
            until_ms,
            reason,
            actor: context.actor.to_owned(),
            at_ms: context.now_ms,
        };
        registry.override_rule(&context.policy.model, &by.version, &new)?;
        Ok(Overridden { r#override: new, until: utc(until_ms) })
    })
    .await
    .map(Json)
}

/// Refuses a rule or subject that the policy does not have.
fn known_rule(policy: &Policy, given: &OverrideRequest) -> Result<(), Problem> {
    let rules: Vec<String> =
        policy.groups.iter().flat_map(|g| g.rules.iter().map(|r| format!("{}/{}", g.name, r.id))).collect();
    if !rules.contains(&given.rule) {
        return Err(Problem::bad_request(format!(
            "the policy of {:?} has no rule {:?}; its rules are {}",
            policy.model,
            given.rule,
            rules.join(", ")
        )));
    }
    if let Some(subject) = &given.subject {
        let known = subjects_of(policy, &given.rule);
        if !known.contains(subject) {
            return Err(Problem::bad_request(format!(
                "{} has no results on {subject:?}; {}",
                given.rule,
                driftgate_core::yaml::known_names(subject, known.iter().map(String::as_str))
            )));
        }
    }
    Ok(())
}

/// When the override ends, ms.
fn end(given: &OverrideRequest, now_ms: i64) -> Result<i64, Problem> {
    let until_ms = match (&given.r#for, &given.until) {
        (Some(span), None) => units::duration(span)
            .map(|ms| now_ms.saturating_add(ms))
            .map_err(|e| Problem::bad_request(format!("for: {e}"))),
        (None, Some(until)) => {
            let read = until.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_millisecond);
            read.map_err(|e| Problem::bad_request(format!("until: {until:?} is not RFC 3339: {e}")))
        }
        _ => Err(Problem::bad_request("say how long with one of for (24h) and until (2026-01-31T12:00:00Z)")),
    }?;
    if until_ms <= now_ms {
        return Err(Problem::bad_request(format!("until {} is over already", utc(until_ms))));
    }
    if until_ms.saturating_sub(now_ms) > LONGEST_OVERRIDE_MS {
        return Err(Problem::bad_request(format!(
            "until {} is more than 30 days ahead: an override holds for 30 days at most; change the policy for good, or \
             give it again then",
            utc(until_ms)
        )));
    }
    Ok(until_ms)
}

/// What the results of a rule, named as group/id, are about.
fn subjects_of(policy: &Policy, rule: &str) -> Vec<String> {
    let Some((group, id)) = rule.split_once('/') else { return Vec::new() };
    let group = policy.groups.iter().find(|g| g.name == group);
    let rule = group.and_then(|g| g.rules.iter().find(|r| r.id == id));
    rule.map(|rule| policy.subjects(&rule.kind)).unwrap_or_default()
}

/// POST …/unblock: `{"reason": "…"}`, and if wanted `"group"`.
pub async fn unblock(State(app): State<Shared>, by: By, given: Body) -> Result<Json<Unblocked>, Problem> {
    let given: UnblockRequest = body(given, "a reason, and if wanted group")?;
    let reason = said("reason", &given.reason)?;
    all_bounded(&[("group", given.group.as_deref(), LONGEST_NAME)])?;
    let view = app.view.clone();
    with_context(&app, &by.model, &by.actor, move |registry, context| {
        let model = context.policy.model.as_str();
        let ended =
            registry.unblock(model, &by.version, given.group.as_deref(), context.actor, &reason, context.now_ms)?;
        if let Some(shown) = view.write().version_mut(model, &by.version) {
            ended.iter().for_each(|block| drop(shown.blocks.remove(&block.group)));
        }
        Ok(Unblocked { model: model.to_owned(), version: by.version, ended })
    })
    .await
    .map(Json)
}
