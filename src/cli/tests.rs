//! What the commands print, with fixed inputs. `INSTA_UPDATE=always` writes the snapshots anew.

use std::fmt::Write as _;

use clap::{Command, CommandFactory as _, ValueEnum as _};
use clap_complete::Shell;

use super::args::Cli;
use super::{exit, man, terminal};

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

#[test]
fn every_shell_has_a_script_that_names_the_commands() {
    for shell in Shell::value_variants() {
        let mut script = Vec::new();
        clap_complete::generate(*shell, &mut Cli::command(), "driftgate", &mut script);
        let script = String::from_utf8(script).unwrap();
        assert!(["replay", "status", "policy"].iter().all(|word| script.contains(word)), "{shell}");
        // What commands print is escaped where it would steer a terminal: a script must have nothing of that.
        assert!(!script.chars().any(|c| terminal::steers(c) && !matches!(c, '\n' | '\t')), "{shell}");
    }
}

#[test]
fn every_command_has_a_manual_page_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("man1");
    assert_eq!(man::run(&man::Args { out: out.clone() }, Cli::command()).unwrap(), exit::PASS);
    let page = |name: &str| std::fs::read_to_string(out.join(name)).unwrap();
    assert!(page("driftgate.1").contains("driftgate\\-replay(1)"), "{}", page("driftgate.1"));
    assert!(page("driftgate-replay.1").contains("\\-\\-policy"));
    assert!(page("driftgate-audit-verify.1").contains(".TH driftgate-audit-verify 1"));
    assert!(!out.join("driftgate-reference.1").exists(), "a hidden command has no page");
    let refused = man::run(&man::Args { out: out.join("driftgate.1") }, Cli::command()).unwrap_err();
    assert!(format!("{:#}", refused.error).contains("cannot be created"), "{:#}", refused.error);
}
