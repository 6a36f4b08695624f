//! The validating webhook of Kubernetes.

use std::net::SocketAddr;

/// The webhook takes reviews.
pub struct AdmissionListens<'a> {
    pub address: SocketAddr,
    /// The daemon that it asks.
    pub server: &'a str,
}

impl AdmissionListens<'_> {
    pub fn emit(&self) {
        tracing::info!(address = %self.address, server = self.server, "the webhook takes reviews");
    }
}

/// An object passed.
pub struct Admitted<'a> {
    pub object: &'a str,
}

impl Admitted<'_> {
    pub fn emit(&self) {
        tracing::debug!(object = self.object, "admitted");
    }
}

/// An object was refused.
pub struct Refused<'a> {
    pub object: &'a str,
    pub why: &'a str,
}

impl Refused<'_> {
    pub fn emit(&self) {
        tracing::warn!(object = self.object, "refused: {}", self.why);
    }
}
