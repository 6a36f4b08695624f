//! `http:` of a source: the path where events are taken over HTTP, on their way to the source's topic.

use super::key::{Key, default, names, optional, required};
use super::reader::ConfigReader;
use crate::sink::ingest::{IngestConfig, UNDER};
use driftgate_core::yaml::{Item, units};

const BODY_BYTES: usize = 1 << 20;
/// A record of this size and its headers fit into what producers send at most.
const MOST_BODY_BYTES: u64 = 8 << 20;

pub const INGEST: [Key; 3] = [
    required("path", "text", "The path: `/events/` and a name of letters, digits, `.`, `_` and `-`."),
    optional(
        "token_file",
        "path",
        "File with the token that callers send (`Authorization: Bearer …`), at least 24 characters. SIGHUP reads it again. Without it everybody may post who reaches \
         the port.",
    ),
    default(
        "body_bytes",
        "size",
        "1MiB",
        "Longest body of a request, up to 8MiB. The topic's `max.message.bytes` has to allow it.",
    ),
];

impl ConfigReader<'_> {
    /// `http` of a source: the path by itself, or a mapping.
    pub(super) fn ingest(&self, item: &Item) -> Option<IngestConfig> {
        if item.scalar().is_some() {
            return Some(IngestConfig { name: name(item)?, token_file: None, body_bytes: BODY_BYTES });
        }
        let map = item.map(const { &names(&INGEST) })?;
        let path = map.require("path", "/events/predictions").and_then(|item| name(&item));
        let token_file = map.get("token_file").map(|item| self.path(&item));
        let body_bytes = map.get("body_bytes").map_or(Some(BODY_BYTES), |item| body_bytes(&item));
        Some(IngestConfig {
            name: path?,
            token_file: match token_file {
                Some(path) => Some(path?),
                None => None,
            },
            body_bytes: body_bytes?,
        })
    }
}

fn body_bytes(item: &Item) -> Option<usize> {
    match item.convert("a size", units::size)? {
        bytes if (1..=MOST_BODY_BYTES).contains(&bytes) => usize::try_from(bytes).ok(),
        bytes => item.fail(format!("expected a size up to 8MiB, read {bytes} bytes: write a size in between")),
    }
}

/// The name in a path.
fn name(item: &Item) -> Option<String> {
    let text = item.text("a path")?;
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    match text.strip_prefix(UNDER) {
        Some(name)
            if !name.is_empty() && name.len() <= 100 && name.bytes().all(legal) && !matches!(name, "." | "..") =>
        {
            Some(name.to_owned())
        }
        _ => item.fail(format!(
            "expected a path, read {}: write \"/events/NAME\", the name of at most 100 of A-Z, a-z, 0-9, `.`, `_` and `-`",
            units::quote(text)
        )),
    }
}
