//! Who may read and change something over HTTP.

use std::net::SocketAddr;
use std::time::Duration;

use super::key::{Key, default, names, optional, required};
use super::reader::{ConfigReader, duration};
use super::types::HttpConfig;
use crate::http::auth::sessions::LONGEST;
use crate::http::auth::{Grant, OidcConfig, Reading, Roles, Rules, SignInConfig};
use driftgate_core::yaml::{Item, units};

impl HttpConfig {
    /// Who may read: as it is written; otherwise everybody on this machine, and only holders of tokens where others reach
    /// a port.
    #[must_use]
    pub fn reading(&self) -> Reading {
        let is_ours = self.outermost().ip().to_canonical().is_loopback();
        self.read.unwrap_or(if is_ours { Reading::Open } else { Reading::Token })
    }

    /// The port that other machines reach, if there is one; else the one without TLS.
    #[must_use]
    pub fn outermost(&self) -> SocketAddr {
        let tls = self.tls.iter().map(|tls| tls.listen);
        let mut ports = std::iter::once(self.listen).chain(tls);
        ports.find(|port| !port.ip().to_canonical().is_loopback()).unwrap_or(self.listen)
    }

    /// Who is let in.
    #[must_use]
    pub fn rules(&self) -> Rules {
        Rules {
            tokens_file: self.tokens_file.clone(),
            reading: self.reading(),
            metrics: self.metrics,
            oidc: self.oidc.clone(),
        }
    }
}

pub(super) fn reading(item: &Item) -> Option<Reading> {
    item.choice(&[("open", Reading::Open), ("token", Reading::Token)])
}

pub const OIDC: [Key; 8] = [
    required("issuer", "URL", "Address of the issuer, which begins with https://."),
    required("audience", "text or list of texts", "Audiences of tokens that are accepted."),
    required("claim", "text", "Claim whose values give roles; dots lead into it."),
    required("roles", "mapping", "By value of the claim: what it gives."),
    default("actor", "text", "sub", "Claim that names who acts."),
    default("every", "duration", "10m", "How often the issuer's keys are fetched."),
    optional("tls", "mapping", "`{ca_file: …}` in place of the configuration's `tls`."),
    optional("sign_in", "mapping", "How people sign in at the issuer on the pages; without it they enter a token."),
];

/// How people sign in at the issuer.
pub const SIGN_IN: [Key; 6] = [
    required("client_id", "text", "The daemon's name at the issuer, as a client with authorization codes and PKCE."),
    required(
        "url",
        "URL",
        "Where browsers reach the pages. The issuer's client needs the redirect URI `URL/sign-in/callback`.",
    ),
    optional("client_secret_file", "path", "File with the client's secret; a public client has none."),
    default(
        "scopes",
        "list of texts",
        "[openid]",
        "What is asked for; `openid`, and what brings the claim of `roles`.",
    ),
    default("session", "duration", "1h", "A session ends after so long, 12h at most; then the issuer is asked again."),
    optional(
        "after_sign_out",
        "URL",
        "Where the issuer leads a browser that has signed out there, as the client's post-logout redirect URI; without it the issuer's own page stays.",
    ),
];

/// Of each value of the claim.
pub const GRANT: [Key; 2] = [
    required("role", "text", "`viewer`, `operator`, `approver` or `approver:ROLE`, joined by `+`."),
    required("models", "text", "Pattern of the models that it holds for."),
];

impl ConfigReader<'_> {
    /// An issuer of tokens, and what its claims give.
    pub(super) fn oidc(&self, item: &Item) -> Option<OidcConfig> {
        let map = item.map(const { &names(&OIDC) })?;
        let issuer = map.require("issuer", "https://login.example.com/realms/ml").and_then(|item| issuer(&item));
        let audience = map.require("audience", "driftgate").and_then(|item| {
            if !item.is_list() {
                return Some(vec![item.name("an audience")?.to_owned()]);
            }
            let all = item.texts("audiences")?;
            if all.is_empty() { item.fail("expected at least one audience, read an empty list") } else { Some(all) }
        });
        let claim = map.require("claim", "realm_access.roles").and_then(|item| item.name("a claim").map(str::to_owned));
        let grants =
            map.require("roles", "{ml-operators: {role: operator, models: \"*\"}}").and_then(|item| grants(&item));
        let actor = map.get("actor").map_or(Some("sub"), |item| item.name("a claim")).map(str::to_owned);
        let every = map.get("every").map_or(Some(Duration::from_secs(600)), |item| duration(&item));
        let ca_file = self.authorities(map.get("tls").as_ref())?;
        let sign_in = match map.get("sign_in") {
            Some(item) => Some(self.sign_in(&item)?),
            None => None,
        };
        Some(OidcConfig {
            issuer: issuer?,
            audience: audience?,
            claim: claim?,
            grants: grants?,
            actor: actor?,
            every: every?,
            ca_file,
            sign_in,
        })
    }

    /// How people sign in at the issuer.
    fn sign_in(&self, item: &Item) -> Option<SignInConfig> {
        let map = item.map(const { &names(&SIGN_IN) })?;
        let client_id = map.require("client_id", "driftgate").and_then(|item| item.name("a client").map(str::to_owned));
        let url = map.require("url", "https://driftgate.example.com").and_then(|item| pages(&item));
        let secret_file = map.get("client_secret_file").map(|item| self.path(&item));
        let scopes = map.get("scopes").map_or_else(|| Some(vec!["openid".to_owned()]), |item| scopes(&item));
        let session = map.get("session").map_or(Some(Duration::from_secs(3600)), |item| session(&item));
        let after_sign_out = match map.get("after_sign_out") {
            Some(item) => Some(after_sign_out(&item)?),
            None => None,
        };
        Some(SignInConfig {
            client_id: client_id?,
            secret_file: match secret_file {
                Some(path) => Some(path?),
                None => None,
            },
            url: url?,
            scopes: scopes?,
            session: session?,
            after_sign_out,
        })
    }
}

/// Where the pages are: a browser sends the cookie of a session by https, or to this machine.
fn pages(item: &Item) -> Option<String> {
    let text = item.text("the address of the pages")?;
    let url = reqwest::Url::parse(text).ok().filter(|url| url.path() == "/" && url.query().is_none());
    let is_safe =
        |url: &reqwest::Url| url.scheme() == "https" || url.scheme() == "http" && crate::http_client::is_loopback(url);
    if url.as_ref().is_some_and(is_safe) {
        return Some(text.trim_end_matches('/').to_owned());
    }
    let read = units::quote(text);
    item.fail(format!(
        "expected the address of the pages without a path, read {read}: write it like https://driftgate.example.com; \
         http:// is for this machine alone"
    ))
}

/// Where a browser goes on to that has signed out at the issuer.
fn after_sign_out(item: &Item) -> Option<String> {
    let text = item.text("an address")?;
    let url = reqwest::Url::parse(text).ok();
    let is_safe =
        |url: &reqwest::Url| url.scheme() == "https" || url.scheme() == "http" && crate::http_client::is_loopback(url);
    if url.as_ref().is_some_and(is_safe) {
        return Some(text.to_owned());
    }
    let read = units::quote(text);
    item.fail(format!(
        "expected an address that begins with https://, read {read}: write it like https://driftgate.example.com/sign-in; \
         http:// is for this machine alone"
    ))
}

fn scopes(item: &Item) -> Option<Vec<String>> {
    let all = item.texts("scopes")?;
    if all.iter().any(|scope| scope == "openid") {
        return Some(all);
    }
    item.fail("expected `openid` among the scopes: without it the issuer does not say who signs in")
}

/// How long a session lasts.
fn session(item: &Item) -> Option<Duration> {
    let long = duration(item)?;
    if (Duration::from_secs(60)..=LONGEST).contains(&long) {
        return Some(long);
    }
    item.fail("a session lasts 1m to 12h: write a duration between them")
}

fn issuer(item: &Item) -> Option<String> {
    let text = item.text("the address of an issuer")?;
    let url = reqwest::Url::parse(text).ok();
    if url.is_some_and(|url| url.scheme() == "https" || url.scheme() == "http" && crate::http_client::is_loopback(&url))
    {
        return Some(text.to_owned());
    }
    let read = units::quote(text);
    item.fail(format!(
        "expected an address that begins with https://, read {read}: keys that come without TLS can be forged"
    ))
}

/// What each value of the claim gives.
fn grants(item: &Item) -> Option<Vec<(String, Grant)>> {
    let map = item.open_map("a mapping such as {ml-operators: {role: operator, models: \"*\"}}")?;
    if map.is_empty() {
        return item
            .fail("expected at least one value of the claim, read an empty mapping: no token would have a role");
    }
    let mut grants = Vec::new();
    for (value, item) in map.entries() {
        let given = item.map(const { &names(&GRANT) })?;
        let roles = given.require("role", "operator").and_then(|item| {
            let text = item.text("roles")?;
            Roles::parse(text).map_or_else(|e| item.fail(e.to_string()), Some)
        });
        let models =
            given.require("models", "\"*\"").and_then(|item| item.name("a pattern of models").map(str::to_owned));
        grants.push((value.to_owned(), Grant { roles: roles?, models: models? }));
    }
    Some(grants)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn http(text: &str) -> Result<HttpConfig, String> {
        let text = format!("policies: [p.yaml]\nhttp: {text}\n");
        crate::config::parse(&text, Path::new("c.yaml")).map(|config| config.http).map_err(|e| e.to_string())
    }

    #[test]
    fn beyond_loopback_only_holders_of_tokens_read_unless_it_is_written() {
        for (listen, read, reading) in [
            ("127.0.0.1:1", "", Reading::Open),
            ("127.9.9.9:1", "", Reading::Open),
            ("[::1]:1", "", Reading::Open),
            ("[::ffff:127.0.0.1]:1", "", Reading::Open),
            ("0.0.0.0:1", "", Reading::Token),
            ("[::]:1", "", Reading::Token),
            ("10.0.0.1:1", "", Reading::Token),
            ("0.0.0.0:1", ", read: open", Reading::Open),
            ("127.0.0.1:1", ", read: token", Reading::Token),
        ] {
            let found = http(&format!("{{listen: \"{listen}\"{read}}}")).unwrap();
            assert_eq!((found.reading(), found.metrics), (reading, Reading::Open), "{listen}{read}");
        }
        assert!(http("{read: everybody}").unwrap_err().contains("open"));
    }

    #[test]
    fn an_issuer_is_read_with_what_its_claims_give() {
        let oidc = |more: &str| {
            let issuer = "issuer: \"https://login.example.com\", audience: driftgate, claim: groups, roles: {ops: {role: operator, models: \"*\"}}";
            http(&format!("{{oidc: {{{issuer}{more}}}}}")).map(|http| http.oidc.unwrap())
        };
        let found = oidc("").unwrap();
        assert_eq!((found.actor.as_str(), found.every.as_secs(), found.ca_file), ("sub", 600, None));
        assert_eq!(found.audience, ["driftgate"]);
        assert_eq!((found.grants[0].0.as_str(), found.grants[0].1.models.as_str()), ("ops", "*"));
        assert_eq!(oidc(", actor: email, tls: {ca_file: ca.pem}").unwrap().ca_file.unwrap().to_str(), Some("ca.pem"));
        let sign_in =
            |more: &str| oidc(&format!(", sign_in: {{client_id: c{more}}}")).map(|oidc| oidc.sign_in.unwrap());
        let found =
            sign_in(", url: \"https://d.example.com/\", client_secret_file: s, scopes: [openid, groups]").unwrap();
        assert_eq!(found.callback(), "https://d.example.com/sign-in/callback");
        assert_eq!((found.scopes.len(), found.session.as_secs()), (2, 3600));
        assert_eq!((found.secret_file.unwrap().to_str(), found.after_sign_out), (Some("s"), None));
        let after = sign_in(", url: \"https://d\", after_sign_out: \"https://d/sign-in\"").unwrap().after_sign_out;
        assert_eq!(after.as_deref(), Some("https://d/sign-in"));
        assert_eq!(sign_in(", url: \"http://localhost:9464\", session: 8h").unwrap().session.as_secs(), 8 * 3600);
        for (more, why) in [
            ("", "url"),
            (", url: \"http://d.example.com\"", "without a path"),
            (", url: \"https://d.example.com/pages\"", "without a path"),
            (", url: \"https://d\", scopes: [groups]", "`openid` among"),
            (", url: \"https://d\", session: 13h", "1m to 12h"),
            (", url: \"https://d\", session: 1s", "1m to 12h"),
            (", url: \"https://d\", after_sign_out: \"http://d.example.com/\"", "begins with https://"),
            (", url: \"https://d\", after_sign_out: /sign-in", "begins with https://"),
        ] {
            let told = sign_in(more).unwrap_err();
            assert!(told.contains(why), "{more}: {told}");
        }
        for (text, why) in [
            ("{oidc: {audience: a, claim: g, roles: {o: {role: operator, models: \"*\"}}}}", "issuer"),
            (
                "{oidc: {issuer: \"http://login.example.com\", audience: a, claim: g, roles: {o: {role: operator, models: \"*\"}}}}",
                "begins with https://",
            ),
            (
                "{oidc: {issuer: \"https://x\", audience: [], claim: g, roles: {o: {role: operator, models: \"*\"}}}}",
                "audience",
            ),
            ("{oidc: {issuer: \"https://x\", audience: a, claim: g, roles: {}}}", "at least one value"),
            (
                "{oidc: {issuer: \"https://x\", audience: a, claim: g, roles: {o: {role: root, models: \"*\"}}}}",
                "is not a role",
            ),
            (
                "{oidc: {issuer: \"https://x\", audience: a, claim: g, roles: {o: {role: \"approver:\", models: \"*\"}}}}",
                "approves as nobody",
            ),
            ("{oidc: {issuer: \"https://x\", audience: a, claim: g, roles: {o: {role: operator}}}}", "models"),
        ] {
            let told = http(text).unwrap_err();
            assert!(told.contains(why), "{text}: {told}");
        }
    }
}
