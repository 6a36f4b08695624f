//! `driftgate man`: manual pages, from the same description of the command line as `--help`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Command;

use super::exit::{self, Failure};
use super::terminal::outln;

/// Writes the manual pages, one a command
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The Debian package installs them.\n\nExamples:\n  driftgate man --out ~/.local/share/man/man1\n  man driftgate-replay"
)]
pub struct Args {
    /// Folder for the pages; it is created if it does not exist
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// Writes the pages of the command line `cli`.
pub fn run(args: &Args, cli: Command) -> Result<u8, Failure> {
    let folder = &args.out;
    std::fs::create_dir_all(folder).with_context(|| format!("the folder {} cannot be created", folder.display()))?;
    let mut cli = cli.disable_help_subcommand(true);
    cli.build();
    let pages = pages(&cli)?;
    for (name, page) in &pages {
        write(&folder.join(name), page)?;
    }
    outln!("{}: {} manual pages", folder.display(), pages.len());
    Ok(exit::PASS)
}

fn write(path: &Path, page: &[u8]) -> anyhow::Result<()> {
    std::fs::write(path, page).with_context(|| format!("{} cannot be written", path.display()))
}

/// The page of a command and those of all commands below it that are shown in the help, each with its file's name.
fn pages(command: &Command) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let mut all = Vec::new();
    for below in command.get_subcommands().filter(|c| !c.is_hide_set()) {
        all.extend(pages(below)?);
    }
    let page = clap_mangen::Man::new(command.clone());
    let mut text = Vec::new();
    page.render(&mut text)?;
    all.insert(0, (page.get_filename(), text));
    Ok(all)
}
