//! Files as people have them: a file, a folder of files, or a pattern, in a defined order.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use glob::{MatchOptions, glob_with};

use super::files::{ENDINGS, FileKind};
use super::tables::{Unlisted, files_below, table_above};

/// `*` matches within a name, and no hidden one.
const MATCH: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

#[derive(Debug, thiserror::Error)]
pub enum ManyError {
    #[error("{name} cannot be read: {cause}")]
    Read { name: String, cause: String },
    #[error("the folder {name} holds no event file: their names end in {ENDINGS})")]
    Empty { name: String },
    #[error("no file matches {name}")]
    NoMatch { name: String },
    #[error("{name} is no pattern: {cause}")]
    Pattern { name: String, cause: String },
    #[error("the folder {name} cannot be read: {why}")]
    Table { name: String, why: String },
    #[error(
        "{name} matches files of the table {table}, whose log says which of them count: name the table's folder, not its files"
    )]
    OfTable { name: String, table: String },
    #[error("{name} is named twice: its events would count twice; name it once")]
    Twice { name: String },
}

/// The files that are named: a file as it is; of a folder all event files in it and in its folders; of a pattern (`*`, `?`, `[a-c]`, `**`
/// for any folders) all that match, folders likewise. What is named first comes first; within a folder or a pattern, files are in the order
/// of their paths, by the bytes of each part. Names that begin with `.` or `_` within a folder are passed over.
///
/// # Errors
/// What is not there, a folder or pattern without a file, and a file that is named twice.
pub fn files<P: AsRef<Path>>(named: &[P]) -> Result<Vec<PathBuf>, ManyError> {
    let mut all = Vec::new();
    for named in named.iter().map(AsRef::as_ref) {
        let name = || named.display().to_string();
        if named == Path::new("-") {
            all.push(named.to_owned());
        } else if named.is_dir() {
            let before = all.len();
            folder(named, &mut all)?;
            if all.len() == before {
                return Err(ManyError::Empty { name: name() });
            }
        } else if named.exists() || !name().contains(['*', '?', '[']) {
            // What is not there is told by who opens it.
            all.push(named.to_owned());
        } else {
            let before = all.len();
            matching(&name(), &mut all)?;
            if all.len() == before {
                return Err(ManyError::NoMatch { name: name() });
            }
        }
    }
    let mut seen = BTreeSet::new();
    match all.iter().find(|path| !seen.insert(path.canonicalize().unwrap_or_else(|_| (*path).clone()))) {
        Some(twice) => Err(ManyError::Twice { name: twice.display().to_string() }),
        None => Ok(all),
    }
}

/// The event files of a folder and its folders.
fn folder(of: &Path, all: &mut Vec<PathBuf>) -> Result<(), ManyError> {
    let below = files_below(of).map_err(|e| match e {
        Unlisted::Unreadable { folder, source } => {
            ManyError::Read { name: folder.display().to_string(), cause: source.to_string() }
        }
        Unlisted::Table { folder, why } => ManyError::Table { name: folder.display().to_string(), why },
    })?;
    all.extend(below.into_iter().filter(|path| FileKind::of(path).is_ok()));
    Ok(())
}

/// Whatever matches a pattern, files and folders, in the order of their paths.
#[must_use]
pub fn matching_paths(pattern: &str) -> Vec<PathBuf> {
    glob_with(pattern, MATCH).map(|found| found.flatten().collect()).unwrap_or_default()
}

/// What matches a pattern.
fn matching(pattern: &str, all: &mut Vec<PathBuf>) -> Result<(), ManyError> {
    // `**.jsonl` means the same as `**/*.jsonl`.
    let parts = pattern.split('/').map(|part| match part.strip_prefix("**") {
        Some(rest) if !rest.is_empty() => format!("**/*{rest}"),
        _ => part.to_owned(),
    });
    let whole = parts.collect::<Vec<_>>().join("/");
    let paths =
        glob_with(&whole, MATCH).map_err(|e| ManyError::Pattern { name: pattern.to_owned(), cause: e.to_string() })?;
    let unreadable =
        |e: glob::GlobError| ManyError::Read { name: e.path().display().to_string(), cause: e.error().to_string() };
    let mut found = paths.collect::<Result<Vec<PathBuf>, _>>().map_err(unreadable)?;
    found.sort_unstable();
    let folders: BTreeSet<PathBuf> = found.iter().filter(|path| path.is_dir()).cloned().collect();
    let mut known = BTreeMap::new();
    for path in found {
        // Of a folder that matches, all files come at once.
        if path.ancestors().skip(1).any(|above| folders.contains(above)) {
            continue;
        }
        let table =
            known.entry(path.parent().map(Path::to_owned)).or_insert_with(|| table_above(&path).map(Path::to_owned));
        if let Some(table) = table {
            return Err(ManyError::OfTable { name: pattern.to_owned(), table: table.display().to_string() });
        }
        if folders.contains(&path) {
            folder(&path, all)?;
        } else {
            all.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::listing;

    fn made(names: &[&str]) -> tempfile::TempDir {
        listing::made(names, "")
    }

    fn found(of: &tempfile::TempDir, named: &[&str]) -> Result<Vec<String>, String> {
        let named: Vec<PathBuf> = named.iter().map(|name| of.path().join(name)).collect();
        let found = files(&named).map_err(|e| e.to_string().replace(&of.path().display().to_string(), ""))?;
        Ok(found.iter().map(|path| path.strip_prefix(of.path()).unwrap().display().to_string()).collect())
    }

    const NAMES: [&str; 9] = [
        "logs/2026-02/b.jsonl.gz",
        "logs/2026-02/a.jsonl.gz",
        "logs/2026-01/x/c.jsonl.gz",
        "logs/2025-12/d.jsonl.gz",
        "logs/2026-01/_SUCCESS",
        "logs/2026-01/.hidden.jsonl",
        "more/readme.md",
        "more/e.parquet",
        "none/readme.md",
    ];

    #[test]
    fn folders_and_patterns_give_files_in_the_order_of_their_paths() {
        let of = made(&NAMES);
        let expected = ["logs/2026-01/x/c.jsonl.gz", "logs/2026-02/a.jsonl.gz", "logs/2026-02/b.jsonl.gz"];
        for pattern in ["logs/2026-*/**.jsonl.gz", "logs/2026-*/**/*.jsonl.gz", "logs/2026-*", "logs/2026-0[12]"] {
            assert_eq!(found(&of, &[pattern]).unwrap(), expected, "{pattern}");
        }
        let both = found(&of, &["more/", "logs"]).unwrap();
        assert_eq!(both, ["more/e.parquet", "logs/2025-12/d.jsonl.gz", expected[0], expected[1], expected[2]]);
        assert_eq!(found(&of, &["logs/2026-02/?.jsonl.gz", "nowhere.csv"]).unwrap().len(), 3, "who opens it tells");
        assert_eq!(files(&["-"]).unwrap(), [PathBuf::from("-")]);
    }

    #[test]
    fn files_of_a_table_are_not_taken_by_a_pattern() {
        let of = made(&[
            "lake/_delta_log/0.json",
            "lake/a.parquet",
            "lake/c=1/b.parquet",
            "deep/t/metadata/v1.metadata.json",
        ]);
        for pattern in ["lake/*.parquet", "lake/*", "lake/c=*", "lake/c=1/?.parquet", "l*/**.parquet"] {
            let said = found(&of, &[pattern]).unwrap_err();
            assert!(said.contains("matches files of the table /lake, whose log says"), "{pattern}: {said}");
        }
        for named in ["lake", "lake/c=1", "deep", "d*"] {
            let said = found(&of, &[named]).unwrap_err();
            let is_told = ["is a Delta table", "is an Iceberg table", "lies in the table"];
            assert!(is_told.iter().any(|told| said.contains(told)), "{named}: {said}");
        }
        assert_eq!(found(&of, &["lake/a.parquet"]).unwrap(), ["lake/a.parquet"], "one file is meant as it is");
    }

    #[test]
    fn what_names_no_file_or_one_twice_is_told() {
        let of = made(&NAMES);
        assert!(found(&of, &["none"]).unwrap_err().starts_with("the folder /none holds no event file"));
        assert_eq!(found(&of, &["logs/2027-*"]).unwrap_err(), "no file matches /logs/2027-*");
        assert!(found(&of, &["more/[.csv"]).unwrap_err().starts_with("/more/[.csv is no pattern"));
        let twice = found(&of, &["logs", "logs/2026-02/a*"]).unwrap_err();
        assert!(twice.starts_with("/logs/2026-02/a.jsonl.gz is named twice"), "{twice}");
    }
}
