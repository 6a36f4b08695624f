//! Several processes of one consumer group: one counts, the others stand by.
//!
//! | module | holds |
//! |---|---|
//! | `error` | why a step of the cluster failed |
//! | `producer` | transactions |

pub mod error;
pub mod producer;
