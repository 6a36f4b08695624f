//! `driftgate state`: what a state folder holds, whether it is whole, and a copy of it. One file a subcommand; a daemon may run
//! meanwhile.

mod backup;
mod found;
mod place;
mod show;
mod verify;

use super::exit::Failure;

/// Shows, verifies or copies a state folder
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Show(show::Args),
    Verify(verify::Args),
    Backup(backup::Args),
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    match &args.command {
        Command::Show(args) => show::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Backup(args) => backup::run(args),
    }
}

#[cfg(test)]
mod tests;
