//! `driftgate freeze`: stops automatic actions on a model.

use super::client::{Client, ServerArgs};
use super::exit::{self, Failure};
use super::terminal::outln;
use crate::api::{FreezeRequest, Frozen};

/// Stops automatic actions on a model: promotions, rollbacks
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  driftgate freeze fraud_detector --reason \"incident 42\"")]
pub struct Args {
    /// The model
    #[arg(value_name = "MODEL")]
    model: String,
    /// Why; it goes into the audit log
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    server: ServerArgs,
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let path = ["api", "v1", "models", &args.model, "freeze"];
    let body = FreezeRequest { reason: Some(args.reason.clone()) };
    let Frozen { frozen, .. } = Client::new(&args.server)?.post(&path, &body)?;
    outln!("{} is frozen {}", args.model, frozen.unwrap_or_default());
    Ok(exit::PASS)
}
