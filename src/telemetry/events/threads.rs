//! Threads that cannot be started.

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
