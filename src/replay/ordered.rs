//! Verdicts in the order they are written: by end, model, version and group, whichever was judged first.

use std::collections::BTreeMap;

use driftgate_core::evaluate::Judgement;
use driftgate_core::judge::verdict::{Signal, Verdict};

/// Verdicts waiting for those that come before them.
#[derive(Default)]
pub struct Ordered(BTreeMap<(i64, String, String), (Verdict, Vec<Signal>)>);

impl Ordered {
    /// Takes in what was judged.
    pub fn take(&mut self, judged: Judgement) {
        for verdict in judged.verdicts {
            let key = (verdict.window.end, verdict.version.clone(), verdict.group.clone());
            let signals = judged.signals.iter().filter(|s| s.verdict_id == verdict.verdict_id).cloned().collect();
            self.0.insert(key, (verdict, signals));
        }
    }

    /// Takes out the first one, if nothing can come before it any more.
    pub fn next(&mut self, closed_to: i64) -> Option<(Verdict, Vec<Signal>)> {
        Some(self.0.first_entry().filter(|e| e.key().0 <= closed_to)?.remove())
    }
}
