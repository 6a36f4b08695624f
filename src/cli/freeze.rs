//! `driftgate freeze`: stops automatic actions on a model.

use super::client::{Client, ServerArgs};
use super::exit::{self, Failure};
use super::model::ModelArg;
use super::terminal::outln;
use crate::api::{FreezeRequest, Frozen};

/// Stops automatic promotions and rollbacks of a model, and pauses its rollout
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  driftgate freeze fraud_detector --reason \"incident 42\"")]
pub struct Args {
    #[command(flatten)]
    of: ModelArg,
    /// Reason, which the audit log contains
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    server: ServerArgs,
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let body = FreezeRequest { reason: Some(args.reason.clone()) };
    let Frozen { frozen, .. } = Client::new(&args.server)?.post(&args.of.path("freeze"), &body)?;
    outln!("{} is frozen {}", args.of.model, frozen.unwrap_or_default());
    Ok(exit::PASS)
}
