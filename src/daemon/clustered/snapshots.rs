//! The ledger's owner bounds the topics that only grow: where the ledger grew by much since its last snapshot, it publishes another one and deletes
//! what that stands for; results that every process's copy has are deleted.

use std::thread;
use std::time::{Duration, Instant};

use super::parts::Parts;
use crate::cluster::ledger_log::{Kept, LedgerLog, PublishError, trim};
use crate::daemon::control::Control;
use crate::telemetry::events::cluster::{LedgerKept, LedgerShortened};

const EVERY: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(50);
const WITHIN: Duration = Duration::from_secs(10);
/// So many results are deleted at once.
const RESULTS: i64 = 10_000;

/// Looks until `control` stops it; what may not be gone on after is told to `lose`.
pub fn keep(parts: &Parts, log: &LedgerLog, control: &Control, lose: &dyn Fn(String)) {
    let mut looked = Instant::now();
    let mut cut = 0;
    while !control.is_stopping() {
        thread::sleep(LOOK);
        if looked.elapsed() < EVERY {
            continue;
        }
        looked = Instant::now();
        keep_short(parts, log, lose);
        let next = parts.registry.results_applied().ok().flatten().map_or(0, |applied| applied.next);
        if next >= cut + RESULTS {
            match trim(&parts.properties, (&parts.names.results, 0), next, WITHIN) {
                Ok(()) => cut = next,
                Err(e) => LedgerKept { topic: &parts.names.results, error: &e }.emit(),
            }
        }
    }
}

fn keep_short(parts: &Parts, log: &LedgerLog, lose: &dyn Fn(String)) {
    // What was published is cut behind once the tail has read the whole of it.
    let seen = parts.tail.at().seen;
    let cut = |first| trim(&parts.properties, (&parts.names.ledger, 0), first, WITHIN);
    match log.keep_short(&parts.registry, &seen, cut) {
        Ok(Kept::AsItWas | Kept::Published(_)) => {}
        Ok(Kept::Cut(first)) => {
            LedgerShortened { seq: seen.snapshot.map_or(0, |(seq, _)| seq), first }.emit();
        }
        Err(e @ PublishError::Unknown(_)) => lose(e.to_string()),
        Err(e) => LedgerKept { topic: &parts.names.ledger, error: &e.to_string() }.emit(),
    }
}
