//! `driftgate completions`: the script by which a shell completes commands, options and their values.

use clap::Command;
use clap_complete::Shell;

use super::exit::{self, Failure};
use super::terminal::out;

/// Writes the script that completes commands and options in a shell to standard output
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The Debian package installs the scripts of bash, fish and zsh.\n\nExamples:\n  driftgate completions bash > ~/.local/share/bash-completion/completions/driftgate\n  driftgate completions zsh > ~/.zfunc/_driftgate\n  driftgate completions fish > ~/.config/fish/completions/driftgate.fish"
)]
pub struct Args {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

/// Writes the script for the command line `cli`.
pub fn run(args: &Args, cli: &mut Command) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, cli, "driftgate", &mut script);
    out!("{}", String::from_utf8(script)?);
    Ok(exit::PASS)
}
