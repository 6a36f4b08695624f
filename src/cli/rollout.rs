//! `driftgate rollout`: what a person says of a rollout that is under way.

use clap::ValueEnum as _;
use serde_json::Value;

use super::client::{Client, ServerArgs};
use super::exit::{self, Failure};
use super::terminal::outln;
use crate::api::RolloutRequest;
use driftgate_core::rollout::State;

/// Steers the rollout of a model that is under way
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  driftgate rollout status fraud_detector\n  driftgate rollout pause fraud_detector --reason \"incident 42\"\n  driftgate rollout abort fraud_detector --reason \"wrong artifact\""
)]
pub struct Args {
    /// What to do with it
    #[arg(value_name = "ACTION")]
    action: Action,
    /// The model
    #[arg(value_name = "MODEL")]
    model: String,
    /// Why; it goes into the audit log
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Prints the rollout as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Action {
    /// Shows where it stands
    Status,
    /// Holds it; breaches still end it
    Pause,
    /// Goes on after a pause
    Resume,
    /// Ends it: no traffic, or back from prod
    Abort,
    /// Skips what is left of the steps; the gate is asked all the same
    Promote,
    /// Says that another controller's rollout succeeded
    Succeeded,
    /// Says that another controller's rollout failed
    Failed,
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let client = Client::new(&args.server)?;
    let path = ["api", "v1", "models", &args.model, "rollout"];
    let state = if args.action == Action::Status {
        let said: Value = client.get(&path, &[])?;
        said.get("rollout").cloned().unwrap_or_default()
    } else {
        let action = args.action.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        client.post(&path, &RolloutRequest { action, reason: args.reason.clone() })?
    };
    if args.json {
        outln!("{}", serde_json::to_string_pretty(&state)?);
    } else if state.is_null() {
        outln!("{} has had no rollout", args.model);
    } else {
        print(&serde_json::from_value(state)?);
    }
    Ok(exit::PASS)
}

/// Prints where a rollout is.
pub fn print(state: &State) {
    let paused = state.paused.as_ref().map_or_else(String::new, |why| format!(", paused: {why}"));
    outln!(
        "rollout of {} version {}: {}, {}% of the traffic{paused}\n  {}",
        state.model,
        state.candidate,
        state.phase.name(),
        state.weight,
        state.why
    );
}
