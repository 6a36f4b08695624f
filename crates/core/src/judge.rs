//! Judging a window: `rules` turns its counts into results, by what `counted` shows of them to each rule; `kpi` remembers what KPIs
//! are compared with, `streak` how long something has been breached; `verdict` is what leaves us, with `distributions` beside it and `read` reads it back;
//! `ranking` says which results matter most.

pub mod against;
pub mod counted;
pub mod evidence;
pub mod kpi;
pub mod ranking;
pub mod read;
pub mod rules;
#[cfg(feature = "openapi")]
mod schema;
mod segment_outcomes;
pub mod streak;
pub mod verdict;
