//! What an approval is bound to beside the artifact, the policy and the evidence: the training snapshot, the baseline, and what is
//! known of the versions that the transition compares with.

use serde_json::json;

use super::types::{Basis, Dossier, PROD, Peer, PeerSeen};
use super::value::canonical;
use crate::codec::hash;
use crate::policy::lint::evidence_on_the_way;
use crate::policy::{Policy, Transition};

/// What a version is made of and compared with now.
#[must_use]
pub fn of(dossier: &Dossier) -> Basis {
    let named = dossier.evidence.get("baseline_version").and_then(|e| e.value.as_str());
    let seen = |peer: &Peer| PeerSeen { version: peer.version.clone(), sha256: digest(peer) };
    Basis {
        snapshot_sha256: dossier.snapshot_sha256.clone(),
        baseline_version: named.or(dossier.baseline_version.as_deref()).map(str::to_owned),
        peers: dossier.peers.iter().map(|(role, peer)| (role.clone(), seen(peer))).collect(),
    }
}

fn digest(peer: &Peer) -> String {
    let mut text = String::new();
    canonical(&json!({"offline": peer.offline, "schema": peer.schema}), &mut text);
    hash::sha256_hex(text.as_bytes())
}

/// What of it has changed since an approval was given, as a clause; `None`: nothing that the transition asks about.
#[must_use]
pub fn changed(then: &Basis, policy: &Policy, transition: &Transition, dossier: &Dossier) -> Option<String> {
    let now = of(dossier);
    if then.snapshot_sha256 != now.snapshot_sha256 {
        return Some("the training snapshot has changed".to_owned());
    }
    if then.baseline_version != now.baseline_version {
        return Some("the baseline version has changed".to_owned());
    }
    roles(policy, transition).into_iter().find_map(|role| {
        let of_role = |version: &str| {
            if role == version { format!("version {version}") } else { format!("version {version} ({role})") }
        };
        match (then.peers.get(role), now.peers.get(role)) {
            (Some(then), Some(now)) if then.version != now.version => {
                Some(format!("the {role} has changed from version {} to {}", then.version, now.version))
            }
            (Some(then), Some(now)) if then.sha256 != now.sha256 => {
                Some(format!("the offline metrics or the schema of {} have changed", of_role(&now.version)))
            }
            // The version itself has taken its place.
            (Some(_), None) if role == "champion" && dossier.stages.iter().any(|stage| stage == PROD) => None,
            (Some(then), None) => Some(format!("version {} is not the {role} any more", then.version)),
            (None, Some(now)) => Some(format!("version {} has become the {role}", now.version)),
            _ => None,
        }
    })
}

/// The roles of the versions that a transition compares with.
fn roles<'p>(policy: &'p Policy, transition: &'p Transition) -> Vec<&'p str> {
    let mut roles: Vec<&str> = transition.offline.iter().map(|gate| gate.versus.as_str()).collect();
    let is_schema = |kind: &str| matches!(kind, "schema" | "schema_diff");
    let asked = transition.evidence.iter().any(|kind| is_schema(kind));
    let on_the_way = transition.to == PROD && evidence_on_the_way(policy, transition).into_iter().any(is_schema);
    if asked || on_the_way || !transition.schema_allow.is_empty() {
        roles.extend(["baseline", "champion"]);
    }
    roles.sort_unstable();
    roles.dedup();
    roles
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::{dossier, evidence, policy};
    use super::*;

    fn peer(version: &str, auc: f64) -> Peer {
        Peer { version: version.into(), offline: [("auc".to_owned(), json!(auc))].into(), schema: None }
    }

    fn base() -> Dossier {
        let peers = [("baseline", peer("4", 0.8)), ("champion", peer("6", 0.85))];
        Dossier {
            snapshot_sha256: Some("ab".into()),
            baseline_version: Some("4".into()),
            peers: peers.map(|(role, peer)| (role.to_owned(), peer)).into(),
            ..dossier(&[])
        }
    }

    const BOTH: &str = "offline: [{metric: auc, min_gain: {absolute: 0.01}, versus: champion}, {metric: ap, min_gain: {absolute: 0.01}}]";

    fn found(rest: &str, change: impl FnOnce(&mut Dossier)) -> Option<String> {
        let policy = policy(rest);
        let mut dossier = base();
        let then = of(&dossier);
        let text = serde_json::to_string(&then).unwrap();
        assert_eq!(serde_json::from_str::<Basis>(&text).unwrap(), then);
        change(&mut dossier);
        changed(&then, &policy, &policy.transitions[1], &dossier)
    }

    #[test]
    fn what_has_changed_is_named() {
        assert_eq!(found(BOTH, |_| ()), None);
        let says = |change: fn(&mut Dossier), clause: &str| assert_eq!(found(BOTH, change).as_deref(), Some(clause));
        says(|d| d.snapshot_sha256 = Some("cd".into()), "the training snapshot has changed");
        says(|d| d.snapshot_sha256 = None, "the training snapshot has changed");
        says(|d| d.baseline_version = None, "the baseline version has changed");
        says(
            |d| drop(d.evidence.insert("baseline_version".into(), evidence("baseline_version", json!("5")))),
            "the baseline version has changed",
        );
        says(
            |d| drop(d.peers.insert("champion".into(), peer("7", 0.85))),
            "the champion has changed from version 6 to 7",
        );
        says(
            |d| drop(d.peers.insert("champion".into(), peer("6", 0.86))),
            "the offline metrics or the schema of version 6 (champion) have changed",
        );
        says(|d| drop(d.peers.remove("champion")), "version 6 is not the champion any more");
    }

    #[test]
    fn what_the_transition_does_not_compare_with_may_change() {
        let other: fn(&mut Dossier) = |d| drop(d.peers.insert("champion".into(), peer("7", 0.1)));
        assert_eq!(found("", other), None);
        assert_eq!(
            found("offline: [{metric: auc, min_gain: {absolute: 0.01}}]", other),
            None,
            "against the baseline alone"
        );
        let schema = found("schema: {allow: [add_optional]}", other);
        assert_eq!(schema.as_deref(), Some("the champion has changed from version 6 to 7"));
    }

    #[test]
    fn a_version_that_has_become_the_champion_itself_stays_approved() {
        let itself: fn(&mut Dossier) = |d| {
            d.peers.remove("champion");
            d.stages.push(PROD.into());
        };
        assert_eq!(found(BOTH, itself), None);
    }

    #[test]
    fn a_digest_does_not_depend_on_how_objects_were_written() {
        let with = |schema: &str| Peer { schema: serde_json::from_str::<Value>(schema).ok(), ..peer("6", 0.85) };
        assert_eq!(digest(&with(r#"{"a": "int", "b": "int"}"#)), digest(&with(r#"{"b": "int", "a": "int"}"#)));
        assert_ne!(digest(&with(r#"{"a": "int"}"#)), digest(&with(r#"{"a": "long"}"#)));
    }
}
