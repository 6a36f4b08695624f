//! Hash tables whose keys come from outside: texts of events and files, ids, times, and codes that were given to them. The hash is
//! foldhash's, whose seeds are drawn from the operating system when the process starts, and differ from table to table: nobody
//! can choose keys beforehand that fall on one another, as was possible with a hash that is the same everywhere (80,000 chosen
//! categories took a minute instead of a tenth of a second).
//!
//! What this does not promise: foldhash is no keyed cryptographic function as `SipHash` is. Somebody who could see its outputs, or
//! time single look-ups exactly, could work out the seeds. Nothing here shows a hash or an order that follows from one, and who
//! writes to a topic sees the time of a look-up only through the broker, thousands of events at once. `SipHash` costs four times
//! as much for a short text, which the decoding of long categories would show; maps beside the path of events (`std`'s `HashMap`)
//! have it.
//!
//! No result may depend on the order of such a table, and nothing that is kept may hold one of these hashes.

use std::hash::BuildHasher;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::SharedSeed;
use foldhash::fast::{FoldHasher, SeedableRandomState};

/// A table with keys from outside.
pub type Map<K, V> = hashbrown::HashMap<K, V, Seeded>;

/// The seeds of one table.
#[derive(Clone, Debug)]
pub struct Seeded(SeedableRandomState);

/// What all tables of this process share, and the first table's own seed.
static SEEDS: LazyLock<(SharedSeed, AtomicU64)> = LazyLock::new(|| match (getrandom::u64(), getrandom::u64()) {
    (Ok(shared), Ok(first)) => (SharedSeed::from_u64(shared), AtomicU64::new(first)),
    // A system that gives no random numbers: from addresses and the time.
    _ => (SharedSeed::global_random().clone(), AtomicU64::new(0)),
});

/// From one table's seed to the next one's: odd, so that they come again after 2^64 tables.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Default for Seeded {
    fn default() -> Self {
        let (shared, own) = &*SEEDS;
        Self(SeedableRandomState::with_seed(own.fetch_add(STEP, Ordering::Relaxed), shared))
    }
}

impl BuildHasher for Seeded {
    type Hasher = FoldHasher<'static>;

    #[inline]
    fn build_hasher(&self) -> Self::Hasher {
        self.0.build_hasher()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_have_seeds_of_their_own_and_copies_have_the_same() {
        let (a, b) = (Seeded::default(), Seeded::default());
        let differ = (0..1000_u64).filter(|key| a.hash_one(key) != b.hash_one(key)).count();
        assert!(differ > 990, "{differ}");
        assert_eq!(a.hash_one("category"), a.clone().hash_one("category"));
    }
}
