//! Threads that cannot be started, that panic, or that do not end.

use std::io::Error;

/// What a thread is for, by what its absence means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    AskBrokers,
    Count,
    LoadBaseline,
    WatchBrokers,
    PublishVerdicts,
    WaitForArtifact,
    ReadArtifact,
    EndProducer,
}

/// The system gives no thread.
pub struct NoThread<'a> {
    pub purpose: Purpose,
    pub error: &'a Error,
}

impl NoThread<'_> {
    pub fn emit(&self) {
        let error = self.error;
        match self.purpose {
            Purpose::AskBrokers => {
                tracing::error!(%error, "no thread to ask the brokers on: no window will close");
            }
            Purpose::Count => tracing::error!(%error, "no thread to count on"),
            Purpose::LoadBaseline => tracing::error!(%error, "no thread to load a baseline on"),
            Purpose::WatchBrokers => tracing::error!(%error, "no thread to watch the brokers on"),
            Purpose::PublishVerdicts => tracing::error!(%error, "no thread to publish verdicts on"),
            Purpose::WaitForArtifact => tracing::error!(%error, "no thread to wait for an artifact on"),
            Purpose::ReadArtifact => tracing::error!(%error, "no thread to read an artifact on"),
            Purpose::EndProducer => tracing::warn!(%error, "no thread to end a producer on"),
        }
    }
}

/// A thread of the daemon panicked.
pub struct ThreadPanicked;

impl ThreadPanicked {
    pub fn emit(&self) {
        tracing::error!("a thread of the daemon panicked");
    }
}

/// A thread has not ended in the time that the daemon waits at its end.
pub struct ThreadRunsOn<'a> {
    pub thread: Option<&'a str>,
}

impl ThreadRunsOn<'_> {
    pub fn emit(&self) {
        tracing::debug!(thread = self.thread, "a thread has not ended yet");
    }
}

/// The thread that delivers verdicts and signals panicked.
pub struct DeliveryPanicked;

impl DeliveryPanicked {
    pub fn emit(&self) {
        tracing::error!("the delivery thread panicked; what it did not deliver is in the checkpoint");
    }
}
