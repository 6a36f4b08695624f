//! Keys of the state topic: `<unit>/manifest/<slot>/<part>` and `<unit>/chunk/<SHA-256>/<part>`. A unit has two slots for manifests, so that the one
//! before the last is there, too.

use super::parts::is_digest;

/// The keys of a unit.
#[derive(Clone, Debug)]
pub struct Keys {
    unit: String,
}

/// A key of the unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key<'k> {
    Manifest { slot: usize, part: u32 },
    Chunk { digest: &'k str, part: u32 },
}

impl Keys {
    #[must_use]
    pub fn new(unit: &str) -> Self {
        Self { unit: unit.to_owned() }
    }

    #[must_use]
    pub fn unit(&self) -> &str {
        &self.unit
    }

    #[must_use]
    pub fn manifest(&self, slot: usize, part: u32) -> Vec<u8> {
        format!("{}/manifest/{slot}/{part}", self.unit).into_bytes()
    }

    #[must_use]
    pub fn chunk(&self, digest: &str, part: u32) -> Vec<u8> {
        format!("{}/chunk/{digest}/{part}", self.unit).into_bytes()
    }

    /// The key that these bytes are; `None` of another unit's.
    #[must_use]
    pub fn read<'k>(&self, key: &'k [u8]) -> Option<Key<'k>> {
        let key = std::str::from_utf8(key).ok()?.strip_prefix(&self.unit)?.strip_prefix('/')?;
        let (kind, rest) = key.split_once('/')?;
        let (name, part) = rest.split_once('/')?;
        let part = part.parse().ok()?;
        match kind {
            "manifest" => name.parse().ok().filter(|slot| *slot < 2).map(|slot| Key::Manifest { slot, part }),
            "chunk" => Some(Key::Chunk { digest: name, part }).filter(|_| is_digest(name)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_were_written_and_others_are_none() {
        let keys = Keys::new("all");
        let digest = "0".repeat(64);
        assert_eq!(keys.read(&keys.manifest(1, 12)), Some(Key::Manifest { slot: 1, part: 12 }));
        assert_eq!(keys.read(&keys.chunk(&digest, 3)), Some(Key::Chunk { digest: &digest, part: 3 }));
        let path = format!("all/chunk/{}/0", "../".repeat(22));
        for other in [
            "",
            "all",
            "all/manifest/2/0",
            "all/manifest/0/x",
            "all2/manifest/0/0",
            "all/chunk/ab/0",
            &path,
            "all/x/0/0",
        ] {
            assert_eq!(keys.read(other.as_bytes()), None, "{other}");
        }
    }
}
