//! One source that takes events over HTTP: its token, what became of its events, and whether its topic acknowledges.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use sha2::{Digest as _, Sha256};

use super::record::{IngestConfig, NotTaken};
use crate::telemetry::events::delivery::EventsRefused;
use crate::view::Shared;
use crate::view::failing::Part;
use driftgate_core::pipeline::lock;

/// A token with fewer characters can be guessed.
const SHORTEST: usize = 24;
/// For so long after the last event was refused the status says so.
const LATELY: Duration = Duration::from_secs(60);
/// And for so long where events are acknowledged meanwhile.
const JUST: Duration = Duration::from_secs(10);

/// What became of an event or of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Accepted,
    /// Too many wait, or the topic does not acknowledge: it was not sent.
    Busy,
    /// It was sent, and not acknowledged.
    Unacknowledged,
    TooLarge,
    /// No token, or another one.
    Unauthorized,
    /// A body or headers that are no event.
    Invalid,
}

impl Outcome {
    pub const ALL: [Self; 6] =
        [Self::Accepted, Self::Busy, Self::Unacknowledged, Self::TooLarge, Self::Unauthorized, Self::Invalid];

    /// What metrics call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Busy => "busy",
            Self::Unacknowledged => "unacknowledged",
            Self::TooLarge => "too_large",
            Self::Unauthorized => "unauthorized",
            Self::Invalid => "invalid",
        }
    }
}

/// Whether the topic acknowledges.
#[derive(Debug, Default)]
struct State {
    /// Why it did not last time.
    away: Option<String>,
    /// An event is on its way that shows whether it does again.
    is_tried: bool,
    /// When an event was refused last.
    refused: Option<Instant>,
}

/// A source that takes events.
pub struct Entry {
    topic: String,
    token_file: Option<PathBuf>,
    /// The digest of the one that callers send, where one is asked for.
    token: RwLock<Option<[u8; 32]>>,
    pub body_bytes: usize,
    state: Mutex<State>,
    outcomes: [AtomicU64; Outcome::ALL.len()],
    view: Shared,
}

impl Entry {
    /// # Errors
    /// A token that cannot be used.
    pub fn load(config: &IngestConfig, topic: &str, view: Shared) -> anyhow::Result<Self> {
        let entry = Self {
            topic: topic.to_owned(),
            token_file: config.token_file.clone(),
            token: RwLock::default(),
            body_bytes: config.body_bytes,
            state: Mutex::default(),
            outcomes: Default::default(),
            view,
        };
        entry.reload()?;
        Ok(entry)
    }

    /// Reads the token again; where it cannot be used, the one from before holds.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn reload(&self) -> anyhow::Result<()> {
        let Some(path) = &self.token_file else { return Ok(()) };
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("the token in http.token_file {} cannot be read", path.display()))?;
        let token = text.trim();
        ensure!(
            token.bytes().all(|b| b.is_ascii_graphic()) && token.len() >= SHORTEST,
            "the file {} of http.token_file has to hold one token of printable ASCII, at least {SHORTEST} characters, and nothing else: `openssl rand -hex 32` makes one",
            path.display()
        );
        *self.token.write().unwrap_or_else(PoisonError::into_inner) = Some(Sha256::digest(token).into());
        Ok(())
    }

    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Whether a caller with this token may post.
    #[must_use]
    pub fn lets(&self, token: Option<&str>) -> bool {
        match &*self.token.read().unwrap_or_else(PoisonError::into_inner) {
            None => true,
            // Digests of what an attacker cannot choose: where two differ says nothing about the token.
            Some(known) => token.is_some_and(|token| *known == <[u8; 32]>::from(Sha256::digest(token))),
        }
    }

    pub fn count(&self, outcome: Outcome, times: u64) {
        if let Some(counter) = self.outcomes.get(outcome as usize) {
            counter.fetch_add(times, Ordering::Relaxed);
        }
    }

    /// How often each has happened.
    pub fn counts(&self) -> impl Iterator<Item = (Outcome, u64)> + '_ {
        Outcome::ALL.into_iter().zip(self.outcomes.iter().map(|counter| counter.load(Ordering::Relaxed)))
    }

    /// An event that is not sent, which the status shows.
    pub(super) fn refuse(&self, why: String) -> NotTaken {
        let mut state = lock(&self.state);
        self.tell(&mut state, &why);
        NotTaken::Busy(why)
    }

    /// Whether an event may be sent; the first one of those that may while the topic is away shows whether it still is.
    pub(super) fn may_send(&self) -> Result<(), NotTaken> {
        let mut state = lock(&self.state);
        match state.away.clone() {
            None => Ok(()),
            Some(_) if !state.is_tried => {
                state.is_tried = true;
                Ok(())
            }
            Some(why) => {
                self.tell(&mut state, &why);
                Err(NotTaken::Busy(why))
            }
        }
    }

    /// A record was acknowledged.
    pub(super) fn acknowledged(&self) {
        let mut state = lock(&self.state);
        (state.away, state.is_tried) = (None, false);
        self.forget(&mut state, JUST);
    }

    /// A record was not acknowledged, because of what every other one would meet as well.
    pub(super) fn failed(&self, why: &str) {
        let mut state = lock(&self.state);
        (state.away, state.is_tried) = (Some(why.to_owned()), false);
        self.tell(&mut state, why);
    }

    /// A record failed by itself, which says nothing about others.
    pub(super) fn tried(&self) {
        lock(&self.state).is_tried = false;
    }

    fn tell(&self, state: &mut State, why: &str) {
        if state.refused.replace(Instant::now()).is_none() {
            EventsRefused { topic: &self.topic, why }.emit();
        }
        self.view.fails(Part::Ingest(self.topic.clone()), why);
    }

    fn forget(&self, state: &mut State, after: Duration) {
        if state.refused.is_some_and(|at| at.elapsed() >= after) {
            state.refused = None;
            self.view.works(&Part::Ingest(self.topic.clone()));
        }
    }

    /// Nothing was refused for a while, if nothing was.
    pub(super) fn look(&self) {
        self.forget(&mut lock(&self.state), LATELY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(token_file: Option<PathBuf>) -> anyhow::Result<Entry> {
        let config = IngestConfig { name: "a".into(), token_file, body_bytes: 10 };
        Entry::load(&config, "topic", Shared::default())
    }

    #[test]
    fn a_topic_that_does_not_acknowledge_gets_one_event_at_a_time_until_it_does() {
        let entry = entry(None).unwrap();
        assert_eq!(entry.may_send(), Ok(()));
        entry.failed("no answer");
        let part = Part::Ingest("topic".to_owned());
        assert_eq!(entry.view.read().failing.get(&part).map(String::as_str), Some("no answer"));
        let busy = Err(NotTaken::Busy("no answer".to_owned()));
        // One is let through, and while it is under way no other.
        assert_eq!((entry.may_send(), entry.may_send()), (Ok(()), busy.clone()));
        entry.failed("no answer");
        assert_eq!((entry.may_send(), entry.may_send()), (Ok(()), busy));
        entry.tried();
        assert_eq!(entry.may_send(), Ok(()));
        entry.acknowledged();
        assert_eq!((entry.may_send(), entry.may_send()), (Ok(()), Ok(())));
    }

    #[test]
    fn a_token_is_asked_for_where_there_is_one_and_bad_ones_are_told() {
        assert!(entry(None).unwrap().lets(None));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let with = |text: &str| {
            std::fs::write(&path, text).unwrap();
            entry(Some(path.clone()))
        };
        let token = "0123456789abcdef01234567";
        let known = with(&format!("{token}\n")).unwrap();
        assert!(known.lets(Some(token)) && !known.lets(None) && !known.lets(Some("")) && !known.lets(Some("0123")));
        for bad in ["", "short", "0123456789abcdef 01234567", "0123456789abcdef01234567é"] {
            let told = format!("{:#}", with(bad).map(drop).unwrap_err());
            assert!(told.contains("at least 24 characters"), "{told}");
        }
        // The token from before holds.
        assert!(known.reload().is_err() && known.lets(Some(token)));
    }
}
