//! Each form of a limit, and what it makes of values and intervals.

use super::*;
use crate::stats::ratio::Ratio;

fn at(text: &str) -> Limit {
    Limit::read(text).unwrap()
}

fn judged(limits: Limits, lower: f64, upper: f64) -> (Status, String) {
    let (status, reason) = limits.status_of_interval([lower.into(), upper.into()]);
    (status, reason.unwrap_or_default())
}

#[test]
fn an_interval_blocks_as_a_whole_and_warns_in_part() {
    let side = |side, limit: &str, warn: Option<&str>| Limits {
        region: Region::Side(side, at(limit)),
        warn: warn.map(|warn| Region::Side(side, at(warn))),
    };
    let said = |text: &str| text.to_owned();
    assert_eq!(judged(side(Side::Lt, "0.3", None), 0.1, 0.2), (Status::Pass, said("")));
    assert_eq!(judged(side(Side::Lt, "0.3", None), 0.1, 0.3), (Status::Warn, said("underresolved")));
    assert_eq!(judged(side(Side::Lt, "0.3", None), 0.3, 0.4), (Status::Block, said("")));
    assert_eq!(judged(side(Side::Lte, "0.3", None), 0.3, 0.4), (Status::Warn, said("underresolved")));
    assert_eq!(judged(side(Side::Gte, "0.7", None), 0.6, 0.7), (Status::Warn, said("underresolved")));
    assert_eq!(judged(side(Side::Gte, "0.7", None), 0.5, 0.6), (Status::Block, said("")));
    let warned = judged(side(Side::Gte, "0.7", Some("0.8")), 0.7, 0.9);
    assert_eq!(warned, (Status::Warn, said("below warn 0.8")));
    let warned = judged(side(Side::Lt, "0.3", Some("0.2")), 0.1, 0.25);
    assert_eq!(warned, (Status::Warn, said("at or above warn 0.2")));
}

#[test]
fn both_ends_of_a_band_pass() {
    let warn = Some(Region::Between(at("0.9"), at("1.1")));
    let band = Limits { region: Region::Between(at("0.8"), at("1.25")), warn };
    let of = |k, n| band.status(Ratio::of_counts(k, n).unwrap()).0;
    assert_eq!([of(4, 5), of(5, 4), of(9, 10), of(1, 1)], [Status::Warn, Status::Warn, Status::Pass, Status::Pass]);
    assert_eq!([of(79, 100), of(126, 100)], [Status::Block, Status::Block]);
    assert_eq!(judged(band, 0.1, 0.2).0, Status::Block);
    assert_eq!(judged(band, 0.7, 1.3), (Status::Warn, "underresolved".to_owned()), "both ends are outside");
    assert_eq!(judged(band, 1.0, 1.2), (Status::Warn, "outside of warn [0.9, 1.1]".to_owned()));
    let ratio = |k, n| Ratio::of_counts(k, n).unwrap();
    assert!(band.is_worse(ratio(1, 1), ratio(6, 5)) && band.is_worse(ratio(6, 5), ratio(1, 2)));
    assert!(band.is_worse(ratio(1, 2), Ratio::ZERO) && !band.is_worse(Ratio::ZERO, ratio(9, 1)));
    assert_eq!((band.bound().limit, band.floor().unwrap().limit), (at("1.25"), at("0.8")));
}

#[test]
fn changes_are_exact_and_count_one_way() {
    let of = |k, n| Ratio::of_counts(k, n).unwrap();
    let absolute = Tolerance::Absolute(at("0.05"));
    // In floats 0.8 − 0.75 is above 0.05.
    let drop = Change::Drop.of(absolute, of(75, 100), of(80, 100)).unwrap();
    let limits = |change, tolerance| Limits { region: Region::Change(change, tolerance), warn: None };
    assert_eq!(limits(Change::Drop, absolute).status(drop).0, Status::Pass);
    let drop = Change::Drop.of(absolute, of(74, 100), of(80, 100)).unwrap();
    assert_eq!(limits(Change::Drop, absolute).status(drop).0, Status::Block);
    let rise = Change::Increase.of(absolute, of(74, 100), of(80, 100)).unwrap();
    assert_eq!(limits(Change::Increase, absolute).status(rise).0, Status::Pass);
    let relative = Tolerance::Relative(at("0.1"));
    assert_eq!(Change::Drop.of(relative, of(72, 100), of(80, 100)), Ratio::of_counts(1, 10));
    assert_eq!(Change::Drop.of(relative, of(72, 100), Ratio::ZERO), None);
    assert_eq!(limits(Change::Drop, relative).evidence(), json!({"max_drop": {"relative": 0.1}}));
    assert_eq!(Change::Drop.of_intervals(absolute, (0.5, 0.75), (0.75, 1.0)), Some((0.0, 0.5)));
    assert_eq!(Change::Increase.of_intervals(relative, (0.5, 1.0), (0.25, 0.5)), Some((0.0, 3.0)));
    assert_eq!(Change::Increase.of_intervals(relative, (0.5, 1.0), (0.0, 0.5)), None);
}
