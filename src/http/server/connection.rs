//! One connection: what it is about, for how long already, and how long that may last.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// How long a request's body may take.
pub const BODY: Duration = Duration::from_secs(10);
/// How long a request may be handled, its body included.
pub const HANDLING: Duration = Duration::from_secs(60);

/// What a connection is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The two agree on keys.
    Handshake,
    /// A request's head is awaited, and was begun.
    Head,
    /// The last request was answered, and no other has begun.
    Idle,
    /// A request's body is awaited.
    Body,
    /// The request is handled here.
    Handling,
    /// The answer is being sent.
    Answer,
}

impl Phase {
    /// Those whose end is counted as a time that was over.
    pub const LIMITED: [Self; 5] = [Self::Handshake, Self::Head, Self::Body, Self::Handling, Self::Answer];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Head => "head",
            Self::Idle => "idle",
            Self::Body => "body",
            Self::Handling => "handling",
            Self::Answer => "answer",
        }
    }

    /// How long it may last; of an answer, how long the client may take none of it.
    fn limit(self) -> Duration {
        Duration::from_secs(match self {
            Self::Handshake | Self::Head | Self::Answer => 10,
            // The server ends these two with an answer before.
            Self::Body => BODY.as_secs() + 5,
            Self::Handling => HANDLING.as_secs() + 5,
            Self::Idle => 60,
        })
    }

    /// Whether the other side is waited for.
    fn is_theirs(self) -> bool {
        self != Self::Handling
    }
}

/// How long all of an answer may take.
const WHOLE_ANSWER: Duration = Duration::from_secs(120);

#[derive(Clone, Copy, Debug)]
struct State {
    phase: Phase,
    /// Since when it is in this phase.
    since: Instant,
    /// When some of the answer was last taken.
    moved: Instant,
    /// The whole answer was handed over, and is yet to be written.
    is_handed_over: bool,
    is_body_late: bool,
}

impl State {
    /// When its phase has lasted too long.
    fn until(&self) -> Instant {
        let limit = self.phase.limit();
        match self.phase {
            Phase::Answer => (self.moved + limit).min(self.since + WHOLE_ANSWER),
            _ => self.since + limit,
        }
    }
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    pub id: u64,
    /// The address as far as one who holds it can choose it.
    pub peer: IpAddr,
    state: Mutex<State>,
    /// It has to end.
    pub closed: Notify,
}

impl Connection {
    /// A connection that begins with this phase.
    #[must_use]
    pub fn new(id: u64, peer: IpAddr, phase: Phase) -> Self {
        let now = Instant::now();
        let state = State { phase, since: now, moved: now, is_handed_over: false, is_body_late: false };
        Self { id, peer, state: Mutex::new(state), closed: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn enter(&self, phase: Phase) {
        let now = Instant::now();
        let mut state = self.state();
        if state.phase != phase {
            *state = State { phase, since: now, moved: now, ..*state };
        }
    }

    /// A request's head is there.
    pub fn begin_request(&self) {
        let mut state = self.state();
        (state.is_body_late, state.is_handed_over) = (false, false);
        drop(state);
        self.enter(Phase::Handling);
    }

    /// Bytes came.
    pub fn has_read(&self) {
        if self.state().phase == Phase::Idle {
            self.enter(Phase::Head);
        }
    }

    /// Bytes were taken.
    pub fn has_written(&self) {
        self.state().moved = Instant::now();
    }

    /// Nothing more of the answer is to come from its source.
    pub fn hand_over(&self) {
        self.state().is_handed_over = true;
    }

    /// All that was handed over is on its way.
    pub fn has_flushed(&self) {
        let state = *self.state();
        if state.phase == Phase::Answer && state.is_handed_over {
            self.enter(Phase::Idle);
        }
    }

    pub fn body_is_late(&self) {
        self.state().is_body_late = true;
    }

    #[must_use]
    pub fn is_body_late(&self) -> bool {
        self.state().is_body_late
    }

    #[must_use]
    pub fn phase(&self) -> Phase {
        self.state().phase
    }

    /// Since when it is in its phase.
    #[must_use]
    pub fn since(&self) -> Instant {
        self.state().since
    }

    /// Since when the other side is waited for, if it is.
    #[must_use]
    pub fn waits_since(&self) -> Option<Instant> {
        let state = *self.state();
        state.phase.is_theirs().then_some(state.since)
    }

    /// Completes once the phase has lasted too long, with it.
    pub async fn overdue(&self) -> Phase {
        loop {
            let state = *self.state();
            let (until, now) = (state.until(), Instant::now());
            if until <= now {
                return state.phase;
            }
            // A phase that is entered meanwhile may be shorter.
            tokio::time::sleep_until(until.min(now + Duration::from_secs(1))).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn phases_have_their_limits() {
        let connection = &Connection::new(0, IpAddr::V4(Ipv4Addr::LOCALHOST), Phase::Head);
        let left = || (connection.state().until() - Instant::now()).as_millis().div_ceil(1000);
        assert_eq!(left(), 10);
        connection.begin_request();
        assert_eq!(left(), 65);
        connection.enter(Phase::Answer);
        assert_eq!(left(), 10);
        // A reader that takes a little every few seconds has two minutes.
        let moved = |s: u64, connection: &Connection| connection.state().moved += Duration::from_secs(s);
        moved(60, connection);
        assert_eq!(left(), 70);
        moved(600, connection);
        assert_eq!(left(), 120);
        // What was handed over and flushed is done with, and the next head has a time of its own.
        connection.has_flushed();
        assert_eq!(connection.phase(), Phase::Answer);
        connection.hand_over();
        connection.has_flushed();
        assert_eq!((connection.phase(), left()), (Phase::Idle, 60));
        connection.has_read();
        assert_eq!((connection.phase(), left()), (Phase::Head, 10));
    }
}
