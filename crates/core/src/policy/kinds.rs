//! What a parsed rule is by the table of metrics: its metric, what it reads, its subjects and its limits.

use super::metrics::{self, Counts, Metric, Subjects};
use super::names::Vocabulary;
use super::types::{Bound, RuleKind, Target, Tolerance};
use crate::stats::limit::Limit;

impl RuleKind {
    /// The rule's metric.
    #[must_use]
    pub fn spec(&self) -> &'static Metric {
        use super::types::GapMeasure::{EqualizedOdds, Fpr, Selection, Tpr};
        match self {
            Self::Psi { .. } => &metrics::PSI,
            Self::KsP { .. } => &metrics::KS_P,
            Self::KsLcb { .. } => &metrics::KS_LCB,
            Self::MissingRate { .. } => &metrics::MISSING_RATE,
            Self::InvalidRate { .. } => &metrics::INVALID_RATE,
            Self::Gap { measure: Tpr, .. } => &metrics::TPR_GAP,
            Self::Gap { measure: Fpr, .. } => &metrics::FPR_GAP,
            Self::Gap { measure: Selection, .. } => &metrics::SELECTION_GAP,
            Self::Gap { measure: EqualizedOdds, .. } => &metrics::EQUALIZED_ODDS,
            Self::DisparateImpact { .. } => &metrics::DISPARATE_IMPACT,
            Self::TprGapLcb { .. } => &metrics::TPR_GAP_LCB,
            Self::TprDrop { lcb: false, .. } => &metrics::TPR_DROP,
            Self::TprDrop { lcb: true, .. } => &metrics::TPR_DROP_LCB,
            Self::Auc { .. } => &metrics::AUC,
            Self::Latency { metric, .. } => match *metric {
                "latency_p50_ms" => &metrics::LATENCY_P50_MS,
                "latency_p90_ms" => &metrics::LATENCY_P90_MS,
                "latency_p99_ms" => &metrics::LATENCY_P99_MS,
                _ => &metrics::LATENCY_P95_MS,
            },
            Self::ErrorRate { .. } => &metrics::ERROR_RATE,
            Self::KpiDrop { .. } => &metrics::KPI_DROP,
            Self::Measured { .. } => &metrics::MEASURED,
        }
    }

    /// The metric's name, as the policy and the verdict spell it.
    #[must_use]
    pub fn metric(&self) -> &'static str {
        self.spec().name
    }

    /// Whether the rule counts joined (prediction, label) pairs rather than predictions.
    #[must_use]
    pub fn reads_labels(&self) -> bool {
        self.spec().counts.reads_labels()
    }

    /// Of a rule whose bound takes the dependence of rows into account: the design effect that is written, if one is.
    #[must_use]
    pub fn design_effect(&self) -> Option<Option<f64>> {
        match self {
            Self::KsLcb { design_effect, .. }
            | Self::TprGapLcb { design_effect, .. }
            | Self::TprDrop { design_effect, lcb: true, .. } => Some(*design_effect),
            _ => None,
        }
    }

    /// The segmentation of a rule over segments.
    #[must_use]
    pub fn segmentation(&self) -> Option<usize> {
        self.index().filter(|_| self.spec().subjects == Subjects::Segmentation)
    }

    /// The segmentation of a rule on who is selected: it counts every prediction with a decision, labelled or not.
    #[must_use]
    pub fn selection_by(&self) -> Option<usize> {
        self.segmentation().filter(|_| self.spec().counts == Counts::Decisions)
    }

    /// Whether the rule reads measurements rather than predictions.
    #[must_use]
    pub fn reads_measurements(&self) -> bool {
        self.spec().counts == Counts::Measurements
    }

    /// What a rule on distributions looks at, in the policy's order.
    #[must_use]
    pub fn targets(&self) -> Vec<Target> {
        match self {
            Self::Psi { of, .. } => of.iter().map(|subject| subject.target).collect(),
            Self::KsP { of, .. } | Self::KsLcb { of, .. } | Self::MissingRate { of } | Self::InvalidRate { of } => {
                of.iter().map(|subject| subject.target).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The index that `by` or `of` of another rule is.
    fn index(&self) -> Option<usize> {
        match self {
            Self::Gap { by, .. }
            | Self::DisparateImpact { by, .. }
            | Self::TprGapLcb { by, .. }
            | Self::TprDrop { by, .. } => Some(*by),
            Self::KpiDrop { of, .. } | Self::Measured { of, .. } => Some(*of),
            _ => None,
        }
    }

    /// The rule's limits: one a target of a rule on distributions, else one.
    #[must_use]
    pub fn bounds(&self) -> Vec<Bound> {
        let side = self.spec().limit.side();
        let bound = |limit: Limit, warn| side.map(|side| Bound { side, limit, warn });
        match self {
            Self::Psi { of, .. } => of.iter().filter_map(|s| bound(s.limit.lt, s.limit.warn)).collect(),
            Self::KsP { of, .. } | Self::KsLcb { of, .. } | Self::MissingRate { of } | Self::InvalidRate { of } => {
                of.iter().filter_map(|s| bound(s.limit, None)).collect()
            }
            Self::Gap { limit, .. } | Self::Latency { limit, .. } | Self::ErrorRate { limit } => {
                bound(limit.lt, limit.warn).into_iter().collect()
            }
            Self::DisparateImpact { gte: limit, .. }
            | Self::TprGapLcb { lte: limit, .. }
            | Self::TprDrop { max: limit, .. }
            | Self::Auc { gte: limit }
            | Self::KpiDrop { max: Tolerance::Absolute(limit) | Tolerance::Relative(limit), .. } => {
                bound(*limit, None).into_iter().collect()
            }
            Self::Measured { bound, .. } => vec![*bound],
        }
    }

    /// What the rule's results are about, as verdicts name it, in the policy's order.
    pub(super) fn subjects(&self, named: &Vocabulary<'_>) -> Vec<String> {
        let at = |name: fn(&Vocabulary<'_>, usize) -> Option<String>| {
            self.index().and_then(|index| name(named, index)).into_iter().collect()
        };
        match self.spec().subjects {
            Subjects::Features { .. } => {
                self.targets().into_iter().map(|target| named.target(target).to_owned()).collect()
            }
            Subjects::Segmentation => at(|named, index| named.segments.get(index).map(|segment| segment.name.clone())),
            Subjects::Kpi => at(|named, index| named.kpis.get(index).cloned()),
            Subjects::Measured => at(|named, index| named.measured.get(index).cloned()),
            Subjects::Only(name) => vec![name.to_owned()],
        }
    }
}
