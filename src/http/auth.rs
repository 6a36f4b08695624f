//! Who asks, and what they may do: bearer tokens with roles, a pattern of models and the actor they stand for. What a route
//! needs stands in the table of routes; whether reading needs a token is the configuration's word.
//!
//! | module | holds |
//! |---|---|
//! | `roles` | roles, and the models they hold for |
//! | `rules` | what the configuration says of who is let in |
//! | `caller` | who was recognised, what they may do, and why a request is refused |
//! | `tokens` | tokens of a file or of the environment |
//! | `oidc`, `jwks` | tokens of an issuer, how people sign in there, and the keys that it publishes |
//! | `code` | a person's attempt to sign in at an issuer |
//! | `sessions` | people who are signed in with a browser |

mod caller;
pub mod code;
mod jwks;
pub mod oidc;
pub mod roles;
mod rules;
pub mod sessions;
pub mod tokens;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use code::Attempt;
use oidc::Issuer;

pub use caller::{Caller, Refusal, Visitor};
pub use oidc::is_issuers;
pub use roles::{Grant, Role, Roles};
pub use rules::{OidcConfig, Reading, Rules, SignInConfig};
use sessions::{Holder, LONGEST, Sessions};
pub use tokens::{Tokens, TokensError};

/// Who is let in. Tokens are exchanged while it is in use.
#[derive(Debug)]
pub struct Access {
    tokens: RwLock<Arc<Tokens>>,
    tokens_file: Option<PathBuf>,
    issuer: Option<Arc<Issuer>>,
    reading: Reading,
    metrics: Reading,
    sessions: Sessions,
}

impl Access {
    /// Everybody may read; changes need one of the tokens.
    #[must_use]
    pub fn open(tokens: Tokens) -> Self {
        let tokens = RwLock::new(Arc::new(tokens));
        Self {
            tokens,
            tokens_file: None,
            issuer: None,
            reading: Reading::Open,
            metrics: Reading::Open,
            sessions: Sessions::default(),
        }
    }

    /// Everything but probes needs one of the tokens.
    #[must_use]
    pub fn closed(tokens: Tokens) -> Self {
        Self { reading: Reading::Token, metrics: Reading::Token, ..Self::open(tokens) }
    }

    /// As the configuration says.
    ///
    /// # Errors
    /// Tokens that cannot be used.
    pub fn load(rules: Rules) -> Result<Self, TokensError> {
        let Rules { tokens_file, reading, metrics, oidc } = rules;
        let tokens = Tokens::load(tokens_file.as_deref())?;
        let issuer = oidc.map(|config| Arc::new(Issuer::new(config)));
        Ok(Self { tokens_file, issuer, reading, metrics, ..Self::open(tokens) })
    }

    /// The issuer whose tokens are taken.
    #[must_use]
    pub fn issuer(&self) -> Option<&Arc<Issuer>> {
        self.issuer.as_ref()
    }

    /// Reads the tokens again; where they cannot be used, those from before hold.
    ///
    /// # Errors
    /// Why they cannot.
    pub fn reload(&self) -> Result<usize, TokensError> {
        let fresh = Tokens::load(self.tokens_file.as_deref())?;
        let count = fresh.len();
        *self.tokens.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh);
        Ok(count)
    }

    /// Whether anybody may read.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.reading == Reading::Open
    }

    /// Whether anybody may scrape.
    #[must_use]
    pub fn metrics_are_open(&self) -> bool {
        self.metrics == Reading::Open
    }

    /// Whether nobody at all could read.
    #[must_use]
    pub fn is_shut(&self) -> bool {
        !self.is_open() && self.knows_nobody()
    }

    /// What the start says where nobody could read.
    #[must_use]
    pub fn warning(&self, listen: SocketAddr) -> Option<String> {
        self.is_shut().then(|| {
            format!(
                "nobody can read over HTTP: reading needs a token at {listen}, and none is configured; name a file as http.tokens_file, or let \
                 everybody read by http: {{read: open}}"
            )
        })
    }

    fn knows_nobody(&self) -> bool {
        self.tokens().is_empty() && self.issuer.is_none()
    }

    fn tokens(&self) -> Arc<Tokens> {
        Arc::clone(&self.tokens.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Who stands behind an `Authorization` header, for what needs a role. A browser sends the token as a password, with
    /// every request of whatever page is open in it, so that is good for reading only.
    ///
    /// # Errors
    /// Why nobody is recognised.
    pub async fn recognise(&self, header: Option<&str>, needs: Role) -> Result<Caller, Refusal> {
        if self.knows_nobody() {
            return Err(if needs == Role::Viewer { Refusal::NobodyReads } else { Refusal::NoTokens });
        }
        let (scheme, credentials) = header.and_then(|h| h.trim().split_once(' ')).ok_or(Refusal::Missing)?;
        let token = match scheme.to_ascii_lowercase().as_str() {
            "bearer" => credentials.trim().to_owned(),
            "basic" if needs == Role::Viewer => password(credentials).ok_or(Refusal::Missing)?,
            "basic" => return Err(Refusal::Password),
            _ => return Err(Refusal::Missing),
        };
        if let Some(known) = self.tokens().find(&token) {
            return Ok(known.clone());
        }
        match &self.issuer {
            Some(issuer) if is_issuers(&token) => issuer.recognise(&token).await,
            _ => Err(Refusal::Unknown),
        }
    }
}

impl Access {
    /// Begins a session for a token that is known: the value of its cookie; `None` where the system gives no random bytes.
    ///
    /// # Errors
    /// Why nobody is recognised.
    pub async fn sign_in(&self, token: &str, now: Instant) -> Result<Option<String>, Refusal> {
        self.recognise(Some(&format!("Bearer {token}")), Role::Operator).await?;
        Ok(self.sessions.begin(token, now))
    }

    /// Begins a session for who comes back from the issuer with a code: the value of its cookie, and for how many seconds it lasts; `None` where
    /// the system gives no random bytes.
    ///
    /// # Errors
    /// Why nobody is recognised.
    pub async fn sign_in_at_issuer(
        &self,
        attempt: &Attempt,
        code: &str,
        now: Instant,
    ) -> Result<Option<(String, u64)>, String> {
        let issuer = self.issuer.as_ref().ok_or("no issuer is configured: write http.oidc")?;
        let (caller, id_token) = issuer.identify(attempt, code).await?;
        let longest = issuer.sign_in().map_or(LONGEST, |config| config.session.min(LONGEST));
        let name = self.sessions.begin_of((Holder::Known(caller), Some(id_token)), longest, now);
        Ok(name.map(|name| (name, longest.as_secs())))
    }

    /// Ends the session that a `Cookie` header names: where the browser signs out at the issuer, of who signed in there.
    pub fn sign_out(&self, cookies: &str, now: Instant) -> Option<String> {
        let id_token = self.sessions.end(cookies, now)?;
        self.issuer.as_ref()?.end_session(&id_token)
    }

    /// Who looks at a page: the token of the session is judged anew; who signed in at the issuer is who they were then.
    pub async fn visitor(&self, cookies: &str, path: &str, now: Instant) -> Visitor {
        let nobody = Visitor { path: path.to_owned(), can_sign_in: !self.knows_nobody(), ..Visitor::default() };
        let Some(found) = self.sessions.find(cookies, now) else { return nobody };
        let caller = match found.of {
            Holder::Known(caller) => Ok(caller),
            Holder::Token(token) => self.recognise(Some(&format!("Bearer {token}")), Role::Operator).await,
        };
        match caller {
            Ok(caller) => Visitor { caller: Some(caller), csrf: found.csrf, ..nobody },
            Err(_) => nobody,
        }
    }
}

/// The password of `Basic` credentials.
fn password(credentials: &str) -> Option<String> {
    let text = String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()?;
    text.split_once(':').map(|(_, password)| password.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OP: &str = "op-0123456789abcdef0123456789";
    const VIEW: &str = "view-0123456789abcdef0123456789";

    fn access() -> Access {
        Access::closed(Tokens::parse(&format!("{OP} operator * alice\n{VIEW} viewer fraud_* bob\n")).unwrap())
    }

    fn recognise(access: &Access, header: &str, needs: Role) -> Result<String, Refusal> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(access.recognise(Some(header).filter(|h| !h.is_empty()), needs)).map(|caller| caller.actor)
    }

    #[test]
    fn a_bearer_token_is_recognised_and_a_password_for_reading_only() {
        let access = access();
        let of = |header: &str, needs| recognise(&access, header, needs);
        assert_eq!(of(&format!("Bearer {OP}"), Role::Operator), Ok("alice".to_owned()));
        assert_eq!(of(&format!("bearer  {VIEW} "), Role::Viewer), Ok("bob".to_owned()));
        assert_eq!(of("", Role::Viewer), Err(Refusal::Missing));
        assert_eq!(of("Digest x", Role::Viewer), Err(Refusal::Missing));
        assert_eq!(of("Bearer x", Role::Viewer), Err(Refusal::Unknown));
        // Any user, and the token as password.
        let basic = "Basic bWU6b3AtMDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODk=";
        assert_eq!(of(basic, Role::Viewer), Ok("alice".to_owned()));
        assert_eq!(of(basic, Role::Operator), Err(Refusal::Password));
        assert_eq!(of("Basic !", Role::Viewer), Err(Refusal::Missing));
        let none = Access::closed(Tokens::default());
        assert_eq!(recognise(&none, "Bearer x", Role::Viewer), Err(Refusal::NobodyReads));
        assert_eq!(recognise(&none, "Bearer x", Role::Operator), Err(Refusal::NoTokens));
    }
}
