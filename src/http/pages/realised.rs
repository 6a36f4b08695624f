//! Which rule counts, once labels came, what another one estimates before: both are drawn into one picture.

use driftgate_core::judge::verdict::{RuleResult, Verdict};

/// An estimate, and the rule on the same metric of labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The rule that estimates.
    pub estimate: String,
    /// The rule that counts, and its subject.
    pub rule: String,
    pub subject: String,
}

/// The pairs of a version's last verdicts whose estimate is of a subject. A rule of the same group comes before those of others; one that judges a change
/// is none, since its value is not the metric.
pub fn pairs(verdicts: &[Verdict], subject: &str) -> Vec<Pair> {
    let is_value = |result: &&RuleResult| result.get("now").is_none();
    let mut found = Vec::new();
    for own in verdicts {
        for estimate in
            own.results.iter().filter(|of| of.metric == "estimated" && of.subject == subject).filter(is_value)
        {
            let Some(of) = estimate.read::<String>("of") else { continue };
            let same = verdicts
                .iter()
                .filter(|v| v.group == own.group)
                .chain(verdicts.iter().filter(|v| v.group != own.group));
            let mut counted = same.flat_map(|v| &v.results).filter(|result| result.metric == of).filter(is_value);
            if let Some(RuleResult { rule, subject, .. }) = counted.next() {
                found.push(Pair { estimate: estimate.rule.clone(), rule: rule.clone(), subject: subject.clone() });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::tests::status_view::{MODEL, result, status_view};
    use driftgate_core::judge::verdict::Status;

    #[test]
    fn an_estimate_meets_the_rule_of_its_own_group_first_and_never_a_change() {
        let view = status_view();
        let any = view.models[MODEL].versions.values().find_map(|v| v.latest().next().map(|v| (**v).clone())).unwrap();
        let of = |group: &str, results| Verdict { group: group.to_owned(), results, ..any.clone() };
        let rule = |rule: &str, metric, subject: &str, evidence| {
            result(rule, metric, subject, Status::Pass, Some(0.8), evidence)
        };
        let estimate = rule("early/expected", "estimated", "score", vec![("of", "recall".into())]);
        let change = rule("early/change", "recall", "decision", vec![("now", 0.7.into())]);
        let early = of("early", vec![estimate, change]);
        let late = of("late", vec![rule("late/recall", "recall", "decision", vec![])]);
        let all = [late, early];
        let pair = Pair { estimate: "early/expected".into(), rule: "late/recall".into(), subject: "decision".into() };
        assert_eq!(pairs(&all, "score"), std::slice::from_ref(&pair));
        let [late, mut early] = all;
        early.results.push(rule("early/recall", "recall", "decision", vec![]));
        assert_eq!(pairs(&[late, early], "score"), [Pair { rule: "early/recall".into(), ..pair }]);
        assert!(pairs(&[], "score").is_empty());
    }
}
