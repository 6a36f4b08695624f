//! YAML with positions: a tree that remembers where every value was written (`tree`), a reader that collects every error in it
//! (`read`, `error`), documents that share parts (`extend`, `emit`), a mapping in a CSV file (`table`), values that
//! are replaced in a text (`edit`), values from the
//! environment (`environment`), and the units (durations, sizes, times) that policies and the daemon's configuration share. What the keys mean is
//! not decided here.

mod edit;
mod emit;
mod environment;
mod error;
mod extend;
mod names;
mod read;
mod table;
mod tree;
pub mod units;

pub use edit::{plain_at, replaced};
pub use environment::{Environment, NotFilled, filled};
pub use error::{FileError, FileErrors, Position, Sink};
pub use extend::read_extended;
pub use names::{known_names, nearest};
pub use read::{Item, Map, is_slug};
pub use table::{ReadFile, Table};

use std::path::Path;

/// Reads a document with `build`, which reports to the items it is given and answers `None` only after a report.
///
/// # Errors
/// All errors of the tree and of `build`, sorted by position.
pub fn read<T>(text: &str, file: &Path, build: impl FnOnce(&Item) -> Option<T>) -> Result<T, FileErrors> {
    let sink = Sink::default();
    let outcome = tree::parse(text, &sink).and_then(|root| build(&Item::root(&root, &sink)));
    sink.finish(file, outcome)
}

/// The same, with each `${NAME}` of a value filled in from the environment, but for values below the paths of `but`.
///
/// # Errors
/// As `read`, and names of variables that are not set.
pub fn read_filled<T>(
    text: &str,
    file: &Path,
    environment: Environment<'_>,
    but: &[&str],
    build: impl FnOnce(&Item) -> Option<T>,
) -> Result<T, FileErrors> {
    let sink = Sink::default();
    let outcome = tree::parse(text, &sink).and_then(|mut root| {
        environment::fill(&mut root, "", environment, but, &sink);
        build(&Item::root(&root, &sink))
    });
    sink.finish(file, outcome)
}
