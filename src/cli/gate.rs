//! `driftgate gate`: may a version be promoted to a stage? A running daemon answers, or the registry that a configuration names.

use std::thread;
use std::time::{Duration, Instant};

use super::client::{Client, ServerArgs};
use super::display;
use super::exit::{self, Failure};
use super::model::VersionArgs;
use super::output::Output;
use crate::clock::now_ms;
use crate::daemon;
use crate::http::BUSY;
use crate::ledger::RegistryError;
use driftgate_core::gate::{self, Answer, GateVerdict};
use driftgate_core::yaml::units;

/// How long a registry is waited for that another process holds.
const PATIENCE: Duration = Duration::from_millis(500);
/// Between two questions of `--wait`.
const EVERY: Duration = Duration::from_secs(5);

/// Evaluates the gate, which says whether a version may be promoted to a stage
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 pass, 1 block, 3 inconclusive, 4 waiting for approval.\n\nExamples:\n  driftgate gate flight_delay 2 --to prod\n  driftgate gate flight_delay 2 --to prod --wait --timeout 30m --json\n  driftgate gate flight_delay 2 --to prod --config config/driftgate.yaml"
)]
pub struct Args {
    #[command(flatten)]
    of: VersionArgs,
    /// Stage to promote to
    #[arg(long, value_name = "STAGE")]
    to: String,
    #[command(flatten)]
    output: Output,
    /// Evaluates the gate again every 5 s while the answer is inconclusive or waits for approval
    #[arg(long)]
    wait: bool,
    /// Time after which --wait returns the last answer
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = timeout)]
    timeout: Duration,
    #[command(flatten)]
    server: ServerArgs,
}

fn timeout(text: &str) -> Result<Duration, String> {
    let millis = units::duration(text)?;
    u64::try_from(millis)
        .map(Duration::from_millis)
        .map_err(|_| format!("{text:?} is negative: write a time such as 1h"))
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let answer = wait(args, || ask(args))?;
    args.output.print(&answer, || Ok(format!("{answer}\n")))?;
    Ok(answer.verdict.exit_code())
}

/// Asks once. A registry that another process holds is not waited for.
fn ask(args: &Args) -> Result<Answer, Failure> {
    let VersionArgs { model, version } = &args.of;
    match Client::patient(&args.server, PATIENCE) {
        Ok(client) => client.get(&["api", "v1", "gate", model, version], &[("to", &args.to)]),
        Err(failure) => {
            let busy = failure.error.downcast_ref().is_some_and(RegistryError::is_busy);
            let Some(config) = args.server.config.as_deref().filter(|_| busy) else { return Err(failure) };
            let policies = daemon::read_policies(&daemon::read_config(config)?)?;
            let Some(policy) = policies.iter().find(|p| p.model == *model) else { return Err(failure) };
            Ok(gate::unanswered(policy, &args.to, version, BUSY, now_ms()))
        }
    }
}

/// Asks, and with `--wait` again until the answer is final or the time is up. A daemon that answered once may restart.
fn wait(args: &Args, ask: impl Fn() -> Result<Answer, Failure>) -> Result<Answer, Failure> {
    let mut answer = ask()?;
    if !args.wait || is_final(&answer) {
        return Ok(answer);
    }
    let started = Instant::now();
    let spinner = display::spinner("waiting");
    while !is_final(&answer) {
        let left = args.timeout.saturating_sub(started.elapsed());
        if left.is_zero() {
            break;
        }
        spinner.set_message(format!(
            "{}: {}",
            answer.verdict.name(),
            answer.reasons.first().map_or("", String::as_str)
        ));
        thread::sleep(left.min(EVERY));
        match ask() {
            Ok(next) => answer = next,
            Err(failure) if failure.code == exit::UNREACHABLE && started.elapsed() < args.timeout => {
                spinner.set_message(format!("{:#}", failure.error));
            }
            Err(failure) => return Err(failure),
        }
    }
    spinner.finish_and_clear();
    Ok(answer)
}

fn is_final(answer: &Answer) -> bool {
    matches!(answer.verdict, GateVerdict::Pass | GateVerdict::Block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_has_an_end() {
        assert_eq!(timeout("90m"), Ok(Duration::from_secs(5400)));
        assert!(timeout("1").is_err() && timeout("-1h").is_err());
    }

    #[test]
    fn an_answer_as_it_is_printed() {
        let answer: Answer = serde_json::from_value(serde_json::json!({
            "verdict": "block", "ok": false, "reasons": ["drift/psi temp 0.31 breaks lt 0.2"], "policy_sha256": "5bcaf8371fa7bea7",
            "evaluated_at": "2013-03-08T00:00:10Z", "age_s": 10, "model": "m", "version": "7", "to": "prod",
            "notes": ["slo: blocked since 2013-03-07T00:00:00Z, but the group does not count for \"prod\""],
            "gates": [{"gate": "drift/psi", "outcome": "block", "detail": "drift/psi temp 0.31 breaks lt 0.2"},
                {"gate": "approvals", "outcome": "pending", "detail": "0 of 1 approvals: owner is missing"}]
        }))
        .unwrap();
        insta::assert_snapshot!(answer.to_string());
    }
}
