//! JSON events: `walk` passes over an event by the compiled plan, `fields` has the slots of one event and reads its envelope,
//! `numbers` a run of numeric features.

mod classes;
mod fields;
mod numbers;
#[cfg(test)]
mod tests;
mod walk;

pub use fields::Values;
pub(super) use fields::{Plain, Stop, Walk};
