//! Who has signed a promotion, and whose signature still holds: each is bound to the artifact, the policy, the evidence and
//! the versions that its signer compared with, and runs out. Whom the policy excludes signs nothing, whenever they became what excludes them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::artifact::artifact_sha256;
use super::basis;
use super::evidence::evidence_sha256;
use super::types::{Approval, Dossier, Finding, GateOutcome};
use crate::codec::time::utc;
use crate::policy::{Approvals, Excluded, Policy, Transition};

/// The signatures for a transition, counted and not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Count<'d> {
    /// Those that count, by role.
    pub by_role: BTreeMap<&'d str, Vec<&'d str>>,
    /// Those that do not, with why.
    pub void: Vec<(&'d Approval, String)>,
    /// How many roles' places are taken, and how many there are.
    pub taken: usize,
    pub places: usize,
}

/// Judges the approvals of a transition; `None` where none are asked for.
#[must_use]
pub fn judge(policy: &Policy, transition: &Transition, dossier: &Dossier, now_ms: i64) -> Option<Finding> {
    let Approvals::Roles { roles, .. } = &transition.approvals else { return None };
    let count = count(policy, transition, dossier, now_ms);
    let by_role: Vec<String> = roles.iter().map(|(role, wanted)| of_role(&count, role, *wanted as usize)).collect();
    let mut detail = format!("{} of {} approvals: {}", count.taken, count.places, by_role.join("; "));
    for (at, (approval, why)) in count.void.iter().enumerate() {
        let lead = if at == 0 { "; void: " } else { ", " };
        // Writing to a String does not fail.
        let _ = write!(detail, "{lead}{} by {} ({why})", approval.role, approval.actor);
    }
    let excluded = all_excluded(transition, dossier);
    if !excluded.is_empty() {
        // Writing to a String does not fail.
        let _ = write!(detail, "; not by {}", excluded.join(", "));
    }
    let outcome = if count.taken == count.places { GateOutcome::Pass } else { GateOutcome::Pending };
    Some(Finding::new("approvals", outcome, detail))
}

/// Why somebody cannot sign under a transition, as a clause; `None`: they can.
#[must_use]
pub fn excluded(transition: &Transition, dossier: &Dossier, actor: &str) -> Option<String> {
    let Approvals::Roles { exclude, .. } = &transition.approvals else { return None };
    exclude.iter().find_map(|who| match who {
        Excluded::Requester => {
            let mut own = dossier.requesters.iter().filter(|r| same(&r.actor, actor));
            own.find_map(|r| match &r.to {
                None => Some("registered the version".to_owned()),
                Some(to) if *to == transition.to => Some("asked for the promotion".to_owned()),
                Some(_) => None,
            })
        }
        Excluded::Evidence => {
            let own = dossier.evidence.values().find(|e| same(&e.actor, actor));
            own.map(|e| format!("attached {}", e.kind))
        }
    })
}

/// Everybody who cannot sign, with why.
fn all_excluded(transition: &Transition, dossier: &Dossier) -> Vec<String> {
    let known = dossier.requesters.iter().map(|r| &r.actor).chain(dossier.evidence.values().map(|e| &e.actor));
    let mut people: Vec<&String> = Vec::new();
    for actor in known {
        if !people.iter().any(|other| same(other, actor)) {
            people.push(actor);
        }
    }
    let why = |actor: &&String| excluded(transition, dossier, actor).map(|why| format!("{actor} ({why})"));
    people.iter().filter_map(why).collect()
}

fn of_role(count: &Count<'_>, role: &str, wanted: usize) -> String {
    let people = count.by_role.get(role).map(Vec::as_slice).unwrap_or_default();
    match (people, wanted.saturating_sub(people.len())) {
        ([], 1) => format!("{role} is missing"),
        ([], more) => format!("{more} of role {role} are missing"),
        (people, 0) => format!("{role} by {}", people.join(", ")),
        (people, more) => format!("{role} by {}, {more} more missing", people.join(", ")),
    }
}

/// Counts the signatures under a transition.
#[must_use]
pub fn count<'d>(policy: &Policy, transition: &Transition, dossier: &'d Dossier, now_ms: i64) -> Count<'d> {
    let Approvals::Roles { roles, people, distinct, expires, .. } = &transition.approvals else {
        return Count::default();
    };
    let (artifact, evidence) = (artifact_sha256(dossier), evidence_sha256(&dossier.evidence));
    let why_void = |approval: &Approval| -> Option<String> {
        let since = || utc(approval.at_ms);
        if !roles.contains_key(&approval.role) {
            return Some("no such role is asked for".to_owned());
        }
        let may = people.get(&approval.role);
        if may.is_some_and(|may| !may.iter().any(|name| same(name, &approval.actor))) {
            return Some("the policy names others for this role".to_owned());
        }
        if let Some(why) = excluded(transition, dossier, &approval.actor) {
            return Some(format!("{why}, which excludes them"));
        }
        if approval.artifact_sha256 != artifact {
            return Some(format!("the artifact has changed since {}", since()));
        }
        if approval.policy_sha256 != policy.sha256 {
            return Some(format!("the policy has changed since {}", since()));
        }
        if approval.evidence_sha256 != evidence {
            return Some(format!("the evidence has changed since {}", since()));
        }
        let then = approval.basis.as_ref();
        if let Some(what) = then.and_then(|then| basis::changed(then, policy, transition, dossier)) {
            return Some(format!("{what} since {}", since()));
        }
        let end = expires.map(|expires| approval.at_ms.saturating_add(expires));
        end.filter(|end| *end <= now_ms).map(|end| format!("expired {}", utc(end)))
    };
    let (mut valid, mut void) = (Vec::<&Approval>::new(), Vec::new());
    for approval in dossier.approvals.iter().filter(|a| a.to == transition.to) {
        match why_void(approval) {
            Some(why) => void.push((approval, why)),
            None if valid.iter().any(|v| v.role == approval.role && same(&v.actor, &approval.actor)) => {}
            None => valid.push(approval),
        }
    }
    // Of what somebody signed again, only the latest is worth a word.
    let renewed = |old: &Approval, at: usize| {
        let again = |new: &Approval| new.role == old.role && same(&new.actor, &old.actor);
        valid.iter().any(|new| again(new)) || void.iter().skip(at + 1).any(|(new, _)| again(new))
    };
    let worth: Vec<bool> = void.iter().enumerate().map(|(at, (old, _))| !renewed(old, at)).collect();
    let void = void.into_iter().zip(worth).filter_map(|(void, worth)| worth.then_some(void)).collect();
    let places: Vec<&str> =
        roles.iter().flat_map(|(role, count)| std::iter::repeat_n(role.as_str(), *count as usize)).collect();
    let holders = assign(&places, &valid, *distinct);
    let mut by_role: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for approval in holders.iter().flatten().filter_map(|&at| valid.get(at)) {
        by_role.entry(approval.role.as_str()).or_default().push(approval.actor.as_str());
    }
    Count { taken: holders.iter().flatten().count(), places: places.len(), by_role, void }
}

/// One person by two spellings of an address.
fn same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// Gives as many places as can be to signatures: the index of the one that holds each place. With `distinct` a person
/// holds one place at most, which of their roles it is being the one that assigns the most places (augmenting paths).
fn assign(places: &[&str], valid: &[&Approval], distinct: bool) -> Vec<Option<usize>> {
    let mut holders: Vec<Option<usize>> = vec![None; places.len()];
    // Whoever signs in several roles is one candidate with `distinct`, else one for each role.
    let mut candidates: Vec<Vec<usize>> = Vec::new();
    for (at, approval) in valid.iter().enumerate() {
        let known = candidates.iter_mut().find(|signed| {
            distinct
                && signed.first().and_then(|&first| valid.get(first)).is_some_and(|v| same(&v.actor, &approval.actor))
        });
        match known {
            Some(signed) => signed.push(at),
            None => candidates.push(vec![at]),
        }
    }
    let graph = Graph { places, valid, candidates: &candidates };
    for candidate in 0..candidates.len() {
        let mut tried = vec![false; places.len()];
        graph.assign_one(candidate, &mut holders, &mut tried);
    }
    holders
}

struct Graph<'a> {
    places: &'a [&'a str],
    valid: &'a [&'a Approval],
    /// Indexes into `valid`, by person (and role).
    candidates: &'a [Vec<usize>],
}

impl Graph<'_> {
    /// Finds a place for a candidate, moving others where they have another.
    fn assign_one(&self, candidate: usize, holders: &mut [Option<usize>], tried: &mut [bool]) -> bool {
        for &signed in self.candidates.get(candidate).into_iter().flatten() {
            let Some(approval) = self.valid.get(signed) else { continue };
            for (place, role) in self.places.iter().enumerate() {
                let open = tried.get_mut(place).filter(|tried| !**tried && *role == approval.role);
                let Some(open) = open else { continue };
                *open = true;
                let holder = holders.get(place).copied().flatten();
                let holder = holder.and_then(|held| self.candidates.iter().position(|c| c.contains(&held)));
                if holder.is_none_or(|holder| self.assign_one(holder, holders, tried)) {
                    if let Some(slot) = holders.get_mut(place) {
                        *slot = Some(signed);
                    }
                    return true;
                }
            }
        }
        false
    }
}

#[cfg(test)]
mod tests;
