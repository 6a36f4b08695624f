//! The signature under an artifact's digest, checked with the keys that the policy pins.
//!
//! Tools differ in what they sign. Accepted messages, all of which name one artifact:
//! - the digest's 32 bytes, its text `sha256:HEX`, and `HEX` alone, by Ed25519 or by ECDSA P-256 with SHA-256;
//! - the artifact itself, by ECDSA P-256 with SHA-256: its digest is what ECDSA signs, so the file need not be here.
//!
//! `OpenSSF` bundles, which list every file, are `model_signing`'s.

use aws_lc_rs::digest::{Digest, SHA256};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};
use serde_json::Value;

use super::artifact::artifact_sha256;
use super::model_signing;
use super::types::{Dossier, Finding, GateOutcome, Recomputed};
use crate::codec::hash::from_hex;
use crate::policy::signing::from_base64;
use crate::policy::{Policy, SignatureAlgorithm, SigningKey};

/// What `signature` evidence looks like, for messages.
pub const EXPECTED: &str = "{\"algorithm\": \"ed25519\" or \"ecdsa_p256\", \"signature\": base64 or hexadecimal, \"key_id\": optional}, or the bundle of a model signature (model.sig)";

/// Bytes of an Ed25519 signature, and of an ECDSA P-256 one of fixed length.
const FIXED: usize = 64;

/// `signature` evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    pub algorithm: SignatureAlgorithm,
    pub key_id: Option<String>,
    pub bytes: Vec<u8>,
}

impl Signature {
    /// `None` where the value is something else.
    #[must_use]
    pub fn read(value: &Value) -> Option<Self> {
        let map = value.as_object()?;
        let name = map.get("algorithm")?.as_str()?.to_ascii_lowercase().replace('-', "_");
        let algorithm = SignatureAlgorithm::ALL.into_iter().find(|a| a.name() == name)?;
        let key_id = match map.get("key_id") {
            None | Some(Value::Null) => None,
            Some(id) => Some(id.as_str()?.to_owned()),
        };
        let text = map.get("signature")?.as_str()?;
        let fits =
            |bytes: &Vec<u8>| bytes.len() == FIXED || algorithm == SignatureAlgorithm::EcdsaP256 && is_der(bytes);
        // Hexadecimal first: it is base64 too, of other bytes.
        let bytes = [from_hex(text.trim()), from_base64(text)].into_iter().flatten().find(fits)?;
        Some(Self { algorithm, key_id, bytes })
    }

    /// Whether the key has signed the artifact of this digest.
    #[must_use]
    pub fn verifies(&self, key: &SigningKey, digest: &[u8; 32]) -> bool {
        if key.algorithm != self.algorithm {
            return false;
        }
        let hex = crate::codec::hash::hex(digest);
        let prefixed = format!("sha256:{hex}");
        let messages = [&digest[..], prefixed.as_bytes(), hex.as_bytes()];
        match self.algorithm {
            SignatureAlgorithm::Ed25519 => {
                let key = UnparsedPublicKey::new(&ED25519, &key.public_key);
                messages.iter().any(|message| key.verify(message, &self.bytes).is_ok())
            }
            SignatureAlgorithm::EcdsaP256 => {
                let Ok(artifact) = Digest::import_less_safe(digest, &SHA256) else { return false };
                [&ECDSA_P256_SHA256_ASN1, &ECDSA_P256_SHA256_FIXED].into_iter().any(|form| {
                    let key = UnparsedPublicKey::new(form, &key.public_key);
                    key.verify_digest(&artifact, &self.bytes).is_ok()
                        || messages.iter().any(|message| key.verify(message, &self.bytes).is_ok())
                })
            }
        }
    }
}

/// A DER sequence of the length an ECDSA P-256 signature can have.
fn is_der(bytes: &[u8]) -> bool {
    (8..=72).contains(&bytes.len()) && bytes.first() == Some(&0x30)
}

/// Judges the attached signature over the artifact's digest.
#[must_use]
pub fn judge(policy: &Policy, dossier: &Dossier, now_ms: i64) -> Finding {
    let found = |outcome, detail| Finding::new("evidence/signature", outcome, detail);
    let attached = dossier.evidence.get("signature").map(|evidence| &evidence.value);
    let judged = match attached.filter(|value| model_signing::is_bundle(value)) {
        Some(bundle) => verify_bundle(policy, dossier, bundle, now_ms),
        None => verify(policy, dossier).map_err(|why| (GateOutcome::Block, why)),
    };
    match judged {
        Ok(detail) => found(GateOutcome::Pass, detail),
        Err((outcome, why)) => found(outcome, why),
    }
}

/// The signature of an `OpenSSF` bundle, and what was found of the files that it lists.
fn verify_bundle(
    policy: &Policy,
    dossier: &Dossier,
    bundle: &Value,
    now_ms: i64,
) -> Result<String, (GateOutcome, String)> {
    let block = |why: String| (GateOutcome::Block, why);
    let cannot = |why| block(format!("the model signature cannot be used: {why}"));
    let bundle = model_signing::Bundle::read(bundle).map_err(cannot)?;
    let who = bundle.verify(&policy.model_signers, now_ms).map_err(block)?;
    bundle.manifest().map_err(cannot)?;
    match &dossier.listed {
        Some(Recomputed::Known(files)) => Ok(format!("{who}: {files}")),
        Some(Recomputed::Computing(how_far)) => Err((GateOutcome::Pending, how_far.clone())),
        Some(Recomputed::Unreachable(why) | Recomputed::Refused(why)) => {
            Err(block(format!("{who}, and the files are not as signed: {why}")))
        }
        None => Err(block(format!(
            "{who}, and no place of the files that it lists is registered: register the version with its artifact's place"
        ))),
    }
}

fn verify(policy: &Policy, dossier: &Dossier) -> Result<String, String> {
    let Some(evidence) = dossier.evidence.get("signature") else {
        return Err("signature missing: attach it as evidence".to_owned());
    };
    let Some(signature) = Signature::read(&evidence.value) else {
        return Err(format!("the signature cannot be read: expected {EXPECTED}"));
    };
    let name = signature.algorithm.name();
    let Some(hex) = artifact_sha256(dossier) else {
        return Err("the signature is over nothing known: register the version with its artifact's digest".to_owned());
    };
    let Some(digest) = from_hex(&hex).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()) else {
        return Err(format!("the artifact's digest {hex} is no SHA-256"));
    };
    if policy.signing_keys.is_empty() {
        return Err("the policy pins no key to verify the signature with: write `signing: {keys: […]}`".to_owned());
    }
    let pinned = || policy.signing_keys.iter().map(|key| key.id.as_str()).collect::<Vec<_>>().join(", ");
    let candidates: Vec<&SigningKey> = match &signature.key_id {
        None => policy.signing_keys.iter().filter(|key| key.algorithm == signature.algorithm).collect(),
        Some(id) => match policy.signing_keys.iter().find(|key| key.id == *id) {
            None => return Err(format!("the signature is by key {id:?}, and the policy pins {}", pinned())),
            Some(key) if key.algorithm != signature.algorithm => {
                return Err(format!("the signature is {name}, and key {id:?} is {}", key.algorithm.name()));
            }
            Some(key) => vec![key],
        },
    };
    if candidates.is_empty() {
        return Err(format!("the signature is {name}, and no pinned key is: the policy pins {}", pinned()));
    }
    if let Some(key) = candidates.iter().find(|key| signature.verifies(key, &digest)) {
        return Ok(format!("signed by key {:?} ({name}) over sha256:{hex}", key.id));
    }
    let tried: Vec<&str> = candidates.iter().map(|key| key.id.as_str()).collect();
    Err(format!(
        "the signature does not verify over sha256:{hex} with {}: it is over another artifact, by another key, or was changed",
        tried.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
        Ed25519KeyPair, KeyPair as _,
    };
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::json;
    use sha2::{Digest as _, Sha256};

    use super::super::testing::{HEX, dossier, policy};
    use super::*;

    /// What [`HEX`] is the digest of.
    const ARTIFACT: &[u8] = b"abc";

    fn key(id: &str, algorithm: SignatureAlgorithm, public_key: &[u8]) -> SigningKey {
        SigningKey { id: id.into(), algorithm, public_key: public_key.to_vec() }
    }

    fn messages() -> [Vec<u8>; 3] {
        [Sha256::digest(ARTIFACT).to_vec(), format!("sha256:{HEX}").into_bytes(), HEX.as_bytes().to_vec()]
    }

    fn ask(keys: Vec<SigningKey>, value: Value) -> (GateOutcome, String) {
        let mut policy = policy("evidence: [signature]");
        policy.signing_keys = keys;
        let found =
            judge(&policy, &Dossier { artifact_sha256: Some(HEX.into()), ..dossier(&[("signature", value)]) }, 0);
        (found.outcome, found.detail)
    }

    #[test]
    fn ed25519_over_each_message() {
        let pair = Ed25519KeyPair::generate().unwrap();
        let keys = || vec![key("release", SignatureAlgorithm::Ed25519, pair.public_key().as_ref())];
        for message in messages() {
            let signature = pair.sign(&message);
            for text in [STANDARD.encode(signature.as_ref()), crate::codec::hash::hex(signature.as_ref())] {
                let (outcome, detail) =
                    ask(keys(), json!({"algorithm": "ed25519", "key_id": "release", "signature": text}));
                assert_eq!(
                    (outcome, detail),
                    (GateOutcome::Pass, format!("signed by key \"release\" (ed25519) over sha256:{HEX}"))
                );
            }
        }
        let other = STANDARD.encode(pair.sign(b"sha256:0000").as_ref());
        let (outcome, detail) = ask(keys(), json!({"algorithm": "ed25519", "signature": other}));
        assert!(outcome == GateOutcome::Block && detail.contains("does not verify over sha256:ba78"), "{detail}");
    }

    #[test]
    fn ecdsa_over_the_artifact_and_each_message_in_both_forms() {
        let random = SystemRandom::new();
        let forms: [&'static EcdsaSigningAlgorithm; 2] =
            [&ECDSA_P256_SHA256_ASN1_SIGNING, &ECDSA_P256_SHA256_FIXED_SIGNING];
        for form in forms {
            let pair = EcdsaKeyPair::generate(form).unwrap();
            let keys = || {
                let other = EcdsaKeyPair::generate(form).unwrap();
                vec![
                    key("old", SignatureAlgorithm::EcdsaP256, other.public_key().as_ref()),
                    key("new", SignatureAlgorithm::EcdsaP256, pair.public_key().as_ref()),
                ]
            };
            for message in messages().into_iter().chain([ARTIFACT.to_vec()]) {
                let text = STANDARD.encode(pair.sign(&random, &message).unwrap().as_ref());
                let (outcome, detail) = ask(keys(), json!({"algorithm": "ecdsa_p256", "signature": text}));
                assert_eq!(
                    (outcome, detail),
                    (GateOutcome::Pass, format!("signed by key \"new\" (ecdsa_p256) over sha256:{HEX}"))
                );
                let (outcome, _) = ask(keys(), json!({"algorithm": "ecdsa_p256", "key_id": "old", "signature": text}));
                assert_eq!(outcome, GateOutcome::Block, "another key");
            }
        }
    }

    #[test]
    fn what_does_not_verify_says_why() {
        let pair = Ed25519KeyPair::generate().unwrap();
        let keys = || vec![key("release", SignatureAlgorithm::Ed25519, pair.public_key().as_ref())];
        let text = STANDARD.encode(pair.sign(HEX.as_bytes()).as_ref());
        let good = json!({"algorithm": "ed25519", "signature": text});
        let of = |keys, value| {
            let (outcome, detail) = ask(keys, value);
            assert_eq!(outcome, GateOutcome::Block, "{detail}");
            detail
        };
        assert!(of(vec![], good.clone()).starts_with("the policy pins no key"));
        let unknown = json!({"algorithm": "ed25519", "key_id": "x", "signature": text});
        assert_eq!(of(keys(), unknown), "the signature is by key \"x\", and the policy pins release");
        let ecdsa = json!({"algorithm": "ecdsa_p256", "signature": text});
        assert!(of(keys(), ecdsa).contains("no pinned key is: the policy pins release"));
        let ecdsa = json!({"algorithm": "ecdsa_p256", "key_id": "release", "signature": text});
        assert_eq!(of(keys(), ecdsa), "the signature is ecdsa_p256, and key \"release\" is ed25519");
        assert!(of(keys(), json!({"algorithm": "ed25519", "signature": "AAAA"})).contains("cannot be read"));
        let mut policy = policy("");
        policy.signing_keys = keys();
        assert!(judge(&policy, &dossier(&[("signature", good)]), 0).detail.contains("over nothing known"));
        assert_eq!(judge(&policy, &Dossier::default(), 0).detail, "signature missing: attach it as evidence");
    }
}
