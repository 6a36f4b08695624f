//! How its caller stops a running daemon and has it read its files again: the command on signals, a test by calls. Clones
//! control the same daemon.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;

/// The control of one daemon.
#[derive(Clone, Debug, Default)]
pub struct Control(Arc<State>);

#[derive(Debug, Default)]
struct State {
    stop: AtomicBool,
    /// Files were asked to be read again; tokens do not wait for the counting thread.
    reload: Notify,
    /// Tokens were read, and policies are to be.
    policies: AtomicBool,
    address: OnceLock<SocketAddr>,
}

/// How a daemon ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// `stop` was called.
    Stopped,
    /// Another daemon reads for its consumer group.
    GaveWay,
}

impl Control {
    /// Stops the daemon in order: what was read is counted, delivered and saved.
    pub fn stop(&self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }

    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.0.stop.load(Ordering::Relaxed)
    }

    /// Has tokens and policies read again.
    pub fn reload(&self) {
        self.0.reload.notify_one();
    }

    /// Where the daemon serves HTTP, once it does.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.0.address.get().copied()
    }

    /// Waits until files are to be read again.
    pub(super) async fn reload_asked(&self) {
        self.0.reload.notified().await;
    }

    /// Has the counting thread read policies.
    pub(super) fn reload_policies(&self) {
        self.0.policies.store(true, Ordering::Relaxed);
    }

    /// Whether policies are to be read; once each time that it was asked.
    pub(super) fn take_policies(&self) -> bool {
        self.0.policies.swap(false, Ordering::Relaxed)
    }

    pub(super) fn serves_at(&self, address: SocketAddr) {
        // One daemon serves at one address.
        let _ = self.0.address.set(address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_control_one_daemon_and_policies_are_read_once_each_time() {
        let control = Control::default();
        let other = control.clone();
        assert!(!control.is_stopping() && !control.take_policies());
        other.reload_policies();
        assert!(control.take_policies() && !control.take_policies());
        other.stop();
        assert!(control.is_stopping());
    }
}
