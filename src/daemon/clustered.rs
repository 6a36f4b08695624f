//! A daemon of a cluster: it stands by, answering from its copy of the registry, until the coordinator makes it the owner; then it takes over
//! the state and counts as a daemon of its own does, and each checkpoint is a commit of the cluster. It ends where it loses the unit: its
//! supervisor starts it anew, to stand by.
//!
//! `internal` looks for the topics first. `parts` is what the others share: `commits` commits state under the claim, `takeover` goes from the assignment
//! to counting, `watch` looks whether the unit is lost meanwhile, `standby` shows the copy, `snapshots` keeps the ledger short.

mod commits;
mod internal;
mod parts;
mod snapshots;
mod standby;
mod takeover;
mod watch;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::Context as _;

use super::control::End;
use super::counting::Daemon;
use super::serving::Serving;
use super::threads::Threads;
use super::{descriptors, sink_threads};
use crate::cluster::ledger_log::Tail;
use crate::cluster::member::{Change, Identity, Membership};
use crate::cluster::topics;
use crate::config::{ClusterConfig, KafkaConfig};
use crate::http::Access;
use crate::ledger::Role;
use crate::telemetry::events::cluster::{Assigned, Standby};
use crate::view::Shared;
use commits::Commits;
use parts::Parts;
use takeover::Takeover;

/// How long threads that end by themselves are waited for.
const LAST_THREADS: Duration = Duration::from_secs(2);
/// Between two looks whether the daemon stops.
const LOOK: Duration = Duration::from_millis(50);

/// Runs a daemon of a cluster until its control stops it, or it loses the unit.
///
/// # Errors
/// A configuration or registry that cannot be used, and a unit that is lost: what is to be known of it is in the error.
pub(super) fn run(daemon: &Daemon<'_>, cluster: &ClusterConfig, kafka: &KafkaConfig) -> anyhow::Result<End> {
    let access = Arc::new(Access::load(daemon.config.http.rules())?);
    let descriptors = descriptors::raise();
    let properties = kafka.client_properties()?;
    let registry = Arc::new(sink_threads::shared_registry(daemon.config, &cluster.audit_key)?);
    registry.set_role(Role::Standby { owner: None })?;
    let view = Shared::default();
    {
        let mut view = view.write();
        view.keep = super::sources::keep(&daemon.config.limits);
        view.restoring = daemon.policies.iter().map(|policy| policy.model.clone()).collect();
    }
    let serving = Serving::start(daemon.config, descriptors, access, (&registry, &view), daemon.control)?;
    if let Some(export) = &daemon.options.export {
        serving.export(export, &view)?;
    }
    let names = topics::Names::of(&cluster.prefix);
    match internal::wait_for_topics(&properties, &names, &view, daemon.control) {
        Ok(true) => {}
        stopped => {
            serving.end();
            return stopped.map(|_| End::Stopped);
        }
    }
    let (decided, decisions) = channel();
    let identity = Identity {
        group: kafka.group.clone(),
        instance: cluster.instance.clone(),
        advertise: cluster.advertise.clone(),
        units_topic: names.units.clone(),
        session: cluster.session,
    };
    let tail = Arc::new(Tail::start(&properties, &names.ledger, Arc::clone(&registry), |_| {})?);
    let commits = Arc::new(Commits::new(daemon.control.clone(), &format!("{}-{}", kafka.group, cluster.instance)));
    let membership = Arc::new(Membership::join(&properties, identity, decided)?);
    let parts = Parts {
        cluster: cluster.clone(),
        group: kafka.group.clone(),
        properties,
        names,
        registry,
        view,
        membership,
        tail,
        commits,
    };
    Standby { instance: &cluster.instance, advertise: &cluster.advertise }.emit();
    let mut threads = Threads::default();
    threads.add(standby::start(daemon, &parts).context("no thread for the standby's view")?);
    let done = serve(daemon, &parts, &decisions, &mut threads);
    // Also after an error nothing goes on.
    daemon.control.stop();
    parts.membership.leave();
    serving.end();
    threads.join(LAST_THREADS);
    match parts.commits.why_ended() {
        Some(why) => Err(anyhow::anyhow!(why)),
        None => done,
    }
}

/// Stands by until the unit is this process's, then counts until the daemon stops.
fn serve(daemon: &Daemon<'_>, parts: &Parts, changed: &Receiver<Change>, threads: &mut Threads) -> anyhow::Result<End> {
    loop {
        if daemon.control.is_stopping() {
            return Ok(End::Stopped);
        }
        match changed.recv_timeout(LOOK) {
            Ok(Change::Assigned) => {
                Assigned { instance: &parts.cluster.instance }.emit();
                return Takeover { daemon, parts, changed }.run(threads);
            }
            // Nothing is owned that could be lost.
            Ok(Change::Revoked | Change::Lost) => parts.membership.give_back(),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(End::Stopped),
        }
    }
}
