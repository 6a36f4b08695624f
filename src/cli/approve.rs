//! `driftgate approve`: an approval of a version for a stage.

use anyhow::anyhow;
use serde_json::Value;

use super::client::{Client, ServerArgs};
use super::exit::{self, Failure};
use super::terminal::outln;
use crate::api::{ApprovalRequest, Approved};

/// Approves a version for a stage; bound to its artifact, the policy and the evidence as they are now
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Who approves is whose token it is (--token-file, DRIFTGATE_TOKEN).\n\nExamples:\n  driftgate approve fraud_detector 7 --to prod --role owner --token-file owner.token"
)]
pub struct Args {
    /// The model
    #[arg(value_name = "MODEL")]
    model: String,
    /// Its version
    #[arg(value_name = "VERSION")]
    version: String,
    /// The stage it is approved for
    #[arg(long, value_name = "STAGE", default_value = "prod")]
    to: String,
    /// As whom, if the token may approve as several
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// What goes along with it
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    /// Prints approval and gate as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let client = Client::new(&args.server)?;
    if !client.has_token() {
        return Err(anyhow!(
            "an approval is somebody's: name a file with your token as --token-file, or set DRIFTGATE_TOKEN"
        )
        .into());
    }
    let body = ApprovalRequest { to: args.to.clone(), role: args.role.clone(), comment: args.comment.clone() };
    let path = ["api", "v1", "models", &args.model, "versions", &args.version, "approvals"];
    let said: Value = client.post(&path, &body)?;
    if args.json {
        outln!("{}", serde_json::to_string_pretty(&said)?);
    } else {
        let Approved { approval, gate } = serde_json::from_value(said)?;
        let (model, version) = (&args.model, &args.version);
        outln!("{} approved {model} version {version} for {} as {}", approval.actor, args.to, approval.role);
        outln!("{gate}");
    }
    Ok(exit::PASS)
}
