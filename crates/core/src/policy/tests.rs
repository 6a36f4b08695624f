//! The policy parser, by what it reads and by what it says.

mod drift;
mod importance;
mod quality;
mod rollout;
mod rules;
mod wishes;

use std::fmt::Write as _;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::rule::binning::Binning;
use crate::rule::distance::Psi;
use crate::rule::distance::chance::PsiLimit;
use crate::stats::limit::Limit;
use crate::stats::psi::Zero;

const EXAMPLE: &str = include_str!("../../../../config/policies/example.yaml");

/// A small valid policy with one group; `rules` is the text after `rules:`.
fn with_rules(rules: &str) -> String {
    format!(
        "apiVersion: driftgate/v1
model: m
features: {{numeric: [a, b], categorical: [c]}}
score: {{threshold: 0.5}}
segments: [c, c*d]
labels: {{horizon: 1d}}
checks:
  g:
    window: {{size: 2h, slide: 1h}}
    rules: {rules}
"
    )
}

fn with_rule(rule: &str) -> String {
    with_rules(&format!("[{rule}]"))
}

/// `with_rules` with lines after it.
fn and(rest: &str) -> String {
    with_rule("psi: {of: features, lt: 0.2}, latency_p95_ms: {lt: 80}")
        .replace("}, lat", "}}, {lat")
        .replace("[psi", "[{psi")
        .replace("80}]", "80}}]")
        + rest
}

fn read(text: &str) -> Result<Policy, String> {
    parse(text, Path::new("dir/p.yaml")).map_err(|errors| errors.to_string().replace("dir/p.yaml:", ""))
}

/// The limit that a number's text says.
fn at(number: f64) -> Limit {
    Limit::of(number).unwrap()
}

fn psi_below(lt: f64, warn: Option<f64>) -> PsiLimit {
    PsiLimit::Written(Bound { side: Side::Lt, limit: at(lt), warn: warn.map(at) }.into())
}

fn rule(text: &str) -> RuleKind {
    let policy = read(&with_rule(text)).unwrap();
    policy.groups[0].rules[0].kind.clone()
}

#[track_caller]
fn says(text: &str, expected: &str) {
    let message = read(text).expect_err("the policy should have been refused");
    assert!(message.contains(expected), "\n{message}\ndoes not contain\n{expected}");
}

#[track_caller]
fn rule_says(rule: &str, expected: &str) {
    says(&with_rule(rule), expected);
}

#[test]
fn the_shipped_example_parses() {
    let policy = parse(EXAMPLE, Path::new("config/policies/example.yaml")).unwrap();
    assert_eq!(policy.model, "fraud_detector");
    assert_eq!(policy.directory, Path::new("config/policies"));
    assert_eq!(
        policy.groups.iter().map(|group| group.name.as_str()).collect::<Vec<_>>(),
        ["drift", "shadow", "fairness", "quality", "slo", "kpi", "business"]
    );
    assert_eq!(policy.kpis, ["approval_rate"]);
    assert_eq!(policy.measured, ["cost_per_1k", "availability"]);
    assert_eq!(policy.labels.as_ref().unwrap().values.get("chargeback"), Some(&true));
    assert_eq!(policy.transitions[1].checks, [0, 2, 4]);
    let rollout = policy.transitions[1].rollout.as_ref().unwrap();
    assert_eq!(rollout.steps[2], RolloutStep { weight: 100.0, hold: None, bake: Some(3_600_000) });
    let triggers = &policy.rollback.as_ref().unwrap().triggers;
    assert_eq!((triggers[0].group, triggers[0].rule), (4, 2));
    assert_eq!(triggers[0].hysteresis, Some(Hysteresis::Duration(300_000)));
    assert_eq!(triggers[2].hysteresis, None);
    let of = &policy.groups[0].rules[0].kind.as_check::<Psi>().unwrap().of;
    assert_eq!(of.len(), 9);
    assert_eq!(of[4].limit, psi_below(0.5, Some(0.3)));
    assert_eq!(policy.target_name(of[4].target), "attempts_24h");
    assert_eq!(policy.target_name(Target::Score), "score");
    assert_eq!(policy.target_name(Target::Categorical(99)), "");
    assert_eq!(policy.sha256.len(), 64);
    assert_eq!(policy.mutes[0].rule.as_deref(), Some("drift/psi"));
}

#[test]
fn defaults() {
    let policy = read(&with_rule("psi: {of: features, lt: 0.2}")).unwrap();
    assert_eq!((policy.min_samples, policy.retire_after), (200, 604_800_000));
    assert_eq!(policy.features.grid, GridPoints::At(1021));
    let group = &policy.groups[0];
    assert_eq!((group.lateness, group.stale_after), (60_000, 3 * 3_600_000 + 60_000));
    assert_eq!((group.traffic, group.enforce), (Traffic::Version, Enforce::Block));
    let labels = policy.labels.unwrap();
    assert_eq!((labels.lateness, labels.attribute), (60_000, LabelAttribute::LabelTime));
    assert_eq!(
        group.rules[0],
        Rule {
            id: "psi".into(),
            hysteresis: None,
            kind: RuleKind::new(Psi {
                of: [Target::Numeric(0), Target::Numeric(1), Target::Categorical(0)]
                    .map(|target| Subject { target, limit: psi_below(0.2, None) })
                    .to_vec(),
                bins: Binning::Quantile(10),
                zero: Zero::Half,
                min_samples: None,
            }),
        }
    );
}

#[test]
fn lateness_goes_down_to_groups_and_labels() {
    let text = with_rule("auc: {gte: 0.7}").replace("slide: 1h", "slide: 1h, lateness: 10s") + "lateness: 1h\n";
    let policy = read(&text).unwrap();
    assert_eq!(policy.groups[0].lateness, 10_000);
    assert_eq!(policy.labels.unwrap().lateness, 3_600_000);
    let late = text.replace("horizon: 1d", "horizon: 1d, attribute: prediction_time, lateness: 0s");
    let policy = read(&late).unwrap();
    assert_eq!(policy.groups[0].stale_after, 3 * 3_600_000 + 10_000 + 86_400_000);
    assert_eq!(policy.labels.unwrap().lateness, 0);
}

#[test]
fn every_error_at_once_with_its_place() {
    let text = "apiVersion: driftgate/v2
model: 7
features: {numeric: [a, a], categorical: [score]}
lateness: 3600
limt: 1
checks:
  g:
    window: {size: 7d, slide: 2d}
    rules:
    - psi: {of: features, lt: 0,2}
    - psy: {}
    - ks_p: {of: aa, gte: 0}
transitions: [{from: dev, to: dev}]
rollback: {triggers: [{rule: g/nothing}]}
";
    let expected = r#"1:13: apiVersion: expected `driftgate/v1`, read "driftgate/v2"
2:8: model: expected the model's name, read 7 without quotes: write "7"
3:25: features.numeric[1]: "a" is named twice: keep one
3:43: features.categorical[0]: a feature cannot be called "score": `rename` it in the daemon's configuration
4:11: lateness: expected a duration, read "3600": the unit is missing, write 3600s, or another of d, h, m, s, ms
5:1: limt: unknown key `limt`; known here: `apiVersion`, `model`, `extends`, `vars`, `task`, `classes`, `metadata`, `baseline`, `features`, `importance`, `score`, `segments`, `unit`, `labels`, `decision`, `lateness`, `min_samples`, `min_reference`, `windows`, `retire_after`, `checks`, `mute`, `ignore`, `transitions`, `rollback`, `signing`
8:20: checks.g.window.size: size 7d is not a multiple of slide 2d: write a size that is, like 8d
10:31: checks.g.rules[0].psi.lt: expected a number, read "0,2", write 0.2
11:12: checks.g.rules[1].psy: unknown rule `psy`; "#;
    let message = read(text).unwrap_err();
    assert!(message.starts_with(expected), "\n{message}\nis not\n{expected}");
    for line in [
        "did you mean `psi`?\n",
        "12:18: checks.g.rules[2].ks_p.of: unknown feature \"aa\"; known here: `a`",
        "12:27: checks.g.rules[2].ks_p.gte: expected a p-value above 0, at most 1, read \"0\"",
        "13:15: transitions[0]: the transition leads from dev to itself: write two stages",
        "14:30: rollback.triggers[0].rule: unknown rule \"g/nothing\"; known here: `g/psi`, `g/psy`, `g/ks_p`",
    ] {
        assert!(message.contains(line), "\n{message}\nlacks\n{line}");
    }
    let errors = parse(text, Path::new("dir/p.yaml")).unwrap_err();
    assert!(errors.to_string().starts_with("dir/p.yaml:1:13: apiVersion: "));
}

#[test]
fn yaml_mistakes() {
    says("", "1:1: the file is empty");
    says("a: [1", "not valid yaml: ");
    says("model: a\nmodel: b\nchecks: {}\n", "2:1: model: the key `model` is written twice, first on line 1: keep one");
    says("a: 1\n---\nb: 2\n", "a second document begins here");
    says("[1]", "expected a mapping with keys such as `apiVersion`, read a list of 1");
    says("model: !!str m", "model: tags (`!…`) are not read here");
    says("model: *nothing", "not valid yaml: ");
    says("? [a]\n: 1\n", "a key must be text");
    says("<<: {a: 1}", "merge keys");
    let deep = "[".repeat(50) + &"]".repeat(50);
    says(&format!("model: {deep}"), "nested deeper than 32 levels");
    says(&format!("model: {}", "[".repeat(5000)), "not valid yaml");
}

#[test]
fn aliases_are_filled_in_and_bounded() {
    let text = with_rules("[psi: &x {of: features, lt: 0.2}, ks_p: {of: features, gte: 0.01}]");
    let policy = read(&(text + "  h: {window: {size: 1h, slide: 1h}, rules: [psi: *x]}\n")).unwrap();
    assert_eq!(policy.groups[0].rules[0], policy.groups[1].rules[0]);
    let mut bomb = "a0: &a0 [x]\n".to_owned();
    for level in 1..30 {
        let _ = writeln!(bomb, "a{level}: &a{level} [*a{0}, *a{0}, *a{0}]", level - 1);
    }
    says(&bomb, "more than 200000 values (aliases filled in)");
    says("a: &a [*a]", "alias");
}

#[test]
fn top_level_mistakes() {
    for (more, message) in [
        ("task: multiclass\n", "`task: multiclass` needs the model's classes"),
        ("task: ranking\n", "task: expected `binary` or `regression` or `multiclass`, read \"ranking\""),
        ("min_samples: -1\n", "expected a whole number from 1"),
        ("retire_after: 7\n", "the unit is missing, write 7s"),
        ("lateness: 1h30m\n", "write 90m"),
        ("metadata: {team: [a]}\n", "metadata.team: expected a text"),
        ("baseline: {snapshot: \"x_{verison}\"}\n", "the only placeholder is {version}"),
        ("baseline: {columns: {id: x}}\n", "baseline.columns.id: unknown key `id`"),
        ("mute: [{until: 2013-10-01, reason: x}]\n", "mute[0]: this would mute every rule"),
        ("mute: [{of: z, until: 2013-10-01, reason: x}]\n", "unknown subject \"z\"; known here: `a`, `b`, `c`"),
        (
            "mute: [{rule: g/latency_p95_ms, of: a, until: 2013-10-01, reason: x}]\n",
            "unknown subject \"a\"; known here: `latency_ms`",
        ),
        ("mute: [{rule: psi, until: 2013-10-01, reason: x}]\n", "unknown rule \"psi\"; write `g/psi`"),
        ("mute: [{of: a, reason: x}]\n", "mute[0].until: missing: write `until: 2013-10-01`"),
        ("mute: [{of: a, until: soon, reason: x}]\n", "expected a time, read \"soon\""),
        ("mute: [{of: a, until: 2013-10-01}]\n", "mute[0].reason: missing"),
        ("ignore: [{from: 2013-05-02, to: 2013-05-01, reason: x}]\n", "`from` is not before `to`"),
        ("ignore: [{from: 2013-05-02T00:00, to: 2013-06-01, reason: x}]\n", "the zone is missing"),
    ] {
        says(&and(more), message);
    }
    let policy = read(&and("ignore: [{from: 1970-01-01T00:00Z, to: 1970-01-02, reason: x}]\n")).unwrap();
    assert_eq!((policy.ignores[0].from, policy.ignores[0].to), (0, 86_400_000));
    let base = with_rule("psi: {of: features, lt: 0.2}");
    for (from, to, message) in [
        ("model: m", "model: a/b", "write it without slashes"),
        ("model: m", "model: \"\"", "expected the model's name, read an empty text"),
        ("model: m", "model: \"a\\u0007\"", "write it without control characters"),
        ("[a, b]", "[a, c]", "\"c\" is in `numeric` and in `categorical`"),
        ("[a, b]", "[a, \"\"]", "features.numeric[1]: expected a feature's name, read an empty text"),
        ("[a, b]", "a", "expected a list of feature names, in brackets, read \"a\""),
        (
            "categorical: [c]",
            "categorical: [c], grid: {points: 5}",
            "expected `exact` or a whole number from 21 to 100000",
        ),
        ("[c, c*d]", "[c, c]", "segments[1]: \"c\" is named twice"),
        ("[c, c*d]", "[c, c*]", "has an empty part"),
        ("[c, c*d]", "[c*c]", "crosses `c` with itself"),
        ("[c, c*d]", "[a*b*c*d*e]", "crosses 5 attributes: cross at most 4"),
        ("horizon: 1d", "attribute: label_time", "labels.horizon: missing"),
        (
            "horizon: 1d",
            "horizon: 1d, values: {\"2\": 1, \"2.0\": 0}",
            "\"2\" and \"2.0\" are one number: give it one class",
        ),
        ("model: m", "model: m\ndecision: {}", "decision.values: missing: write `values: {approve: 1, deny: 0}`"),
        (
            "model: m",
            "model: m\ndecision: {values: {approve: yes}}",
            "decision.values.approve: expected `1` or `0` or `true` or `false`",
        ),
        (
            "horizon: 1d",
            "horizon: 1d, values: {ja: 2}",
            "labels.values.ja: expected `1` or `0` or `true` or `false`, read \"2\"",
        ),
    ] {
        says(&base.replace(from, to), message);
    }
    // A broken feature list says so once, and does not make every name in the rules unknown.
    let message = read(&base.replace("features: {numeric: [a, b], categorical: [c]}", "features: []")).unwrap_err();
    assert_eq!(message, "3:11: features: expected a mapping with keys such as `numeric`, read a list of 0");
    let many: Vec<String> = (0..10_001).map(|index| format!("f{index}")).collect();
    says(&base.replace("[a, b]", &format!("[{}]", many.join(", "))), "10002 features: name at most 10000");
}

#[test]
fn exact_grids() {
    let text = with_rule("psi: {of: features, lt: 0.2}");
    let exact = text.replace("categorical: [c]", "categorical: [c], grid: {points: exact}");
    assert_eq!(read(&exact).unwrap().features.grid, GridPoints::Exact);
}

#[test]
fn transition_mistakes() {
    for (more, message) in [
        ("{from: a, to: b, evidence: [test]}", "evidence[0]: unknown \"test\"; known here: "),
        ("{from: a, to: b, evidence: [test]}", "did you mean `tests`?"),
        ("{from: a, to: b, evidence: [tests, tests]}", "\"tests\" is named twice"),
        ("{from: a, to: b, schema: {allow: [drop]}}", "unknown \"drop\"; known here: `add_optional`"),
        ("{from: a, to: b, checks: [h]}", "checks[0]: unknown group \"h\"; known here: `g`"),
        ("{from: a, to: b, checks: [g, g]}", "\"g\" is named twice"),
        ("{from: a, to: b, approvals: none}", "expected `auto` or the roles that approve"),
        ("{from: a, to: b, approvals: {roles: {}}}", "expected at least one role"),
        ("{from: a, to: b, approvals: {roles: {owner: 0}}}", "expected a whole number from 1 to 20"),
        ("{from: a, to: b, approvals: {roles: {owner: 1}, expires: 72}}", "the unit is missing"),
        ("{from: a, to: b, approvals: {roles: {owner: 1}, exclude: [author]}}", "unknown \"author\""),
        ("{from: a, to: b, approvals: {roles: {owner: 1}, exclude: [requester, requester]}}", "is named twice"),
        ("{from: a, to: b, approvals: {roles: {owner: 1}, distinct: yes}}", "expected true or false, read \"yes\""),
        ("{from: a, to: b, offline: [{metric: auc, min_gain: 0.02}]}", "say which of the two"),
        (
            "{from: a, to: b, offline: [{metric: auc, min_gain: {absolute: 0.1}, versus: x}]}",
            "expected `baseline` or `champion`",
        ),
        ("{from: a, to: b, offline: [{metric: auc}]}", "no limit: write `min_gain: {absolute: 0.02}`"),
        (
            "{from: a, to: b, offline: [{metric: auc, min_gain: {absolute: 0.1}, max_increase: {absolute: 1}}]}",
            "both `min_gain` and `max_increase`",
        ),
        ("{from: a, to: b, offline: [{metric: ms, max_increase: {absolute: -1}}]}", "expected a number, 0 or more"),
        (
            "{from: a, to: b, offline: [{metric: auc, min_gain: {absolute: 0.1}, versus: 10}]}",
            "read 10 without quotes: write \"10\"",
        ),
        ("{from: a, to: b, approvals: {roles: {owner: 1}, people: {boss: [b]}}}", "unknown role \"boss\""),
        (
            "{from: a, to: b, approvals: {roles: {owner: 2}, people: {owner: [b]}}}",
            "2 must sign as owner, and only 1 may",
        ),
        ("{from: a, to: b, approvals: {roles: {owner: 1}, people: {owner: [b, B]}}}", "\"B\" is named twice"),
        ("{from: a}", "transitions[0].to: missing: write `to: prod`"),
        ("{from: a, to: b}, {from: a, to: b}", "the transition from a to b is written twice"),
        ("{from: a, to: b, rollout: {steps: [{weight: 100, bake: 1h}]}}", "rollout.checks: missing"),
        ("{from: a, to: b, rollout: {checks: [], steps: [{weight: 100, bake: 1h}]}}", "guards nothing"),
        ("{from: a, to: b, rollout: {checks: [g]}}", "rollout.steps: missing"),
        ("{from: a, to: b, rollout: {checks: [g], steps: []}}", "expected at least one step"),
        (
            "{from: a, to: b, rollout: {checks: [g], steps: [{weight: 100, for: 1h}]}}",
            "the last step moves all traffic",
        ),
        ("{from: a, to: b, rollout: {checks: [g], steps: [{weight: 9}, {weight: 100, bake: 1h}]}}", "holds its weight"),
        (
            "{from: a, to: b, rollout: {checks: [g], steps: [{weight: 50, for: 1h}, {weight: 50, for: 1h}, {weight: 100, bake: 1h}]}}",
            "weight 50 is not above the 50 before it",
        ),
        (
            "{from: a, to: b, rollout: {checks: [g], steps: [{weight: 101, bake: 1h}]}}",
            "expected a percentage from 0 to 100",
        ),
        ("{from: a, to: b, rollout: {controller: argo, checks: [g]}}", "expected `driftgate` or `external`"),
    ] {
        says(&and(&format!("transitions: [{more}]\n")), message);
    }
    says(&and("rollback: {to: first, triggers: [{rule: g/psi}]}\n"), "expected `last_stable`");
    says(&and("rollback: {triggers: []}\n"), "expected at least one trigger");
    says(&and("rollback: {triggers: [{rule: g/psi}, {rule: g/psi, for: 3}]}\n"), "this rule triggers already");
    let external =
        and("transitions: [{from: a, to: b, rollout: {controller: external, checks: [g], on_inconclusive: fail}}]\n");
    let policy = read(&external).unwrap();
    let rollout = policy.transitions[0].rollout.as_ref().unwrap();
    assert!(rollout.external && !rollout.pause_on_inconclusive && rollout.steps.is_empty());
    assert_eq!(policy.transitions[0].approvals, Approvals::Auto);
}

#[test]
fn a_named_baseline_a_cost_and_people() {
    let policy = read(&and("transitions:
- from: dev
  to: staging
  schema: {allow: [add_optional, remove_optional, widen]}
  evidence: [params, offline, schema_diff]
  offline:
  - {metric: auc, min_gain: {absolute: 0.02}, versus: \"10\"}
  - {metric: cost_per_1k, max_increase: {relative: 1.5}, versus: champion}
  approvals: {roles: {owner: 1, reviewer: 2}, people: {owner: [ann@org]}, distinct: false}
"))
    .unwrap();
    let transition = &policy.transitions[0];
    let of = |at: usize| (transition.offline[at].limit, transition.offline[at].versus.as_str());
    assert_eq!(of(0), (OfflineLimit::MinGain(Tolerance::Absolute(at(0.02))), "10"));
    assert_eq!(of(1), (OfflineLimit::MaxIncrease(Tolerance::Relative(at(1.5))), "champion"));
    assert_eq!(transition.schema_allow.len(), 3);
    let Approvals::Roles { people, .. } = &transition.approvals else { panic!("{:?}", transition.approvals) };
    assert_eq!(people.get("owner").unwrap(), &["ann@org"]);
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in "\\PC*") {
        let _ = read(&text);
    }

    #[test]
    fn yaml_like_text_never_panics(text in "[a-z0-9:,{}\\[\\]&*!|>'\"#%? \n.-]{0,200}") {
        let _ = read(&text);
        let _ = read(&with_rules(&text));
    }

    #[test]
    fn mutated_policies_never_panic(from in 0usize..6000, length in 0usize..12, with in "[a-z0-9:,{}\\[\\]&*!'\" \n.é-]{0,6}") {
        let characters: Vec<char> = EXAMPLE.chars().collect();
        let from = from % characters.len();
        let to = (from + length).min(characters.len());
        let text: String = characters[..from].iter().copied().chain(with.chars()).chain(characters[to..].iter().copied()).collect();
        if let Err(errors) = parse(&text, Path::new("p.yaml")) {
            prop_assert!(!errors.errors.is_empty(), "refused without an error");
        }
    }
}
