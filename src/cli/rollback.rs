//! `driftgate rollback`: takes prod back from a version.

use anyhow::anyhow;
use serde_json::Value;

use super::client::{Client, ServerArgs};
use super::exit::{self, Failure};
use super::terminal::outln;
use crate::api::{ModelStatus, RollbackRequest, RolledBack};
use driftgate_core::promotion::PROD;

/// Takes prod back to the last stable version, or to one that was in prod; gates are not asked
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  driftgate rollback fraud_detector --reason \"support tickets\"\n  driftgate rollback fraud_detector --to 5 --reason \"6 is broken, too\"\n  driftgate rollback fraud_detector --reason drill --drill"
)]
pub struct Args {
    /// The model
    #[arg(value_name = "MODEL")]
    model: String,
    /// The version to take out of prod; by default the one that stands there
    #[arg(value_name = "VERSION")]
    version: Option<String>,
    /// Why; it goes into the audit log
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// The version to return to; by default the last stable one
    #[arg(long, value_name = "VERSION")]
    to: Option<String>,
    /// Only says where it would go, and writes down that it was practised
    #[arg(long)]
    drill: bool,
    /// Prints what was done as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let client = Client::new(&args.server)?;
    let version = match &args.version {
        Some(version) => version.clone(),
        None => in_prod(&client, &args.model)?,
    };
    let body = RollbackRequest { reason: args.reason.clone(), to: args.to.clone(), drill: args.drill };
    let path = ["api", "v1", "models", &args.model, "versions", &version, "rollback"];
    let said: Value = client.post(&path, &body)?;
    let RolledBack { to, .. } = serde_json::from_value(said.clone())?;
    if args.json {
        outln!("{}", serde_json::to_string_pretty(&said)?);
    } else {
        match (&to, args.drill) {
            (Some(to), true) => {
                outln!("drill: prod of {} would go from version {version} to {to}; nothing moved", args.model);
            }
            (Some(to), false) => outln!(
                "prod of {} went from version {version} to {to}; pending until the stream shows it serving",
                args.model
            ),
            (None, _) => {
                outln!("no former prod version of {} is stable: nothing moved; name one with --to", args.model);
            }
        }
    }
    Ok(if to.is_some() { exit::PASS } else { exit::BLOCK })
}

/// The version that stands in prod.
fn in_prod(client: &Client, model: &str) -> Result<String, Failure> {
    let status: ModelStatus = client.get(&["api", "v1", "models", model, "status"], &[])?;
    let stands = status.versions.into_iter().find(|v| v.stages.iter().any(|stage| stage == PROD));
    stands
        .map(|v| v.version)
        .ok_or_else(|| anyhow!("prod of {model:?} stands on no version: nothing to roll back").into())
}
