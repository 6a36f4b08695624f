//! What is worth telling of events that count all the same: labels, decisions and flags that stand for no class, and times long
//! before any model was watched. Each piece of a file, or turn with a partition, brings its own; they add up in the order of the events.

use std::fmt::Write as _;

use crate::event::TimeUnit;

/// Times before 1980 are taken for seconds, or another unit, read as a larger one.
const EARLY_MS: i64 = 315_532_800_000;
/// Longer values are cut.
const SHOWN_CHARS: usize = 40;

/// What was seen of some events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Events whose times were looked at.
    pub events: u64,
    /// How many of them are before 1980.
    pub early: u64,
    pub labels: Unmapped,
    pub decisions: Unmapped,
    /// Of `error`, where a rule reads it.
    pub errors: Unmapped,
    pub kpis: Unmapped,
}

/// Values that stand for no class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unmapped {
    pub count: u64,
    /// The first of them, cut.
    pub example: String,
    /// Whether the classes are those of a policy of several.
    of_several: bool,
}

impl Unmapped {
    pub fn add(&mut self, value: &str) {
        if self.count == 0 {
            self.example.clear();
            self.example.extend(value.chars().take(SHOWN_CHARS));
        }
        self.count += 1;
    }

    /// A value that is none of the policy's `classes`.
    pub fn add_to_several(&mut self, value: &str) {
        self.add(value);
        self.of_several = true;
    }

    fn merge(&mut self, later: &Self) {
        self.of_several |= later.of_several;
        if self.count == 0 {
            self.example.clone_from(&later.example);
        }
        self.count += later.count;
    }
}

impl Notes {
    /// Looks at the times of a batch.
    pub fn times(&mut self, ts: &[i64]) {
        self.events += ts.len() as u64;
        self.early += ts.iter().map(|&ts| u64::from(ts < EARLY_MS)).sum::<u64>();
    }

    /// Adds what later events brought.
    pub fn merge(&mut self, later: &Self) {
        self.events += later.events;
        self.early += later.early;
        self.labels.merge(&later.labels);
        self.decisions.merge(&later.decisions);
        self.errors.merge(&later.errors);
        self.kpis.merge(&later.kpis);
    }

    /// Whether more than half of the times, and so their median, are before 1980.
    #[must_use]
    pub fn is_early(&self) -> bool {
        2 * self.early > self.events
    }

    /// What to tell of a source whose times are read in this unit: a sentence each.
    #[must_use]
    pub fn sentences(&self, source: &str, unit: TimeUnit) -> Vec<String> {
        let mut out = Vec::new();
        if self.is_early() {
            let smaller = match unit {
                TimeUnit::Seconds => "other than seconds",
                TimeUnit::Millis => "seconds",
                TimeUnit::Micros => "seconds or milliseconds",
                TimeUnit::Nanos => "seconds, milliseconds or microseconds",
            };
            let key = if unit == TimeUnit::Millis { "s" } else { "ms" };
            out.push(format!(
                "{source}: the median of its times is before 1980: read as {} they look like {smaller}; write `timestamp: {key}`, or what \
                 they are, under its source in the configuration",
                unit.name()
            ));
        }
        for (values, what, key) in
            [(&self.labels, "label", "labels.values"), (&self.decisions, "decision", "decision.values")]
        {
            if values.count == 0 {
                continue;
            }
            let what = if values.of_several && what == "decision" { "prediction" } else { what };
            let mut text = format!("{source}: {} {what}", values.count);
            if values.count > 1 {
                text.push('s');
            }
            // Writing to memory does not fail.
            let _ = if values.of_several {
                write!(
                    text,
                    " of no class, such as {:?}: send one of the policy's `classes`, or name it there",
                    values.example
                )
            } else {
                write!(text, " of no class, such as {:?}: map what they mean to 0 or 1 under `{key}`", values.example)
            };
            out.push(text);
        }
        for (values, what) in [(&self.errors, "`error`"), (&self.kpis, "a KPI")] {
            if values.count > 0 {
                let s = if values.count > 1 { "s" } else { "" };
                out.push(format!(
                    "{source}: {} value{s} of {what} that is none of 0, 1, true and false, such as {:?}: invalid, and in no rate",
                    values.count, values.example
                ));
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_before_1980_is_named_with_the_key_to_write() {
        let mut notes = Notes::default();
        notes.times(&[1_700_006_400, 1_700_006_401, 1_700_006_400_000]);
        let said = notes.sentences("p.csv", TimeUnit::Millis);
        assert_eq!(said.len(), 1);
        assert!(said[0].starts_with("p.csv: the median of its times is before 1980: read as milliseconds they look like seconds; write `timestamp: s`"), "{said:?}");
        notes.times(&[1_700_006_400_000]);
        assert!(notes.sentences("p.csv", TimeUnit::Millis).is_empty(), "half of them is no median");
    }

    #[test]
    fn the_first_unmapped_value_is_the_example_whatever_the_pieces() {
        let mut first = Notes::default();
        first.decisions.add("approve");
        let mut later = Notes::default();
        later.labels.add("maybe");
        later.labels.add("never");
        first.merge(&later);
        first.merge(&later);
        assert_eq!(
            first.sentences("l", TimeUnit::Millis),
            [
                "l: 4 labels of no class, such as \"maybe\": map what they mean to 0 or 1 under `labels.values`",
                "l: 1 decision of no class, such as \"approve\": map what they mean to 0 or 1 under `decision.values`"
            ]
        );
    }
}
