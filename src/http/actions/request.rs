//! Who asks for a change, and the body of the request.

use std::collections::HashMap;

use axum::body::Bytes;
use axum::extract::FromRequestParts;
use axum::extract::rejection::BytesRejection;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::http::app::Shared;
use crate::http::auth::Caller;
use crate::http::problem::{PathNames, Problem};

/// A body that may be missing or too long.
pub type Body = Result<Bytes, BytesRejection>;

/// A reason has no more bytes than this.
pub const LONGEST_REASON: usize = 2000;
/// A name of a role, rule, subject, group, stage or action, and a time.
pub const LONGEST_NAME: usize = 400;
/// A location or a digest.
pub const LONGEST_LOCATION: usize = 4096;

/// A text that must say something.
pub fn said(what: &str, text: &str) -> Result<String, Problem> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Problem::bad_request(format!("say why, as {what}: it goes into the audit log")));
    }
    bounded(what, text, LONGEST_REASON)?;
    Ok(text.to_owned())
}

/// Texts that may be missing: they go into the audit log, onto terminals and to other systems.
pub fn all_bounded(texts: &[(&str, Option<&str>, usize)]) -> Result<(), Problem> {
    texts
        .iter()
        .filter_map(|(what, text, most)| Some((what, (*text)?, most)))
        .try_for_each(|(what, text, most)| bounded(what, text, *most))
}

fn bounded(what: &str, text: &str, most: usize) -> Result<(), Problem> {
    match driftgate_core::text::bounded(text, most) {
        Ok(_) => Ok(()),
        Err(why) => Err(Problem::bad_request(format!("{what}: {why}"))),
    }
}

/// Who asks for a change, and of what. That they may has been seen to by the rule of the route.
pub struct By {
    pub actor: String,
    /// As whom they may approve; empty: as anybody.
    pub roles: Vec<String>,
    pub model: String,
    pub version: String,
}

impl FromRequestParts<Shared> for By {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Caller>().cloned();
        let caller = caller.ok_or_else(|| Problem::internal("a route that changes something has no rule"))?;
        let PathNames(names) = PathNames::<HashMap<String, String>>::from_request_parts(parts, app).await?;
        let part = |key: &str| names.get(key).cloned().unwrap_or_default();
        let model = part("model");
        Ok(Self { roles: caller.approves_as(&model), actor: caller.actor, version: part("version"), model })
    }
}

/// Reads a JSON object; `what` says what it should hold.
pub fn body<T: DeserializeOwned>(body: Body, what: &str) -> Result<T, Problem> {
    let body = body.map_err(|e| Problem::new(e.status(), e.body_text()))?;
    let text: &[u8] = if body.trim_ascii().is_empty() { b"{}" } else { &body };
    serde_json::from_slice(text).map_err(|e| {
        Problem::bad_request(format!("the body is not what this takes: {e}; it is a JSON object with {what}"))
    })
}
