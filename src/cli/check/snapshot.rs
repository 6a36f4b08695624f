//! The training snapshot that a policy leads to, where it is at hand: its columns beside what the policy names, and the
//! baseline that it would give.

use std::path::Path;

use crate::snapshot;
use crate::source::columns::reader::ColumnReader;
use crate::source::columns::{FileRows, folder, quoted};
use crate::stores::Stores;
use driftgate_core::baseline::Baseline;
use driftgate_core::policy::Policy;
use driftgate_core::policy::lint::Lint;
use driftgate_core::yaml::nearest;

/// Larger files are not read for advice.
const LARGEST: u64 = 256 << 20;

/// What a snapshot says of a policy.
#[derive(Default)]
pub struct Found {
    pub baseline: Option<Baseline>,
    pub lints: Vec<Lint>,
}

/// Reads the snapshot of a version, at a place as the policy names it.
pub fn read(policy: &Policy, version: &str, location: &str) -> Found {
    let path = policy.directory.join(location);
    if !size(&path).is_ok_and(|size| size <= LARGEST) {
        return Found::default();
    }
    let lints = columns(policy, &path, location).unwrap_or_else(|e| vec![lint("baseline.snapshot", e)]);
    if !lints.is_empty() {
        return Found { baseline: None, lints };
    }
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    match snapshot::load_on(policy, version, location, threads, &Stores::default(), snapshot::Reach::Anything) {
        Ok(baseline) => Found { baseline: Some(baseline), lints },
        Err(errors) => {
            let lints = errors.0.iter().map(|e| lint(e.key(), e.to_string())).collect();
            Found { baseline: None, lints }
        }
    }
}

/// Bytes of a file, or of the files of a folder.
fn size(path: &Path) -> std::io::Result<u64> {
    let bytes = |path: &Path| std::fs::metadata(path).map(|found| found.len());
    if !path.is_dir() {
        return bytes(path);
    }
    // What is wrong with a folder is told by who opens it.
    folder::files(path).unwrap_or_default().iter().map(|file| bytes(&file.path)).sum()
}

fn lint(path: &str, message: String) -> Lint {
    Lint { path: path.to_owned(), message }
}

/// What the file's columns are not, by their names and by the first rows.
fn columns(policy: &Policy, path: &Path, location: &str) -> Result<Vec<Lint>, String> {
    if is_baseline(path) {
        return Ok(Vec::new());
    }
    let (_, needed) = snapshot::columns_of(policy);
    let names = ColumnReader::open(path, &[]).map_err(|e| e.to_string())?.columns().to_vec();
    let mut reader = ColumnReader::open(path, &names).map_err(|e| e.to_string())?;
    let rows = reader.next().map_err(|e| e.to_string())?;
    let nested = nested(&names, rows.as_ref());
    let mut lints = Vec::new();
    for (column, role) in needed {
        if !names.contains(&column) {
            lints.push(lint(role, absent(&column, location, &names, &nested)));
        } else if let Some(why) = rows.as_ref().and_then(|rows| unfit(rows, &column, role)) {
            lints.push(lint(role, format!("column {column:?} of the snapshot {location} {why}")));
        }
    }
    Ok(lints)
}

fn is_baseline(path: &Path) -> bool {
    use std::io::Read as _;
    let mut start = vec![0; driftgate_core::codec::envelope::IDENTITY];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && driftgate_core::codec::envelope::is(driftgate_core::baseline::KIND, &start)
}

/// Columns of columns (structs, lists), with their types.
fn nested<'n>(names: &'n [String], rows: Option<&FileRows>) -> Vec<(&'n str, String)> {
    let kind = |name: &'n String| {
        let cells = rows?.cells(name).ok().flatten()?;
        cells.is_nested().then(|| (name.as_str(), cells.holds()))
    };
    names.iter().filter_map(kind).collect()
}

fn absent(column: &str, location: &str, names: &[String], nested: &[(&str, String)]) -> String {
    let same = names.iter().find(|name| name.trim().eq_ignore_ascii_case(column.trim()));
    let hint = match same.map(String::as_str).or_else(|| nearest(column, names.iter().map(String::as_str))) {
        Some(name) => format!("did you mean {name:?}?"),
        None => format!("its columns are {}", quoted(names)),
    };
    let nested = nested.first().map_or_else(String::new, |(name, holds)| {
        format!("; {name:?} is nested ({holds}): write what is in it as columns of their own")
    });
    format!("the snapshot {location} has no column {column:?}; {hint}{nested}")
}

/// Why a column cannot be what the policy says it is.
fn unfit(rows: &FileRows, column: &str, role: &str) -> Option<String> {
    let cells = rows.cells(column).ok().flatten()?;
    if cells.is_nested() {
        return Some(format!("is nested ({}): write what is in it as columns of their own", cells.holds()));
    }
    let numeric = matches!(role, "features.numeric" | "baseline.columns.score");
    if !numeric {
        return None;
    }
    let remedy = if role == "features.numeric" { ", or list it under features.categorical" } else { "" };
    if !cells.is_numeric() {
        return Some(format!("holds {}: write numbers{remedy}", cells.holds()));
    }
    let mut numbers = Vec::new();
    cells.numbers(&mut numbers);
    let row = numbers.iter().position(|x| driftgate_core::event::numeric::is_invalid(*x))?;
    let first = rows.first + row as u64;
    Some(format!("holds {} in row {first}, which is no number: write numbers{remedy}", cells.show(row)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(policy: &str, file: &str, text: &str) -> Found {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(file), text).unwrap();
        let policy = format!("apiVersion: driftgate/v1\nmodel: m\nbaseline: {{snapshot: {file}{policy}");
        let policy =
            driftgate_core::policy::parse(&policy, &folder.path().join("p.yaml")).unwrap_or_else(|e| panic!("{e}"));
        read(&policy, "1", file)
    }

    const REST: &str = "}\nfeatures: {numeric: [age, amount], categorical: [country]}\nchecks: {d: {window: {size: 1h, slide: 1h}, rules: [psi: {of: features, lt: 0.2}]}}\n";

    #[test]
    fn columns_that_are_missing_or_of_another_type_are_named_all_at_once() {
        let good = "age,amount,country,extra_age\n1,2.5,DE,9\n2,NA,FR,9\n";
        let read = found(REST, "t.csv", good);
        assert!(read.lints.is_empty() && read.baseline.is_some(), "columns that no policy names are no matter");
        let read = found(REST, "t.csv", "agee,Amount,country\n1,2,DE\n");
        let messages: Vec<&str> = read.lints.iter().map(|l| l.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "the snapshot t.csv has no column \"age\"; did you mean \"agee\"?",
                "the snapshot t.csv has no column \"amount\"; did you mean \"Amount\"?"
            ]
        );
        assert!(read.lints.iter().all(|l| l.path == "features.numeric") && read.baseline.is_none());
        let read = found(REST, "t.csv", "age,amount,x\n1,2,DE\nhigh,3,FR\n");
        let messages: Vec<&str> = read.lints.iter().map(|l| l.message.as_str()).collect();
        assert_eq!(messages.len(), 2, "{messages:?}");
        assert!(
            messages[0].contains("column \"age\" of the snapshot t.csv holds") && messages[0].contains("in row 2"),
            "{messages:?}"
        );
        assert!(
            messages[1].contains("no column \"country\"; its columns are \"age\", \"amount\", \"x\""),
            "{messages:?}"
        );
    }
}
