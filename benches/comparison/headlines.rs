//! The README's six numbers: one row per claim that says the most to a new user.

use std::fmt::Write as _;

use crate::machine::Machine;
use crate::results::{Claim, Part};

/// A claim, as its part names it, and its row in the README.
const HEADLINES: [(&str, &str); 6] = [
    ("stream: of the bare consumer's rate", "a stream from Kafka, of the rate of a bare librdkafka consumer"),
    (
        "stream: predictions per second over `stream_python.py`",
        "a stream from Kafka, over a Python consumer with numpy",
    ),
    ("Parquet: speed over `batch_evidently.py psi`", "a Parquet file, over Evidently's PSI"),
    ("Parquet: memory of `batch_evidently.py psi`'s", "a Parquet file, of the memory of Evidently's PSI"),
    ("JSON lines: events per second on two threads", "JSON lines on two threads, events per second"),
    ("ten million pending predictions", "memory of ten million predictions that wait for labels"),
];

/// The table. Panics where a claim has another name by now, or was not measured for want of a broker.
pub fn table(parts: &[Part], machine: &Machine) -> String {
    let mut out = format!("| measured by `make bench` on {}, {} | |\n|---|---|\n", machine.hardware(), machine.date);
    for (claim, row) in HEADLINES {
        let measured = |c: &&Claim| c.what == claim;
        let claim = parts.iter().flat_map(|p| &p.claims).find(measured).unwrap_or_else(|| panic!("no claim {claim:?}"));
        let _ = writeln!(out, "| {row} | {} |", claim.measured);
    }
    out
}
