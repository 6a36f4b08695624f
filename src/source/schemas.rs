//! The schemas of framed messages: each is fetched once from a schema registry, by a thread beside the stream. A registry that is
//! away is asked until it answers, and the messages wait; a schema that it does not have is asked for a few times.

mod client;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::clock::wait;
use crate::telemetry::events::input::{SchemaFetched, SchemaRefused, SchemasAway};
use driftgate_core::decode::framing::SchemaRef;
use driftgate_core::decode::wire::{Found, Schemas};

pub use client::{Access, Client, FetchError, Schema};

/// A schema that the registry does not have is asked for so often, so far apart: another node of it may have it already.
const TRIES: u32 = 3;
const BETWEEN: Duration = Duration::from_millis(500);
/// A registry that does not answer is asked again after this.
const AWAY: Duration = Duration::from_secs(1);
/// What was refused is asked for again after this: somebody may have mended it.
const REFUSED: Duration = Duration::from_secs(60);
/// How long a wait lasts before it is seen that nobody waits any more.
const LOOK: Duration = Duration::from_millis(50);

/// What is known of a schema.
#[derive(Debug)]
enum Known {
    Asked,
    Here(Schema),
    Refused(String, Instant),
}

/// The schemas of a registry, as far as messages have named them.
#[derive(Debug)]
pub struct SchemaRegistry {
    known: Mutex<HashMap<SchemaRef, Known>>,
    asked: Sender<SchemaRef>,
}

impl SchemaRegistry {
    /// Starts the thread that fetches. It tells `said` why schemas cannot be had, and `None` once they can; it ends when nobody has
    /// the registry any more, or it `stops`.
    ///
    /// # Errors
    /// No thread to be had.
    pub fn start(
        client: Client,
        said: impl Fn(Option<String>) + Send + 'static,
        stops: impl Fn() -> bool + Send + 'static,
    ) -> std::io::Result<(Arc<Self>, JoinHandle<()>)> {
        let (asked, asks) = channel();
        let registry = Arc::new(Self { known: Mutex::default(), asked });
        let fetcher = Fetcher { client, of: Arc::downgrade(&registry), said: Box::new(said), stops: Box::new(stops) };
        let thread = thread::Builder::new().name("schemas".into()).spawn(move || fetcher.run(&asks))?;
        Ok((registry, thread))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SchemaRef, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Schemas for SchemaRegistry {
    fn find(&self, at: SchemaRef) -> Found {
        let mut known = self.lock();
        match known.get(&at) {
            Some(Known::Here(Schema::Avro(writer))) => return Found::Avro(Arc::clone(writer)),
            Some(Known::Here(Schema::Protobuf(definitions))) => return Found::Protobuf(Arc::clone(definitions)),
            Some(Known::Asked) => return Found::Waits,
            Some(Known::Refused(why, since)) if since.elapsed() < REFUSED => return Found::Refused(why.clone()),
            Some(Known::Refused(..)) | None => {}
        }
        known.insert(at, Known::Asked);
        // The thread lives as long as this does, or the daemon ends.
        let _ = self.asked.send(at);
        Found::Waits
    }
}

struct Fetcher {
    client: Client,
    of: std::sync::Weak<SchemaRegistry>,
    said: Box<dyn Fn(Option<String>) + Send>,
    stops: Box<dyn Fn() -> bool + Send>,
}

impl Fetcher {
    fn run(self, asks: &Receiver<SchemaRef>) {
        loop {
            match asks.recv_timeout(LOOK) {
                Ok(at) => {
                    let Some(found) = self.fetch(at) else { return };
                    let Some(registry) = self.of.upgrade() else { return };
                    registry.lock().insert(at, found);
                }
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) if !(self.stops)() => {}
                Err(_) => return,
            }
        }
    }

    /// Asks until there is an answer; `None`: nobody waits for it any more.
    fn fetch(&self, at: SchemaRef) -> Option<Known> {
        let (mut tries, mut is_away) = (0, false);
        loop {
            let pause = match self.client.fetch(at) {
                Ok(schema) => {
                    self.works(is_away);
                    SchemaFetched { schema: &at.to_string(), url: self.client.url() }.emit();
                    return Some(Known::Here(schema));
                }
                Err(FetchError::Refused(why)) => {
                    self.works(is_away);
                    is_away = false;
                    tries += 1;
                    if tries >= TRIES {
                        SchemaRefused { schema: &at.to_string(), why: &why }.emit();
                        return Some(Known::Refused(why, Instant::now()));
                    }
                    BETWEEN
                }
                Err(FetchError::Away(why)) => {
                    if !is_away {
                        SchemasAway { url: self.client.url(), why: &why }.emit();
                        is_away = true;
                    }
                    (self.said)(Some(format!("messages wait for the schema {at}: {why}")));
                    AWAY
                }
            };
            if !wait(pause, LOOK, || (self.stops)() || self.of.strong_count() == 0) {
                return None;
            }
        }
    }

    fn works(&self, was_away: bool) {
        if was_away {
            (self.said)(None);
        }
    }
}
