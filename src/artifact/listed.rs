//! Whether the files of an artifact are those that a signed statement lists: each of them with its digest, and no other beside
//! them.

use std::collections::BTreeMap;

use blake2::Blake2b512;
use sha2::{Digest as _, Sha256};

use super::part::{Part, Progress};
use super::parts::Parts;
use driftgate_core::promotion::model_signing::{Hash, Listed, Manifest};

/// Names that a message tells.
const MOST_NAMES: usize = 5;

/// Why they are not.
pub enum Differs {
    Unreadable(String),
    Otherwise(String),
}

/// Compares the pieces of an artifact with what is listed; what is said of it is for people.
pub(super) fn compare(listed: &Manifest, parts: &Parts, progress: &Progress) -> Result<String, Differs> {
    let differs = |why: String| Err(Differs::Otherwise(why));
    if let Some(link) = parts.parts.iter().find(|part| part.link && !listed.allow_symlinks) {
        return differs(format!("{:?} is a link, and the signature allows none", link.name));
    }
    let named: BTreeMap<&str, &Part> = parts.parts.iter().map(|part| (name(part), part)).collect();
    if named.len() != parts.parts.len() {
        return differs("the names of its files are not all UTF-8".to_owned());
    }
    let missing = listed.files.keys().map(String::as_str).filter(|name| !named.contains_key(name));
    let extra = || named.iter().filter(|(name, _)| !listed.files.contains_key(**name) && !is_ignored(listed, name));
    // The tool lists nothing of an empty file where it lists shards, so that anybody could put one there.
    let empty = listed.shard.is_some() && extra().any(|(_, part)| part.length == 0);
    let why = if empty { "; a signature by shards lists no empty file: sign by files" } else { "" };
    let (missing, extra) = (told(missing), told(extra().map(|(name, _)| *name)));
    match (missing, extra) {
        (Some(missing), Some(extra)) => {
            return differs(format!(
                "the signature lists {missing}, which is missing, and {extra} is there unsigned{why}"
            ));
        }
        (Some(missing), None) => return differs(format!("the signature lists {missing}, which is missing")),
        (None, Some(extra)) => {
            return differs(format!("{extra} lies beside what the signature lists, and nothing signs it{why}"));
        }
        (None, None) => {}
    }
    for (name, wanted) in &listed.files {
        let Some(part) = named.get(name.as_str()) else { continue };
        if !tiles(wanted, listed.shard, part.length) {
            return differs(format!("{name:?} has {} bytes, other than the signature lists", part.length));
        }
        let found = digests(parts, part, wanted, progress).map_err(Differs::Unreadable)?;
        if found.iter().zip(wanted).any(|(found, wanted)| *found != wanted.digest) || found.len() != wanted.len() {
            return differs(format!("{name:?} is another file than the one that was signed"));
        }
    }
    Ok(format!("{} files are as they were signed, and no other lies beside them", listed.files.len()))
}

/// A single file is listed as `.`.
fn name(part: &Part) -> &str {
    if part.name.is_empty() { "." } else { &part.name }
}

fn is_ignored(listed: &Manifest, name: &str) -> bool {
    listed
        .ignored
        .iter()
        .any(|path| name.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

fn told<'n>(names: impl Iterator<Item = &'n str>) -> Option<String> {
    let all: Vec<&str> = names.collect();
    let mut shown: Vec<String> = all.iter().take(MOST_NAMES).map(|name| format!("{name:?}")).collect();
    if all.len() > MOST_NAMES {
        shown.push(format!("{} more", all.len() - MOST_NAMES));
    }
    (!all.is_empty()).then(|| shown.join(", "))
}

/// Whether the listed ranges are the shards of a file of this length.
fn tiles(wanted: &[Listed], shard: Option<u64>, length: u64) -> bool {
    let Some(shard) = shard else { return wanted.len() == 1 };
    let mut at = 0_u64;
    for part in wanted {
        let end = at.saturating_add(shard).min(length);
        if part.range != Some((at, end)) || end == at {
            return false;
        }
        at = end;
    }
    at == length
}

/// The digests of a file, or of each of its shards, in one go.
fn digests(parts: &Parts, part: &Part, wanted: &[Listed], progress: &Progress) -> Result<Vec<Vec<u8>>, String> {
    let mut found = Vec::new();
    let mut left = wanted.iter();
    let mut under_way = left.next().map(|wanted| (Hasher::new(wanted.hash), length(wanted)));
    parts.read(part, progress, &mut |mut bytes| {
        while let Some((hasher, rest)) = &mut under_way {
            let (now, later) = bytes.split_at(bytes.len().min(usize::try_from(*rest).unwrap_or(usize::MAX)));
            hasher.update(now);
            *rest -= now.len() as u64;
            bytes = later;
            if *rest > 0 {
                break;
            }
            let next = left.next().map(|wanted| (Hasher::new(wanted.hash), length(wanted)));
            let done = std::mem::replace(&mut under_way, next);
            found.extend(done.map(|(hasher, _)| hasher.finish()));
        }
    })?;
    found.extend(under_way.map(|(hasher, _)| hasher.finish()));
    Ok(found)
}

/// How many bytes a digest is of: of a file as a whole, all that come.
fn length(wanted: &Listed) -> u64 {
    wanted.range.map_or(u64::MAX, |(start, end)| end.saturating_sub(start))
}

enum Hasher {
    Sha256(Sha256),
    Blake2b(Box<Blake2b512>),
    Blake3(Box<blake3::Hasher>),
}

impl Hasher {
    fn new(hash: Hash) -> Self {
        match hash {
            Hash::Sha256 => Self::Sha256(Sha256::new()),
            Hash::Blake2b => Self::Blake2b(Box::new(Blake2b512::new())),
            Hash::Blake3 => Self::Blake3(Box::default()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(bytes),
            Self::Blake2b(hash) => hash.update(bytes),
            Self::Blake3(hash) => {
                hash.update(bytes);
            }
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Self::Sha256(hash) => hash.finalize().to_vec(),
            Self::Blake2b(hash) => hash.finalize().to_vec(),
            Self::Blake3(hash) => hash.finalize().as_bytes().to_vec(),
        }
    }
}
