//! Where the partitions start: at the offsets of the state, as far as the topics are those that were counted, and behind what
//! an operator accepts.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::checkpoint::SourceState;
use crate::source::kafka::{Found, Handle, Start};
use crate::telemetry::events::kafka::{Place, TopicReplaced};
use crate::telemetry::events::start::{GapKept, GapPassed, NotAccepted, TopicAccepted, Unknown};
use crate::view::Shared;
use crate::view::readiness::{Latch, NotReady};

/// A question to the brokers takes at most so long.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Where every partition starts.
pub type Starts = BTreeMap<(String, i32), Start>;

/// A topic that was made anew, and that an operator wants read from its beginning: its name and id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    pub topic: String,
    pub id: String,
}

/// A hole in a partition that an operator wants passed over: the offset that was to be counted next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    pub topic: String,
    pub partition: i32,
    pub next: i64,
}

/// What an operator accepts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    pub topics: Vec<NewTopic>,
    pub gaps: Vec<Gap>,
    /// The id of a registry.
    pub registry: Option<String>,
}

/// What the start of the partitions depends on.
pub struct Before<'b> {
    pub kept: &'b [SourceState],
    pub accepted: &'b Accepted,
}

/// Says of which partitions that are read from their beginning records were deleted before it. Where the brokers do not say,
/// there may be some.
pub fn cut(kafka: &Handle, starts: &mut Starts) {
    for ((topic, partition), start) in starts.iter_mut().filter(|(_, s)| s.next.is_none() && s.halted.is_none()) {
        let low = (0..3).find_map(|_| kafka.low_watermark(topic, *partition, TIMEOUT));
        start.cut = low != Some(0);
    }
}

/// Goes on behind the holes that an operator accepts: at the next record that there is.
pub fn pass_over(kafka: &Handle, starts: &mut Starts, gaps: &[Gap]) {
    for Gap { topic, partition, next } in gaps {
        let at = Place { topic, partition: *partition };
        let Some(start) = starts.get_mut(&(topic.clone(), *partition)) else {
            NotAccepted::Partition { at }.emit();
            continue;
        };
        if start.next != Some(*next) {
            NotAccepted::Offset { at, given: *next, next: start.next }.emit();
            continue;
        }
        let Some((low, high)) = (0..3).find_map(|_| kafka.range(topic, *partition, TIMEOUT)) else {
            GapKept { at, unknown: Unknown::Ends }.emit();
            continue;
        };
        // A log that lost its end goes on below what was counted.
        let from = low.max((*next).min(high));
        // Where records are still there, it is that they cannot be read.
        let Some(from) = kafka.behind_unreadable(topic, *partition, from, high) else {
            GapKept { at, unknown: Unknown::Readable }.emit();
            continue;
        };
        GapPassed { at, next: *next, from }.emit();
        *start = Start { next: Some(from), leader_epoch: None, gap: true, ..start.clone() };
    }
}

/// Whether an operator accepts the topic that has this id now.
fn is_accepted(topic: &str, id: Option<&str>, accepted: &Accepted) -> bool {
    let Some(NewTopic { id: given, .. }) = accepted.topics.iter().find(|a| a.topic == *topic) else { return false };
    if Some(given.as_str()) == id {
        return true;
    }
    let id = id.unwrap_or("none");
    NotAccepted::Topic { topic, given, id }.emit();
    false
}

/// Where a partition was when its state was saved.
fn at(state: Option<&SourceState>) -> Start {
    Start {
        next: state.and_then(|s| s.next_offset),
        leader_epoch: state.and_then(|s| s.leader_epoch),
        ..Start::default()
    }
}

/// Where the partitions start: where the state says, unless the topic is another one than that which was counted.
#[must_use]
pub fn starts(found: &BTreeMap<String, Found>, before: &Before<'_>, view: &Shared) -> Starts {
    let mut starts = Starts::new();
    for (topic, Found { partitions, id, .. }) in found {
        let kept: Vec<&SourceState> = before.kept.iter().filter(|s| s.topic == *topic).collect();
        let known = kept.iter().find_map(|s| s.topic_id.clone());
        // Of a topic of which nothing was counted, nothing can be missed.
        let counted = kept.iter().any(|s| s.next_offset > Some(0));
        let replaced = counted && known.is_some() && id.is_some() && known != *id;
        let is_accepted = is_accepted(topic, id.as_deref(), before.accepted);
        if replaced && !is_accepted {
            let (before, now) = (known.as_deref().unwrap_or_default(), id.as_deref().unwrap_or_default());
            let reason = why_replaced(topic, before, now);
            let why = reason.to_string();
            report_replaced(view, reason);
            // What was counted of the one before stays as it is.
            starts.extend(kept.iter().map(|s| {
                let halted = Some(why.clone());
                let start = Start { topic_id: known.clone(), halted, ..at(Some(s)) };
                ((topic.clone(), s.partition), start)
            }));
            continue;
        }
        if replaced {
            TopicAccepted { topic, id: id.as_deref() }.emit();
        }
        for p in 0..*partitions {
            let state = kept.iter().find(|s| s.partition == p).filter(|_| !replaced);
            let start = Start { topic_id: id.clone().or_else(|| known.clone()), ..at(state.copied()) };
            starts.insert((topic.clone(), p), start);
        }
    }
    starts
}

/// Why nothing of a topic is read that was deleted and made anew.
#[must_use]
pub fn why_replaced(topic: &str, before: &str, now: &str) -> NotReady {
    NotReady::Replaced { topic: topic.to_owned(), before: before.to_owned(), now: now.to_owned() }
}

/// Reports that a topic was deleted and made anew.
pub fn report_replaced(view: &Shared, why: NotReady) {
    let Latch::Replaced { topic } = why.latch() else { return };
    let sentence = why.to_string();
    TopicReplaced { topic: &topic, why: &sentence }.emit();
    let mut view = view.write();
    view.readiness.hold(why);
    view.replaced.insert(topic, sentence);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(partition: i32, next_offset: Option<i64>, id: Option<&str>) -> SourceState {
        SourceState {
            topic: "t".into(),
            partition,
            next_offset,
            topic_id: id.map(str::to_owned),
            leader_epoch: Some(2),
            fronts: vec![],
            behind: vec![],
            holes: vec![],
        }
    }

    fn started(partitions: i32, id: Option<&str>, kept: &[SourceState], accepted: &[NewTopic]) -> (Starts, bool) {
        let found = [("t".to_owned(), Found { partitions, id: id.map(str::to_owned), ..Found::default() })].into();
        let view = Shared::default();
        let accepted = Accepted { topics: accepted.to_vec(), ..Accepted::default() };
        let starts = starts(&found, &Before { kept, accepted: &accepted }, &view);
        let replaced = view.read().replaced.contains_key("t");
        assert_eq!(replaced, view.read().readiness.holds(&Latch::Replaced { topic: "t".into() }));
        (starts, replaced)
    }

    #[test]
    fn another_id_is_another_topic_and_is_read_by_an_operators_word_only() {
        let before = [kept(0, Some(70), Some("old")), kept(1, Some(30), Some("old"))];
        // Fewer partitions than before: what was counted of both stays.
        let (starts, replaced) = started(1, Some("new"), &before, &[]);
        assert!(replaced);
        let places: Vec<_> = starts.values().map(|s| (s.next, s.topic_id.as_deref(), s.halted.is_some())).collect();
        assert_eq!(places, [(Some(70), Some("old"), true), (Some(30), Some("old"), true)]);
        assert!(starts.values().all(|s| s.halted.as_ref().is_some_and(|why| why.contains("--accept-new-topic t=new"))));
        let accept = |id: &str| [NewTopic { topic: "t".into(), id: id.into() }];
        assert!(started(1, Some("new"), &before, &accept("other")).1);
        let (starts, replaced) = started(3, Some("new"), &before, &accept("new"));
        assert!(!replaced);
        assert!(starts.len() == 3 && starts.values().all(|s| s.next.is_none() && s.topic_id.as_deref() == Some("new")));
        // A word that stays after it was heeded changes nothing.
        let after = [kept(0, Some(5), Some("new"))];
        assert_eq!(started(1, Some("new"), &after, &accept("new")).0[&("t".to_owned(), 0)].next, Some(5));
    }

    #[test]
    fn an_id_that_is_not_known_is_taken_as_it_is_found() {
        let place = |id: Option<&str>, kept: &[SourceState]| {
            let (mut starts, replaced) = started(1, id, kept, &[]);
            assert!(!replaced);
            let start = starts.remove(&("t".to_owned(), 0)).unwrap();
            (start.next, start.topic_id)
        };
        // A checkpoint of a release that kept none; brokers that give none; nothing counted yet.
        assert_eq!(place(Some("new"), &[kept(0, Some(7), None)]), (Some(7), Some("new".into())));
        assert_eq!(place(None, &[kept(0, Some(7), Some("old"))]), (Some(7), Some("old".into())));
        assert_eq!(place(Some("new"), &[kept(0, Some(0), Some("old"))]), (Some(0), Some("new".into())));
        assert_eq!(place(Some("new"), &[kept(0, None, Some("old"))]), (None, Some("new".into())));
        assert_eq!(place(Some("new"), &[]), (None, Some("new".into())));
    }
}
