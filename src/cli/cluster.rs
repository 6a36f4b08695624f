//! `driftgate cluster`: the internal topics of a cluster, and what its processes do. One file a subcommand.

mod status;
mod topics;

use super::exit::Failure;
pub use topics::{failure, not_divided};

/// Shows the processes of a cluster, and shows and creates its internal topics
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Status(status::Args),
    Topics(topics::Args),
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    match &args.command {
        Command::Status(args) => status::run(args),
        Command::Topics(args) => topics::run(args),
    }
}
