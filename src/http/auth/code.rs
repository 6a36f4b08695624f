//! A person's attempt to sign in at an issuer by the authorization code flow with PKCE (`OpenID` Connect Core 1.0, section 3.1; RFC 7636): what the browser
//! keeps meanwhile, where it is sent to, and whether the ID token that comes of it is an answer.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Url;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::sessions::{named, random, same};
use crate::http_client::is_loopback;
use driftgate_core::codec::hash;
use driftgate_core::text;

/// The cookie that a browser keeps meanwhile.
pub const COOKIE: &str = "driftgate_sign_in";
/// And for how long, in seconds.
pub const LASTS_S: u64 = 600;
/// A path to go on to is no longer.
const LONGEST_NEXT: usize = 2000;
/// What the issuer says of an error is shown up to here, in characters.
const LONGEST_ERROR: usize = 200;

/// A person's way to the issuer and back, as the cookie has it: a random secret, of which `state`, `nonce` and the code verifier are digests, and
/// where the person goes on to. The server keeps nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Attempt {
    secret: String,
    next: String,
}

impl Attempt {
    /// A new one; `None` where the system gives no random bytes.
    #[must_use]
    pub fn begin(next: &str) -> Option<Self> {
        let next = if next.len() > LONGEST_NEXT { "/" } else { next };
        Some(Self { secret: random()?, next: next.to_owned() })
    }

    /// The one that a `Cookie` header holds.
    #[must_use]
    pub fn of(cookies: &str) -> Option<Self> {
        let (secret, next) = named(cookies, COOKIE)?.split_once('.')?;
        let next = String::from_utf8(URL_SAFE_NO_PAD.decode(next).ok()?).ok()?;
        let is_whole = secret.len() == 64 && next.len() <= LONGEST_NEXT;
        is_whole.then(|| Self { secret: secret.to_owned(), next })
    }

    /// The value of the cookie.
    #[must_use]
    pub fn cookie(&self) -> String {
        format!("{}.{}", self.secret, URL_SAFE_NO_PAD.encode(&self.next))
    }

    /// Where the person goes on to, as it was asked for.
    #[must_use]
    pub fn next(&self) -> &str {
        &self.next
    }

    /// Whether the issuer's answer is to this attempt.
    #[must_use]
    pub fn is_of(&self, state: &str) -> bool {
        same(&self.digest("state"), state)
    }

    /// 64 hexadecimal digits, which do not give the secret away.
    #[must_use]
    pub fn digest(&self, of: &str) -> String {
        hash::sha256_hex(format!("{of}:{}", self.secret).as_bytes())
    }
}

/// The code challenge of a verifier, by the method S256.
#[must_use]
pub fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

/// Where an issuer lets people sign in, and gives tokens for codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    pub authorization: Url,
    pub token: Url,
    /// Where people sign out, if it has that (`OpenID` Connect RP-Initiated Logout 1.0).
    pub end_session: Option<Url>,
    /// Whether it takes a client's secret in the header `Authorization`.
    pub takes_basic: bool,
}

impl Endpoints {
    /// As its configuration names them.
    ///
    /// # Errors
    /// One that is missing, or neither comes by TLS nor from this machine.
    pub fn of(document: &Value) -> Result<Self, String> {
        let endpoint = |key: &str| {
            let text = document.get(key).and_then(Value::as_str);
            let text = text.ok_or_else(|| format!("the issuer's configuration has no {key}"))?;
            let url = Url::parse(text).map_err(|e| format!("the issuer's {key} is no URL: {e}"))?;
            let is_safe = url.scheme() == "https" || url.scheme() == "http" && is_loopback(&url);
            if is_safe { Ok(url) } else { Err(format!("the issuer's {key} does not begin with https://")) }
        };
        let ways = document.get("token_endpoint_auth_methods_supported").and_then(Value::as_array);
        let takes_basic = ways.is_none_or(|ways| ways.iter().any(|way| way == "client_secret_basic"));
        Ok(Self {
            authorization: endpoint("authorization_endpoint")?,
            token: endpoint("token_endpoint")?,
            // Who cannot sign out there signs out here.
            end_session: endpoint("end_session_endpoint").ok(),
            takes_basic,
        })
    }
}

/// Whether an ID token that is the issuer's was given for this attempt, to this client (`OpenID` Connect Core 1.0, section 3.1.3.7).
///
/// # Errors
/// Why not.
pub fn checked(claims: &Value, attempt: &Attempt, client: &str) -> Result<(), String> {
    let nonce = claims.get("nonce").and_then(Value::as_str).unwrap_or_default();
    if !same(nonce, &attempt.digest("nonce")) {
        return Err("the issuer's ID token is of another attempt to sign in".to_owned());
    }
    let several = claims.get("aud").and_then(Value::as_array).is_some_and(|all| all.len() > 1);
    match claims.get("azp") {
        Some(party) if party != client => Err("the issuer's ID token was given to another client".to_owned()),
        None if several => Err("the issuer's ID token is for several audiences, and names no client".to_owned()),
        _ => Ok(()),
    }
}

/// What an issuer says of an error, as far as it can be shown.
#[must_use]
pub fn said(error: &str, description: Option<&str>) -> String {
    let all = description.map_or_else(|| error.to_owned(), |more| format!("{error}: {more}"));
    all.chars().filter(|c| !text::steers(*c)).take(LONGEST_ERROR).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_attempt_is_found_in_its_cookie_and_gives_nothing_away() {
        let attempt = Attempt::begin("/models/a?x=ä").unwrap();
        let cookies = format!("a=b; {COOKIE}={}; c=d", attempt.cookie());
        assert!(Attempt::of(&cookies) == Some(attempt.clone()) && attempt.next() == "/models/a?x=ä");
        assert!(
            attempt.is_of(&attempt.digest("state")) && !attempt.is_of("") && !attempt.is_of(&attempt.digest("nonce"))
        );
        let all =
            [attempt.digest("state"), attempt.digest("nonce"), attempt.digest("verifier"), attempt.secret.clone()];
        for (at, one) in all.iter().enumerate() {
            assert!(one.len() == 64 && all.iter().skip(at + 1).all(|other| other != one));
        }
        assert!(Attempt::begin("/").unwrap().digest("state") != attempt.digest("state"));
        assert_eq!(Attempt::begin(&"/a".repeat(5000)).unwrap().next(), "/");
        for wrong in
            ["", "x", "x.y", &format!("{}.!", attempt.secret), &"0".repeat(64), &format!("{}.", "0".repeat(63))]
        {
            assert!(Attempt::of(&format!("{COOKIE}={wrong}")).is_none(), "{wrong}");
        }
    }

    /// RFC 7636, appendix B.
    #[test]
    fn the_challenge_is_the_verifiers_digest() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(challenge(verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn an_id_token_is_for_this_attempt_and_this_client() {
        let attempt = Attempt::begin("/").unwrap();
        let nonce = attempt.digest("nonce");
        let of = |claims: Value| checked(&claims, &attempt, "pages");
        assert_eq!(of(json!({"nonce": nonce, "aud": "pages"})), Ok(()));
        assert_eq!(of(json!({"nonce": nonce, "aud": ["pages", "b"], "azp": "pages"})), Ok(()));
        for (claims, why) in [
            (json!({"aud": "pages"}), "another attempt"),
            (json!({"nonce": attempt.digest("state"), "aud": "pages"}), "another attempt"),
            (json!({"nonce": nonce, "aud": "pages", "azp": "b"}), "another client"),
            (json!({"nonce": nonce, "aud": ["pages", "b"]}), "several audiences"),
        ] {
            let told = of(claims).unwrap_err();
            assert!(told.contains(why), "{told}");
        }
    }

    #[test]
    fn endpoints_are_reached_by_tls() {
        let of = |authorization: &str, token: &str| {
            Endpoints::of(&json!({"authorization_endpoint": authorization, "token_endpoint": token}))
        };
        assert!(of("https://a/auth", "https://a/token").is_ok_and(|f| f.takes_basic && f.end_session.is_none()));
        let ends = |end: &str| {
            let document = json!({"authorization_endpoint": "https://a/auth", "token_endpoint": "https://a/token", "end_session_endpoint": end});
            Endpoints::of(&document).unwrap().end_session.map(String::from)
        };
        assert_eq!(ends("https://a/end?x=1").as_deref(), Some("https://a/end?x=1"));
        assert_eq!((ends("http://a/end"), ends("javascript:alert(1)")), (None, None));
        assert!(of("http://127.0.0.1:1/auth", "http://localhost:1/token").is_ok());
        assert!(of("http://a/auth", "https://a/token").unwrap_err().contains("authorization_endpoint does not begin"));
        assert!(of("https://a/auth", "token").unwrap_err().contains("token_endpoint is no URL"));
        assert!(Endpoints::of(&json!({})).unwrap_err().contains("has no authorization_endpoint"));
        assert_eq!(said("a\u{1b}[2J", Some("b")), "a[2J: b");
    }
}
