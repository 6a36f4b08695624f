//! What was read of each topic, and what share of it was rejected lately: since the start would hide a producer that broke
//! today behind a month of good events.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use driftgate_core::decode::Reason;

/// The share is that of this time, or of the last `LEAST` events where fewer came in it.
const SPAN: Duration = Duration::from_secs(300);
const LEAST: u64 = 20;
/// How far apart the totals are kept.
const APART: Duration = Duration::from_secs(5);
/// Fewer events say nothing of an input.
const TELLING: u64 = 10;
/// Percent of the events from which on an input counts as unreadable, and from which on it has a problem.
const UNREADABLE: u64 = 90;
const NOTEWORTHY: u64 = 1;

/// One topic.
#[derive(Clone, Debug, Default)]
pub struct InputView {
    pub events: u64,
    pub rejected: BTreeMap<Reason, u64>,
    /// Events of models without a policy.
    pub unknown_model: u64,
    /// A rejected event by reason, renewed now and then.
    pub examples: BTreeMap<Reason, Example>,
    /// Totals of before, the oldest first.
    marks: VecDeque<(Instant, Recent)>,
}

/// A rejected event. Its texts have no control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    pub partition: i32,
    pub offset: i64,
    /// What is wrong with it.
    pub detail: String,
    /// What it looks like, without its values.
    pub read: String,
}

/// How many events there were, and what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recent {
    pub events: u64,
    pub rejected: u64,
    pub unknown_model: u64,
}

impl Recent {
    fn since(self, before: Self) -> Self {
        Self {
            events: self.events.saturating_sub(before.events),
            rejected: self.rejected.saturating_sub(before.rejected),
            unknown_model: self.unknown_model.saturating_sub(before.unknown_model),
        }
    }

    /// The rejected share, 0 to 1; `None` without events.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a share for people")]
    pub fn share(self) -> Option<f64> {
        (self.events > 0).then(|| self.rejected as f64 / self.events as f64)
    }

    fn reaches(self, part: u64, percent: u64) -> bool {
        self.events >= TELLING && part.saturating_mul(100) >= self.events.saturating_mul(percent)
    }
}

impl InputView {
    /// Takes over the totals as they are now.
    pub fn update(&mut self, now: Instant, events: u64, rejected: &BTreeMap<Reason, u64>, unknown_model: u64) {
        if self.marks.is_empty() {
            self.marks.push_back((now, Recent::default()));
        }
        let last = self.marks.back().map(|(at, total)| (*at, total.events));
        if last.is_some_and(|(at, n)| now.duration_since(at) >= APART && n != self.events) {
            self.marks.push_back((now, self.total()));
        }
        self.events = events;
        self.rejected.clone_from(rejected);
        self.unknown_model = unknown_model;
        // The first mark is the one that the share is counted from.
        let total = self.total();
        while self
            .marks
            .get(1)
            .is_some_and(|(at, then)| now.duration_since(*at) >= SPAN && total.since(*then).events >= LEAST)
        {
            self.marks.pop_front();
        }
    }

    fn total(&self) -> Recent {
        Recent { events: self.events, rejected: self.rejected.values().sum(), unknown_model: self.unknown_model }
    }

    /// The last minutes, or the last events where they are few.
    #[must_use]
    pub fn recent(&self) -> Recent {
        self.total().since(self.marks.front().map_or(Recent::default(), |(_, then)| *then))
    }

    /// Why nothing of this topic is counted, where nearly every event of it was rejected lately.
    #[must_use]
    pub fn unreadable(&self, topic: &str) -> Option<String> {
        let recent = self.recent();
        recent.reaches(recent.rejected, UNREADABLE).then(|| self.sentence(topic, recent))
    }

    /// What somebody should look at.
    #[must_use]
    pub fn problem(&self, topic: &str) -> Option<String> {
        let recent = self.recent();
        if recent.reaches(recent.rejected, NOTEWORTHY) {
            return Some(self.sentence(topic, recent));
        }
        recent.reaches(recent.unknown_model, UNREADABLE).then(|| {
            format!(
                "{} of the last {} events of {topic:?} name a model without a policy: is the model's name in the events that of the policy?",
                recent.unknown_model, recent.events
            )
        })
    }

    /// What was left out since the start and is not in `problem`, in a sentence for each kind.
    #[must_use]
    pub fn left_out(&self, topic: &str) -> Vec<String> {
        let Recent { events, rejected, unknown_model } = self.total();
        let recent = self.recent();
        let rejected_is_told = recent.reaches(recent.rejected, NOTEWORTHY);
        let unknown_is_told = !rejected_is_told && recent.reaches(recent.unknown_model, UNREADABLE);
        let of = |n: u64, told: bool, what: &str| {
            (n > 0 && !told).then(|| format!("{n} of {events} events of {topic:?} {what} since the start"))
        };
        let reasons = self.reasons();
        of(rejected, rejected_is_told, &format!("were rejected and count nowhere ({reasons})"))
            .into_iter()
            .chain(of(unknown_model, unknown_is_told, "named a model without a policy and count nowhere"))
            .collect()
    }

    fn reasons(&self) -> String {
        let reasons: Vec<String> =
            self.rejected.iter().filter(|(_, n)| **n > 0).map(|(reason, n)| format!("{} {n}", reason.name())).collect();
        reasons.join(", ")
    }

    fn sentence(&self, topic: &str, recent: Recent) -> String {
        let Recent { events, rejected, .. } = recent;
        let reasons = self.reasons();
        let most =
            self.rejected.iter().max_by_key(|(_, n)| **n).and_then(|(reason, _)| self.examples.get_key_value(reason));
        let example = most.map_or_else(String::new, |(reason, example)| {
            let Example { partition, offset, detail, read } = example;
            format!(", such as {topic}/{partition} offset {offset}: {}: {detail}; it is {read}", reason.name())
        });
        format!(
            "{rejected} of the last {events} events of {topic:?} were rejected and count nowhere (since the start: {reasons}){example}"
        )
    }
}

/// What somebody should look at, a sentence a topic.
#[must_use]
pub fn problems(inputs: &BTreeMap<String, InputView>) -> Vec<String> {
    inputs.iter().filter_map(|(topic, input)| input.problem(topic)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(n: u64) -> BTreeMap<Reason, u64> {
        [(Reason::NotJson, n)].into()
    }

    /// Totals at so many seconds after the start.
    fn input(totals: &[(u64, u64, u64)]) -> InputView {
        let (mut input, start) = (InputView::default(), Instant::now());
        for &(seconds, events, bad) in totals {
            input.update(start + Duration::from_secs(seconds), events, &rejected(bad), 0);
        }
        input
    }

    #[test]
    fn a_producer_that_breaks_after_a_good_month_is_seen_within_minutes() {
        let mut totals: Vec<(u64, u64, u64)> = (0..2000).map(|i| (i * 10, i * 100, 0)).collect();
        totals.extend((0..31).map(|i| (20_000 + i * 10, 200_000 + i * 100, i * 100)));
        let input = input(&totals);
        let recent = input.recent();
        assert!(recent.share() >= Some(0.95), "{recent:?}");
        assert!(input.unreadable("t").is_some());
        assert!(input.marks.len() < 100, "{}", input.marks.len());
    }

    #[test]
    fn it_is_readable_again_once_good_events_follow() {
        let input = input(&[(0, 100, 100), (10, 150, 100), (600, 1000, 100), (610, 1100, 100), (920, 1200, 100)]);
        assert_eq!((input.unreadable("t"), input.problem("t")), (None, None));
    }

    #[test]
    fn few_events_are_judged_together_however_slowly_they_come() {
        let slow: Vec<_> = (0..12).map(|i| (i * 3600, i, i)).collect();
        assert!(input(&slow).unreadable("t").is_some());
        assert!(input(&slow[..9]).unreadable("t").is_none(), "eight events say nothing yet");
        assert_eq!(input(&[]).recent().share(), None);
    }

    #[test]
    fn a_share_is_a_problem_before_it_is_everything() {
        let of = |bad| input(&[(0, 0, 0), (5, 1000, bad)]);
        assert!(of(9).problem("t").is_none());
        assert!(of(10).problem("t").unwrap().starts_with("10 of the last 1000 events of \"t\" were rejected"));
        assert!(of(899).unreadable("t").is_none() && of(900).unreadable("t").is_some());
    }

    #[test]
    fn the_sentence_has_an_example_and_the_other_kind_of_nothing_is_told_too() {
        let mut input = input(&[(0, 20, 20)]);
        let example = Example { partition: 1, offset: 7, detail: "the text is cut short".into(), read: "empty".into() };
        input.examples.insert(Reason::NotJson, example);
        let text = input.unreadable("t").unwrap();
        assert!(
            text.ends_with(
                "(since the start: not_json 20), such as t/1 offset 7: not_json: the text is cut short; it is empty"
            ),
            "{text}"
        );
        assert_eq!(input.recent().share(), Some(1.0));
        let mut strange = InputView::default();
        strange.update(Instant::now(), 50, &BTreeMap::new(), 50);
        assert!(strange.unreadable("t").is_none());
        assert!(strange.problem("t").unwrap().contains("a model without a policy"));
        assert_eq!(problems(&[("t".to_owned(), strange)].into()).len(), 1);
    }
}
