//! A unit that is this process's: its last state is read and committed under this process's name, then it is counted until the unit is lost or
//! wanted back. What was kept of it in memory is gone then.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::commits::Loss;
use super::restricted;
use super::tenure::Tenure;
use crate::checkpoint::{Checkpoint, CheckpointError, Store};
use crate::cluster::state_log::{self, Restored, StateLog};
use crate::daemon::base::{Base, OfShare, OfUnit};
use crate::daemon::counting::Daemon;
use crate::daemon::engine::{EvaluatorOf, ShardOf, Totals};
use crate::daemon::options::Options;
use crate::daemon::threads::Threads;
use crate::daemon::{health, ledger};
use crate::source::kafka::KafkaSource;
use crate::telemetry::events::cluster::TookOver;
use crate::view::cluster::Role as Shown;
use driftgate_core::cluster::units::{Part, Unit};
use driftgate_core::pipeline::lock;

/// How long threads that end by themselves are waited for.
const LAST_THREADS: Duration = Duration::from_secs(2);

/// Takes the unit over and counts it until its control stops that.
///
/// # Errors
/// A state that cannot be read or used; a last commit that was refused.
pub fn run(tenure: &Tenure<'_>, daemon: &Daemon<'_>, unit: &Unit) -> anyhow::Result<()> {
    let begun = Instant::now();
    let config = restricted::of_unit(daemon.config, unit, tenure.parts.units.len());
    let threads = restricted::workers(daemon.options.threads, tenure.parts.units.len());
    let options = Options { threads, ..daemon.options.clone() };
    let policies = restricted::policies(daemon.policies, unit);
    let of_unit = Daemon { config: &config, options: &options, control: &tenure.commits.control, policies: &policies };
    if !matches!(unit.part, Part::Shard(_)) {
        lock(&tenure.parts.counted).extend(unit.models.iter().cloned());
    }
    tenure.show(Shown::TakingOver);
    let done = take_over(tenure, &of_unit, unit).and_then(|taken| match taken {
        None => Ok(()),
        Some(Taken { store, checkpoint, seq, bytes }) => {
            let base = base(tenure, &of_unit, unit, store)?;
            TookOver { unit: &unit.name, seq, bytes, seconds: begun.elapsed().as_secs_f64() }.emit();
            tenure.show(Shown::Owner);
            let mut threads = Threads::default();
            let done = of_unit.run(base, checkpoint, None, &mut threads);
            if !tenure.is_over() {
                // Nobody wants it back, so nobody else would take it over.
                let why = done.as_ref().err().map_or_else(|| "see the log above".to_owned(), |e| format!("{e:#}"));
                tenure.commits.lose(Loss::Again(format!("it is not counted any more: {why}")));
            }
            // Also after an error nothing goes on.
            tenure.commits.control.stop();
            tenure.show(Shown::GivingBack);
            threads.join(LAST_THREADS);
            done.map(|_| ())
        }
    });
    forget(tenure, unit);
    if let Err(e) = &done
        && !tenure.is_over()
    {
        tenure.commits.lose(Loss::Again(format!("it cannot be taken over or counted: {e:#}")));
    }
    done
}

/// A unit's state, as it was committed under this process's name.
struct Taken {
    store: Store,
    checkpoint: Option<Checkpoint>,
    seq: u64,
    bytes: u64,
}

fn take_over(tenure: &Tenure<'_>, daemon: &Daemon<'_>, unit: &Unit) -> anyhow::Result<Option<Taken>> {
    let Some(producer) = tenure.producer()? else { return Ok(None) };
    let folder = &daemon.config.state.path;
    let opened = tenure.patiently("opening the state folder", || match Store::open(folder) {
        Ok(store) => Ok(Ok(store)),
        // What was counted here before is still being closed.
        Err(e @ CheckpointError::Locked { .. }) => Err(e.into()),
        Err(e) => Ok(Err(e)),
    })?;
    let Some(store) = opened.transpose()? else { return Ok(None) };
    let (parts, commits) = (tenure.parts, &tenure.commits);
    let restore = |seq: Option<u64>| {
        let stop = || tenure.is_over();
        let topic = &parts.names.state;
        let found = state_log::restore(&parts.properties, (topic, 0), &unit.key(), seq, folder, &stop)
            .with_context(|| format!("the state of {:?} cannot be read from {topic}", unit.name))?;
        Ok((found.seq, found))
    };
    let restored = match tenure.own(restore) {
        Ok(Some(restored)) => restored,
        Ok(None) => return Ok(None),
        // It was wanted back while the state was read.
        Err(_) if tenure.is_over() => return Ok(None),
        Err(e) => return Err(e),
    };
    tenure.go_through(Arc::new(producer));
    let Restored { seq, bytes, held } = restored;
    // Committed as it is under this process's name: who wrote before cannot commit any more, and whoever looks for the owner finds this one.
    let log = StateLog::new(parts.names.state.clone(), &unit.key(), Arc::clone(commits) as Arc<_>, held);
    let store = store.publishing(Arc::new(log));
    let checkpoint = store.load()?;
    let mut first = checkpoint.clone().unwrap_or_default();
    match store.save(&mut first) {
        Ok(_) => Ok(Some(Taken { store, checkpoint, seq, bytes })),
        Err(_) if tenure.is_over() => Ok(None),
        Err(e) => Err(e).context("the first commit of the state"),
    }
}

/// The parts that a daemon of its own opens at its start.
fn base(tenure: &Tenure<'_>, daemon: &Daemon<'_>, unit: &Unit, store: Store) -> anyhow::Result<Base> {
    let parts = tenure.parts;
    let mut properties = parts.properties.clone();
    // Offsets of inputs are committed for lag tools, by a group without members.
    properties.insert("group.id".to_owned(), format!("{}-inputs", parts.group));
    let kafka = KafkaSource::new(&properties)?;
    let doubts = ledger::adopt(daemon.config, &parts.registry)?;
    let asked = health::ask(kafka.handle(), daemon.config)?;
    let (slot, membership) = (tenure.commits.slot(), Arc::clone(&parts.membership));
    let of_unit = OfUnit {
        results: Some(Arc::clone(&tenure.commits.results)),
        // What is closed after the last commit keeps nobody waiting.
        committed: Box::new(move || membership.give_back(slot)),
        share: share(tenure, unit)?,
    };
    let base = Base {
        properties,
        group: parts.group.clone(),
        kafka,
        asked,
        registry: Arc::clone(&parts.registry),
        store,
        me: None,
        view: parts.view.clone(),
        history: None,
        unit: Some(of_unit),
    };
    base.show(daemon.config, doubts);
    Ok(base)
}

/// What of the unit's models it counts.
fn share(tenure: &Tenure<'_>, unit: &Unit) -> anyhow::Result<OfShare> {
    let parts = tenure.parts;
    if unit.part == Part::Whole {
        return Ok(OfShare::Whole);
    }
    let (evaluator, partition) = parts.evaluator(unit).context("nobody judges what a shard counts")?;
    let Part::Evaluator { shards } = evaluator.part else { return Ok(OfShare::Whole) };
    let partials = (parts.names.partials.clone(), partition);
    Ok(match unit.part {
        Part::Whole => OfShare::Whole,
        Part::Shard(number) => OfShare::Shard(ShardOf {
            number,
            shards,
            key: unit.key(),
            evaluator: evaluator.key(),
            partials,
            decisions: parts.decisions.clone(),
            totals: Totals::clone(&parts.totals),
        }),
        Part::Evaluator { .. } => OfShare::Evaluator(EvaluatorOf {
            unit: unit.key(),
            shards: (0..shards).map(|number| (unit.shard(number).key(), number)).collect(),
            properties: parts.properties.clone(),
            partials,
            control: parts.names.control.clone(),
        }),
    })
}

/// What was shown of the unit is not this process's to know any more.
fn forget(tenure: &Tenure<'_>, unit: &Unit) {
    let judges = !matches!(unit.part, Part::Shard(_));
    {
        let mut view = tenure.parts.view.write();
        match unit.part {
            Part::Whole => view.forget(&unit.models, &unit.topics),
            Part::Evaluator { .. } => view.forget(&unit.models, &[]),
            Part::Shard(number) => view.forget_partition(&unit.topics, number),
        }
    }
    if judges {
        lock(&tenure.parts.counted).retain(|model| !unit.models.contains(model));
    }
    tenure.show(Shown::Standby);
}
