//! `signing:`: the public keys whose signatures under artifacts count. A key that an artifact brings along proves nothing;
//! one that the policy pins does.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ECDSA_P521_SHA512_ASN1, ED25519, EcdsaVerificationAlgorithm,
    ParsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::{PemObject as _, SectionKind};

use super::keys;
use crate::yaml::{Item, units};

/// A pinned public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKey {
    /// Unique in the policy; signatures may name it.
    pub id: String,
    pub algorithm: SignatureAlgorithm,
    /// A `SubjectPublicKeyInfo` in DER, or the bare key: 32 bytes, or an uncompressed point of P-256.
    pub public_key: Vec<u8>,
}

/// Whose bundles of model signatures count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelSigner {
    /// Unique among all keys of the policy.
    pub id: String,
    pub trust: SignerTrust,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignerTrust {
    /// A key of P-256, P-384 or P-521.
    Key {
        /// A `SubjectPublicKeyInfo` in DER.
        spki: Vec<u8>,
        /// SHA-256 of its PEM, which bundles name it by.
        pem_sha256: String,
    },
    /// CAs whose certificates sign.
    Authorities {
        anchors: Vec<CertificateDer<'static>>,
        /// What the signer's certificate must name.
        identity: Option<String>,
    },
}

/// What `signing:` pins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pinned {
    pub keys: Vec<SigningKey>,
    pub model_signers: Vec<ModelSigner>,
}

impl Pinned {
    fn has(&self, id: &str) -> bool {
        self.keys.iter().any(|key| key.id == id) || self.model_signers.iter().any(|signer| signer.id == id)
    }
}

/// How an artifact is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureAlgorithm {
    Ed25519,
    /// ECDSA on P-256 with SHA-256.
    EcdsaP256,
}

impl SignatureAlgorithm {
    pub const ALL: [Self; 2] = [Self::Ed25519, Self::EcdsaP256];

    /// As the policy and the evidence spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256 => "ecdsa_p256",
        }
    }

    fn verification(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::Ed25519 => &ED25519,
            Self::EcdsaP256 => &ECDSA_P256_SHA256_ASN1,
        }
    }
}

/// The curve of a public key that bundles are signed with.
#[must_use]
pub fn curve(spki: &[u8]) -> Option<ParsedPublicKey> {
    let curves: [&'static EcdsaVerificationAlgorithm; 3] =
        [&ECDSA_P256_SHA256_ASN1, &ECDSA_P384_SHA384_ASN1, &ECDSA_P521_SHA512_ASN1];
    curves.into_iter().find_map(|curve| ParsedPublicKey::new(curve, spki).ok())
}

/// Base64, standard or URL-safe, padded or not; white space does not count.
#[must_use]
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    let text: String = text.split_ascii_whitespace().collect();
    [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD].into_iter().find_map(|engine| engine.decode(&text).ok())
}

pub(super) fn signing(item: &Item) -> Option<Pinned> {
    let map = item.map(&keys::SIGNING.names())?;
    let items = map
        .require("keys", "[{id: release, algorithm: ed25519, public_key: \"…\"}]")
        .and_then(|item| item.list("public keys"))?;
    let mut pinned = Pinned::default();
    let mut complete = true;
    for item in items {
        let Some(new) = one(&item) else {
            complete = false;
            continue;
        };
        let id = match &new {
            One::Key(key) => &key.id,
            One::Signer(signer) => &signer.id,
        };
        if pinned.has(id) {
            item.report(format!("the key {} is written twice: give each its own id", units::quote(id)));
        }
        match new {
            One::Key(key) => pinned.keys.push(key),
            One::Signer(signer) => pinned.model_signers.push(signer),
        }
    }
    complete.then_some(pinned)
}

enum One {
    Key(SigningKey),
    Signer(ModelSigner),
}

fn one(item: &Item) -> Option<One> {
    let map = item.open_map("a key, like {id: release, algorithm: ed25519, public_key: \"…\"}")?;
    let is_model = map.get("format").map_or(Some(false), |f| f.choice(&[("raw", false), ("model_signing", true)]))?;
    if is_model { model_signer(item).map(One::Signer) } else { key(item).map(One::Key) }
}

/// `{id, format: model_signing, public_key}`, or `ca_certificates` and `identity` in place of the key.
fn model_signer(item: &Item) -> Option<ModelSigner> {
    let map = item.map(&keys::MODEL_SIGNER.names())?;
    let id = map.require("id", "release").and_then(|item| item.slug("a key's id"));
    let trust = match (map.get("public_key"), map.get("ca_certificates")) {
        (Some(key), None) => {
            if let Some(item) = map.get("identity") {
                item.report("an identity is looked for in certificates: leave it out beside a public_key");
            }
            model_key(&key)
        }
        (None, Some(certificates)) => {
            let identity = match map.get("identity") {
                Some(item) => Some(item.name("an identity")?.to_owned()),
                None => None,
            };
            anchors(&certificates).map(|anchors| SignerTrust::Authorities { anchors, identity })
        }
        (Some(_), Some(_)) => item.fail("both `public_key` and `ca_certificates`: give each its own entry"),
        (None, None) => item.fail("neither `public_key` nor `ca_certificates`: write one of them, in PEM"),
    };
    Some(ModelSigner { id: id?.to_owned(), trust: trust? })
}

fn model_key(item: &Item) -> Option<SignerTrust> {
    let Some(text) = item.scalar() else {
        return item.fail("expected a public key as PEM or base64: write the text in quotes, or indented after `|`");
    };
    let spki = match bytes(text) {
        Ok(bytes) => bytes,
        Err(message) => return item.fail(message),
    };
    // A bare point says no curve, and bundles name keys by their PEM.
    if spki.first() != Some(&0x30) || curve(&spki).is_none() {
        let length = spki.len();
        return item.fail(format!(
            "{length} bytes that are no public key of P-256, P-384 or P-521: write a PUBLIC KEY in PEM, or its DER in base64"
        ));
    }
    let body = STANDARD.encode(&spki);
    let lines: Vec<String> = body.as_bytes().chunks(64).map(|l| String::from_utf8_lossy(l).into_owned()).collect();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"));
    Some(SignerTrust::Key { spki, pem_sha256: crate::codec::hash::sha256_hex(pem.as_bytes()) })
}

fn anchors(item: &Item) -> Option<Vec<CertificateDer<'static>>> {
    let text = item.scalar().unwrap_or_default();
    let read: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match read {
        Ok(found)
            if !found.is_empty()
                && found.iter().all(|certificate| webpki::anchor_from_trusted_cert(certificate).is_ok()) =>
        {
            Some(found)
        }
        Ok(found) if !found.is_empty() => item.fail("a certificate in it cannot be read: write your CA's own, in PEM"),
        _ if text.contains("PRIVATE KEY") => {
            item.fail("this is a private key: take it out of the policy, consider it leaked, and write certificates")
        }
        _ => item.fail("expected CERTIFICATEs of CAs in PEM: write the text indented after `|`"),
    }
}

fn key(item: &Item) -> Option<SigningKey> {
    let map = item.map(&keys::SIGNING_KEY.names())?;
    let id = map.require("id", "release").and_then(|item| item.slug("a key's id"));
    let words = SignatureAlgorithm::ALL.map(|algorithm| (algorithm.name(), algorithm));
    let algorithm = map.require("algorithm", "ed25519").and_then(|item| item.choice(&words));
    let text = map.require("public_key", "\"…\"");
    let (id, algorithm, item) = (id?, algorithm?, text?);
    let Some(text) = item.scalar() else {
        return item.fail("expected a public key as PEM or base64: write the text in quotes, or indented after `|`");
    };
    let bytes = match bytes(text) {
        Ok(bytes) => bytes,
        Err(message) => return item.fail(message),
    };
    if ParsedPublicKey::new(algorithm.verification(), &bytes).is_err() {
        let (name, length) = (algorithm.name(), bytes.len());
        return item.fail(format!(
            "{length} bytes that are no public key for {name}: write a PUBLIC KEY in PEM, its DER in base64, or the bare key \
             in base64"
        ));
    }
    Some(SigningKey { id: id.to_owned(), algorithm, public_key: bytes })
}

/// The key's bytes; the error is a whole message, and never holds what was read: it may be a secret.
fn bytes(text: &str) -> Result<Vec<u8>, String> {
    if !text.contains("-----BEGIN") {
        return from_base64(text).filter(|bytes| !bytes.is_empty()).ok_or_else(|| {
            "expected a public key, read text that is neither PEM nor base64: write a PUBLIC KEY in PEM, or base64"
                .to_owned()
        });
    }
    if text.contains("PRIVATE KEY") {
        return Err(
            "this is a private key: take it out of the policy, consider it leaked, and write the public one".to_owned()
        );
    }
    match <(SectionKind, Vec<u8>)>::from_pem_slice(text.as_bytes()) {
        Ok((SectionKind::PublicKey, der)) => Ok(der),
        Ok((kind, _)) => {
            Err(format!("expected a PUBLIC KEY in PEM, read a section of kind {kind:?}: write the key's own"))
        }
        Err(error) => Err(format!("expected a PUBLIC KEY in PEM, which cannot be read: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};

    use super::*;

    fn read(keys: &str) -> Result<Vec<SigningKey>, String> {
        let text = format!(
            "apiVersion: driftgate/v1
model: m
features: {{numeric: [a]}}
checks: {{g: {{window: {{size: 1h, slide: 1h}}, rules: [psi: {{of: features, lt: 0.2}}]}}}}
signing:
  keys: {keys}
"
        );
        let policy = crate::policy::parse(&text, Path::new("p.yaml"));
        policy.map(|policy| policy.signing_keys).map_err(|errors| errors.to_string())
    }

    fn pem(der: &[u8]) -> String {
        let text = STANDARD.encode(der);
        let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        let body = lines.join("\n      ");
        format!("-----BEGIN PUBLIC KEY-----\n      {body}\n      -----END PUBLIC KEY-----")
    }

    #[test]
    fn a_key_is_read_from_pem_der_and_bare() {
        let ed = Ed25519KeyPair::generate().unwrap();
        let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let edwards: PublicKeyX509Der = ed.public_key().as_der().unwrap();
        let nist: PublicKeyX509Der = ec.public_key().as_der().unwrap();
        let all: [(&str, &[u8], &[u8]); 2] = [
            ("ed25519", ed.public_key().as_ref(), edwards.as_ref()),
            ("ecdsa_p256", ec.public_key().as_ref(), nist.as_ref()),
        ];
        for (name, bare, der) in all {
            for bytes in [bare, der] {
                let text = STANDARD.encode(bytes);
                let keys = read(&format!("[{{id: a, algorithm: {name}, public_key: \"{text}\"}}]")).unwrap();
                assert_eq!((keys[0].id.as_str(), keys[0].algorithm.name()), ("a", name));
                assert_eq!(keys[0].public_key, bytes);
            }
            let text = format!("\n  - id: a\n    algorithm: {name}\n    public_key: |\n      {}", pem(der));
            assert_eq!(read(&text).unwrap()[0].public_key, der);
        }
    }

    #[test]
    fn a_bad_key_is_an_error_at_its_place() {
        let ed = STANDARD.encode(Ed25519KeyPair::generate().unwrap().public_key().as_ref());
        for (keys, message) in [
            (
                "[{id: a, algorithm: rsa, public_key: x}]".to_owned(),
                "keys[0].algorithm: expected `ed25519` or `ecdsa_p256`",
            ),
            ("[{id: a, algorithm: ed25519}]".to_owned(), "keys[0].public_key: missing"),
            ("[{id: a, algorithm: ed25519, public_key: \"?\"}]".to_owned(), "neither PEM nor base64"),
            (
                "[{id: a, algorithm: ed25519, public_key: AAAA}]".to_owned(),
                "3 bytes that are no public key for ed25519",
            ),
            (format!("[{{id: a, algorithm: ecdsa_p256, public_key: \"{ed}\"}}]"), "no public key for ecdsa_p256"),
            (
                "[{id: a, algorithm: ed25519, public_key: \"-----BEGIN PRIVATE KEY-----\"}]".to_owned(),
                "this is a private key",
            ),
            (
                "[{id: a, algorithm: ed25519, public_key: \"-----BEGIN PUBLIC KEY-----\"}]".to_owned(),
                "which cannot be read",
            ),
            (
                format!(
                    "[{{id: a, algorithm: ed25519, public_key: \"{ed}\"}}, {{id: a, algorithm: ed25519, public_key: \"{ed}\"}}]"
                ),
                "keys[1]: the key \"a\" is written twice",
            ),
        ] {
            let error = read(&keys).unwrap_err();
            assert!(error.contains(message), "\n{error}\ndoes not contain\n{message}");
        }
        assert_eq!(read("[]").unwrap(), []);
    }
}
