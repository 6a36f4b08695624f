//! Reading files: batches, damage, and the content of messages.

use std::fmt::Write as _;

use polars_core::prelude::*;
use polars_io::prelude::*;

use super::reader::ColumnReader;
use super::*;

fn parquet(frame: &mut DataFrame, group: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes).with_row_group_size(Some(group)).finish(frame).unwrap();
    bytes
}

fn frame(rows: i32) -> DataFrame {
    df!("n" => (0..rows).collect::<Vec<_>>(), "s" => (0..rows).map(|i| format!("value {i}")).collect::<Vec<_>>(), "unread" => vec![0.5; usize::try_from(rows).unwrap()]).unwrap()
}

fn wanted() -> Vec<String> {
    ["n", "s", "absent"].map(str::to_owned).to_vec()
}

fn read_all(mut reader: ColumnReader) -> Result<Vec<(f64, String)>, FileError> {
    let mut out = Vec::new();
    while let Some(rows) = reader.next()? {
        assert_eq!(rows.first, out.len() as u64 + 1);
        assert!(
            rows.len() <= BATCH_ROWS
                && rows.cells("absent").unwrap().is_none()
                && rows.cells("unread").unwrap().is_none()
        );
        let mut numbers = Vec::new();
        rows.cells("n").unwrap().unwrap().numbers(&mut numbers);
        let mut numbers = numbers.into_iter();
        rows.cells("s").unwrap().unwrap().each_text(|cell| {
            let text = if let cells::Cell::Text(t) = cell { t.to_owned() } else { String::new() };
            out.push((numbers.next().unwrap(), text));
        });
    }
    Ok(out)
}

fn read_to_the_end(mut reader: ColumnReader) -> Result<(), FileError> {
    while let Some(rows) = reader.next()? {
        for cells in ["n", "s"].map(|c| rows.cells(c)).into_iter().flatten().flatten() {
            assert_eq!(cells.len(), rows.len());
            cells.numbers(&mut Vec::new());
            cells.each_text(|_| {});
        }
    }
    Ok(())
}

#[test]
fn rows_come_in_order_over_groups_chunks_and_batches() {
    for (rows, group) in [(0, 10), (1, 10), (40_000, 7_000), (300_000, 300_000)] {
        let bytes = parquet(&mut frame(rows), group);
        let read = read_all(ColumnReader::from_bytes("x", bytes.clone(), &wanted()).unwrap()).unwrap();
        assert_eq!(read, (0..rows).map(|i| (f64::from(i), format!("value {i}"))).collect::<Vec<_>>());
        let file = tempfile::NamedTempFile::with_suffix(".parquet").unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        assert_eq!(read_all(ColumnReader::open(file.path(), &wanted()).unwrap()).unwrap(), read);
    }
}

#[test]
fn csv_rows_come_in_order() {
    let mut text = String::from("n,unread,s\r\n");
    (0..40_000).for_each(|i| writeln!(text, "{i},,value {i}\r").unwrap());
    let read = read_all(ColumnReader::from_bytes("x.csv", text.into_bytes(), &wanted()).unwrap()).unwrap();
    assert_eq!(read, (0..40_000).map(|i| (f64::from(i), format!("value {i}"))).collect::<Vec<_>>());
    for empty in ["", "\n", "n,s", "n,s\n"] {
        let reader = ColumnReader::from_bytes("x.csv", empty.into(), &wanted()).unwrap();
        assert!(read_all(reader).unwrap().is_empty(), "{empty:?}");
    }
}

#[test]
fn damage_is_an_error_and_never_a_panic() {
    let bytes = parquet(&mut frame(2_000), 500);
    for cut in (0..bytes.len()).step_by(97) {
        let Ok(reader) = ColumnReader::from_bytes("x.parquet", bytes[..cut].to_vec(), &wanted()) else { continue };
        assert!(read_all(reader).is_err(), "cut at {cut}");
    }
    // Zeros, since some flipped bits make the decoder ask for more memory than there is, which nothing can catch.
    for at in (0..bytes.len() - 16).step_by(16) {
        let mut bad = bytes.clone();
        bad[at..at + 16].fill(0);
        if let Ok(reader) = ColumnReader::from_bytes("x.parquet", bad, &wanted()) {
            let _ = read_to_the_end(reader);
        }
    }
    let message =
        ColumnReader::from_bytes("runs/x.parquet", bytes[..900].to_vec(), &wanted()).err().unwrap().to_string();
    assert!(message.starts_with("cannot read \"runs/x.parquet\" as Parquet: "), "{message}");
    let ragged = ColumnReader::from_bytes("x.csv", b"n,s\n1,a\n2,b,c\n".to_vec(), &wanted()).unwrap();
    let message = read_all(ragged).unwrap_err().to_string();
    assert!(message.starts_with("cannot read \"x.csv\" as CSV: "), "{message}");
    let encoding = ColumnReader::from_bytes("x.csv", b"n,s\n1,\xff\xfe\n".to_vec(), &wanted()).unwrap();
    assert!(read_all(encoding).is_err());
}

#[test]
fn messages_say_what_was_read_and_what_to_do() {
    let error =
        |name: &str, bytes: &[u8]| ColumnReader::from_bytes(name, bytes.to_vec(), &wanted()).err().unwrap().to_string();
    assert_eq!(
        error("x.feather", b"ARROW1"),
        "cannot read \"x.feather\": it is neither Parquet (no PAR1 at its start) nor named .csv; give it its extension or convert it"
    );
    assert_eq!(
        error("x.csv", b"n,s,n\n"),
        "cannot read \"x.csv\" as CSV: the column \"n\" stands twice in its header; write the file again or fetch it anew"
    );
    let absent = ColumnReader::open(Path::new("nowhere/x.csv"), &wanted()).err().unwrap().to_string();
    assert!(absent.starts_with("cannot open \"nowhere/x.csv\": No such file"), "{absent}");
    let reader = ColumnReader::from_bytes("x.csv", b"n,s\n".to_vec(), &wanted()).unwrap();
    assert_eq!(
        reader.require(&["n", "ts", "id"]).unwrap_err().to_string(),
        "\"x.csv\" has no column \"ts\", \"id\"; its columns are \"n\", \"s\"; name the columns in the configuration's `fields`"
    );
}

#[test]
fn columns_of_no_readable_type_are_told() {
    let lists = Series::new("s".into(), [Series::new("".into(), [1, 2]), Series::new("".into(), [3])]);
    let mut frame = df!("n" => [1_i64, 2]).unwrap();
    frame.with_column(lists.into_column()).unwrap();
    let mut reader = ColumnReader::from_bytes("x", parquet(&mut frame, 10), &wanted()).unwrap();
    let rows = reader.next().unwrap().unwrap();
    let cells = rows.cells("s").unwrap().unwrap();
    assert_eq!((cells.len(), cells.holds().as_str()), (2, "values of type LargeList"));
}

#[test]
fn a_panic_is_its_message() {
    assert_eq!(
        guard::<()>(|| panic!("index {} out of range", 7)),
        Err("it is damaged (index 7 out of range)".to_owned())
    );
}

#[test]
fn blank_lines_of_csv_are_no_rows() {
    for text in ["n,s\n1,a\n\n2,\"x\n\ny\"\n\n", "n,s\r\n\r\n1,a\r\n\r\n2,\"x\n\ny\"", "n,s\n\n\n"] {
        let reader = ColumnReader::from_bytes("x.csv", text.into(), &wanted()).unwrap();
        let rows = if text.len() < 8 { Vec::new() } else { vec![(1.0, "a".to_owned()), (2.0, "x\n\ny".to_owned())] };
        assert_eq!(read_all(reader).unwrap(), rows);
    }
}

/// The content of the pieces, each read on a thread of its own, as (first row, values).
fn pieces_apart(file: &Arc<ColumnFile>, mut pieces: Pieces) -> Vec<(u64, Vec<f64>)> {
    let mut all = Vec::new();
    while let Some(piece) = pieces.next().unwrap() {
        all.push(piece);
    }
    let read = |piece: Piece| {
        let first = piece.first;
        let mut numbers = Vec::new();
        file.read(piece).unwrap().cells("n").unwrap().unwrap().numbers(&mut numbers);
        (first, numbers)
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = all.into_iter().map(|piece| scope.spawn(move || read(piece))).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    })
}

#[test]
fn pieces_are_read_apart_and_know_their_place() {
    let mut text = String::from("n,s\n");
    (0..700_000).for_each(|i| writeln!(text, "{i},\"line\n{i}\"").unwrap());
    // The first has a dictionary up to some row, pages and row groups that cut across pieces; the last are blocks.
    let files = [
        ("x", parquet(&mut frame(300_000), 300_000), 300_000),
        ("x", parquet(&mut frame(40_000), 7_000), 40_000),
        ("x.csv", text.into_bytes(), 700_000),
    ];
    for (name, bytes, rows) in files {
        let (file, pieces) = ColumnFile::from_bytes(name, bytes, &wanted(), &Arc::default()).unwrap();
        let mut row = 0_u32;
        let parts = pieces_apart(&file, pieces);
        assert!(parts.len() > 1);
        for (first, numbers) in parts {
            assert_eq!(first, u64::from(row) + 1);
            for number in numbers {
                assert_eq!(number.to_bits(), f64::from(row).to_bits());
                row += 1;
            }
        }
        assert_eq!(row, rows);
    }
}

#[test]
fn pieces_of_wide_files_have_fewer_rows() {
    let lengths = |columns: u32| {
        let one = Column::new("n".into(), (0..100_000).collect::<Vec<i32>>());
        let column = |i: u32| one.clone().with_name(if i == 0 { "n".into() } else { format!("n{i}").into() });
        let mut frame = DataFrame::new(100_000, (0..columns).map(column).collect()).unwrap();
        let names: Vec<String> = frame.get_column_names().iter().map(ToString::to_string).collect();
        let (file, pieces) =
            ColumnFile::from_bytes("x", parquet(&mut frame, 100_000), &names, &Arc::default()).unwrap();
        let parts = pieces_apart(&file, pieces);
        let read: Vec<f64> = parts.iter().flat_map(|(_, numbers)| numbers.clone()).collect();
        assert_eq!(read, (0..100_000).map(f64::from).collect::<Vec<_>>());
        parts.iter().map(|(_, numbers)| numbers.len()).max()
    };
    assert!(lengths(2) > Some(65_000), "{:?}", lengths(2));
    assert!(lengths(300) <= Some(4 * 64 * 65_536 / 300), "{:?}", lengths(300));
}
