//! Attacks on a running daemon, as whoever may send events, register versions or reach its port would try them; edit models in
//! MLflow, or its files.

mod artifacts;
mod audit_state;
mod authorities;
mod connections;
mod hosts;
mod locations;
mod matrix;
mod mlflow;
mod oidc;
mod raw;
mod reading;
mod signing;
mod terminal;
mod tls;
mod tokens;
