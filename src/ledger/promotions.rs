//! Promotions: the gate asked with everything the registry knows, and what follows from its answer, in one transaction:
//! the record, the pointer or a rollout, and the audit log never disagree.

use std::time::Instant;

use rusqlite::params;
use serde_json::Value;

use super::change::{Change, head};
use super::embedded::Embedded;
use super::error::RegistryError;
use super::gate::{RequestContext, ask, ask_for};
use super::names::{known_stage, stage_name};
use super::pointers::{self, Move};
use super::promotion_records::{champions, finish, stored, verdicts_of};
use super::register::register;
use super::rollouts::{self, RolloutCommand};
use super::versions::{keep_verdict, known, record};
use super::{audit, freezing, rollback, rollout_rows};
use crate::artifact::{LONG_PATIENCE, PATIENCE};
use driftgate_core::audit::event::{Event, PromotionRecord};
use driftgate_core::audit::names::DRIFTGATE;
use driftgate_core::codec::hash::digest;
use driftgate_core::codec::time::utc;
use driftgate_core::fact::Fact;
use driftgate_core::gate::{self, Answer, GateVerdict};
use driftgate_core::judge::verdict::Verdict;
use driftgate_core::policy::{Approvals, Transition};
use driftgate_core::promotion::record::{self as promotion_record, Facts};
use driftgate_core::promotion::types::{Dossier, Requester};
use driftgate_core::promotion::version::{Registration, VersionRecord};
use driftgate_core::promotion::{self, PROD, approvals};
use driftgate_core::rollout::{self, State};

/// A promotion that is wished for.
#[derive(Clone, Copy, Debug)]
pub struct PromotionRequest<'a> {
    pub version: &'a str,
    pub to: &'a str,
    /// Why an artifact that was rolled back is tried again.
    pub retry: Option<&'a str>,
    pub comment: Option<&'a str>,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Promotion {
    pub answer: Answer,
    /// The promotion record; `None` where the gate does not pass.
    pub record: Option<Value>,
    /// The rollout that began.
    pub rollout: Option<State>,
}

impl Embedded {
    /// Registers a version with its evidence, and promotes it by the transitions that need no approval. A stage that
    /// transitions lead to is given here only while no caller ever put a version there; afterwards it takes a
    /// promotion, whatever becomes of the pointer in the external registry.
    ///
    /// # Errors
    /// As `register` and `attach`, and a stage that is taken.
    pub fn register_as(
        &self,
        context: &RequestContext<'_>,
        registration: &Registration,
        given: &[(String, Value)],
    ) -> Result<VersionRecord, RegistryError> {
        let (model, version) = (registration.model.as_str(), registration.version.as_str());
        if let Some(stage) = &registration.stage {
            known_stage(context.policy, stage)?;
        }
        self.write(context.now_ms, |change| {
            if let Some(stage) = &registration.stage
                && context.policy.transitions.iter().any(|t| t.to == *stage)
                && pointers::ever_stood(change, model, stage)?
                && !pointers::has_stood(change, model, stage, version)?
            {
                let standing = pointers::standing(change, model, stage)?;
                let stands =
                    standing.map_or("stood on a version before".to_owned(), |v| format!("stands on version {v:?}"));
                return Err(RegistryError::Conflict(format!(
                    "{stage:?} of {model:?} {stands} and is reached by a promotion: \
                     register the version without a stage, then promote it"
                )));
            }
            register(change, registration, context.actor)
        })?;
        if !given.is_empty() {
            self.attach(model, version, given, context.actor, context.now_ms)?;
        }
        self.promote_automatically(context, version)?;
        let missing = || RegistryError::UnknownVersion { model: model.to_owned(), version: version.to_owned() };
        self.version(model, version)?.ok_or_else(missing)
    }

    /// The version that a stage's pointer is on.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn standing(&self, model: &str, stage: &str) -> Result<Option<String>, RegistryError> {
        self.read(|tx| pointers::standing(tx, model, stage))
    }

    /// Promotes a version if the gate passes: at once, or by the rollout of the transition.
    ///
    /// # Errors
    /// A version or stage that is not known, a rollout that is under way, or a registry that fails.
    pub fn promote(
        &self,
        context: &RequestContext<'_>,
        request: &PromotionRequest<'_>,
    ) -> Result<Promotion, RegistryError> {
        let asked = Instant::now();
        self.read_artifact_anew(context.policy, request.version)?;
        self.write(context.now_ms, |change| {
            known(change, &context.policy.model, request.version)?;
            promote(change, context, request, Some(asked))
        })
    }

    /// Keeps a verdict and does what follows from it: a rollout goes on or fails, a version is promoted by a transition
    /// that needs no approval, a rollback is confirmed. The same verdict again changes nothing.
    ///
    /// # Errors
    /// A registry that fails; nothing was done then.
    pub fn take(&self, context: &RequestContext<'_>, verdict: &Verdict, json: &str) -> Result<(), RegistryError> {
        let version = verdict.version.as_str();
        if verdict.window.complete && !context.policy.transitions.is_empty() {
            self.look_at_artifacts(PATIENCE, &[(context.policy, version)])?;
        }
        self.write(context.now_ms, |change| follow(change, context, verdict, json))
    }

    /// Promotes a version by the transitions that need no approval, if they pass now.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn promote_automatically(&self, context: &RequestContext<'_>, version: &str) -> Result<(), RegistryError> {
        self.look_at_artifacts(LONG_PATIENCE, &[(context.policy, version)])?;
        self.write(context.now_ms, |change| automatic(change, context, version))
    }

    /// Tells the rollout of a model something; `None`: no rollout is under way.
    ///
    /// # Errors
    /// Another controller's success where the gate does not pass any more, or a registry that fails.
    pub fn tell_rollout(
        &self,
        context: &RequestContext<'_>,
        command: &RolloutCommand<'_>,
    ) -> Result<Option<State>, RegistryError> {
        if let Some(state) = self.rollout(&context.policy.model).ok().flatten() {
            self.look_at_artifacts(LONG_PATIENCE, &[(context.policy, &state.candidate)])?;
        }
        // A refusal is written down, so it is no error before that is committed.
        self.write(context.now_ms, |change| match rollouts::refused(change, context, command)? {
            Some(why) => Ok(Err(RegistryError::Conflict(why))),
            None => rollouts::tell(change, context, command).map(Ok),
        })?
    }

    /// The promotion records of a version, the newest first: the last hundred, of bounded bytes.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn promotions(&self, model: &str, version: &str) -> Result<Vec<Value>, RegistryError> {
        let newest = "SELECT record FROM promotions WHERE model = ?1 AND version = ?2 ORDER BY rowid DESC LIMIT 100";
        let (texts, _) = self.read(|tx| audit::newest(tx, newest, params![model, version]))?;
        Ok(texts.iter().filter_map(|text| serde_json::from_str(text).ok()).collect())
    }
}

/// Keeps a verdict and does what follows from it.
pub(super) fn follow(
    change: &Change<'_>,
    context: &RequestContext<'_>,
    verdict: &Verdict,
    json: &str,
) -> Result<(), RegistryError> {
    let (model, version) = (verdict.model.as_str(), verdict.version.as_str());
    keep_verdict(change, model, version, &verdict.group, verdict.window.end, json)?;
    if !verdict.window.complete {
        return Ok(());
    }
    rollouts::advance(change, context, rollout::Input::Verdict(verdict))?;
    rollback::confirm(change, context.policy, verdict)?;
    automatic(change, context, version)
}

fn promote(
    change: &Change<'_>,
    context: &RequestContext<'_>,
    request: &PromotionRequest<'_>,
    since: Option<Instant>,
) -> Result<Promotion, RegistryError> {
    let (policy, model) = (context.policy, context.policy.model.as_str());
    let PromotionRequest { version, to, retry, comment } = *request;
    refuse_conflict(change, context, request)?;
    let asks = Requester { actor: context.actor.to_owned(), to: Some(to.to_owned()) };
    let (answer, dossier) =
        ask_for(change, change.artifacts, context, (version, to, retry), Some(asks), since, gate::decide)?;
    change.happened(&Fact::GateAsked { model, version, to, answer: &answer })?;
    let asked = Event::Gate {
        to: to.to_owned(),
        verdict: answer.verdict,
        reasons: answer.reasons.clone(),
        policy_sha256: answer.policy_sha256.clone(),
        retry: retry.map(str::to_owned),
        comment: comment.map(str::to_owned),
    };
    change.audit(context.actor, (model, Some(version)), &asked)?;
    if answer.verdict != GateVerdict::Pass {
        return Ok(Promotion { answer, record: None, rollout: None });
    }
    if to == PROD {
        // A new promotion ends the incident.
        freezing::thaw(change, model, context.actor)?;
    }
    let transition = promotion::transition(policy, to, &dossier);
    let champion = pointers::standing(change, model, to)?;
    let (id, record) = write_record(change, context, request, (&answer, &dossier), transition, champion.as_deref())?;
    let rollout = if let Some(transition) = transition.filter(|t| t.rollout.is_some()) {
        Some(rollouts::start(change, context, &id, version, transition, champion)?)
    } else {
        let reason = comment.unwrap_or("the gate passes");
        pointers::make(change, &Move { model, stage: to, to: version, actor: context.actor, reason, rollback: false })?;
        finish(change, &id, "promoted")?;
        None
    };
    let record = stored(change, &id)?.unwrap_or(record);
    Ok(Promotion { answer, record: Some(record), rollout })
}

/// Refuses a promotion to a stage that the version is in, and one while a rollout is under way.
fn refuse_conflict(
    change: &Change<'_>,
    context: &RequestContext<'_>,
    request: &PromotionRequest<'_>,
) -> Result<(), RegistryError> {
    let (model, to, version) = (context.policy.model.as_str(), request.to, request.version);
    stage_name(to)?;
    if pointers::standing(change, model, to)?.as_deref() == Some(version) && !pointers::is_void(change, model, to)? {
        return Err(RegistryError::Conflict(format!("version {version:?} of {model:?} is in {to:?} already")));
    }
    let plans = |t: &Transition| t.to == to && t.rollout.is_some();
    if let Some(active) = rollout_rows::active(change, model)?
        && (active.to == to || context.policy.transitions.iter().any(plans))
    {
        return Err(RegistryError::Conflict(format!(
            "a rollout of version {:?} of {model:?} is under way ({}): wait for its end, or abort it",
            active.candidate,
            active.phase.name()
        )));
    }
    Ok(())
}

/// Writes the record of a promotion down, and says that it began; its id, and the record.
fn write_record(
    change: &Change<'_>,
    context: &RequestContext<'_>,
    request: &PromotionRequest<'_>,
    (answer, dossier): (&Answer, &Dossier),
    transition: Option<&Transition>,
    champion: Option<&str>,
) -> Result<(String, Value), RegistryError> {
    let (policy, model) = (context.policy, context.policy.model.as_str());
    let PromotionRequest { version, to, retry, comment } = *request;
    let plan = transition.and_then(|t| t.rollout.as_ref());
    let at = utc(context.now_ms);
    let seq = head(change)?.map_or(0, |h| h.seq);
    let id: String = digest(&[model.as_bytes(), version.as_bytes(), to.as_bytes(), at.as_bytes(), &seq.to_le_bytes()])
        .chars()
        .take(32)
        .collect();
    let record = promotion_record::record(
        policy,
        &Facts {
            approvers: approvers(context, transition, dossier),
            id: &id,
            version,
            from: transition.map(|t| t.from.as_str()),
            to,
            dossier,
            verdicts: &verdicts_of(change, model, version)?,
            champion_verdicts: &champion.map_or_else(|| Ok(Vec::new()), |v| champions(change, model, v))?,
            gates: &answer.gates,
            at: &at,
            actor: context.actor,
            comment,
            retry,
            rollout: plan.map(|plan| rollout::describe(policy, plan)),
        },
    );
    change.audit(context.actor, (model, Some(version)), &Event::Promotion(PromotionRecord(record.clone())))?;
    change
        .prepare_cached(
            "INSERT INTO promotions (id, model, version, stage, at, record) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![id, model, version, to, context.now_ms, record.to_string()])?;
    change.happened(&Fact::Promoted { model, record: &record })?;
    Ok((id, record))
}

/// Whose approvals count for a transition, in the order they were given.
fn approvers<'d>(context: &RequestContext<'_>, transition: Option<&Transition>, dossier: &'d Dossier) -> Vec<&'d str> {
    let Some(transition) = transition else { return Vec::new() };
    let count = approvals::count(context.policy, transition, dossier, context.now_ms);
    let mut found = Vec::new();
    for approval in &dossier.approvals {
        let counts = count.by_role.get(approval.role.as_str()).is_some_and(|by| by.contains(&approval.actor.as_str()));
        if counts && approval.to == transition.to && !found.contains(&approval.actor.as_str()) {
            found.push(approval.actor.as_str());
        }
    }
    found
}

/// Transitions with `approvals: auto` happen by themselves, once: a version that ever stood on the stage is not moved
/// there again, and nothing moves while the model is frozen.
pub(super) fn automatic(change: &Change<'_>, context: &RequestContext<'_>, version: &str) -> Result<(), RegistryError> {
    let model = context.policy.model.as_str();
    let autos = || context.policy.transitions.iter().filter(|t| t.approvals == Approvals::Auto && t.to != PROD);
    if autos().next().is_none() || freezing::frozen(change, model)?.is_some() {
        return Ok(());
    }
    let Some(record) = record(change, model, version)? else { return Ok(()) };
    for transition in autos() {
        if transition.rollout.is_some() && rollout_rows::active(change, model)?.is_some() {
            continue;
        }
        let begins = record.stages.contains(&transition.from) || (record.stages.is_empty() && transition.from == "dev");
        if !begins || pointers::has_stood(change, model, &transition.to, version)? {
            continue;
        }
        let (answer, _) = ask(change, change.artifacts, context, version, &transition.to, None)?;
        if answer.verdict == GateVerdict::Pass {
            let request =
                PromotionRequest { version, to: &transition.to, retry: None, comment: Some("every gate passes") };
            // Never to prod, so that what is kept of the artifact does.
            promote(change, &RequestContext { actor: DRIFTGATE, ..*context }, &request, None)?;
        }
    }
    Ok(())
}
