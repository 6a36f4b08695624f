//! Snapshots of versions that are counted against a baseline which the state holds: whether they can still be read, and
//! whether they are still the same.

use std::time::{Duration, Instant};

use super::assembly::Engine;
use super::world::World;
use crate::daemon::loader::{Claim, Key};
use crate::telemetry::events::state::{BaselineReplaced, SnapshotReachable, SnapshotUnreachable};
use crate::view::readiness::{Latch, NotReady};
use driftgate_core::intake::versions::Reference;
use driftgate_core::pipeline::lock;

/// How long reading waits for a first look at the snapshots of restored versions.
pub(super) const CHECK: Duration = Duration::from_secs(3);

impl Engine {
    /// Looks at the snapshots of restored versions and of those with a stage pointer; reading waits a moment for the answers.
    /// Versions that have none yet are tried again at once.
    pub(super) fn look_at_snapshots(&self) {
        let world = self.world();
        for model in &world.models {
            let intake = model.intake();
            for (_, name, version) in intake.versions() {
                let counted = match version.reference() {
                    Reference::Baseline { .. } | Reference::Failed(_) => true,
                    Reference::Unknown => version.bare || version.pinned,
                };
                if counted {
                    let key = (model.policy.model.clone(), name.to_owned());
                    lock(&self.shared.unchecked).versions.insert(key);
                    lock(&self.shared.loader).start(&model.policy, name, Claim::Known);
                }
            }
        }
        let mut unchecked = lock(&self.shared.unchecked);
        unchecked.until = Some(Instant::now() + CHECK);
    }

    /// Whether it was said already that a version's snapshot cannot be read.
    pub(super) fn is_reported(&self, (model, version): &Key) -> bool {
        let view = self.shared.view.read();
        view.models.get(model).and_then(|m| m.versions.get(version)).is_some_and(|v| v.snapshot.is_some())
    }

    /// Says that a version's snapshot cannot be read, and that its counts go on.
    pub(super) fn unreachable(&self, (model, version): &Key, why: &str) {
        let mut view = self.shared.view.write();
        let Some(shown) = view.version_mut(model, version) else { return };
        let known = shown.snapshot.replace(why.to_owned());
        let why = NotReady::SnapshotUnreadable { model: model.clone(), version: version.clone(), why: why.to_owned() };
        if known.is_none() {
            SnapshotUnreachable { model, version, what: &why.to_string() }.emit();
        }
        view.readiness.hold(why);
    }

    /// A version's snapshot can be read, and is the one that it is counted against.
    pub(super) fn reachable(&self, (model, version): &Key) {
        let mut view = self.shared.view.write();
        let Some(shown) = view.version_mut(model, version) else { return };
        if shown.snapshot.take().is_some() {
            SnapshotReachable { model, version }.emit();
        }
        view.readiness.release(&latch(model, version));
    }

    /// Nothing is said of a version's snapshot any more, and it is not tried again.
    pub(super) fn forget_snapshot(&self, key: &Key) {
        lock(&self.shared.loader).forget(key);
        self.shared.view.write().readiness.release(&latch(&key.0, &key.1));
    }

    /// Counts a version anew against another baseline: what was counted against the one before says nothing of it.
    pub(super) fn replace(&self, key: &Key, reference: Reference) {
        let (name, version) = key;
        lock(&self.shared.unchecked).versions.remove(key);
        let world = self.resting();
        let (Some(model), Reference::Baseline { baseline, sha256 }) =
            (world.models.iter().find(|m| m.policy.model == *name), &reference)
        else {
            return;
        };
        BaselineReplaced { model: name, version, sha256 }.emit(&self.shared.view);
        if let Some(shown) = self.shared.view.write().version_mut(name, version) {
            shown.baseline = Some(Ok(sha256.to_string()));
            shown.reference_rows = Some(baseline.rows);
        }
        model.replace_baseline(version, reference);
        self.reachable(key);
    }
}

pub(super) fn latch(model: &str, version: &str) -> Latch {
    Latch::Snapshot { model: model.to_owned(), version: version.to_owned() }
}

/// The digest of the baseline that a version is counted against now.
pub(super) fn kept_of(world: &World, (model, version): &Key) -> Option<String> {
    let model = world.models.iter().find(|m| m.policy.model == *model)?;
    let intake = model.intake();
    intake.versions().find(|(_, name, _)| name == version).and_then(|(_, _, v)| match v.reference() {
        Reference::Baseline { sha256, .. } => Some(sha256.to_string()),
        Reference::Unknown | Reference::Failed(_) => None,
    })
}

/// Whether what was found is another baseline than the one that the version is counted against.
pub(super) fn is_another(world: &World, key: &Key, found: &Reference) -> bool {
    let Reference::Baseline { sha256, .. } = found else { return false };
    kept_of(world, key).is_some_and(|kept| *kept != **sha256)
}
