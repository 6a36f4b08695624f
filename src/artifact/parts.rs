//! All pieces of an artifact, listed by name, with their digest.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::part::{At, MOST_BYTES, Part, Progress, shown};
use super::{files, objects, own};
use crate::snapshot::places::Places;
use crate::stores::Stores;
use driftgate_core::codec::hash;

/// Where pieces are read from.
pub(super) enum Source {
    Files,
    Objects(objects::Store),
}

/// All pieces of an artifact, by name.
pub(super) struct Parts {
    pub parts: Vec<Part>,
    /// It is one file, not a folder.
    pub single: bool,
    pub source: Source,
}

impl Parts {
    /// The pieces of what lies at a location.
    pub fn list(location: &str, places: &Places, own: &[PathBuf], stores: &Stores) -> Result<Self, String> {
        let cannot = |why: String| format!("{} cannot be read: {why}", shown(location));
        let mut found = if location.contains("://") {
            let store = objects::Store::open(location, stores).map_err(cannot)?;
            let (parts, single) = store.list().map_err(cannot)?;
            Self { parts, single, source: Source::Objects(store) }
        } else {
            let (path, own) = (Path::new(location), own::Resolved::of(own));
            let (parts, single) = files::list(path, &|real| places.holds_real(real), &own).map_err(cannot)?;
            Self { parts, single, source: Source::Files }
        };
        found.parts.sort();
        if found.parts.is_empty() {
            return Err(format!("{} holds no files", shown(location)));
        }
        if found.bytes() > MOST_BYTES {
            return Err(cannot(format!("it has {} bytes, more than {MOST_BYTES}", found.bytes())));
        }
        Ok(found)
    }

    pub fn bytes(&self) -> u64 {
        self.parts.iter().fold(0, |sum, part| sum.saturating_add(part.length))
    }

    /// One text for names, lengths and states of all pieces.
    pub fn stamp(&self) -> String {
        let mut all = Sha256::new();
        for part in &self.parts {
            for text in [part.name.as_str(), &part.length.to_string(), &part.stamp] {
                all.update(text.as_bytes());
                all.update([0]);
            }
        }
        hash::hex(&all.finalize())
    }

    pub fn digest(&self, progress: &Progress) -> Result<String, String> {
        if let ([part], true) = (self.parts.as_slice(), self.single) {
            return self.sha256(part, progress);
        }
        let mut lines = String::new();
        for part in &self.parts {
            // Writing to a String does not fail.
            let _ = writeln!(lines, "{}  {}", self.sha256(part, progress)?, part.name);
        }
        Ok(hash::sha256_hex(lines.as_bytes()))
    }

    pub fn sha256(&self, part: &Part, progress: &Progress) -> Result<String, String> {
        let mut sha256 = Sha256::new();
        self.read(part, progress, &mut |bytes| sha256.update(bytes))?;
        Ok(hash::hex(&sha256.finalize()))
    }

    /// Gives all bytes of a piece in order; one that is not what it was when it was listed is an error.
    pub fn read(&self, part: &Part, progress: &Progress, each: &mut dyn FnMut(&[u8])) -> Result<(), String> {
        let mut each = |bytes: &[u8]| {
            if progress.is_given_up() {
                return Err("it was given up".to_owned());
            }
            progress.add(bytes.len());
            each(bytes);
            Ok(())
        };
        match (&part.at, &self.source) {
            (At::File { path, state }, _) => files::read(path, state, &mut each),
            (At::Object { path, tag }, Source::Objects(store)) => {
                store.read(path, tag.as_deref(), part.length, &mut each)
            }
            (At::Object { .. }, Source::Files) => Err("it is no file".to_owned()),
        }
    }
}
