//! The last week of a version as a row of bars: how many results fail, and the worst status.

use std::fmt::Write as _;

use super::rows::Cell;
use crate::history::recent::{HOUR_MS, Hour, Hours};
use driftgate_core::judge::verdict::Status;

/// Bars of so many hours.
const HOURS: i64 = 3;
const BARS: i64 = 56;
/// What all bars show.
pub const WEEK_MS: i64 = HOURS * BARS * HOUR_MS;
/// Height of a bar at which everything fails, and at which nothing does.
const MOST: u32 = 14;
const LEAST: u32 = 3;

/// The bars of a version up to a time; `None` without windows. Groups that do not block are left out where others do.
pub fn spark(hours: &Hours, version: &str, cells: &[Cell], to_ms: i64) -> Option<String> {
    let from_ms = to_ms.saturating_sub(WEEK_MS);
    let mut bars: Vec<Option<Hour>> = vec![None; usize::try_from(BARS).unwrap_or(0)];
    for cell in cells.iter().filter(|cell| cell.is_enforced) {
        let of_group =
            (version.to_owned(), cell.group.clone(), i64::MIN)..=(version.to_owned(), cell.group.clone(), i64::MAX);
        for ((_, _, start), hour) in hours.range(of_group) {
            // A window stands for what is new in it.
            let end = start.saturating_add(HOUR_MS);
            let begins = end.saturating_sub(cell.slide_ms.max(HOUR_MS));
            let bar = |ms: i64| ms.saturating_sub(from_ms).div_euclid(HOURS * HOUR_MS);
            for at in bar(begins).max(0)..=bar(end.saturating_sub(1)).min(BARS - 1) {
                let Some(slot) = usize::try_from(at).ok().and_then(|at| bars.get_mut(at)) else { continue };
                *slot = Some(slot.map_or(*hour, |before| before.worse(*hour)));
            }
        }
    }
    bars.iter().any(Option::is_some).then(|| drawn(&bars))
}

fn height(hour: Hour) -> u32 {
    let most = MOST - LEAST;
    LEAST + hour.failing.saturating_mul(most).div_ceil(hour.results.max(1)).min(most)
}

fn drawn(bars: &[Option<Hour>]) -> String {
    let mut paths = String::new();
    let mut said = Vec::new();
    for status in Status::ALL.into_iter().rev() {
        let mut path = String::new();
        let mut count = 0;
        let heights: Vec<Option<u32>> =
            bars.iter().map(|hour| hour.filter(|h| h.status == status).map(height)).collect();
        let mut at = 0;
        for run in heights.chunk_by(|a, b| a == b) {
            if let Some(Some(height)) = run.first() {
                let _ = write!(path, "M{at} {}v{height}h{}.8v-{height}z", MOST - height, run.len() - 1);
                count += run.len();
            }
            at += run.len();
        }
        if count > 0 {
            let _ = write!(paths, "<path class=\"{}\" d=\"{path}\"/>", status.name());
            said.push(format!("{} {}", count, status.name()));
        }
    }
    let gaps = bars.iter().filter(|bar| bar.is_none()).count();
    if gaps > 0 {
        said.push(format!("{gaps} without a window"));
    }
    format!(
        "<svg class=\"bars\" viewBox=\"0 0 {BARS} {MOST}\" preserveAspectRatio=\"none\" role=\"img\"><title>the last 7 days in spans of {HOURS} h: {}</title>{paths}</svg>",
        said.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_high_as_its_share_of_failing_results_and_gaps_are_told() {
        let cell = |group: &str, is_enforced, slide_ms| Cell {
            group: group.into(),
            status: None,
            is_stale: false,
            is_enforced,
            slide_ms,
        };
        let cells = [cell("drift", true, 24 * HOUR_MS), cell("watched", false, HOUR_MS)];
        let hour = |status, failing| Hour { status, failing, results: 10 };
        let mut hours = Hours::new();
        assert_eq!(spark(&hours, "1", &cells, WEEK_MS), None);
        hours.insert(("1".into(), "watched".into(), 0), hour(Status::Block, 10));
        assert_eq!(spark(&hours, "1", &cells, WEEK_MS), None, "it blocks nothing");
        hours.insert(("1".into(), "drift".into(), 23 * HOUR_MS), hour(Status::Block, 10));
        hours.insert(("1".into(), "drift".into(), 47 * HOUR_MS), hour(Status::Pass, 0));
        hours.insert(("2".into(), "drift".into(), 71 * HOUR_MS), hour(Status::Warn, 1));
        let svg = spark(&hours, "1", &cells, WEEK_MS).unwrap();
        assert!(svg.contains("8 block, 8 pass, 40 without a window"), "{svg}");
        assert!(svg.contains("M0 0v14h7.8v-14z") && svg.contains("M8 11v3h7.8v-3z"), "{svg}");
        assert!(!svg.contains("warn"));
    }
}
