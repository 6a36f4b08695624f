//! Several processes that divide models between each other: who owns what and what it has to do next, as a pure state machine. `units` is what is
//! divided, `claim` is what an owner commits beside the state, `ownership` decides, `simulation` runs it against a model of the brokers.

pub mod claim;
pub mod ownership;
#[cfg(test)]
mod simulation;
pub mod units;
