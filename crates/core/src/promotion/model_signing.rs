//! `OpenSSF` model signing, as the `model-signing` tool writes it: a Sigstore bundle (`model.sig`) around a DSSE envelope around
//! an in-toto statement, which lists every file of a model with its digest. The signature is a P-256, P-384 or P-521 key's that
//! the policy pins, or a certificate's whose chain ends at a CA that the policy pins. Whether the files are the listed ones is
//! `registry::artifact`'s; what a statement must say to be believed is here. Keyless bundles ask Sigstore's services and are
//! refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::certificates;
use crate::codec::dsse::{BUNDLE, IN_TOTO, STATEMENT, pre_authentication};
use crate::codec::hash;
use crate::policy::signing::{ModelSigner, SignerTrust, curve, from_base64};

const PREDICATE: &str = "https://model_signing/signature/v1.0";
/// The longest name of a file, in bytes.
const LONGEST_NAME: usize = 4096;

/// Whether a value is a bundle, rather than a signature of another kind.
#[must_use]
pub fn is_bundle(value: &Value) -> bool {
    value.get("dsseEnvelope").is_some() || value.get("verificationMaterial").is_some()
}

/// What an attached signature lists, where it is a bundle that can be read; not to be believed unless it verifies.
#[must_use]
pub fn listed(value: &Value) -> Option<Arc<Manifest>> {
    let bundle = is_bundle(value).then(|| Bundle::read(value).ok())??;
    bundle.manifest().ok().map(Arc::new)
}

/// A bundle, not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    material: Material,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Material {
    /// SHA-256 of the key's PEM, if it is said.
    Key(Option<String>),
    /// The signer's certificate first.
    Chain(Vec<CertificateDer<'static>>),
}

/// What a statement lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// SHA-256 of the statement, lower-case hex.
    pub sha256: String,
    /// The model's name; it binds nothing.
    pub model: String,
    /// By the file's name, slashes between folders: its digests in order. A single file's name is `.`.
    pub files: BTreeMap<String, Vec<Listed>>,
    /// Files are listed in shards of this size.
    pub shard: Option<u64>,
    pub allow_symlinks: bool,
    /// What may lie beside the listed files: names of files and folders.
    pub ignored: Vec<String>,
}

/// A digest of a file, or of a shard of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The first byte and the one behind the last; of a file as a whole `None`.
    pub range: Option<(u64, u64)>,
    pub hash: Hash,
    pub digest: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    Sha256,
    /// Of 64 bytes.
    Blake2b,
    Blake3,
}

impl Hash {
    fn by_name(name: &str) -> Option<Self> {
        match name {
            "sha256" => Some(Self::Sha256),
            "blake2b" => Some(Self::Blake2b),
            "blake3" => Some(Self::Blake3),
            _ => None,
        }
    }

    /// Bytes of a digest.
    fn length(self) -> usize {
        match self {
            Self::Sha256 | Self::Blake3 => 32,
            Self::Blake2b => 64,
        }
    }
}

impl Bundle {
    /// Reads a bundle; nothing of it is believed yet.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(value: &Value) -> Result<Self, String> {
        let bundle = value.as_object().ok_or("it is no JSON object")?;
        let media = text(bundle, "mediaType");
        if media != Some(BUNDLE) {
            return Err(format!("its mediaType is {}, not {BUNDLE}", said(media)));
        }
        let material = material(object(bundle, "verificationMaterial")?)?;
        let envelope = object(bundle, "dsseEnvelope")?;
        let kind = text(envelope, "payloadType");
        if kind != Some(IN_TOTO) {
            return Err(format!("its payloadType is {}, not {IN_TOTO}", said(kind)));
        }
        let payload = text(envelope, "payload").and_then(from_base64).ok_or("its payload is no base64")?;
        let signatures = envelope.get("signatures").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let [signature] = signatures else {
            return Err(format!("it holds {} signatures; a bundle has one", signatures.len()));
        };
        let signature = signature.as_object().and_then(|s| text(s, "sig")).and_then(from_base64);
        Ok(Self { material, payload, signature: signature.ok_or("its signature is no base64")? })
    }

    /// Whose signature it is of those that the policy pins; `now_ms` judges certificates.
    ///
    /// # Errors
    /// Why it is nobody's.
    pub fn verify(&self, signers: &[ModelSigner], now_ms: i64) -> Result<String, String> {
        let mut why = Vec::new();
        for signer in signers {
            let found = match (&signer.trust, &self.material) {
                (SignerTrust::Key { spki, pem_sha256 }, Material::Key(hint)) => {
                    if hint.as_ref().is_some_and(|hint| !hint.is_empty() && !hint.eq_ignore_ascii_case(pem_sha256)) {
                        Err("the bundle names another key".to_owned())
                    } else if self.is_signed_by(spki) {
                        Ok(format!("signed by key {:?}", signer.id))
                    } else {
                        Err("the signature does not verify: it is by another key, or was changed".to_owned())
                    }
                }
                (SignerTrust::Authorities { anchors, identity }, Material::Chain(chain)) => {
                    certificates::verify(chain, anchors, identity.as_deref(), now_ms).and_then(|signer_is| {
                        if self.is_signed_by(&signer_is.spki) {
                            Ok(format!("signed by {} under the CA {:?}", signer_is.name, signer.id))
                        } else {
                            Err("the signature does not verify with the certificate: it was changed".to_owned())
                        }
                    })
                }
                (SignerTrust::Key { .. }, Material::Chain(_)) => {
                    Err("it is a key, and the bundle brings certificates".to_owned())
                }
                (SignerTrust::Authorities { .. }, Material::Key(_)) => {
                    Err("it is a CA, and the bundle was signed with a bare key".to_owned())
                }
            };
            match found {
                Ok(who) => return Ok(who),
                Err(e) => why.push(format!("{}: {e}", signer.id)),
            }
        }
        if why.is_empty() {
            return Err(
                "the policy pins nobody for model signing: write `signing: {keys: [{id: …, format: model_signing, public_key: …}]}`, or ca_certificates in place of public_key"
                    .to_owned(),
            );
        }
        Err(format!("the bundle's signature is not accepted: {}", why.join("; ")))
    }

    fn is_signed_by(&self, spki: &[u8]) -> bool {
        let message = pre_authentication(IN_TOTO, &self.payload);
        curve(spki).is_some_and(|key| key.verify_sig(&message, &self.signature).is_ok())
    }

    /// What its statement lists; to be believed once the bundle verifies.
    ///
    /// # Errors
    /// A statement of another kind, or one that is not right in itself.
    pub fn manifest(&self) -> Result<Manifest, String> {
        let statement: Statement = serde_json::from_slice(&self.payload)
            .map_err(|e| format!("its payload is not the statement of a signed model: {e}"))?;
        statement.manifest(hash::sha256_hex(&self.payload))
    }
}

fn material(material: &Map<String, Value>) -> Result<Material, String> {
    let logged = material.get("tlogEntries").and_then(Value::as_array).is_some_and(|entries| !entries.is_empty());
    if logged || material.contains_key("certificate") {
        return Err(
            "it is keyless (signed with a certificate of the moment and an entry of a transparency log), which only Sigstore's services verify: sign with a key or with a certificate of your own CA"
                .to_owned(),
        );
    }
    if let Some(chain) = material.get("x509CertificateChain") {
        let certificates = chain.get("certificates").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        if !(1..=certificates::LONGEST_CHAIN).contains(&certificates.len()) {
            return Err(format!(
                "its chain has {} certificates; it can have 1 to {}",
                certificates.len(),
                certificates::LONGEST_CHAIN
            ));
        }
        let der = |certificate: &Value| certificate.get("rawBytes").and_then(Value::as_str).and_then(from_base64);
        let chain: Option<Vec<_>> =
            certificates.iter().map(|certificate| der(certificate).map(CertificateDer::from)).collect();
        return chain.map(Material::Chain).ok_or_else(|| "a certificate of its chain is no base64".to_owned());
    }
    match material.get("publicKey") {
        Some(key) => Ok(Material::Key(key.get("hint").and_then(Value::as_str).map(str::to_owned))),
        None => Err("it names neither a publicKey nor an x509CertificateChain".to_owned()),
    }
}

#[derive(Deserialize)]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: Predicate,
}

#[derive(Deserialize)]
struct Subject {
    #[serde(default)]
    name: String,
    digest: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Predicate {
    serialization: Serialization,
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Serialization {
    method: String,
    hash_type: String,
    #[serde(default)]
    allow_symlinks: bool,
    #[serde(default)]
    ignore_paths: Vec<String>,
    shard_size: Option<f64>,
}

#[derive(Deserialize)]
struct Resource {
    name: String,
    algorithm: String,
    digest: String,
}

impl Statement {
    fn manifest(self, sha256: String) -> Result<Manifest, String> {
        if self.kind != STATEMENT || self.predicate_type != PREDICATE {
            return Err(format!(
                "its payload is a {:?} with a {:?}, not a {STATEMENT} with a {PREDICATE}",
                self.kind, self.predicate_type
            ));
        }
        let [subject] = self.subject.as_slice() else {
            return Err(format!("its statement is about {} subjects; it can be about one", self.subject.len()));
        };
        let Predicate { serialization, resources } = self.predicate;
        if resources.is_empty() {
            return Err("its statement lists no file".to_owned());
        }
        let shard = serialization.shard()?;
        let mut files: BTreeMap<String, Vec<Listed>> = BTreeMap::new();
        let mut root = Sha256::new();
        for resource in &resources {
            let (name, listed) = serialization.listed(resource, shard)?;
            root.update(&listed.digest);
            files.entry(name).or_default().push(listed);
        }
        let root = hash::hex(&root.finalize());
        if !subject.digest.get("sha256").is_some_and(|digest| digest.eq_ignore_ascii_case(&root)) {
            return Err(format!(
                "its statement contradicts itself: the digests it lists come to sha256:{root}, and its subject is another"
            ));
        }
        for (name, parts) in &mut files {
            parts.sort_by_key(|part| part.range);
            if shard.is_none() && parts.len() > 1 {
                return Err(format!("its statement lists {name:?} {} times", parts.len()));
            }
        }
        if files.contains_key(".") && files.len() > 1 {
            return Err("its statement lists \".\" beside other files".to_owned());
        }
        let ignored = serialization.ignore_paths.iter().map(|path| ignored(path)).collect::<Result<_, _>>()?;
        let allow_symlinks = serialization.allow_symlinks;
        Ok(Manifest { sha256, model: subject.name.clone(), files, shard, allow_symlinks, ignored })
    }
}

impl Serialization {
    fn shard(&self) -> Result<Option<u64>, String> {
        match (self.method.as_str(), self.shard_size) {
            ("files", _) => Ok(None),
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is whole and in between")]
            ("shards", Some(size)) if (1.0..=1e15).contains(&size) && size.fract() == 0.0 => Ok(Some(size as u64)),
            ("shards", size) => Err(format!("its statement has shards of size {size:?}")),
            (other, _) => Err(format!("its statement was made by the method {other:?}; files and shards are known")),
        }
    }

    fn listed(&self, resource: &Resource, shard: Option<u64>) -> Result<(String, Listed), String> {
        let Resource { name: full, algorithm, digest } = resource;
        let hash = Hash::by_name(&self.hash_type)
            .ok_or_else(|| format!("its digests are {:?}; sha256, blake2b and blake3 are known", self.hash_type))?;
        let expected = match shard {
            None => self.hash_type.clone(),
            Some(size) => format!("{}-sharded-{size}", self.hash_type),
        };
        if *algorithm != expected && *algorithm != self.hash_type {
            return Err(format!("the digest of {full:?} is {algorithm:?}, where the statement says {expected:?}"));
        }
        let bytes = hash::from_hex(digest).filter(|bytes| bytes.len() == hash.length());
        let digest = bytes.ok_or_else(|| format!("the digest of {full:?} is no {}", self.hash_type))?;
        let (name, range) = if shard.is_none() {
            (full.as_str(), None)
        } else {
            let mut parts = full.rsplitn(3, ':');
            let (end, start) = (parts.next().and_then(whole), parts.next().and_then(whole));
            let (Some(end), Some(start), Some(name)) = (end, start, parts.next()) else {
                return Err(format!("{full:?} names no shard, as in name:0:1000"));
            };
            (name, Some((start, end)))
        };
        if !is_inside(name) && name != "." {
            return Err(format!("{name:?} is no name of a file within the model"));
        }
        Ok((name.to_owned(), Listed { range, hash, digest }))
    }
}

/// A number as it is written in names, one way only.
fn whole(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

/// What may lie beside the listed files: something within the model, not all of it.
fn ignored(path: &str) -> Result<String, String> {
    let name = path.trim_end_matches('/');
    if is_inside(name) {
        return Ok(name.to_owned());
    }
    Err(format!("its statement ignores {path:?}, which names nothing within the model"))
}

/// A path downwards of plain names.
fn is_inside(name: &str) -> bool {
    name.len() <= LONGEST_NAME
        && !name.contains(['\0', '\\'])
        && name.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

fn object<'v>(map: &'v Map<String, Value>, key: &str) -> Result<&'v Map<String, Value>, String> {
    map.get(key).and_then(Value::as_object).ok_or_else(|| format!("it has no {key}"))
}

fn text<'v>(map: &'v Map<String, Value>, key: &str) -> Option<&'v str> {
    map.get(key)?.as_str()
}

fn said(text: Option<&str>) -> String {
    text.map_or_else(|| "missing".to_owned(), |text| format!("{:?}", text.chars().take(80).collect::<String>()))
}

#[cfg(test)]
mod tests;
