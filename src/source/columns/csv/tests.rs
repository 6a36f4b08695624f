use std::fmt::Write as _;
use std::io::Cursor;

use super::*;

impl CsvBlocks {
    fn next(&mut self) -> Result<Option<DataFrame>, String> {
        let Some((block, rows)) = self.cut()? else { return Ok(None) };
        let (frame, malformed) = self.parser.parse(&block)?;
        assert_eq!((frame.height() as u64, malformed), (rows, Vec::new()));
        Ok(Some(frame))
    }
}

/// The first column's texts and the errors of malformed records, of a whole file.
fn read(text: &str) -> (Vec<Option<String>>, Vec<String>) {
    let (mut blocks, columns) = CsvBlocks::open(Box::new(Cursor::new(text.to_owned().into_bytes()))).unwrap();
    let columns = columns.into_iter().enumerate().collect();
    blocks.project(columns, Arc::default());
    let (mut texts, mut said) = (Vec::new(), Vec::new());
    while let Some((block, rows)) = blocks.cut().unwrap() {
        let before = texts.len();
        let (frame, malformed) = blocks.parser.parse(&block).unwrap();
        texts.extend(frame.column("id").unwrap().str().unwrap().iter().map(|t| t.map(str::to_owned)));
        assert_eq!((texts.len() - before) as u64, rows);
        for Malformed { row, why } in malformed {
            assert_eq!(texts[before + row], None, "{why}");
            said.push(why);
        }
    }
    (texts, said)
}

#[test]
fn a_stray_quote_costs_its_record_and_says_its_line() {
    let good = |i: usize| format!("r{i},{i},\"note, {i}\"\n");
    for (bad, why) in [
        ("x,5\" disc,y\n", "a quote stands inside a field"),
        ("x,1,\"never closed\n", "text follows the quote"),
        ("x,\"a\"b,y\n", "text follows the quote"),
        ("x,\"1,y\n", "text follows the quote"),
        ("\"x,1,y\n", "text follows the quote"),
        ("x,1,y,z\n", "the record has 4 fields, the header 3"),
    ] {
        let text = format!("id,n,note\n{}{}{bad}{}{}", good(0), good(1), good(2), good(3));
        let (ids, said) = read(&text);
        let expected = [Some("r0"), Some("r1"), None, Some("r2"), Some("r3")];
        assert_eq!(ids, expected.map(|t| t.map(str::to_owned)), "{bad}");
        assert!(said.len() == 1 && said[0].starts_with("line 4: ") && said[0].contains(why), "{bad} {said:?}");
    }
    // Nothing closes it, in the last record and before others without quotes.
    for (text, line) in [("id,n\na,1\nb,\"2\n", 3), ("id,n\n\nb,\"2\nc,3\nd,4", 3)] {
        let (ids, said) = read(text);
        assert_eq!(ids.iter().filter(|id| id.is_none()).count(), 1);
        assert!(ids.len() > 1 && said.len() == 1 && said[0].starts_with(&format!("line {line}: ")), "{said:?}");
    }
    // A text in quotes may hold lines; not so many that the record is another one then.
    let (ids, said) = read("id,n\na,\"1\n2\"\nb,\"3\nc,4\"\nd,5\n");
    assert_eq!((ids.len(), said), (3, Vec::new()));
    let (ids, said) = read("id,n,m\na,\"1,x\nb,2,\"\nd,5,6\n");
    assert_eq!((ids.iter().flatten().map(String::as_str).collect::<Vec<_>>(), said.len()), (vec!["d"], 2), "{said:?}");
}

#[test]
fn quotes_in_pairs_inside_a_field_are_its_text() {
    let (ids, said) = read("id,n\nsaid \"hi\",1\n a \"b\" c,2\n");
    assert_eq!(ids, [Some("said \"hi\"".to_owned()), Some(" a \"b\" c".to_owned())]);
    assert!(said.is_empty());
}

#[test]
fn lines_may_end_with_carriage_returns_alone() {
    let (ids, said) = read("id,n\ra,1\r\rb,\"x\ry\"\r");
    assert_eq!((ids, said), (vec![Some("a".to_owned()), Some("b".to_owned())], Vec::new()));
}

#[test]
fn blocks_keep_every_row() {
    let mut text = String::from("\u{feff}id,note\r\n");
    for i in 0..400_000 {
        let _ = write!(text, "{i},\"line one\nline \"\"two\"\", {i}\"\r\n");
    }
    assert!(text.len() > 2 * BLOCK);
    let (mut blocks, columns) = CsvBlocks::open(Box::new(Cursor::new(text.into_bytes()))).unwrap();
    assert_eq!(columns, ["id", "note"]);
    blocks.project(vec![(0, "id".to_owned()), (1, "note".to_owned())], Arc::default());
    let mut row = 0;
    while let Some(frame) = blocks.next().unwrap() {
        let (ids, notes) = (frame.column("id").unwrap(), frame.column("note").unwrap());
        for (id, note) in ids.str().unwrap().iter().zip(notes.str().unwrap().iter()) {
            assert_eq!(id, Some(row.to_string().as_str()));
            assert_eq!(note, Some(format!("line one\nline \"two\", {row}").as_str()));
            row += 1;
        }
    }
    assert_eq!(row, 400_000);
}
