//! Beside the engine: the coordinator may take the unit away while it counts.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::parts::Parts;
use crate::cluster::member::Change;
use crate::telemetry::events::cluster::GivesBack;

/// Between two looks whether the engine has ended.
const LOOK: Duration = Duration::from_millis(50);

/// Stops the daemon where the coordinator takes the unit away while it counts; runs beside the engine until it has ended.
pub fn watch(parts: &Parts, changed: &Receiver<Change>, has_ended: &dyn Fn() -> bool) {
    while !has_ended() {
        // A change of the registry whose outcome is unknown: nothing more may be written here.
        if let Some(why) = parts.registry.stopped() {
            parts.commits.lose(&format!("the registry may not be written here any more: {why}"));
        }
        match changed.recv_timeout(LOOK) {
            Ok(Change::Lost) => {
                parts.commits.lose(
                    "the coordinator expelled this process from the group (its session was over) and gave the unit to another one; \
                     what was not committed is counted there",
                );
            }
            Ok(Change::Revoked) => {
                GivesBack { instance: &parts.cluster.instance }.emit();
                parts.commits.give_back();
            }
            Ok(Change::Assigned) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
