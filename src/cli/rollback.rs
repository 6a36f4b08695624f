//! `driftgate rollback`: takes prod back from a version.

use anyhow::anyhow;
use serde::Deserialize as _;
use serde_json::Value;

use super::client::{Client, ServerArgs};
use super::exit::{self, Failure};
use super::model::{ModelArg, VersionArgs};
use super::output::Output;
use crate::api::{ModelStatus, RollbackRequest, RolledBack};
use driftgate_core::promotion::PROD;

/// Moves prod back to the last stable version, or to a former prod version. No gate is evaluated
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  driftgate rollback fraud_detector --reason \"support tickets\"\n  driftgate rollback fraud_detector --to 5 --reason \"6 is broken, too\"\n  driftgate rollback fraud_detector --reason drill --drill"
)]
pub struct Args {
    #[command(flatten)]
    of: ModelArg,
    /// Version to take out of prod; default: the one that is in prod
    #[arg(value_name = "VERSION")]
    version: Option<String>,
    /// Reason, which the audit log contains
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Version to return to; default: the last stable one
    #[arg(long, value_name = "VERSION")]
    to: Option<String>,
    /// Moves nothing: reports the version that prod would return to, and records the drill
    #[arg(long)]
    drill: bool,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: ServerArgs,
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let client = Client::new(&args.server)?;
    let model = &args.of.model;
    let version = match &args.version {
        Some(version) => version.clone(),
        None => in_prod(&client, &args.of)?,
    };
    let body = RollbackRequest { reason: args.reason.clone(), to: args.to.clone(), drill: args.drill };
    let of = VersionArgs { model: model.clone(), version };
    let said: Value = client.post(&of.path("rollback"), &body)?;
    let RolledBack { to, .. } = RolledBack::deserialize(&said)?;
    args.output.print(&said, || {
        let version = &of.version;
        Ok(match (&to, args.drill) {
            (Some(to), true) => {
                format!("drill: prod of {model} would go from version {version} to {to}; nothing moved\n")
            }
            (Some(to), false) => {
                format!(
                    "prod of {model} went from version {version} to {to}; pending until the stream shows it serving\n"
                )
            }
            (None, _) => format!("no former prod version of {model} is stable: nothing moved; name one with --to\n"),
        })
    })?;
    Ok(if to.is_some() { exit::PASS } else { exit::BLOCK })
}

/// The version that is in prod.
fn in_prod(client: &Client, of: &ModelArg) -> Result<String, Failure> {
    let status: ModelStatus = client.get(&of.path("status"), &[])?;
    let found = status.versions.into_iter().find(|v| v.stages.iter().any(|stage| stage == PROD));
    found
        .map(|v| v.version)
        .ok_or_else(|| anyhow!("no version of {:?} is in prod: there is nothing to roll back", of.model).into())
}
