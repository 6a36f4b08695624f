//! What is wrong with a file: each error at its place, collected while the file is read.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::path::{Path, PathBuf};

/// A place in the text; both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub line: usize,
    pub column: usize,
    /// The file of a document of several: 0 for the first, then in the order in which they were read.
    pub(super) file: usize,
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
    /// The file where the value stands, where the document comes from several and it is another than the first.
    pub file: Option<PathBuf>,
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
            let FileError { file, line, column, path, message } = error;
            let file = file.as_ref().unwrap_or(&self.file);
            let colon = if path.is_empty() { "" } else { ": " };
            write!(out, "{line_break}{}:{line}:{column}: {path}{colon}{message}", file.display())?;
        }
        Ok(())
    }
}

impl std::error::Error for FileErrors {}

/// Collects the errors of one document.
#[derive(Default)]
pub struct Sink {
    /// Each with the number of its file.
    errors: RefCell<Vec<(usize, FileError)>>,
    /// The files after the first.
    others: RefCell<Vec<PathBuf>>,
    /// The file that is read now.
    current: Cell<usize>,
    /// Places of which no more is reported.
    silent: RefCell<Vec<Position>>,
}

impl Sink {
    pub fn report(&self, at: Position, path: impl Into<String>, message: impl Into<String>) {
        if self.silent.borrow().contains(&at) {
            return;
        }
        let Position { line, column, file } = at;
        let number = if file == 0 { self.current.get() } else { file };
        let file = number.checked_sub(1).and_then(|at| self.others.borrow().get(at).cloned());
        let error = FileError { file, line, column, path: path.into(), message: message.into() };
        self.errors.borrow_mut().push((number, error));
    }

    /// Reports no more of this place: what is wrong with it is told.
    pub(super) fn silence(&self, at: Position) {
        self.silent.borrow_mut().push(at);
    }

    /// Whether so much is wrong that guesses at what was meant are no longer worth their time.
    pub(super) fn is_crowded(&self) -> bool {
        self.errors.borrow().len() >= 100
    }

    /// Reads another file of the document; `read` is given its number.
    pub(super) fn within<T>(&self, file: &Path, read: impl FnOnce(usize) -> T) -> T {
        self.others.borrow_mut().push(file.to_owned());
        let number = self.others.borrow().len();
        let before = self.current.replace(number);
        let outcome = read(number);
        self.current.set(before);
        outcome
    }

    /// What was read, or all errors, sorted by file and position.
    pub(super) fn finish<T>(self, file: &Path, outcome: Option<T>) -> Result<T, FileErrors> {
        let mut errors = self.errors.into_inner();
        errors.sort_by_key(|(number, error)| (*number, error.line, error.column));
        match outcome {
            Some(value) if errors.is_empty() => Ok(value),
            _ => {
                Err(FileErrors { file: file.to_owned(), errors: errors.into_iter().map(|(_, error)| error).collect() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_print_one_a_line() {
        let error =
            |line, path: &str| FileError { file: None, line, column: 2, path: path.into(), message: "no".into() };
        let errors = FileErrors { file: "a.yaml".into(), errors: vec![error(1, ""), error(3, "b[0]")] };
        assert_eq!(errors.to_string(), "a.yaml:1:2: no\na.yaml:3:2: b[0]: no");
    }
}
