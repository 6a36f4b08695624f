//! An attestation beside a manifest: a manifest of its own, whose `subject` is the other. A registry of version 1.1 of the specification
//! lists it by itself; where one does not, it is added to an index that is tagged with the subject's digest, as the specification asks of
//! clients. Everything is named by its content, so that writing it again changes nothing.

use oci_client::errors::OciDistributionError;
use oci_client::manifest::{OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use reqwest::header::HeaderValue;
use serde_json::{Value, json};

use super::error::OciError;
use super::location::Location;
use super::{Registries, run};
use driftgate_core::codec::dsse::BUNDLE;
use driftgate_core::codec::hash::sha256_hex;
use driftgate_core::codec::time::utc;
use driftgate_core::fact::attestation::PREDICATE;

/// The configuration of a manifest that has none: an empty object.
const EMPTY: &str = "{}";
const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// What artifacts are: images, lists of them, and everything that is packed as one.
const MANIFESTS: [&str; 4] = [OCI_IMAGE_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE, DOCKER_MANIFEST, DOCKER_LIST];

/// What is attached.
#[derive(Clone, Copy, Debug)]
pub struct Attestation<'a> {
    /// The SHA-256 of the manifest that it is about, lower-case hex.
    pub sha256: &'a str,
    /// A Sigstore bundle.
    pub bundle: &'a str,
    /// Wall clock, ms.
    pub at_ms: i64,
}

/// What is written where.
struct Attaching<'a> {
    client: Client,
    login: RegistryAuth,
    location: &'a Location,
}

impl Registries {
    /// Attaches an attestation to a manifest of a location's repository; when this returns `Ok`, the registry lists it.
    ///
    /// # Errors
    /// A registry that cannot be reached, that refuses, or that has no such manifest.
    pub fn attach(&self, location: &Location, attestation: &Attestation<'_>) -> Result<(), OciError> {
        let (client, login) = self.client(location)?;
        run(location.registry(), Attaching { client, login, location }.attach(attestation))
    }
}

impl Attaching<'_> {
    async fn attach(&self, attestation: &Attestation<'_>) -> Result<(), OciError> {
        let subject = format!("sha256:{}", attestation.sha256);
        let described = self.subject(&subject).await?;
        let manifest = manifest(attestation, &described);
        self.push_blob(EMPTY).await?;
        self.push_blob(attestation.bundle).await?;
        let digest = self.push_manifest(&manifest).await?;
        if self.is_listed(&subject, &digest).await? {
            return Ok(());
        }
        self.list(&subject, &manifest, &digest).await?;
        if self.is_listed(&subject, &digest).await? {
            return Ok(());
        }
        let why = "it was written at the same time by somebody else".to_owned();
        Err(OciError::Unreachable { registry: self.location.registry().to_owned(), why })
    }

    fn failed(&self, what: &str, error: OciDistributionError) -> OciError {
        OciError::of(self.location.registry(), what, error)
    }

    /// The manifest that is attested, as another one refers to it.
    async fn subject(&self, digest: &str) -> Result<Value, OciError> {
        let found = self.client.pull_manifest_raw(&self.location.at_digest(digest), &self.login, &MANIFESTS).await;
        let (bytes, _) = found.map_err(|e| self.failed(&format!("manifest {digest}"), e))?;
        let manifest: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let of_shape =
            if manifest.get("manifests").is_some() { OCI_IMAGE_INDEX_MEDIA_TYPE } else { OCI_IMAGE_MEDIA_TYPE };
        let media_type = manifest.get("mediaType").and_then(Value::as_str).unwrap_or(of_shape);
        Ok(json!({"mediaType": media_type, "digest": digest, "size": bytes.len()}))
    }

    async fn push_blob(&self, text: &str) -> Result<(), OciError> {
        let (at, digest) = (self.location.reference(), digest_of(text));
        match self.client.push_blob(&at, text.as_bytes().to_vec(), &digest).await {
            Ok(_) => Ok(()),
            // Some registries do not say where it is now.
            Err(OciDistributionError::RegistryNoLocationError) if self.has_blob(&at, &digest).await? => Ok(()),
            Err(e) => Err(self.failed("a blob", e)),
        }
    }

    async fn has_blob(&self, at: &Reference, digest: &str) -> Result<bool, OciError> {
        self.client.blob_exists(at, digest).await.map_err(|e| self.failed("a blob", e))
    }

    /// Writes a manifest under its digest, which it gives back.
    async fn push_manifest(&self, manifest: &Value) -> Result<String, OciError> {
        let text = manifest.to_string();
        let digest = digest_of(&text);
        let media_type = HeaderValue::from_static(OCI_IMAGE_MEDIA_TYPE);
        let pushed = self.client.push_manifest_raw(&self.location.written(&digest), text, media_type).await;
        pushed.map_err(|e| self.failed("an attestation", e))?;
        Ok(digest)
    }

    /// Whether the registry, or the index in place of its list, names the manifest as one that refers to the subject.
    async fn is_listed(&self, subject: &str, digest: &str) -> Result<bool, OciError> {
        let listed = self.client.pull_referrers(&self.location.at_digest(subject), None).await;
        match listed.map_err(|e| self.failed("what refers to a manifest", e)) {
            Ok(listed) => Ok(listed.manifests.iter().any(|manifest| manifest.digest == digest)),
            // It does not know the question.
            Err(OciError::Missing { .. } | OciError::Refused { .. }) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Adds the manifest to the index of what refers to the subject.
    async fn list(&self, subject: &str, manifest: &Value, digest: &str) -> Result<(), OciError> {
        let at = self.location.at_tag(&subject.replace(':', "-"));
        let before = self.client.pull_manifest_raw(&at, &self.login, &[OCI_IMAGE_INDEX_MEDIA_TYPE]).await;
        let before = match before.map_err(|e| self.failed("the index of what refers to a manifest", e)) {
            Ok((bytes, _)) => serde_json::from_slice(&bytes).unwrap_or_default(),
            Err(OciError::Missing { .. }) => Value::Null,
            Err(e) => return Err(e),
        };
        let index = index(before, manifest, digest);
        let media_type = HeaderValue::from_static(OCI_IMAGE_INDEX_MEDIA_TYPE);
        let pushed = self.client.push_manifest_raw(&at, index.to_string(), media_type).await;
        pushed.map(drop).map_err(|e| self.failed("the index of what refers to a manifest", e))
    }
}

fn digest_of(text: &str) -> String {
    format!("sha256:{}", sha256_hex(text.as_bytes()))
}

/// The manifest of an attestation, as cosign writes it.
fn manifest(attestation: &Attestation<'_>, subject: &Value) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": OCI_IMAGE_MEDIA_TYPE,
        "artifactType": BUNDLE,
        "config": {"mediaType": EMPTY_TYPE, "digest": digest_of(EMPTY), "size": EMPTY.len()},
        "layers": [{"mediaType": BUNDLE, "digest": digest_of(attestation.bundle), "size": attestation.bundle.len()}],
        "subject": subject,
        "annotations": {
            "dev.sigstore.bundle.content": "dsse-envelope",
            "dev.sigstore.bundle.predicateType": PREDICATE,
            "org.opencontainers.image.created": utc(attestation.at_ms),
        },
    })
}

/// The index with one more manifest; what others wrote into it stays as it is.
fn index(before: Value, manifest: &Value, digest: &str) -> Value {
    let empty = || json!({"schemaVersion": 2, "mediaType": OCI_IMAGE_INDEX_MEDIA_TYPE, "manifests": []});
    let mut index = if before.get("manifests").is_some_and(Value::is_array) { before } else { empty() };
    let entry = json!({
        "mediaType": OCI_IMAGE_MEDIA_TYPE,
        "digest": digest,
        "size": manifest.to_string().len(),
        "annotations": manifest.get("annotations"),
        "artifactType": BUNDLE,
    });
    if let Some(listed) = index.get_mut("manifests").and_then(Value::as_array_mut)
        && !listed.iter().any(|other| other.get("digest").and_then(Value::as_str) == Some(digest))
    {
        listed.push(entry);
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_keeps_what_others_wrote_and_has_each_manifest_once() {
        let manifest = json!({"annotations": {"a": "b"}});
        let first = index(Value::Null, &manifest, "sha256:1");
        assert_eq!(first["manifests"][0]["annotations"], json!({"a": "b"}));
        assert_eq!(index(first.clone(), &manifest, "sha256:1"), first);
        let mut others = first;
        others["manifests"][0]["com.example.kept"] = json!(1);
        let second = index(others, &manifest, "sha256:2");
        assert_eq!(second["manifests"][0]["com.example.kept"], 1);
        assert_eq!((second["manifests"].as_array().unwrap().len(), &second["schemaVersion"]), (2, &json!(2)));
    }
}
