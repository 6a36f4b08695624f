//! The owner bounds the ledger: where it grew by much since its last snapshot, it publishes another one and deletes what that stands for.

use std::thread;
use std::time::{Duration, Instant};

use super::parts::Parts;
use crate::cluster::ledger_log::{LedgerLog, SNAPSHOT_EVERY, trim};
use crate::daemon::control::Control;
use crate::telemetry::events::cluster::{LedgerKept, LedgerShortened};

const EVERY: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(100);
const WITHIN: Duration = Duration::from_secs(10);

/// Looks until the daemon stops.
pub fn keep(parts: &Parts, log: &LedgerLog, control: &Control) {
    let mut looked = Instant::now();
    let mut trimmed = None;
    while !control.is_stopping() {
        thread::sleep(LOOK);
        if looked.elapsed() < EVERY {
            continue;
        }
        looked = Instant::now();
        let seen = parts.tail.at().seen;
        if seen.since_snapshot > SNAPSHOT_EVERY
            && let Err(e) = log.publish(&parts.registry)
        {
            LedgerKept { error: &e.to_string() }.emit();
        }
        // The tail has read the whole of it.
        if let Some((seq, first)) = parts.tail.at().seen.snapshot.filter(|of| trimmed.as_ref() != Some(of) && of.1 > 0)
        {
            match trim(&parts.properties, &parts.names.ledger, first, WITHIN) {
                Ok(()) => {
                    LedgerShortened { seq, first }.emit();
                    trimmed = Some((seq, first));
                }
                Err(e) => LedgerKept { error: &e }.emit(),
            }
        }
    }
}
