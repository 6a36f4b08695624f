//! The command line: one file a subcommand. Exit codes: 0 pass or done, 1 block, 2 usage, policy or input error,
//! 3 inconclusive, 4 waiting for approval, 5 unreachable.

mod admission;
mod approve;
mod args;
mod audit;
mod baseline;
mod carry;
mod check;
mod client;
mod cluster;
mod color;
mod completions;
mod count;
mod decide;
mod demo;
mod display;
mod elsewhere;
mod evidence;
pub mod exit;
mod explain;
mod freeze;
mod gate;
mod history;
mod init;
mod judge;
mod load;
mod local;
mod logging;
mod man;
mod merge;
mod model;
mod model_card;
mod output;
mod override_rule;
mod parts;
mod probe;
mod promote;
mod reference;
mod register;
mod replay;
mod report;
mod resume;
mod rollback;
mod rollout;
mod run;
mod splits;
mod state;
mod status;
mod terminal;
#[cfg(test)]
mod tests;
mod threads;
mod trust;
mod tune;
mod unblock;

use clap::{CommandFactory as _, Parser as _};

use args::{Cli, Command};
use terminal::errln;

/// What the arguments say, or the exit code where that was printed: help, or an error.
fn parsed() -> Result<Cli, u8> {
    Cli::try_parse().map_err(|e| {
        // What was written on the command line may come from somewhere else; the usual way keeps colours.
        if e.use_stderr() && std::env::args_os().any(|a| a.to_string_lossy().chars().any(terminal::steers)) {
            errln!("{}", e.render().to_string().trim_end());
        } else {
            // A closed output cannot be reported to anywhere.
            let _ = e.print();
        }
        u8::try_from(e.exit_code()).unwrap_or(exit::INPUT)
    })
}

/// Runs the command that the arguments name; returns the exit code.
#[must_use]
pub fn main() -> u8 {
    let cli = match parsed() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    cli.color.apply();
    let done = match cli.command {
        Command::Run(args) => run::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Init(args) => init::run(&args),
        Command::Baseline(args) => baseline::run(&args),
        Command::Register(args) => register::run(&args),
        Command::Evidence(args) => evidence::run(&args),
        Command::Approve(args) => approve::run(&args),
        Command::Promote(args) => promote::run(&args),
        Command::Rollout(args) => rollout::run(&args),
        Command::Rollback(args) => rollback::run(&args),
        Command::Override(args) => override_rule::run(&args),
        Command::Freeze(args) => freeze::run(&args),
        Command::Resume(args) => resume::run(&args),
        Command::Unblock(args) => unblock::run(&args),
        Command::Gate(args) => gate::run(&args),
        Command::Decide(args) => decide::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::ModelCard(args) => model_card::run(&args),
        Command::History(args) => history::run(&args),
        Command::Audit(args) => audit::run(&args),
        Command::State(args) => state::run(&args),
        Command::Cluster(args) => cluster::run(&args),
        Command::Load(args) => load::run(&args),
        Command::Probe(args) => probe::run(&args),
        Command::Splits(args) => splits::run(&args),
        Command::Count(args) => count::run(&args),
        Command::Carry(args) => carry::run(&args),
        Command::Merge(args) => merge::run(&args),
        Command::Judge(args) => judge::run(&args),
        Command::Admission(args) => admission::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Tune(args) => tune::run(&args),
        Command::Completions(args) => completions::run(&args, &mut Cli::command()),
        Command::Man(args) => man::run(&args, Cli::command()),
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
