//! YAML with positions: a tree that remembers where every value was written, a reader that collects every
//! error in it, and the units (durations, sizes, times) that policies and the daemon's configuration share.
//! What the keys mean is not decided here.

mod read;
mod tree;
pub mod units;

pub use read::{Item, Map, Sink, is_slug};
pub use tree::Position;

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

/// Everything that is wrong with one file, in the order of its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileErrors {
    pub file: PathBuf,
    pub errors: Vec<FileError>,
}

/// One error, at a place of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// Where in the document, e.g. `checks.drift.rules[0].psi.lt`; empty for the whole of it.
    pub path: String,
    /// What was read and what to do.
    pub message: String,
}

impl fmt::Display for FileErrors {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, error) in self.errors.iter().enumerate() {
            let line_break = if number == 0 { "" } else { "\n" };
            let FileError { line, column, path, message } = error;
            let colon = if path.is_empty() { "" } else { ": " };
            write!(out, "{line_break}{}:{line}:{column}: {path}{colon}{message}", self.file.display())?;
        }
        Ok(())
    }
}

impl std::error::Error for FileErrors {}

/// Reads a document with `build`, which reports to the items it is given and answers `None` only after a report.
///
/// # Errors
/// All errors of the tree and of `build`, sorted by position.
pub fn read<T>(text: &str, file: &Path, build: impl FnOnce(&Item) -> Option<T>) -> Result<T, FileErrors> {
    let sink = Sink::default();
    let outcome = tree::parse(text, &sink).and_then(|root| build(&Item::root(&root, &sink)));
    let mut errors = sink.into_errors();
    errors.sort_by_key(|error| (error.line, error.column));
    match outcome {
        Some(value) if errors.is_empty() => Ok(value),
        _ => Err(FileErrors { file: file.to_owned(), errors }),
    }
}

/// The known name nearest to what was written, if it is near enough to be a slip of the finger.
#[must_use]
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Names of very different length are no slip, and comparing them takes time.
    const LONGEST: usize = 100;
    let length = written.chars().count();
    let allowed = (length / 3).clamp(1, 3);
    known
        .into_iter()
        .filter(|name| length <= LONGEST && name.chars().count().abs_diff(length) <= allowed)
        .map(|name| (strsim::levenshtein(written, name), name))
        .filter(|&(edits, name)| edits <= allowed && edits < name.chars().count())
        .min_by_key(|&(edits, _)| edits)
        .map(|(_, name)| name)
}

/// The names quoted and listed, with a guess at the one that was meant: the tail of an "unknown" message.
#[must_use]
pub fn known_names<'a>(written: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    const SHOWN: usize = 30;
    let mut text = String::from("known here: ");
    let total = known.clone().into_iter().count();
    for (place, name) in known.clone().into_iter().take(SHOWN).enumerate() {
        text.push_str(if place == 0 { "`" } else { ", `" });
        text.push_str(name);
        text.push('`');
    }
    if total == 0 {
        text.push_str("none");
    } else if total > SHOWN {
        let _ = write!(text, " and {} more", total - SHOWN);
    }
    if let Some(name) = nearest(written, known) {
        let _ = write!(text, "; did you mean `{name}`?");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_names_are_near() {
        assert_eq!(nearest("limt", ["lt", "limit", "of"]), Some("limit"));
        assert_eq!(nearest("psy", ["psi", "ks_p"]), Some("psi"));
        assert_eq!(nearest("xyz", ["psi", "ks_p"]), None);
        assert_eq!(nearest("a", ["b"]), None);
        // Long names are not compared letter by letter: a file may hold thousands of them.
        assert_eq!(nearest(&"x".repeat(101), ["x"]), None);
    }

    #[test]
    fn errors_print_one_a_line() {
        let error = |line, path: &str| FileError { line, column: 2, path: path.into(), message: "no".into() };
        let errors = FileErrors { file: "a.yaml".into(), errors: vec![error(1, ""), error(3, "b[0]")] };
        assert_eq!(errors.to_string(), "a.yaml:1:2: no\na.yaml:3:2: b[0]: no");
    }
}
