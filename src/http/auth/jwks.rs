//! The keys that an issuer publishes: where they lie is found by its configuration, and only those of key pairs are kept.

use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use reqwest::Url;
use serde_json::Value;

use super::rules::OidcConfig;
use crate::http_client::{self, BodyError, Calls, cause, is_loopback};

/// The algorithms that are taken: signatures of key pairs.
pub const TAKEN: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];
/// So many of them, the first, are RSA's.
const RSA: usize = 6;
/// A request that takes longer has failed.
const TIMEOUT: Duration = Duration::from_secs(5);
/// An answer is no longer.
const LONGEST: u64 = 1 << 20;
/// An issuer has no more keys.
const MOST_KEYS: usize = 100;
/// The modulus of an RSA key has at least 2048 bits.
const SHORTEST_RSA_BYTES: usize = 256;

struct Key {
    kid: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

/// The keys of an issuer.
pub struct Keys(Vec<Key>);

impl Keys {
    /// Reads a JWK set; keys that sign nothing here are left out.
    ///
    /// # Errors
    /// A set without a key that is left.
    pub fn read(set: &Value) -> Result<Self, String> {
        let all = set.get("keys").and_then(Value::as_array).ok_or("it is no JWK set: it has no list `keys`")?;
        let keys: Vec<Key> = all.iter().take(MOST_KEYS).filter_map(key).collect();
        if keys.is_empty() {
            return Err(format!(
                "none of its {} keys is for signatures of key pairs (RSA from 2048 bits on, P-256, P-384, Ed25519)",
                all.len()
            ));
        }
        Ok(Self(keys))
    }

    /// Whether a key of this name is there; a token that names none is for the only one.
    #[must_use]
    pub fn knows(&self, kid: Option<&str>) -> bool {
        kid.is_none() || self.0.iter().any(|key| key.kid.as_deref() == kid)
    }

    /// The keys that a token may be signed with.
    pub fn of(&self, kid: Option<&str>, algorithm: Algorithm) -> impl Iterator<Item = &DecodingKey> {
        let is_only = self.0.len() == 1;
        let named = move |key: &&Key| if kid.is_some() { key.kid.as_deref() == kid } else { is_only };
        self.0.iter().filter(named).filter(move |key| key.algorithms.contains(&algorithm)).map(|key| &key.key)
    }
}

/// A key for signatures, with the algorithms it is for.
fn key(value: &Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(value.clone()).ok()?;
    if matches!(jwk.common.public_key_use, Some(PublicKeyUse::Encryption)) {
        return None;
    }
    let (rsa, _) = TAKEN.split_at_checked(RSA)?;
    let fits: Vec<Algorithm> = match &jwk.algorithm {
        AlgorithmParameters::RSA(rsa_key) if rsa_key.n.trim_end_matches('=').len() * 6 / 8 >= SHORTEST_RSA_BYTES => {
            rsa.to_vec()
        }
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => vec![Algorithm::ES256],
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P384 => vec![Algorithm::ES384],
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => vec![Algorithm::EdDSA],
        // Secrets, and what is not known.
        _ => return None,
    };
    let algorithms: Vec<Algorithm> = match jwk.common.key_algorithm {
        None => fits,
        Some(only) => fits.into_iter().filter(|a| named(*a) == Some(only)).collect(),
    };
    if algorithms.is_empty() {
        return None;
    }
    Some(Key { kid: jwk.common.key_id.clone(), algorithms, key: DecodingKey::from_jwk(&jwk).ok()? })
}

/// What a key calls an algorithm.
fn named(algorithm: Algorithm) -> Option<KeyAlgorithm> {
    Some(match algorithm {
        Algorithm::RS256 => KeyAlgorithm::RS256,
        Algorithm::RS384 => KeyAlgorithm::RS384,
        Algorithm::RS512 => KeyAlgorithm::RS512,
        Algorithm::PS256 => KeyAlgorithm::PS256,
        Algorithm::PS384 => KeyAlgorithm::PS384,
        Algorithm::PS512 => KeyAlgorithm::PS512,
        Algorithm::ES256 => KeyAlgorithm::ES256,
        Algorithm::ES384 => KeyAlgorithm::ES384,
        Algorithm::EdDSA => KeyAlgorithm::EdDSA,
        _ => return None,
    })
}

/// Asks an issuer for its configuration and its keys.
///
/// # Errors
/// An issuer that does not answer, or answers something else.
pub fn fetch(config: &OidcConfig) -> Result<(Value, Keys), String> {
    let found = format!("{}/.well-known/openid-configuration", config.issuer.trim_end_matches('/'));
    let document = get(&found, config)?;
    let named = document.get("issuer").and_then(Value::as_str).unwrap_or_default();
    if named != config.issuer {
        return Err(format!("{found} is of the issuer {named:?}: write it as http.oidc.issuer exactly so"));
    }
    let at = document.get("jwks_uri").and_then(Value::as_str).ok_or_else(|| format!("{found} has no jwks_uri"))?;
    let keys = Keys::read(&get(at, config)?).map_err(|why| format!("{at}: {why}"))?;
    Ok((document, keys))
}

/// The JSON that lies at an address. Keys come over TLS, or from this machine.
fn get(address: &str, config: &OidcConfig) -> Result<Value, String> {
    let url = Url::parse(address).map_err(|e| format!("{address:?} is no URL: {e}"))?;
    if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback(&url)) {
        return Err(format!("{address} is not https, so that anybody on the way could put keys of their own there"));
    }
    let http = client(&url, config)?;
    let failed = |e| format!("{address}: {}", cause(e, TIMEOUT));
    let answer = http.get(url).send().map_err(failed)?;
    if !answer.status().is_success() {
        return Err(format!("{address} answers {}", answer.status()));
    }
    let body = http_client::body(answer, LONGEST).map_err(|e| match e {
        BodyError::TooLarge => format!("{address} answers more than {LONGEST} bytes"),
        BodyError::Broken(e) => format!("{address}: {e}"),
    })?;
    serde_json::from_slice(&body).map_err(|e| format!("{address} answers no JSON: {e}"))
}

/// A client for an address of the issuer's.
///
/// # Errors
/// Certificates that cannot be used.
pub fn client(url: &Url, config: &OidcConfig) -> Result<reqwest::blocking::Client, String> {
    let calls = Calls { timeout: TIMEOUT, ca_file: config.ca_file.clone() };
    let http = calls.client(url)?.build();
    http.map_err(|e| format!("the HTTP client cannot be set up: {}", http_client::innermost(e)))
}
