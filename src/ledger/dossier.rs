//! What is known of a version beside its verdicts: evidence, approvals and overrides, written down as they come, and put
//! together for the gate.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Value, json};

use super::dossier_rows::{approvals_of, evidence_of, overrides_of};
use super::embedded::Embedded;
use super::error::RegistryError;
use super::names::name;
use super::versions::{known, record, reported_of};
use super::{audit, identity, pointers, registered};
use driftgate_core::audit::Event;
use driftgate_core::audit::names::OWN_ACTORS;
use driftgate_core::fact::Fact;
use driftgate_core::policy::{Approvals, Excluded, Policy, Transition};
use driftgate_core::promotion::types::{Approval, Dossier, Evidence, Override, Peer, Requester};
use driftgate_core::promotion::{PROD, approvals, artifact, basis, evidence};

impl Embedded {
    /// Attaches evidence to a registered version: all of it or none. The same value again changes nothing.
    ///
    /// # Errors
    /// A version that is not there, a kind or value that is not known, or a registry that fails.
    pub fn attach(
        &self,
        model: &str,
        version: &str,
        given: &[(String, Value)],
        actor: &str,
        now_ms: i64,
    ) -> Result<Vec<Evidence>, RegistryError> {
        let mut checked = Vec::new();
        for (kind, value) in given {
            let value = evidence::check_value(kind, value).map_err(|e| RegistryError::Evidence(e.to_string()))?;
            checked.push(Evidence { kind: kind.clone(), value, actor: actor.to_owned(), at_ms: now_ms });
        }
        self.write(now_ms, |change| {
            known(change, model, version)?;
            let kept = evidence_of(change, model, version)?;
            let reported = reported_of(change, model, version)?;
            for new in &checked {
                if kept.get(&new.kind).is_some_and(|old| old.value == new.value) {
                    continue;
                }
                let event = Event::Evidence {
                    kind: new.kind.clone(),
                    value: new.value.clone(),
                    reported: reported.get(&new.kind).filter(|other| **other != new.value).cloned(),
                };
                audit::room(change, (model, version), &event)?;
                change.audit(actor, (model, Some(version)), &event)?;
                change
                    .prepare_cached(
                        "INSERT OR REPLACE INTO evidence (model, version, kind, value, actor, at)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                    )?
                    .execute(params![model, version, new.kind, new.value.to_string(), actor, now_ms])?;
            }
            Ok(evidence_of(change, model, version)?.into_values().collect())
        })
    }

    /// Writes down an approval, bound to the artifact, the policy, the evidence and what the version is compared with as they are now.
    ///
    /// # Errors
    /// A version that is not there, or a registry that fails.
    pub fn approve(
        &self,
        model: &str,
        version: &str,
        given: &GivenApproval<'_>,
        now_ms: i64,
    ) -> Result<Approval, RegistryError> {
        name("the stage", given.to)?;
        self.write(now_ms, |change| {
            known(change, model, version)?;
            let dossier = read(change, given.policy, version, now_ms)?;
            may_approve(given, &dossier, model, version)?;
            let approval = Approval {
                to: given.to.to_owned(),
                actor: given.actor.to_owned(),
                role: given.role.to_owned(),
                at_ms: now_ms,
                artifact_sha256: artifact::artifact_sha256(&dossier),
                policy_sha256: given.policy.sha256.clone(),
                evidence_sha256: evidence::evidence_sha256(&dossier.evidence),
                basis: Some(basis::of(&dossier)),
                comment: given.comment.map(str::to_owned),
            };
            let event = Event::Approval(approval.clone());
            audit::room(change, (model, version), &event)?;
            change.audit(given.actor, (model, Some(version)), &event)?;
            change
                .prepare_cached(
                    "INSERT INTO approvals (model, version, stage, actor, role, at, artifact_sha256, policy_sha256,
                         evidence_sha256, comment, basis)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
                )?
                .execute(params![
                    model,
                    version,
                    approval.to,
                    approval.actor,
                    approval.role,
                    now_ms,
                    approval.artifact_sha256,
                    approval.policy_sha256,
                    approval.evidence_sha256,
                    approval.comment,
                    approval.basis.as_ref().map(|basis| json!(basis).to_string())
                ])?;
            let all = approvals_of(change, model, version)?;
            change.happened(&Fact::Approved { model, version, approval: &approval, all: &all })?;
            Ok(approval)
        })
    }

    /// Takes a rule (and subject) out of the gate's decision for a while. Verdicts stay as they are.
    ///
    /// # Errors
    /// A version that is not there, or a registry that fails.
    pub fn override_rule(&self, model: &str, version: &str, new: &Override) -> Result<(), RegistryError> {
        self.write(new.at_ms, |change| {
            known(change, model, version)?;
            let event = Event::Override(new.clone());
            audit::room(change, (model, version), &event)?;
            change.audit(&new.actor, (model, Some(version)), &event)?;
            change
                .prepare_cached(
                    "INSERT INTO overrides (model, version, rule, subject, until, reason, actor, at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                )?
                .execute(params![
                    model,
                    version,
                    new.rule,
                    new.subject,
                    new.until_ms,
                    new.reason,
                    new.actor,
                    new.at_ms
                ])?;
            Ok(())
        })
    }

    /// Everything the gate asks for of a version; an empty dossier where it is not registered.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn dossier(&self, policy: &Policy, version: &str, now_ms: i64) -> Result<Dossier, RegistryError> {
        self.read(|tx| read(tx, policy, version, now_ms))
    }
}

/// An approval as it is given.
#[derive(Clone, Copy, Debug)]
pub struct GivenApproval<'a> {
    pub policy: &'a Policy,
    pub to: &'a str,
    pub role: &'a str,
    pub comment: Option<&'a str>,
    /// Whose token it is.
    pub actor: &'a str,
}

/// Refuses an approval that could never count: every transition to the stage excludes who gives it.
fn may_approve(given: &GivenApproval<'_>, dossier: &Dossier, model: &str, version: &str) -> Result<(), RegistryError> {
    let mut why = None;
    for transition in given.policy.transitions.iter().filter(|t| t.to == given.to) {
        match approvals::excluded(transition, dossier, given.actor) {
            None => return Ok(()),
            Some(found) => why = Some(found),
        }
    }
    why.map_or(Ok(()), |why| {
        Err(RegistryError::Conflict(format!(
            "{} {why} and cannot approve it: the policy of {model:?} excludes them (approvals.exclude); somebody else approves \
             version {version:?}",
            given.actor
        )))
    })
}

/// Who registered a version or asked for its promotion, by the audit log, where the policy asks for it.
fn requesters(tx: &Connection, policy: &Policy, version: &str) -> rusqlite::Result<Vec<Requester>> {
    let asks = |t: &Transition| matches!(&t.approvals, Approvals::Roles { exclude, .. } if exclude.contains(&Excluded::Requester));
    if !policy.transitions.iter().any(asks) {
        return Ok(Vec::new());
    }
    let mut found = tx
        .prepare_cached(audit::REQUESTS)?
        .query_map([policy.model.as_str(), version], |row| Ok(Requester { actor: row.get(0)?, to: row.get(1)? }))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    found.extend(registered::by(tx, &policy.model, version)?.map(|actor| Requester { actor, to: None }));
    // What driftgate or the external registry did was requested by no person.
    Ok(found.into_iter().filter(|r| !OWN_ACTORS.contains(&r.actor.as_str())).collect())
}

/// The dossier of a version as of now.
pub(super) fn read(tx: &Connection, policy: &Policy, version: &str, now_ms: i64) -> rusqlite::Result<Dossier> {
    let model = policy.model.as_str();
    let Some(record) = record(tx, model, version)? else { return Ok(Dossier::default()) };
    let evidence = evidence_of(tx, model, version)?;
    let mut peers = BTreeMap::new();
    let named = evidence.get("baseline_version").and_then(|e| e.value.as_str().map(str::to_owned));
    if let Some(baseline) = named.or_else(|| record.baseline_version.clone()) {
        peers.insert("baseline".to_owned(), peer(tx, model, &baseline)?);
    }
    if let Some(champion) = pointers::standing(tx, model, PROD)?.filter(|champion| champion != version) {
        peers.insert("champion".to_owned(), peer(tx, model, &champion)?);
    }
    for gate in policy.transitions.iter().flat_map(|t| &t.offline) {
        if !matches!(gate.versus.as_str(), "baseline" | "champion") {
            peers.insert(gate.versus.clone(), peer(tx, model, &gate.versus)?);
        }
    }
    Ok(Dossier {
        recomputed_sha256: None,
        listed: None,
        lost: identity::lost(tx, model, version)?,
        anew_ms: record.anew_ms,
        approvals: approvals_of(tx, model, version)?,
        requesters: requesters(tx, policy, version)?,
        overrides: overrides_of(tx, model, version, now_ms)?,
        rollback_target: pointers::rollback_target(tx, model, version)?,
        rolled_back: rolled_back(tx, model, version, &evidence, record.artifact_sha256.as_deref())?,
        artifact_sha256: record.artifact_sha256,
        snapshot: record.snapshot,
        snapshot_sha256: record.snapshot_sha256,
        baseline_version: record.baseline_version,
        reported: record.reported,
        stages: record.stages,
        stood: Some(pointers::stood(tx, model, version)?),
        evidence,
        peers,
    })
}

fn peer(tx: &Connection, model: &str, version: &str) -> rusqlite::Result<Peer> {
    let evidence = evidence_of(tx, model, version)?;
    let offline = evidence.get("offline").and_then(|e| e.value.as_object()).cloned().unwrap_or_default();
    Ok(Peer {
        version: version.to_owned(),
        offline: offline.into_iter().collect(),
        schema: evidence.get("schema").map(|e| e.value.clone()),
    })
}

/// When and which: the version itself, or another of the model with the same artifact.
fn rolled_back(
    tx: &Connection,
    model: &str,
    version: &str,
    evidence: &BTreeMap<String, Evidence>,
    registered: Option<&str>,
) -> rusqlite::Result<Option<String>> {
    let attached = evidence.get("artifact_digest").and_then(|e| e.value.as_str());
    let digest = registered.or(attached).map(|d| d.to_ascii_lowercase().trim_start_matches("sha256:").to_owned());
    tx.prepare_cached(
        "SELECT 'version ' || v.version || ' was rolled back at ' || v.rolled_back FROM versions AS v
         LEFT JOIN evidence AS e
             ON e.model = v.model AND e.version = v.version AND e.kind = 'artifact_digest'
         WHERE v.model = ?1 AND v.rolled_back IS NOT NULL
           AND (v.version = ?2 OR lower(v.artifact_sha256) IN (?3, 'sha256:' || ?3)
                OR lower(e.value) IN ('\"sha256:' || ?3 || '\"', '\"' || ?3 || '\"'))
         ORDER BY v.rolled_back DESC LIMIT 1",
    )?
    .query_row(params![model, version, digest], |row| row.get(0))
    .optional()
}
