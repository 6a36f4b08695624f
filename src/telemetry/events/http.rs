//! The HTTP server: connections that are refused or end, its certificate, requests that fail. The counters are those of the server,
//! which each event adds to; `http_refused_total` and `http_timeouts_total` show them.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// The reasons of `http_refused_total`.
pub mod reasons {
    pub const MADE_ROOM: &str = "made_room";
    pub const BUSY: &str = "busy";
    pub const FAILED: &str = "failed";
    pub const HANDSHAKE: &str = "handshake";
    pub const HOST: &str = "host";
}

/// A counter of the server, and how often the event happened since the last line about it; `None` where no line is due.
#[derive(Clone, Copy)]
pub struct Happened<'a> {
    pub counter: &'a AtomicU64,
    pub times: Option<u64>,
}

impl Happened<'_> {
    /// Counts; how many times a line is due for.
    fn count(self) -> Option<u64> {
        self.counter.fetch_add(1, Ordering::Relaxed);
        self.times
    }
}

/// A connection is refused, since every other one is being answered (`busy`).
pub struct ConnectionRefused<'a> {
    pub peer: IpAddr,
    pub happened: Happened<'a>,
}

impl ConnectionRefused<'_> {
    pub fn emit(&self) {
        if let Some(times) = self.happened.count() {
            tracing::warn!(peer = %self.peer, times, "http: a connection is refused: every other one is being answered");
        }
    }
}

/// A connection ends for a newer one (`made_room`).
pub struct ConnectionEnded<'a> {
    pub peer: IpAddr,
    /// How many there may be, and how many of one address.
    pub bounds: (usize, usize),
    pub happened: Happened<'a>,
}

impl ConnectionEnded<'_> {
    pub fn emit(&self) {
        if let Some(times) = self.happened.count() {
            let (connections, of_one_address) = self.bounds;
            tracing::warn!(
                peer = %self.peer, times, connections, of_one_address,
                "http: too many connections: the one that was silent longest ends for a newer one; see http.connections"
            );
        }
    }
}

/// A request or connection took too long.
pub struct TookTooLong<'a> {
    pub peer: IpAddr,
    pub phase: &'static str,
    pub happened: Happened<'a>,
}

impl TookTooLong<'_> {
    pub fn emit(&self) {
        if let Some(times) = self.happened.count() {
            let (peer, phase) = (self.peer, self.phase);
            tracing::warn!(%peer, phase, times, "http: this took too long, and the request or connection is ended");
        }
    }
}

/// A connection cannot be accepted (`failed`).
pub struct NotAccepted<'a> {
    pub error: &'a std::io::Error,
    pub happened: Happened<'a>,
}

impl NotAccepted<'_> {
    pub fn emit(&self) {
        if let Some(times) = self.happened.count() {
            tracing::error!(error = %self.error, times, "http: a connection cannot be accepted; trying again");
        }
    }
}

/// A TLS handshake came to nothing (`handshake`).
pub struct NoHandshake<'a, E> {
    pub peer: SocketAddr,
    pub error: &'a E,
    pub counter: &'a AtomicU64,
}

impl<E: Display> NoHandshake<'_, E> {
    pub fn emit(&self) {
        self.counter.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(peer = %self.peer, error = %self.error, "https: no handshake");
    }
}

/// A request names a foreign host (`host`). Only counted.
pub struct ForeignHost<'a> {
    pub counter: &'a AtomicU64,
}

impl ForeignHost<'_> {
    pub fn emit(&self) {
        self.counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// The certificate was read again. `tls_certificate_expiry_timestamp_seconds` shows when it ends.
pub enum CertificateRead<'a> {
    Changed { certificate: &'a Path, ends: &'a str },
    Same,
}

impl CertificateRead<'_> {
    pub fn emit(&self) {
        match self {
            Self::Changed { certificate, ends } => {
                tracing::info!(certificate = %certificate.display(), ends, "https: the certificate was read again");
            }
            Self::Same => tracing::info!("https: the certificate is the one read before"),
        }
    }
}

/// A certificate cannot be used, and the one before holds; `failing` shows it.
pub struct CertificateRefused<'a> {
    pub why: &'a str,
}

impl CertificateRefused<'_> {
    pub fn emit(&self) {
        tracing::error!("https: the certificate read before holds: {}", self.why);
    }
}

/// The certificate ends soon, or has ended; `failing` shows it.
pub struct CertificateEnds<'a> {
    pub why: &'a str,
}

impl CertificateEnds<'_> {
    pub fn emit(&self) {
        tracing::warn!("https: {}", self.why);
    }
}

/// A request failed for a reason that is not the caller's.
pub struct RequestFailed<'a, E> {
    pub error: &'a E,
}

impl<E: Display> RequestFailed<'_, E> {
    pub fn emit(&self) {
        tracing::error!(error = %self.error, "a request failed");
    }
}

/// The registry cannot be read for a scrape; what the stream counts is shown all the same.
pub struct ScrapeIncomplete<'a, E> {
    pub error: &'a E,
}

impl<E: Display> ScrapeIncomplete<'_, E> {
    pub fn emit(&self) {
        tracing::warn!(error = %self.error, "stages and gates are missing in the metrics");
    }
}

/// The configuration and the tokens let no caller in.
pub struct AccessWarned<W> {
    pub warning: W,
}

impl<W: Display> AccessWarned<W> {
    pub fn emit(&self) {
        tracing::warn!("{}", self.warning);
    }
}

/// The tokens were read again.
pub struct TokensRead {
    pub tokens: usize,
}

impl TokensRead {
    pub fn emit(&self) {
        tracing::info!(tokens = self.tokens, "the tokens were read again");
    }
}

/// Tokens cannot be used, and those read before hold; `failing` shows it.
pub struct TokensRefused<'a, E> {
    pub error: &'a E,
}

impl<E: Display> TokensRefused<'_, E> {
    pub fn emit(&self) {
        tracing::error!("the tokens are not taken over, and those read before hold: {}", self.error);
    }
}

/// The issuer of tokens does not give its keys; `failing` shows it as long as it holds.
pub struct IssuerAway<'a> {
    pub why: &'a str,
}

impl IssuerAway<'_> {
    pub fn emit(&self) {
        tracing::warn!("the issuer of tokens does not give its keys, and those from before hold: {}", self.why);
    }
}
