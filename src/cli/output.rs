//! An answer as it is printed: text for people, or JSON with `--json`.

use serde::Serialize;

use super::exit::Failure;
use super::terminal::{outln, print_statuses};

/// How a command prints its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct Output {
    /// Prints the answer as JSON
    #[arg(long)]
    pub json: bool,
}

impl Output {
    /// Prints an answer: as JSON if that was asked for, else what `text` makes of it.
    ///
    /// # Errors
    /// An answer that has no text.
    pub fn print<T: Serialize>(self, answer: &T, text: impl FnOnce() -> anyhow::Result<String>) -> Result<(), Failure> {
        if self.json {
            outln!("{}", serde_json::to_string_pretty(answer)?);
        } else {
            print_statuses(&text()?);
        }
        Ok(())
    }
}
