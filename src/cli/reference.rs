//! `driftgate reference`: writes the reference pages in docs/reference. Each page is generated from what the program itself reads: the
//! command line from its parser, the API from the table of routes; that of formats is written by hand. A test compares the pages in the repository with it.

pub mod args;
mod commands;
mod formats;
mod markdown;
mod metrics;
mod rejects;
mod routes;

use anyhow::Context as _;

use super::exit::{self, Failure};
use super::terminal::outln;
use crate::config;

/// A page: its file name, and the function that writes its text.
type Page = (&'static str, fn() -> String);

/// All pages. A new page is one line here; `driftgate reference docs/reference` writes it.
const PAGES: &[Page] = &[
    ("cli.md", commands::page),
    ("config.md", config::reference::page),
    ("formats.md", formats::page),
    ("http.md", routes::page),
    ("metrics.md", metrics::page),
    ("rejects.md", rejects::page),
    ("policy.md", driftgate_core::policy::reference),
    ("policy.schema.json", driftgate_core::policy::schema_text),
    ("openapi.json", routes::document),
];

pub fn run(args: &args::Args) -> Result<u8, Failure> {
    let folder = &args.folder;
    std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be created", folder.display()))?;
    for (name, page) in PAGES {
        let path = folder.join(name);
        std::fs::write(&path, page()).with_context(|| format!("{} cannot be written", path.display()))?;
        outln!("{}", path.display());
    }
    Ok(exit::PASS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_page_has_a_name_of_its_own_and_ends_with_a_line() {
        for (at, (name, page)) in PAGES.iter().enumerate() {
            assert!(PAGES.iter().skip(at + 1).all(|(other, _)| other != name), "{name}");
            assert!(page().ends_with('\n') && !page().ends_with("\n\n"), "{name}");
        }
    }
}
