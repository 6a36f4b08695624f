//! A mapping that stands in a CSV file: `importance: {file: weights.csv, feature: name, weight: gain}` becomes the mapping of one column to the
//! other before anything else reads it. Each value keeps the file and line where it stands.

use std::collections::HashSet;
use std::path::Path;

use super::error::{Position, Sink};
use super::tree::{Entry, Node, Value, join};
use super::units;

/// Reads the text of a file that a document names; an error in a sentence.
pub type ReadFile<'r> = &'r dyn Fn(&Path) -> Result<String, String>;

const FILE: &str = "file";
/// More rows are no table of features.
const MOST_ROWS: usize = 100_000;

/// Which mapping of the document may be in a file.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// The key of the document, at its top.
    pub key: &'static str,
    /// The keys that name the file's columns, and the columns that are read without them.
    pub name: &'static str,
    pub value: &'static str,
}

impl Table {
    /// Whether the document has it in a file: `file` of the mapping is a text and no number.
    pub(super) fn is_in(self, root: &Node) -> bool {
        self.place(root).is_some_and(|entries| file(entries).is_some())
    }

    fn place(self, root: &Node) -> Option<&[Entry]> {
        let Value::Map(entries) = &root.value else { return None };
        match &entries.iter().find(|e| e.key == self.key)?.value.value {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// Puts the file's rows in the place of its name. `None` after a report.
    pub(super) fn fill(self, root: &mut Node, folder: &Path, read: ReadFile<'_>, sink: &Sink) -> Option<()> {
        let entries = self.place(root)?.to_vec();
        let (name, at) = file(&entries)?;
        let report = |at: Position, key: &str, message: String| sink.report(at, join(self.key, key), message);
        for entry in entries.iter().filter(|e| ![FILE, self.name, self.value].contains(&e.key.as_str())) {
            let message = format!(
                "unknown key `{}` beside `file`; known here: `file`, `{}`, `{}`",
                entry.key, self.name, self.value
            );
            report(entry.at, &entry.key, message);
        }
        let column = |key: &str| match entries.iter().find(|e| e.key == key).map(|e| &e.value) {
            None => Some((key.to_owned(), at)),
            Some(Node { value: Value::Scalar { text, .. }, at }) if !text.trim().is_empty() => {
                Some((text.clone(), *at))
            }
            Some(node) => {
                report(node.at, key, "expected the name of a column of the file".to_owned());
                None
            }
        };
        let (names, values) = (column(self.name), column(self.value));
        let (names, values) = (names?, values?);
        let path = folder.join(&name);
        let read = read(&path).map_err(|why| format!("{} cannot be read: {why}", path.display()));
        let rows = read.and_then(|text| {
            let rows = records(&text).map_err(|(line, why)| format!("{}:{line}: {why}", path.display()))?;
            let is_empty = || format!("{} is empty: its first line names the columns", path.display());
            if rows.is_empty() { Err(is_empty()) } else { Ok(rows) }
        });
        let rows = rows.map_err(|why| report(at, FILE, why)).ok()?;
        let ((_, head), rows) = rows.split_first()?;
        let place = |(column, at): &(String, Position), key: &str| {
            head.iter().position(|known| known == column).or_else(|| {
                let known: Vec<&str> = head.iter().map(String::as_str).collect();
                let known = super::known_names(column, known.iter().copied());
                report(*at, key, format!("{} has no column {}; {known}", path.display(), units::quote(column)));
                None
            })
        };
        let (names, values) = (place(&names, self.name), place(&values, self.value));
        let (names, values) = (names?, values?);
        let mut node = sink.within(&path, |number| {
            let mut node = self.rows(rows, names, values, sink)?;
            node.place_in(number);
            Some(node)
        })?;
        node.at = at;
        if let Value::Map(all) = &mut root.value
            && let Some(entry) = all.iter_mut().find(|e| e.key == self.key)
        {
            entry.value = node;
        }
        Some(())
    }

    /// The rows as a mapping; a name that stands twice is reported.
    fn rows(self, rows: &[Record], names: usize, values: usize, sink: &Sink) -> Option<Node> {
        let (mut entries, mut seen, mut is_whole) = (Vec::new(), HashSet::new(), true);
        for (line, row) in rows {
            let at = Position { line: *line, column: 1, file: 0 };
            let (Some(name), Some(value)) = (row.get(names), row.get(values)) else {
                sink.report(at, self.key, format!("{} columns: write as many as the first line names", row.len()));
                is_whole = false;
                continue;
            };
            if !seen.insert(name.as_str()) {
                sink.report(at, join(self.key, name), format!("{} stands twice: keep one row", units::quote(name)));
                is_whole = false;
                continue;
            }
            let value = Value::Scalar { text: value.trim().to_owned(), plain: true };
            entries.push(Entry { key: name.clone(), at, value: Node { value, at } });
        }
        is_whole.then_some(Node { value: Value::Map(entries), at: Position { line: 1, column: 1, file: 0 } })
    }
}

/// The file's name, and where it stands.
fn file(entries: &[Entry]) -> Option<(String, Position)> {
    let entry = entries.iter().find(|e| e.key == FILE)?;
    match &entry.value.value {
        Value::Scalar { text, .. } if !entry.value.is_null() && units::number(text).is_err() => {
            Some((text.clone(), entry.value.at))
        }
        _ => None,
    }
}

/// A record behind the line that it starts in.
type Record = (usize, Vec<String>);

/// The records of a CSV text by RFC 4180; empty lines are none.
fn records(text: &str) -> Result<Vec<Record>, (usize, &'static str)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mut all, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
    let (mut line, mut start, mut quoted, mut was_quoted) = (1, 1, false, false);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' if quoted && rest.peek() == Some(&'"') => {
                rest.next();
                cell.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if cell.is_empty() && !was_quoted => (quoted, was_quoted) = (true, true),
            ',' if !quoted => {
                row.push(std::mem::take(&mut cell));
                was_quoted = false;
            }
            '\r' if !quoted && rest.peek() == Some(&'\n') => {}
            '\n' if !quoted => {
                line += 1;
                if !(row.is_empty() && cell.is_empty() && !was_quoted) {
                    row.push(std::mem::take(&mut cell));
                    all.push((start, std::mem::take(&mut row)));
                }
                (start, was_quoted) = (line, false);
            }
            c => {
                line += usize::from(c == '\n');
                cell.push(c);
            }
        }
        if all.len() > MOST_ROWS {
            return Err((line, "more than 100000 rows: write one row per feature"));
        }
    }
    if quoted {
        return Err((start, "a quote is not closed"));
    }
    if !(row.is_empty() && cell.is_empty() && !was_quoted) {
        row.push(cell);
        all.push((start, row));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_those_of_rfc_4180() {
        let rows = |text: &str| records(text);
        let row = |line: usize, cells: &[&str]| (line, cells.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>());
        assert_eq!(rows("a,b\r\n1,2\r\n").unwrap(), [row(1, &["a", "b"]), row(2, &["1", "2"])]);
        assert_eq!(
            rows("\u{feff}a\n\n\"x, \"\"y\"\"\nz\",3").unwrap(),
            [row(1, &["a"]), row(3, &["x, \"y\"\nz", "3"])]
        );
        assert_eq!(rows("a,\n,b").unwrap(), [row(1, &["a", ""]), row(2, &["", "b"])]);
        assert_eq!(rows("").unwrap(), []);
        assert_eq!(rows("a\n\"b").unwrap_err(), (2, "a quote is not closed"));
    }
}
