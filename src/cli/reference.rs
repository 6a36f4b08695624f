//! `driftgate reference`: writes the reference pages in docs/reference. Each page is generated from what the program itself reads: the
//! command line from its parser, the API from the table of routes. A test compares the pages in the repository with it.

mod commands;
mod rejects;
mod routes;

use std::path::PathBuf;

use anyhow::Context as _;

use super::terminal::outln;
use super::{Failure, exit};
use crate::{config, telemetry};

/// Writes the reference pages (docs/reference) into a folder
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  driftgate reference docs/reference")]
pub struct Args {
    /// The folder; it is created if it does not exist
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// A page: its file name, and the function that writes its text.
type Page = (&'static str, fn() -> String);

/// All pages. A new page is one line here; `driftgate reference docs/reference` writes it.
const PAGES: &[Page] = &[
    ("cli.md", commands::page),
    ("config.md", config::reference::page),
    ("http.md", routes::page),
    ("metrics.md", telemetry::reference::metrics),
    ("rejects.md", rejects::page),
    ("policy.md", driftgate_core::policy::reference),
    ("policy.schema.json", driftgate_core::policy::schema_text),
];

pub fn run(args: &Args) -> Result<u8, Failure> {
    let folder = &args.folder;
    std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be created", folder.display()))?;
    for (name, page) in PAGES {
        let path = folder.join(name);
        std::fs::write(&path, page()).with_context(|| format!("{} cannot be written", path.display()))?;
        outln!("{}", path.display());
    }
    Ok(exit::PASS)
}

/// Text as it is written in a cell of a Markdown table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_keeps_its_row() {
        assert_eq!(cell("a | b\n  <c>"), "a \\| b &lt;c>");
    }

    #[test]
    fn each_page_has_a_name_of_its_own_and_ends_with_a_line() {
        for (at, (name, page)) in PAGES.iter().enumerate() {
            assert!(PAGES.iter().skip(at + 1).all(|(other, _)| other != name), "{name}");
            assert!(page().ends_with('\n') && !page().ends_with("\n\n"), "{name}");
        }
    }
}
