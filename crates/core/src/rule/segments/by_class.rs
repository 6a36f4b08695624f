//! Gaps and ratios between segments of a model of several classes: of one class against all others, or of the class that is worst.

use serde_json::Value;

use super::super::counts::WindowCounts;
use super::super::multiclass::{self, CLASS};
use super::super::names::PolicyNames;
use super::super::result::{Certain, Judged};
use super::listed::ComparedSegments;
use crate::stats::fairness::Rate;
use crate::stats::quality::Metric;
use crate::yaml::{Map, units};

/// Which class a rule compares.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ByClass {
    /// The policy's classes.
    pub names: Vec<String>,
    of: Of,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    /// Accuracy is of all classes.
    All,
    Class(usize),
    Worst,
}

impl ByClass {
    /// `class` of a policy with classes; the inner `None` of another one. `metric` is what is compared; `None` for the average odds.
    #[expect(clippy::option_option, reason = "the outer is the reader's, the inner the task's")]
    pub fn read(metric: Option<Metric>, map: &Map, names: &PolicyNames) -> Option<Option<Self>> {
        let Some(classes) = &names.classes else {
            multiclass::refuse(map)?;
            return Some(None);
        };
        let place = || map.get("of").unwrap_or_else(|| map.item().clone());
        let Some(metric) = metric else {
            return place().fail("average_odds is of two classes: write `of: recall`, and a rule of its own for `fpr`");
        };
        match metric {
            Metric::Rate(Rate::Selection) => {
                return place().fail(
                    "selection_rate is of two classes: compare the predicted class with `psi: {of: prediction, …}`",
                );
            }
            Metric::Rate(_) | Metric::F1 | Metric::BalancedAccuracy => {}
        }
        let is_of_all = matches!(metric, Metric::Rate(Rate::Accuracy) | Metric::BalancedAccuracy);
        let of = match map.get(CLASS.key) {
            Some(item) if is_of_all => {
                return item.fail("accuracy and balanced_accuracy are of all classes: leave `class` out");
            }
            Some(item) => {
                let name = item.text("a class")?;
                match classes.iter().position(|class| class == name) {
                    Some(at) => Of::Class(at),
                    // What is wrong with the policy's classes is reported there.
                    None if classes.is_empty() => return None,
                    None => {
                        let known = item.known_names(name, classes.iter().map(String::as_str));
                        return item.fail(format!("unknown class {}; {known}", units::quote(name)));
                    }
                }
            }
            None if is_of_all => Of::All,
            None => Of::Worst,
        };
        Some(Some(Self { names: classes.clone(), of }))
    }

    /// Of how many classes the worst one is taken.
    pub fn compared(&self) -> u64 {
        if self.of == Of::Worst { self.names.len() as u64 } else { 1 }
    }

    /// Where the value of the class lies, or of the worst one those of all, which share α.
    #[allow(clippy::cast_precision_loss, reason = "at most 100 classes")]
    pub fn certain(
        &self,
        window: &dyn WindowCounts,
        by: usize,
        alpha: f64,
        of: impl Fn(ComparedSegments<'_>, f64) -> Option<Certain>,
    ) -> Option<Certain> {
        let counts = window.class_segments(by);
        let each = alpha / self.compared() as f64;
        let one = |class: Option<usize>| of(ComparedSegments::of_class(window, by, &counts, class, 1.0), each);
        match self.of {
            Of::All => one(None),
            Of::Class(class) => one(Some(class)),
            Of::Worst => Certain::any((0..self.names.len()).filter_map(|class| one(Some(class)))),
        }
    }

    /// The result of the class, or that of the class which is worst: of the worst status, then with the largest gap, or the smallest ratio.
    pub fn worst(&self, is_ratio: bool, judge: impl Fn(Option<usize>) -> Judged) -> Judged {
        let named = |class: usize| {
            let mut judged = judge(Some(class));
            let name = self.names.get(class).map_or(Value::Null, |name| name.as_str().into());
            judged.evidence.insert(0, ("class", name));
            judged
        };
        let rank = |judged: &Judged| {
            let value = judged.value.map(|value| if is_ratio { -value } else { value });
            (judged.status.severity(), value.unwrap_or(f64::NEG_INFINITY))
        };
        match self.of {
            Of::All => judge(None),
            Of::Class(class) => named(class),
            // Of equal ones the first.
            Of::Worst => (0..self.names.len())
                .map(named)
                .reduce(|worst, next| {
                    let ((a, x), (b, y)) = (rank(&worst), rank(&next));
                    if b.cmp(&a).then(y.total_cmp(&x)).is_gt() { next } else { worst }
                })
                .unwrap_or_else(|| judge(None)),
        }
    }
}
