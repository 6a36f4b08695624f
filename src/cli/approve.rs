//! `driftgate approve`: an approval of a version for a stage.

use anyhow::anyhow;
use serde::Deserialize as _;
use serde_json::Value;

use super::client::{Client, ServerArgs};
use super::exit::{self, Failure};
use super::model::VersionArgs;
use super::output::Output;
use crate::api::{ApprovalRequest, Approved};

/// Approves a version for a stage. The approval is void once the artifact, the policy or the evidence changes
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The token (--token-file, DRIFTGATE_TOKEN) says who approves.\n\nExamples:\n  driftgate approve fraud_detector 7 --to prod --role owner --token-file owner.token"
)]
pub struct Args {
    #[command(flatten)]
    of: VersionArgs,
    /// Stage that the version is approved for
    #[arg(long, value_name = "STAGE", default_value = "prod")]
    to: String,
    /// Role of the approver; required where the token has several
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// Comment that is stored with the approval
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: ServerArgs,
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let client = Client::new(&args.server)?;
    if !client.has_token() {
        return Err(anyhow!(
            "an approval needs the approver's token: give a file with your token as --token-file, or set DRIFTGATE_TOKEN"
        )
        .into());
    }
    let body = ApprovalRequest { to: args.to.clone(), role: args.role.clone(), comment: args.comment.clone() };
    let said: Value = client.post(&args.of.path("approvals"), &body)?;
    args.output.print(&said, || {
        let Approved { approval, gate } = Approved::deserialize(&said)?;
        let (VersionArgs { model, version }, to) = (&args.of, &args.to);
        Ok(format!("{} approved {model} version {version} for {to} as {}\n{gate}\n", approval.actor, approval.role))
    })?;
    Ok(exit::PASS)
}
