//! Every kind of column as numbers, codes, flags and times.

use polars_core::prelude::*;

use super::*;
use driftgate_core::decode::time;

fn cells(series: &Series) -> Cells {
    Cells::of(series, false).unwrap()
}

fn series<T, P: ?Sized>(values: T) -> Series
where
    Series: NamedFrom<T, P>,
{
    Series::new("x".into(), values)
}

fn csv(values: &[Option<&str>]) -> Cells {
    Cells::of(&series(values), true).unwrap()
}

/// Numbers with missing as `None` and invalid as infinity.
fn numbers(cells: &Cells) -> Vec<Option<f64>> {
    let mut out = Vec::new();
    cells.numbers(&mut out);
    let shown = |x: f64| if numeric::is_invalid(x) { Some(f64::INFINITY) } else { Some(x).filter(|x| !x.is_nan()) };
    out.into_iter().map(shown).collect()
}

fn texts(cells: &Cells) -> Vec<Option<String>> {
    let mut names: Vec<String> = Vec::new();
    let mut codes = Vec::new();
    let intern = |text: &str| {
        let known = names.iter().position(|n| n == text).unwrap_or_else(|| {
            names.push(text.to_owned());
            names.len() - 1
        });
        u32::try_from(known).unwrap()
    };
    cells.codes(intern, &mut codes);
    let by_code: Vec<Option<String>> = codes
        .iter()
        .map(|&c| if c == code::INVALID { Some("?".to_owned()) } else { names.get(c as usize).cloned() })
        .collect();
    let mut each = Vec::new();
    cells.each_text(|cell| {
        each.push(match cell {
            Cell::Missing => None,
            Cell::Invalid => Some("?".to_owned()),
            Cell::Text(t) => Some(t.to_owned()),
        });
    });
    assert_eq!(by_code, each);
    each
}

fn flags(cells: &Cells) -> Vec<Flag> {
    let mut out = Vec::new();
    let values = [("late".to_owned(), true), ("on time".to_owned(), false), ("-1".to_owned(), false)];
    cells.flags(&Classes::new(&values.into()), &mut out);
    out
}

/// The times of a source with this zone, and of this unit; all of them at once where that is possible.
fn times_by(cells: &Cells, zone: &str, unit: event::TimeUnit) -> Vec<Result<i64, Reason>> {
    let (mut out, mut at_once) = (Vec::new(), Vec::new());
    let format =
        TimeFormat { unit, zone: (!zone.is_empty()).then(|| time::zone(zone).unwrap()), ..TimeFormat::default() };
    cells.each_time(&format, |t| out.push(t.map_err(|r| r.reason)));
    if cells.times_within(&format, &(i64::MIN..=i64::MAX - 1), &mut at_once) {
        assert_eq!(at_once.into_iter().map(Ok).collect::<Vec<_>>(), out);
    }
    out
}

fn times(cells: &Cells) -> Vec<Result<i64, Reason>> {
    times_by(cells, "", event::TimeUnit::Millis)
}

fn owned(texts: &[Option<&str>]) -> Vec<Option<String>> {
    texts.iter().map(|t| t.map(str::to_owned)).collect()
}

#[test]
fn numbers_of_every_type() {
    assert_eq!(numbers(&cells(&series(&[Some(1.5), Some(f64::NAN), None]))), [Some(1.5), None, None]);
    assert_eq!(numbers(&cells(&series(&[1.5_f32, -0.25]))), [Some(1.5), Some(-0.25)]);
    assert_eq!(numbers(&cells(&series(&[Some(-7_i8), None]))), [Some(-7.0), None]);
    assert_eq!(numbers(&cells(&series(&[u64::MAX]))), [Some(18_446_744_073_709_551_615.0)]);
    assert_eq!(numbers(&cells(&series(&[Some(true), Some(false), None]))), [Some(1.0), Some(0.0), None]);
    let decimal = series(&[12.34]).cast(&DataType::Decimal(10, 2)).unwrap();
    assert_eq!(numbers(&cells(&decimal)), [Some(12.34)]);
    let bad = Some(f64::INFINITY);
    assert_eq!(numbers(&cells(&series(&[Some("1"), None]))), [bad, None]);
    assert_eq!(
        numbers(&cells(&series(&[Some("1"), None]).cast(&DataType::from_categories(Categories::global())).unwrap())),
        [bad, None]
    );
    assert_eq!(numbers(&cells(&series(&[Some(1_i32), None]).cast(&DataType::Date).unwrap())), [bad, None]);
    assert_eq!(numbers(&cells(&Series::new_null("x".into(), 2))), [None, None]);
    assert_eq!(numbers(&Cells::Other(2, "List".to_owned())), [bad, bad]);
    let read = csv(&[
        Some(" 1.5 "),
        Some(""),
        Some("NaN"),
        Some("nan"),
        Some("NA"),
        Some("null"),
        Some("True"),
        Some("False"),
        Some("x"),
        Some("1,5"),
        None,
    ]);
    assert_eq!(numbers(&read), [Some(1.5), None, None, None, None, None, Some(1.0), Some(0.0), bad, bad, None]);
}

#[test]
fn texts_of_every_type() {
    assert_eq!(texts(&cells(&series(&[Some("US"), Some(""), None]))), owned(&[Some("US"), Some(""), None]));
    let category = series(&[Some("b"), Some("a"), None, Some("b")])
        .cast(&DataType::from_categories(Categories::global()))
        .unwrap();
    assert_eq!(texts(&cells(&category)), owned(&[Some("b"), Some("a"), None, Some("b")]));
    let enumeration = series(&["b", "a"])
        .cast(&DataType::from_frozen_categories(FrozenCategories::new(["a", "b"]).unwrap()))
        .unwrap();
    assert_eq!(texts(&cells(&enumeration)), owned(&[Some("b"), Some("a")]));
    assert_eq!(texts(&cells(&series(&[Some(-5_i16), None]))), owned(&[Some("-5"), None]));
    assert_eq!(texts(&cells(&series(&[u64::MAX]))), owned(&[Some("18446744073709551615")]));
    assert_eq!(
        texts(&cells(&series(&[Some(5.0), Some(-0.0), Some(0.1), Some(f64::NAN), None]))),
        owned(&[Some("5"), Some("0"), Some("0.1"), None, None])
    );
    assert_eq!(texts(&cells(&series(&[Some(true), Some(false), None]))), owned(&[Some("true"), Some("false"), None]));
    assert_eq!(
        texts(&cells(&series(&[0_i32, 15_765]).cast(&DataType::Date).unwrap())),
        owned(&[Some("1970-01-01"), Some("2013-03-01")])
    );
    let instant =
        |zone| series(&[1_362_131_640_500_i64]).cast(&DataType::Datetime(TimeUnit::Milliseconds, zone)).unwrap();
    assert_eq!(texts(&cells(&instant(None))), owned(&[Some("2013-03-01T09:54:00.5")]));
    assert_eq!(texts(&cells(&series(&[&b"ok"[..], &b"\xff"[..]]))), owned(&[Some("ok"), Some("ff")]));
    assert_eq!(texts(&Cells::Other(1, "List".to_owned())), owned(&[Some("?")]));
    assert_eq!(
        texts(&csv(&[Some("5.0"), Some("007"), Some("1.10"), Some("TRUE"), Some("False"), None])),
        owned(&[Some("5.0"), Some("007"), Some("1.10"), Some("true"), Some("false"), None])
    );
    assert_eq!(texts(&csv(&[Some("1.10"), Some("")]).raw()), owned(&[Some("1.10"), Some("")]));
}

#[test]
fn flags_of_every_type() {
    use Flag::{Invalid, Missing, No, Yes};
    assert_eq!(
        flags(&cells(&series(&[Some(0_i64), Some(1), Some(2), Some(-1), None]))),
        [No, Yes, Invalid, No, Missing]
    );
    assert_eq!(flags(&cells(&series(&[0.0, 1.0, 0.5, -1.0, f64::NAN]))), [No, Yes, Invalid, No, Missing]);
    assert_eq!(flags(&cells(&series(&[Some(true), Some(false), None]))), [Yes, No, Missing]);
    assert_eq!(
        flags(&cells(&series(&[Some("late"), Some("on time"), Some("1"), Some("no"), None]))),
        [Yes, No, Yes, Invalid, Missing]
    );
    let read = csv(&[
        Some("late"),
        Some("1"),
        Some("0.0"),
        Some("true"),
        Some("False"),
        Some(""),
        Some("x"),
        Some("-1.0"),
        None,
    ]);
    assert_eq!(flags(&read), [Yes, Yes, No, Yes, No, Missing, Invalid, No, Missing]);
    assert_eq!(flags(&cells(&series(&[Some(1_i32), None]).cast(&DataType::Date).unwrap())), [Invalid, Missing]);
    assert_eq!(flags(&Cells::Other(1, "List".to_owned())), [Invalid]);
}

/// Instants: a cast would drop the zone.
fn zoned(ticks: &[Option<i64>], unit: TimeUnit) -> Series {
    series(ticks).i64().unwrap().clone().into_datetime(unit, Some(TimeZone::UTC)).into_series()
}

#[test]
fn times_of_every_type() {
    let (none, bad) = (Err(Reason::NoTime), Err(Reason::BadTime));
    assert_eq!(times(&cells(&series(&[Some(1_362_131_640_000_i64), None]))), [Ok(1_362_131_640_000), none]);
    for (unit, per_ms) in
        [(TimeUnit::Nanoseconds, 1_000_000_i64), (TimeUnit::Microseconds, 1_000), (TimeUnit::Milliseconds, 1)]
    {
        let ticks = series(&[Some(1_362_131_640_123 * per_ms), Some(-per_ms), None])
            .cast(&DataType::Datetime(unit, None))
            .unwrap();
        assert_eq!(times(&cells(&ticks)), [bad, bad, none], "nobody says in which zone");
        let of = |zone| times_by(&cells(&ticks), zone, event::TimeUnit::Seconds);
        assert_eq!(of("UTC"), [Ok(1_362_131_640_123), Ok(-1), none]);
        assert_eq!(of("Europe/Berlin"), [Ok(1_362_128_040_123), Ok(-3_600_001), none]);
        let zoned = zoned(&[Some(1_362_131_640_123 * per_ms), Some(-per_ms), None], unit);
        assert_eq!(times(&cells(&zoned)), [Ok(1_362_131_640_123), Ok(-1), none]);
        assert_eq!(times(&cells(&zoned.drop_nulls())), [Ok(1_362_131_640_123), Ok(-1)]);
        assert_eq!(
            times_by(&cells(&ticks.drop_nulls()), "UTC", event::TimeUnit::Nanos),
            [Ok(1_362_131_640_123), Ok(-1)]
        );
    }
    let before = zoned(&[Some(-1_i64)], TimeUnit::Nanoseconds);
    assert_eq!(times(&cells(&before)), [Ok(-1)]);
    let date = cells(&series(&[1_i32]).cast(&DataType::Date).unwrap());
    assert_eq!(times(&date), [bad]);
    assert_eq!(times_by(&date, "UTC", event::TimeUnit::Millis), [Ok(86_400_000)]);
    assert_eq!(times_by(&date, "America/New_York", event::TimeUnit::Millis), [Ok(104_400_000)]);
    assert_eq!(times(&cells(&series(&[5.0, 5.5, f64::NAN, f64::INFINITY]))), [Ok(5), Ok(5), none, bad]);
    for (unit, ticks) in [
        (event::TimeUnit::Seconds, 1_362_131_640_i64),
        (event::TimeUnit::Micros, 1_362_131_640_000_999),
        (event::TimeUnit::Nanos, 1_362_131_640_000_999_999),
    ] {
        let expected = [Ok(1_362_131_640_000)];
        assert_eq!(times_by(&cells(&series(&[ticks])), "", unit), expected);
        assert_eq!(times_by(&cells(&series(&[u64::try_from(ticks).unwrap()])), "", unit), expected);
        assert_eq!(times_by(&csv(&[Some(&ticks.to_string())]), "", unit), expected);
        assert_eq!(times_by(&cells(&series(&[ticks.to_string().as_str()])), "", unit), expected);
    }
    assert_eq!(
        times_by(&cells(&series(&[1_362_131_640.123_f64])), "", event::TimeUnit::Seconds),
        [Ok(1_362_131_640_123)]
    );
    assert_eq!(times_by(&cells(&series(&[i64::MAX])), "", event::TimeUnit::Seconds), [bad]);
    let written = [
        Some("2013-03-01T09:54:00Z"),
        Some("2013-03-01T10:54:00+01:00"),
        Some("1362131640000"),
        Some("1362131640000.5"),
        Some("2013-03-01T09:54:00"),
        Some(""),
        Some("soon"),
    ];
    let at = Ok(1_362_131_640_000);
    let read = [at, at, at, at, bad, none, bad];
    assert_eq!(times(&cells(&series(&written[..]))), read);
    assert_eq!(times(&csv(&written)), read);
    assert_eq!(times_by(&csv(&written), "UTC", event::TimeUnit::Millis)[4], at);
    assert_eq!(times(&cells(&series(&[true]))), [bad]);
}
