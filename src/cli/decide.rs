//! `driftgate decide`: the gate's decision on a run that a file describes.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::exit::Failure;
use super::output::Output;
use crate::clock::now_ms;
use crate::policies;
use driftgate_core::gate::Answer;
use driftgate_core::gate::recorded;

/// Evaluates the gate on a run that a JSON file describes
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The run is a JSON object with model, version, offline metrics, live metrics by their names in the policy, evidence, approvals and rollback_to. An error rate is a fraction unless the run's units say percent.\n\nExit codes: 0 pass, 1 block, 2 a policy or run that cannot be used, 3 inconclusive, 4 waiting for approval.\n\nExamples:\n  driftgate decide --policy policy.yaml --run run.json\n  driftgate decide --policy policy.yaml --run - --to staging --json"
)]
pub struct Args {
    /// Policy of the run's model
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// Description of the run (- is standard input)
    #[arg(long, value_name = "FILE")]
    run: PathBuf,
    /// Stage to promote to; default: the run's own stage, else prod
    #[arg(long, value_name = "STAGE")]
    to: Option<String>,
    #[command(flatten)]
    output: Output,
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let answer = decide(args)?;
    args.output.print(&answer, || Ok(format!("{answer}\n")))?;
    Ok(answer.verdict.exit_code())
}

fn decide(args: &Args) -> anyhow::Result<Answer> {
    let path = &args.policy;
    let policy = policies::read(path)?;
    let run = read(&args.run)?;
    recorded::decide(&policy, &run, args.to.as_deref(), now_ms())
        .with_context(|| format!("the run {} cannot be decided", args.run.display()))
}

fn read(path: &Path) -> anyhow::Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("the run cannot be read from standard input")?;
        return Ok(text);
    }
    std::fs::read_to_string(path).with_context(|| format!("the run {} cannot be read", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = "apiVersion: driftgate/v1
model: m
features: {numeric: [a]}
checks: {slo: {window: {size: 1m, slide: 1m}, rules: [latency_p95_ms: {id: p95, lt: 80}]}}
";

    #[test]
    fn exit_codes_follow_the_run() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let policy = file("p.yaml", POLICY);
        let ask = |text: &str| {
            let run_file = file("run.json", text);
            run(&Args { policy: policy.clone(), run: run_file, to: None, output: Output { json: true } })
        };
        for (latency, code) in [("62", 0), ("95", 1), ("null", 3)] {
            let text = format!(r#"{{"model": "m", "version": 1, "online": {{"latency_p95_ms": {latency}}}}}"#);
            assert_eq!(ask(&text).unwrap(), code, "{latency}");
        }
        let failure = ask("{}").unwrap_err();
        assert_eq!(failure.code, super::super::exit::INPUT);
        let message = format!("{:#}", failure.error);
        assert!(message.contains("run.json cannot be decided: the run has no `model`"), "{message}");
        let missing = Args { policy: folder.path().join("none"), run: "-".into(), to: None, output: Output::default() };
        assert!(format!("{:#}", decide(&missing).unwrap_err()).contains("none cannot be read"));
    }
}
