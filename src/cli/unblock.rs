//! `driftgate unblock`: ends a version's active blocks by a person's word.

use serde_json::Value;

use super::client::{Client, ServerArgs};
use super::exit::{self, Failure};
use super::terminal::outln;
use crate::api::{UnblockRequest, Unblocked};

/// Ends the active blocks of a version; the next window that breaks a limit blocks it again
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A block ends by itself with the next complete window of its group that passes. Where none comes any more (the version has no events, the group left the policy), a person ends it.\n\nExamples:\n  driftgate unblock fraud_detector 7 --reason \"the group was renamed\"\n  driftgate unblock fraud_detector 7 --group drift --reason \"the sensor was replaced\""
)]
pub struct Args {
    /// The model
    #[arg(value_name = "MODEL")]
    model: String,
    /// Its version
    #[arg(value_name = "VERSION")]
    version: String,
    /// The group whose block ends; without it all of the version's
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Why; it goes into the audit log
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Prints the blocks that ended as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let body = UnblockRequest { reason: args.reason.clone(), group: args.group.clone() };
    let path = ["api", "v1", "models", &args.model, "versions", &args.version, "unblock"];
    let said: Value = Client::new(&args.server)?.post(&path, &body)?;
    if args.json {
        outln!("{}", serde_json::to_string_pretty(&said)?);
        return Ok(exit::PASS);
    }
    let Unblocked { ended, .. } = serde_json::from_value(said)?;
    for block in ended {
        outln!("{} no longer blocks {} version {} (since {})", block.group, args.model, args.version, block.since);
    }
    Ok(exit::PASS)
}
