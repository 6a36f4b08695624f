//! What every HTTP client here shares: how long it waits, whose certificates it believes, who is asked without a proxy, how much
//! of an answer is read, and what an error says.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::blocking::{Client, ClientBuilder, Response};
use reqwest::redirect::Policy as Redirects;
use reqwest::{Certificate, Url};

/// What is sent as `User-Agent`.
pub const AGENT: &str = concat!("driftgate/", env!("CARGO_PKG_VERSION"));
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

/// Why an answer was not read to its end.
#[derive(Debug)]
pub enum BodyError {
    /// It has more bytes than may be read.
    TooLarge,
    /// It broke off, or did not end in time.
    Broken(io::Error),
}

impl BodyError {
    /// Why an answer that may take this long broke off.
    #[must_use]
    pub fn cause(self, timeout: Duration) -> String {
        let Self::Broken(error) = self else { return "the answer is too large".to_owned() };
        // A timeout within the body comes as an error of reading.
        let inner = error.into_inner().and_then(|e| e.downcast::<reqwest::Error>().ok());
        inner.map_or_else(|| "the answer broke off".to_owned(), |e| cause(*e, timeout))
    }
}

/// The body of an answer, of at most so many bytes.
///
/// # Errors
/// More bytes than that, or an answer that breaks off.
pub fn body(answer: Response, most: u64) -> Result<Vec<u8>, BodyError> {
    let mut body = Vec::new();
    answer.take(most.saturating_add(1)).read_to_end(&mut body).map_err(BodyError::Broken)?;
    if body.len() as u64 > most { Err(BodyError::TooLarge) } else { Ok(body) }
}

/// The beginning of an answer, of at most so many characters, for the text of an error. What was read before it broke off says
/// enough.
#[must_use]
pub fn beginning(answer: Response, chars: usize) -> String {
    let mut body = Vec::new();
    // A character has 4 bytes at most.
    let _ = answer.take(chars as u64 * 4).read_to_end(&mut body);
    String::from_utf8_lossy(&body).trim().chars().take(chars).collect()
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
    with_remedy(root(&error.without_url()).to_string())
}

/// The cause that no other one is behind.
#[must_use]
pub fn root<'e>(mut error: &'e (dyn std::error::Error + 'static)) -> &'e (dyn std::error::Error + 'static) {
    while let Some(source) = error.source() {
        error = source;
    }
    error
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

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::TcpListener;

    use super::*;

    /// The answer of a server that sends these bytes once and closes.
    fn answer(text: &'static str) -> Response {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        let served = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 1024];
            let _ = stream.read(&mut head).unwrap();
            stream.write_all(text.as_bytes()).unwrap();
        });
        let calls = Calls::from(Duration::from_secs(5));
        let answer = calls.client(&url).unwrap().build().unwrap().get(url).send().unwrap();
        served.join().unwrap();
        answer
    }

    #[test]
    fn an_answer_is_read_up_to_its_bound() {
        const FIVE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nabcde";
        assert_eq!(body(answer(FIVE), 5).unwrap(), b"abcde");
        assert!(matches!(body(answer(FIVE), 4), Err(BodyError::TooLarge)));
        let cut = body(answer("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc"), 9).unwrap_err();
        assert!(matches!(cut, BodyError::Broken(_)), "{cut:?}");
        assert_eq!(beginning(answer(FIVE), 3), "abc");
        assert_eq!(beginning(answer("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc"), 9), "abc");
    }
}
