//! Threads of a daemon and values whose end has no bound: the daemon waits for them, but not for ever.

use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::telemetry::events::threads::{ThreadPanicked, ThreadRunsOn};

/// Between two looks whether a thread has ended.
const LOOK: Duration = Duration::from_millis(10);

/// Threads that end once the daemon stops.
#[derive(Debug, Default)]
pub struct Threads(Vec<JoinHandle<()>>);

impl Threads {
    pub fn add(&mut self, thread: JoinHandle<()>) {
        self.0.push(thread);
    }

    /// Waits until all have ended, for at most `within`: a call to another system takes its own time. Returns how many have not.
    pub fn join(self, within: Duration) -> usize {
        let until = Instant::now() + within;
        let mut left = 0;
        for thread in self.0 {
            while !thread.is_finished() && Instant::now() < until {
                thread::sleep(LOOK);
            }
            if !thread.is_finished() {
                ThreadRunsOn { thread: thread.thread().name() }.emit();
                left += 1;
            } else if thread.join().is_err() {
                ThreadPanicked.emit();
            }
        }
        left
    }
}

/// Drops a value on a thread of its own and waits at most `within` for it; returns whether it is gone. librdkafka's threads may
/// still be connecting, and the end of a client waits for them.
pub fn drop_within<T: Send + 'static>(value: T, within: Duration) -> bool {
    let (send, gone) = channel();
    let work = move || {
        drop(value);
        let _ = send.send(());
    };
    match thread::Builder::new().name("end".into()).spawn(work) {
        Ok(_) => gone.recv_timeout(within).is_ok(),
        // Without a thread the value was dropped here.
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_end_is_waited_for_within_its_bound() {
        struct Slow(Duration);
        impl Drop for Slow {
            fn drop(&mut self) {
                thread::sleep(self.0);
            }
        }
        assert!(drop_within(Slow(Duration::ZERO), Duration::from_secs(20)));
        let begun = Instant::now();
        assert!(!drop_within(Slow(Duration::from_secs(5)), Duration::from_millis(20)));
        let mut threads = Threads::default();
        threads.add(thread::spawn(|| ()));
        threads.add(thread::spawn(|| thread::sleep(Duration::from_secs(5))));
        assert_eq!(threads.join(Duration::from_millis(50)), 1);
        assert!(begun.elapsed() < Duration::from_secs(4));
    }
}
