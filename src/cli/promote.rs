//! `driftgate promote`: moves a version to a stage.

use serde_json::Value;

use super::client::{Client, ServerArgs};
use super::exit::Failure;
use super::rollout;
use super::terminal::{out, outln};
use crate::api::{PromoteRequest, Promoted};
use driftgate_core::promotion::record;

/// Promotes a version to a stage if the gate passes: at once, or by the policy's rollout
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 promoted or the rollout began, 1 blocked, 3 inconclusive, 4 waiting for approval.\n\nExamples:\n  driftgate promote fraud_detector 7 --to prod --comment \"+3% AUC\"\n  driftgate promote fraud_detector 7 --to prod --note > promotion.md"
)]
pub struct Args {
    /// The model
    #[arg(value_name = "MODEL")]
    model: String,
    /// Its version
    #[arg(value_name = "VERSION")]
    version: String,
    /// The stage to promote to
    #[arg(long, value_name = "STAGE", default_value = "prod")]
    to: String,
    /// What the promotion record says besides
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    /// Why an artifact that was rolled back is tried again
    #[arg(long, value_name = "REASON")]
    retry: Option<String>,
    /// Prints the promotion note in Markdown
    #[arg(long, conflicts_with = "json")]
    note: bool,
    /// Prints answer, record and rollout as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let body = PromoteRequest { to: args.to.clone(), comment: args.comment.clone(), retry: args.retry.clone() };
    let path = ["api", "v1", "models", &args.model, "versions", &args.version, "promote"];
    let said: Value = Client::new(&args.server)?.post(&path, &body)?;
    let Promoted { answer, record, rollout } = serde_json::from_value(said.clone())?;
    match (args.json, args.note, record) {
        (true, ..) => outln!("{}", serde_json::to_string_pretty(&said)?),
        (false, true, Some(record)) => out!("{}", record::note(&record)),
        _ => {
            outln!("{answer}");
            match rollout {
                Some(rollout) => rollout::print(&rollout),
                None if answer.ok => outln!("{} of {} is in {} now", args.version, args.model, args.to),
                None => {}
            }
        }
    }
    Ok(answer.verdict.exit_code())
}
