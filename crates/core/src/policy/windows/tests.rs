//! Windows of local days: against Python's zoneinfo, and the laws of panes.

use proptest::prelude::*;

use super::super::keys;
use super::*;
use crate::codec::time::utc;

fn of(zone: &str, week: i64, days: i64, slide: i64) -> WindowSpec {
    WindowSpec { size: days * DAY, slide: slide * DAY, local: LocalDays::of(zone, week) }
}

fn at(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_millisecond()
}

#[test]
fn days_start_at_local_midnight_and_may_have_23_or_25_hours() {
    let berlin = of("Europe/Berlin", 0, 1, 1);
    let hours = |text: &str| {
        let (start, end) = berlin.ending(berlin.next(at(text)));
        (utc(start), (end - start) / 3_600_000)
    };
    assert_eq!(hours("2026-03-29T12:00:00Z"), ("2026-03-28T23:00:00Z".into(), 23));
    assert_eq!(hours("2026-10-25T12:00:00Z"), ("2026-10-24T22:00:00Z".into(), 25));
    assert_eq!(hours("2026-07-01T21:59:59Z"), ("2026-06-30T22:00:00Z".into(), 24));
    assert_eq!(hours("2026-07-01T22:00:00Z").0, "2026-07-01T22:00:00Z");
    // Clocks skip midnight there: the day starts at one.
    let beirut = of("Asia/Beirut", 0, 1, 1);
    let start = beirut.start(beirut.pane(at("2026-03-29T12:00:00Z")));
    assert_eq!(utc(start), "2026-03-28T22:00:00Z");
    assert!(beirut.is_start(start) && !beirut.is_start(start + 1));
}

#[test]
fn weeks_begin_with_the_day_that_is_named() {
    for (week, start) in [(0, "2026-11-22T23:00:00Z"), (6, "2026-11-21T23:00:00Z"), (5, "2026-11-20T23:00:00Z")] {
        let week = of("Europe/Berlin", week, 7, 7);
        assert_eq!(utc(week.start(week.pane(at("2026-11-26T09:00:00Z")))), start);
    }
    // A window of seven days that slides by one ends at any midnight.
    let sliding = of("Europe/Berlin", 0, 7, 1);
    let (start, end) = sliding.ending(at("2026-10-27T23:00:00Z"));
    assert_eq!((utc(start), (end - start) / 3_600_000), ("2026-10-20T22:00:00Z".into(), 7 * 24 + 1));
}

#[test]
fn references_are_whole_days_too() {
    let day = of("Europe/Berlin", 0, 1, 1);
    let spans = day.spans(Versus::Season { every: 7 * DAY, back: 1 }, at("2026-10-27T23:00:00Z"));
    assert_eq!(spans, [(at("2026-10-19T22:00:00Z"), at("2026-10-20T22:00:00Z"))]);
    let spans = day.spans(Versus::Rolling(2), at("2026-10-26T23:00:00Z"));
    assert_eq!(spans, [(at("2026-10-23T22:00:00Z"), at("2026-10-25T23:00:00Z"))]);
    let span = Versus::Between(at("2026-10-24T22:00:00Z"), at("2026-10-25T23:00:00Z"));
    let panes = day.panes_of(span, at("2026-10-27T23:00:00Z"));
    assert_eq!(panes.iter().map(|(from, to)| to - from).sum::<i64>(), 1);
}

#[test]
fn lengths_of_several_windows_count_days() {
    let day = of("Europe/Berlin", 0, 1, 1);
    let (before, after) = (at("2026-03-27T23:00:00Z"), at("2026-03-30T22:00:00Z"));
    assert_eq!(day.nominal_end(after) - day.nominal_end(before), 3 * DAY);
    assert_eq!((day.real_end(day.nominal_end(after)), day.first_end_from(before)), (after, before + DAY));
    // The first whole day behind a time within one.
    assert_eq!(utc(day.first_end_from(at("2026-03-28T12:00:00Z"))), "2026-03-29T22:00:00Z");
}

#[test]
fn a_day_that_a_zone_leaves_out_is_in_no_window_of_its_own() {
    // Samoa had no 2011-12-30.
    let apia = of("Pacific/Apia", 0, 1, 1);
    let end = at("2011-12-30T10:00:00Z");
    assert_eq!(utc(apia.ending(end).0), "2011-12-29T10:00:00Z");
    assert_eq!((utc(apia.next(end)), apia.pane(end) - apia.pane(end - 1)), ("2011-12-31T10:00:00Z".into(), 2));
    assert_eq!(apia.pane_behind(end), apia.pane(end - 1) + 1);
}

#[test]
fn without_a_zone_panes_are_counted_from_the_epoch() {
    let hourly = WindowSpec { size: 7_200_000, slide: 3_600_000, local: None };
    assert_eq!((hourly.pane(-1), hourly.start(-1), hourly.end(-1)), (-1, -3_600_000, 0));
    assert_eq!((hourly.next(3_600_000), hourly.ending(7_200_000)), (7_200_000, (0, 7_200_000)));
    assert_eq!((hourly.pane_before(7_200_000, 7_200_000), hourly.first_end_from(5)), (0, 7_200_005));
    assert_eq!((hourly.nominal_end(7_200_000), hourly.real_end(7_200_000)), (7_200_000, 7_200_000));
    for none in ["Europe/Nowhere", "", "Etc/Unknown"] {
        assert!(LocalDays::of(none, 0).is_none(), "{none}");
    }
    assert_eq!(LocalDays::of("europe/berlin", 0), LocalDays::of("Europe/Berlin", 0));
    assert_ne!(LocalDays::of("Europe/Berlin", 1), LocalDays::of("Europe/Berlin", 0));
}

/// Days and weeks of Python's zoneinfo, `tests/data/local_days/local_days.py`: zone, week, unit, start and end in ms.
#[test]
fn every_day_and_week_is_that_of_zoneinfo() {
    let rows = include_str!("../../../../../tests/data/local_days/local_days.csv").lines().skip(1);
    let mut seen = 0;
    for row in rows {
        let cells: Vec<&str> = row.split(',').collect();
        let [zone, week, unit, start, end] = cells[..] else { panic!("{row}") };
        let week = keys::WEEKDAYS.iter().position(|day| *day == week).unwrap();
        let days = if unit == "week" { 7 } else { 1 };
        let window = of(zone, i64::try_from(week).unwrap(), days, days);
        let (start, end): (i64, i64) = (start.parse().unwrap(), end.parse().unwrap());
        for ts in [start, i64::midpoint(start, end), end - 1] {
            let pane = window.pane(ts);
            assert_eq!((window.start(pane), window.end(pane)), (start, end), "{row}: {}", utc(ts));
        }
        assert_eq!(window.ending(end), (start, end), "{row}");
        seen += 1;
    }
    assert!(seen > 2_000, "{seen}");
}

const ZONES: &[&str] = &[
    "Europe/Berlin",
    "America/Havana",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Asia/Beirut",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Kwajalein",
    "UTC",
];

proptest! {
    #[test]
    fn every_time_lies_in_one_tumbling_window_and_windows_tile(
        zone in prop::sample::select(ZONES),
        ts in at("1960-01-01T00:00:00Z")..at("2090-01-01T00:00:00Z"),
        week in 0..7_i64,
        slide in prop::sample::select(vec![1_i64, 2, 7, 14]),
    ) {
        let window = of(zone, week, slide, slide);
        let pane = window.pane(ts);
        let (start, end) = (window.start(pane), window.end(pane));
        prop_assert!(start <= ts && ts < end, "{} is not in {} to {}", utc(ts), utc(start), utc(end));
        prop_assert_eq!(window.ending(end), (start, end));
        prop_assert_eq!(window.next(ts), end);
        prop_assert_eq!((window.pane(start), window.pane(end - 1)), (pane, pane));
        prop_assert!(window.pane(end) > pane && window.is_start(start) && window.is_start(end));
        prop_assert_eq!(window.ending(window.next(end)).0, end);
        prop_assert_eq!(window.first_end_from(start), end);
        prop_assert_eq!(window.real_end(window.nominal_end(end)), end);
        prop_assert_eq!(PaneOf::new(window).of(ts), (pane, end));
    }

    #[test]
    fn sliding_windows_are_runs_of_panes_and_previous_ones_end_where_they_start(
        zone in prop::sample::select(ZONES),
        ts in at("1960-01-01T00:00:00Z")..at("2090-01-01T00:00:00Z"),
        days in 1..40_i64,
    ) {
        let window = of(zone, 0, days, 1);
        let end = window.next(ts);
        let (start, _) = window.ending(end);
        let first = window.pane_before(end, window.size);
        prop_assert_eq!(window.pane_behind(end) - first, days);
        prop_assert_eq!(window.panes_of(Versus::Previous, end), vec![(first - days, first)]);
        let previous = window.spans(Versus::Previous, end);
        prop_assert!(matches!(previous[..], [(from, to)] if from < to && to == start), "{previous:?}");
        // It is the window that ended there, but where that one ended before a day that the zone leaves out, which counts as one of these.
        if window.pane_behind(start) == first {
            prop_assert_eq!(previous, vec![(window.ending(start).0, start)]);
        }
    }

    #[test]
    fn no_time_overflows(ts in any::<i64>(), ms in any::<i64>()) {
        for window in [of("Europe/Berlin", 3, 7, 7), of("Pacific/Apia", 3, 7, 1)] {
            let _ = (window.pane(ts), window.start(ts), window.next(ts), window.first_end_from(ts));
            let _ = (window.pane_before(ts, ms), window.nominal_end(ts), window.real_end(ts), window.ending(ts));
        }
    }
}
