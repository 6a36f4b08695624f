//! What every HTTP client here shares: how long it waits, whose certificates it believes, who is asked without a proxy, and what
//! an error says.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::blocking::{Client, ClientBuilder};
use reqwest::redirect::Policy as Redirects;
use reqwest::{Certificate, Url};

/// What is sent as `User-Agent`.
const AGENT: &str = concat!("driftgate/", env!("CARGO_PKG_VERSION"));
/// A file of CA certificates is no longer than this; those of the web take 250 kB.
const LONGEST_CA_FILE: u64 = 4 << 20;

/// How a server is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calls {
    /// A request that takes longer has failed.
    pub timeout: Duration,
    /// Certificates of CAs in PEM that are believed beside those of the system.
    pub ca_file: Option<PathBuf>,
}

impl From<Duration> for Calls {
    fn from(timeout: Duration) -> Self {
        Self { timeout, ca_file: None }
    }
}

impl Calls {
    /// What makes a client for the server of a URL. It follows no redirects, which would take tokens and signed events
    /// elsewhere, and asks no proxy for this machine, since no proxy knows what that calls itself.
    ///
    /// # Errors
    /// A file of certificates that cannot be used.
    pub fn client(&self, url: &Url) -> Result<ClientBuilder, String> {
        let http = Client::builder().timeout(self.timeout).connect_timeout(self.timeout);
        let http = http.user_agent(AGENT).redirect(Redirects::none());
        let http = if is_loopback(url) { http.no_proxy() } else { http };
        Ok(match &self.ca_file {
            Some(path) => http.tls_certs_merge(certificates(path)?),
            None => http,
        })
    }
}

/// The certificates of a file in PEM.
fn certificates(path: &Path) -> Result<Vec<Certificate>, String> {
    Certificate::from_pem_bundle(&pem(path)?)
        .map_err(|e| format!("the CA certificates in {} cannot be read: {}", path.display(), innermost(e)))
}

/// A file that holds certificates in PEM.
///
/// # Errors
/// One that cannot be read, or holds none.
pub fn pem(path: &Path) -> Result<Vec<u8>, String> {
    let shown = path.display();
    let length = std::fs::metadata(path).map(|found| found.len());
    let length = length.map_err(|e| format!("the CA certificates {shown} cannot be read: {e}"))?;
    if length > LONGEST_CA_FILE {
        return Err(format!("the CA certificates {shown} take {length} bytes, more than {LONGEST_CA_FILE}"));
    }
    let text = std::fs::read(path).map_err(|e| format!("the CA certificates {shown} cannot be read: {e}"))?;
    if memchr::memmem::find(&text, b"-----BEGIN CERTIFICATE-----").is_none() {
        return Err(format!("{shown} holds no certificate in PEM: name the file of your CA, with BEGIN CERTIFICATE"));
    }
    Ok(text)
}

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
    with_remedy(innermost.to_string())
}

/// The certificate names an issuer that neither the system nor we know.
fn with_remedy(said: String) -> String {
    if !said.contains("UnknownIssuer") {
        return said;
    }
    format!(
        "{said}: no CA that is known here has signed its certificate; name the file of your CA as `tls: {{ca_file: …}}`"
    )
}

/// An error of a library that tells its cause apart from itself: both.
#[must_use]
pub fn with_cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let (said, cause) = (error.to_string(), innermost.to_string());
    if said.contains(&cause) { said } else { with_remedy(format!("{said}: {cause}")) }
}
