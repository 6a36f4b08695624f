//! The command line: every command with its options.

use clap::{Parser, Subcommand};

use super::reference::args::Args as ReferenceArgs;
use super::{
    admission, approve, audit, baseline, carry, check, cluster, color, completions, count, decide, demo, evidence,
    explain, freeze, gate, history, init, judge, load, man, merge, model_card, override_rule, promote, register,
    replay, report, resume, rollback, rollout, run, splits, state, status, tune, unblock,
};

/// Monitors machine-learning models in production and decides whether versions may be promoted.
#[derive(Debug, Parser)]
#[command(name = "driftgate", version, max_term_width = 100, arg_required_else_help = true)]
#[command(
    after_help = "Examples:\n  driftgate demo\n  driftgate replay --policy policy.yaml --predictions predictions.parquet --labels labels.parquet\n  driftgate run --config config/driftgate.yaml\n\nExit codes: 0 pass or done, 1 block, 2 usage, policy or input error, 3 inconclusive, 4 waiting for approval, 5 unreachable"
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub color: color::Color,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Run(run::Args),
    Replay(replay::Args),
    Demo(demo::Args),
    Init(init::Args),
    Baseline(baseline::Args),
    Register(register::Args),
    Evidence(evidence::Args),
    Approve(approve::Args),
    Gate(gate::Args),
    Decide(decide::Args),
    Promote(promote::Args),
    Rollout(rollout::Args),
    Rollback(rollback::Args),
    Override(override_rule::Args),
    Freeze(freeze::Args),
    Resume(resume::Args),
    Unblock(unblock::Args),
    Status(status::Args),
    Explain(explain::Args),
    ModelCard(model_card::Args),
    History(history::Args),
    Audit(audit::Args),
    State(state::Args),
    Cluster(cluster::Args),
    Load(load::Args),
    Probe(super::probe::Args),
    Splits(splits::Args),
    Count(count::Args),
    Carry(carry::Args),
    Merge(merge::Args),
    Judge(judge::Args),
    Admission(admission::Args),
    Check(check::Args),
    Report(report::Args),
    Tune(tune::Args),
    Completions(completions::Args),
    Man(man::Args),
    #[command(hide = true)]
    Reference(ReferenceArgs),
}
