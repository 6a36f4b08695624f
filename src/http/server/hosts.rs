//! Under which names the server is asked. A foreign web page can have its own name lead to this machine (DNS
//! rebinding), and then reads what a browser behind the firewall reaches: such requests carry that name.

use std::net::IpAddr;

use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::http::{Request, StatusCode, Version};

/// What a server is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts {
    /// Other names are refused.
    pub is_strict: bool,
    pub names: Vec<String>,
}

impl Hosts {
    /// Names beside those of this machine; they are all there are where a server listens on loopback or any are given.
    #[must_use]
    pub fn of(names: &[String], listens: IpAddr) -> Self {
        Self { is_strict: !names.is_empty() || listens.to_canonical().is_loopback(), names: names.to_vec() }
    }

    /// Why a request that came to this address is not for us.
    pub fn refusal<B>(&self, request: &Request<B>, at: IpAddr) -> Option<(StatusCode, String)> {
        if !self.is_strict {
            return None;
        }
        let hosts: Vec<_> = request.headers().get_all(HOST).iter().collect();
        let in_target = request.uri().authority().map(Authority::as_str);
        match hosts.as_slice() {
            [] if in_target.is_none() && request.version() < Version::HTTP_11 => return None,
            [] if in_target.is_none() => return Some((StatusCode::BAD_REQUEST, "the request has no Host".to_owned())),
            [] | [_] => {}
            _ => return Some((StatusCode::BAD_REQUEST, "the request has several Hosts".to_owned())),
        }
        let named = hosts.iter().map(|h| h.to_str().ok()).chain(in_target.map(Some));
        for name in named {
            if !name.is_some_and(|name| self.knows(name, at)) {
                let name = name.unwrap_or("no text");
                return Some((
                    StatusCode::MISDIRECTED_REQUEST,
                    format!(
                        "this server is not called {name:?}: ask it as localhost, or name the host in http.hosts of the configuration"
                    ),
                ));
            }
        }
        None
    }

    fn knows(&self, name: &str, at: IpAddr) -> bool {
        let Some(host) = host(name) else { return false };
        if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            let address = address.to_canonical();
            // A request for the very address of the connection was led by no name.
            if address.is_loopback() || address == at.to_canonical() {
                return true;
            }
        }
        host.eq_ignore_ascii_case("localhost") || self.names.iter().any(|known| known.eq_ignore_ascii_case(host))
    }
}

/// A host without its port and the dot of the root.
fn host(name: &str) -> Option<&str> {
    let end = name.rfind(']').map_or(0, |at| at + 1);
    let (host, port) = match name.get(end..)?.find(':') {
        Some(at) => (name.get(..end + at)?, name.get(end + at + 1..)?),
        None => (name, ""),
    };
    let is_whole = port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit());
    is_whole.then(|| host.strip_suffix('.').unwrap_or(host)).filter(|host| !host.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: &str = "127.0.0.1";

    fn asked(names: &[&str], listens: &str, at: &str, host: Option<&str>, uri: &str) -> Option<u16> {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        let request = Request::builder().uri(uri);
        let request = host.into_iter().fold(request, |r, host| r.header(HOST, host)).body(()).unwrap();
        let hosts = Hosts::of(&names, listens.parse().unwrap());
        hosts.refusal(&request, at.parse().unwrap()).map(|(status, _)| status.as_u16())
    }

    #[test]
    fn on_loopback_only_names_of_this_machine_are_answered() {
        let on_loopback = |host: &str| asked(&[], LOOPBACK, LOOPBACK, Some(host), "/");
        for host in [
            "localhost",
            "localhost:9464",
            "LocalHost:1",
            "localhost.",
            "127.0.0.1",
            "127.0.0.1:80",
            "127.1.2.3:9464",
            "[::1]",
            "[::1]:9464",
        ] {
            assert_eq!(on_loopback(host), None, "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:9464",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evil.example#localhost",
            "localhost@evil.example",
            "evil.example@localhost",
            "localhost:9464@evil.example",
            "localhost, evil.example",
            "",
            ":9464",
            "10.0.0.1",
            "0.0.0.0",
            "[fe80::1]:9464",
            "::1",
            "localhost:x",
            "169.254.169.254",
        ] {
            let status = on_loopback(host);
            assert!(status == Some(421) || (host == "::1" && status.is_none()), "{host}: {status:?}");
        }
    }

    #[test]
    fn the_target_of_a_request_counts_as_well_as_its_host() {
        let asked = |host, uri| asked(&[], LOOPBACK, LOOPBACK, host, uri);
        assert_eq!(asked(Some("localhost"), "http://evil.example/live"), Some(421));
        assert_eq!(asked(Some("evil.example"), "http://localhost/live"), Some(421));
        assert_eq!(asked(None, "http://localhost:9464/live"), None);
        assert_eq!(asked(None, "/live"), Some(400));
    }

    #[test]
    fn names_that_are_given_hold_everywhere() {
        let asked = |names, host| asked(names, "0.0.0.0", "10.0.0.1", Some(host), "/");
        assert_eq!(asked(&[], "evil.example"), None);
        let named = &["gate.example"];
        assert_eq!(asked(named, "Gate.example:9464"), None);
        assert_eq!(asked(named, "10.0.0.1:9464"), None, "probes ask by address");
        assert_eq!(asked(named, "evil.example"), Some(421));
        assert_eq!(asked(named, "10.0.0.2"), Some(421));
    }
}
