//! Registries of OCI artifacts (<https://github.com/opencontainers/distribution-spec>, version 1.1): which manifest a location names, and
//! attestations beside it. `location` is what names an artifact, `logins` is how a registry is told who asks, `error` what it
//! answers where it does not do what it is asked for, `attach` hangs an attestation
//! onto a manifest. For threads outside an async runtime.

mod attach;
mod error;
mod location;
mod logins;

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use oci_client::Client;
use oci_client::client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol};
use oci_client::secrets::RegistryAuth;
use reqwest::Url;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::http_client;
pub use attach::Attestation;
pub use error::OciError;
use error::shown;
pub use location::Location;

/// A registry that answers nothing for so long has failed,
const SILENCE: Duration = Duration::from_secs(10);
/// and so has all that is asked of it for one artifact after this.
const TIMEOUT: Duration = Duration::from_secs(60);

/// How registries are reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registries {
    /// Logins as Docker keeps them; `None`: where Docker keeps them.
    pub auth_file: Option<PathBuf>,
    /// Registries that speak no TLS, as `host:port`. Those of this machine are not asked for it either.
    pub plain_http: Vec<String>,
    /// Certificates of CAs in PEM that are believed beside those of the system.
    pub ca_file: Option<PathBuf>,
}

impl Registries {
    /// The SHA-256 of the manifest that a location names now, lower-case hex.
    ///
    /// # Errors
    /// A location that is none, or a registry that does not answer with a manifest.
    pub fn digest(&self, location: &str) -> Result<String, OciError> {
        let location: Location = location.parse()?;
        let (client, login) = self.client(&location)?;
        let (reference, registry) = (location.reference(), location.registry());
        let what = format!("manifest {}", location.named());
        let digest = run(registry, async {
            let found = client.fetch_manifest_digest(&reference, &login).await;
            found.map_err(|e| OciError::of(registry, &what, e))
        })?;
        let hex = digest.strip_prefix("sha256:").map(str::to_owned);
        hex.ok_or_else(|| OciError::Refused {
            registry: registry.to_owned(),
            what,
            why: format!("its digest is {}, and only SHA-256 is compared", shown(&digest)),
        })
    }

    /// A client for the registry of a location, and its login. Both are made for each artifact: logins end, and are renewed in their file.
    fn client(&self, location: &Location) -> Result<(Client, RegistryAuth), OciError> {
        let registry = location.registry();
        let failed = |why: String| OciError::Client { registry: registry.to_owned(), why };
        let authorities = match &self.ca_file {
            Some(path) => authorities(&http_client::pem(path).map_err(failed)?).map_err(failed)?,
            None => Vec::new(),
        };
        let here = Url::parse(&format!("http://{registry}")).is_ok_and(|url| http_client::is_loopback(&url));
        let plain = here || self.plain_http.iter().any(|host| host == registry);
        let config = ClientConfig {
            protocol: if plain { ClientProtocol::Http } else { ClientProtocol::Https },
            // What is sent is short.
            use_monolithic_push: true,
            extra_root_certificates: authorities,
            read_timeout: Some(SILENCE),
            connect_timeout: Some(SILENCE),
            user_agent: http_client::AGENT,
            ..ClientConfig::default()
        };
        let client = Client::try_from(config).map_err(|e| failed(e.to_string()))?;
        Ok((client, logins::login(registry, self.auth_file.as_deref())?))
    }
}

/// The certificates of a file in PEM.
fn authorities(pem: &[u8]) -> Result<Vec<Certificate>, String> {
    CertificateDer::pem_slice_iter(pem)
        .map(|der| {
            Ok(Certificate { encoding: CertificateEncoding::Der, data: der.map_err(|e| e.to_string())?.to_vec() })
        })
        .collect()
}

/// Does what a registry is asked for, in its time.
fn run<T>(registry: &str, work: impl Future<Output = Result<T, OciError>>) -> Result<T, OciError> {
    let failed = |why: String| OciError::Unreachable { registry: registry.to_owned(), why };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| failed(e.to_string()))?;
    runtime.block_on(async {
        let late = || failed(format!("not done within {} s", TIMEOUT.as_secs()));
        tokio::time::timeout(TIMEOUT, work).await.unwrap_or_else(|_| Err(late()))
    })
}

#[cfg(test)]
mod tests;
