//! Columns that stand in the path of a file of a partitioned dataset, as Hive and Spark write them: `version=3/day=2026-01-01/part.parquet`. A column
//! that the file has itself is the file's.

mod line;

use std::path::Path;

use percent_encoding::percent_decode_str;

use self::line::{FEATURES, Line};
use super::columns::values::parse_number;
use driftgate_core::event::{Field, FieldMap};
use driftgate_core::schema::{Schema, canonical_number};

/// What Hive and Spark write for null.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// A column with one value in all of a file's rows; `None` is null.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionColumn {
    pub name: String,
    pub value: Option<String>,
}

/// The columns of a path's folders, in their order; of a name that comes twice, the last.
#[must_use]
pub fn of(path: &Path) -> Vec<PartitionColumn> {
    let mut columns: Vec<PartitionColumn> = Vec::new();
    let folders = path.parent().into_iter().flat_map(Path::components);
    for folder in folders.filter_map(|folder| folder.as_os_str().to_str()) {
        let Some((name, value)) = folder.split_once('=').filter(|(name, _)| !name.is_empty()) else { continue };
        let (Ok(name), Ok(value)) = (percent_decode_str(name).decode_utf8(), percent_decode_str(value).decode_utf8())
        else {
            continue;
        };
        columns.retain(|column| column.name != name);
        let value = Some(value.into_owned()).filter(|value| value != NULL);
        columns.push(PartitionColumn { name: name.into_owned(), value });
    }
    columns
}

/// The end of the hour, in ms since 1970, that a path's folders name as `SageMaker` lays them out (`yyyy/mm/dd/hh`, UTC): what lies there was
/// collected by then.
#[must_use]
pub fn hour_of(path: &Path) -> Option<i64> {
    let folders: Vec<&str> = path.parent()?.iter().map(|folder| folder.to_str().unwrap_or_default()).collect();
    folders.windows(4).rev().find_map(|folders| {
        let [year, month, day, hour] = folders else { return None };
        let number = |text: &str, digits| (text.len() == digits).then(|| text.parse::<i8>().ok()).flatten();
        let year = Some(year).filter(|year| year.len() == 4).and_then(|year| year.parse::<i16>().ok())?;
        let begins =
            jiff::civil::Date::new(year, number(month, 2)?, number(day, 2)?).ok()?.at(0, 0, 0, 0).in_tz("UTC").ok()?;
        let hour = number(hour, 2).filter(|hour| (0..24).contains(hour))?;
        Some(begins.timestamp().as_millisecond() + (i64::from(hour) + 1) * 3_600_000)
    })
}

/// The columns of a file of JSON lines as members that are put into each line: fields at its top, all else among the features.
#[derive(Clone, Debug, Default)]
pub struct Members {
    top: Vec<Member>,
    features: Vec<Member>,
}

#[derive(Clone, Debug)]
struct Member {
    /// The name in quotes.
    name: Vec<u8>,
    /// Name and value, with a comma behind them.
    written: Vec<u8>,
}

impl Members {
    /// Those of a path, where fields stand as `fields` say, for events of this schema.
    #[must_use]
    pub fn of(path: &Path, fields: &FieldMap, schema: &Schema) -> Self {
        let mut members = Self::default();
        for PartitionColumn { name, value } in of(path) {
            // Classes are fields of a model that has some.
            let is_read =
                |field: &Field| !matches!(field, Field::Prediction | Field::Scores) || !schema.classes.is_empty();
            let field = Field::ALL.iter().find(|field| is_read(field) && fields.column(**field) == name);
            let is_text = matches!(field, Some(Field::Version | Field::PredictionId | Field::Model));
            let quoted = serde_json::to_string(&name).unwrap_or_default();
            let value = match value {
                None => "null".to_owned(),
                Some(value) => number(&value)
                    .filter(|_| !is_text && (field.is_some() || schema.numeric.contains(&name)))
                    .unwrap_or_else(|| serde_json::to_string(&value).unwrap_or_default()),
            };
            let member = Member { written: format!("{quoted}:{value},").into_bytes(), name: quoted.into_bytes() };
            if field.is_some() { members.top.push(member) } else { members.features.push(member) }
        }
        members
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.top.is_empty() && self.features.is_empty()
    }

    /// The line with the members that it does not name itself, in `scratch`; the line as it is where it is no object with members.
    #[must_use]
    pub fn put<'l>(&self, line: &'l [u8], scratch: &'l mut Vec<u8>) -> &'l [u8] {
        let Some(rest) = behind(line, b'{').filter(|rest| rest.trim_ascii_start().first() == Some(&b'"')) else {
            return line;
        };
        let found = Line::of(line);
        scratch.clear();
        scratch.push(b'{');
        let write = |member: &Member, out: &mut Vec<u8>| out.extend_from_slice(&member.written);
        self.top.iter().filter(|member| !found.has(&member.name)).for_each(|member| write(member, scratch));
        let add = |out: &mut Vec<u8>| {
            self.features
                .iter()
                .filter(|member| !found.has_feature(&member.name))
                .for_each(|member| write(member, out));
        };
        let within = found.within.and_then(|at| line.get(at..));
        match within {
            _ if self.features.is_empty() => scratch.extend_from_slice(rest),
            Some(within) => {
                scratch.extend_from_slice(rest.get(..rest.len() - within.len()).unwrap_or(&[]));
                add(scratch);
                if within.trim_ascii_start().first() == Some(&b'}') {
                    // Nothing follows the last comma.
                    scratch.truncate(scratch.trim_ascii_end().len());
                    scratch.pop_if(|last| *last == b',');
                }
                scratch.extend_from_slice(within);
            }
            None => {
                scratch.extend_from_slice(FEATURES);
                scratch.extend_from_slice(b":{");
                add(scratch);
                scratch.pop_if(|last| *last == b',');
                scratch.extend_from_slice(b"},");
                scratch.extend_from_slice(rest);
            }
        }
        scratch
    }
}

/// What follows this byte, if it comes first but for white space.
fn behind(text: &[u8], byte: u8) -> Option<&[u8]> {
    text.trim_ascii_start().strip_prefix(&[byte])
}

/// A text that CSV reads as a number, as JSON writes it.
fn number(text: &str) -> Option<String> {
    let x = parse_number(text);
    let mut written = String::new();
    x.is_finite().then(|| canonical_number(x, &mut written))?;
    Some(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(path: &str) -> Vec<(String, Option<String>)> {
        of(Path::new(path)).into_iter().map(|column| (column.name, column.value)).collect()
    }

    #[test]
    fn folders_of_a_path_are_columns() {
        let some = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
        assert_eq!(
            columns("/data/version=3/day=2026-01-01/part.parquet"),
            [some("version", "3"), some("day", "2026-01-01")]
        );
        assert_eq!(columns("a=1/b%20c=x%3Dy/a=2/f=9.csv"), [some("b c", "x=y"), some("a", "2")]);
        assert_eq!(columns("a=__HIVE_DEFAULT_PARTITION__/=3/b=/x"), [("a".to_owned(), None), some("b", "")]);
        assert_eq!(columns("a=%ff/x"), []);
        assert_eq!(columns("x.csv"), []);
    }

    #[test]
    fn the_folders_of_an_hour_say_when_it_ends() {
        let hour = |path: &str| hour_of(Path::new(path));
        let end = "2026-11-29T00:00:00Z".parse::<jiff::Timestamp>().unwrap().as_millisecond();
        assert_eq!(hour("/truth/2026/11/28/23/labels.jsonl"), Some(end));
        assert_eq!(hour("2025/01/02/03/2026/11/28/23/x.jsonl.gz"), Some(end), "the last one");
        assert_eq!(hour("2026/11/28/23/more/x.jsonl"), Some(end));
        for other in
            ["2026/11/28/x.jsonl", "2026/11/28/24/x.jsonl", "2026/02/30/01/x.jsonl", "26/11/28/01/x.jsonl", "x"]
        {
            assert_eq!(hour(other), None, "{other}");
        }
    }

    #[test]
    fn lines_get_the_members_that_they_do_not_have() {
        let schema = Schema { numeric: vec!["hour".into(), "n".into()], ..Schema::default() };
        let of = |path: &str| Members::of(Path::new(path), &FieldMap::default(), &schema);
        let members = of("version=1.10/hour=07/site=007/x.jsonl");
        let mut scratch = Vec::new();
        let mut put = |line: &str| String::from_utf8(members.put(line.as_bytes(), &mut scratch).to_vec()).unwrap();
        assert_eq!(put(r#" {"a": 1}"#), r#"{"version":"1.10","features":{"hour":7,"site":"007"},"a": 1}"#);
        assert_eq!(
            put(r#"{"features" : {"x":1}}"#),
            r#"{"version":"1.10","features" : {"hour":7,"site":"007","x":1}}"#
        );
        assert_eq!(
            put(r#"{"features":{ }, "b":2}"#),
            r#"{"version":"1.10","features":{"hour":7,"site":"007" }, "b":2}"#
        );
        assert_eq!(
            put(r#"{"version":"2","features":{"site":"x"}}"#),
            r#"{"version":"2","features":{"hour":7,"site":"x"}}"#
        );
        for other in ["", "[1]", "{}", "{", "nope"] {
            assert_eq!(put(other), other);
        }
        // Values and members of members are none of the line's own.
        assert_eq!(
            put(r#"{"kind":"features","note":{"version":1,"hour":2},"features":{"x":{"site":1}}}"#),
            r#"{"version":"1.10","kind":"features","note":{"version":1,"hour":2},"features":{"hour":7,"site":"007","x":{"site":1}}}"#
        );
        assert_eq!(
            put(r#"{"a":"\"features\":{"}"#),
            r#"{"version":"1.10","features":{"hour":7,"site":"007"},"a":"\"features\":{"}"#
        );
        assert_eq!(put(r#"{"hour":3}"#), r#"{"version":"1.10","features":{"site":"007"},"hour":3}"#);
        assert!(of("x.jsonl").is_empty());
        let top = of("version=3/x.jsonl");
        assert_eq!(top.put(br#"{"a":1}"#, &mut Vec::new()), br#"{"version":"3","a":1}"#);
    }
}
