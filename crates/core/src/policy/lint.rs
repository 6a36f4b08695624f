//! Advice on a policy that is valid: what it leaves unguarded, and `for` that says nothing. A lint is no error, since each has
//! cases where it is wrong.

mod snapshot;

use std::collections::{BTreeMap, BTreeSet};

use super::number_of;
use super::signing::SignerTrust;
use super::types::{Approvals, Enforce, Group, Hysteresis, Policy, Transition};
use crate::rule::definition::Guard;
use crate::yaml::units::show_duration;

/// One piece of advice and where in the policy it belongs.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Lint {
    /// As in error messages, e.g. `transitions[1].checks`.
    pub path: String,
    pub message: String,
}

/// The stage that serves.
const PROD: &str = "prod";
/// What a version's lineage needs: data, code and the artifact they made.
pub const LINEAGE: [&str; 3] = ["data_snapshot", "code_commit", "artifact_digest"];

/// Everything worth a second thought, in the policy's order.
#[must_use]
pub fn lint(policy: &Policy) -> Vec<Lint> {
    let mut lints = Lints(Vec::new());
    for group in &policy.groups {
        lints.group(group);
    }
    lints.classes("labels.values", policy.labels.as_ref().map(|l| &l.values));
    lints.classes("decision.values", Some(&policy.decision_values));
    lints.design_effects(policy);
    lints.changes(policy);
    lints.volumes(policy);
    lints.calibration(policy);
    for (at, transition) in policy.transitions.iter().enumerate().filter(|(_, t)| t.to == PROD) {
        lints.promotion(policy, at, transition);
    }
    lints.signatures(policy);
    lints.unused_groups(policy);
    lints.rollback(policy);
    lints.0
}

struct Lints(Vec<Lint>);

impl Lints {
    fn say(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(Lint { path: path.into(), message: message.into() });
    }

    fn group(&mut self, group: &Group) {
        for (at, rule) in group.rules.iter().enumerate() {
            let path = format!("checks.{}.rules[{at}].{}", group.name, rule.kind.metric());
            if let Some(message) = too_short(group, rule.hysteresis) {
                self.say(format!("{path}.for"), message);
            }
        }
    }

    /// A mapping that leaves a class to 0, 1, true and false, or gives one of these another meaning.
    fn classes(&mut self, path: &str, values: Option<&BTreeMap<String, bool>>) {
        let Some(values) = values.filter(|values| !values.is_empty()) else { return };
        for (class, means) in [(false, "0 and false"), (true, "1 and true")] {
            if values.values().all(|c| *c != class) {
                let class = u8::from(class);
                self.say(
                    path,
                    format!("names nothing for class {class}: only {means} mean it then; name what else does, so that nothing is left out"),
                );
            }
        }
        for (value, class) in values {
            let usual = match (value.as_str(), number_of(value)) {
                ("true", _) | (_, Some(1.0)) => true,
                ("false", _) | (_, Some(0.0)) => false,
                _ => continue,
            };
            if usual != *class {
                self.say(
                    path,
                    format!(
                        "{value:?} means {} here and {} everywhere else: is that meant?",
                        u8::from(*class),
                        u8::from(usual)
                    ),
                );
            }
        }
    }

    fn promotion(&mut self, policy: &Policy, at: usize, transition: &Transition) {
        let path = format!("transitions[{at}]");
        let evidence = evidence_on_the_way(policy, transition);
        let missing: Vec<&str> = LINEAGE.into_iter().filter(|kind| !evidence.contains(kind)).collect();
        if !missing.is_empty() {
            self.say(
                format!("{path}.evidence"),
                format!(
                    "a version reaches {PROD} without {}: name them, so that it can be traced to what made it",
                    missing.join(", ")
                ),
            );
        }
        let groups = |of: &[usize]| {
            of.iter().filter_map(|&g| policy.groups.get(g)).filter(|g| g.enforce == Enforce::Block).collect::<Vec<_>>()
        };
        let checks = groups(&transition.checks);
        if checks.is_empty() {
            self.say(format!("{path}.checks"), format!("no group with `enforce: block` guards the way to {PROD}, and nothing promotes without a check: name groups"));
        } else {
            let guards = |groups: &[&Group], what| {
                groups.iter().flat_map(|g| &g.rules).any(|r| r.kind.definition().guards == what)
            };
            let rollout = transition.rollout.as_ref().map(|r| groups(&r.checks)).unwrap_or_default();
            if !guards(&checks, Guard::Service) && !guards(&rollout, Guard::Service) {
                self.say(
                    format!("{path}.checks"),
                    "no latency or error_rate rule among them: a version that is slow or fails would be promoted",
                );
            }
            if !guards(&checks, Guard::Drift) {
                self.say(format!("{path}.checks"), "no drift rule (psi, ks_p, …) among them: a version could be promoted onto data it was not trained for");
            }
            if !guards(&checks, Guard::Fairness) {
                self.say(format!("{path}.checks"), "no fairness rule (tpr_gap, …) among them: a version could be promoted that treats segments unequally");
            }
        }
        if transition.approvals == Approvals::Auto {
            self.say(
                format!("{path}.approvals"),
                format!("nobody is asked before a version reaches {PROD}: write roles, like {{roles: {{owner: 1, reviewer: 1}}}}"),
            );
        }
        if transition.rollout.is_none() {
            self.say(
                format!("{path}.rollout"),
                "all traffic moves at once: write steps, so that few requests meet a bad version",
            );
        }
    }

    /// A signature is worth what its key is.
    fn signatures(&mut self, policy: &Policy) {
        let asks = policy.transitions.iter().position(|t| t.evidence.iter().any(|kind| kind == "signature"));
        for signer in &policy.model_signers {
            if matches!(signer.trust, SignerTrust::Authorities { identity: None, .. }) {
                let message = format!(
                    "whoever has a certificate of the CA {:?} can sign: write whom the certificate must name as `identity`",
                    signer.id
                );
                self.say("signing.keys", message);
            }
        }
        match (asks, policy.signing_keys.is_empty() && policy.model_signers.is_empty()) {
            (Some(at), true) => self.say(
                format!("transitions[{at}].evidence"),
                "it asks for a signature, and no key is pinned, so none verifies: write `signing: {keys: […]}`",
            ),
            (None, false) => self.say("signing", "no transition asks for a signature: name it in an `evidence`"),
            _ => {}
        }
    }

    fn unused_groups(&mut self, policy: &Policy) {
        if policy.transitions.is_empty() {
            return;
        }
        let rollouts = policy.transitions.iter().filter_map(|t| t.rollout.as_ref()).flat_map(|r| &r.checks);
        let triggers = policy.rollback.iter().flat_map(|r| &r.triggers).map(|t| &t.group);
        let used: BTreeSet<usize> =
            policy.transitions.iter().flat_map(|t| &t.checks).chain(rollouts).chain(triggers).copied().collect();
        for (at, group) in policy.groups.iter().enumerate() {
            if group.enforce == Enforce::Block && !used.contains(&at) {
                self.say(
                    format!("checks.{}", group.name),
                    "it enforces `block`, but no transition, rollout or rollback names it: name it, or write `enforce: observe`",
                );
            }
        }
    }

    fn rollback(&mut self, policy: &Policy) {
        let Some(plan) = &policy.rollback else {
            if policy.transitions.iter().any(|t| t.to == PROD) {
                self.say("rollback", format!("there is none: a version that breaks in {PROD} stays there; write triggers, like {{rule: slo/p95, for: 5m}}"));
            }
            return;
        };
        for (at, trigger) in plan.triggers.iter().enumerate() {
            let Some(group) = policy.groups.get(trigger.group) else { continue };
            let Some(rule) = group.rules.get(trigger.rule) else { continue };
            let path = format!("rollback.triggers[{at}]");
            let name = format!("{}/{}", group.name, rule.id);
            if matches!(rule.kind.definition().guards, Guard::Drift | Guard::Fairness) {
                self.say(
                    format!("{path}.rule"),
                    format!("{name} watches the world rather than the version: the older version lives in the same world and may do worse; trigger on latency, errors or a KPI"),
                );
            }
            if let Some(message) = too_short(group, trigger.hysteresis) {
                self.say(format!("{path}.for"), message);
            }
        }
    }
}

/// Everything asked for on the way to this transition: its own evidence, and that of what leads to its start.
#[must_use]
pub fn evidence_on_the_way<'p>(policy: &'p Policy, transition: &'p Transition) -> BTreeSet<&'p str> {
    let mut evidence: BTreeSet<&str> = transition.evidence.iter().map(String::as_str).collect();
    let (mut seen, mut open) = (BTreeSet::from([transition.to.as_str()]), vec![transition.from.as_str()]);
    while let Some(stage) = open.pop() {
        if seen.insert(stage) {
            for before in policy.transitions.iter().filter(|t| t.to == stage) {
                evidence.extend(before.evidence.iter().map(String::as_str));
                open.push(&before.from);
            }
        }
    }
    evidence
}

/// A `for:` that windows which share events fulfil with the same events.
fn too_short(group: &Group, hysteresis: Option<Hysteresis>) -> Option<String> {
    let window = group.window;
    if window.size <= window.slide {
        return None;
    }
    let (size, slide, enough) =
        (show_duration(window.size), show_duration(window.slide), window.size / window.slide + 1);
    match hysteresis? {
        Hysteresis::Duration(lasts) if lasts < window.size => Some(format!(
            "{} is shorter than the window of {size}: windows overlap, so the same events can breach all that time; write at least {size}",
            show_duration(lasts)
        )),
        Hysteresis::Windows(count) if i64::from(count) < enough => Some(format!(
            "{count} windows of {size} every {slide} share events, so the same ones can breach them all; write at least {enough}"
        )),
        Hysteresis::SomeOf { breaching, of } if i64::from(of) < enough => Some(format!(
            "{of} windows of {size} every {slide} share events, so the same ones can breach {breaching} of them; look at {enough} or more"
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const HEAD: &str = "apiVersion: driftgate/v1
model: m
features: {numeric: [a, b, c, d, e, f]}
score: {threshold: 0.5}
segments: [c]
labels: {horizon: 1d}
checks:
  drift:
    window: {size: 7d, slide: 1d}
    rules: [{psi: {of: features, lt: 0.2, for: FOR}}, {ks_p: {of: features, gte: 0.01KS}}]
  fair:
    window: {size: 7d, slide: 7d}
    rules: [{tpr_gap: {by: c, lt: 0.1, for: 1h}}]
  slo:
    window: {size: 1m, slide: 1m}
    rules: [{latency_p95_ms: {id: p95, lt: 80}}]
";
    const GOOD: &str = "transitions:
- {from: dev, to: staging, evidence: [artifact_digest]}
- from: staging
  to: prod
  evidence: [data_snapshot, code_commit]
  checks: [drift, fair]
  approvals: {roles: {owner: 1}}
  rollout: {steps: [{weight: 100, bake: 1h}], checks: [slo]}
rollback: {triggers: [{rule: slo/p95, for: 5m}]}
";

    fn lints(hysteresis: &str, ks: &str, rest: &str) -> Vec<(String, String)> {
        let head = HEAD.replace("FOR", hysteresis).replace("KS", ks);
        let policy = crate::policy::parse(&format!("{head}{rest}"), Path::new("p.yaml")).unwrap();
        lint(&policy).into_iter().map(|l| (l.path, l.message)).collect()
    }

    fn paths(lints: &[(String, String)]) -> Vec<&str> {
        lints.iter().map(|(path, _)| path.as_str()).collect()
    }

    #[test]
    fn a_careful_policy_has_none() {
        assert_eq!(lints("7d", ", min_effect: 0.05", GOOD), []);
        assert_eq!(lints("8", ", correction: holm", GOOD), []);
        assert_eq!(lints("7d", ", correction: bh", ""), []);
    }

    #[test]
    fn overlapping_windows_share_events() {
        for (hysteresis, says) in
            [("3d", "3d is shorter than the window of 7d"), ("3", "write at least 8"), ("7", "share events")]
        {
            let found = lints(hysteresis, ", min_effect: 0.05", GOOD);
            assert_eq!(paths(&found), ["checks.drift.rules[0].psi.for"]);
            assert!(found[0].1.contains(says), "{found:?}");
        }
    }

    #[test]
    fn a_volume_against_several_windows_together_is_told() {
        let of = |rule: &str| {
            let text = format!(
                "apiVersion: driftgate/v1\nmodel: m\nfeatures: {{}}\nchecks: {{g: {{window: {{size: 1d, slide: 1d}}, rules: [{{volume: {{{rule}}}}}]}}}}\n"
            );
            lint(&crate::policy::parse(&text, Path::new("p.yaml")).unwrap())
        };
        for rule in [
            "max_drop: {relative: 0.5}, versus: {rolling: 4}",
            "max_drop: 100, versus: {season: 7d, back: 2}",
            "max_increase: {relative: 0.2}, versus: {rolling: 2}",
        ] {
            let found = of(rule);
            assert!(matches!(&found[..], [one] if one.path == "checks.g.rules[0].volume.versus"), "{rule}: {found:?}");
        }
        for rule in [
            "max_drop: {relative: 0.5}, versus: previous",
            "max_drop: {relative: 0.5}, versus: {season: 7d, back: 1}",
            "max_drop: {relative: 0.875}, versus: {rolling: 4}",
            "gte: 10",
        ] {
            assert_eq!(of(rule), [], "{rule}");
        }
    }

    #[test]
    fn a_bare_way_to_prod_is_named() {
        let found = lints(
            "7d",
            ", min_effect: 0.05",
            "transitions:\n- {from: dev, to: prod, evidence: [code_commit], checks: [slo]}\n",
        );
        let expected = [
            "transitions[0].evidence",
            "transitions[0].checks",
            "transitions[0].checks",
            "transitions[0].approvals",
            "transitions[0].rollout",
            "checks.drift",
            "checks.fair",
            "rollback",
        ];
        assert_eq!(paths(&found), expected);
        assert!(found[0].1.contains("without data_snapshot, artifact_digest"), "{found:?}");
        let found = lints("7d", ", min_effect: 0.05", "transitions:\n- {from: dev, to: prod}\n");
        assert!(
            found.iter().any(|(p, m)| p == "transitions[0].checks" && m.contains("nothing promotes without a check")),
            "{found:?}"
        );
    }

    #[test]
    fn a_signature_needs_a_key() {
        let asks = GOOD.replace("[data_snapshot,", "[signature, data_snapshot,");
        let found = lints("7d", ", min_effect: 0.05", &asks);
        assert_eq!(paths(&found), ["transitions[1].evidence"]);
        assert!(found[0].1.contains("no key is pinned"), "{found:?}");
        let key = "signing: {keys: [{id: a, algorithm: ed25519, public_key: \"11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\"}]}\n";
        assert_eq!(lints("7d", ", min_effect: 0.05", &format!("{asks}{key}")), []);
        assert_eq!(paths(&lints("7d", ", min_effect: 0.05", &format!("{GOOD}{key}"))), ["signing"]);
    }

    #[test]
    fn a_rollback_on_drift_is_questioned() {
        let found = lints("7d", ", min_effect: 0.05", &GOOD.replace("slo/p95, for: 5m", "drift/psi, for: 1h"));
        assert_eq!(paths(&found), ["rollback.triggers[0].rule", "rollback.triggers[0].for"]);
        assert!(found[0].1.starts_with("drift/psi watches the world"), "{found:?}");
    }
}
