//! One daemon a consumer group: two would judge and signal everything twice. A daemon that starts looks for the mark of another
//! one (`source::kafka`), and refuses to run where that one still renews it; one that runs goes on looking.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::Flags;
use super::health::Starts;
use super::leave::leave;
use crate::source::kafka::{Handle, Mark};
use crate::view::Shared;
use driftgate_core::pipeline::lock;

/// How often a mark is renewed.
const EVERY: Duration = Duration::from_secs(2);
/// Who renewed none for so long is gone.
const GONE: Duration = Duration::from_secs(5);
/// A question to the brokers takes at most so long.
const TIMEOUT: Duration = Duration::from_secs(5);
const NAP: Duration = Duration::from_millis(100);
/// How long the brokers are waited for at the end.
const LAST: Duration = Duration::from_secs(1);
/// The name under which readiness lists another daemon's mark.
const NAME: &str = "the consumer group";

/// This daemon's claim to its group.
#[derive(Debug, Default)]
pub struct Claim {
    /// Nobody else counts, as far as the brokers say.
    settled: AtomicBool,
    /// Who else does.
    rival: Mutex<Option<Mark>>,
    partitions: Vec<(String, i32)>,
}

impl Claim {
    /// Looks for other daemons, and goes on looking. Nothing is to be read before it `is_settled`.
    ///
    /// # Errors
    /// A system without threads.
    pub fn start(
        kafka: Handle,
        me: Mark,
        starts: &Starts,
        view: Shared,
        flags: Arc<Flags>,
    ) -> std::io::Result<Arc<Self>> {
        let mut partitions: Vec<(String, i32)> =
            starts.iter().filter(|(_, start)| start.halted.is_none()).map(|(key, _)| key.clone()).collect();
        // Of each topic the first.
        partitions.dedup_by(|a, b| a.0 == b.0);
        let claim = Arc::new(Self { partitions, ..Self::default() });
        let own = Arc::clone(&claim);
        thread::Builder::new().name("claim".into()).spawn(move || own.keep(&kafka, &me, &view, &flags))?;
        Ok(claim)
    }

    /// Whether reading may begin.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Relaxed)
    }

    /// Says in good order that this daemon does not count any more. Where another one counts for the group, that is said, and the
    /// process ends.
    pub fn end(&self, kafka: Handle, group: &str) {
        if let Some(rival) = &*lock(&self.rival) {
            let who = rival.who();
            tracing::error!(
                "another driftgate reads for the consumer group {group:?}: {who}. Two would judge and signal everything twice: stop that one, or give \
                 this one another kafka.group"
            );
            leave(2);
        }
        let partitions = self.partitions.clone();
        let (send, done) = std::sync::mpsc::channel();
        let work = move || {
            kafka.release(&partitions);
            let _ = send.send(());
        };
        if self.is_settled() && thread::Builder::new().name("release".into()).spawn(work).is_ok() {
            let _ = done.recv_timeout(LAST);
        }
    }

    fn keep(&self, kafka: &Handle, me: &Mark, view: &Shared, flags: &Flags) {
        let stops = || flags.stop.load(Ordering::Relaxed);
        match self.wait(kafka, me, view, &stops) {
            Some(rival) => return self.give_way(kafka, rival, flags),
            None if stops() => return,
            None => {}
        }
        kafka.claim(me.clone(), &self.partitions);
        self.settled.store(true, Ordering::Relaxed);
        while !stops() {
            let until = Instant::now() + EVERY;
            while Instant::now() < until && !stops() {
                thread::sleep(NAP);
            }
            if stops() {
                return;
            }
            let others = kafka.others(&self.partitions, me, TIMEOUT).unwrap_or_default();
            if let Some(rival) = others.into_iter().find(|other| me.yields_to(other)) {
                return self.give_way(kafka, rival, flags);
            }
            kafka.renew(&self.partitions);
        }
    }

    fn give_way(&self, kafka: &Handle, rival: Mark, flags: &Flags) {
        kafka.give_way();
        *lock(&self.rival) = Some(rival);
        flags.stop.store(true, Ordering::Relaxed);
    }

    /// Waits until it is known whether others count; returns one that does. Brokers that cannot say it do not stop anybody.
    fn wait(&self, kafka: &Handle, me: &Mark, view: &Shared, stops: &dyn Fn() -> bool) -> Option<Mark> {
        let ask = || {
            kafka.others(&self.partitions, me, TIMEOUT).unwrap_or_else(|e| {
                tracing::warn!(error = %e, "the brokers do not say whether another driftgate reads for the same consumer group");
                Vec::new()
            })
        };
        let before = ask();
        let first = before.first()?;
        let why =
            format!("another driftgate was reading for this group, {}: waiting whether it still does", first.who());
        tracing::warn!("{why}");
        view.write().not_ready.insert(NAME.to_owned(), why);
        let until = Instant::now() + GONE;
        let mut alive = None;
        while alive.is_none() && Instant::now() < until && !stops() {
            thread::sleep(NAP);
            alive = ask().into_iter().find(|mark| !before.contains(mark));
        }
        view.write().not_ready.remove(NAME);
        alive
    }
}
