//! Certificates of https: the authorities that may sign the daemon's, and the client's own.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use reqwest::blocking::ClientBuilder;
use reqwest::{Certificate, Identity};

/// Authorities and certificates for a daemon with a private CA.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Trust {
    /// PEM file of the authorities that sign the daemon's certificate; default: those of the system
    #[arg(long, value_name = "FILE", env = "DRIFTGATE_CA_FILE")]
    pub ca_file: Option<PathBuf>,
    /// PEM file of the client certificate; needs `--client-key`
    #[arg(long, value_name = "FILE", env = "DRIFTGATE_CLIENT_CERTIFICATE")]
    pub client_certificate: Option<PathBuf>,
    /// PEM file of the key of `--client-certificate`
    #[arg(long, value_name = "FILE", env = "DRIFTGATE_CLIENT_KEY")]
    pub client_key: Option<PathBuf>,
}

impl Trust {
    /// A client that trusts and shows these.
    ///
    /// # Errors
    /// A file that cannot be used.
    pub fn add_to(&self, mut http: ClientBuilder) -> anyhow::Result<ClientBuilder> {
        let read = |option: &str, path: &PathBuf| {
            std::fs::read(path).with_context(|| format!("{option} {} cannot be read", path.display()))
        };
        if let Some(path) = &self.ca_file {
            let found = Certificate::from_pem_bundle(&read("--ca-file", path)?).ok().filter(|all| !all.is_empty());
            let found = found.ok_or_else(|| anyhow!("--ca-file {} holds no certificate, as PEM", path.display()))?;
            http = http.tls_certs_only(found);
        }
        match (&self.client_certificate, &self.client_key) {
            (None, None) => {}
            (Some(certificate), Some(key)) => {
                let mut pem = read("--client-certificate", certificate)?;
                pem.push(b'\n');
                pem.extend(read("--client-key", key)?);
                let identity = Identity::from_pem(&pem).map_err(|_| {
                    anyhow!(
                        "--client-certificate {} and --client-key {} hold no certificate and key without password, as PEM",
                        certificate.display(),
                        key.display()
                    )
                })?;
                http = http.identity(identity);
            }
            (Some(_), None) => return Err(anyhow!("--client-certificate needs its key: give --client-key")),
            (None, Some(_)) => return Err(anyhow!("--client-key needs its certificate: give --client-certificate")),
        }
        Ok(http)
    }
}
