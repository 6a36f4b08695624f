//! What a model predicts, and what has no meaning for some of it.

use super::keys;
use crate::rule::RuleKind;
use crate::yaml::{Item, Map, units};

/// What a model predicts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Task {
    /// One of two classes, by a score or a decision.
    #[default]
    Binary,
    /// A number.
    Regression,
    /// One of several classes.
    Multiclass,
}

/// A policy names at least so many classes, and at most.
const FEWEST: usize = 2;
const MOST: usize = 100;

/// Reads `task:`.
pub(super) fn read(item: &Item) -> Option<Task> {
    item.choice(&[("binary", Task::Binary), ("regression", Task::Regression), ("multiclass", Task::Multiclass)])
}

/// Reads `classes:`: those of `task: multiclass`, none of other tasks.
pub(super) fn classes(task: Option<Task>, map: &Map) -> Option<Vec<String>> {
    let item = map.get("classes");
    if task != Some(Task::Multiclass) {
        let read = item.map_or(Some(()), |item| {
            item.fail("classes are of `task: multiclass`: write that, or leave `classes` out")
        });
        return read.map(|()| Vec::new());
    }
    let Some(item) = item else {
        return map.item().fail(
            "`task: multiclass` needs the model's classes: write `classes: [a, b, c]`, all that predictions and labels name; of equal scores the \
             first in this order is predicted. They may be left out where the snapshot is a file at hand with a column of 2 to 100 labels",
        );
    };
    let classes = item.texts("a list of classes such as [a, b, c]")?;
    if !(FEWEST..=MOST).contains(&classes.len()) {
        return item.fail(format!("expected {FEWEST} to {MOST} classes, read {}", classes.len()));
    }
    for (at, class) in classes.iter().enumerate() {
        if class.is_empty() {
            return item.fail("a class is empty: an empty text in an event is a missing value, so name every class");
        }
        if classes.iter().take(at).any(|known| known == class) {
            return item.fail(format!("the class {} stands twice: keep one", units::quote(class)));
        }
    }
    Some(classes)
}

/// What a rule asks of the task; the message where the task has no such thing.
pub(super) fn misfit(task: Task, kind: &RuleKind, metric: &str) -> Option<String> {
    match task {
        Task::Regression if kind.is_of_classes() => Some(format!(
            "{metric} is a metric of classes, and labels are numbers with `task: regression`: mae, rmse, mean_error, mape and r2 are of numbers, and gap and ratio compare these between segments"
        )),
        Task::Multiclass if kind.is_of_classes() => Some(format!(
            "{metric} is a metric of two classes: with `task: multiclass` accuracy, balanced_accuracy, precision, recall and f1 are of several, gap, ratio \
             and gap_lcb compare them between segments, and psi, js, hellinger and l_inf compare the prediction and the label"
        )),
        Task::Binary | Task::Multiclass if kind.reads_numbers() => {
            Some(format!("{metric} is a metric of predicted numbers: write `task: regression` at the top"))
        }
        _ => None,
    }
}

/// What is said of two classes has no meaning where labels are numbers, or one of several.
pub(super) fn no_classes(task: Option<Task>, map: &Map) {
    let (task, of_classes, of_labels) = match task {
        Some(Task::Regression) => (
            "regression",
            [
                ("score", "a predicted number is compared with no threshold"),
                ("decision", "a predicted number is no decision"),
            ],
            "labels are numbers and stand for no class",
        ),
        Some(Task::Multiclass) => (
            "multiclass",
            [
                ("score", "one of several classes is compared with no threshold"),
                ("decision", "one of several classes is no decision"),
            ],
            "labels are one of `classes`",
        ),
        _ => return,
    };
    for (key, why) in of_classes {
        if let Some(item) = map.get(key) {
            item.report(format!("{why}: leave `{key}` out with `task: {task}`"));
        }
    }
    let labels = map.get("labels").filter(Item::is_map).and_then(|labels| labels.map(&keys::LABELS.names()));
    if let Some(item) = labels.and_then(|labels| labels.get("values")) {
        item.report(format!("{of_labels}: leave `values` out with `task: {task}`"));
    }
}
