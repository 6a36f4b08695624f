//! Several processes of one consumer group, which divide models between each other.
//!
//! | module | holds |
//! |---|---|
//! | `assigned` | what the coordinator lists as a member's assignment |
//! | `error` | why a step of the cluster failed |
//! | `ledger_log` | the registry's log in a topic: written, read and followed |
//! | `member` | this process's membership of the group |
//! | `producer` | transactions |
//! | `results` | what the units say to the registry, in a topic |
//! | `state_log` | the state in a topic, and how another process goes on with it |
//! | `topics` | the internal topics: names, settings, creation |

mod assigned;
pub mod error;
pub mod ledger_log;
pub mod member;
pub mod producer;
pub mod results;
pub mod state_log;
pub mod topics;
