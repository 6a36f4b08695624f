//! Several processes, of which one counts: who owns what and what it has to do next, as a pure state machine. `claim` is what the owner
//! commits beside the state, `ownership` decides, `simulation` runs it against a model of the brokers.

pub mod claim;
pub mod ownership;
#[cfg(test)]
mod simulation;
