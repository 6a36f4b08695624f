//! driftgate watches machine-learning models in production and guards their promotion.
//!
//! The house, from the inside out; each module imports only from those above it.
//!
//! | | module | holds |
//! |---|---|---|
//! | core | [`stats`] | functions over integer counts |
//! | | [`yaml`], [`policy`] | YAML with positions; the policy of a model |
//! | | [`schema`], [`event`], [`frame`], [`chunk`] | slots of events; batches in columns; the envelope of binary files, and bytes kept once |
//! | | [`decode`] | bytes to events |
//! | | [`baseline`] | a version's reference |
//! | | [`window`], [`join`] | panes of counts and watermarks; predictions waiting for labels |
//! | | [`intake`] | batches in, sealed panes and watermarks out |
//! | | [`judge`], [`evaluate`] | rules, streaks, verdicts; panes in, verdicts and signals out |
//! | | [`state_v4`] | the state that the release before kept, frozen |
//! | | [`pipeline`] | intake and evaluator of one model, coupled: what daemon and replay both run |
//! | edges | [`clock`], [`view`], [`web`], [`der`] | the only clock; the picture that others read; what HTTP clients share; fields of certificates |
//! | | [`source`], [`snapshot`] | event files and Kafka; training snapshots |
//! | | [`audit`] | who changed what, as a chain that shows what was changed in it |
//! | | [`registry`], [`gate`] | versions, stages, blocks; may a version be promoted? |
//! | | [`problems`] | what is wrong, the worst first |
//! | | [`publish`], [`http`], [`checkpoint`] | verdicts and signals outward; the API; durable state |
//! | composition | [`config`], [`replay`], [`daemon`], [`cli`] | what runs where |
//!
//! The core has no async, files, network or clock: its output depends only on configuration, baselines and ordered input.

// `cli::terminal` prints without a panic where nobody reads.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod audit;
pub mod baseline;
pub mod checkpoint;
pub mod chunk;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod decode;
pub mod der;
pub mod evaluate;
pub mod event;
pub mod frame;
pub mod gate;
pub mod http;
pub mod intake;
pub mod join;
pub mod judge;
pub mod live;
pub mod pipeline;
pub mod policy;
pub mod private;
pub mod problems;
pub mod promotion;
pub mod publish;
pub mod registry;
pub mod replay;
pub mod rollout;
pub mod schema;
pub mod seeded;
pub mod snapshot;
pub mod source;
pub mod state_v4;
pub mod stats;
pub mod stores;
pub mod text;
pub mod view;
pub mod web;
pub mod window;
pub mod yaml;
