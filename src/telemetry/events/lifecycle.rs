//! The daemon starts, stops and ends.

use std::net::SocketAddr;

/// A port answers.
pub struct Listening {
    pub address: SocketAddr,
    pub is_tls: bool,
    pub connections: usize,
    pub descriptors: Option<u64>,
}

impl Listening {
    pub fn emit(&self) {
        let Self { address, is_tls, connections, descriptors } = *self;
        if is_tls {
            tracing::info!(%address, "https");
        } else {
            tracing::info!(%address, connections, descriptors, "http");
        }
    }
}

/// The limit of file descriptors leaves fewer connections than the configuration allows.
pub struct FewerConnections {
    pub descriptors: u64,
    pub connections: usize,
    pub wanted: usize,
}

impl FewerConnections {
    pub fn emit(&self) {
        let Self { descriptors, connections, wanted } = *self;
        tracing::warn!(
            descriptors,
            connections,
            "http: the limit of file descriptors (ulimit -n) leaves fewer connections than {wanted}: the others are kept for state and brokers"
        );
    }
}

/// The daemon begins to read.
pub struct Running {
    pub partitions: usize,
    pub models: usize,
    pub workers: usize,
}

impl Running {
    pub fn emit(&self) {
        let Self { partitions, models, workers } = *self;
        tracing::info!(partitions, models, workers, "running");
    }
}

/// The process cannot receive signals, and so cannot stop in order.
pub struct SignalsUnhandled;

impl SignalsUnhandled {
    pub fn emit(&self) {
        tracing::error!("signals cannot be handled; only SIGKILL will stop this process");
    }
}

/// The first signal to stop.
pub struct StopRequested;

impl StopRequested {
    pub fn emit(&self) {
        tracing::info!("stopping; a second signal leaves at once");
    }
}

/// The second signal to stop.
pub struct StopForced;

impl StopForced {
    pub fn emit(&self) {
        tracing::warn!("second signal: leaving at once. The last checkpoint holds");
    }
}

/// The daemon did not stop in time after the first signal.
pub struct StopOverdue {
    pub seconds: u64,
}

impl StopOverdue {
    pub fn emit(&self) {
        tracing::error!("not stopped within {} s; leaving. The last checkpoint holds", self.seconds);
    }
}

/// Nothing more is read; what was counted is delivered and saved.
pub struct Finishing;

impl Finishing {
    pub fn emit(&self) {
        tracing::info!("stopping: delivering and saving what was counted");
    }
}

/// Verdicts and signals that were still waiting when the daemon ended.
pub struct Undelivered;

impl Undelivered {
    pub fn emit(&self) {
        tracing::warn!("some verdicts and signals are not delivered yet; they are kept and sent after the restart");
    }
}

/// The daemon has ended.
pub struct Stopped;

impl Stopped {
    pub fn emit(&self) {
        tracing::info!("stopped");
    }
}
