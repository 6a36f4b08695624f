//! What the commands print, with fixed inputs. `INSTA_UPDATE=always` writes the snapshots anew.

use std::fmt::Write as _;

use clap::{Command, CommandFactory as _};

use super::args::Cli;

fn helps(command: &mut Command, out: &mut String) {
    for below in command.get_subcommands_mut().filter(|c| !c.is_hide_set() && c.get_name() != "help") {
        if below.has_subcommands() {
            helps(below, out);
        } else {
            let name = below.get_bin_name().unwrap_or_default().to_owned();
            let _ = writeln!(out, "$ {name} --help\n{}\n", below.render_long_help());
        }
    }
}

#[test]
fn the_help_of_every_command() {
    let mut cli = Cli::command().term_width(100);
    cli.build();
    let mut out = format!("$ driftgate --help\n{}\n", cli.render_long_help());
    helps(&mut cli, &mut out);
    insta::assert_snapshot!(out);
}
