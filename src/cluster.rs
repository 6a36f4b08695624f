//! Several processes of one consumer group, which divide models between each other.
//!
//! | module | holds |
//! |---|---|
//! | `assigned` | what the coordinator lists as a member's assignment |
//! | `decisions` | what is decided for all shards of a unit, in a topic |
//! | `error` | why a step of the cluster failed |
//! | `ledger_log` | the registry's log in a topic: written, read and followed |
//! | `member` | this process's membership of the group |
//! | `producer` | transactions |
//! | `results` | what the units say to the registry, in a topic |
//! | `sets` | documents in a topic of several writers |
//! | `state_log` | the state in a topic, and how another process goes on with it |
//! | `topics` | the internal topics: names, settings, creation |

mod assigned;
pub mod decisions;
pub mod error;
pub mod ledger_log;
pub mod member;
pub mod producer;
pub mod results;
pub mod sets;
pub mod state_log;
pub mod topics;
