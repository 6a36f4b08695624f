//! `driftgate resume`: allows automatic actions on a model again.

use serde_json::json;

use super::client::{Client, ServerArgs};
use super::exit::{self, Failure};
use super::model::ModelArg;
use super::terminal::outln;
use crate::api::Frozen;

/// Allows automatic promotions and rollbacks of a frozen model again
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  driftgate resume fraud_detector")]
pub struct Args {
    #[command(flatten)]
    of: ModelArg,
    #[command(flatten)]
    server: ServerArgs,
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let Frozen { changed, .. } = Client::new(&args.server)?.post(&args.of.path("resume"), &json!({}))?;
    outln!("{} {}", args.of.model, if changed { "goes on by itself again" } else { "was not frozen" });
    Ok(exit::PASS)
}
