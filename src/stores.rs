//! Object stores by the URLs of what lies there: `s3://`, `gs://`, `az://` (no other server is asked). Keys and endpoints come from the
//! environment (`AWS_…`, `GOOGLE_…`, `AZURE_…`), certificates of private CAs from the configuration.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::{Certificate, ClientOptions, ObjectStore, ObjectStoreScheme};
use reqwest::Url;

use crate::http_client;

/// Environment variables that configure object stores.
const OPTIONS: [&str; 3] = ["AWS_", "GOOGLE_", "AZURE_"];
/// A store that sends nothing for so long has failed.
const SILENCE: Duration = Duration::from_secs(30);

/// How object stores are reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stores {
    /// Certificates of CAs in PEM that are believed beside those of the system.
    pub ca_file: Option<PathBuf>,
}

/// A store, and a place in it.
pub type Place = (Arc<dyn ObjectStore>, Path);

impl Stores {
    /// The store of a URL; nothing is asked yet.
    ///
    /// # Errors
    /// A URL of no store, settings or certificates that cannot be used.
    pub fn open(&self, location: &str) -> Result<Place, String> {
        let url = Url::parse(location).map_err(|e| format!("it is no URL: {e}"))?;
        let unknown = |e: &dyn std::fmt::Display| {
            format!("{e}; use a path, s3://, gs:// or az://, configured by {}… variables", OPTIONS.join("…, "))
        };
        let (scheme, path) = ObjectStoreScheme::parse(&url).map_err(|e| unknown(&e))?;
        let client = self.client()?;
        let variables = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
        let variables: Vec<(String, String)> =
            variables.filter(|(k, _)| OPTIONS.iter().any(|o| k.starts_with(o))).collect();
        macro_rules! store {
            ($builder:ty, $url:expr) => {{
                let builder = <$builder>::new().with_client_options(client).with_url($url);
                let builder = variables.into_iter().fold(builder, |builder, (key, value)| {
                    match key.to_ascii_lowercase().parse() {
                        Ok(key) => builder.with_config(key, value),
                        Err(_) => builder,
                    }
                });
                builder.build().map(|store| Arc::new(store) as Arc<dyn ObjectStore>)
            }};
        }
        let store = match scheme {
            ObjectStoreScheme::AmazonS3 => store!(AmazonS3Builder, url.to_string()),
            ObjectStoreScheme::GoogleCloudStorage => store!(GoogleCloudStorageBuilder, url.to_string()),
            ObjectStoreScheme::MicrosoftAzure => store!(MicrosoftAzureBuilder, url.to_string()),
            _ => return Err(unknown(&format!("a URL of scheme {:?} names no object store", url.scheme()))),
        };
        store.map(|store| (store, path)).map_err(|e| unknown(&e))
    }

    /// A whole answer may take long, silence may not.
    fn client(&self) -> Result<ClientOptions, String> {
        let client = ClientOptions::new().with_timeout_disabled().with_read_timeout(SILENCE);
        let Some(path) = &self.ca_file else { return Ok(client) };
        let certificates = Certificate::from_pem_bundle(&http_client::pem(path)?)
            .map_err(|e| format!("the CA certificates in {} cannot be read: {e}", path.display()))?;
        Ok(certificates.into_iter().fold(client, ClientOptions::with_root_certificate))
    }
}
