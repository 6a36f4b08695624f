//! What every HTTP client here shares: who is asked without a proxy, and what an error says.

use std::time::Duration;

use reqwest::Url;

/// Whether a URL names this machine: no proxy knows what it calls itself.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        host == "localhost" || address.is_ok_and(|a| a.is_loopback())
    })
}

/// Why a request failed, where it may take this long.
#[must_use]
pub fn cause(error: reqwest::Error, timeout: Duration) -> String {
    if error.is_timeout() { format!("no answer within {} s", timeout.as_secs_f64()) } else { innermost(error) }
}

/// The innermost cause, which says most; reqwest's own texts repeat the URL, which may hold secrets.
#[must_use]
pub fn innermost(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut innermost: &dyn std::error::Error = &error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
