//! A daemon of a cluster. What is divided between its processes are slots: the ledger, and units of models. The coordinator of the group assigns
//! them; a process counts its units as a daemon of its own counts all, each checkpoint being a commit of the cluster, and answers for the others from
//! its copy of the registry. A slot that it loses or gives back it drops, and goes on with what else it has.
//!
//! `internal` looks for the topics first. `parts` is what the others share; `tenures` has a thread for each slot, which begins with `tenure`, from
//! the assignment to owning it, by the `commits` of that time, and `again` has what is taken over once more. `counted` is a unit, of the
//! configuration that `restricted` makes; `written` is the ledger: `applying` takes in what the units say, `snapshots` keeps its topics short.
//! `standby` shows the copy.

mod again;
mod applying;
mod commits;
mod counted;
mod internal;
mod parts;
mod restricted;
mod snapshots;
mod standby;
mod tenure;
mod tenures;
mod written;

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use anyhow::{Context as _, anyhow};

use super::control::End;
use super::counting::Daemon;
use super::engine::Totals;
use super::serving::{Seen, Serving};
use super::threads::Threads;
use super::{descriptors, sink_threads};
use crate::clock::WallClock;
use crate::cluster::decisions::Decisions;
use crate::cluster::ledger_log::Tail;
use crate::cluster::member::{Change, Identity, Membership};
use crate::cluster::topics;
use crate::config::{ClusterConfig, KafkaConfig};
use crate::http::Access;
use crate::ledger::Role;
use crate::telemetry::events::cluster::{Ends, Standby};
use crate::telemetry::otlp::LAST_EXPORT;
use crate::view::Shared;
use driftgate_core::cluster::units::{Part, Unit, layout};
use driftgate_core::pipeline::lock;
use parts::Parts;
use tenures::{Here, Tenures};

/// How long threads that end by themselves are waited for.
const LAST_THREADS: Duration = Duration::from_secs(2);
/// Between two looks at what this process has.
const LOOK: Duration = Duration::from_millis(10);

/// A clock that is set back further ends the process.
const SET_BACK: Duration = Duration::from_secs(30);

/// Why a process ends whose clock was set back.
fn not_answered(set_back: Duration) -> String {
    format!(
        "the clock of this machine was set back by {} s. librdkafka waits by it, and may answer nobody for as long: started again, it does not",
        set_back.as_secs()
    )
}

/// Runs a daemon of a cluster until its control stops it, or it must not go on.
///
/// # Errors
/// A configuration or registry that cannot be used, and a commit whose outcome is not known: what is to be known of it is in the error.
pub(super) fn run(daemon: &Daemon<'_>, cluster: &ClusterConfig, kafka: &KafkaConfig) -> anyhow::Result<End> {
    let access = Arc::new(Access::load(daemon.config.http.rules())?);
    let descriptors = descriptors::raise();
    let properties = kafka.client_properties()?;
    let registry = Arc::new(sink_threads::shared_registry(daemon.config, &cluster.audit_key)?);
    registry.set_role(Role::Standby { owner: None })?;
    let view = Shared::default();
    view.write().keep = super::sources::keep(&daemon.config.limits);
    view.write().restoring = daemon.policies.iter().map(|policy| policy.model.clone()).collect();
    let history = super::base::history(daemon.config, &view)?;
    let seen = Seen { registry: &registry, view: &view, history: history.as_ref() };
    let serving = answer(daemon, (descriptors, access), seen)?;
    let names = topics::Names::of(&cluster.prefix);
    let units = match internal::division(daemon, &properties, &names, &view) {
        Ok(Some(division)) => division.units,
        stopped => {
            serving.end();
            return stopped.map(|_| End::Stopped);
        }
    };
    let mut threads = Threads::default();
    let decisions = decisions(daemon, (&units, &properties), &names, &mut threads)?;
    let tail = Arc::new(Tail::start(&properties, &names.ledger, Arc::clone(&registry), |_| {})?);
    let identity = Identity {
        group: kafka.group.clone(),
        instance: cluster.instance.clone(),
        advertise: cluster.advertise.clone(),
        units_topic: names.units.clone(),
        session: cluster.session,
        layout: layout(&units),
    };
    let (here, changes, membership) = join(&properties, identity.clone())?;
    let parts = Arc::new(Parts {
        cluster: cluster.clone(),
        group: kafka.group.clone(),
        properties,
        names,
        registry,
        view,
        history,
        membership,
        tail,
        units,
        layout: identity.layout,
        decisions,
        totals: Totals::default(),
        counted: Mutex::default(),
        writes: Mutex::default(),
        ends: OnceLock::new(),
    });
    Standby { instance: &cluster.instance, advertise: &cluster.advertise }.emit();
    threads.add(standby::start(daemon, &parts).context("no thread for the standby's view")?);
    let done = serve(daemon, &parts, &changes, here);
    daemon.control.stop();
    parts.membership.leave();
    serving.end();
    threads.join(LAST_THREADS);
    daemon.options.export.iter().for_each(|export| export.end(LAST_EXPORT));
    done
}

/// What is decided for all shards, read from now on where anything is divided.
fn decisions(
    daemon: &Daemon<'_>,
    (units, properties): (&[Unit], &BTreeMap<String, String>),
    names: &topics::Names,
    threads: &mut Threads,
) -> anyhow::Result<Decisions> {
    let decisions = Decisions::default();
    if units.iter().any(|unit| unit.part != Part::Whole) {
        let control = daemon.control.clone();
        threads.add(decisions.follow(properties, &names.control, move || control.is_stopping())?);
    }
    Ok(decisions)
}

/// Begins to answer requests, and to export what `/metrics` shows.
fn answer(
    daemon: &Daemon<'_>,
    (descriptors, access): (Option<u64>, Arc<Access>),
    seen: Seen<'_>,
) -> anyhow::Result<Serving> {
    let serving = Serving::start(daemon.config, descriptors, access, seen, daemon.control)?;
    if let Some(export) = &daemon.options.export {
        serving.export(export, seen.view)?;
    }
    Ok(serving)
}

/// Joins the group: what this process has, what the coordinator decides from now on, and the membership.
fn join(
    properties: &BTreeMap<String, String>,
    identity: Identity,
) -> anyhow::Result<(Here, Receiver<Change>, Arc<Membership>)> {
    let (decided, decisions) = channel();
    let here = Here::default();
    let listener = {
        let (here, decided) = (Arc::clone(&here), Mutex::new(decided));
        move |change| {
            // What is another process's already is not committed to while this waits to be taken in.
            if let Change::Lost(slots) = &change {
                tenures::lose(&here, slots);
            }
            // Whoever listens ends with the process.
            let _ = lock(&decided).send(change);
        }
    };
    let membership = Membership::join(properties, identity, Box::new(listener))?;
    Ok((here, decisions, Arc::new(membership)))
}

/// Takes over, counts and gives back what the coordinator says, until the daemon stops.
fn serve(daemon: &Daemon<'_>, parts: &Parts, changed: &Receiver<Change>, here: Here) -> anyhow::Result<End> {
    std::thread::scope(|scope| {
        let mut tenures = Tenures::new(scope, daemon, parts, here);
        let (mut done, mut clock) = (Ok(()), WallClock::seen());
        while done.is_ok() && !daemon.control.is_stopping() {
            match changed.recv_timeout(LOOK) {
                Ok(change) => tenures.change(change),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            done = tenures.look();
            let set_back = clock.set_back();
            let ends = parts.ends.get().cloned().or_else(|| (set_back >= SET_BACK).then(|| not_answered(set_back)));
            if let Some(why) = ends {
                done = done.and(Err(anyhow!(why)));
            }
        }
        if let Err(why) = &done {
            Ends { why: &format!("{why:#}") }.emit();
        }
        daemon.control.stop();
        let ended = tenures.end();
        done.and(ended).map(|()| End::Stopped)
    })
}
