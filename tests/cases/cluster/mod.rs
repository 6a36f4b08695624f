//! Several processes of one configuration on a real Kafka: under kills, stops, pauses and brokers that go away, what they say
//! together is what a replay says of the same events, and nobody's approval is lost.
//!
//! | file | holds |
//! |---|---|
//! | `stream` | events of several models from a seed, and how they are published |
//! | `fleet` | processes of one configuration: start, kill, pause, stop; who ends by itself is started again |
//! | `claims` | the claim as the brokers keep it, noted all the time |
//! | `oracle` | what the replay says, compared byte for byte; positions; registries compared table by table |
//! | `people` | approvals given to any process, and the gate asked at each |
//! | `schedule` | faults from a seed |
//! | `sharing` | a process that joins gets a share; one that leaves gives its own to others, who go on |
//! | `chaos` | everything together |
//! | `state_log` | the state in its topic: written in transactions, taken over, fenced |
//! | `failover` | how long nobody counts, and what the gate says meanwhile |
//! | `refusals` | internal topics, names, registries and claims that are not as they should be |
//! | `single` | the same with one process without `cluster:`; what is planted, and must be found |

mod chaos;
mod claims;
mod failover;
mod fleet;
mod oracle;
mod people;
mod refusals;
mod schedule;
mod sharing;
mod single;
mod state_log;
mod stream;

pub use chaos::{Chaos, run, seed};
pub use fleet::{Mode, free_port};
