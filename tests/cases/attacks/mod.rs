//! Attacks on a running daemon, as whoever may send events, register versions or reach its port would try them.

mod locations;
mod matrix;
mod oidc;
mod reading;
mod tokens;
