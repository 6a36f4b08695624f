//! What names an artifact in a registry: `oci://HOST/REPOSITORY`, then `:TAG`, `@sha256:…`, or both.

use std::str::FromStr;

use oci_client::Reference;

use super::error::OciError;
use driftgate_core::fact::attestation::SCHEME;

/// The place of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

impl FromStr for Location {
    type Err = OciError;

    fn from_str(text: &str) -> Result<Self, OciError> {
        let wrong = |why: &str| OciError::Location { location: text.to_owned(), why: why.to_owned() };
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| wrong("it does not begin with oci://"))?;
        let (registry, path) = rest.split_once('/').ok_or_else(|| wrong("it names no repository"))?;
        let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
        if registry.is_empty() || !registry.chars().all(is_host) {
            return Err(wrong("its registry is no host"));
        }
        // As `docker pull` reads it, but that a name without a dot is a host here: registries of a cluster are called so.
        let read = Reference::try_from(format!("registry.invalid/{path}")).map_err(|e| wrong(&e.to_string()))?;
        let (tag, digest) = (read.tag().map(str::to_owned), read.digest().map(str::to_owned));
        Ok(Self { registry: registry.to_owned(), repository: read.repository().to_owned(), tag, digest })
    }
}

impl Location {
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The SHA-256 that it names, lower-case hex.
    #[must_use]
    pub fn sha256(&self) -> Option<&str> {
        self.digest.as_deref()?.strip_prefix("sha256:")
    }

    /// The manifest that is named: by its digest where there is one.
    pub(super) fn reference(&self) -> Reference {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => self.at_digest(digest),
            (None, tag) => self.at_tag(tag.as_deref().unwrap_or("latest")),
        }
    }

    /// Another manifest of the repository.
    pub(super) fn at_digest(&self, digest: &str) -> Reference {
        Reference::with_digest(self.registry.clone(), self.repository.clone(), digest.to_owned())
    }

    pub(super) fn at_tag(&self, tag: &str) -> Reference {
        Reference::with_tag(self.registry.clone(), self.repository.clone(), tag.to_owned())
    }

    /// A manifest that is written by its digest. The client takes the tag off the end of the address where a registry answers without a
    /// `Location`, as those of AWS do, and panics where it is not there: so the tag is the end of the digest.
    pub(super) fn written(&self, digest: &str) -> Reference {
        let end = digest.rsplit(':').next().unwrap_or(digest);
        Reference::with_tag_and_digest(
            self.registry.clone(),
            self.repository.clone(),
            end.to_owned(),
            digest.to_owned(),
        )
    }

    /// As errors name it within its registry.
    pub(super) fn named(&self) -> String {
        let Self { repository, tag, digest, .. } = self;
        match (digest, tag) {
            (Some(digest), _) => format!("{repository}@{digest}"),
            (None, tag) => format!("{repository}:{}", tag.as_deref().unwrap_or("latest")),
        }
    }
}
