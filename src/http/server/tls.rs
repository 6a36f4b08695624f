//! The certificate that the TLS port shows, its key, and the authorities of clients' certificates: read from files, and read
//! again when they change and on SIGHUP. What cannot be used changes nothing, and is said. A connection goes on with what it
//! began with.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest as _, Sha256};
use tokio::signal::unix::{SignalKind, signal};

use super::expiry::not_after_ms;
use crate::clock::now_ms;
use crate::telemetry::events::http::{CertificateEnds, CertificateRead, CertificateRefused};
use crate::view::Shared;
use crate::view::failing::Part;

/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(2);
/// From so long before its end a certificate is warned of, once a day.
const WARN_BEFORE_MS: i64 = 14 * DAY_MS;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Why files of certificates and keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{what} {} cannot be read: {source}", path.display())]
    Read { what: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{what} {} holds {holds}, as PEM", path.display())]
    Pem { what: &'static str, path: PathBuf, holds: &'static str },
    #[error("the certificate {} and the key {} cannot be used: {source}", certificate.display(), key.display())]
    Pair { certificate: PathBuf, key: PathBuf, source: rustls::Error },
    #[error("the certificates of client_ca {} cannot be used: {why}", path.display())]
    Authorities { path: PathBuf, why: String },
    #[error("the certificate {} ended on {}", path.display(), driftgate_core::codec::time::utc(*at_ms))]
    Expired { path: PathBuf, at_ms: i64 },
    #[error("TLS cannot be set up: {0}")]
    Setup(rustls::Error),
}

/// What was read at one time.
struct Read {
    config: Arc<ServerConfig>,
    /// The first end of one of its certificates.
    ends_ms: Option<i64>,
    sha256: [u8; 32],
}

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

/// The files, and what they held when they last could be used.
pub struct Certificates {
    files: TlsConfig,
    read: RwLock<Read>,
}

impl Certificates {
    /// Reads the files for the first time; a certificate that has ended is taken, and said.
    ///
    /// # Errors
    /// Files that cannot be used.
    pub fn load(files: &TlsConfig) -> Result<Self, TlsError> {
        let read = read(files)?;
        Ok(Self { files: files.clone(), read: RwLock::new(read) })
    }

    /// What new connections are made with.
    #[must_use]
    pub fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.read.read().unwrap_or_else(PoisonError::into_inner).config)
    }

    /// Whether clients are asked for certificates.
    #[must_use]
    pub fn asks_clients(&self) -> bool {
        self.files.client_ca.is_some()
    }

    #[must_use]
    pub fn ends_ms(&self) -> Option<i64> {
        self.read.read().unwrap_or_else(PoisonError::into_inner).ends_ms
    }

    /// Reads the files again; whether they changed.
    fn renew(&self) -> Result<bool, TlsError> {
        let fresh = read(&self.files)?;
        let mut read = self.read.write().unwrap_or_else(PoisonError::into_inner);
        if fresh.sha256 == read.sha256 {
            return Ok(false);
        }
        let now = now_ms();
        if let Some(at_ms) = fresh.ends_ms.filter(|at| *at <= now && read.ends_ms.is_none_or(|old| old > now)) {
            return Err(TlsError::Expired { path: self.files.certificate.clone(), at_ms });
        }
        *read = fresh;
        Ok(true)
    }

    /// Reads the files again whenever they change, and says what is wrong with them, for as long as the process runs.
    pub async fn watch(self: Arc<Self>, view: Shared) {
        let mut hup = signal(SignalKind::hangup()).ok();
        let (mut told, mut doubted): (Option<String>, Option<String>) = (None, None);
        let mut warned_ms = i64::MIN;
        loop {
            let is_told_to = tokio::select! {
                () = tokio::time::sleep(EVERY) => false,
                Some(()) = async { match hup.as_mut() { Some(hup) => hup.recv().await, None => None } } => true,
            };
            match self.renew() {
                Ok(changed) => {
                    if changed {
                        let (certificate, ends) = (&self.files.certificate, &ends(self.ends_ms()));
                        CertificateRead::Changed { certificate, ends }.emit();
                    } else if is_told_to || told.is_some() {
                        CertificateRead::Same.emit();
                    }
                    (told, doubted) = (None, None);
                    self.warn_of_the_end(&view, &mut warned_ms);
                }
                Err(error) => {
                    let why = error.to_string();
                    // Certificate and key are replaced one after the other, so that they may not match for a moment.
                    let is_new = told.as_ref() != Some(&why);
                    if is_new && (is_told_to || doubted.as_ref() == Some(&why)) {
                        CertificateRefused { why: &why }.emit();
                        view.fails(Part::Tls, format!("the certificate read before holds: {why}"));
                        told = Some(why.clone());
                    }
                    doubted = Some(why);
                }
            }
        }
    }

    fn warn_of_the_end(&self, view: &Shared, warned_ms: &mut i64) {
        let now = now_ms();
        let Some(at) = self.ends_ms().filter(|at| at - now < WARN_BEFORE_MS) else {
            view.works(&Part::Tls);
            *warned_ms = i64::MIN;
            return;
        };
        let when = if at <= now { "has ended" } else { "ends soon" };
        let why = format!("the certificate {} {when}: {}", self.files.certificate.display(), ends(Some(at)));
        if warned_ms.saturating_add(DAY_MS) <= now {
            CertificateEnds { why: &why }.emit();
            *warned_ms = now;
        }
        view.fails(Part::Tls, why);
    }
}

fn ends(ms: Option<i64>) -> String {
    ms.map_or_else(|| "unknown".to_owned(), driftgate_core::codec::time::utc)
}

fn bytes(what: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read { what, path: path.to_owned(), source })
}

fn certificates(what: &'static str, path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    found.ok().filter(|found| !found.is_empty()).ok_or_else(|| TlsError::Pem {
        what,
        path: path.to_owned(),
        holds: "no certificate",
    })
}

fn read(files: &TlsConfig) -> Result<Read, TlsError> {
    let TlsConfig { certificate, key, client_ca, .. } = files;
    let (of_certificate, of_key, of_clients) = ("the certificate file", "the key file", "the client_ca file");
    let (chain_pem, key_pem) = (bytes(of_certificate, certificate)?, bytes(of_key, key)?);
    let ca_pem = client_ca.as_deref().map(|path| bytes(of_clients, path)).transpose()?;
    let mut digest = Sha256::new();
    for text in [&chain_pem, &key_pem].into_iter().chain(&ca_pem) {
        digest.update((text.len() as u64).to_le_bytes());
        digest.update(text);
    }
    let chain = certificates(of_certificate, certificate, &chain_pem)?;
    let holds = "no private key that is not encrypted";
    let private = PrivateKeyDer::from_pem_slice(&key_pem).map_err(|_| TlsError::Pem {
        what: of_key,
        path: key.clone(),
        holds,
    })?;
    let ends_ms = chain.iter().filter_map(|c| not_after_ms(c)).min();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = builder.map_err(TlsError::Setup)?;
    let builder = match (client_ca, &ca_pem) {
        (Some(path), Some(pem)) => {
            let authorities = certificates(of_clients, path, pem)?;
            let wrong = |why: String| TlsError::Authorities { path: path.clone(), why };
            builder.with_client_cert_verifier(verifier(authorities, provider).map_err(wrong)?)
        }
        _ => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, private).map_err(|source| TlsError::Pair {
        certificate: certificate.clone(),
        key: key.clone(),
        source,
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Read { config: Arc::new(config), ends_ms, sha256: digest.finalize().into() })
}

/// Clients without a certificate are let in as far as the probes.
fn verifier(
    authorities: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority).map_err(|e| e.to_string())?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    builder.allow_unauthenticated().build().map_err(|e| e.to_string())
}
