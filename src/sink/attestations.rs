//! Carries attestations to the registries that artifacts lie in: a thread for all, since most models share one; a registry that does not take
//! them holds up its own only. Each is tried again for days, and for minutes where the registry refuses that very one.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::delivery::{LOOK_EVERY, Queue, is_given_up};
use super::standing::Standing;
use crate::clock::wait;
use crate::ledger::{Embedded, Outgoing, Sink};
use crate::oci::{Attestation, Location, OciError, Registries};
use crate::snapshot::places::Places;
use crate::view::Shared;
use crate::view::failing::Part;

/// So many are looked at in one go.
const MOST: usize = 1000;

/// Carries attestations until `stop`.
pub struct Attestations {
    pub registries: Registries,
    /// Where artifacts may lie: whoever registers a version does not choose whom this machine talks to.
    pub places: Places,
    pub registry: Arc<Embedded>,
    pub view: Shared,
}

/// What the ledger queued.
#[derive(Deserialize)]
struct Queued<'a> {
    model: String,
    version: String,
    location: String,
    sha256: Option<String>,
    #[serde(borrow)]
    statement: Option<&'a RawValue>,
}

/// A registry of artifacts, as it was found so far.
struct Host {
    standing: Standing,
    /// Nothing is sent there before.
    rests_until: Instant,
    /// The one that is refused, and since when.
    refused: Option<(i64, Instant)>,
}

/// Why something was not attached.
#[derive(Debug, thiserror::Error)]
enum Unattached {
    #[error("{0}")]
    Registry(#[from] OciError),
    #[error(
        "the digest of its artifact is not known: register the version with it (`driftgate register --artifact oci://…` reads it)"
    )]
    NoDigest,
    #[error("{0} lies under none of the configuration's `artifacts`: allow its place there")]
    NotAllowed(String),
    #[error("what is queued cannot be read: {0}")]
    Unreadable(String),
    #[error("the registry has no key to sign with")]
    NoKey,
}

impl Unattached {
    /// Whether trying again changes nothing.
    fn is_final(&self) -> bool {
        matches!(self, Self::NoDigest | Self::NotAllowed(_) | Self::Unreadable(_))
    }

    fn is_of_content(&self) -> bool {
        matches!(self, Self::Registry(error) if error.is_of_content())
    }
}

impl Attestations {
    /// Starts the thread.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(self, stop: impl Fn() -> bool + Send + 'static) -> std::io::Result<thread::JoinHandle<()>> {
        let name = format!("to-{}", Sink::Oci.name());
        thread::Builder::new().name(name).spawn(move || self.carry(&stop))
    }

    fn carry(&self, stop: &dyn Fn() -> bool) {
        let queue = Queue { sink: Sink::Oci, registry: Arc::clone(&self.registry), view: self.view.clone() };
        let mut hosts: BTreeMap<String, Host> = BTreeMap::new();
        while !stop() {
            let waiting = queue.next(MOST);
            let mut sent = false;
            for next in &waiting {
                let host = hosts.entry(host_of(next)).or_insert_with_key(|name| self.host(name));
                if stop() || host.rests_until > Instant::now() {
                    continue;
                }
                sent = true;
                if self.take(next, host) {
                    queue.done(&[next.id]);
                }
            }
            // What rests is not read ten times a second.
            let pause = if sent || waiting.is_empty() { LOOK_EVERY } else { LOOK_EVERY * 5 };
            wait(pause, LOOK_EVERY, stop);
        }
    }

    fn host(&self, name: &str) -> Host {
        let part = Part::Sink(format!("{} {name}", Sink::Oci.name()));
        Host { standing: Standing::new(part, self.view.clone()), rests_until: Instant::now(), refused: None }
    }

    /// Attaches one, or gives it up; whether it is done with.
    fn take(&self, next: &Outgoing, host: &mut Host) -> bool {
        let began = Instant::now();
        let Err((of, error)) = self.attach(next) else {
            host.standing.delivered();
            host.refused = None;
            return true;
        };
        let why = format!("{of}: {error}");
        let asked = if error.is_of_content() {
            host.refused.take_if(|(id, _)| *id != next.id);
            host.refused.get_or_insert((next.id, began)).1.elapsed()
        } else {
            Duration::ZERO
        };
        if error.is_final() || is_given_up(next.at_ms, asked) {
            host.standing.dropped(1, &why);
            return true;
        }
        host.rests_until = Instant::now() + host.standing.failed(began, &why);
        false
    }

    /// Attaches one; an error comes with what it is of.
    fn attach(&self, next: &Outgoing) -> Result<(), (String, Unattached)> {
        let queued: Queued<'_> =
            serde_json::from_str(&next.body).map_err(|e| (next.key.clone(), Unattached::Unreadable(e.to_string())))?;
        let of =
            |error: Unattached| (format!("the attestation of version {} of {}", queued.version, queued.model), error);
        let (Some(sha256), Some(statement)) = (&queued.sha256, queued.statement) else {
            return Err(of(Unattached::NoDigest));
        };
        // No path of this machine is meant.
        if self.places.check(Path::new("/"), &queued.location).is_err() {
            return Err(of(Unattached::NotAllowed(queued.location.clone())));
        }
        let bundle = self.registry.attest(statement.get()).ok_or_else(|| of(Unattached::NoKey))?;
        let location: Location = queued.location.parse().map_err(|e: OciError| of(e.into()))?;
        let attestation = Attestation { sha256, bundle: &bundle, at_ms: next.at_ms };
        self.registries.attach(&location, &attestation).map_err(|e| of(e.into()))
    }
}

/// The registry that something goes to; what names none has a place of its own.
fn host_of(next: &Outgoing) -> String {
    next.key.parse::<Location>().map_or_else(|_| next.key.clone(), |location| location.registry().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::now_ms;
    use driftgate_core::judge::verdict::{Action, Signal};
    use driftgate_core::promotion::version::Registration;

    fn block(version: &str) -> Signal {
        Signal {
            signal_id: version.into(),
            ts: "2026-11-30T00:00:00Z".into(),
            model: "m".into(),
            version: version.into(),
            group: "drift".into(),
            action: Action::Block,
            stage: None,
            rollback_to: None,
            reasons: vec!["drift/psi x 0.3 breaks lt 0.2".into()],
            verdict_id: "v".into(),
            policy_sha256: "p".into(),
        }
    }

    #[test]
    fn what_can_never_be_attached_is_given_up_and_what_may_be_later_waits() {
        let folder = tempfile::tempdir().unwrap();
        let registry = Embedded::open(&folder.path().join("registry.db")).unwrap().telling(vec![Sink::Oci]);
        let hex = "ab".repeat(32);
        let versions = [
            ("without", "oci://127.0.0.1:1/m:1", None),
            ("outside", "oci://elsewhere.example.com/m:1", Some(&hex)),
            ("unnamed", "oci://127.0.0.1:1/", Some(&hex)),
            ("away", "oci://127.0.0.1:1/m:2", Some(&hex)),
        ];
        for (version, artifact, sha256) in versions {
            let new = Registration {
                model: "m".into(),
                version: version.into(),
                artifact: Some(artifact.into()),
                artifact_sha256: sha256.cloned(),
                ..Registration::default()
            };
            registry.register(&new, "ci", 1).unwrap();
            registry.apply(&block(version), now_ms()).unwrap();
        }
        let places = Places::parse(Path::new("/"), &["oci://127.0.0.1:1/".to_owned()]).unwrap();
        let (registries, view) = (Registries::default(), Shared::default());
        let carrier = Attestations { registries, places, registry: Arc::new(registry), view: view.clone() };
        let mut host = carrier.host("127.0.0.1:1");
        let queued = carrier.registry.outgoing(Sink::Oci, 10).unwrap();
        let taken: Vec<bool> = queued.iter().map(|next| carrier.take(next, &mut host)).collect();
        assert_eq!(taken, [true, true, false, false], "no digest; no place of ours; refused for ten minutes; away");
        assert_eq!(view.read().undeliverable["oci 127.0.0.1:1"], 2);
        assert_eq!(view.read().delivery_failures["oci 127.0.0.1:1"], 2);
        let why = view.read().failing[&Part::Sink("oci 127.0.0.1:1".into())].clone();
        assert!(why.starts_with("the attestation of version away of m: 127.0.0.1:1 cannot be reached"), "{why}");
        assert!(host.rests_until > Instant::now());
    }
}
