//! Carries what the registry has queued for topics and webhooks to them: one thread a sink, in order, again and again until it is
//! there. What can never be delivered is logged, counted and left behind, so that it does not hold up the rest.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::topic::TopicWriter;
use super::webhook::Webhook;
use crate::judge::verdict::Action;
use crate::registry::embedded::{Embedded, Outgoing, Sink};
use crate::view::Shared;
use crate::view::failing::Part;

/// Between two looks into an empty queue.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The longest pause before something that failed is tried again.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// How long a record may take to be acknowledged.
const ACKNOWLEDGED: Duration = Duration::from_secs(10);

/// How a sink is reached.
pub enum Carrier {
    Topic { writer: TopicWriter, topic: String },
    Webhook(Webhook),
}

/// Why something was not delivered.
enum Failed {
    /// It may work later.
    Later(String),
    Never(String),
}

/// Carries things to one sink until `stop`.
pub struct Courier {
    pub sink: Sink,
    pub carrier: Carrier,
    pub registry: Arc<Embedded>,
    pub view: Shared,
}

impl Courier {
    /// Starts the thread.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(self, stop: impl Fn() -> bool + Send + 'static) -> std::io::Result<thread::JoinHandle<()>> {
        thread::Builder::new().name(format!("to-{}", self.sink.name())).spawn(move || self.run(&stop))
    }

    fn run(self, stop: &dyn Fn() -> bool) {
        let mut failures = 0_u32;
        while !stop() {
            let next = match self.registry.outgoing(self.sink, 1) {
                Ok(mut next) => next.pop(),
                Err(e) => {
                    tracing::warn!(sink = self.sink.name(), error = %e, "the queue cannot be read");
                    None
                }
            };
            let Some(next) = next else {
                thread::sleep(LOOK_EVERY);
                continue;
            };
            match self.carry(&next) {
                Ok(()) => {
                    failures = 0;
                    self.view.works(&self.part());
                    self.done(&next, "ok");
                }
                Err(Failed::Never(why)) => {
                    failures = 0;
                    self.view.works(&self.part());
                    tracing::error!(sink = self.sink.name(), "something can never be delivered and is dropped: {why}");
                    *self.view.write().undeliverable.entry(self.sink.name()).or_default() += 1;
                    self.done(&next, "error");
                }
                Err(Failed::Later(why)) => {
                    if failures.is_power_of_two() || failures == 0 {
                        tracing::warn!(sink = self.sink.name(), attempt = failures + 1, "not delivered yet: {why}");
                    }
                    self.view.fails(self.part(), why);
                    failures = failures.saturating_add(1);
                    let pause = Duration::from_millis(250).saturating_mul(1 << failures.min(6)).min(LONGEST_PAUSE);
                    let until = std::time::Instant::now() + pause;
                    while std::time::Instant::now() < until && !stop() {
                        thread::sleep(LOOK_EVERY);
                    }
                }
            }
        }
    }

    fn part(&self) -> Part {
        Part::Sink(self.sink.name())
    }

    fn done(&self, item: &Outgoing, outcome: &'static str) {
        // If this fails it is delivered once more; every delivery may be.
        if let Err(e) = self.registry.delivered(item.id) {
            tracing::warn!(sink = self.sink.name(), error = %e, "a delivery cannot be written down");
        }
        let body: Option<Value> = serde_json::from_str(&item.body).ok();
        let action = body.as_ref().and_then(|b| b.get("event")?.as_str());
        let action = match action {
            Some("block") => Action::Block,
            Some("clear") => Action::Clear,
            Some("rollback") => Action::Rollback,
            _ => return,
        };
        *self.view.write().signals.entry((action, self.sink.name(), outcome)).or_default() += 1;
    }

    fn carry(&self, item: &Outgoing) -> Result<(), Failed> {
        match &self.carrier {
            Carrier::Topic { writer, topic } => {
                let number = item.id.cast_unsigned();
                writer
                    .send(topic, &item.key, item.body.as_bytes(), number)
                    .map_err(|e| Failed::Never(e.to_string()))?;
                let until = std::time::Instant::now() + ACKNOWLEDGED;
                while std::time::Instant::now() < until {
                    if let Some(delivery) = writer.poll(Duration::from_millis(20)).find(|d| d.number == number) {
                        return delivery.result.map_err(|e| Failed::Later(e.to_string()));
                    }
                }
                Err(Failed::Later(format!("{topic} did not acknowledge it within {} s", ACKNOWLEDGED.as_secs())))
            }
            Carrier::Webhook(hook) => hook.post(&format!("{}-{}", item.at_ms, item.id), &item.body).map_err(|e| {
                if e.is_transient() { Failed::Later(e.to_string()) } else { Failed::Never(e.to_string()) }
            }),
        }
    }
}
