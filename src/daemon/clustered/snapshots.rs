//! The owner bounds the ledger: where it grew by much since its last snapshot, it publishes another one and deletes what that stands for.

use std::thread;
use std::time::{Duration, Instant};

use super::parts::Parts;
use crate::cluster::ledger_log::{Kept, LedgerLog, PublishError, trim};
use crate::daemon::control::Control;
use crate::telemetry::events::cluster::{LedgerKept, LedgerShortened};

const EVERY: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(100);
const WITHIN: Duration = Duration::from_secs(10);

/// Looks until the daemon stops.
pub fn keep(parts: &Parts, log: &LedgerLog, control: &Control) {
    let mut looked = Instant::now();
    while !control.is_stopping() {
        thread::sleep(LOOK);
        if looked.elapsed() < EVERY {
            continue;
        }
        looked = Instant::now();
        // What was published is cut behind once the tail has read the whole of it.
        let seen = parts.tail.at().seen;
        let cut = |first| trim(&parts.properties, &parts.names.ledger, first, WITHIN);
        match log.keep_short(&parts.registry, &seen, cut) {
            Ok(Kept::AsItWas | Kept::Published(_)) => {}
            Ok(Kept::Cut(first)) => {
                LedgerShortened { seq: seen.snapshot.map_or(0, |(seq, _)| seq), first }.emit();
            }
            Err(e @ PublishError::Unknown(_)) => parts.commits.lose(&e.to_string()),
            Err(e) => LedgerKept { error: &e.to_string() }.emit(),
        }
    }
}
