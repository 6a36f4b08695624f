//! One daemon a consumer group: two would judge and signal everything twice. A daemon that starts looks for the mark of another
//! one (`source::kafka`), and refuses to run where that one still renews it; one that runs goes on looking.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::control::{Control, End};
use super::starts::Starts;
use crate::source::kafka::{Handle, Mark};
use crate::telemetry::events::start::{GaveWay, RivalSeen, RivalsUnknown};
use crate::view::Shared;
use crate::view::readiness::{Latch, NotReady};
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

/// This daemon's claim to its group.
#[derive(Debug, Default)]
pub struct Claim {
    /// No other daemon counts, as far as the brokers know.
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
        control: Control,
    ) -> std::io::Result<(Arc<Self>, JoinHandle<()>)> {
        let mut partitions: Vec<(String, i32)> =
            starts.iter().filter(|(_, start)| start.halted.is_none()).map(|(key, _)| key.clone()).collect();
        // Of each topic the first.
        partitions.dedup_by(|a, b| a.0 == b.0);
        let claim = Arc::new(Self { partitions, ..Self::default() });
        let own = Arc::clone(&claim);
        let thread =
            thread::Builder::new().name("claim".into()).spawn(move || own.keep(&kafka, &me, &view, &control))?;
        Ok((claim, thread))
    }

    /// The claim of a process that a cluster's coordinator lets count: nothing is to be looked for.
    #[must_use]
    pub fn of_cluster() -> Self {
        Self { settled: AtomicBool::new(true), ..Self::default() }
    }

    /// Whether reading may begin.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Relaxed)
    }

    /// Commits that this daemon has stopped counting. If another one counts for the group, that is reported.
    pub fn end(&self, kafka: Handle, group: &str) -> End {
        if let Some(rival) = &*lock(&self.rival) {
            let who = rival.who();
            GaveWay { group, who }.emit();
            return End::GaveWay;
        }
        let partitions = self.partitions.clone();
        let has_marks = !partitions.is_empty();
        let (send, done) = std::sync::mpsc::channel();
        let work = move || {
            kafka.release(&partitions);
            let _ = send.send(());
        };
        if self.is_settled() && has_marks && thread::Builder::new().name("release".into()).spawn(work).is_ok() {
            let _ = done.recv_timeout(LAST);
        }
        End::Stopped
    }

    fn keep(&self, kafka: &Handle, me: &Mark, view: &Shared, control: &Control) {
        let stops = || control.is_stopping();
        match self.wait(kafka, me, view, &stops) {
            Some(rival) => return self.give_way(kafka, rival, control),
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
                return self.give_way(kafka, rival, control);
            }
            kafka.renew(&self.partitions);
        }
    }

    fn give_way(&self, kafka: &Handle, rival: Mark, control: &Control) {
        kafka.give_way();
        *lock(&self.rival) = Some(rival);
        control.stop();
    }

    /// Waits until it is known whether others count; returns one that does. If the brokers cannot say it, the daemon starts.
    fn wait(&self, kafka: &Handle, me: &Mark, view: &Shared, stops: &dyn Fn() -> bool) -> Option<Mark> {
        let ask = || {
            kafka.others(&self.partitions, me, TIMEOUT).unwrap_or_else(|e| {
                RivalsUnknown { error: &e }.emit();
                Vec::new()
            })
        };
        let before = ask();
        let first = before.first()?;
        let why = NotReady::OtherDaemon { who: first.who() };
        RivalSeen { why: &why }.emit();
        view.write().readiness.hold(why);
        let until = Instant::now() + GONE;
        let mut alive = None;
        while alive.is_none() && Instant::now() < until && !stops() {
            thread::sleep(NAP);
            alive = ask().into_iter().find(|mark| !before.contains(mark));
        }
        view.write().readiness.release(&Latch::ConsumerGroup);
        alive
    }
}
