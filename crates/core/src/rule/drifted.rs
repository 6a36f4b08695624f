//! The share of a rule's subjects that block: how much of the data has drifted.

use super::alarms::Simulation;
use super::certain;
use super::counts::WindowCounts;
use super::definition::{
    Bounds, Check, Counts, Definition, Guard, LimitForm, Minimum, Opt, Read, Reference, RuleKind, Subjects, Takes,
    Values,
};
use super::limits::{Limits, MIN_SAMPLES};
use super::result::{Certain, Judged, enough};
use super::types::{Bound, Side, Status};
use crate::stats::ratio::Ratio;

/// The rules of this family.
pub(super) static RULES: [&Definition; 1] = [&DRIFTED_SHARE];

static DRIFTED_SHARE: Definition = Definition {
    name: "drifted_share",
    documentation: "The share of another rule's subjects that block, of those that were measured: of its subjects the `insufficient` ones are \
        left out. The other rule is one on features of the same group; `for` and mutes of that rule do not matter here. Without a subject \
        that was measured, or fewer than `min_samples` of them, it is `insufficient`. With a `budget`, those subjects count for certain that block within \
        it, which all of them share.",
    guards: Guard::Drift,
    counts: Counts::Predictions,
    subjects: Subjects::Only("features"),
    baseline: Reference::None,
    minimum: Minimum::One,
    limit: LimitForm::Usual(Side::Lt),
    bounds: Bounds::Rate,
    example: "0.3",
    values: Values::Fraction,
    options: &[OF_RULE, MIN_SAMPLES],
    recorded_as: None,
    parse: |definition, map, _| {
        let of = map.require(OF_RULE.key, "drift/psi").and_then(|item| {
            let text = item.text("`group/id` of a rule")?;
            let Some((group, id)) = text.split_once('/') else {
                return item
                    .fail(format!("expected `group/id` of a rule of this group, read {text:?}: write drift/psi"));
            };
            Some((group.to_owned(), id.to_owned()))
        });
        let (limits, min_samples) = (Limits::read(definition, map), MIN_SAMPLES.optional_whole(map));
        Some(RuleKind::new(DriftedShare { of: of?, limits: limits?, min_samples: min_samples? }))
    },
};
pub(super) const OF_RULE: Opt = Opt {
    key: "of_rule",
    takes: Takes::Rule,
    default: "",
    documentation: "The rule whose subjects are counted, as `group/id`.",
};

/// The share of the subjects of the rule `of` (group and id) that block.
#[derive(Clone, Debug, PartialEq)]
pub struct DriftedShare {
    pub of: (String, String),
    pub limits: Limits,
    pub min_samples: Option<u64>,
}

impl Check for DriftedShare {
    fn definition(&self) -> &'static Definition {
        &DRIFTED_SHARE
    }

    fn reads(&self) -> Vec<Read> {
        Vec::new()
    }

    fn bounds(&self) -> Vec<Bound> {
        vec![self.limits.bound()]
    }

    fn floor(&self, _: usize) -> Option<Bound> {
        self.limits.floor()
    }

    fn of_rule(&self) -> Option<(&str, &str)> {
        Some((&self.of.0, &self.of.1))
    }

    /// Without the results of the other rule nothing is known.
    fn judge(&self, _: &dyn WindowCounts, _: bool) -> Vec<Judged> {
        vec![self.judge_results(&[])]
    }

    fn judge_results(&self, results: &[Judged]) -> Judged {
        let measured = || results.iter().filter(|result| result.status != Status::Insufficient);
        let drifted: Vec<&str> =
            measured().filter(|result| result.status == Status::Block).map(|result| result.subject.as_str()).collect();
        let (k, n) = (drifted.len() as u64, measured().count() as u64);
        let share = Ratio::of_counts(k, n);
        let (status, reason) = enough(n, self.min_samples.unwrap_or(1), share, |share| self.limits.status(share));
        let evidence = vec![
            ("limit", self.limits.evidence()),
            ("of_rule", format!("{}/{}", self.of.0, self.of.1).into()),
            ("n", n.into()),
            ("drifted", drifted.into()),
            ("insufficient", (results.len() as u64 - n).into()),
        ];
        Judged { subject: "features".to_owned(), status, value: share.map(Ratio::value), evidence, reason, bins: None }
    }

    /// So many of the subjects drifted for certain, and all of them may have.
    fn certain_of_results(&self, held: &[Judged]) -> Option<Certain> {
        let [k, n] = [Status::Block, Status::Insufficient]
            .map(|status| held.iter().filter(|result| result.status == status).count() as u64);
        let n = (held.len() as u64).checked_sub(n)?;
        Some(certain::of(&self.limits, (Ratio::of_counts(k, n)?.value(), 1.0)))
    }

    fn simulation(&self) -> Simulation {
        Simulation::Unknown(
            "how many of the other rule's subjects block in one window depends on how they hang together",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::limit::Limit;

    fn rule(side: Side) -> DriftedShare {
        DriftedShare {
            of: ("drift".into(), "psi".into()),
            limits: Bound { side, limit: Limit::of(0.5).unwrap(), warn: None }.into(),
            min_samples: None,
        }
    }

    fn results(statuses: &[Status]) -> Vec<Judged> {
        statuses.iter().map(|status| Judged { status: *status, ..Judged::insufficient("x", "few") }).collect()
    }

    #[test]
    fn within_a_budget_subjects_count_that_block_for_certain() {
        use Status::{Block, Insufficient, Pass, Warn};
        let found = results(&[Block, Block, Pass, Insufficient]);
        let of = |side, held: &[Status]| {
            let (kind, budget) = (RuleKind::new(rule(side)), "1/month".parse().unwrap());
            let judged = kind.judge_results_within(budget, &found, &results(held), 86_400_000);
            (judged.status, judged.told("budget").cloned().unwrap())
        };
        let alpha = 1.0 / 30.0;
        let told = |lower: f64| serde_json::json!({"alpha": alpha, "lower": lower, "upper": 1.0});
        assert_eq!(of(Side::Lt, &[Block, Block, Pass, Insufficient]), (Block, told(2.0 / 3.0)));
        assert_eq!(of(Side::Lt, &[Block, Warn, Pass, Insufficient]), (Warn, told(1.0 / 3.0)));
        let (status, _) = of(Side::Gt, &[Block, Block, Pass, Insufficient]);
        assert_eq!(status, Pass, "more than half of them drifted, as is asked for");
    }

    #[test]
    fn what_was_not_measured_is_left_out() {
        use Status::{Block, Insufficient, Pass, Warn};
        let rule = rule(Side::Lt);
        let of = |statuses: &[Status]| {
            let judged = rule.judge_results(&results(statuses));
            (judged.status, judged.value)
        };
        assert_eq!(of(&[Block, Pass, Warn, Insufficient]).0, Pass);
        assert_eq!(of(&[Block, Pass, Insufficient]), (Block, Some(0.5)), "half of them are at the limit");
        assert_eq!(of(&[Pass, Pass]), (Pass, Some(0.0)));
        assert_eq!((of(&[]), of(&[Insufficient])), ((Insufficient, None), (Insufficient, None)));
    }
}
