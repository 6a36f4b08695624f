//! `driftgate rollout`: shows and controls a rollout.

use clap::ValueEnum as _;
use serde::Deserialize as _;
use serde_json::Value;

use super::client::{Client, ServerArgs};
use super::exit::{self, Failure};
use super::model::ModelArg;
use super::output::Output;
use crate::api::RolloutRequest;
use driftgate_core::rollout::{Route, State, measured};

/// Shows and controls the rollout of a model
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  driftgate rollout status fraud_detector\n  driftgate rollout pause fraud_detector --reason \"incident 42\"\n  driftgate rollout abort fraud_detector --reason \"wrong artifact\""
)]
pub struct Args {
    /// What to do with the rollout
    #[arg(value_name = "ACTION")]
    action: Action,
    #[command(flatten)]
    of: ModelArg,
    /// Reason, which the audit log contains
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Action {
    /// Shows phase, weight and reason
    Status,
    /// Keeps the weight until `resume`; a breach still aborts the rollout
    Pause,
    /// Continues after `pause`
    Resume,
    /// Ends the rollout: the candidate gets no traffic, or is rolled back from prod
    Abort,
    /// Skips the remaining steps; the gate still has to pass
    Promote,
    /// Reports that the rollout of an external controller succeeded
    Succeeded,
    /// Reports that the rollout of an external controller failed
    Failed,
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let client = Client::new(&args.server)?;
    let path = args.of.path("rollout");
    let state = if args.action == Action::Status {
        let said: Value = client.get(&path, &[])?;
        said.get("rollout").cloned().unwrap_or_default()
    } else {
        let action = args.action.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        client.post(&path, &RolloutRequest { action, reason: args.reason.clone() })?
    };
    args.output.print(&state, || {
        if state.is_null() {
            return Ok(format!("{} has had no rollout\n", args.of.model));
        }
        Ok(text(&State::deserialize(&state)?))
    })?;
    Ok(exit::PASS)
}

/// Where a rollout is, and what its routers have.
pub fn text(state: &State) -> String {
    let more = state.routes.iter().map(Route::sentence).chain(measured(state));
    let more = more.fold(String::new(), |text, line| text + "  " + &line + "\n");
    let paused = state.paused.as_ref().map_or_else(String::new, |why| format!(", paused: {why}"));
    format!(
        "rollout of {} version {}: {}, {}% of the traffic{paused}\n  {}\n{more}",
        state.model,
        state.candidate,
        state.phase.name(),
        state.weight,
        state.why
    )
}
