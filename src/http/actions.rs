//! What people and pipelines change over HTTP: evidence, approvals, promotions, rollouts, rollbacks, overrides, freezes.
//! Each needs a bearer token with the role for it; whose token it is stands in the audit log.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::api::known_model;
use super::auth::Caller;
use super::problem::{Names, Problem};
use super::{Shared, promote_when_read, with_desk};
use crate::ledger::{FROZEN, GivenApproval, Promotion, Told, Wish};
use crate::registry::PROD;
use driftgate_core::judge::verdict::utc;
use driftgate_core::policy::{Approvals, Policy};
use driftgate_core::promotion::types::Override;
use driftgate_core::yaml::units;

type Answered = Result<Json<Value>, Problem>;

/// A body that may be missing or too long.
type Body = Result<Bytes, BytesRejection>;

/// Who asks for a change, and of what. That they may has been seen to by the rule of the route.
pub(super) struct By {
    pub actor: String,
    /// As whom they may approve; empty: as anybody.
    pub roles: Vec<String>,
    pub model: String,
    pub version: String,
}

impl FromRequestParts<Shared> for By {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Caller>().cloned();
        let caller = caller.ok_or_else(|| Problem::internal("a route that changes something has no rule"))?;
        let Names(names) = Names::<std::collections::HashMap<String, String>>::from_request_parts(parts, app).await?;
        let part = |key: &str| names.get(key).cloned().unwrap_or_default();
        let model = part("model");
        Ok(Self { roles: caller.approves_as(&model), actor: caller.actor, version: part("version"), model })
    }
}

/// Reads a JSON object; `what` says what it should hold.
pub(super) fn body<T: DeserializeOwned>(body: Body, what: &str) -> Result<T, Problem> {
    let body = body.map_err(|e| Problem::new(e.status(), e.body_text()))?;
    let text: &[u8] = if body.trim_ascii().is_empty() { b"{}" } else { &body };
    serde_json::from_slice(text).map_err(|e| {
        Problem::bad_request(format!("the body is not what this takes: {e}; it is a JSON object with {what}"))
    })
}

/// POST …/evidence: `{"tests": "pass", "offline": {"auc": 0.88}, …}`
pub(super) async fn evidence(State(app): State<Shared>, by: By, given: Body) -> Answered {
    let given: Map<String, Value> = body(given, "a value for each kind of evidence")?;
    if given.is_empty() {
        return Err(Problem::bad_request("the body names no evidence; write {\"tests\": \"pass\"} and the like"));
    }
    let By { actor, model, version, .. } = by;
    let policy = known_model(&app, &model)?.policy;
    let (of, by) = (version.clone(), actor.clone());
    let kept = with_desk(&app, &model, &actor.clone(), move |registry, desk| {
        let given: Vec<(String, Value)> = given.into_iter().collect();
        let kept = registry.attach(&desk.policy.model, &version, &given, &actor, desk.now_ms)?;
        registry.promote_automatically(desk, &version)?;
        Ok(json!({"model": desk.policy.model, "version": version, "evidence": kept}))
    })
    .await?;
    promote_when_read(&app, &policy, &of, &by);
    Ok(Json(kept))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ApprovalBody {
    #[serde(default = "prod")]
    to: String,
    role: Option<String>,
    comment: Option<String>,
}

fn prod() -> String {
    PROD.to_owned()
}

/// POST …/approvals: `{"to": "prod", "role": "owner"}`
pub(super) async fn approvals(State(app): State<Shared>, by: By, given: Body) -> Answered {
    let given: ApprovalBody = body(given, "any of to, role and comment")?;
    all_bounded(&[
        ("to", Some(&given.to), LONGEST_NAME),
        ("role", given.role.as_deref(), LONGEST_NAME),
        ("comment", given.comment.as_deref(), LONGEST_REASON),
    ])?;
    let policy = known_model(&app, &by.model)?.policy;
    let role = approving_as(&policy, &given, &by)?;
    with_desk(&app, &by.model, &by.actor, move |registry, desk| {
        let said = GivenApproval {
            policy: desk.policy,
            to: &given.to,
            role: &role,
            comment: given.comment.as_deref(),
            actor: desk.actor,
        };
        let approval = registry.approve(&desk.policy.model, &by.version, &said, desk.now_ms)?;
        let answer = registry.gate(desk, &by.version, &given.to)?;
        Ok(json!({"approval": approval, "gate": answer}))
    })
    .await
    .map(Json)
}

/// The role that is approved in: the one that is named, if the token and the policy know it; else the only one there is.
fn approving_as(policy: &Policy, given: &ApprovalBody, by: &By) -> Result<String, Problem> {
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PromoteBody {
    #[serde(default = "prod")]
    to: String,
    retry: Option<String>,
    comment: Option<String>,
}

/// POST …/promote: `{"to": "prod"}`; 200 whatever the gate says, with its verdict.
pub(super) async fn promote(State(app): State<Shared>, by: By, given: Body) -> Answered {
    let given: PromoteBody = body(given, "any of to, retry and comment")?;
    all_bounded(&[
        ("to", Some(&given.to), LONGEST_NAME),
        ("retry", given.retry.as_deref(), LONGEST_REASON),
        ("comment", given.comment.as_deref(), LONGEST_REASON),
    ])?;
    with_desk(&app, &by.model, &by.actor, move |registry, desk| {
        let wish = Wish {
            version: &by.version,
            to: &given.to,
            retry: given.retry.as_deref(),
            comment: given.comment.as_deref(),
        };
        let Promotion { answer, record, rollout } = registry.promote(desk, &wish)?;
        let mut out = json!(answer);
        if let Some(fields) = out.as_object_mut() {
            fields.insert("record".into(), json!(record));
            fields.insert("rollout".into(), json!(rollout));
        }
        Ok(out)
    })
    .await
    .map(Json)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RollbackBody {
    reason: String,
    to: Option<String>,
    #[serde(default)]
    drill: bool,
}

/// POST …/rollback: `{"reason": "…"}`
pub(super) async fn rollback(State(app): State<Shared>, by: By, given: Body) -> Answered {
    let given: RollbackBody = body(given, "a reason, and if wanted to and drill")?;
    let reason = said("reason", &given.reason)?;
    all_bounded(&[("to", given.to.as_deref(), LONGEST_NAME)])?;
    with_desk(&app, &by.model, &by.actor, move |registry, desk| {
        let model = desk.policy.model.as_str();
        let standing = registry.standing(model, PROD)?;
        if standing.as_deref() != Some(by.version.as_str()) {
            let stands = standing.unwrap_or_else(|| "no version".to_owned());
            return Err(crate::registry::RegistryError::Conflict(format!(
                "{PROD} of {model:?} stands on {stands}, not on {:?}: nothing was moved",
                by.version
            )));
        }
        let (from, to) =
            registry.roll_back(model, given.to.as_deref(), desk.actor, &reason, given.drill, desk.now_ms)?;
        Ok(json!({"model": model, "from": from, "to": to, "drill": given.drill, "moved": to.is_some() && !given.drill}))
    })
    .await
    .map(Json)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OverrideBody {
    rule: String,
    subject: Option<String>,
    /// A time such as 24h.
    r#for: Option<String>,
    /// RFC 3339.
    until: Option<String>,
    reason: String,
}

/// POST …/overrides: `{"rule": "drift/psi", "subject": "temp", "for": "24h", "reason": "…"}`
pub(super) async fn overrides(State(app): State<Shared>, by: By, given: Body) -> Answered {
    let given: OverrideBody = body(given, "rule, reason, for or until, and if wanted subject")?;
    let reason = said("reason", &given.reason)?;
    let policy = known_model(&app, &by.model)?.policy;
    let rules: Vec<String> =
        policy.groups.iter().flat_map(|g| g.rules.iter().map(|r| format!("{}/{}", g.name, r.id))).collect();
    if !rules.contains(&given.rule) {
        return Err(Problem::bad_request(format!(
            "the policy of {:?} has no rule {:?}; its rules are {}",
            by.model,
            given.rule,
            rules.join(", ")
        )));
    }
    if let Some(subject) = &given.subject {
        let known = subjects_of(&policy, &given.rule);
        if !known.contains(subject) {
            return Err(Problem::bad_request(format!(
                "{} has no results on {subject:?}; {}",
                given.rule,
                driftgate_core::yaml::known_names(subject, known.iter().map(String::as_str))
            )));
        }
    }
    let now_ms = (app.now_ms)();
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
    with_desk(&app, &by.model, &by.actor, move |registry, desk| {
        let new = Override {
            rule: given.rule,
            subject: given.subject,
            until_ms,
            reason,
            actor: desk.actor.to_owned(),
            at_ms: desk.now_ms,
        };
        registry.override_rule(&desk.policy.model, &by.version, &new)?;
        Ok(json!({"override": new, "until": utc(until_ms)}))
    })
    .await
    .map(Json)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UnblockBody {
    reason: String,
    group: Option<String>,
}

/// POST …/unblock: `{"reason": "…"}`, and if wanted `"group"`.
pub(super) async fn unblock(State(app): State<Shared>, by: By, given: Body) -> Answered {
    let given: UnblockBody = body(given, "a reason, and if wanted group")?;
    let reason = said("reason", &given.reason)?;
    all_bounded(&[("group", given.group.as_deref(), LONGEST_NAME)])?;
    let view = app.view.clone();
    with_desk(&app, &by.model, &by.actor, move |registry, desk| {
        let model = desk.policy.model.as_str();
        let ended = registry.unblock(model, &by.version, given.group.as_deref(), desk.actor, &reason, desk.now_ms)?;
        if let Some(shown) = view.write().version_mut(model, &by.version) {
            ended.iter().for_each(|block| drop(shown.blocks.remove(&block.group)));
        }
        Ok(json!({"model": model, "version": by.version, "ended": ended}))
    })
    .await
    .map(Json)
}

/// What the results of a rule, named as group/id, are about.
fn subjects_of(policy: &Policy, rule: &str) -> Vec<String> {
    let Some((group, id)) = rule.split_once('/') else { return Vec::new() };
    let group = policy.groups.iter().find(|g| g.name == group);
    let rule = group.and_then(|g| g.rules.iter().find(|r| r.id == id));
    rule.map(|rule| policy.subjects(&rule.kind)).unwrap_or_default()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RolloutBody {
    action: String,
    reason: Option<String>,
}

/// POST /api/v1/models/{model}/rollout: `{"action": "pause", "reason": "…"}`
pub(super) async fn rollout(State(app): State<Shared>, by: By, given: Body) -> Answered {
    let given: RolloutBody = body(given, "action (pause, resume, abort, promote, succeeded, failed) and reason")?;
    all_bounded(&[("action", Some(&given.action), LONGEST_NAME), ("reason", given.reason.as_deref(), LONGEST_REASON)])?;
    with_desk(&app, &by.model, &by.actor, move |registry, desk| {
        let reason = given.reason.as_deref().unwrap_or("no reason given");
        let told = match given.action.as_str() {
            "pause" => Told::Pause(reason),
            "resume" => Told::Resume,
            "abort" => Told::Abort(reason),
            "promote" => Told::Promote,
            "succeeded" => Told::External { succeeded: true },
            "failed" => Told::External { succeeded: false },
            other => {
                return Err(crate::registry::RegistryError::Conflict(format!(
                    "a rollout cannot be told {other:?}; it can be told pause, resume, abort, promote, and of another controller's: succeeded, failed"
                )));
            }
        };
        match registry.tell_rollout(desk, &told)? {
            Some(state) => Ok(json!(state)),
            None => Err(crate::registry::RegistryError::Conflict(format!(
                "no rollout of {:?} is under way",
                desk.policy.model
            ))),
        }
    })
    .await
    .map(Json)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reason {
    reason: Option<String>,
}

/// POST /api/v1/models/{model}/freeze: automatic actions stop.
pub(super) async fn freeze(State(app): State<Shared>, by: By, given: Body) -> Answered {
    let given: Reason = body(given, "a reason")?;
    let reason = said("reason", &given.reason.unwrap_or_default())?;
    with_desk(&app, &by.model, &by.actor, move |registry, desk| {
        let changed = registry.freeze(&desk.policy.model, desk.actor, &reason, desk.now_ms)?;
        registry.tell_rollout(desk, &Told::Pause(FROZEN))?;
        Ok(json!({"model": desk.policy.model, "frozen": registry.frozen(&desk.policy.model)?, "changed": changed}))
    })
    .await
    .map(Json)
}

/// POST /api/v1/models/{model}/resume: automatic actions go on.
pub(super) async fn resume(State(app): State<Shared>, by: By) -> Answered {
    with_desk(&app, &by.model, &by.actor, move |registry, desk| {
        let changed = registry.resume(&desk.policy.model, desk.actor, desk.now_ms)?;
        if registry.rollout(&desk.policy.model)?.is_some_and(|r| r.paused.as_deref() == Some(FROZEN)) {
            registry.tell_rollout(desk, &Told::Resume)?;
        }
        Ok(json!({"model": desk.policy.model, "frozen": null, "changed": changed}))
    })
    .await
    .map(Json)
}

/// An override holds no longer than this: 30 days.
const LONGEST_OVERRIDE_MS: i64 = 30 * 24 * 3_600_000;
/// A reason has no more bytes than this.
const LONGEST_REASON: usize = 2000;
/// A name of a role, rule, subject, group, stage or action, and a time.
const LONGEST_NAME: usize = 400;
/// A location or a digest.
pub(super) const LONGEST_LOCATION: usize = 4096;

/// A text that must say something.
fn said(what: &str, text: &str) -> Result<String, Problem> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Problem::bad_request(format!("say why, as {what}: it goes into the audit log")));
    }
    bounded(what, text, LONGEST_REASON)?;
    Ok(text.to_owned())
}

/// Texts that may be missing: they go into the audit log, onto terminals and to other systems.
pub(super) fn all_bounded(texts: &[(&str, Option<&str>, usize)]) -> Result<(), Problem> {
    texts
        .iter()
        .filter_map(|(what, text, most)| Some((what, (*text)?, most)))
        .try_for_each(|(what, text, most)| bounded(what, text, *most))
}

fn bounded(what: &str, text: &str, most: usize) -> Result<(), Problem> {
    match driftgate_core::text::bounded(text, most) {
        Ok(_) => Ok(()),
        Err(why) => Err(Problem::bad_request(format!("{what}: {why}"))),
    }
}
