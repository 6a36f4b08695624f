//! What is wrong with a file: each error at its place, collected while the file is read.

use std::cell::RefCell;
use std::fmt;
use std::path::PathBuf;

/// A place in the text; both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

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

/// Collects the errors of one file.
#[derive(Default)]
pub struct Sink(RefCell<Vec<FileError>>);

impl Sink {
    pub fn report(&self, at: Position, path: impl Into<String>, message: impl Into<String>) {
        let Position { line, column } = at;
        self.0.borrow_mut().push(FileError { line, column, path: path.into(), message: message.into() });
    }

    /// Whether so much is wrong that guesses at what was meant are no longer worth their time.
    pub(super) fn is_crowded(&self) -> bool {
        self.0.borrow().len() >= 100
    }

    pub(super) fn into_errors(self) -> Vec<FileError> {
        self.0.into_inner()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_print_one_a_line() {
        let error = |line, path: &str| FileError { line, column: 2, path: path.into(), message: "no".into() };
        let errors = FileErrors { file: "a.yaml".into(), errors: vec![error(1, ""), error(3, "b[0]")] };
        assert_eq!(errors.to_string(), "a.yaml:1:2: no\na.yaml:3:2: b[0]: no");
    }
}
