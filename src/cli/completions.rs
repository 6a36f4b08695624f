//! `driftgate completions`: the script by which a shell completes commands, options and their values.

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::args::Cli;
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
    shell: Shell,
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "driftgate", &mut script);
    out!("{}", String::from_utf8(script)?);
    Ok(exit::PASS)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn every_shell_has_a_script_that_names_the_commands() {
        for shell in Shell::value_variants() {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "driftgate", &mut script);
            let script = String::from_utf8(script).unwrap();
            assert!(["replay", "status", "policy"].iter().all(|word| script.contains(word)), "{shell}");
            // What commands print is escaped where it would steer a terminal: a script must have nothing of that.
            assert!(!script.chars().any(|c| super::super::terminal::steers(c) && !matches!(c, '\n' | '\t')), "{shell}");
        }
    }
}
