//! Carries what the registry has queued for topics and webhooks to them: one thread a sink, in order, again and again until it is
//! there. A receiver that refuses is asked again for days, and for minutes where it refuses the very content; only then is
//! something logged, counted and left behind, so that it does not hold up the rest.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::lane::{Body, FLIGHT, Lane, Letter};
use super::shorten::shorten;
use super::standing::Standing;
use super::webhook::{Webhook, WebhookError};
use crate::clock::{now_ms, wait};
use crate::ledger::{Embedded, Outgoing, Sink};
use crate::telemetry::events::delivery::{DeliveryNotRecorded, QueueUnreadable, SignalDelivered};
use crate::telemetry::spans;
use crate::view::Shared;
use crate::view::failing::Part;
use driftgate_core::judge::verdict::Action;

/// Between two looks into an empty queue.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A webhook is asked for so long after something happened, whatever it answers.
const GIVEN_UP_MS: i64 = 7 * 24 * 3_600_000;
/// Where it says that it does not take this very content, for so long.
const REFUSED: Duration = Duration::from_secs(600);

/// How a sink is reached.
pub enum Route {
    Topic(Box<Lane<i64>>),
    Webhook(Box<Webhook>),
}

/// Carries things to one sink until `stop`.
pub struct Delivery {
    pub sink: Sink,
    pub route: Route,
    pub registry: Arc<Embedded>,
    pub view: Shared,
}

impl Delivery {
    /// Starts the thread.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(self, stop: impl Fn() -> bool + Send + 'static) -> std::io::Result<thread::JoinHandle<()>> {
        let work = move || {
            let Self { sink, route, registry, view } = self;
            let queue = Queue { sink, registry, view };
            match route {
                Route::Topic(lane) => queue.to_topic(*lane, &stop),
                Route::Webhook(hook) => queue.to_webhook(&hook, &stop),
            }
        };
        thread::Builder::new().name(format!("to-{}", self.sink.name())).spawn(work)
    }
}

/// Whether something of this time is asked for no longer, which is refused for its very content since so long.
pub(super) fn is_given_up(at_ms: i64, refused: Duration) -> bool {
    refused >= REFUSED || now_ms().saturating_sub(at_ms) >= GIVEN_UP_MS
}

/// What every way needs.
pub(super) struct Queue {
    pub sink: Sink,
    pub registry: Arc<Embedded>,
    pub view: Shared,
}

impl Queue {
    pub fn next(&self, most: usize) -> Vec<Outgoing> {
        self.registry.outgoing(self.sink, most).unwrap_or_else(|e| {
            QueueUnreadable { sink: &self.sink.name(), error: &e.to_string() }.emit();
            Vec::new()
        })
    }

    fn to_topic(&self, mut lane: Lane<i64>, stop: &dyn Fn() -> bool) {
        while !stop() {
            if lane.is_empty() {
                for Outgoing { id, key, body, .. } in self.next(FLIGHT) {
                    lane.push(Letter::new(id, key, Body::Text(body)));
                }
            }
            if lane.is_empty() {
                thread::sleep(LOOK_EVERY);
                continue;
            }
            let turn = lane.turn();
            let ids: Vec<i64> = turn.done.iter().chain(&turn.dropped).map(|l| l.number).collect();
            self.done(&ids);
            turn.done.iter().for_each(|l| self.count(l.body.text(), "ok"));
            turn.dropped.iter().for_each(|l| self.count(l.body.text(), "error"));
            if let Some(pause) = turn.pause {
                wait(pause, LOOK_EVERY, stop);
            }
        }
    }

    fn to_webhook(&self, hook: &Webhook, stop: &dyn Fn() -> bool) {
        let mut standing = Standing::new(Part::Sink(self.sink.name()), self.view.clone());
        while !stop() {
            let Some(mut next) = self.next(1).pop() else {
                thread::sleep(LOOK_EVERY);
                continue;
            };
            let _delivery = spans::text(&self.sink.name(), &next.body).entered();
            let mut refused: Option<Instant> = None;
            while !stop() {
                let began = Instant::now();
                let Err(error) = hook.post(&format!("{}-{}", next.at_ms, next.id), &next.body) else {
                    standing.delivered();
                    self.done(&[next.id]);
                    self.count(&next.body, "ok");
                    break;
                };
                if let (WebhookError::Refused { status: 413, .. }, Some(shorter)) = (&error, shorten(&next.body)) {
                    next.body = shorter;
                    continue;
                }
                let asked = if error.is_of_content() { refused.get_or_insert(began).elapsed() } else { Duration::ZERO };
                if is_given_up(next.at_ms, asked) {
                    standing.dropped(1, &error.to_string());
                    self.done(&[next.id]);
                    self.count(&next.body, "error");
                    break;
                }
                wait(standing.failed(began, &error.to_string()), LOOK_EVERY, stop);
            }
        }
    }

    pub fn done(&self, ids: &[i64]) {
        // If this fails they are delivered once more; every delivery may be.
        if !ids.is_empty()
            && let Err(e) = self.registry.delivered(ids)
        {
            DeliveryNotRecorded { sink: &self.sink.name(), error: &e.to_string() }.emit();
        }
    }

    /// Counts a signal that was delivered, or given up.
    fn count(&self, body: &str, outcome: &'static str) {
        let body: Option<Value> = serde_json::from_str(body).ok();
        let action = body.as_ref().and_then(|b| b.get("event").or_else(|| b.get("action"))?.as_str());
        let action = match action {
            Some("block") => Action::Block,
            Some("clear") => Action::Clear,
            Some("rollback") => Action::Rollback,
            _ => return,
        };
        let sink = if self.sink == Sink::Signals { "topic".to_owned() } else { self.sink.name() };
        SignalDelivered { action, sink: &sink, outcome }.emit(&self.view);
    }
}
