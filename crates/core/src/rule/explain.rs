//! What a rule measures, when it blocks and what it needs, in words: `driftgate explain` prints this, and the reference page has it.

use super::definition::{Counts, Definition, Guard, LimitForm, Minimum, Reference};
use super::types::Side;

impl Definition {
    /// What the rule measures, when it blocks and what it needs.
    #[must_use]
    pub fn explanation(&'static self) -> String {
        format!("{} {}", self.summary(), self.terms())
    }

    /// What the rule measures: the first sentence of its documentation.
    fn summary(&self) -> &'static str {
        self.documentation.split_inclusive(". ").next().unwrap_or_default().trim_end()
    }

    /// What the rule counts, compares, blocks at, needs and guards.
    pub(super) fn terms(&'static self) -> String {
        let (counted, compared, blocks, needs) = (self.counted(), self.compared(), self.blocks(), self.needs());
        format!("It counts {counted}. {compared} {blocks} {needs} {}", self.guarded())
    }

    /// When the rule blocks, with the limit's key.
    fn blocks(&'static self) -> String {
        match (self.limit, self.limit.keys().first()) {
            (LimitForm::Any | LimitForm::Band | LimitForm::Full, _) => "A value beyond the limit blocks.".to_owned(),
            (LimitForm::Usual(side) | LimitForm::UsualFull(side), Some(key)) => {
                let beyond = match side {
                    Side::Lt => "at or above",
                    Side::Lte => "above",
                    Side::Gt => "at or below",
                    Side::Gte => "below",
                };
                format!("A value {beyond} `{key}` blocks.")
            }
            (LimitForm::AtMost(_), Some(key)) => format!("A value above `{key}` blocks."),
            (LimitForm::Drop, Some(key)) => format!("A drop larger than `{key}` blocks."),
            (_, None) => String::new(),
        }
    }

    fn guarded(&self) -> &'static str {
        match self.guards {
            Guard::Service => "It guards the service level.",
            Guard::Drift => "It guards against drift.",
            Guard::Fairness => "It guards fairness between segments.",
            Guard::Outcome => "It guards the outcome.",
        }
    }

    pub(super) fn counted(&self) -> &'static str {
        match self.counts {
            Counts::Predictions => "predictions",
            Counts::Decisions => "predictions with a class (a decision, or a score and a threshold)",
            Counts::Pairs => "labelled predictions",
            Counts::Errors => "labelled predictions with a score",
            Counts::Classes => "labelled predictions with a class",
            Counts::DecidedPairs => "labelled predictions with a class (a decision, or a score and a threshold)",
            Counts::Measurements => "measurements",
        }
    }

    fn compared(&self) -> &'static str {
        match self.baseline {
            Reference::None => "The value itself has the limit.",
            Reference::Snapshot => "It is compared with the training snapshot.",
            Reference::Shown => "The value itself has the limit; the training snapshot's is shown beside it.",
            Reference::Version => "It is compared with another version, or with the version's own past.",
        }
    }

    fn needs(&self) -> &'static str {
        match self.minimum {
            Minimum::Samples => "Fewer than `min_samples` measured values are `insufficient`.",
            Minimum::Events => "Fewer than `min_samples` events are `insufficient`.",
            Minimum::TwoSegments => "Without two segments of `min_positives` it is `insufficient`.",
            Minimum::OneSegment => "Without a segment of `min_positives` it is `insufficient`.",
            Minimum::One => "One measurement is enough.",
            Minimum::Nothing => "It needs no samples.",
        }
    }

    pub(super) fn limit_meaning(&self, key: &str) -> &'static str {
        match (self.limit, key) {
            (LimitForm::Drop, _) => "A larger drop blocks.",
            (_, "between") => "A value outside of the two numbers blocks; both of them pass.",
            (_, "max_increase") => "A larger increase over the snapshot's value blocks; the increase is the value.",
            (_, "max_drop") => "A larger drop below the snapshot's value blocks; the drop is the value.",
            (form, "warn") if form.takes_band() => {
                "A limit of the same form inside the other: a value beyond it warns."
            }
            (LimitForm::Any, "warn") => "A limit inside the other: a value beyond it warns.",
            (_, "lt") => "A value at or above it blocks.",
            (_, "gt") => "A value at or below it blocks.",
            (LimitForm::AtMost(_), _) | (_, "lte") => "A value above it blocks.",
            _ => "A value below it blocks.",
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::rule::{all, find};

    #[test]
    fn each_rule_is_explained_by_its_definition() {
        for definition in all() {
            let explanation = definition.explanation();
            let summary = definition.summary();
            assert!(summary.ends_with('.') && definition.documentation.starts_with(summary), "{}", definition.name);
            assert!(explanation.contains(" blocks. ") && !explanation.contains("  "), "{explanation}");
        }
    }

    #[test]
    fn the_limit_and_what_is_needed_are_told() {
        let explained = |metric| find(metric).unwrap().explanation();
        assert_eq!(
            explained("latency_p95_ms"),
            "The 95% quantile of latency in milliseconds. It counts predictions. The value itself has the limit. A value at or above `lt` blocks. \
             Fewer than `min_samples` measured values are `insufficient`. It guards the service level."
        );
        assert!(explained("kpi_drop").contains("A drop larger than `max` blocks."));
        assert!(explained("measured").contains("A value beyond the limit blocks. One measurement is enough."));
        assert!(explained("disparate_impact").contains("A value below `gte` blocks."));
    }
}
