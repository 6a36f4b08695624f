//! `metrics:`: which series `/metrics` has of verdicts.

use super::key::{Key, default, names};
use super::reader::count;
use crate::http::metrics::{Features, Options};
use driftgate_core::yaml::Item;

/// More would be more than one Prometheus takes from one target.
const MOST_SERIES: u64 = 1_000_000;

pub const METRICS: [Key; 3] = [
    default(
        "features",
        "`all`, `failing` or `none`",
        "all",
        "Features that have series of their own: all, those that block or warn, or none. What is no feature, such as the score, a latency or a gap between \
         segments, always has.",
    ),
    default(
        "top",
        "number",
        "1000",
        "At most so many subjects of a version and group, the worst ones first. How many are left out is in `driftgate_series_dropped`.",
    ),
    default(
        "max_series",
        "number",
        "6000",
        "At most so many series of subjects in all, those that block first, then those that warn: 6000 are about 1 MB.",
    ),
];

/// What the section says; the usual without one.
pub fn metrics(item: Option<&Item>) -> Option<Options> {
    let usual = Options::default();
    let Some(item) = item else { return Some(usual) };
    let map = item.map(const { &names(&METRICS) })?;
    let words = [("all", Features::All), ("failing", Features::Failing), ("none", Features::None)];
    let features = map.get("features").map_or(Some(usual.features), |item| item.choice(&words));
    let top = map.get("top").map_or(Some(usual.top), |item| count(&item, 1, MOST_SERIES));
    let max_series = map.get("max_series").map_or(Some(usual.max_series), |item| count(&item, 1, MOST_SERIES));
    Some(Options { features: features?, top: top?, max_series: max_series? })
}
