//! The core of driftgate: counting, statistics and decisions over streams of predictions, features and labels.
//!
//! It has no files, network, clock or async: its output depends on configuration, baselines and ordered input alone. Each module imports
//! only from those above it.
//!
//! | module | holds |
//! |---|---|
//! | [`codec`] | the envelope of binary files, bytes kept once, digests, exact decimals, times and numbers as text |
//! | [`stats`], [`text`] | functions over integer counts; texts from outside as they are shown |
//! | [`seeded`] | hash tables with seeds |
//! | [`yaml`], [`rule`], [`policy`] | YAML with positions; what each rule is: options, judge, documentation; the policy of a model |
//! | [`event`], [`schema`] | batches in columns; slots of events |
//! | [`decode`] | bytes to events |
//! | [`baseline`] | a version's reference |
//! | [`state_v4`] | the state that the release before kept, frozen |
//! | [`window`], [`join`] | panes of counts and watermarks; predictions waiting for labels |
//! | [`kserve`] | requests and responses of an inference service, joined to predictions |
//! | [`intake`] | batches in, sealed panes and watermarks out |
//! | [`judge`], [`evaluate`] | windows judged by rules, streaks, verdicts; panes in, verdicts and signals out |
//! | [`pipeline`] | intake and evaluator of one model, coupled: what daemon and replay both run |
//! | [`batch`] | parts of files counted beside each other, with the verdicts of a replay |
//! | [`shard`] | one model's partitions counted by several processes, and judged by one |
//! | [`promotion`], [`gate`], [`rollout`] | evidence, approvals and digests of a version; may it be promoted?; a promotion in steps |
//! | [`audit`] | who changed what, as a chain that shows what was changed in it |
//! | [`cluster`] | which process owns what, and what it does next |
//! | [`fact`] | what happened to a model, and what topics, webhooks and external registries get of it |
//!
//! [`Policy`], [`Baseline`], [`Pipeline`], [`Verdict`] and [`gate::decide`] are what most uses need. An hour of one feature, judged
//! against its training values (`examples/judge_counts.rs`):
#![doc = concat!("```\n", include_str!("../examples/judge_counts.rs"), "```")]

pub mod audit;
pub mod baseline;
pub mod batch;
pub mod cluster;
pub mod codec;
pub mod decode;
pub mod evaluate;
pub mod event;
pub mod fact;
pub mod gate;
pub mod intake;
pub mod join;
pub mod judge;
pub mod kserve;
pub mod pipeline;
pub mod policy;
pub mod promotion;
pub mod rollout;
pub mod rule;
pub mod schema;
pub mod seeded;
pub mod shard;
pub mod state_v4;
pub mod stats;
pub mod text;
pub mod window;
pub mod yaml;

pub use baseline::Baseline;
pub use judge::verdict::Verdict;
pub use pipeline::Pipeline;
pub use policy::Policy;
