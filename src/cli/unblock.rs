//! `driftgate unblock`: a person ends active blocks of a version.

use serde::Deserialize as _;
use serde_json::Value;

use super::client::{Client, ServerArgs};
use super::exit::{self, Failure};
use super::model::VersionArgs;
use super::output::Output;
use crate::api::{UnblockRequest, Unblocked};
use driftgate_core::promotion::types::ActiveBlock;

/// Ends active blocks of a version. The next window that breaks a limit blocks the version again
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A block ends by itself with the next complete window of its group that passes. Where no such window comes any more (the version has no events, the policy no longer has the group), a person has to end it.\n\nExamples:\n  driftgate unblock fraud_detector 7 --reason \"the group was renamed\"\n  driftgate unblock fraud_detector 7 --group drift --reason \"the sensor was replaced\""
)]
pub struct Args {
    #[command(flatten)]
    of: VersionArgs,
    /// Group whose block ends; default: all groups
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Reason, which the audit log contains
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: ServerArgs,
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let body = UnblockRequest { reason: args.reason.clone(), group: args.group.clone() };
    let said: Value = Client::new(&args.server)?.post(&args.of.path("unblock"), &body)?;
    args.output.print(&said, || {
        let Unblocked { ended, .. } = Unblocked::deserialize(&said)?;
        let VersionArgs { model, version } = &args.of;
        let line = |block: &ActiveBlock| {
            format!("{} no longer blocks {model} version {version} (since {})\n", block.group, block.since)
        };
        Ok(ended.iter().map(line).collect())
    })?;
    Ok(exit::PASS)
}
