//! People sign in at the issuer: where a browser is sent to, and who comes back with a code. The crate openidconnect is not used: it needs `rsa`, of which no
//! release is free of RUSTSEC-2023-0071.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::{Issuer, is_issuers};
use crate::http::auth::caller::{Caller, Refusal};
use crate::http::auth::code::{Attempt, Endpoints, challenge, checked, said};
use crate::http::auth::jwks;
use crate::http::auth::rules::SignInConfig;
use crate::http_client::{self, cause};

/// An answer of the issuer's is no longer.
const LONGEST_ANSWER: u64 = 1 << 20;
/// An ID token is no longer that stands in the address of signing out.
const LONGEST_HINT: usize = 4096;
/// The issuer answers sooner.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What the issuer gives for a code.
struct Given {
    id: String,
    access: Option<String>,
}

impl Issuer {
    /// How people sign in here, if they can.
    #[must_use]
    pub fn sign_in(&self) -> Option<&SignInConfig> {
        self.config.sign_in.as_ref()
    }

    fn known(&self) -> Result<(&SignInConfig, Arc<Endpoints>), String> {
        let config = self.sign_in().ok_or("signing in at the issuer is not configured: write http.oidc.sign_in")?;
        let found = self.endpoints.read().unwrap_or_else(PoisonError::into_inner).clone();
        let found = found.ok_or("the issuer has not answered yet: try again in a moment")?;
        found.map(|endpoints| (config, endpoints))
    }

    /// The issuer's address that a browser is sent to.
    ///
    /// # Errors
    /// An issuer that is not known yet, or has no such address.
    pub fn address(&self, attempt: &Attempt) -> Result<String, String> {
        let (config, endpoints) = self.known()?;
        let mut url = endpoints.authorization.clone();
        let (scopes, back) = (config.scopes.join(" "), config.callback());
        let [state, nonce, verifier] = ["state", "nonce", "verifier"].map(|of| attempt.digest(of));
        let challenge = challenge(&verifier);
        url.query_pairs_mut().extend_pairs([
            ("response_type", "code"),
            ("client_id", config.client_id.as_str()),
            ("redirect_uri", back.as_str()),
            ("scope", scopes.as_str()),
            ("state", state.as_str()),
            ("nonce", nonce.as_str()),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
        ]);
        Ok(url.into())
    }

    /// The issuer's address where a browser ends the session of somebody there; `None` where it has none (`OpenID` Connect RP-Initiated Logout
    /// 1.0, section 2).
    #[must_use]
    pub fn end_session(&self, id_token: &str) -> Option<String> {
        let (config, endpoints) = self.known().ok()?;
        let mut url = endpoints.end_session.clone()?;
        // A longer address is refused by some servers; the issuer asks then who it is.
        let hint = Some(("id_token_hint", id_token)).filter(|_| id_token.len() <= LONGEST_HINT);
        let after = config.after_sign_out.as_deref().map(|after| ("post_logout_redirect_uri", after));
        let pairs = [Some(("client_id", config.client_id.as_str())), hint, after];
        url.query_pairs_mut().extend_pairs(pairs.into_iter().flatten());
        Some(url.into())
    }

    /// Who came back with a code, and the ID token that says so.
    ///
    /// # Errors
    /// Why nobody is recognised.
    pub async fn identify(self: &Arc<Self>, attempt: &Attempt, code: &str) -> Result<(Caller, String), String> {
        let turn = self.exchanges.try_acquire();
        let _turn = turn.map_err(|_| "too many people sign in at once: try again in a moment")?;
        let (issuer, code, verifier) = (Arc::clone(self), code.to_owned(), attempt.digest("verifier"));
        let given = tokio::task::spawn_blocking(move || issuer.exchange(&code, &verifier));
        let given = given.await.map_err(|_| "the issuer could not be asked")??;
        let client = self.known()?.0.client_id.clone();
        let claims = self.claims(&given.id, std::slice::from_ref(&client)).await.map_err(|e| e.to_string())?;
        checked(&claims, attempt, &client)?;
        let caller = match (self.caller(&claims), given.access.filter(|token| is_issuers(token))) {
            // Some issuers put roles into the access token alone.
            (Err(Refusal::NoRole { .. }), Some(access)) => {
                let of_access = self.claims(&access, &self.config.audience).await.map_err(|e| e.to_string())?;
                if of_access.get("sub") != claims.get("sub") {
                    return Err("the issuer's two tokens name different people".to_owned());
                }
                self.caller(&of_access)
            }
            (caller, _) => caller,
        };
        caller.map(|caller| (caller, given.id)).map_err(|e| e.to_string())
    }

    /// Exchanges a code for tokens.
    fn exchange(&self, code: &str, verifier: &str) -> Result<Given, String> {
        let (config, endpoints) = self.known()?;
        let secret = config.secret_file.as_ref().map(std::fs::read_to_string).transpose();
        let secret = secret.map_err(|e| format!("the client's secret cannot be read: {e}"))?;
        let secret = secret.as_deref().map(str::trim);
        let callback = config.callback();
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", callback.as_str()),
            ("code_verifier", verifier),
        ];
        let basic = secret.filter(|_| endpoints.takes_basic);
        if basic.is_none() {
            fields.push(("client_id", config.client_id.as_str()));
            fields.extend(secret.map(|secret| ("client_secret", secret)));
        }
        let http = jwks::client(&endpoints.token, &self.config)?;
        let form =
            fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect::<Vec<_>>().join("&");
        let request = http.post(endpoints.token.clone()).header("accept", "application/json");
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
        let request = match basic {
            // RFC 6749, section 2.3.1: both are encoded as in a form.
            Some(secret) => request.basic_auth(encoded(&config.client_id), Some(encoded(secret))),
            None => request,
        };
        let answer = request.send().map_err(|e| format!("the issuer was asked: {}", cause(e, TIMEOUT)))?;
        let status = answer.status();
        let body = http_client::body(answer, LONGEST_ANSWER);
        let body = body.map_err(|e| format!("the issuer was asked: {}", e.cause(TIMEOUT)))?;
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        let text = |key: &str| answer.get(key).and_then(Value::as_str);
        if !status.is_success() {
            let why = said(text("error").unwrap_or("no reason"), text("error_description"));
            return Err(format!("the issuer gives no token ({status}): {why}"));
        }
        let id = text("id_token").ok_or("the issuer gives no ID token: its client needs the scope openid")?;
        Ok(Given { id: id.to_owned(), access: text("access_token").map(str::to_owned) })
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
