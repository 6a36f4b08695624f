//! A client of a running daemon's HTTP API, for the commands that need one. The token is sent in a header; no message and no `Debug`
//! shows it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Once;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use reqwest::blocking::{Client as Http, RequestBuilder};
use reqwest::header::{HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Method, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::elsewhere;
use super::exit::{self, Failure};
use super::local::Local;
use super::terminal::errln;
use super::trust::Trust;
use crate::api::Cluster;
use crate::http_client::{Calls, cause, is_loopback};

/// A request that takes longer has failed.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A daemon that cannot answer yet is asked again for so long.
const LATER: Duration = Duration::from_secs(10);
/// Between two questions who the owner is.
const BETWEEN: Duration = Duration::from_secs(1);
/// A process of a cluster sends a change to the owner; meanwhile that may be another one again.
const MOST_MOVES: usize = 3;
/// Where the token comes from when no file is named.
const TOKEN: &str = "DRIFTGATE_TOKEN";
/// An answer that is not ours is quoted up to here.
const SHOWN_CHARS: usize = 200;

/// The daemon that a command asks, and the caller's token.
#[derive(Clone, Debug, clap::Args)]
pub struct ServerArgs {
    /// Address of the daemon
    #[arg(long, value_name = "URL", env = "DRIFTGATE_SERVER", default_value = "http://127.0.0.1:9464")]
    pub server: String,
    /// File with the token, which changes need, and reading where the daemon requires one; default: the variable `DRIFTGATE_TOKEN`
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Configuration whose registry and policies are used directly, without a daemon
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub trust: Trust,
}

/// Asks one daemon, or what it would ask.
pub struct Client {
    base: Url,
    token: Option<String>,
    http: Http,
    local: Option<Local>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base", &shown(&self.base)).finish_non_exhaustive()
    }
}

impl Client {
    /// A client for the daemon that the arguments name; nothing is asked yet.
    ///
    /// # Errors
    /// An address that is no URL, or a token that cannot be read or sent.
    pub fn new(args: &ServerArgs) -> Result<Self, Failure> {
        let token = match &args.token_file {
            Some(path) => {
                let read = std::fs::read_to_string(path);
                Some(read.with_context(|| format!("the token file {} cannot be read", path.display()))?)
            }
            None => std::env::var(TOKEN).ok(),
        };
        // A registry's file shows no certificate.
        let none = Trust::default();
        let trust = if args.config.is_none() { &args.trust } else { &none };
        let client = Self::with_token(&args.server, token.as_deref(), trust)?;
        let local = args.config.as_deref().map(|path| Local::open(path, client.token.as_deref())).transpose()?;
        Ok(Self { local, ..client })
    }

    /// A client that works on a registry itself, waiting no longer than this for other processes.
    ///
    /// # Errors
    /// As `new`; a registry that another process holds is a `RegistryError`.
    pub fn patient(args: &ServerArgs, patience: Duration) -> Result<Self, Failure> {
        let Some(path) = args.config.as_deref() else { return Self::new(args) };
        let client = Self::new(&ServerArgs { config: None, trust: Trust::default(), ..args.clone() })?;
        let local = Local::open_within(path, client.token.as_deref(), patience)?;
        Ok(Self { local: Some(local), ..client })
    }

    /// Whether a token is sent.
    #[must_use]
    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }

    fn with_token(server: &str, token: Option<&str>, trust: &Trust) -> Result<Self, Failure> {
        let no_url = || anyhow!("the server is not a URL such as http://127.0.0.1:9464: correct --server");
        let mut base = Url::parse(server).map_err(|_| no_url())?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(no_url().into());
        }
        base.set_query(None);
        base.set_fragment(None);
        let token = token.map(str::trim).filter(|t| !t.is_empty()).map(str::to_owned);
        if token.as_deref().is_some_and(|t| !t.bytes().all(|b| b.is_ascii_graphic())) {
            return Err(anyhow!(
                "the token holds characters that cannot be sent: give one token of printable ASCII, nothing else"
            )
            .into());
        }
        let http = Calls::from(TIMEOUT).client(&base).map_err(|why| anyhow!(why))?;
        let http = trust.add_to(http)?.build().context("the HTTP client cannot be set up")?;
        Ok(Self { base, token, http, local: None })
    }

    /// GET of a path, given by its parts, with a query.
    ///
    /// # Errors
    /// A daemon that does not answer, or its refusal.
    pub fn get<T: DeserializeOwned>(&self, path: &[&str], query: &[(&str, &str)]) -> Result<T, Failure> {
        let mut url = self.url(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.read(&self.ask(Method::GET, &url, None)?)
    }

    /// GET of a path, given by its parts, with a query: the body as it is.
    ///
    /// # Errors
    /// A daemon that does not answer, or its refusal.
    pub fn get_bytes(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Vec<u8>, Failure> {
        let mut url = self.url(path);
        url.query_pairs_mut().extend_pairs(query);
        self.ask(Method::GET, &url, None)
    }

    /// POST of a JSON body to a path, given by its parts.
    ///
    /// # Errors
    /// A daemon that does not answer, or its refusal.
    pub fn post<T: DeserializeOwned>(&self, path: &[&str], body: &impl Serialize) -> Result<T, Failure> {
        self.read(&self.ask(Method::POST, &self.url(path), Some(serde_json::to_vec(body)?))?)
    }

    /// The address of a page of the daemon, given by the parts of its path; none where a registry is read directly.
    #[must_use]
    pub fn page(&self, path: &[&str]) -> Option<String> {
        self.local.is_none().then(|| shown(&self.url(path)))
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        // Parts are percent-encoded here: names hold spaces and the like.
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().extend(path);
        }
        url
    }

    fn read<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, Failure> {
        serde_json::from_slice(body).map_err(|e| {
            self.refused(&format!(
                "its answer is not what this command expects ({e}); is it a driftgate of this release?"
            ))
        })
    }

    /// The body of a successful answer.
    fn ask(&self, method: Method, url: &Url, body: Option<Vec<u8>>) -> Result<Vec<u8>, Failure> {
        let (status, body) = if let Some(local) = &self.local {
            let query = url.query().map_or_else(String::new, |q| format!("?{q}"));
            let path = url.path().strip_prefix(self.base.path().trim_end_matches('/')).unwrap_or(url.path());
            local.call(method, &format!("{path}{query}"), body)?
        } else {
            self.warn_of_a_token_in_clear();
            self.send(&method, url, body.as_deref())?
        };
        if status.is_success() {
            return Ok(body);
        }
        let said = error_text(&body);
        if status.is_server_error() {
            return Err(self.failed(status, &said));
        }
        let said = if said.is_empty() { status.to_string() } else { said };
        if status == StatusCode::UNAUTHORIZED && self.token.is_none() {
            return Err(self.refused(&format!("{said}; name a file with it as --token-file, or set {TOKEN}")));
        }
        Err(self.refused(&said))
    }

    /// Sends a request, again where the daemon says that it will answer later: it is starting, or has too much to do; and to the
    /// owner where a process of a cluster names it (`elsewhere` has what that owner must be).
    fn send(&self, method: &Method, url: &Url, body: Option<&[u8]>) -> Result<(StatusCode, Vec<u8>), Failure> {
        let until = Instant::now() + LATER;
        let (first, mut url, mut moves) = (url, url.clone(), 0);
        loop {
            let answered = match self.send_once(method, &url, body) {
                // The owner is gone, and nothing reached it: whoever named it knows the next one soon.
                Err(e) if e.is_connect() && moves > 0 && Instant::now() + BETWEEN < until => {
                    thread::sleep(BETWEEN);
                    (url, moves) = (first.clone(), 0);
                    continue;
                }
                answered => answered.map_err(|e| self.unreachable_at(&url, &cause(e, TIMEOUT)))?,
            };
            let Answered { status, later, location, body: answer } = answered;
            match (status, later, location) {
                (StatusCode::SERVICE_UNAVAILABLE, Some(later), _) if Instant::now() + later < until => {
                    thread::sleep(later);
                }
                (StatusCode::TEMPORARY_REDIRECT, _, Some(location)) if moves < MOST_MOVES => {
                    moves += 1;
                    url = self.owner(&url, &location)?;
                }
                _ => return Ok((status, answer)),
            }
        }
    }

    /// Where the owner of a cluster is asked, as one of its processes said.
    fn owner(&self, asked: &Url, location: &str) -> Result<Url, Failure> {
        let of_cluster = self.url(&["api", "v1", "cluster"]);
        let answered = self.send_once(&Method::GET, &of_cluster, None);
        let Answered { status, body, .. } =
            answered.map_err(|e| self.unreachable_at(&of_cluster, &cause(e, TIMEOUT)))?;
        let members: Vec<String> = match serde_json::from_slice::<Cluster>(&body) {
            Ok(cluster) if status.is_success() => cluster.members.into_iter().map(|m| m.advertise).collect(),
            _ => Vec::new(),
        };
        elsewhere::follow(&self.base, asked, location, &members).map_err(|why| self.refused(&why))
    }

    /// Sends a request once, with the token.
    fn send_once(&self, method: &Method, url: &Url, body: Option<&[u8]>) -> reqwest::Result<Answered> {
        let request = self.http.request(method.clone(), url.clone());
        let request = match body {
            Some(body) => request.header("content-type", "application/json").body(body.to_vec()),
            None => request,
        };
        let request = self.token.iter().fold(request, RequestBuilder::bearer_auth);
        request.send().and_then(|response| {
            let header = |name| response.headers().get(name).and_then(|v: &HeaderValue| v.to_str().ok());
            let later = header(RETRY_AFTER).and_then(|v| v.parse().ok()).map(Duration::from_secs);
            let location = header(LOCATION).map(str::to_owned);
            Ok(Answered { status: response.status(), later, location, body: response.bytes()?.to_vec() })
        })
    }

    /// GET of a path at another process of the cluster, with the token if it may go there.
    ///
    /// # Errors
    /// Why it was not asked, or did not answer, in a sentence.
    pub fn get_of_member<T: DeserializeOwned>(&self, advertise: &str, path: &[&str]) -> Result<T, String> {
        let mut url = Url::parse(advertise).map_err(|_| "its address is no URL".to_owned())?;
        elsewhere::may_be_told(&self.base, &url)?;
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().extend(path);
        }
        let said = self.send_once(&Method::GET, &url, None).map_err(|e| cause(e, TIMEOUT))?;
        if !said.status.is_success() {
            return Err(format!("{}: {}", said.status, error_text(&said.body)));
        }
        serde_json::from_slice(&said.body).map_err(|e| format!("its answer is not what this command expects: {e}"))
    }

    fn warn_of_a_token_in_clear(&self) {
        static SAID: Once = Once::new();
        if self.token.is_some() && self.base.scheme() == "http" && !is_loopback(&self.base) {
            SAID.call_once(|| {
                errln!(
                    "driftgate: warning: the token is sent to {} unencrypted, where others can read it: use https:// (http.tls of the daemon)",
                    shown(&self.base)
                );
            });
        }
    }

    /// The daemon at the address, or another process of its cluster.
    fn unreachable_at(&self, url: &Url, cause: &str) -> Failure {
        let is_elsewhere = url.origin() != self.base.origin();
        let mut asked = if is_elsewhere { url.clone() } else { self.base.clone() };
        if is_elsewhere {
            asked.set_path("");
        }
        let error = anyhow!("the daemon at {} cannot be reached: {cause}; is `driftgate run` up?", shown(&asked));
        Failure { code: exit::UNREACHABLE, error }
    }

    /// The daemon, or a proxy before it, could not answer.
    fn failed(&self, status: StatusCode, said: &str) -> Failure {
        let said = if said.is_empty() { "no reason given" } else { said };
        Failure {
            code: exit::UNREACHABLE,
            error: anyhow!("the daemon at {} failed ({status}): {said}; see its log", shown(&self.base)),
        }
    }

    fn refused(&self, said: &str) -> Failure {
        if self.local.is_some() {
            return Failure { code: exit::INPUT, error: anyhow!("{said}") };
        }
        Failure { code: exit::INPUT, error: anyhow!("the daemon at {}: {said}", shown(&self.base)) }
    }
}

/// What came back.
struct Answered {
    status: StatusCode,
    /// When to ask again.
    later: Option<Duration>,
    /// Where to ask instead.
    location: Option<String>,
    body: Vec<u8>,
}

/// The address without what may be secret in it.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Fails only for URLs that cannot hold either.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.as_str().trim_end_matches('/').to_owned()
}

/// The server's own words: `{"error": …}`, else the start of its body.
fn error_text(body: &[u8]) -> String {
    match serde_json::from_slice::<Value>(body).ok().as_ref().and_then(|v| v.get("error")?.as_str()) {
        Some(text) => text.to_owned(),
        None => String::from_utf8_lossy(body).trim().chars().take(SHOWN_CHARS).collect(),
    }
}

#[cfg(test)]
mod tests;
