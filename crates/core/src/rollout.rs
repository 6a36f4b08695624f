//! The canary controller: the progress of a rollout and its next actions, as a pure state machine. Verdicts, commands and
//! answers go in, effects come out; the registry or a traffic controller executes them. Clock and audit log are outside.
//!
//! - `state`: the state of a rollout, its inputs and its effects. Event time only.
//! - `machine`: phases, steps and commands. `windows`: the effect of a verdict. `compare`: candidate against champion on a KPI, `looks`:
//!   what that came to over time.
//!   `plan`: the rollout in a line. `route`: the traffic routers that follow. `share`: what of the
//!   traffic the candidate really gets. `traffic`: what is known of both.
//!
//! Definitions. A *counting* group is one of the rollout's checks with `enforce: block`. A *measurement* is a complete window
//! of the candidate in a counting group that starts in the current step and overlaps no pause.
//!
//! A step is done when in every counting group the last window's end is `for` past the step's start (pauses do not count),
//! a measurement was pass or warn, the last one is, and no breach is under way. Without measurements a step is never done,
//! and a rollout never succeeds. A window that blocks fails the rollout in every step and during a pause, at once or after the
//! `for` of the rollback trigger on its rule; once the stage's pointer has moved it is rolled back. Outside the counting groups
//! only rules with a rollback trigger fail it.
//!
//! Invariants, tested as laws: an input fed twice changes nothing the second time; a state written down and read back goes on
//! with the same effects; weights only rise until it fails; nothing is promoted without an answer from the gate.

mod compare;
mod looks;
mod machine;
mod plan;
pub mod route;
mod share;
pub mod state;
#[cfg(test)]
mod tests;
mod traffic;
mod windows;

pub use compare::standing;
pub use looks::Look;
pub use machine::{start, step};
pub use plan::{describe, plan_of};
pub use share::measured;
pub use state::{Breaching, Comparison, Effect, GroupMeasurements, Identity, Input, Latency, Pause, Phase, State};
pub use traffic::{Route, Share};
