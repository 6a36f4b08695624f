//! In tests each registry in memory has a copy that follows its changes: every write of every test is made in both, and they have to be
//! equal, in all tables.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;

use super::embedded::Embedded;
use super::error::RegistryError;
use super::position::position;
use super::role::{ChangeLog, Role};
use super::rows;
use crate::transaction::Outcome;

/// The first writes of a test are all looked at, then some.
const ALL_OF: u64 = 40;
const SOME: u64 = 97;

struct Shadow(Embedded);

impl fmt::Debug for Shadow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shadow")
    }
}

impl ChangeLog for Shadow {
    fn append(&self, seq: u64, change: &[u8]) -> Outcome {
        match self.0.apply_change(seq, change) {
            Ok(true) => Outcome::Done,
            other => panic!("change {seq} does not go with the copy: {other:?}"),
        }
    }
}

/// Has a new registry followed by a copy.
pub(super) fn follow(registry: &Embedded) -> Result<(), RegistryError> {
    let copy = Embedded::made_in_memory()?;
    let mut whole = Vec::new();
    let begun = registry.begin_log(1, &mut |_, bytes, _| {
        whole.extend_from_slice(bytes);
        Ok(())
    });
    begun.unwrap();
    assert_eq!(copy.import(&mut whole.as_slice()).unwrap(), 1);
    let shadow = Arc::new(Shadow(copy));
    let (looking, writes) = (Arc::clone(&shadow), AtomicU64::new(0));
    let look = move |connection: &Connection| {
        let writes = writes.fetch_add(1, Ordering::Relaxed);
        if writes >= ALL_OF && !writes.is_multiple_of(SOME) {
            return;
        }
        let copy = looking.0.connection.lock().unwrap();
        assert_eq!(rows::all(connection).unwrap(), rows::all(&copy).unwrap(), "the copy is another");
        assert_eq!(position(connection).unwrap(), position(&copy).unwrap());
    };
    registry.written.looked_at_by(Some(Box::new(look)));
    registry.set_role(Role::Owner(shadow))
}

/// A test changes the tables by itself: no copy follows from here on.
pub(super) fn leave(registry: &Embedded) {
    registry.set_role(Role::Alone).unwrap();
    registry.connection.lock().unwrap().execute("DELETE FROM replica", []).unwrap();
    registry.written.looked_at_by(None);
}
