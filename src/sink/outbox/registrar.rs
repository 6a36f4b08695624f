//! Verdicts and signals into the registry, again and again until they are there; what became of each signal is announced.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock::{now_ms, wait};
use crate::history::History;
use crate::ledger::{Applied as Progress, Embedded, Given, RegistryError, Stream, Taken};
use crate::sink::Item;
use crate::telemetry::events::delivery::{
    RegistryBehind, RegistryRefused, SignalApplied, SignalIgnored, SignalKnown, SignalLost,
};
use crate::view::Shared;
use crate::view::failing::Part;
use crate::view::stream_state;
use driftgate_core::judge::verdict::Signal;
use driftgate_core::promotion::version::Applied;

/// So often gates are asked again that could not answer.
pub const ASK_GATES: Duration = Duration::from_secs(1);
/// Pause before something that failed is tried again, and between two looks whether to stop meanwhile.
const RETRY: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(50);

/// The way into the registry.
pub struct Registrar {
    pub registry: Arc<Embedded>,
    pub view: Shared,
    /// Where windows are kept, if they are.
    pub history: Option<History>,
    /// When gates were asked again last, and how often that failed since it last did not.
    asked: Instant,
    not_asked: u32,
}

/// What goes with items into their transaction.
#[derive(Clone, Copy, Default)]
pub struct With {
    /// Verdicts wait there for their topic.
    pub queue_verdicts: bool,
    /// They came by the results' topic: how far it is applied with them.
    pub applied: Option<Progress>,
}

impl Registrar {
    #[must_use]
    pub fn new(registry: Arc<Embedded>, view: Shared, history: Option<History>) -> Self {
        Self { registry, view, history, asked: Instant::now(), not_asked: 0 }
    }

    /// Writes a batch to the registry, again and again until it is there, or `stops`. What came of each, in the same order.
    pub fn take(&self, batch: &[&Item], with: With, stops: &dyn Fn() -> bool) -> Option<Vec<Taken>> {
        let view = &self.view;
        // Before the registry has them: what it says was taken is in both.
        if let Some(history) = &self.history {
            history.write(batch.iter().filter_map(|item| item.as_window()).collect());
        }
        let given: Vec<Given<'_>> = batch.iter().filter_map(|item| item.as_given()).collect();
        let mut attempt = 0_u32;
        loop {
            match self.with_stream(with, |stream| self.registry.take_all(&given, stream)) {
                Ok(taken) => {
                    view.works(&Part::Registry);
                    return Some(of_each(batch, taken));
                }
                // Where a process of a cluster may not write any more, the next owner has the same items.
                Err(e @ (RegistryError::Sql(_) | RegistryError::Log { .. } | RegistryError::Standby { .. })) => {
                    if stops() {
                        return None;
                    }
                    RegistryBehind { failures: attempt, error: &e.to_string() }.emit();
                    attempt = attempt.saturating_add(1);
                    view.fails(Part::Registry, format!("{} verdicts and signals wait: {e}", batch.len()));
                    wait(RETRY, LOOK, stops);
                }
                Err(e) => {
                    RegistryRefused { error: &e.to_string() }.emit();
                    return Some(of_each(batch, vec![Taken::Failed(e.to_string()); given.len()]));
                }
            }
        }
    }

    /// Asks the gates again that could not answer when their rollouts asked, if the last time is long enough ago.
    pub fn ask_waiting_gates(&mut self) {
        if self.asked.elapsed() < ASK_GATES {
            return;
        }
        match self.with_stream(With::default(), |stream| self.registry.ask_waiting_gates(stream)) {
            Ok(()) => self.not_asked = 0,
            Err(e) => {
                RegistryBehind { failures: self.not_asked, error: &e.to_string() }.emit();
                self.not_asked = self.not_asked.saturating_add(1);
            }
        }
        self.asked = Instant::now();
    }

    fn with_stream<T>(&self, with: With, work: impl FnOnce(&Stream<'_>) -> T) -> T {
        let With { queue_verdicts, applied } = with;
        let view = &self.view;
        let policy = |model: &str| view.read().models.get(model).map(|m| Arc::clone(&m.policy));
        let live = |model: &str, version: &str| stream_state::current(view, model, version);
        work(&Stream { policy: &policy, live: &live, now_ms: now_ms(), queue_verdicts, applied })
    }

    /// Counts and announces what the registry did with a signal.
    pub fn announce(&self, mut signal: Signal, taken: Taken) {
        let view = &self.view;
        match taken {
            Taken::Signal(Applied::Done { rollback_to }) => {
                signal.rollback_to = rollback_to;
                SignalApplied { signal: &signal }.emit(view);
            }
            // It was announced when it was applied.
            Taken::Signal(Applied::Already) => SignalKnown { signal: &signal }.emit(view),
            Taken::Signal(Applied::Ignored(why)) => SignalIgnored { signal: &signal, why: &why }.emit(view),
            Taken::Failed(why) => SignalLost { signal: &signal, why: Some(&why) }.emit(view),
            Taken::Verdict => SignalLost { signal: &signal, why: None }.emit(view),
        }
    }
}

/// What came of each item: of those that the registry was not given, what comes of a verdict.
fn of_each(batch: &[&Item], taken: Vec<Taken>) -> Vec<Taken> {
    let mut taken = taken.into_iter();
    let of = |item: &&Item| item.as_given().and_then(|_| taken.next()).unwrap_or(Taken::Verdict);
    batch.iter().map(of).collect()
}
