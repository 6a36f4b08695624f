//! Who may reach the HTTP server, and how: connections, names, TLS.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::{Reader, count};
use driftgate_core::yaml::{Item, Map, units};

/// Connections there may be, unless the configuration or the system's limit says otherwise.
pub const CONNECTIONS: usize = 256;
/// With fewer the requests that wait for their turn leave no room for probes.
const LEAST_CONNECTIONS: u64 = 32;

/// A port of its own for TLS, with PEM files that are read again when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    pub listen: SocketAddr,
    /// The server's certificate, and behind it those that lead to its authority.
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Authorities; with them a client needs a certificate for all but probes.
    pub client_ca: Option<PathBuf>,
}

impl Reader<'_> {
    pub(super) fn tls(&self, item: &Item) -> Option<TlsConfig> {
        let map = item.map(&["listen", "certificate", "key", "client_ca"])?;
        let listen = map.require("listen", "0.0.0.0:9465").and_then(|item| address(&item));
        let certificate = map.require("certificate", "tls/server.pem").and_then(|item| self.path(&item));
        let key = map.require("key", "tls/server.key").and_then(|item| self.path(&item));
        let client_ca = map.get("client_ca").map(|item| self.path(&item));
        Some(TlsConfig {
            listen: listen?,
            certificate: certificate?,
            key: key?,
            client_ca: match client_ca {
                Some(path) => Some(path?),
                None => None,
            },
        })
    }
}

pub(super) fn address(item: &Item) -> Option<SocketAddr> {
    let text = item.text("an address with a port")?;
    text.parse().ok().or_else(|| {
        let read = units::quote(text);
        item.fail(format!("expected an address with a port, read {read}: write it like \"127.0.0.1:9464\""))
    })
}

/// `connections` of the http section, if it is given.
pub(super) fn connections(map: Option<&Map>) -> Option<Option<usize>> {
    match map.and_then(|map| map.get("connections")) {
        Some(item) => count(&item, LEAST_CONNECTIONS, 100_000).map(Some),
        None => Some(None),
    }
}

/// Names that requests may carry, without ports.
pub(super) fn hosts(map: Option<&Map>) -> Option<Vec<String>> {
    let Some(item) = map.and_then(|map| map.get("hosts")) else { return Some(Vec::new()) };
    let name = |item: &Item| {
        let text = item.text("a host name")?;
        let is_name = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._[]:".contains(&b));
        let has_port = !text.starts_with('[') && text.contains(':');
        if is_name && !has_port {
            return Some(text.trim_end_matches('.').to_owned());
        }
        let read = units::quote(text);
        item.fail(format!("expected a host name without a port, read {read}: write it like \"driftgate.example.com\""))
    };
    item.list("host names, like [\"driftgate.example.com\"]")?
        .iter()
        .map(name)
        .collect::<Vec<_>>()
        .into_iter()
        .collect()
}
