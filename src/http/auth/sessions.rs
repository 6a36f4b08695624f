//! Sessions of browsers: a random name in a cookie stands for the token that somebody signed in with. The token stays here and is judged anew with
//! each request, so that one that expires or is taken out of the file ends what it may do. Of who signs in at the issuer it stands for what the issuer
//! said then. A restart ends all sessions.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::caller::Caller;
use driftgate_core::codec::hash;

/// The cookie.
pub const COOKIE: &str = "driftgate_session";
/// A session ends after so long, and after so long without a request.
pub const LONGEST: Duration = Duration::from_secs(12 * 3600);
const IDLE: Duration = Duration::from_secs(3600);
/// More than this many at once end the one that was idle longest.
const MOST: usize = 1000;

/// All sessions.
#[derive(Default)]
pub struct Sessions(Mutex<BTreeMap<[u8; 32], Session>>);

struct Session {
    of: Holder,
    csrf: String,
    began: Instant,
    longest: Duration,
    seen: Instant,
    /// The issuer's ID token of who signed in there: it says whose session is to end there.
    id_token: Option<String>,
}

/// Whose a session is.
#[derive(Clone, PartialEq, Eq)]
pub enum Holder {
    /// Whoever the token is of.
    Token(String),
    /// Who was recognised as the session began: somebody who signed in at the issuer.
    Known(Caller),
}

/// What a session stands for.
#[derive(Clone, PartialEq, Eq)]
pub struct Found {
    pub of: Holder,
    /// What the forms of its pages send back.
    pub csrf: String,
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

impl Sessions {
    /// A new session for a token: the value of its cookie; `None` where the system gives no random bytes.
    pub fn begin(&self, token: &str, now: Instant) -> Option<String> {
        self.begin_of((Holder::Token(token.to_owned()), None), LONGEST, now)
    }

    /// A new session of somebody, with the issuer's ID token if there is one, that ends after so long, or after `LONGEST`.
    pub fn begin_of(
        &self,
        (of, id_token): (Holder, Option<String>),
        longest: Duration,
        now: Instant,
    ) -> Option<String> {
        let (name, csrf) = (random()?, random()?);
        let mut all = self.live(now);
        if all.len() >= MOST
            && let Some(oldest) = all.iter().min_by_key(|(_, session)| session.seen).map(|(key, _)| *key)
        {
            all.remove(&oldest);
        }
        let longest = longest.min(LONGEST);
        all.insert(key(&name), Session { of, csrf, began: now, longest, seen: now, id_token });
        Some(name)
    }

    /// The session that a `Cookie` header names.
    pub fn find(&self, cookies: &str, now: Instant) -> Option<Found> {
        let name = named(cookies, COOKIE)?;
        let mut all = self.live(now);
        let session = all.get_mut(&key(name))?;
        session.seen = now;
        Some(Found { of: session.of.clone(), csrf: session.csrf.clone() })
    }

    /// Ends the session that a `Cookie` header names: the ID token of who signed in at the issuer.
    pub fn end(&self, cookies: &str, now: Instant) -> Option<String> {
        let name = named(cookies, COOKIE)?;
        self.live(now).remove(&key(name))?.id_token
    }

    /// Those that have not ended.
    fn live(&self, now: Instant) -> MutexGuard<'_, BTreeMap<[u8; 32], Session>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, s| {
            now.saturating_duration_since(s.began) < s.longest && now.saturating_duration_since(s.seen) < IDLE
        });
        all
    }
}

/// Sessions are found by the digest of their name: how long a comparison takes tells nothing of the name.
fn key(name: &str) -> [u8; 32] {
    Sha256::digest(name).into()
}

/// Whether two texts are the same, in a time that does not depend on where they differ.
#[must_use]
pub fn same(a: &str, b: &str) -> bool {
    key(a) == key(b)
}

/// 64 hexadecimal digits; `None` where the system gives no random bytes.
#[must_use]
pub fn random() -> Option<String> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).ok()?;
    Some(hash::hex(&bytes))
}

/// The value of a cookie in a `Cookie` header.
#[must_use]
pub fn named<'c>(cookies: &'c str, cookie: &str) -> Option<&'c str> {
    let mut pairs = cookies.split(';').filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, value)| *name == cookie && !value.is_empty()).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_found_by_its_cookie_until_it_is_idle_old_or_ended() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        let name = sessions.begin("token", start).unwrap();
        let cookies = format!("a=b; {COOKIE}={name}");
        let at = |minutes: u64| sessions.find(&cookies, start + Duration::from_secs(60 * minutes)).map(token_of);
        assert_eq!(at(59).as_deref(), Some("token"));
        assert_eq!(at(118).as_deref(), Some("token"), "it was used meanwhile");
        for cookies in ["", "a=b", &format!("{COOKIE}="), &format!("{COOKIE}={}", key_like(&name))] {
            assert!(sessions.find(cookies, start).is_none(), "{cookies}");
        }
        assert_eq!(at(118 + 60), None, "idle");
        let name = sessions.begin("token", start).unwrap();
        let cookies = format!("{COOKIE}={name}");
        for hours in 0..24 {
            let found = sessions.find(&cookies, start + Duration::from_secs(1800 * hours));
            assert_eq!(found.is_some(), hours < 24);
        }
        assert!(sessions.find(&cookies, start + LONGEST).is_none(), "old");
        let name = sessions.begin("token", start).unwrap();
        let cookies = format!("{COOKIE}={name}");
        assert_eq!(sessions.end(&cookies, start), None);
        assert!(sessions.find(&cookies, start).is_none());
    }

    fn token_of(found: Found) -> String {
        match found.of {
            Holder::Token(token) => token,
            Holder::Known(caller) => panic!("of {}", caller.actor),
        }
    }

    #[test]
    fn a_session_of_somebody_who_is_known_ends_when_it_says() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        let known = |actor: &str| Holder::Known(Caller { actor: actor.into(), grants: Vec::new() });
        let cookies = |longest: Duration| {
            let of = (known("ann"), Some("id".to_owned()));
            format!("{COOKIE}={}", sessions.begin_of(of, longest, start).unwrap())
        };
        let short = cookies(Duration::from_secs(60));
        assert!(sessions.find(&short, start + Duration::from_secs(59)).is_some_and(|found| found.of == known("ann")));
        assert!(sessions.find(&short, start + Duration::from_secs(60)).is_none());
        assert_eq!(sessions.end(&cookies(LONGEST), start).as_deref(), Some("id"));
        let long = cookies(LONGEST * 2);
        for hours in 0..24 {
            sessions.find(&long, start + Duration::from_secs(1800 * hours)).unwrap();
        }
        assert!(sessions.find(&long, start + LONGEST).is_none());
    }

    /// A name of the same length.
    fn key_like(name: &str) -> String {
        "0".repeat(name.len())
    }

    #[test]
    fn there_are_so_many_and_each_has_its_own_names() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        let names: Vec<String> = (0..=MOST as u64)
            .map(|i| sessions.begin(&i.to_string(), start + Duration::from_millis(i)).unwrap())
            .collect();
        let found = |name: &String| sessions.find(&format!("{COOKIE}={name}"), start + Duration::from_secs(2));
        assert!(found(&names[0]).is_none(), "the oldest made room");
        let (a, b) = (found(&names[1]).unwrap(), found(&names[2]).unwrap());
        assert!(a.csrf != b.csrf && a.csrf.len() == 64 && token_of(a) == "1" && token_of(b) == "2");
        assert!(same("a", "a") && !same("a", "b") && !same("", "a"));
    }
}
