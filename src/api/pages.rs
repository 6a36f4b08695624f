//! Queries of the pages for people. A field of a form that is left empty asks for nothing.

use serde::Deserialize;
use utoipa::IntoParams;

/// Which versions the overview shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct OverviewQuery {
    /// Words that are in the names of model, version, team and stages.
    pub q: Option<String>,
    /// `metadata: {team: …}` of the policy.
    pub team: Option<String>,
    /// `block`, `insufficient`, `warn`, `unjudged`, `pass`, or `stale`.
    pub status: Option<String>,
    /// A stage that points to the version; `none`: those without.
    pub stage: Option<String>,
    /// Which twenty rows, from 1.
    pub page: Option<usize>,
    /// The browser asks again every so many seconds, 5 to 3600.
    pub refresh: Option<u32>,
}

/// Where to go on after signing in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct SignInQuery {
    /// A path of this server.
    pub next: Option<String>,
}

/// What an issuer says as it sends a browser back (`OpenID` Connect Core 1.0, section 3.1.2.5); it may say more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
pub struct SignedInQuery {
    /// What tokens are given for.
    pub code: Option<String>,
    /// Which attempt to sign in it belongs to.
    pub state: Option<String>,
    /// Why nobody signed in.
    pub error: Option<String>,
    pub error_description: Option<String>,
    /// The issuer (RFC 9207).
    pub iss: Option<String>,
}

/// Which promotion a page shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct PromotionPageQuery {
    /// What was just done, to be said on the page.
    pub done: Option<String>,
}

/// What a person is about to do: the fields of the API's request, as far as the action has them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
pub struct ActQuery {
    /// The stage to approve for or to promote to.
    pub to: Option<String>,
    /// The role to approve in.
    pub role: Option<String>,
    pub comment: Option<String>,
    pub reason: Option<String>,
    /// Why an artifact that was rolled back is tried again.
    pub retry: Option<String>,
    /// The version to return to.
    pub back_to: Option<String>,
    /// The group whose block ends.
    pub group: Option<String>,
}

/// Which records of the audit log a page shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct AuditQuery {
    pub model: Option<String>,
    pub version: Option<String>,
    /// A part of the name of whoever did it.
    pub actor: Option<String>,
    /// As the log names it: `approval`, `signal`, `promotion`, …
    pub event: Option<String>,
    /// Not before this time (RFC 3339), or date.
    pub from: Option<String>,
    /// Before this time, or date.
    pub to: Option<String>,
    /// Only records before the one with this number.
    pub before: Option<u64>,
}
