//! Who is let in, as the configuration says it.

use std::path::PathBuf;
use std::time::Duration;

use super::roles::Grant;

/// Where tokens come from when no file is configured; the same format as the file.
pub const ENVIRONMENT: &str = "DRIFTGATE_TOKENS";

/// What begins the actor of every such token, and of no other.
pub const ISSUER_PREFIX: &str = "oidc:";

/// Who may read over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Every client that reaches the port.
    Open,
    /// Callers with a token.
    Token,
}

/// Who is let in, as the configuration says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    pub tokens_file: Option<PathBuf>,
    pub reading: Reading,
    pub metrics: Reading,
    pub oidc: Option<OidcConfig>,
}

/// Whose tokens are taken, and what they may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OidcConfig {
    /// As tokens name it, and where its configuration is found.
    pub issuer: String,
    /// A token is for one of them.
    pub audience: Vec<String>,
    /// Holds a text or a list of texts; `realm_access.roles` leads into mappings.
    pub claim: String,
    /// What a value of the claim gives.
    pub grants: Vec<(String, Grant)>,
    /// The claim that says who it is.
    pub actor: String,
    /// How often the keys are asked for.
    pub every: Duration,
    /// Certificates of CAs that are believed beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// How people sign in there on the pages, if they can.
    pub sign_in: Option<SignInConfig>,
}

/// The path that the issuer sends the browser to.
pub const CALLBACK: &str = "/sign-in/callback";

/// How people sign in at the issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignInConfig {
    /// As the issuer knows this daemon.
    pub client_id: String,
    /// Holds the client's secret; a public client has none.
    pub secret_file: Option<PathBuf>,
    /// Where browsers reach the pages, without a slash at its end.
    pub url: String,
    pub scopes: Vec<String>,
    /// A session lasts no longer: then the issuer is asked again.
    pub session: Duration,
    /// Where the issuer leads a browser that has signed out there.
    pub after_sign_out: Option<String>,
}

impl SignInConfig {
    /// Where the issuer sends the browser to.
    #[must_use]
    pub fn callback(&self) -> String {
        format!("{}{CALLBACK}", self.url)
    }
}
