//! Signed heads of the log: Ed25519 (RFC 8032) over the number and the hash of its last record. They protect the log
//! where its editors cannot change them: in a file elsewhere, or a Kafka topic.

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::chain::{Head, rfc3339};
use crate::codec::dsse::pre_authentication;
use crate::codec::hash::sha256_hex;

/// The beginning of every signed message, so that a signature cannot be used for another purpose.
const DOMAIN: &str = "driftgate-audit-v1";
/// The same of texts that are kept beside the log.
const KEPT_DOMAIN: &str = "driftgate-kept-v1";
/// The bytes of an Ed25519 private key (RFC 8032).
pub const SEED_BYTES: usize = 32;
/// The bytes before the 32 of an Ed25519 key in a `SubjectPublicKeyInfo` (RFC 8410).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
const PRIVATE_PEM: &str = "PRIVATE KEY";
const PUBLIC_PEM: &str = "PUBLIC KEY";

/// A signed head; the keys of its JSON have this order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedHead {
    pub seq: u64,
    /// SHA-256 of that record's bytes, lower-case hex.
    pub hash: String,
    /// When it was signed, RFC 3339, UTC.
    pub ts: String,
    /// As [`PublicKey::id`].
    pub key_id: String,
    /// Base64.
    pub signature: String,
}

impl SignedHead {
    /// The bytes that are signed.
    fn message(&self) -> String {
        format!("{DOMAIN}\n{}\n{}\n{}", self.seq, self.hash, self.ts)
    }
}

/// Why bytes are no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("this is no Ed25519 key in PKCS#8 PEM")]
    NotPrivate,
    #[error("this is no Ed25519 public key: give it as PEM (BEGIN PUBLIC KEY) or as its 32 bytes in base64")]
    NotPublic,
}

/// The private key of a log. `Debug` shows its id only.
pub struct Signer {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("key_id", &self.public.id()).finish_non_exhaustive()
    }
}

impl Signer {
    /// The key of a PKCS#8 PEM, as `openssl genpkey -algorithm ed25519` writes it.
    ///
    /// # Errors
    /// A text that is something else.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let pair = from_pem(PRIVATE_PEM, text).and_then(|der| Ed25519KeyPair::from_pkcs8(&der).ok());
        pair.and_then(Self::of).ok_or(KeyError::NotPrivate)
    }

    /// A new key from random bytes, and its PKCS#8 PEM; `None` where the cryptographic library fails.
    #[must_use]
    pub fn from_seed(seed: &[u8; SEED_BYTES]) -> Option<(Self, String)> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
        let pem = to_pem(PRIVATE_PEM, pair.to_pkcs8v1().ok()?.as_ref());
        Some((Self::of(pair)?, pem))
    }

    fn of(pair: Ed25519KeyPair) -> Option<Self> {
        let public = PublicKey(pair.public_key().as_ref().try_into().ok()?);
        Some(Self { pair, public })
    }

    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.public
    }

    /// Signs that the log ended with `head`. `now_ms` is the wall clock, ms since the epoch.
    #[must_use]
    pub fn sign(&self, head: &Head, now_ms: i64) -> SignedHead {
        let Head { seq, hash } = head.clone();
        let unsigned =
            SignedHead { seq, hash, ts: rfc3339(now_ms), key_id: self.public.id(), signature: String::new() };
        let signature = self.pair.sign(unsigned.message().as_bytes());
        SignedHead { signature: BASE64.encode(signature.as_ref()), ..unsigned }
    }

    /// The signature under an envelope of DSSE, base64. No head and no kept text begins as what it is over.
    #[must_use]
    pub fn sign_envelope(&self, payload_type: &str, payload: &[u8]) -> String {
        BASE64.encode(self.pair.sign(&pre_authentication(payload_type, payload)).as_ref())
    }

    /// Signs a text that is kept beside the log; base64.
    #[must_use]
    pub fn vouch(&self, text: &str) -> String {
        BASE64.encode(self.pair.sign(format!("{KEPT_DOMAIN}\n{text}").as_bytes()).as_ref())
    }
}

/// An Ed25519 public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// The first 16 hex digits of the SHA-256 of its 32 bytes.
    #[must_use]
    pub fn id(&self) -> String {
        let mut id = sha256_hex(&self.0);
        id.truncate(16);
        id
    }

    /// Whether its private key signed a text that is kept beside the log.
    #[must_use]
    pub fn vouches(&self, text: &str, signature: &str) -> bool {
        let message = format!("{KEPT_DOMAIN}\n{text}");
        let checks = |signature: Vec<u8>| {
            UnparsedPublicKey::new(&ED25519, self.0).verify(message.as_bytes(), &signature).is_ok()
        };
        BASE64.decode(signature).is_ok_and(checks)
    }

    /// SHA-256 of its `SubjectPublicKeyInfo`, base64: how a Sigstore bundle says which key signed.
    #[must_use]
    pub fn hint(&self) -> String {
        BASE64.encode(Sha256::digest([SPKI_PREFIX.as_slice(), &self.0].concat()))
    }

    /// As other tools read it (`openssl pkey -pubin`).
    #[must_use]
    pub fn to_pem(&self) -> String {
        to_pem(PUBLIC_PEM, &[SPKI_PREFIX.as_slice(), &self.0].concat())
    }

    /// Reads a PEM, or 32 bytes in base64.
    ///
    /// # Errors
    /// A text that is neither.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let raw = match from_pem(PUBLIC_PEM, text) {
            Some(der) => der.strip_prefix(SPKI_PREFIX.as_slice()).map(<[u8]>::to_vec),
            None => BASE64.decode(text.trim()).ok(),
        };
        raw.and_then(|raw| raw.try_into().ok()).map(Self).ok_or(KeyError::NotPublic)
    }
}

/// The keys whose signatures count, by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublicKeys(BTreeMap<String, PublicKey>);

impl PublicKeys {
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&PublicKey> {
        self.0.get(id)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<PublicKey> for PublicKeys {
    fn from_iter<I: IntoIterator<Item = PublicKey>>(keys: I) -> Self {
        Self(keys.into_iter().map(|key| (key.id(), key)).collect())
    }
}

/// Why a checkpoint is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHead {
    #[error("its key is not known")]
    UnknownKey,
    #[error("its signature is not of its key")]
    Signature,
}

/// Whether one of these keys signed the checkpoint.
///
/// # Errors
/// A key that is not among them, or a signature that is not its.
pub fn verify_head(checkpoint: &SignedHead, keys: &PublicKeys) -> Result<(), BadHead> {
    let key = keys.get(&checkpoint.key_id).ok_or(BadHead::UnknownKey)?;
    let signature = BASE64.decode(&checkpoint.signature).map_err(|_| BadHead::Signature)?;
    UnparsedPublicKey::new(&ED25519, key.0)
        .verify(checkpoint.message().as_bytes(), &signature)
        .map_err(|_| BadHead::Signature)
}

fn to_pem(label: &str, der: &[u8]) -> String {
    // 64 characters a line, as RFC 7468 asks; keys of this kind fit into one or two.
    let text = BASE64.encode(der);
    let (first, second) = text.split_at_checked(64).unwrap_or((&text, ""));
    let second = if second.is_empty() { String::new() } else { format!("{second}\n") };
    format!("-----BEGIN {label}-----\n{first}\n{second}-----END {label}-----\n")
}

fn from_pem(label: &str, text: &str) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
    BASE64.decode(body.split_ascii_whitespace().collect::<String>()).ok()
}

#[cfg(test)]
mod tests;
