//! `driftgate resume`: lets automatic actions on a model happen again.

use serde_json::json;

use super::client::{Client, ServerArgs};
use super::exit::{self, Failure};
use super::terminal::outln;
use crate::api::Frozen;

/// Lets automatic actions on a model happen again
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  driftgate resume fraud_detector")]
pub struct Args {
    /// The model
    #[arg(value_name = "MODEL")]
    model: String,
    #[command(flatten)]
    server: ServerArgs,
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let path = ["api", "v1", "models", &args.model, "resume"];
    let Frozen { changed, .. } = Client::new(&args.server)?.post(&path, &json!({}))?;
    outln!("{} {}", args.model, if changed { "goes on by itself again" } else { "was not frozen" });
    Ok(exit::PASS)
}
