//! Judging a window: `rules` (with `distribution`, `segments`, `service` and `measured` for the families of metrics) turns counts
//! into results, `kpi` says what KPIs are compared with, `streak` remembers how long something has been breached, `verdict` is what leaves us
//! and `read` reads it back.

pub mod distribution;
pub mod kpi;
mod measured;
pub mod read;
pub mod rules;
pub mod segments;
pub mod service;
pub mod streak;
pub mod verdict;
