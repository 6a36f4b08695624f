//! What a daemon is started with beside its configuration.

use super::starts::Accepted;
use crate::telemetry::otlp::Export;

/// What a daemon is started with beside its configuration.
#[derive(Clone, Default)]
pub struct Options {
    /// Threads that read and count; at least one.
    pub threads: usize,
    pub accepted: Accepted,
    /// Where metrics and traces are exported to, if they are.
    pub export: Option<Export>,
}
