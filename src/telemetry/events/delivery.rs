//! Verdicts, signals and changes on their way to the registry, to topics, webhooks and external registries.

use driftgate_core::judge::verdict::{Action, Signal};

use super::is_told;
use crate::telemetry::counts::{Counted, Counts};

/// An attempt to deliver failed and is made again. Counted always, logged now and then.
pub struct DeliveryFailed<'a> {
    pub sink: &'a str,
    /// How many attempts failed before it, one after the other.
    pub failures: u32,
    pub why: &'a str,
}

impl DeliveryFailed<'_> {
    pub fn emit(&self, counts: &impl Counts) {
        let Self { sink, failures, why } = *self;
        if is_told(failures) {
            tracing::warn!(sink, attempt = failures.saturating_add(1), "not delivered yet: {why}");
        }
        counts.count(Counted::DeliveryFailures { sink }, 1);
    }
}

/// A sink takes something again.
pub struct DeliveryResumed<'a> {
    pub sink: &'a str,
}

impl DeliveryResumed<'_> {
    pub fn emit(&self) {
        tracing::info!(sink = self.sink, "delivered again");
    }
}

/// A sink can never take something, which is dropped.
pub struct Undeliverable<'a> {
    pub sink: &'a str,
    pub dropped: u64,
    pub why: &'a str,
}

impl Undeliverable<'_> {
    pub fn emit(&self, counts: &impl Counts) {
        let Self { sink, dropped, why } = *self;
        tracing::error!(sink, dropped, "something can never be delivered and is dropped: {why}");
        counts.count(Counted::Undeliverable { sink }, dropped);
    }
}

/// A record is too large for its topic, and is sent without its longest parts.
pub struct RecordTooLarge<'a> {
    pub topic: &'a str,
    pub bytes: usize,
    pub why: &'a str,
}

impl RecordTooLarge<'_> {
    pub fn emit(&self) {
        let Self { topic, bytes, why } = *self;
        tracing::warn!(
            topic,
            bytes,
            "a record is too large for the topic and is sent without its longest parts: {why}"
        );
    }
}

/// The registry's queue for a sink cannot be read.
pub struct QueueUnreadable<'a> {
    pub sink: &'a str,
    pub error: &'a str,
}

impl QueueUnreadable<'_> {
    pub fn emit(&self) {
        tracing::warn!(sink = self.sink, error = self.error, "the queue cannot be read");
    }
}

/// Deliveries cannot be recorded; they are made once more.
pub struct DeliveryNotRecorded<'a> {
    pub sink: &'a str,
    pub error: &'a str,
}

impl DeliveryNotRecorded<'_> {
    pub fn emit(&self) {
        tracing::warn!(
            sink = self.sink,
            error = self.error,
            "the registry does not record a delivery: it is made once more"
        );
    }
}

/// What became of a signal at a sink. Only counted.
pub struct SignalDelivered<'a> {
    pub action: Action,
    pub sink: &'a str,
    /// `ok`, `error` or `already`.
    pub outcome: &'static str,
}

impl SignalDelivered<'_> {
    pub fn emit(&self, counts: &impl Counts) {
        let Self { action, sink, outcome } = *self;
        counts.count(Counted::Signals { action, sink, outcome }, 1);
    }
}

/// What the registry calls itself among the sinks.
const REGISTRY: &str = "registry";

/// The registry has a signal.
pub struct SignalApplied<'a> {
    pub signal: &'a Signal,
}

impl SignalApplied<'_> {
    pub fn emit(&self, counts: &impl Counts) {
        SignalDelivered { action: self.signal.action, sink: REGISTRY, outcome: "ok" }.emit(counts);
        announce(self.signal);
    }
}

/// The registry has had a signal before.
pub struct SignalKnown<'a> {
    pub signal: &'a Signal,
}

impl SignalKnown<'_> {
    pub fn emit(&self, counts: &impl Counts) {
        SignalDelivered { action: self.signal.action, sink: REGISTRY, outcome: "already" }.emit(counts);
    }
}

/// The registry does nothing upon a signal.
pub struct SignalIgnored<'a> {
    pub signal: &'a Signal,
    pub why: &'a str,
}

impl SignalIgnored<'_> {
    pub fn emit(&self, counts: &impl Counts) {
        let Self { signal: Signal { model, version, action, .. }, why } = *self;
        tracing::info!(model, version, action = action.name(), "the registry ignored a signal: {why}");
        SignalDelivered { action: *action, sink: REGISTRY, outcome: "ignored" }.emit(counts);
    }
}

/// The registry cannot take a signal, for another reason than its file.
pub struct SignalLost<'a> {
    pub signal: &'a Signal,
    pub why: Option<&'a str>,
}

impl SignalLost<'_> {
    pub fn emit(&self, counts: &impl Counts) {
        let Signal { model, version, action, .. } = self.signal;
        if let Some(error) = self.why {
            tracing::error!(model, version, error, "a signal is not in the registry");
        }
        SignalDelivered { action: *action, sink: REGISTRY, outcome: "error" }.emit(counts);
        announce(self.signal);
    }
}

/// The line of a signal by itself.
fn announce(signal: &Signal) {
    let Signal { model, version, group, ts, .. } = signal;
    let reasons = signal.reasons.join("; ");
    match signal.action {
        Action::Block => tracing::warn!(model, version, group, ts, reasons, "block"),
        Action::Clear => tracing::info!(model, version, group, ts, "clear"),
        Action::Rollback => {
            tracing::warn!(model, version, group, ts, to = signal.rollback_to, reasons, "rollback");
        }
    }
}

/// The registry's file does not take verdicts and signals; they are written again. Logged now and then.
pub struct RegistryBehind<'a> {
    pub failures: u32,
    pub error: &'a str,
}

impl RegistryBehind<'_> {
    pub fn emit(&self) {
        if is_told(self.failures) {
            let (error, attempt) = (self.error, self.failures);
            tracing::warn!(error, attempt, "verdicts and signals are not in the registry yet; trying again");
        }
    }
}

/// The registry refuses verdicts and signals.
pub struct RegistryRefused<'a> {
    pub error: &'a str,
}

impl RegistryRefused<'_> {
    pub fn emit(&self) {
        tracing::error!(error = self.error, "verdicts and signals are not in the registry, and cannot be");
    }
}

/// Too many verdicts wait in memory for their topic.
pub struct VerdictsOverflow;

impl VerdictsOverflow {
    pub fn emit(&self) {
        tracing::warn!("many verdicts wait for their topic: further ones wait in the registry's file");
    }
}

/// An external registry cannot be brought in step with the registry yet. Logged now and then.
pub struct ExternalBehind<'a> {
    /// MLflow or `SageMaker`.
    pub name: &'a str,
    pub failures: u32,
    pub error: &'a str,
}

impl ExternalBehind<'_> {
    pub fn emit(&self) {
        if is_told(self.failures) {
            let (name, error, attempt) = (self.name, self.error, self.failures.saturating_add(1));
            tracing::warn!(error, attempt, "{name} is not in step with the registry yet");
        }
    }
}

/// An external registry refuses something for good.
pub struct ExternalRefused<'a> {
    /// MLflow or `SageMaker`.
    pub name: &'a str,
    pub sink: &'a str,
    pub why: &'a str,
}

impl ExternalRefused<'_> {
    pub fn emit(&self, counts: &impl Counts) {
        tracing::error!(why = self.why, "{} refuses something for good; it is not tried again", self.name);
        counts.count(Counted::Undeliverable { sink: self.sink }, 1);
    }
}

/// Another system or person moved an alias in an external registry.
pub struct AliasMoved<'a> {
    pub model: &'a str,
    pub alias: &'a str,
    pub found: Option<&'a str>,
}

impl AliasMoved<'_> {
    pub fn emit(&self) {
        let Self { model, alias, found } = *self;
        tracing::warn!(model, alias, found, "somebody else moved this alias; it is not moved again");
    }
}

/// Events over HTTP are refused on their way to a topic; `failing` shows it as long as it holds.
pub struct EventsRefused<'a> {
    pub topic: &'a str,
    pub why: &'a str,
}

impl EventsRefused<'_> {
    pub fn emit(&self) {
        let Self { topic, why } = self;
        tracing::warn!(topic, "events over HTTP are refused: {why}");
    }
}

/// What an external registry has differs from what the registry wrote there. `registry_drift` shows it as long as it holds.
pub enum RegistryDrift<'a> {
    Pointer { model: &'a str, stage: &'a str, expected: Option<&'a str>, found: Option<&'a str> },
    Deleted { model: &'a str, version: &'a str },
    Anew { model: &'a str, version: &'a str },
}

impl RegistryDrift<'_> {
    pub fn emit(&self) {
        match *self {
            Self::Pointer { model, stage, expected, found } => {
                tracing::warn!(model, stage, expected, found, "registry_drift: somebody else moved this pointer");
            }
            Self::Deleted { model, version } => {
                tracing::warn!(
                    model,
                    version,
                    "registry_drift: this version was deleted in the external registry; nothing promotes it"
                );
            }
            Self::Anew { model, version } => {
                tracing::warn!(
                    model,
                    version,
                    "registry_drift: this version was deleted and made anew in the external registry; it starts anew"
                );
            }
        }
    }
}
