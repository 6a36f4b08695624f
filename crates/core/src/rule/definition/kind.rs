//! What a parsed rule reads and is about, and how it judges a window.

use super::super::alarms::Simulation;
use super::super::binning::Binning;
use super::super::counts::WindowCounts;
use super::super::names::Naming;
use super::super::properties::{Counts, Subjects};
use super::super::result::Judged;
use super::super::types::Target;
use super::super::versus::Versus;
use super::super::{budget, by_segment};
use super::{Read, RuleKind};

/// Whether labels are counted for it.
fn reads_label(read: &Read) -> bool {
    matches!(read, Read::Labels | Read::Distribution(Target::Label))
}

/// The segmentations and the targets that rules compare by segment, in order, each once.
#[must_use]
pub fn compared_by_segment<'r>(rules: impl Iterator<Item = &'r RuleKind>) -> Vec<(usize, Target)> {
    let mut compared: Vec<(usize, Target)> = rules.flat_map(RuleKind::by_segment).collect();
    compared.sort_unstable();
    compared.dedup();
    compared
}

impl RuleKind {
    /// The first of what is counted for it that `wanted` takes.
    fn read<T>(&self, wanted: impl Fn(Read) -> Option<T>) -> Option<T> {
        self.reads().into_iter().find_map(wanted)
    }

    /// Whether the rule counts joined (prediction, label) pairs rather than predictions.
    #[must_use]
    pub fn reads_labels(&self) -> bool {
        self.definition().counts.reads_labels() || self.reads_all_labels()
    }

    /// Whether the rule reads the class that labels carry; a KPI's labels carry its own outcome.
    #[must_use]
    pub fn reads_classes(&self) -> bool {
        self.reads_labels() && self.kpi().is_none()
    }

    /// Whether the rule reads the errors of predicted numbers.
    #[must_use]
    pub fn reads_numbers(&self) -> bool {
        self.definition().counts == Counts::Errors
    }

    /// Whether the rule has a meaning for labels of two classes only: it reads decisions, or the class of a label.
    #[must_use]
    pub fn is_of_classes(&self) -> bool {
        let of_classes =
            |read| matches!(read, Read::ScoreByLabel | Read::Confusion | Read::Segmentation(_)).then_some(());
        self.definition().counts.reads_decisions()
            || self.read(of_classes).is_some()
            || self.definition().name == "label_rate"
            || self.reads_calibration()
    }

    /// Whether the rule reads measurements rather than predictions.
    #[must_use]
    pub fn reads_measurements(&self) -> bool {
        self.definition().counts == Counts::Measurements
    }

    /// Whether the rule reads features or the score's distribution, which the features stream may carry.
    #[must_use]
    pub fn reads_features(&self) -> bool {
        self.definition().subjects.are_features()
    }

    /// Whether the rule reads whether requests failed.
    #[must_use]
    pub fn reads_errors(&self) -> bool {
        self.read(|read| (read == Read::Error).then_some(())).is_some()
    }

    /// What a rule on distributions looks at, in the policy's order.
    #[must_use]
    pub fn targets(&self) -> Vec<Target> {
        self.check.reads().into_iter().filter_map(Read::distribution).collect()
    }

    /// The bins that the rule reads of its subjects' training values.
    #[must_use]
    pub fn binning(&self) -> Option<Binning> {
        self.read(|read| if let Read::Bins(bins) = read { Some(bins) } else { None })
    }

    /// Whether the rule counts labels whatever was decided, of the snapshot too.
    #[must_use]
    pub fn reads_all_labels(&self) -> bool {
        self.read(|read| reads_label(&read).then_some(())).is_some()
    }

    /// The targets whose values it compares by segment, each behind the segmentation.
    #[must_use]
    pub fn by_segment(&self) -> Vec<(usize, Target)> {
        let Some(by) = self.by else { return Vec::new() };
        self.check.reads().into_iter().filter_map(Read::distribution).map(|target| (by, target)).collect()
    }

    /// The targets whose values it sums up.
    #[must_use]
    pub fn sums(&self) -> Vec<Target> {
        let target = |read| if let Read::Sum(target) = read { Some(target) } else { None };
        self.reads().into_iter().filter_map(target).collect()
    }

    /// Whether the rule reads the standard deviations of the snapshot's columns.
    #[must_use]
    pub fn reads_deviations(&self) -> bool {
        self.read(|read| (read == Read::Deviations).then_some(())).is_some()
    }

    /// Whether the rule reads the score's calibration.
    #[must_use]
    pub fn reads_calibration(&self) -> bool {
        self.read(|read| (read == Read::Calibration).then_some(())).is_some()
    }

    /// The segmentation of a rule over segments.
    #[must_use]
    pub fn segmentation(&self) -> Option<usize> {
        self.read(|read| match read {
            Read::Segmentation(by) | Read::ClassSegmentation(by) | Read::ErrorSegmentation(by) => Some(by),
            _ => None,
        })
    }

    /// The segmentation of a rule on who is selected: it counts every prediction with a decision, labelled or not.
    #[must_use]
    pub fn selection_by(&self) -> Option<usize> {
        self.segmentation().filter(|_| self.definition().counts == Counts::Decisions)
    }

    /// The segmentation whose labelled rows the snapshot must have.
    #[must_use]
    pub fn snapshot_segments(&self) -> Option<usize> {
        self.read(|read| if let Read::SnapshotSegments(by) = read { Some(by) } else { None })
    }

    /// Whether the rule reads decisions over all segments, of the snapshot too.
    #[must_use]
    pub fn reads_decided(&self) -> bool {
        self.read(|read| matches!(read, Read::Confusion | Read::Decisions).then_some(())).is_some()
    }

    /// The quantile of latency that the rule judges.
    #[must_use]
    pub fn latency_quantile(&self) -> Option<f64> {
        self.read(|read| if let Read::Latency(quantile) = read { Some(quantile) } else { None })
    }

    /// The KPI that the rule reads, as an index into the policy's.
    #[must_use]
    pub fn kpi(&self) -> Option<usize> {
        self.read(|read| if let Read::Kpi(of) = read { Some(of) } else { None })
    }

    /// The measured metric that the rule reads, as an index into the policy's.
    #[must_use]
    pub fn measured(&self) -> Option<usize> {
        self.read(|read| if let Read::Measured(of) = read { Some(of) } else { None })
    }

    /// Judges a window by it; `lasts` says that the rule asks for a breach that lasts (`for`).
    #[must_use]
    pub fn judge(&self, window: &dyn WindowCounts, lasts: bool) -> Vec<Judged> {
        match self.by {
            Some(by) => {
                let subjects = self.targets().into_iter().zip(self.check.bounds());
                by_segment::judge(window, by, subjects, &|segment| self.judge_one(segment, lasts))
            }
            None => self.judge_one(window, lasts),
        }
    }

    /// Judges a window, or one of its segments, and takes back what its budget does not bear.
    fn judge_one(&self, window: &dyn WindowCounts, lasts: bool) -> Vec<Judged> {
        let mut judged = self.check.judge(window, lasts);
        if let Some(budget) = self.budget {
            let alpha = budget.alpha(window.slide(), judged.len() as u64 * window.comparisons());
            let certain = self.check.certain(window, &judged, alpha);
            budget::hold(alpha, &certain, &mut judged);
        }
        judged
    }

    /// How often it would block without drift.
    #[must_use]
    pub fn simulation(&self) -> Simulation {
        match self.versus {
            _ if self.budget.is_some() => Simulation::Unknown("its budget says how often it may block without drift"),
            _ if self.by.is_some() => {
                Simulation::Unknown("how large the segments of a window are is not in the policy")
            }
            Versus::Training => self.check.simulation(),
            _ => Simulation::Unknown("it is computed against the training snapshot alone"),
        }
    }

    /// What it blocks at, in words.
    #[must_use]
    pub fn breach(&self, subject: &str) -> String {
        let breach = self.check.breach(subject);
        if self.by.is_some() { format!("{breach} in any segment") } else { breach }
    }

    /// What the rule's results are about, as verdicts name it, in the policy's order.
    #[must_use]
    pub fn subjects(&self, named: &dyn Naming) -> Vec<String> {
        let one = |name: Option<&str>| name.map(str::to_owned).into_iter().collect();
        match self.definition().subjects {
            Subjects::Features { .. } | Subjects::Distributions | Subjects::Numbers | Subjects::Categories => {
                self.targets().into_iter().map(|target| named.target(target).to_owned()).collect()
            }
            Subjects::Segmentation => one(self.segmentation().and_then(|by| named.segmentation(by))),
            Subjects::Kpi => one(self.kpi().and_then(|of| named.kpi(of))),
            Subjects::Measured => one(self.measured().and_then(|of| named.measured(of))),
            Subjects::Only(name) => vec![name.to_owned()],
        }
    }
}
