//! The connections that are open: how many there are, in all and from each address, what each of them is about and for how
//! long already. Where there are too many, the one of the largest address that has kept us waiting longest makes room for a
//! newer one, so that a short request is answered whatever other clients hold open.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::connection::{Connection, Phase};
use crate::telemetry::events::http::{ConnectionEnded, ConnectionRefused, Happened, NotAccepted, TookTooLong};

/// Connections at a time, unless the configuration or the system's limit says otherwise.
pub const CONNECTIONS: usize = 256;
/// So many more than are allowed may be about to end; then no more are accepted until they have.
const ENDING: usize = 16;
/// So long a connection may keep us waiting before it makes room: a client that sends its request at once is answered, however many come.
const PATIENCE: Duration = Duration::from_millis(50);
/// A line in the log about the same thing is written no more often.
const LINE_EVERY: Duration = Duration::from_secs(10);

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

    /// Takes a connection; another one ends for it where there are too many. None where none can.
    pub async fn take(self: &Arc<Self>, peer: IpAddr, phase: Phase) -> Option<Taken> {
        loop {
            match self.try_take(peer, phase) {
                Ok(taken) => return taken,
                // Most are over by then.
                Err(left) => drop(tokio::time::timeout(left, self.freed.notified()).await),
            }
        }
    }

    /// The same, or how long to wait before one makes room.
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
            let waited = longest.since().elapsed();
            if waited < PATIENCE {
                return Err(PATIENCE.saturating_sub(waited));
            }
            table.remove(&longest.id);
            longest.closed.notify_one();
            let happened = Happened { counter: &self.counts.made_room, times: self.lines.room.happens() };
            let Bounds { all, of_address } = self.bounds;
            ConnectionEnded { peer: longest.peer, bounds: (all, of_address), happened }.emit();
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let connection = Arc::new(Connection::new(id, peer, phase));
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
    for connection in table.values().filter(|c| c.waits_since().is_some()) {
        *of.entry(connection.peer).or_default() += 1;
    }
    of.into_iter().max_by_key(|(_, n)| *n).map(|(peer, _)| peer)
}

/// The connection of an address that has kept us waiting longest.
fn longest(table: &BTreeMap<u64, Arc<Connection>>, peer: IpAddr) -> Option<Arc<Connection>> {
    let of = table.values().filter(|c| c.peer == peer);
    let waiting = of.filter_map(|c| Some((c.waits_since()?, c)));
    waiting.min_by_key(|(since, _)| *since).map(|(_, c)| Arc::clone(c))
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
        assert!(many[1].connection.since().elapsed() >= PATIENCE && begun.elapsed() < 2 * PATIENCE);
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

    #[test]
    fn an_address_is_what_its_holder_cannot_change() {
        let v6 = |text: &str| address(IpAddr::V6(text.parse::<Ipv6Addr>().unwrap()));
        assert_eq!(v6("2001:db8:1:2:a::1"), v6("2001:db8:1:2:b::2"));
        assert_ne!(v6("2001:db8:1:2::1"), v6("2001:db8:1:3::1"));
        assert_eq!(v6("::ffff:10.0.0.7"), from(7));
    }
}
