//! The connections that are open: how many there are, in all and from each address, what each of them is about and for how
//! long already. Where there are too many, the one of the largest address that has kept us waiting longest makes room for a
//! newer one, so that whoever asks a short question is answered whatever others hold open.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::telemetry::events::http::{ConnectionEnded, ConnectionRefused, Happened, NotAccepted, TookTooLong};

/// Connections at a time, unless the configuration or the system's limit says otherwise.
pub const CONNECTIONS: usize = 256;
/// So many more than are allowed may be about to end; then no more are accepted until they have.
const ENDING: usize = 16;
/// So long a connection may keep us waiting before it makes room: whoever asks at once is answered, however many come.
const PATIENCE: Duration = Duration::from_millis(50);
/// A line in the log about the same thing is written no more often.
const LINE_EVERY: Duration = Duration::from_secs(10);

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

    /// How long it may last; of an answer, how long nobody may take any of it.
    fn limit(self) -> Duration {
        Duration::from_secs(match self {
            Self::Handshake | Self::Head | Self::Answer => 10,
            // Whoever handles a request ends these two with an answer before.
            Self::Body => super::BODY.as_secs() + 5,
            Self::Handling => super::HANDLING.as_secs() + 5,
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
    id: u64,
    peer: IpAddr,
    state: Mutex<State>,
    /// Told to end.
    pub closed: Notify,
}

impl Connection {
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

/// How many connections there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub all: usize,
    pub of_address: usize,
}

impl Bounds {
    /// So many in all, and three quarters of them from one address.
    #[must_use]
    pub fn of(all: usize) -> Self {
        Self { all, of_address: (all - all / 4).max(1) }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self::of(CONNECTIONS)
    }
}

/// What happened to connections since the start.
#[derive(Debug, Default)]
pub struct Counts {
    /// Ended to make room for a newer one.
    pub made_room: AtomicU64,
    /// Not taken, since every other one was being answered.
    pub refused: AtomicU64,
    /// Could not be accepted.
    pub failed: AtomicU64,
    /// Handshakes that came to nothing.
    pub handshakes: AtomicU64,
    /// Requests with a `Host` that is none of ours.
    pub hosts: AtomicU64,
    timed_out: [AtomicU64; Phase::LIMITED.len()],
}

impl Counts {
    /// How many were ended in each phase, since it took too long.
    pub fn timed_out(&self) -> impl Iterator<Item = (Phase, u64)> + '_ {
        Phase::LIMITED.into_iter().zip(&self.timed_out).map(|(phase, n)| (phase, n.load(Ordering::Relaxed)))
    }
}

/// Says something now and then.
#[derive(Debug, Default)]
pub struct Seldom(Mutex<(Option<Instant>, u64)>);

impl Seldom {
    /// How often it happened since it was last said, if it is time to say it.
    pub fn happens(&self) -> Option<u64> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.1 += 1;
        if kept.0.is_some_and(|said| said.elapsed() < LINE_EVERY) {
            return None;
        }
        let times = std::mem::take(&mut kept.1);
        kept.0 = Some(Instant::now());
        Some(times)
    }
}

#[derive(Debug, Default)]
struct Lines {
    room: Seldom,
    refused: Seldom,
    late: Seldom,
    failed: Seldom,
}

/// All connections of a server.
#[derive(Debug, Default)]
pub struct Connections {
    bounds: Bounds,
    open: Mutex<BTreeMap<u64, Arc<Connection>>>,
    next: AtomicU64,
    /// Sockets that are not closed yet, of connections that were told to end as well.
    sockets: AtomicUsize,
    freed: Notify,
    pub counts: Counts,
    lines: Lines,
}

/// A connection that was taken; it is gone when this is dropped.
#[derive(Debug)]
pub struct Taken {
    all: Arc<Connections>,
    pub connection: Arc<Connection>,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.all.table().remove(&self.connection.id);
        self.all.sockets.fetch_sub(1, Ordering::Relaxed);
        self.all.freed.notify_one();
    }
}

impl Connections {
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, ..Self::default() }
    }

    #[must_use]
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    fn table(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Connection>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many sockets are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.sockets.load(Ordering::Relaxed)
    }

    /// Waits until there are descriptors for one more.
    pub async fn room(&self) {
        while self.open() >= self.bounds.all + ENDING {
            let _ = tokio::time::timeout(Duration::from_millis(100), self.freed.notified()).await;
        }
    }

    /// Takes a connection; another one ends for it where there are too many. None where nobody can.
    pub async fn take(self: &Arc<Self>, peer: IpAddr, phase: Phase) -> Option<Taken> {
        loop {
            match self.try_take(peer, phase) {
                Ok(taken) => return taken,
                // Most are over by then.
                Err(left) => drop(tokio::time::timeout(left, self.freed.notified()).await),
            }
        }
    }

    /// The same, or how long to wait before somebody makes room.
    fn try_take(self: &Arc<Self>, peer: IpAddr, phase: Phase) -> Result<Option<Taken>, Duration> {
        let peer = address(peer);
        let mut table = self.table();
        let own = table.values().filter(|c| c.peer == peer).count();
        // One that makes room, if room is needed and there is such a one.
        let longest = if own >= self.bounds.of_address {
            Some(longest(&table, peer))
        } else if table.len() >= self.bounds.all {
            Some(largest(&table).and_then(|peer| longest(&table, peer)))
        } else {
            None
        };
        if let Some(longest) = longest {
            let Some(longest) = longest else {
                drop(table);
                let happened = Happened { counter: &self.counts.refused, times: self.lines.refused.happens() };
                ConnectionRefused { peer, happened }.emit();
                return Ok(None);
            };
            let waited = longest.state().since.elapsed();
            if waited < PATIENCE {
                return Err(PATIENCE.saturating_sub(waited));
            }
            table.remove(&longest.id);
            longest.closed.notify_one();
            let happened = Happened { counter: &self.counts.made_room, times: self.lines.room.happens() };
            let Bounds { all, of_address } = self.bounds;
            ConnectionEnded { peer: longest.peer, bounds: (all, of_address), happened }.emit();
        }
        let now = Instant::now();
        let state = State { phase, since: now, moved: now, is_handed_over: false, is_body_late: false };
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let connection = Arc::new(Connection { id, peer, state: Mutex::new(state), closed: Notify::new() });
        table.insert(id, Arc::clone(&connection));
        self.sockets.fetch_add(1, Ordering::Relaxed);
        Ok(Some(Taken { all: Arc::clone(self), connection }))
    }

    /// Ends the connection that was silent longest, for its descriptor.
    pub fn end_one(&self) {
        let table = self.table();
        if let Some(longest) = largest(&table).and_then(|peer| longest(&table, peer)) {
            longest.closed.notify_one();
        }
    }

    /// A phase took too long.
    pub fn is_late(&self, connection: &Connection, phase: Phase) {
        let Some(at) = Phase::LIMITED.iter().position(|p| *p == phase) else { return };
        if let Some(counter) = self.counts.timed_out.get(at) {
            let happened = Happened { counter, times: self.lines.late.happens() };
            TookTooLong { peer: connection.peer, phase: phase.name(), happened }.emit();
        }
    }

    /// The listener accepted nothing.
    pub fn not_accepted(&self, error: &std::io::Error) {
        let happened = Happened { counter: &self.counts.failed, times: self.lines.failed.happens() };
        NotAccepted { error, happened }.emit();
    }
}

/// An address as far as one who holds it can choose it: of IPv6 the network.
fn address(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// The address that most connections are of.
fn largest(table: &BTreeMap<u64, Arc<Connection>>) -> Option<IpAddr> {
    let mut of: BTreeMap<IpAddr, usize> = BTreeMap::new();
    // Those that are answered do not make room.
    for connection in table.values().filter(|c| c.phase().is_theirs()) {
        *of.entry(connection.peer).or_default() += 1;
    }
    of.into_iter().max_by_key(|(_, n)| *n).map(|(peer, _)| peer)
}

/// The connection of an address that has kept us waiting longest.
fn longest(table: &BTreeMap<u64, Arc<Connection>>, peer: IpAddr) -> Option<Arc<Connection>> {
    let of = table.values().filter(|c| c.peer == peer);
    let waiting = of.filter_map(|c| Some((*c.state(), c)).filter(|(state, _)| state.phase.is_theirs()));
    waiting.min_by_key(|(state, _)| state.since).map(|(_, c)| Arc::clone(c))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    fn from(n: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, 0, 0, n))
    }

    fn is_open(all: &Connections, one: &Taken) -> bool {
        all.table().contains_key(&one.connection.id)
    }

    #[tokio::test]
    async fn the_largest_address_makes_room_with_the_one_that_waited_longest() {
        let all = Arc::new(Connections::new(Bounds { all: 6, of_address: 4 }));
        let step = || std::thread::sleep(Duration::from_millis(5));
        let mut many = Vec::new();
        for _ in 0..4 {
            many.push(all.take(from(1), Phase::Head).await.unwrap());
            step();
        }
        let (a, b) = (all.take(from(2), Phase::Head).await.unwrap(), all.take(from(3), Phase::Head).await.unwrap());
        many[0].connection.begin_request();
        // The first of the crowd is being answered, so that the second one goes.
        let begun = Instant::now();
        let c = all.take(from(4), Phase::Head).await.unwrap();
        assert!(many[1].connection.state().since.elapsed() >= PATIENCE && begun.elapsed() < 2 * PATIENCE);
        assert!(is_open(&all, &many[0]) && !is_open(&all, &many[1]) && is_open(&all, &many[2]));
        assert!(is_open(&all, &a) && is_open(&all, &b) && is_open(&all, &c));
        // Whoever is at the bound of an address makes room for himself.
        drop((b, c));
        many.push(all.take(from(1), Phase::Head).await.unwrap());
        many.push(all.take(from(1), Phase::Head).await.unwrap());
        assert!(!is_open(&all, &many[2]) && is_open(&all, &many[3]) && is_open(&all, &a));
        assert_eq!((all.counts.made_room.load(Ordering::Relaxed), all.open()), (2, 7), "ended ones hold sockets still");
        drop(many);
        assert_eq!(all.open(), 1);
    }

    #[tokio::test]
    async fn what_is_being_answered_makes_no_room() {
        let all = Arc::new(Connections::new(Bounds { all: 2, of_address: 2 }));
        let held = [all.take(from(1), Phase::Head).await.unwrap(), all.take(from(1), Phase::Head).await.unwrap()];
        held.iter().for_each(|t| t.connection.begin_request());
        assert!(all.take(from(1), Phase::Head).await.is_none() && all.take(from(2), Phase::Head).await.is_none());
        assert_eq!(all.counts.refused.load(Ordering::Relaxed), 2);
        held[1].connection.enter(Phase::Answer);
        assert!(all.take(from(2), Phase::Head).await.is_some() && !is_open(&all, &held[1]));
    }

    #[tokio::test]
    async fn phases_have_their_limits() {
        let all = Arc::new(Connections::default());
        let taken = all.take(from(1), Phase::Head).await.unwrap();
        let connection = &taken.connection;
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

    #[test]
    fn an_address_is_what_its_holder_cannot_change() {
        let v6 = |text: &str| address(IpAddr::V6(text.parse::<Ipv6Addr>().unwrap()));
        assert_eq!(v6("2001:db8:1:2:a::1"), v6("2001:db8:1:2:b::2"));
        assert_ne!(v6("2001:db8:1:2::1"), v6("2001:db8:1:3::1"));
        assert_eq!(v6("::ffff:10.0.0.7"), from(7));
    }
}
