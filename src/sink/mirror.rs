//! Keeps an external registry in step with ours: reads what is there, takes over what others changed, and writes what differs
//! from what shall be; again and again, so that nothing is lost while it is away or has no such version yet. One thread.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::clock::now_ms;
use crate::ledger::{Embedded, Followed, Op, RegistryError, Sink};
use crate::sink::external::{Delivered, ExternalError, ExternalRegistry};
use crate::telemetry::events::delivery::{AliasMoved, ExternalBehind, ExternalRefused, RegistryDrift};
use crate::view::Shared;
use crate::view::failing::Part;

/// Between two looks whether something changed here.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The first pause after something failed, and the longest.
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// The way to one of them.
pub struct Mirror {
    pub external: Box<dyn ExternalRegistry>,
    /// How often it is asked what others changed.
    pub every: Duration,
    /// The models that have a policy.
    pub models: Vec<String>,
    pub registry: Arc<Embedded>,
    pub view: Shared,
}

/// Why a model is not in step yet.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    External(#[from] ExternalError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// What the thread remembers.
#[derive(Default)]
struct Memory {
    /// What it refuses for good: said and counted once.
    refused: BTreeSet<String>,
    failures: u32,
}

impl Mirror {
    /// Starts the thread; it ends when `stop` says so.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(self, stop: impl Fn() -> bool + Send + 'static) -> std::io::Result<thread::JoinHandle<()>> {
        thread::Builder::new().name(format!("mirror-{}", self.external.of().actor())).spawn(move || self.run(&stop))
    }

    fn run(mut self, stop: &dyn Fn() -> bool) {
        let mut memory = Memory::default();
        let mut due = Instant::now();
        let mut not_before = due;
        let of = self.external.of();
        let (name, part) = (of.name(), Part::Sink(Sink::Registry(of).name()));
        while !stop() {
            let now = Instant::now();
            if now >= not_before {
                let all = now >= due;
                match self.models(all).and_then(|models| self.round(&models, &mut memory, stop)) {
                    // Where nothing was asked for, nothing is known.
                    Ok(asked) if asked => {
                        memory.failures = 0;
                        self.view.works(&part);
                    }
                    Ok(_) => {}
                    Err(e) => {
                        ExternalBehind { name, failures: memory.failures, error: &e.to_string() }.emit();
                        self.view.fails(part.clone(), e.to_string());
                        not_before = now + PAUSE.saturating_mul(1 << memory.failures.min(6)).min(LONGEST_PAUSE);
                        memory.failures = memory.failures.saturating_add(1);
                    }
                }
                if all {
                    due = now + self.every;
                }
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    /// The models to look at, with the change of each that the external registry gets with this look: all of them, or those that changed.
    fn models(&self, all: bool) -> Result<BTreeMap<String, i64>, Failed> {
        let mut models: BTreeMap<String, i64> = self.registry.unsettled()?.into_iter().collect();
        if all {
            for model in &self.models {
                models.entry(model.clone()).or_insert(0);
            }
        }
        Ok(models)
    }

    /// Looks at every model; what fails of one does not hold up the others. Whether there were any.
    fn round(
        &mut self,
        models: &BTreeMap<String, i64>,
        memory: &mut Memory,
        stop: &dyn Fn() -> bool,
    ) -> Result<bool, Failed> {
        let mut failed = Ok(!models.is_empty());
        for (model, changed) in models {
            if stop() {
                break;
            }
            if let Err(e) = self.model(model, *changed, memory) {
                let is_away = matches!(e, Failed::External(ExternalError::Away(_)));
                failed = Err(e);
                if is_away {
                    break;
                }
            }
        }
        failed
    }

    fn model(&mut self, model: &str, changed: i64, memory: &mut Memory) -> Result<(), Failed> {
        let found = self.external.pull(model, self.registry.known_elsewhere(model)?)?;
        let followed = self.registry.follow(model, &found, now_ms())?;
        say(model, &followed);
        let waiting = followed.due.unregistered.len() as u64;
        self.view.write().unregistered.insert(model.to_owned(), waiting);
        let mut failed = Ok(());
        for op in &followed.due.ops {
            let done = self.carry_out(op, memory);
            if let Err(Failed::External(ExternalError::Away(_))) = &done {
                return done;
            }
            failed = failed.and(done);
        }
        failed?;
        if changed > 0 {
            self.registry.settled(model, changed)?;
        }
        Ok(())
    }

    fn carry_out(&mut self, op: &Op, memory: &mut Memory) -> Result<(), Failed> {
        let name = format!("{op:?}");
        if memory.refused.contains(&name) {
            return Ok(());
        }
        if let Op::SetAlias { model, alias, version, .. } = op {
            self.registry.writing(model, alias, version)?;
        }
        let of = self.external.of();
        match (self.external.deliver(op)?, op) {
            (Delivered::Done | Delivered::Already, Op::SetAlias { model, alias, version, .. }) => {
                self.registry.mirrored(model, alias, version)?;
            }
            (Delivered::Drift { found }, Op::SetAlias { model, alias, expected, .. }) => {
                AliasMoved { model, alias, found: found.as_deref() }.emit();
                self.registry.drifted(of, (model, alias), expected.as_deref(), found.as_deref(), now_ms())?;
            }
            (Delivered::Refused(why), _) => {
                ExternalRefused { name: of.name(), sink: &Sink::Registry(of).name(), why: &why }.emit(&self.view);
                memory.refused.insert(name);
            }
            _ => {}
        }
        Ok(())
    }
}

fn say(model: &str, followed: &Followed) {
    for d in &followed.drifts {
        let (stage, expected, found) = (d.stage.as_str(), d.expected.as_deref(), d.found.as_deref());
        RegistryDrift::Pointer { model, stage, expected, found }.emit();
    }
    for version in &followed.lost {
        RegistryDrift::Deleted { model, version }.emit();
    }
    for version in &followed.anew {
        RegistryDrift::Anew { model, version }.emit();
    }
}
