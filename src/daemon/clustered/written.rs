//! The ledger that is this process's: the registry is read up to the last change that was acknowledged, and written here until the ledger is lost or
//! wanted back. Whoever owns it applies what the units say, and delivers what the registry has for other systems.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};

use super::applying::Applying;
use super::commits::Loss;
use super::snapshots;
use super::tenure::{Tenure, WITHIN};
use crate::cluster::error::Outcome;
use crate::cluster::ledger_log::{LedgerLog, Opening, WithGroup, opening};
use crate::cluster::producer::Producer;
use crate::daemon::control::Control;
use crate::daemon::counting::Daemon;
use crate::daemon::sink_threads;
use crate::ledger::{ChangeLog, Embedded, Role};
use crate::telemetry::events::cluster::OwnsLedger;
use crate::view::cluster::Role as Shown;
use driftgate_core::pipeline::lock;

/// How long the end of the ledger is waited for.
const LEDGER: Duration = Duration::from_secs(60);
/// Between two looks whether the registry may still be written.
const LOOK: Duration = Duration::from_millis(100);
/// How long deliveries that are under way are waited for.
const LAST_THREADS: Duration = Duration::from_secs(2);

/// Takes the ledger over and writes it until its control stops that.
///
/// # Errors
/// A registry or ledger that cannot be used.
pub fn run(tenure: &Tenure<'_>, daemon: &Daemon<'_>) -> anyhow::Result<()> {
    *lock(&tenure.parts.writes) = true;
    tenure.show(Shown::TakingOver);
    let taken = take_over(tenure);
    if let Err(e) = &taken
        && !tenure.is_over()
    {
        // Nothing was written here yet.
        tenure.commits.lose(Loss::Again(format!("it cannot be taken over: {e:#}")));
    }
    let done = taken.and_then(|log| log.map_or(Ok(()), |log| write(tenure, daemon, &log)));
    tenure.commits.control.stop();
    tenure.show(Shown::GivingBack);
    // A write that is under way is waited for. One whose outcome is unknown has stopped the registry already.
    let given = tenure.parts.registry.set_role(Role::Standby { owner: None });
    *lock(&tenure.parts.writes) = false;
    tenure.show(Shown::Standby);
    done.and(Ok(given?))
}

/// Claims the ledger, and has the registry write to it; `None` where it is lost meanwhile.
fn take_over(tenure: &Tenure<'_>) -> anyhow::Result<Option<Arc<LedgerLog>>> {
    let begun = Instant::now();
    let Some(producer) = tenure.producer()? else { return Ok(None) };
    let Some(()) = tenure.own(|seq: Option<u64>| Ok((seq.unwrap_or(0), ())))? else { return Ok(None) };
    let producer = Arc::new(producer);
    tenure.go_through(Arc::clone(&producer));
    // Whoever looks for the one that writes to the ledger finds this process's id.
    match tenure.commits.commit(&[]) {
        Outcome::Done => {}
        _ if tenure.is_over() => return Ok(None),
        Outcome::Refused(why) | Outcome::Ended(why) | Outcome::Unknown(why) => {
            bail!("the claim to the ledger was not committed: {why}")
        }
    }
    let log = own_registry(tenure, producer)?;
    if log.is_some() {
        let (seq, seconds) = (tenure.parts.registry.replica_seq()?.unwrap_or(0), begun.elapsed().as_secs_f64());
        OwnsLedger { seq, seconds }.emit();
    }
    Ok(log)
}

/// The registry is read up to the last change that was acknowledged, and written here from now on.
fn own_registry(tenure: &Tenure<'_>, producer: Arc<Producer>) -> anyhow::Result<Option<Arc<LedgerLog>>> {
    let parts = tenure.parts;
    let (registry, membership, names, tail) = (&parts.registry, &parts.membership, &parts.names, &parts.tail);
    let ask = || Ok(membership.committed(&names.ledger_owner, 0, WITHIN)?);
    let Some(claimed) = tenure.patiently("reading the ledger's claim", ask)? else { return Ok(None) };
    let place = match tail.catch_up(Instant::now() + LEDGER, &|| tenure.is_over()) {
        Err(_) if tenure.is_over() => return Ok(None),
        caught_up => caught_up?,
    };
    // What is published here next, this process has.
    tail.pause();
    let member = Arc::clone(membership);
    let commit = WithGroup { producer, metadata: move || member.metadata() };
    let id = registry.likeness()?.id;
    let log = LedgerLog::new(Box::new(commit), &names.ledger, &names.ledger_owner, tenure.commits.writer(), &id);
    let opened = match opening(claimed.map(|claimed| claimed.offset), place.seen.newest, place.seen.seq) {
        Ok(Opening::Publish(seq)) => log.begin(registry, seq).map(|_| ()).map_err(Into::into),
        Ok(Opening::Write) => Ok(()),
        Err(why) => Err(anyhow!(why)),
    };
    let log = Arc::new(log);
    let owned = opened.and_then(|()| Ok(registry.set_role(Role::Owner(Arc::clone(&log) as Arc<dyn ChangeLog>))?));
    tail.resume();
    owned.map(|()| Some(log))
}

/// Writes until the ledger is lost or wanted back.
fn write(tenure: &Tenure<'_>, daemon: &Daemon<'_>, log: &Arc<LedgerLog>) -> anyhow::Result<()> {
    let (parts, control) = (tenure.parts, &tenure.commits.control);
    let models: Vec<String> = daemon.policies.iter().map(|policy| policy.model.clone()).collect();
    let mut applying = Applying::new(parts);
    tenure.show(Shown::Owner);
    let threads =
        sink_threads::start(daemon.config, &models, &parts.properties, &parts.registry, &parts.view, control)?;
    let done = thread::scope(|scope| {
        scope.spawn(|| snapshots::keep(parts, log, control, &|why| tenure.commits.lose(Loss::Fatal(why))));
        scope.spawn(|| watch(&parts.registry, control, &|why| tenure.commits.lose(Loss::Fatal(why))));
        let done = applying.run(control);
        control.stop();
        done
    });
    threads.join(LAST_THREADS);
    done
}

/// Looks whether the registry may still be written here, also while somebody tries a change again and again: after a change whose outcome is
/// unknown, or that broke the producer, it may not, and nobody else takes over before this process ends.
fn watch(registry: &Embedded, control: &Control, lose: &dyn Fn(String)) {
    while !control.is_stopping() {
        if let Some(why) = registry.stopped() {
            return lose(format!("the registry may not be written here any more: {why}"));
        }
        thread::sleep(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use driftgate_core::promotion::version::Registration;

    /// A log whose producer can write no more.
    #[derive(Debug)]
    struct Broken;

    impl ChangeLog for Broken {
        fn append(&self, _seq: u64, _change: &[u8]) -> Outcome {
            Outcome::Ended("the transaction cannot be aborted".to_owned())
        }
    }

    #[test]
    fn a_registry_that_may_not_be_written_any_more_is_told_while_somebody_tries_on() {
        let registry = Embedded::in_memory().unwrap();
        registry.begin_log(1, &mut |_, _, _| Ok(())).unwrap();
        registry.set_role(Role::Owner(Arc::new(Broken))).unwrap();
        let (control, lost) = (Control::default(), Mutex::new(Vec::new()));
        thread::scope(|scope| {
            scope.spawn(|| watch(&registry, &control, &|why| lock(&lost).push(why)));
            thread::sleep(2 * LOOK);
            assert!(lock(&lost).is_empty(), "nothing is wrong yet");
            let change = Registration { model: "m".into(), version: "1".into(), ..Registration::default() };
            while lock(&lost).is_empty() {
                assert!(registry.register(&change, "ci", 1).is_err());
            }
        });
        assert!(lock(&lost)[0].contains("cannot be aborted"), "{lost:?}");
        control.stop();
        watch(&registry, &control, &|why| panic!("{why}"));
    }
}
