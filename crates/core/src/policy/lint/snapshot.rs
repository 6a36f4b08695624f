//! Advice on what rules compare with: how the rows of the training snapshot repeat, what changes are compared with, what scores are calibrated by, and
//! references that are several windows together.

use super::super::types::{Bound, Policy, Target};
use super::Lints;
use crate::rule::Read;
use crate::rule::versus::Versus;

impl Lints {
    /// Asks for the design effects that only the snapshot's repeats tell something about.
    pub(super) fn design_effects(&mut self, policy: &Policy) {
        let Some(unit) = &policy.unit else { return };
        for group in &policy.groups {
            let without = group.rules.iter().enumerate().filter(|(_, r)| r.kind.design_effect() == Some(None));
            for (at, rule) in without {
                self.say(
                    format!("checks.{}.rules[{at}].{}", group.name, rule.kind.metric()),
                    format!("no `design_effect`: it is estimated from how often {unit:?} repeats in the snapshot, as if rows of one {unit:?} said all the same; write `design_effect: …` where you know better"),
                );
            }
        }
        for (at, transition) in policy.transitions.iter().enumerate() {
            let compare = transition.rollout.as_ref().and_then(|r| r.compare.as_ref());
            if compare.is_some_and(|c| c.design_effect <= 1.0) {
                self.say(
                    format!("transitions[{at}].rollout.compare"),
                    format!("no `design_effect`, though rows of one {unit:?} depend on each other: the comparison takes them for independent and decides too early; write `design_effect: …`"),
                );
            }
        }
    }

    /// Says which changes have nothing to be compared with: quality in training needs the snapshot's score, and its label.
    pub(super) fn changes(&mut self, policy: &Policy) {
        let (score, label) = (policy.baseline.score_column.is_some(), policy.baseline.label_column.is_some());
        for group in &policy.groups {
            for (at, rule) in group.rules.iter().enumerate().filter(|(_, rule)| rule.kind.is_change_from_training()) {
                let labelled = rule.kind.reads_labels();
                let scored = !rule.kind.reads_features() || rule.kind.targets().contains(&Target::Score);
                if policy.baseline.snapshot.is_some() && (score || !scored) && (label || !labelled) {
                    continue;
                }
                let predicted = if policy.is_multiclass() { "prediction" } else { "score" };
                let columns = match (labelled, scored) {
                    (true, _) => format!(", columns: {{{predicted}: …, label: …}}"),
                    (false, true) => format!(", columns: {{{predicted}: …}}"),
                    (false, false) => String::new(),
                };
                self.say(
                    format!("checks.{}.rules[{at}].{}", group.name, rule.kind.metric()),
                    format!("a change is compared with the training snapshot, of which the policy names too little, so that it is always insufficient: write `baseline: {{snapshot: …{columns}}}`"),
                );
            }
        }
    }

    /// Says where the events of a window are compared with those of several windows together, of which they always are a part.
    pub(super) fn volumes(&mut self, policy: &Policy) {
        for group in &policy.groups {
            let volumes = group.rules.iter().enumerate().filter(|(_, rule)| rule.kind.reads().contains(&Read::Volume));
            for (at, rule) in volumes {
                let (Versus::Rolling(windows) | Versus::Season { back: windows, .. }) = rule.kind.versus() else {
                    continue;
                };
                // What a window of as many events as each of these is below all of them, and the most that it can be; other changes are numbers of events.
                let (below, most) = (1.0 - 1.0 / f64::from(windows), 1.0);
                let is_meant = |bound: &Bound| bound.limit.order(below).is_le() && bound.limit.order(most).is_ge();
                if windows > 1 && !rule.kind.bounds().iter().all(is_meant) {
                    self.say(
                        format!("checks.{}.rules[{at}].{}.versus", group.name, rule.kind.metric()),
                        format!("a window's events are compared with those of {windows} windows together, and where nothing changed they are only 1 in {windows} of those: write one window, like `versus: previous` or `back: 1`, or a limit for that"),
                    );
                }
            }
        }
    }

    /// Says where scores are calibrated by the rows that the model was trained on.
    pub(super) fn calibration(&mut self, policy: &Policy) {
        let baseline = &policy.baseline;
        let is_snapshot = baseline.reference.is_none() || baseline.reference == baseline.snapshot;
        if is_snapshot && policy.rules().any(|rule| rule.kind.reads_calibration()) {
            self.say(
                "baseline.reference",
                "`estimated` is calibrated by the training snapshot, on which a model is better than on rows that it has not seen, so that it estimates too high: write `reference: …`, labelled rows that the model was not trained on",
            );
        }
    }
}
