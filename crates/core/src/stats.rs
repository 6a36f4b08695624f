//! The statistics core: pure functions over integer counts.
//!
//! Everything the daemon publishes is computed here from counts that merge by addition. A window's state is a vector of
//! `u64` over the cells of a reference [`grid::Grid`] (or over categories, confusion cells, latency buckets); it is
//! summed, subtracted and merged elsewhere, and only read here.
//!
//! - [`grid`]: the reference grid and the cell of a value (`guide`: finds it fast); [`bins`]: quantile bins as runs of cells.
//! - [`psi`], [`ks`], [`chi2`], [`distance`], [`wasserstein`]: drift of a distribution against the reference.
//! - [`proportion`]: intervals and tests for rates; [`confusion`] and [`fairness`]: counts of a segment and gaps
//!   between segments, in exact [`ratio`]s; [`quality`]: metrics of decisions; [`limit`]: the decimals that values are compared with.
//! - [`isotonic`], [`calibration`], [`estimated`]: quality before labels come, by calibrated scores.
//! - [`sequential`]: the difference of two rates, valid at every look; [`departure`]: a share against the one that was set.
//! - [`regression`]: errors of predicted numbers, from fixed-point sums ([`fixed`]), which [`digits`] keep among other counts.
//! - [`auc`], [`scores`], [`quantile`]: quality of a score and latency from binned counts; [`by_label`]: what its curves are drawn from.
//! - [`draws`]: random draws that are the same each time, for the simulations of `check`.
//! - [`multiplicity`]: adjusted p-values over many subjects.
//!
//! Not here: windows, policies, I/O, clocks. Functions never panic and never return NaN: a value that cannot be computed is
//! `None`, and the caller decides the meaning of missing evidence.

#![allow(clippy::many_single_char_names, clippy::similar_names, reason = "the symbols of the definitions")]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail loudly"))]

pub mod auc;
pub mod bins;
pub mod bounds;
pub mod by_label;
pub mod calibration;
pub mod chi2;
pub mod confusion;
pub mod departure;
pub mod digits;
pub mod distance;
pub mod draws;
pub mod estimated;
pub mod fairness;
pub mod fixed;
pub mod grid;
mod guide;
mod hypotenuse;
pub mod isotonic;
pub mod ks;
pub mod ks_tail;
pub mod limit;
pub mod multiclass;
pub mod multiplicity;
pub mod p_value;
pub mod proportion;
pub mod psi;
pub mod quality;
pub mod quantile;
pub mod ratio;
pub(crate) mod real;
pub mod regression;
pub mod scores;
pub mod sequential;
pub(crate) mod sized;
pub mod wasserstein;
pub mod weighted;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod golden_distance;
#[cfg(test)]
mod golden_quality;
#[cfg(test)]
mod laws;
