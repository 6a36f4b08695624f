//! What a model predicts, and what has no meaning for some of it.

use super::keys;
use crate::yaml::{Item, Map};

/// What a model predicts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Task {
    /// One of two classes, by a score or a decision.
    #[default]
    Binary,
    /// A number.
    Regression,
}

/// Reads `task:`.
pub(super) fn read(item: &Item) -> Option<Task> {
    match item.scalar() {
        Some("multiclass") => item.fail(
            "the task \"multiclass\" is not judged yet and comes with a later release: write `task: binary` or `task: regression`",
        ),
        _ => item.choice(&[("binary", Task::Binary), ("regression", Task::Regression)]),
    }
}

/// What is said of classes has no meaning where labels are numbers.
pub(super) fn no_classes(task: Option<Task>, map: &Map) {
    if task != Some(Task::Regression) {
        return;
    }
    let of_classes = [
        ("score", "a predicted number is compared with no threshold"),
        ("decision", "a predicted number is no decision"),
    ];
    for (key, why) in of_classes {
        if let Some(item) = map.get(key) {
            item.report(format!("{why}: leave `{key}` out with `task: regression`"));
        }
    }
    let labels = map.get("labels").filter(Item::is_map).and_then(|labels| labels.map(&keys::LABELS.names()));
    if let Some(item) = labels.and_then(|labels| labels.get("values")) {
        item.report("labels are numbers and stand for no class: leave `values` out with `task: regression`");
    }
}
