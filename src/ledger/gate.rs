//! The gate asked with everything that the registry, the stream and the artifact's files say of a version.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::embedded::Embedded;
use super::error::RegistryError;
use super::promotion_records::retried;
use super::versions::record;
use super::{dossier, dossier_rows, rollout_rows};
use crate::artifact::{Artifacts, LONG_PATIENCE, PATIENCE, Task};
use driftgate_core::gate::{self, Answer, GateError, GroupVerdict, Question, Standing};
use driftgate_core::policy::Policy;
use driftgate_core::promotion::model_signing;
use driftgate_core::promotion::types::{ActiveBlock, Dossier, Recomputed, Requester};

/// A command without a daemon waits until an artifact is read.
const FOREVER: Duration = Duration::from_secs(30 * 24 * 3600);

/// What the stream says of a version just now.
#[derive(Clone, Debug, Default)]
pub struct StreamState {
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
pub struct RequestContext<'a> {
    pub policy: &'a Policy,
    /// By version.
    pub live: &'a dyn Fn(&str) -> StreamState,
    pub actor: &'a str,
    /// Wall clock, or stream time where events are read from files, ms.
    pub now_ms: i64,
}

impl Embedded {
    /// May the version be promoted? Nothing changes.
    ///
    /// # Errors
    /// A stage that no transition leads to, or a registry that fails.
    pub fn gate(&self, context: &RequestContext<'_>, version: &str, to: &str) -> Result<Answer, RegistryError> {
        self.look_at_artifacts(PATIENCE, &[(context.policy, version)])?;
        self.read_checked(|tx| ask(tx, &self.artifacts, context, version, to, None).map(|(answer, _)| answer))
    }

    /// Has a version's artifact read for its promotion, whatever is kept of it.
    pub(super) fn read_artifact_anew(&self, policy: &Policy, version: &str) -> Result<(), RegistryError> {
        let asked = self.asked_of(policy, version)?;
        let asked: Vec<_> = asked.iter().map(|(location, task)| (policy, location.as_str(), task)).collect();
        self.artifacts.read_anew(if self.waits_for_artifacts { FOREVER } else { LONG_PATIENCE }, &asked);
        Ok(())
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
            let listed = dossier_rows::signed_list(tx, &policy.model, version)?;
            let listed = listed.map(|listed| (location.clone(), Task::Listed(listed)));
            Ok(listed.into_iter().chain([(location, Task::Digest)]).collect())
        })
    }
}

/// The gate's answer with everything that is known.
pub(super) fn ask(
    tx: &Connection,
    artifacts: &Artifacts,
    context: &RequestContext<'_>,
    version: &str,
    to: &str,
    retry: Option<&str>,
) -> Result<(Answer, Dossier), RegistryError> {
    ask_for(tx, artifacts, context, (version, to, retry), None, None, gate::decide)
}

/// The same where a caller requests the promotion itself and counts as its requester from now on. `since`: when it was requested; an
/// artifact that was read before is read again.
pub(super) fn ask_for<T>(
    tx: &Connection,
    artifacts: &Artifacts,
    context: &RequestContext<'_>,
    (version, to, retry): (&str, &str, Option<&str>),
    asks: Option<Requester>,
    since: Option<Instant>,
    decide: impl FnOnce(&Question<'_>) -> Result<T, GateError>,
) -> Result<(T, Dossier), RegistryError> {
    let policy = context.policy;
    // A rollout under way keeps the reason it was begun for.
    let retried = match rollout_rows::active(tx, &policy.model)?.filter(|r| r.candidate == version && retry.is_none()) {
        Some(active) => retried(tx, &active.id)?,
        None => None,
    };
    let retry = retry.or(retried.as_deref());
    let record = record(tx, &policy.model, version)?;
    let mut dossier = dossier::read(tx, policy, version, context.now_ms)?;
    dossier.requesters.extend(asks);
    if let Some(location) = record.as_ref().and_then(|record| record.artifact.as_deref()) {
        add_artifact(&mut dossier, artifacts, policy, location, since);
    }
    let StreamState { mut latest, blocks: raised, seen, mut others } = (context.live)(version);
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
        now_ms: context.now_ms,
        latest,
        blocks: &blocks,
        standing,
        dossier: &dossier,
        retry,
    };
    let answer = decide(&question)?;
    Ok((answer, dossier))
}

/// Adds what is known of a version's artifact.
fn add_artifact(dossier: &mut Dossier, artifacts: &Artifacts, policy: &Policy, location: &str, since: Option<Instant>) {
    let known = |task: &Task| match since {
        Some(since) => artifacts.known_since(policy, location, task, since),
        None => artifacts.known(policy, location, task),
    };
    dossier.recomputed_sha256 = Some(known(&Task::Digest));
    let listed = dossier.evidence.get("signature").and_then(|evidence| model_signing::listed(&evidence.value));
    dossier.listed = listed.map(|listed| known(&Task::Listed(listed)));
}

/// The model's registered versions, the newest last.
fn names_of(tx: &Connection, model: &str) -> Result<Vec<String>, RegistryError> {
    let mut all = tx.prepare_cached("SELECT version FROM versions WHERE model = ?1 ORDER BY id")?;
    Ok(all.query_map([model], |row| row.get(0))?.collect::<Result<_, _>>()?)
}
