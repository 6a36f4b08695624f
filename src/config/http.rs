//! Who may reach the HTTP server, and how: connections, names, TLS.

use std::net::{Ipv4Addr, SocketAddr};

use super::access;
use super::key::{Key, default, names, optional, required};
use super::reader::{ConfigReader, count};
use super::types::HttpConfig;
use crate::http::auth::Reading;
use crate::http::server::tls::TlsConfig;
use driftgate_core::yaml::{Item, Map, units};

/// With fewer the requests that wait for their turn leave no room for probes.
const LEAST_CONNECTIONS: u64 = 32;

pub const HTTP: [Key; 8] = [
    default("listen", "address", "\"127.0.0.1:9464\"", "Address and port of HTTP."),
    optional(
        "tokens_file",
        "path",
        "File of tokens, one line `TOKEN role models-pattern actor` per token. SIGHUP reads it again. Without it, or `DRIFTGATE_TOKENS` in the environment, \
         HTTP changes nothing.",
    ),
    optional(
        "connections",
        "number",
        "Connections at a time, from 32 to 100000. If it is left out there are 256, or fewer where the limit of file descriptors asks for it.",
    ),
    default(
        "hosts",
        "list of names",
        "[]",
        "Host names that requests may carry, beside those of the machine. If any are given, others are refused.",
    ),
    optional("tls", "mapping", "A port for HTTPS."),
    optional(
        "read",
        "`open` or `token`",
        "Who may read. If it is left out: everybody on loopback, and beyond it holders of a token.",
    ),
    default("metrics", "`open` or `token`", "open", "Who may read `/metrics`."),
    optional("oidc", "mapping", "An issuer whose tokens are accepted beside those of the file."),
];

pub const HTTPS: [Key; 4] = [
    required("listen", "address", "Address and port of HTTPS."),
    required(
        "certificate",
        "path",
        "PEM file with the server's certificate and the chain behind it. It is read again when it changes, and on SIGHUP.",
    ),
    required("key", "path", "PEM file with the private key."),
    optional(
        "client_ca",
        "path",
        "PEM file with authorities. With it every request but `/live` and `/ready` needs a certificate of one of them.",
    ),
];

impl ConfigReader<'_> {
    pub fn http(&self, item: Option<&Item>) -> Option<HttpConfig> {
        let map = match item {
            Some(item) => Some(item.map(const { &names(&HTTP) })?),
            None => None,
        };
        let get = |key| map.as_ref().and_then(|map| map.get(key));
        let listen = get("listen").map_or(Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 9464))), |item| address(&item));
        let tokens_file = get("tokens_file").map(|item| self.path(&item));
        let (connections, hosts) = (connections(map.as_ref()), hosts(map.as_ref()));
        let tls = get("tls").map(|item| self.tls(&item));
        let read = get("read").map(|item| access::reading(&item));
        let metrics = get("metrics").map_or(Some(Reading::Open), |item| access::reading(&item));
        let oidc = get("oidc").map(|item| self.oidc(&item));
        Some(HttpConfig {
            listen: listen?,
            oidc: match oidc {
                Some(oidc) => Some(oidc?),
                None => None,
            },
            read: match read {
                Some(read) => Some(read?),
                None => None,
            },
            metrics: metrics?,
            connections: connections?,
            hosts: hosts?,
            tls: match tls {
                Some(tls) => Some(tls?),
                None => None,
            },
            tokens_file: match tokens_file {
                Some(path) => Some(path?),
                None => None,
            },
        })
    }

    fn tls(&self, item: &Item) -> Option<TlsConfig> {
        let map = item.map(const { &names(&HTTPS) })?;
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

fn address(item: &Item) -> Option<SocketAddr> {
    let text = item.text("an address with a port")?;
    text.parse().ok().or_else(|| {
        let read = units::quote(text);
        item.fail(format!("expected an address with a port, read {read}: write it like \"127.0.0.1:9464\""))
    })
}

/// `connections` of the http section, if it is given.
fn connections(map: Option<&Map>) -> Option<Option<usize>> {
    match map.and_then(|map| map.get("connections")) {
        Some(item) => count(&item, LEAST_CONNECTIONS, 100_000).map(Some),
        None => Some(None),
    }
}

/// Names that requests may carry, without ports.
fn hosts(map: Option<&Map>) -> Option<Vec<String>> {
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
