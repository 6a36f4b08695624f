//! The command line: one file a subcommand. Exit codes: 0 pass or done, 1 block, 2 usage, policy or input error,
//! 3 inconclusive, 4 waiting for approval, 5 unreachable.

mod audit;
mod baseline;
mod check;
mod client;
mod decide;
mod demo;
mod display;
mod evidence;
mod explain;
mod gate;
mod history;
mod init;
mod load;
mod local;
mod logging;
mod promote;
mod reference;
mod register;
mod replay;
mod run;
mod status;
mod terminal;
mod trust;
mod unblock;

use clap::{Parser, Subcommand};

use terminal::errln;

/// Exit codes that scripts rely on.
pub mod exit {
    pub const PASS: u8 = 0;
    pub const BLOCK: u8 = 1;
    pub const INPUT: u8 = 2;
    pub const INCONCLUSIVE: u8 = 3;
    pub const PENDING: u8 = 4;
    pub const UNREACHABLE: u8 = 5;
}

/// Watches machine-learning models in production and guards their promotion.
#[derive(Debug, Parser)]
#[command(name = "driftgate", version, max_term_width = 100, arg_required_else_help = true)]
#[command(
    after_help = "Examples:\n  driftgate demo\n  driftgate replay --policy policy.yaml --predictions predictions.parquet --labels labels.parquet\n  driftgate run --config config/driftgate.yaml\n\nExit codes: 0 pass or done, 1 block, 2 usage, policy or input error, 3 inconclusive, 4 waiting for approval, 5 unreachable"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Replay(replay::Args),
    Demo(demo::Args),
    Init(init::Args),
    Baseline(baseline::Args),
    Register(register::Args),
    Evidence(evidence::Args),
    Approve(promote::ApproveArgs),
    Gate(gate::Args),
    Decide(decide::Args),
    Promote(promote::PromoteArgs),
    Rollout(promote::RolloutArgs),
    Rollback(promote::RollbackArgs),
    Override(promote::OverrideArgs),
    Freeze(promote::FreezeArgs),
    Resume(promote::ResumeArgs),
    Unblock(unblock::Args),
    Status(status::Args),
    Explain(explain::Args),
    History(history::Args),
    Audit(audit::Args),
    Load(load::Args),
    Check(check::Args),
    #[command(hide = true)]
    Reference(reference::Args),
}

/// An error with the exit code it stands for.
#[derive(Debug)]
pub struct Failure {
    pub code: u8,
    pub error: anyhow::Error,
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { code: exit::INPUT, error: error.into() }
    }
}

/// Runs the command that the arguments name; returns the exit code.
#[must_use]
pub fn main() -> u8 {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // What was written on the command line may come from somewhere else; the usual way keeps colours.
        Err(e) if e.use_stderr() && std::env::args_os().any(|a| a.to_string_lossy().chars().any(terminal::steers)) => {
            errln!("{}", e.render().to_string().trim_end());
            return u8::try_from(e.exit_code()).unwrap_or(exit::INPUT);
        }
        Err(e) => {
            // Where nobody reads, there is nobody to tell.
            let _ = e.print();
            return u8::try_from(e.exit_code()).unwrap_or(exit::INPUT);
        }
    };
    let done = match cli.command {
        Command::Run(args) => run::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Init(args) => init::run(&args),
        Command::Baseline(args) => baseline::run(&args),
        Command::Register(args) => register::run(&args),
        Command::Evidence(args) => evidence::run(&args),
        Command::Approve(args) => promote::approve(&args),
        Command::Promote(args) => promote::promote(&args),
        Command::Rollout(args) => promote::rollout(&args),
        Command::Rollback(args) => promote::rollback(&args),
        Command::Override(args) => promote::override_rule(&args),
        Command::Freeze(args) => promote::freeze(&args),
        Command::Resume(args) => promote::resume(&args),
        Command::Unblock(args) => unblock::run(&args),
        Command::Gate(args) => gate::run(&args),
        Command::Decide(args) => decide::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::History(args) => history::run(&args),
        Command::Audit(args) => audit::run(&args),
        Command::Load(args) => load::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Reference(args) => reference::run(&args),
    };
    match done {
        Ok(exit::PASS) if terminal::is_lost() => exit::INPUT,
        Ok(code) => code,
        Err(failure) => {
            errln!("driftgate: {:#}", failure.error);
            failure.code
        }
    }
}

/// How many threads to work with: as asked for, or as many as there are cores.
fn threads(asked: Option<u16>) -> usize {
    asked.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from)
}
