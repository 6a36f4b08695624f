//! Several processes of one consumer group: one counts, the others stand by.
//!
//! | module | holds |
//! |---|---|
//! | `assigned` | what the coordinator lists as a member's assignment |
//! | `error` | why a step of the cluster failed |
//! | `ledger_log` | the registry's log in a topic: written, read and followed |
//! | `member` | this process's membership of the group |
//! | `producer` | transactions |
//! | `state_log` | the state in a topic, and how another process goes on with it |
//! | `topics` | the internal topics: names, settings, creation |

mod assigned;
pub mod error;
pub mod ledger_log;
pub mod member;
pub mod producer;
pub mod state_log;
pub mod topics;
