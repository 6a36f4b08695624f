//! Promotions: the gate asked with everything the registry knows, and what follows from its answer, in one transaction:
//! the record, the pointer or a rollout, and the audit log never disagree.

use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use serde_json::Value;

use super::change::Change;
use super::pointers::{self, Move};
use super::rollouts::{self, Told};
use super::{Embedded, audit, dossier, keep_verdict, record, registered, rollback, signals::ACTOR};
use crate::artifact::{Artifacts, LONG_PATIENCE, PATIENCE, Task};
use crate::registry::{ActiveBlock, PROD, Registration, Registry as _, RegistryError, VersionRecord};
use crate::telemetry::events::registry::ChampionUnreadable;
use driftgate_core::audit::event::{Event, PromotionRecord};
use driftgate_core::codec::hash::digest;
use driftgate_core::codec::time::utc;
use driftgate_core::fact::Fact;
use driftgate_core::gate::{self, Answer, GateVerdict, GroupVerdict, Question, Standing};
use driftgate_core::judge::verdict::Verdict;
use driftgate_core::policy::{Approvals, Policy, Transition};
use driftgate_core::promotion::record::{self as promotion_record, Facts};
use driftgate_core::promotion::types::{Dossier, Recomputed, Requester};
use driftgate_core::promotion::{self, approvals, model_signing};
use driftgate_core::rollout::{self, State};

/// A command without a daemon waits until an artifact is read.
const FOREVER: Duration = Duration::from_secs(30 * 24 * 3600);

/// What the stream says of a version just now.
#[derive(Clone, Debug, Default)]
pub struct Live {
    /// The latest verdict of each group that has one.
    pub latest: Vec<GroupVerdict>,
    /// Blocks that were raised and may not be in the registry yet.
    pub blocks: Vec<ActiveBlock>,
    /// It was seen in events.
    pub seen: bool,
    /// Where it was not, the model's versions that were.
    pub others: Vec<String>,
}

/// Who asks, under which policy, and what the stream says.
#[derive(Clone, Copy)]
pub struct Desk<'a> {
    pub policy: &'a Policy,
    /// By version.
    pub live: &'a dyn Fn(&str) -> Live,
    pub actor: &'a str,
    /// Wall clock, or stream time where events are read from files, ms.
    pub now_ms: i64,
}

/// A promotion that is wished for.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    pub version: &'a str,
    pub to: &'a str,
    /// Why an artifact that was rolled back is tried again.
    pub retry: Option<&'a str>,
    pub comment: Option<&'a str>,
}

/// What came of a wish.
#[derive(Clone, Debug, PartialEq)]
pub struct Promotion {
    pub answer: Answer,
    /// The promotion record; `None` where the gate does not pass.
    pub record: Option<Value>,
    /// The rollout that began.
    pub rollout: Option<State>,
}

impl Embedded {
    /// May the version be promoted? Nothing changes.
    ///
    /// # Errors
    /// A stage that no transition leads to, or a registry that fails.
    pub fn gate(&self, desk: &Desk<'_>, version: &str, to: &str) -> Result<Answer, RegistryError> {
        self.look_at_artifacts(PATIENCE, &[(desk.policy, version)])?;
        self.read_checked(|tx| ask(tx, &self.artifacts, desk, version, to, None).map(|(answer, _)| answer))
    }

    /// Registers a version with its evidence, and promotes it by the transitions that need nobody. A stage that
    /// transitions lead to is given here only while no version ever stood there by somebody's word; afterwards it takes a
    /// promotion, whatever becomes of the pointer in MLflow.
    ///
    /// # Errors
    /// As `register` and `attach`, and a stage that is taken.
    pub fn register_as(
        &self,
        desk: &Desk<'_>,
        registration: &Registration,
        given: &[(String, Value)],
    ) -> Result<VersionRecord, RegistryError> {
        let (model, version) = (registration.model.as_str(), registration.version.as_str());
        if let Some(stage) = &registration.stage {
            registered::known_stage(desk.policy, stage)?;
        }
        self.write(desk.now_ms, |change| {
            if let Some(stage) = &registration.stage
                && desk.policy.transitions.iter().any(|t| t.to == *stage)
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
            super::register(change, registration, desk.actor)
        })?;
        if !given.is_empty() {
            self.attach(model, version, given, desk.actor, desk.now_ms)?;
        }
        self.promote_automatically(desk, version)?;
        let missing = || RegistryError::UnknownVersion { model: model.to_owned(), version: version.to_owned() };
        self.version(model, version)?.ok_or_else(missing)
    }

    /// The version that a stage's pointer stands on.
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
    pub fn promote(&self, desk: &Desk<'_>, wish: &Wish<'_>) -> Result<Promotion, RegistryError> {
        let asked = Instant::now();
        self.read_artifact_anew(desk.policy, wish.version)?;
        self.write(desk.now_ms, |change| {
            dossier::known(change, &desk.policy.model, wish.version)?;
            promote(change, desk, wish, Some(asked))
        })
    }

    /// Has a version's artifact read for its promotion, whatever is kept of it.
    fn read_artifact_anew(&self, policy: &Policy, version: &str) -> Result<(), RegistryError> {
        let asked = self.asked_of(policy, version)?;
        let asked: Vec<_> = asked.iter().map(|(location, task)| (policy, location.as_str(), task)).collect();
        self.artifacts.read_anew(if self.waits_for_artifacts { FOREVER } else { LONG_PATIENCE }, &asked);
        Ok(())
    }

    /// Keeps a verdict and does what follows from it: a rollout goes on or fails, a version is promoted by a transition
    /// that needs nobody, a rollback is confirmed. The same verdict again changes nothing.
    ///
    /// # Errors
    /// A registry that fails; nothing was done then.
    pub fn take(&self, desk: &Desk<'_>, verdict: &Verdict, json: &str) -> Result<(), RegistryError> {
        let version = verdict.version.as_str();
        if verdict.window.complete && !desk.policy.transitions.is_empty() {
            self.look_at_artifacts(PATIENCE, &[(desk.policy, version)])?;
        }
        self.write(desk.now_ms, |change| follow(change, desk, verdict, json))
    }

    /// Promotes a version by the transitions that need nobody's approval, if they pass now.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn promote_automatically(&self, desk: &Desk<'_>, version: &str) -> Result<(), RegistryError> {
        self.look_at_artifacts(LONG_PATIENCE, &[(desk.policy, version)])?;
        self.write(desk.now_ms, |change| automatic(change, desk, version))
    }

    /// Tells the rollout of a model something; `None`: no rollout is under way.
    ///
    /// # Errors
    /// Another controller's success where the gate does not pass any more, or a registry that fails.
    pub fn tell_rollout(&self, desk: &Desk<'_>, told: &Told<'_>) -> Result<Option<State>, RegistryError> {
        if let Some(state) = self.rollout(&desk.policy.model).ok().flatten() {
            self.look_at_artifacts(LONG_PATIENCE, &[(desk.policy, &state.candidate)])?;
        }
        // A refusal is written down, so it is no error before that is committed.
        self.write(desk.now_ms, |change| match rollouts::refused(change, desk, told)? {
            Some(why) => Ok(Err(RegistryError::Conflict(why))),
            None => rollouts::tell(change, desk, told).map(Ok),
        })?
    }

    /// Has the artifacts of versions looked at, before anything is locked. What came of it is asked for under the lock; those
    /// that take long are read beside everything else.
    pub(super) fn look_at_artifacts(
        &self,
        patience: Duration,
        versions: &[(&Policy, &str)],
    ) -> Result<(), RegistryError> {
        let mut asked = Vec::new();
        for (policy, version) in versions {
            asked.extend(self.asked_of(policy, version)?.into_iter().map(|(location, task)| (*policy, location, task)));
        }
        if self.waits_for_artifacts {
            asked.iter().for_each(|(policy, location, task)| self.artifacts.finish(policy, location, task));
        }
        self.artifacts.look(patience, asked.iter().map(|(policy, location, task)| (*policy, location.as_str(), task)));
        Ok(())
    }

    /// The same, waiting until all of it is read, however long that takes.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn finish_artifact(&self, policy: &Policy, version: &str) -> Result<(), RegistryError> {
        for (location, task) in self.asked_of(policy, version)? {
            self.artifacts.finish(policy, &location, &task);
        }
        Ok(())
    }

    /// Whether a version's artifact is being read just now.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn is_reading_artifact(&self, policy: &Policy, version: &str) -> Result<bool, RegistryError> {
        let asked = self.asked_of(policy, version)?;
        let reading = |found| matches!(found, Recomputed::Computing(_));
        Ok(asked.iter().any(|(location, task)| reading(self.artifacts.known(policy, location, task))))
    }

    /// What the gates ask of a version's artifact, and where it lies.
    fn asked_of(&self, policy: &Policy, version: &str) -> Result<Vec<(String, Task)>, RegistryError> {
        self.read(|tx| {
            let location = record(tx, &policy.model, version)?.and_then(|record| record.artifact);
            let Some(location) = location else { return Ok(Vec::new()) };
            let listed = dossier::signed_list(tx, &policy.model, version)?;
            let listed = listed.map(|listed| (location.clone(), Task::Listed(listed)));
            Ok(listed.into_iter().chain([(location, Task::Digest)]).collect())
        })
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
pub(super) fn follow(change: &Change<'_>, desk: &Desk<'_>, verdict: &Verdict, json: &str) -> Result<(), RegistryError> {
    let (model, version) = (verdict.model.as_str(), verdict.version.as_str());
    keep_verdict(change, model, version, &verdict.group, verdict.window.end, json)?;
    if !verdict.window.complete {
        return Ok(());
    }
    rollouts::advance(change, desk, rollout::Input::Verdict(verdict))?;
    if verdict.stage.as_deref() == Some(PROD) && verdict.counted.predictions > 0 {
        rollback::confirm(change, model, version, (verdict.window.start, verdict.window.end))?;
    }
    automatic(change, desk, version)
}

/// The gate's answer with everything that is known.
pub(super) fn ask(
    tx: &Connection,
    artifacts: &Artifacts,
    desk: &Desk<'_>,
    version: &str,
    to: &str,
    retry: Option<&str>,
) -> Result<(Answer, Dossier), RegistryError> {
    ask_for(tx, artifacts, desk, (version, to, retry), None, None)
}

/// The same where somebody asks for the promotion itself: it is their wish from now on. `since` then the artifact is read anew.
fn ask_for(
    tx: &Connection,
    artifacts: &Artifacts,
    desk: &Desk<'_>,
    (version, to, retry): (&str, &str, Option<&str>),
    asks: Option<Requester>,
    since: Option<Instant>,
) -> Result<(Answer, Dossier), RegistryError> {
    let policy = desk.policy;
    // A rollout under way keeps the reason it was begun for.
    let retried = match rollouts::active(tx, &policy.model)?.filter(|r| r.candidate == version && retry.is_none()) {
        Some(active) => retried(tx, &active.id)?,
        None => None,
    };
    let retry = retry.or(retried.as_deref());
    let record = record(tx, &policy.model, version)?;
    let mut dossier = dossier::read(tx, policy, version, desk.now_ms)?;
    dossier.requesters.extend(asks);
    if let Some(location) = record.as_ref().and_then(|record| record.artifact.as_deref()) {
        let known = |task: &Task| match since {
            Some(since) => artifacts.known_since(policy, location, task, since),
            None => artifacts.known(policy, location, task),
        };
        dossier.recomputed_sha256 = Some(known(&Task::Digest));
        let listed = dossier.evidence.get("signature").and_then(|evidence| model_signing::listed(&evidence.value));
        dossier.listed = listed.map(|listed| known(&Task::Listed(listed)));
    }
    let Live { mut latest, blocks: raised, seen, mut others } = (desk.live)(version);
    if let Some(anew) = dossier.anew_ms {
        latest.retain(|verdict| verdict.end_ms > anew);
    }
    let mut blocks = record.as_ref().map(|r| r.blocks.clone()).unwrap_or_default();
    for block in raised {
        if !blocks.iter().any(|b| b.group == block.group) {
            blocks.push(block);
        }
    }
    let standing = match (&record, seen) {
        (Some(_), _) => Standing::Registered,
        (None, true) => Standing::OnlySeen,
        (None, false) => {
            let registered = names_of(tx, &policy.model)?;
            others.retain(|v| !registered.contains(v));
            others.extend(registered);
            Standing::Unknown { others: &others }
        }
    };
    let question = Question {
        policy,
        to,
        version,
        now_ms: desk.now_ms,
        latest,
        blocks: &blocks,
        standing,
        dossier: &dossier,
        retry,
    };
    let answer = gate::decide(&question)?;
    Ok((answer, dossier))
}

/// The model's registered versions, the newest last.
fn names_of(tx: &Connection, model: &str) -> Result<Vec<String>, RegistryError> {
    let mut all = tx.prepare_cached("SELECT version FROM versions WHERE model = ?1 ORDER BY id")?;
    Ok(all.query_map([model], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

fn promote(
    change: &Change<'_>,
    desk: &Desk<'_>,
    wish: &Wish<'_>,
    since: Option<Instant>,
) -> Result<Promotion, RegistryError> {
    let (policy, model) = (desk.policy, desk.policy.model.as_str());
    let Wish { version, to, retry, comment } = *wish;
    registered::stage_name(to)?;
    if pointers::standing(change, model, to)?.as_deref() == Some(version) && !pointers::is_void(change, model, to)? {
        return Err(RegistryError::Conflict(format!("version {version:?} of {model:?} is in {to:?} already")));
    }
    let plans = |t: &Transition| t.to == to && t.rollout.is_some();
    if let Some(active) = rollouts::active(change, model)?
        && (active.to == to || desk.policy.transitions.iter().any(plans))
    {
        return Err(RegistryError::Conflict(format!(
            "a rollout of version {:?} of {model:?} is under way ({}): wait for its end, or abort it",
            active.candidate,
            active.phase.name()
        )));
    }
    let asks = Requester { actor: desk.actor.to_owned(), to: Some(to.to_owned()) };
    let (answer, dossier) = ask_for(change, change.artifacts, desk, (version, to, retry), Some(asks), since)?;
    change.happened(&Fact::GateAsked { model, version, to, answer: &answer })?;
    let asked = Event::Gate {
        to: to.to_owned(),
        verdict: answer.verdict,
        reasons: answer.reasons.clone(),
        policy_sha256: answer.policy_sha256.clone(),
        retry: retry.map(str::to_owned),
        comment: comment.map(str::to_owned),
    };
    change.audit(desk.actor, (model, Some(version)), &asked)?;
    if answer.verdict != GateVerdict::Pass {
        return Ok(Promotion { answer, record: None, rollout: None });
    }
    if to == PROD {
        // A new promotion ends the incident.
        super::thaw(change, model, desk.actor)?;
    }
    let transition = promotion::transition(policy, to, &dossier);
    let plan = transition.and_then(|t| t.rollout.as_ref());
    let at = utc(desk.now_ms);
    let seq = super::change::head(change)?.map_or(0, |h| h.seq);
    let id: String = digest(&[model.as_bytes(), version.as_bytes(), to.as_bytes(), at.as_bytes(), &seq.to_le_bytes()])
        .chars()
        .take(32)
        .collect();
    let champion = pointers::standing(change, model, to)?;
    let record = promotion_record::record(
        policy,
        &Facts {
            approvers: approvers(desk, transition, &dossier),
            id: &id,
            version,
            from: transition.map(|t| t.from.as_str()),
            to,
            dossier: &dossier,
            verdicts: &verdicts_of(change, model, version)?,
            champion_verdicts: &champion.as_deref().map_or_else(|| Ok(Vec::new()), |v| champions(change, model, v))?,
            gates: &answer.gates,
            at: &at,
            actor: desk.actor,
            comment,
            retry,
            rollout: plan.map(|plan| rollout::describe(policy, plan)),
        },
    );
    change.audit(desk.actor, (model, Some(version)), &Event::Promotion(PromotionRecord(record.clone())))?;
    change
        .prepare_cached(
            "INSERT INTO promotions (id, model, version, stage, at, record) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![id, model, version, to, desk.now_ms, record.to_string()])?;
    change.happened(&Fact::Promoted { model, record: &record })?;
    let rollout = if let (Some(transition), Some(_)) = (transition, plan) {
        Some(rollouts::start(change, desk, &id, version, transition, champion)?)
    } else {
        let reason = comment.unwrap_or("the gate passes");
        pointers::make(change, &Move { model, stage: to, to: version, actor: desk.actor, reason, rollback: false })?;
        finish(change, &id, "promoted")?;
        None
    };
    let record = stored(change, &id)?.unwrap_or(record);
    Ok(Promotion { answer, record: Some(record), rollout })
}

/// Whose approvals count for a transition, in the order they were given.
fn approvers<'d>(desk: &Desk<'_>, transition: Option<&Transition>, dossier: &'d Dossier) -> Vec<&'d str> {
    let Some(transition) = transition else { return Vec::new() };
    let count = approvals::count(desk.policy, transition, dossier, desk.now_ms);
    let mut found = Vec::new();
    for approval in &dossier.approvals {
        let counts = count.by_role.get(approval.role.as_str()).is_some_and(|by| by.contains(&approval.actor.as_str()));
        if counts && approval.to == transition.to && !found.contains(&approval.actor.as_str()) {
            found.push(approval.actor.as_str());
        }
    }
    found
}

/// Writes the end of a promotion into its record.
pub(super) fn finish(change: &Change<'_>, id: &str, status: &str) -> Result<(), RegistryError> {
    let Some(mut record) = stored(change, id)? else { return Ok(()) };
    // The first end counts, but what was promoted may still be rolled back.
    let ended = record.get("status").and_then(Value::as_str) != Some("approved");
    if ended && status != "rolled_back" {
        return Ok(());
    }
    if let Some(fields) = record.as_object_mut() {
        fields.insert("status".into(), status.into());
        fields.insert("ended_at".into(), utc(change.now_ms).into());
    }
    change.prepare_cached("UPDATE promotions SET record = ?2 WHERE id = ?1")?.execute([id, &record.to_string()])?;
    Ok(())
}

/// Why the promotion tries something again that was rolled back, if it does.
fn retried(tx: &Connection, id: &str) -> Result<Option<String>, RegistryError> {
    let record = stored(tx, id)?;
    Ok(record.and_then(|r| r.get("retry")?.as_str().map(str::to_owned)))
}

fn stored(tx: &Connection, id: &str) -> Result<Option<Value>, RegistryError> {
    use rusqlite::OptionalExtension as _;
    let text: Option<String> = tx
        .prepare_cached("SELECT record FROM promotions WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

/// Transitions with `approvals: auto` happen by themselves, once: a version that ever stood on the stage is not moved
/// there again, and nothing moves while the model is frozen.
pub(super) fn automatic(change: &Change<'_>, desk: &Desk<'_>, version: &str) -> Result<(), RegistryError> {
    let model = desk.policy.model.as_str();
    let autos = || desk.policy.transitions.iter().filter(|t| t.approvals == Approvals::Auto && t.to != PROD);
    if autos().next().is_none() || super::frozen(change, model)?.is_some() {
        return Ok(());
    }
    let Some(record) = record(change, model, version)? else { return Ok(()) };
    for transition in autos() {
        if transition.rollout.is_some() && rollouts::active(change, model)?.is_some() {
            continue;
        }
        let begins = record.stages.contains(&transition.from) || (record.stages.is_empty() && transition.from == "dev");
        if !begins || pointers::has_stood(change, model, &transition.to, version)? {
            continue;
        }
        let (answer, _) = ask(change, change.artifacts, desk, version, &transition.to, None)?;
        if answer.verdict == GateVerdict::Pass {
            let wish = Wish { version, to: &transition.to, retry: None, comment: Some("every gate passes") };
            // Never to prod, so that what is kept of the artifact does.
            promote(change, &Desk { actor: ACTOR, ..*desk }, &wish, None)?;
        }
    }
    Ok(())
}

/// The champion's verdicts stand in the record beside the candidate's; one that cannot be read leaves them out.
fn champions(tx: &Connection, model: &str, version: &str) -> Result<Vec<Value>, RegistryError> {
    match verdicts_of(tx, model, version) {
        Err(RegistryError::Conflict(why)) => {
            ChampionUnreadable { model, version, error: &why }.emit();
            Ok(Vec::new())
        }
        found => found,
    }
}

fn verdicts_of(tx: &Connection, model: &str, version: &str) -> Result<Vec<Value>, RegistryError> {
    let texts: Vec<String> = tx
        .prepare_cached("SELECT json FROM verdicts WHERE model = ?1 AND version = ?2 ORDER BY group_name")?
        .query_map([model, version], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let read = |text: &String| {
        serde_json::from_str(text).map_err(|e| {
            let whose = format!("version {version:?} of {model:?}");
            RegistryError::Conflict(format!(
                "a verdict of {whose} cannot be read: {e}; wait for its group's next window"
            ))
        })
    };
    texts.iter().map(read).collect()
}
