//! Counting the parts of files beside each other: on any number of machines, each part by a process of its own, with the verdicts
//! of a replay over the whole files. Nothing here reads a file: the commands do (`count`, `carry`, `merge`, `judge`), and engines
//! such as Spark or Ray say who reads which.
//!
//! A replay's answer depends on the order of rows in a few places. Each is a pass, or refused:
//!
//! | what depends on the order | where it is decided |
//! |---|---|
//! | which events are late: by the largest time before them | `scan` and `carry`: the front of a stream at each part's start |
//! | the codes of versions and stages | `scan` and `carry`: in the order of their first events |
//! | predictions that repeat an id, and which label joins which | `share` and `pair`: all of a bucket of ids in one process |
//! | baselines of versions | loaded for the first row, as a replay does |
//! | closing lines, complete windows, streaks, signals | `judge`: at the end, from all panes |
//! | sweeps of the join | only late events could tell: refused where they do (`pair`) |
//! | labels before predictions of several versions | refused where a window could have been closed (`pair`) |
//! | bounds on names | refused where more are told apart than the bounds allow |
//! | `traffic: model` behind `retire_after` | refused |
//! | events of the features stream | refused |
//!
//! | module | holds |
//! |---|---|
//! | `error` | why there is no answer |
//! | `plan` | what all processes have in common |
//! | `order` | what a replay decides by the order of rows |
//! | `scan` | the times and names of a part |
//! | `fronts` | how far a stream had come at the start of each part |
//! | `partial` | what was counted of some parts: adds in any order |
//! | `paired` | what a joined bucket of ids came to |
//! | `carry` | what each part starts from |
//! | `counting` | a part's rows counted |
//! | `shared`, `pair` | what joining needs of a part's rows, by bucket of ids; the joining of one bucket |
//! | `judging` | verdicts from all that was counted |

mod carry;
mod counting;
mod error;
mod fronts;
mod judging;
mod order;
mod pair;
mod paired;
mod partial;
mod plan;
mod scan;
mod shared;

pub use carry::{Carry, Planned, Streams};
pub use counting::Counting;
pub use error::BatchError;
pub use judging::{judge, reason_for_none};
pub use order::check_kind;
pub use pair::Pairing;
pub use paired::{Paired, read_partial};
pub use partial::Partial;
pub use plan::{Origin, Part, Plan, Split};
pub use scan::{Scan, Scanning};
pub use shared::{Rows, Shared, SharedHeader, Sharing};

#[cfg(test)]
mod tests;
