//! The gate, by the reasons it gives.

mod promotion;

use std::path::Path;

use super::*;
use crate::judge::verdict::{Counted, RuleResult, Status, Verdict, WindowSpan};
use crate::promotion::testing::{self, HEX};
use crate::promotion::types::{ActiveBlock, Dossier, RollbackTarget};

const HOUR: i64 = 3_600_000;
/// 2026-03-01T12:00:00Z.
const NOW: i64 = 1_772_366_400_000;

const CHECKS: &str = "apiVersion: driftgate/v1
model: m
features: {numeric: [a]}
checks:
  drift:
    window: {size: 2h, slide: 1h}
    stale_after: 3h
    rules: [{psi: {of: features, lt: 0.2}}]
  slo:
    window: {size: 1h, slide: 1h}
    stale_after: 3h
    rules: [{latency_p95_ms: {lt: 80}}]
  shadow:
    enforce: observe
    window: {size: 1h, slide: 1h}
    rules: [{error_rate: {lt: 0.01, unit: fraction}}]
";
const TRANSITIONS: &str = "transitions:
- {from: dev, to: staging}
- {from: staging, to: prod, checks: [slo, shadow]}
- {from: canary, to: prod, checks: [drift]}
- {from: dev, to: canary, checks: [slo]}
";

fn policy(rest: &str) -> Policy {
    crate::policy::parse(&format!("{CHECKS}{rest}"), Path::new("p.yaml")).unwrap()
}

/// A verdict whose results all decide the same; none, where it judged nothing.
fn verdict(group: &str, status: Status, sentences: &[&str]) -> GroupVerdict {
    let of = |&sentence: &&str| decided(group, status, sentence);
    let mut results: Vec<Decided> = sentences.iter().map(of).collect();
    if results.is_empty() && status != Status::Insufficient {
        results.push(decided(group, status, &format!("{group}/r s 0.1")));
    }
    GroupVerdict { group: group.into(), end_ms: NOW - HOUR, complete: true, results }
}

/// Rule and subject are the first words of the sentence.
fn decided(group: &str, decides: Status, sentence: &str) -> Decided {
    let mut words = sentence.split(' ').map(str::to_owned);
    let rule = words.next().filter(|rule| rule.contains('/')).unwrap_or_else(|| format!("{group}/r"));
    Decided { rule, subject: words.next().unwrap_or_default(), decides, sentence: sentence.to_owned() }
}

/// Of a version of which everything is known that prod asks for.
fn dossier() -> Dossier {
    let evidence = [("code_commit", serde_json::json!("git:1")), ("data_snapshot", serde_json::json!("s3://b/t"))];
    Dossier {
        artifact_sha256: Some(HEX.into()),
        rollback_target: Some(RollbackTarget { version: "1".into(), caution: None }),
        ..testing::dossier(&evidence)
    }
}

fn passing() -> Vec<GroupVerdict> {
    vec![verdict("drift", Status::Pass, &[]), verdict("slo", Status::Pass, &[])]
}

fn block(group: &str, reasons: &[&str]) -> ActiveBlock {
    ActiveBlock {
        group: group.into(),
        since: "2026-03-01T10:00:00Z".into(),
        reasons: reasons.iter().map(|&s| s.to_owned()).collect(),
        signal_id: "s".into(),
        verdict_id: "v".into(),
    }
}

fn ask(policy: &Policy, to: &str, latest: Vec<GroupVerdict>, blocks: &[ActiveBlock]) -> Answer {
    // Without transitions nothing is asked of a dossier.
    let dossier = if policy.transitions.is_empty() { Dossier::default() } else { dossier() };
    ask_with(policy, to, latest, blocks, &dossier)
}

fn ask_with(policy: &Policy, to: &str, latest: Vec<GroupVerdict>, blocks: &[ActiveBlock], dossier: &Dossier) -> Answer {
    let question = Question {
        policy,
        to,
        version: "2",
        now_ms: NOW,
        latest,
        blocks,
        standing: Standing::Registered,
        dossier,
        retry: None,
    };
    decide(&question).unwrap()
}

#[track_caller]
fn says(answer: &Answer, verdict: GateVerdict, reasons: &[&str]) {
    assert_eq!(
        (answer.verdict, answer.reasons.iter().map(String::as_str).collect::<Vec<_>>()),
        (verdict, reasons.to_vec())
    );
    assert_eq!(answer.ok, verdict == GateVerdict::Pass);
}

#[test]
fn fresh_passing_verdicts_of_every_group_that_counts_promote() {
    for (policy, to) in [(policy(""), "anything"), (policy(TRANSITIONS), "prod")] {
        says(&ask(&policy, to, passing(), &[]), GateVerdict::Pass, &[]);
    }
}

#[test]
fn a_warning_promotes_and_is_noted() {
    let answer =
        ask(&policy(""), "prod", vec![verdict("drift", Status::Warn, &[]), verdict("slo", Status::Pass, &[])], &[]);
    says(&answer, GateVerdict::Pass, &[]);
    assert_eq!(answer.notes, ["drift: the verdict of the window ending 2026-03-01T11:00:00Z warns"]);
}

#[test]
fn a_blocking_verdict_blocks_with_its_sentences() {
    let slo = verdict("slo", Status::Block, &["slo/p95 latency 95 breaks lt 80", "slo/p99 latency 300 breaks lt 200"]);
    says(
        &ask(&policy(""), "prod", vec![verdict("drift", Status::Pass, &[]), slo], &[]),
        GateVerdict::Block,
        &[
            "slo/p95 latency 95 breaks lt 80 (window ending 2026-03-01T11:00:00Z)",
            "slo/p99 latency 300 breaks lt 200 (window ending 2026-03-01T11:00:00Z)",
        ],
    );
}

#[test]
fn an_active_block_outlives_a_verdict_that_passes_and_is_not_told_twice() {
    let blocks = [block("drift", &["drift/psi a 0.3 breaks lt 0.2"])];
    let told = "drift/psi a 0.3 breaks lt 0.2 (blocked since 2026-03-01T10:00:00Z)";
    says(&ask(&policy(""), "prod", passing(), &blocks), GateVerdict::Block, &[told]);
    let same =
        vec![verdict("drift", Status::Block, &["drift/psi a 0.3 breaks lt 0.2"]), verdict("slo", Status::Pass, &[])];
    says(&ask(&policy(""), "prod", same, &blocks), GateVerdict::Block, &[told]);
    says(
        &ask(&policy(""), "prod", passing(), &[block("slo", &[])]),
        GateVerdict::Block,
        &["slo: blocked since 2026-03-01T10:00:00Z"],
    );
}

#[test]
fn every_reason_is_listed_what_blocks_first() {
    let latest = vec![verdict("slo", Status::Block, &["slo/p95 latency 95 breaks lt 80"])];
    let policy = policy("");
    let question = Question {
        policy: &policy,
        to: "prod",
        version: "2",
        now_ms: NOW + 3 * HOUR,
        latest,
        blocks: &[block("slo", &["r"])],
        standing: Standing::Unknown { others: &["1".to_owned(), "3".to_owned()] },
        dossier: &Dossier::default(),
        retry: None,
    };
    says(
        &decide(&question).unwrap(),
        GateVerdict::Block,
        &[
            "r (blocked since 2026-03-01T10:00:00Z)",
            "slo/p95 latency 95 breaks lt 80 (window ending 2026-03-01T11:00:00Z)",
            "version \"2\" of \"m\" was neither registered nor seen in events; known are 1, 3",
            "drift: no verdict yet",
            "slo: stale, the last window ended 2026-03-01T11:00:00Z, 4h ago, and counts for 3h",
        ],
    );
}

#[test]
fn missing_insufficient_incomplete_and_stale_verdicts_are_inconclusive() {
    let slo = || verdict("slo", Status::Pass, &[]);
    let one = |drift: GroupVerdict| ask(&policy(""), "prod", vec![drift, slo()], &[]);
    says(&ask(&policy(""), "prod", vec![slo()], &[]), GateVerdict::Inconclusive, &["drift: no verdict yet"]);
    says(
        &one(verdict("drift", Status::Insufficient, &["drift/psi a no value against lt 0.2: too few"])),
        GateVerdict::Inconclusive,
        &["drift/psi a no value against lt 0.2: too few (insufficient, window ending 2026-03-01T11:00:00Z)"],
    );
    says(
        &one(verdict("drift", Status::Insufficient, &[])),
        GateVerdict::Inconclusive,
        &["drift: insufficient data in the window ending 2026-03-01T11:00:00Z"],
    );
    let cut = GroupVerdict { complete: false, ..verdict("drift", Status::Block, &["x"]) };
    says(&one(cut), GateVerdict::Inconclusive, &["drift: the window that ends 2026-03-01T11:00:00Z is incomplete"]);
    let aged = |ms| one(GroupVerdict { end_ms: NOW - ms, ..verdict("drift", Status::Pass, &[]) });
    says(&aged(3 * HOUR), GateVerdict::Pass, &[]);
    says(
        &aged(3 * HOUR + 1),
        GateVerdict::Inconclusive,
        &["drift: stale, the last window ended 2026-03-01T08:59:59.999Z, 3h ago, and counts for 3h"],
    );
}

#[test]
fn the_transitions_to_the_stage_say_which_groups_count() {
    let policy = policy(TRANSITIONS);
    let drifting =
        vec![verdict("drift", Status::Block, &["drift/psi a 1 breaks lt 0.2"]), verdict("slo", Status::Pass, &[])];
    says(&ask(&policy, "canary", drifting.clone(), &[block("drift", &["x"])]), GateVerdict::Pass, &[]);
    assert_eq!(ask(&policy, "prod", drifting, &[]).verdict, GateVerdict::Block, "both transitions to prod count");
    let answer = ask(&policy, "canary", passing(), &[block("drift", &["x"])]);
    assert_eq!(
        answer.notes,
        ["drift: blocked since 2026-03-01T10:00:00Z, but the group does not count for \"canary\""]
    );
}

#[test]
fn a_group_that_only_observes_neither_blocks_nor_is_missed() {
    let policy = policy(TRANSITIONS);
    let mut latest = passing();
    latest.push(verdict("shadow", Status::Block, &["shadow/error_rate all 1 breaks lt 0.01"]));
    let answer = ask(&policy, "prod", latest, &[]);
    says(&answer, GateVerdict::Pass, &[]);
    assert_eq!(
        answer.notes,
        ["shadow: named by the transition to \"prod\", but `enforce: observe` neither blocks nor promotes"]
    );
}

#[test]
fn nothing_promotes_without_a_check() {
    let none = "nothing promotes to \"staging\" without a check: the policy of \"m\" has no group with `enforce: block` for it";
    let answer = ask(&policy(TRANSITIONS), "staging", passing(), &[]);
    says(&answer, GateVerdict::Inconclusive, &[none]);
    assert_eq!(answer.age_s, None);
    let mut lenient = policy("");
    lenient.groups.iter_mut().for_each(|g| g.enforce = Enforce::Warn);
    says(&ask(&lenient, "staging", passing(), &[]), GateVerdict::Inconclusive, &[none]);
}

#[test]
fn a_stage_that_no_transition_leads_to_is_a_mistake_of_the_asker() {
    let policy = policy(TRANSITIONS);
    let question = Question {
        policy: &policy,
        to: "prd",
        version: "2",
        now_ms: NOW,
        latest: passing(),
        blocks: &[],
        standing: Standing::Registered,
        dossier: &Dossier::default(),
        retry: None,
    };
    assert_eq!(
        decide(&question).unwrap_err().to_string(),
        "the policy of \"m\" has no transition to \"prd\"; it has transitions to canary, prod, staging"
    );
}

#[test]
fn the_age_is_that_of_the_oldest_window_that_counts() {
    let mut latest = passing();
    latest[0].end_ms = NOW - 2 * HOUR;
    latest.push(GroupVerdict { end_ms: 0, ..verdict("shadow", Status::Pass, &[]) });
    assert_eq!(ask(&policy(""), "prod", latest.clone(), &[]).age_s, Some(7200));
    // Of two verdicts of a group the newer one counts; event time may be ahead of the clock.
    for at in 0..2 {
        latest.push(GroupVerdict { end_ms: NOW + 500, ..verdict(["drift", "slo"][at], Status::Pass, &[]) });
    }
    let answer = ask(&policy(""), "prod", latest, &[]);
    assert_eq!((answer.age_s, answer.ok), (Some(0), true));
}

#[test]
fn the_answer_is_json_in_a_fixed_order_that_reads_back() {
    let answer = ask(&policy(""), "prod", passing(), &[block("slo", &["slo/p95 latency 95 breaks lt 80"])]);
    let json = serde_json::to_string(&answer).unwrap();
    assert_eq!(
        json,
        format!(
            r#"{{"verdict":"block","ok":false,"reasons":["slo/p95 latency 95 breaks lt 80 (blocked since 2026-03-01T10:00:00Z)"],"policy_sha256":"{}","evaluated_at":"2026-03-01T12:00:00Z","age_s":3600,"model":"m","version":"2","to":"prod","notes":[],"gates":[{{"gate":"drift/r","outcome":"pass","detail":"drift/r s 0.1"}},{{"gate":"slo/p95","outcome":"block","detail":"slo/p95 latency 95 breaks lt 80 (blocked since 2026-03-01T10:00:00Z)"}},{{"gate":"slo/r","outcome":"pass","detail":"slo/r s 0.1"}}]}}"#,
            answer.policy_sha256
        )
    );
    assert_eq!(serde_json::from_str::<Answer>(&json).unwrap(), answer);
}

#[test]
fn people_read_a_few_lines() {
    let mut answer =
        ask(&policy(TRANSITIONS), "prod", passing(), &[block("slo", &["slo/p95 latency 95 breaks lt 80"])]);
    answer.policy_sha256 = "0123456789abcdef".into();
    assert_eq!(
        answer.to_string(),
        "block: m version 2 to prod
  - slo/p95 latency 95 breaks lt 80 (blocked since 2026-03-01T10:00:00Z)
  note: shadow: named by the transition to \"prod\", but `enforce: observe` neither blocks nor promotes
  gates:
    pass          drift/r s 0.1
    block         slo/p95 latency 95 breaks lt 80 (blocked since 2026-03-01T10:00:00Z)
    pass          slo/r s 0.1
    pass          lineage is complete: data_snapshot, code_commit, artifact_digest
    pass          a rollback goes to version 1
  policy 0123456789ab, evaluated at 2026-03-01T12:00:00Z, oldest window ended 1h ago"
    );
    let unread = ask(&policy(TRANSITIONS), "staging", vec![], &[]).to_string();
    assert!(unread.ends_with(", no window judged"), "{unread}");
}

#[test]
fn only_a_pass_exits_with_0() {
    let all = [GateVerdict::Pass, GateVerdict::Block, GateVerdict::Inconclusive, GateVerdict::Pending];
    assert_eq!(all.map(GateVerdict::exit_code), [0, 1, 3, 4]);
    assert_eq!(serde_json::to_value(all).unwrap(), serde_json::json!(all.map(GateVerdict::name)));
}

fn result(status: Status, subject: &str) -> RuleResult {
    RuleResult {
        rule: "drift/psi".into(),
        metric: "psi".into(),
        subject: subject.into(),
        status,
        value: Some(0.31),
        evidence: vec![("limit", serde_json::json!({"lt": 0.2}))].into(),
        reason: None,
        since: None,
        pending: false,
        muted: false,
        bins: None,
    }
}

fn judged(results: Vec<RuleResult>) -> GroupVerdict {
    GroupVerdict::from(&Verdict {
        verdict_id: "v".into(),
        model: "m".into(),
        version: "2".into(),
        stage: None,
        group: "drift".into(),
        window: WindowSpan { start: 0, end: 7, complete: true },
        status: results.iter().map(|r| r.status).max().unwrap_or(Status::Pass),
        results,
        counted: Counted { predictions: 1, labels: 0 },
        policy_sha256: String::new(),
        baseline_sha256: None,
    })
}

/// The sentences of the results that decide, where they do not pass or warn.
fn worst(got: &GroupVerdict) -> Vec<&str> {
    let status = got.status_decides();
    let decide = |r: &&Decided| status >= Status::Insufficient && r.decides == status;
    got.results.iter().filter(decide).map(|r| r.sentence.as_str()).collect()
}

#[test]
fn a_verdict_is_taken_as_it_decides() {
    let all = vec![result(Status::Pass, "a"), result(Status::Insufficient, "b"), result(Status::Block, "c")];
    let got = judged(all.clone());
    assert_eq!(
        (got.status_decides(), worst(&got), got.end_ms),
        (Status::Block, vec!["drift/psi c 0.31 breaks lt 0.2"], 7)
    );
    let muted: Vec<_> = all.into_iter().map(|r| RuleResult { muted: r.status == Status::Block, ..r }).collect();
    let got = judged(muted);
    assert_eq!((got.status_decides(), worst(&got)), (Status::Insufficient, vec!["drift/psi b 0.31 against lt 0.2"]));
    let got = judged(vec![RuleResult { pending: true, ..result(Status::Block, "a") }]);
    assert_eq!((got.status_decides(), worst(&got).len()), (Status::Warn, 0));
    assert_eq!(judged(vec![]).status_decides(), Status::Insufficient);
}

#[test]
fn what_was_only_seen_is_said_to_be_unregistered_before_what_follows_from_that() {
    let policy = policy(TRANSITIONS);
    let of = |standing, to| {
        let question = Question {
            policy: &policy,
            to,
            version: "2",
            now_ms: NOW,
            latest: passing(),
            blocks: &[],
            standing,
            dossier: &Dossier::default(),
            retry: None,
        };
        decide(&question).unwrap()
    };
    let seen = of(Standing::OnlySeen, "prod");
    assert_eq!(seen.verdict, GateVerdict::Block);
    assert!(seen.reasons[0].starts_with("version \"2\" of \"m\" is not registered: "), "{:?}", seen.reasons);
    assert!(seen.reasons[0].ends_with("run driftgate register m 2"), "{:?}", seen.reasons);
    let registered = of(Standing::Registered, "prod");
    assert!(registered.reasons.iter().all(|r| !r.contains("not registered")), "{:?}", registered.reasons);
}

#[test]
fn live_checks_that_want_data_object_to_nothing_and_everything_else_that_is_open_does() {
    let policy = policy(TRANSITIONS);
    let objections = |latest: Vec<GroupVerdict>, dossier: &Dossier| {
        let question = Question {
            policy: &policy,
            to: "prod",
            version: "2",
            now_ms: NOW,
            latest,
            blocks: &[],
            standing: Standing::Registered,
            dossier,
            retry: None,
        };
        super::objections(&question).unwrap()
    };
    let staged = Dossier { stages: vec!["staging".into()], ..dossier() };
    assert_eq!(objections(Vec::new(), &staged), Vec::<String>::new());
    let blocks = vec![verdict("slo", Status::Block, &["slo/p95 latency_ms 95 breaks lt 80"])];
    let told = "slo/p95 latency_ms 95 breaks lt 80 (window ending 2026-03-01T11:00:00Z)";
    assert_eq!(objections(blocks, &staged), [told]);
    let nowhere = Dossier { rollback_target: None, ..staged };
    assert_eq!(objections(passing(), &nowhere).len(), 1);
}
