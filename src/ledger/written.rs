//! How many transactions a process has written, and who looks at the file after each.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;

/// Looks at the file after a transaction.
pub(super) type Look = Box<dyn Fn(&Connection) + Send>;

/// The transactions of this process.
#[derive(Default)]
pub(super) struct Written {
    count: AtomicU64,
    look: Mutex<Option<Look>>,
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Written({})", self.count())
    }
}

impl Written {
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// A transaction was written.
    pub fn one_more(&self, connection: &Connection) {
        self.count.fetch_add(1, Ordering::Relaxed);
        if let Some(look) = &*self.look.lock().unwrap_or_else(PoisonError::into_inner) {
            look(connection);
        }
    }

    /// Who looks from now on.
    #[cfg(test)]
    pub fn looked_at_by(&self, look: Option<Look>) {
        *self.look.lock().unwrap_or_else(PoisonError::into_inner) = look;
    }
}
