//! The claim to a slot: the sequence number of its last commit is the committed offset of the slot's partition, and its metadata names who made
//! it. Offset and metadata are committed in the transaction that holds the state, so a claim never names a state that is not durable.

use serde::{Deserialize, Serialize};

/// The last commit of a slot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Claim {
    /// Commits of this slot so far.
    #[serde(skip)]
    pub seq: u64,
    /// The transactional id that made it.
    #[serde(rename = "txn")]
    pub transactional_id: String,
    /// The owner stopped counting with it: nobody has to be kept from writing.
    pub released: bool,
    /// By the writer's wall clock, ms; for people to see.
    #[serde(default)]
    pub at_ms: i64,
    /// The key of the unit that the slot stood for; empty of a release before.
    #[serde(default)]
    pub unit: String,
}

/// Metadata that is none of a claim.
#[derive(Debug, PartialEq, Eq)]
pub struct NoClaim {
    pub metadata: String,
    pub cause: String,
}

impl std::fmt::Display for NoClaim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the committed offset's metadata {:?} is no claim of driftgate: {}", self.metadata, self.cause)
    }
}

impl std::error::Error for NoClaim {}

impl Claim {
    /// The metadata to commit with the offset `seq`.
    #[must_use]
    pub fn metadata(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// A claim as it is committed.
    ///
    /// # Errors
    /// Metadata that this did not write.
    pub fn read(offset: u64, metadata: &str) -> Result<Self, NoClaim> {
        let claim: Self = serde_json::from_str(metadata)
            .map_err(|e| NoClaim { metadata: metadata.to_owned(), cause: e.to_string() })?;
        Ok(Self { seq: offset, ..claim })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_read_as_it_was_committed_and_other_metadata_is_refused() {
        let claim = Claim { seq: 7, transactional_id: "group-a".into(), released: true, at_ms: 5, unit: "u".into() };
        assert_eq!(claim.metadata(), r#"{"txn":"group-a","released":true,"at_ms":5,"unit":"u"}"#);
        let before = Claim::read(7, r#"{"txn":"group-a","released":true,"at_ms":5}"#);
        assert_eq!(before, Ok(Claim { unit: String::new(), ..claim.clone() }));
        assert_eq!(Claim::read(7, &claim.metadata()), Ok(claim));
        let refused = Claim::read(7, "").map_err(|e| e.to_string());
        assert!(refused.is_err_and(|e| e.starts_with("the committed offset's metadata \"\" is no claim of driftgate")));
    }
}
