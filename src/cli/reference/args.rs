//! The options of `driftgate reference`.

use std::path::PathBuf;

/// Writes the reference pages (docs/reference) into a folder
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  driftgate reference docs/reference")]
pub struct Args {
    /// The folder; it is created if it does not exist
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}
