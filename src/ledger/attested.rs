//! Attestations of artifacts that lie in OCI registries: which artifact a fact is attested of.

use rusqlite::{Connection, OptionalExtension as _};

use driftgate_core::fact::attestation::{SCHEME, attested};
use driftgate_core::fact::{Fact, Message};

/// What is queued of a fact for the registry that its version's artifact lies in; nothing of other artifacts.
pub(super) fn message(tx: &Connection, fact: &Fact<'_>, now_ms: i64) -> rusqlite::Result<Option<Message>> {
    let Some(attested) = attested(fact, now_ms) else { return Ok(None) };
    let place: Option<(Option<String>, Option<String>)> = tx
        .prepare_cached("SELECT artifact, artifact_sha256 FROM versions WHERE model = ?1 AND version = ?2")?
        .query_row([attested.model, attested.version.as_ref()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((Some(location), registered)) = place else { return Ok(None) };
    if !location.starts_with(SCHEME) {
        return Ok(None);
    }
    let pinned = location.split_once("@sha256:").map(|(_, hex)| hex);
    let sha256 = registered.as_deref().or(pinned);
    Ok(Some(attested.message(&location, sha256)))
}
