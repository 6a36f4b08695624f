//! The records of the registry's log: changes, and snapshots of the whole registry between them. The key says what a record is, as
//! JSON; the payload is bytes. What is longer than a record may be comes in parts.

use serde::{Deserialize, Serialize};

/// So many bytes of a change or a snapshot are one record: brokers take 1 MB unless told otherwise.
pub const PART: usize = 800_000;

/// What a record is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Key {
    /// A part of a change; its parts are in one transaction.
    Change { registry: String, seq: u64, part: u32, parts: u32 },
    /// A part of the registry as it is with the change `seq`. A snapshot without its end is none. Its first part is there before the registry is
    /// read, with the last change of that moment, so that no change that the snapshot lacks stands before it.
    Snapshot { registry: String, seq: u64, id: String, part: u32 },
    /// The end of a snapshot: so many parts came, with this digest (BLAKE3) together.
    SnapshotEnd { registry: String, seq: u64, id: String, parts: u32, digest: String },
}

impl Key {
    /// The key's bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The key of a record.
    ///
    /// # Errors
    /// A record that this release did not write, and why.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes)
            .map_err(|e| format!("a record of the ledger's topic has a key of something else: {e}"))
    }

    /// The id of the registry.
    #[must_use]
    pub fn registry(&self) -> &str {
        let (Self::Change { registry, .. } | Self::Snapshot { registry, .. } | Self::SnapshotEnd { registry, .. }) =
            self;
        registry
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_written_and_others_are_refused() {
        let registry = || "ab".to_owned();
        for key in [
            Key::Change { registry: registry(), seq: 7, part: 0, parts: 1 },
            Key::Snapshot { registry: registry(), seq: 7, id: "x".into(), part: 3 },
            Key::SnapshotEnd { registry: registry(), seq: 7, id: "x".into(), parts: 4, digest: "d".into() },
        ] {
            assert_eq!((Key::read(&key.bytes()).as_ref(), key.registry()), (Ok(&key), "ab"));
        }
        let change = Key::Change { registry: registry(), seq: 7, part: 0, parts: 1 };
        assert_eq!(
            String::from_utf8(change.bytes()).unwrap(),
            r#"{"kind":"change","registry":"ab","seq":7,"part":0,"parts":1}"#
        );
        assert!(Key::read(b"m/1").unwrap_err().contains("a key of something else"));
    }
}
