//! Footers with unknown types, of a file that pyarrow wrote (`tests/data/types/make.py`).

use std::path::{Path, PathBuf};

use super::super::FileRows;
use super::super::cells::Cell;
use super::super::reader::ColumnReader;
use super::*;
use driftgate_core::event::numeric;

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/types/types.parquet")
}

fn description() -> Vec<u8> {
    let bytes = std::fs::read(file()).unwrap();
    let (bytes, tail) = bytes.split_at(bytes.len() - 8);
    let size = u32::from_le_bytes(tail[..4].try_into().unwrap()) as usize;
    bytes[bytes.len() - size..].to_vec()
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|&n| n.to_owned()).collect()
}

fn all() -> Vec<String> {
    read(&description(), &[]).unwrap().columns
}

/// All rows of a column: as numbers, missing as `None`, and as texts.
fn column(name: &str) -> (Vec<Option<f64>>, Vec<Option<String>>) {
    let mut reader = ColumnReader::open(&file(), &all()).unwrap();
    let (mut numbers, mut texts) = (Vec::new(), Vec::new());
    while let Some(rows) = reader.next().unwrap() {
        let cells = rows.cells(name).unwrap().unwrap();
        cells.numbers(&mut numbers);
        cells.each_text(|cell| {
            texts.push(if let Cell::Text(text) = cell { Some(text.to_owned()) } else { None });
        });
    }
    (numbers.into_iter().map(|x| Some(x).filter(|x| !x.is_nan() || numeric::is_invalid(*x))).collect(), texts)
}

#[test]
fn only_wanted_columns_are_left_and_unknown_types_are_told() {
    let footer =
        read(&description(), &names(&["group", "shape", "variant", "later", "nested", "tags", "pairs"])).unwrap();
    assert_eq!(footer.columns.len(), 18);
    assert_eq!((footer.columns[0].as_str(), footer.columns[17].as_str()), ("version", "nothing"));
    assert_eq!(footer.kept, ["group"]);
    let opaque: Vec<(&str, &str)> = footer.opaque.iter().map(|(name, kind)| (name.as_str(), kind.as_str())).collect();
    let expected = [
        ("shape", "GEOMETRY"),
        ("variant", "VARIANT"),
        ("later", "logical type 99"),
        ("nested", "Struct"),
        ("tags", "LargeList"),
        ("pairs", "Map"),
    ];
    assert_eq!(opaque, expected);
    // The rest is a description of its own, of one column.
    let left = read(&footer.bytes, &names(&["group", "shape"])).unwrap();
    assert_eq!((left.columns, left.kept), (names(&["group"]), names(&["group"])));
    assert!(footer.bytes.len() < description().len() / 3);
}

#[test]
fn a_damaged_description_is_none_and_never_a_panic() {
    let whole = description();
    for cut in 0..whole.len() {
        let _ = read(&whole[..cut], &all());
    }
    for at in 0..whole.len() {
        for value in [0x00, 0x7f, 0xff] {
            let mut bad = whole.clone();
            bad[at] = value;
            let _ = read(&bad, &all());
        }
    }
}

#[test]
fn narrow_floats_and_decimals_are_read_as_they_are_printed() {
    let texts = |list: &[&str]| list.iter().map(|t| Some((*t).to_owned())).chain([None]).collect::<Vec<_>>();
    for (name, expected, written) in [
        ("single", [0.1, 0.2, -0.7, 123_456.79, 3e-8], ["0.1", "0.2", "-0.7", "123456.79", "3e-08"]),
        ("half", [0.1, 0.2, -0.7, 1000.0, 65_500.0], ["0.1", "0.2", "-0.7", "1000", "65500"]),
        ("wide", [0.1, -2.5, 1e40, 1.25, 0.3], ["0.1", "-2.5", "1e+40", "1.25", "0.3"]),
        ("whole", [1.0, 2.0, 9_007_199_254_740_992.0, -4.0, 5.0], ["1", "2", "9007199254740993", "-4", "5"]),
        ("money", [1.1, 2.0, 0.07, -4.5, 5.0], ["1.1", "2", "0.07", "-4.5", "5"]),
    ] {
        let (numbers, found) = column(name);
        let bits = |x: &Option<f64>| x.map(f64::to_bits);
        let expected: Vec<Option<f64>> = expected.into_iter().map(Some).chain([None]).collect();
        assert_eq!(
            numbers.iter().map(bits).collect::<Vec<_>>(),
            expected.iter().map(bits).collect::<Vec<_>>(),
            "{name}"
        );
        assert_eq!(found, texts(&written), "{name}");
    }
    assert_eq!(column("gone").0, [None; 6]);
    assert_eq!(column("nothing").0, [None; 6]);
}

#[test]
fn what_is_not_read_is_told_by_its_cells() {
    let mut reader = ColumnReader::open(&file(), &all()).unwrap();
    let rows = reader.next().unwrap().unwrap();
    let holds = |rows: &FileRows, name: &str| rows.cells(name).unwrap().unwrap().holds();
    assert_eq!(holds(&rows, "shape"), "values of type GEOMETRY");
    assert_eq!(holds(&rows, "later"), "values of type logical type 99");
    assert_eq!(holds(&rows, "clock"), "values of type Time64");
    assert_eq!(holds(&rows, "group"), "text (String)");
}
