//! What the status view says of a version, as the gate asks for it.

use crate::ledger::StreamState;
use crate::view::{Kept, Shared, VersionView, View};
use driftgate_core::codec::time::utc;
use driftgate_core::gate::GroupVerdict;
use driftgate_core::judge::verdict::Status;
use driftgate_core::promotion::types::ActiveBlock;

/// What is known of a version from its events.
#[must_use]
pub fn current(view: &Shared, model: &str, version: &str) -> StreamState {
    let view = view.read();
    of(&view, model, version)
}

/// The same in a view that is at hand.
#[must_use]
pub fn of(view: &View, model: &str, version: &str) -> StreamState {
    let Some(model) = view.models.get(model) else { return StreamState::default() };
    let Some(seen) = model.versions.get(version) else {
        return StreamState { others: model.versions.keys().cloned().collect(), ..StreamState::default() };
    };
    let latest = seen.latest().map(|verdict| GroupVerdict::from_verdict(verdict)).collect();
    StreamState { latest, blocks: blocks(seen), seen: true, others: Vec::new() }
}

/// The blocks that the pipeline raised.
#[must_use]
pub fn blocks(seen: &VersionView) -> Vec<ActiveBlock> {
    let block = |(group, reasons): (&String, &Vec<String>)| {
        let latest = seen.verdicts.get(group).and_then(Kept::latest);
        let since = latest.map(|l| {
            let blocking = l.results.iter().filter(|r| r.status == Status::Block);
            blocking.filter_map(|r| r.since).min().unwrap_or(l.window.end)
        });
        ActiveBlock {
            group: group.clone(),
            since: since.map_or_else(|| "an unknown time".to_owned(), utc),
            reasons: reasons.clone(),
            signal_id: String::new(),
            verdict_id: latest.map(|l| l.verdict_id.clone()).unwrap_or_default(),
        }
    };
    seen.blocks.iter().map(block).collect()
}
