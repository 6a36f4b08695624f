//! driftgate watches machine-learning models in production and guards their promotion.
//!
//! What counts, computes and decides is [`driftgate_core`], which touches nothing outside. This crate is what touches the world, and what
//! composes it; each module imports only from those above it.
//!
//! | | module | holds |
//! |---|---|---|
//! | tools | [`clock`], [`http_client`], [`telemetry`], [`private`], [`stores`], [`aws`], [`oci`] | the only clock; the one HTTP client; metrics, events, spans, OTLP; files of one owner; object stores; JSON APIs of AWS; registries of OCI artifacts |
//! | edges | [`source`], [`policies`], [`snapshot`], [`audit_key`], [`artifact`] | event files and Kafka; policy files; training snapshots; the key of the audit log; the files of a model |
//! | | [`transaction`] | records and a committed offset in one Kafka transaction |
//! | | [`ledger`] | the registry: versions, stages, blocks and the audit log, in a file |
//! | | [`view`], [`problems`] | the status view that others read; what is wrong, the worst first |
//! | | [`history`] | results over time, on disk |
//! | | [`sink`], [`checkpoint`] | facts to each outside system; durable state |
//! | | [`router`] | traffic routers that follow the weights of rollouts |
//! | | [`api`] | requests and answers of the HTTP API, typed |
//! | | [`http`] | the API |
//! | | [`cluster`] | several processes of one consumer group: their state in a topic |
//! | composition | [`config`], [`replay`], [`batch`], [`daemon`], [`cli`] | what runs where |

// `cli::terminal` prints without a panic where nobody reads.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod api;
pub mod artifact;
pub mod audit_key;
pub mod aws;
pub mod batch;
pub mod checkpoint;
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod daemon;
pub mod history;
pub mod http;
pub mod http_client;
pub mod ledger;
pub mod oci;
pub mod policies;
pub mod private;
pub mod problems;
pub mod replay;
pub mod router;
pub mod sink;
pub mod snapshot;
pub mod source;
pub mod stores;
pub mod telemetry;
pub mod transaction;
pub mod view;
