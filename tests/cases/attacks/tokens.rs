//! Tokens that would be weak, known to others or silently lost are refused; tokens are exchanged while the daemon runs; and
//! who operates does not approve.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::broker::{Daemon, wait_for};
use crate::service::{CANARY, Service, token};
use crate::support::{Folder, POLICY};

const GOOD: &str = "0123456789abcdef0123456789abcdef";

/// What `check` and `run` say of a file of tokens with a mode; no token is in it.
fn refused(text: &str, mode: u32) -> String {
    let folder = Folder::new();
    folder.write("tokens", text);
    std::fs::set_permissions(folder.path("tokens"), std::fs::Permissions::from_mode(mode)).unwrap();
    folder.write("policy.yaml", POLICY);
    folder.write(
        "driftgate.yaml",
        "policies: [policy.yaml]\nkafka: {brokers: \"127.0.0.1:1\"}\nsources: [{topic: p, kind: predictions}]\nhttp: {listen: \"127.0.0.1:0\", tokens_file: tokens}\n",
    );
    let run = folder.driftgate("run --config driftgate.yaml");
    assert!(run.code.is_some_and(|code| code != 0), "{text:?} is taken");
    assert!(!run.stderr.contains(GOOD) && !run.stderr.contains("s3cret"), "{}", run.stderr);
    let check = folder.driftgate("check --config driftgate.yaml");
    let told = check.stdout + &check.stderr;
    assert!(check.code == Some(2) && !told.contains(GOOD), "{told}");
    run.stderr
}

#[test]
fn a_file_of_tokens_is_taken_whole_or_not_at_all() {
    let good = format!("{GOOD} operator * me\n");
    for (text, mode, why) in [
        (good.clone(), 0o644, "its mode is 0644, so every user of the machine may read it: chmod 0600"),
        (good.clone(), 0o606, "read and write it"),
        (String::new(), 0o600, "it holds no token"),
        ("# nobody yet\n".to_owned(), 0o600, "it holds no token"),
        (
            "s3cret operator * me\n".to_owned(),
            0o600,
            "line 1: the token has 6 characters and can be guessed; 24 are the fewest",
        ),
        (format!("{GOOD} approver: * me\n"), 0o600, "line 1: \"approver:\" approves as nobody"),
        (format!("{GOOD} operator+ * me\n"), 0o600, "line 1: \"operator+\" is not a role"),
        (format!("{GOOD} operator:owner * me\n"), 0o600, "write operator+approver:owner"),
        (format!("{good}#{GOOD}2 operator * you\n"), 0o600, "line 2: a comment that reads like a token"),
        (format!("{good}#s3cret operator * you\n"), 0o600, "line 2: a comment that reads like a token"),
        (format!("{good}{GOOD}2 operator #* you\n"), 0o600, "line 2: 2 fields, four are needed"),
        (
            format!("{good}{GOOD}2 viewer * a # {GOOD}3 viewer * b\n"),
            0o600,
            "line 2: a comment that reads like a token",
        ),
        (format!("# people\r{good}"), 0o600, "line 1: a carriage return"),
        (format!("{good}{good}"), 0o600, "line 2: the same token as in line 1"),
    ] {
        let said = refused(&text, mode);
        assert!(said.contains(why), "{text:?}: {said}");
    }
    // All at once.
    let said = refused(&format!("s3cret operator * me\n{GOOD} approver: * me\n#{GOOD}2 viewer * you\n"), 0o644);
    assert!(["its mode is", "line 1: ", "line 2: ", "line 3: "].iter().all(|part| said.contains(part)), "{said}");
}

#[test]
fn tokens_of_the_environment_beside_a_file_are_not_silently_ignored() {
    let folder = Folder::new();
    folder.write_secret("tokens", format!("{GOOD} operator * me\n"));
    folder.write("policy.yaml", POLICY);
    folder.write("driftgate.yaml", "policies: [policy.yaml]\nhttp: {tokens_file: tokens}\n");
    let check = std::process::Command::new(env!("CARGO_BIN_EXE_driftgate"))
        .args(["check", "--config"])
        .arg(folder.path("driftgate.yaml"))
        .env("DRIFTGATE_TOKENS", format!("{GOOD}2 operator * you"))
        .output()
        .unwrap();
    let said = String::from_utf8(check.stdout).unwrap() + &String::from_utf8(check.stderr).unwrap();
    assert!(check.status.code() == Some(2) && said.contains("both http.tokens_file") && !said.contains(GOOD), "{said}");
}

#[test]
fn a_hangup_exchanges_the_tokens_and_a_bad_file_leaves_those_from_before() {
    let service = Service::new("hangup", "", CANARY, "");
    let daemon = Daemon::start(&service.config(), &[]);
    let freeze = |by: &str| service.run(&daemon, by, "freeze hangup --reason drill");
    freeze("op").exits(0);
    let tokens = service.folder.read("tokens");
    // The operator's token is revoked, and another given.
    service.folder.write_secret("new.token", token("new"));
    service.folder.write_secret("tokens", tokens.replace(&token("op"), &token("new")));
    daemon.signal("HUP");
    wait_for("the new token", || (freeze("new").code == Some(0)).then_some(()));
    freeze("op").exits(2).says("this token is not known");
    // A file that cannot be used changes nothing, and is told.
    service.folder.write("tokens", format!("{tokens}short viewer * eve\n"));
    daemon.signal("HUP");
    wait_for("the problem", || (daemon.metric("driftgate_failing{part=\"tokens\"}") == Some(1.0)).then_some(()));
    freeze("new").exits(0);
    freeze("op").exits(2).says("this token is not known");
    let status: Value = serde_json::from_str(&daemon.get("/api/v1/status").1).unwrap();
    assert!(status["problems"].to_string().contains("the tokens were not taken over"), "{status}");
    assert!(daemon.log().contains("the tokens are not taken over, and those read before hold"));
    service.folder.write_secret("tokens", tokens);
    daemon.signal("HUP");
    wait_for("the old token", || (freeze("op").code == Some(0)).then_some(()));
    assert_eq!(daemon.metric("driftgate_failing{part=\"tokens\"}"), None);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn whoever_asks_for_a_promotion_does_not_approve_it_where_the_policy_says_so() {
    let service = Service::new("requester", "", CANARY, "");
    let policy = service.folder.read("policy.yaml").replace("distinct: true", "distinct: true, exclude: [requester]");
    service.folder.write("policy.yaml", policy);
    let more = format!("{} operator+approver * boss@company\n", token("boss"));
    service.folder.write_secret("tokens", service.folder.read("tokens") + &more);
    service.folder.write_secret("boss.token", token("boss"));
    let daemon = Daemon::start(&service.config(), &[]);
    service.register(&daemon, "6", "7");
    // Who registers a version does not approve it, and is told so at once.
    service.run(&daemon, "boss", "register requester 8").exits(0);
    let approve = |by: &str, version: &str, role: &str| {
        service.run(&daemon, by, &format!("approve requester {version} --to prod --role {role}"))
    };
    approve("boss", "8", "owner").exits(2).says("boss@company registered the version and cannot approve it");
    approve("owner", "8", "owner").exits(0).prints("not by boss@company (registered the version)");
    // An approval from before somebody asked for the promotion does not count.
    approve("boss", "7", "owner").exits(0).prints("1 of 2 approvals: owner by boss@company");
    approve("reviewer", "7", "reviewer").exits(0).prints("2 of 2 approvals");
    let asked = service.run(&daemon, "boss", "promote requester 7");
    assert!(asked.code != Some(0) && asked.stdout.contains("1 of 2 approvals"), "{}", asked.stdout);
    let gate = service.run(&daemon, "op", "gate requester 7 --to prod");
    assert!(
        gate.stdout.contains("1 of 2 approvals")
            && gate.stdout.contains("(asked for the promotion, which excludes them)"),
        "{}",
        gate.stdout
    );
    service.run(&daemon, "op", "explain requester 7").prints("not by ");
    approve("boss", "7", "owner").exits(2).says("boss@company asked for the promotion and cannot approve it");
    approve("owner", "7", "owner").exits(0).prints("2 of 2 approvals");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn who_operates_does_not_approve_unless_the_role_is_given() {
    let service = Service::new("tworoles", "", CANARY, "");
    let both = format!("{} operator+approver:owner * boss@company\n", token("boss"));
    service.folder.write_secret("tokens", service.folder.read("tokens") + &both);
    service.folder.write_secret("boss.token", token("boss"));
    let daemon = Daemon::start(&service.config(), &[]);
    service.register(&daemon, "6", "7");
    let approve = |by: &str, more: &str| service.run(&daemon, by, &format!("approve tworoles 7 --to prod{more}"));
    approve("op", " --role owner")
        .exits(2)
        .says("has the role operator, this needs approver; approving is a role of its own");
    approve("boss", " --role reviewer").exits(2).says("may approve as owner, not as reviewer");
    approve("boss", "").exits(0);
    service.run(&daemon, "boss", "freeze tworoles --reason drill").exits(0);
    assert_eq!(daemon.stop(), Some(0));
}
