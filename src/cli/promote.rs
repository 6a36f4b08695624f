//! `driftgate promote`: moves a version to a stage.

use serde::Deserialize as _;
use serde_json::Value;

use super::client::{Client, ServerArgs};
use super::exit::Failure;
use super::model::VersionArgs;
use super::output::Output;
use super::rollout;
use crate::api::{PromoteRequest, Promoted};
use driftgate_core::promotion::record;

/// Promotes a version to a stage if the gate passes: at once, or in the steps of the policy's rollout
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 the version is promoted or its rollout has begun, 1 block, 3 inconclusive, 4 waiting for approval.\n\nExamples:\n  driftgate promote fraud_detector 7 --to prod --comment \"+3% AUC\"\n  driftgate promote fraud_detector 7 --to prod --note > promotion.md"
)]
pub struct Args {
    #[command(flatten)]
    of: VersionArgs,
    /// Stage to promote to
    #[arg(long, value_name = "STAGE", default_value = "prod")]
    to: String,
    /// Comment that is stored in the promotion record
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    /// Reason to promote an artifact again that was rolled back
    #[arg(long, value_name = "REASON")]
    retry: Option<String>,
    /// Prints the promotion record as Markdown
    #[arg(long, conflicts_with = "json")]
    note: bool,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: ServerArgs,
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let body = PromoteRequest { to: args.to.clone(), comment: args.comment.clone(), retry: args.retry.clone() };
    let said: Value = Client::new(&args.server)?.post(&args.of.path("promote"), &body)?;
    let Promoted { answer, record, rollout } = Promoted::deserialize(&said)?;
    args.output.print(&said, || {
        if let Some(record) = record.filter(|_| args.note) {
            return Ok(record::note(&record));
        }
        let (VersionArgs { model, version }, to) = (&args.of, &args.to);
        Ok(match rollout {
            Some(rollout) => format!("{answer}\n{}", rollout::text(&rollout)),
            None if answer.ok => format!("{answer}\n{version} of {model} is in {to} now\n"),
            None => format!("{answer}\n"),
        })
    })?;
    Ok(answer.verdict.exit_code())
}
