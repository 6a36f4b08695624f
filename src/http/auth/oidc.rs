//! Bearer tokens of an OIDC issuer: JWTs that are judged by the keys it publishes. Only signatures of key pairs
//! count, by the algorithms that the key is for; what a token may do follows from a claim.

mod sign_in;

use std::sync::{Arc, Mutex, PoisonError, RwLock, mpsc};
use std::time::{Duration, Instant};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use serde_json::Value;
use tokio::sync::{Semaphore, watch};

use super::caller::{Caller, Refusal};
use super::code::Endpoints;
use super::jwks::{self, Keys};
use super::roles::Grant;
use super::rules::{ISSUER_PREFIX, OidcConfig};
use driftgate_core::text;

/// Clocks of issuer and daemon may differ by so much, in seconds.
const LEEWAY_S: u64 = 30;
/// The issuer is asked for its keys at most so often, whatever tokens say.
const APART: Duration = Duration::from_secs(10);
/// Between two looks whether it is to stop.
const LOOK: Duration = Duration::from_secs(1);
/// How long a token that names an unknown key waits for the issuer's answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// A token is no longer.
const LONGEST: usize = 16 << 10;
/// Of the name in the audit log.
const LONGEST_NAME: usize = 256;
/// So many people's codes are exchanged at once.
const EXCHANGES: usize = 4;

/// Judges tokens of one issuer by the last keys that it gave.
pub struct Issuer {
    config: OidcConfig,
    keys: RwLock<Option<Arc<Keys>>>,
    /// Where people sign in, once it has answered; or why they cannot.
    endpoints: RwLock<Option<Result<Arc<Endpoints>, String>>>,
    exchanges: Semaphore,
    /// When it was asked last, and why it did not answer.
    asked: Mutex<(Option<Instant>, Option<String>)>,
    /// Counts its answers.
    answers: watch::Sender<u64>,
    wake: mpsc::SyncSender<()>,
    woken: Mutex<mpsc::Receiver<()>>,
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issuer").field("issuer", &self.config.issuer).finish_non_exhaustive()
    }
}

impl Issuer {
    #[must_use]
    pub fn new(config: OidcConfig) -> Self {
        let (wake, woken) = mpsc::sync_channel(1);
        Self {
            config,
            keys: RwLock::default(),
            endpoints: RwLock::default(),
            exchanges: Semaphore::new(EXCHANGES),
            asked: Mutex::default(),
            answers: watch::Sender::new(0),
            wake,
            woken: Mutex::new(woken),
        }
    }

    /// As its tokens name it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.config.issuer
    }

    /// Asks the issuer for its keys; those from before hold where it does not answer.
    ///
    /// # Errors
    /// Why it does not.
    pub fn refresh(&self) -> Result<(), String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).0 = Some(Instant::now());
        let found = jwks::fetch(&self.config);
        let failed = match found {
            Ok((document, keys)) => {
                let endpoints = Endpoints::of(&document).map(Arc::new);
                *self.endpoints.write().unwrap_or_else(PoisonError::into_inner) = Some(endpoints);
                *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(keys));
                None
            }
            Err(why) => Some(why),
        };
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).1.clone_from(&failed);
        self.answers.send_modify(|count| *count += 1);
        failed.map_or(Ok(()), Err)
    }

    /// Asks again and again until `stops`, in a thread of its own, and sooner where a token names a key that is not known.
    ///
    /// # Errors
    /// A thread that cannot be started.
    pub fn watch(
        self: &Arc<Self>,
        tell: impl Fn(Result<(), String>) + Send + 'static,
        stops: impl Fn() -> bool + Send + 'static,
    ) -> std::io::Result<()> {
        let issuer = Arc::clone(self);
        std::thread::Builder::new().name("issuer".to_owned()).spawn(move || {
            while !stops() {
                let asked = Instant::now();
                let result = issuer.refresh();
                let wait = if result.is_ok() { issuer.config.every } else { APART };
                tell(result);
                let woken = issuer.woken.lock().unwrap_or_else(PoisonError::into_inner);
                while woken.recv_timeout(LOOK.min(wait)).is_err() && asked.elapsed() < wait && !stops() {}
                if stops() {
                    return;
                }
                std::thread::sleep(APART.saturating_sub(asked.elapsed()));
                while woken.try_recv().is_ok() {}
            }
        })?;
        Ok(())
    }

    /// Whose token it is.
    ///
    /// # Errors
    /// Why it is not taken.
    pub async fn recognise(&self, token: &str) -> Result<Caller, Refusal> {
        self.caller(&self.claims(token, &self.config.audience).await?)
    }

    /// What a token says that is the issuer's, holds now, and is for one of these.
    async fn claims(&self, token: &str, audience: &[String]) -> Result<Value, Refusal> {
        let bad = |why: String| Refusal::Issuer { why };
        if token.len() > LONGEST {
            return Err(bad(format!("it is longer than {LONGEST} bytes")));
        }
        let header = decode_header(token).map_err(|_| {
            bad("its header cannot be read, or names no algorithm that is taken: tokens are signed by RS256, ES256, EdDSA and the like".to_owned())
        })?;
        if header.crit.is_some() {
            return Err(bad("its header asks for extensions (crit), and none is known".to_owned()));
        }
        if !jwks::TAKEN.contains(&header.alg) {
            return Err(bad(format!("{:?} is not taken: anybody who can check it can make it", header.alg)));
        }
        let kid = header.kid.as_deref();
        let mut keys = self.keys();
        let unknown = |keys: &Option<Arc<Keys>>| keys.as_ref().is_none_or(|keys| !keys.knows(kid));
        if unknown(&keys) && self.ask_soon().await {
            keys = self.keys();
        }
        let Some(keys) = keys else {
            let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            let why = asked.1.clone().unwrap_or_else(|| "it was not asked yet".to_owned());
            return Err(Refusal::NoKeys { issuer: self.config.issuer.clone(), why });
        };
        let mut why = match kid {
            Some(_) if keys.knows(kid) => "its key is for other algorithms",
            Some(_) => "the issuer does not list the key that it names",
            None => "it names no key, and the issuer has several",
        }
        .to_owned();
        for key in keys.of(kid, header.alg) {
            match decode::<Value>(token, key, &self.validation(header.alg, audience)) {
                Ok(data) => return Ok(data.claims),
                Err(e) => why = said(e.kind(), &self.config.issuer, audience),
            }
        }
        Err(bad(why))
    }

    fn keys(&self) -> Option<Arc<Keys>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Has the issuer asked, unless it was just now; whether it answered meanwhile.
    async fn ask_soon(&self) -> bool {
        let mut answers = self.answers.subscribe();
        let _ = self.wake.try_send(());
        let last = self.asked.lock().unwrap_or_else(PoisonError::into_inner).0;
        if last.is_some_and(|last| last.elapsed() < APART.saturating_sub(PATIENCE)) {
            return false;
        }
        tokio::time::timeout(PATIENCE, answers.changed()).await.is_ok()
    }

    fn validation(&self, algorithm: Algorithm, audience: &[String]) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.leeway = LEEWAY_S;
        validation.validate_nbf = true;
        validation.set_issuer(&[&self.config.issuer]);
        validation.set_audience(audience);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation
    }

    /// Who it is and what they may do, by the claims of a token that holds.
    fn caller(&self, claims: &Value) -> Result<Caller, Refusal> {
        let bad = |why: String| Refusal::Issuer { why };
        let config = &self.config;
        if claims.get("iss").and_then(Value::as_str) != Some(&config.issuer) {
            return Err(bad("it names several issuers".to_owned()));
        }
        let name = claim(claims, &config.actor).and_then(Value::as_str).unwrap_or_default();
        if name.is_empty() {
            return Err(bad(format!("it has no claim {:?}, which would say whose it is", config.actor)));
        }
        if name.len() > LONGEST_NAME || name.chars().any(|c| c.is_whitespace() || text::steers(c)) {
            return Err(bad(format!("its claim {:?} cannot stand in the audit log", config.actor)));
        }
        if config.actor == "email" && claims.get("email_verified").is_some_and(|v| v != &Value::Bool(true)) {
            return Err(bad("the issuer has not verified its email address".to_owned()));
        }
        let actor = format!("{ISSUER_PREFIX}{}#{name}", config.issuer);
        let values: Vec<&str> = match claim(claims, &config.claim) {
            // What OAuth calls a scope is a list in one text.
            Some(Value::String(text)) if matches!(config.claim.as_str(), "scope" | "scp") => {
                text.split_whitespace().collect()
            }
            Some(Value::String(text)) => vec![text],
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let given = config.grants.iter().filter(|(value, _)| values.contains(&value.as_str()));
        let grants: Vec<Grant> = given.map(|(_, grant)| grant.clone()).collect();
        if grants.is_empty() {
            return Err(Refusal::NoRole { actor, claim: config.claim.clone() });
        }
        Ok(Caller { actor, grants })
    }
}

/// Whether a token looks like an issuer's: header, claims and signature.
#[must_use]
pub fn is_issuers(token: &str) -> bool {
    token.bytes().filter(|b| *b == b'.').count() == 2
}

/// A claim by its name, or by a path into mappings.
fn claim<'c>(claims: &'c Value, path: &str) -> Option<&'c Value> {
    // Names may hold dots themselves: https://example.com/roles.
    claims.get(path).or_else(|| path.split('.').try_fold(claims, |value, part| value.get(part)))
}

/// Why a token does not hold; it never quotes one.
fn said(error: &ErrorKind, issuer: &str, audience: &[String]) -> String {
    match error {
        ErrorKind::ExpiredSignature => "it has expired: get a new one".to_owned(),
        ErrorKind::ImmatureSignature => "it does not hold yet: compare the clocks".to_owned(),
        ErrorKind::InvalidAudience => format!("it is for another audience than {}", audience.join(", ")),
        ErrorKind::InvalidIssuer => format!("it is of another issuer than {issuer}"),
        ErrorKind::MissingRequiredClaim(claim) => format!("it has no claim {claim:?}"),
        ErrorKind::InvalidClaimFormat(claim) => format!("its claim {claim:?} cannot be read"),
        _ => "its signature is not the issuer's".to_owned(),
    }
}

#[cfg(test)]
mod tests;
