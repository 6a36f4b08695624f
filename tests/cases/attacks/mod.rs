//! Attacks on a running daemon, as whoever may send events, register versions or reach its port would try them; edit models in
//! MLflow, or its files.

mod artifacts;
mod audit_state;
mod authorities;
mod bomb;
mod connections;
mod hashes;
mod hosts;
mod locations;
mod matrix;
mod mlflow;
mod names;
mod oidc;
mod raw;
mod reading;
mod segments;
mod signing;
mod terminal;
mod tls;
mod tokens;
mod waits;
