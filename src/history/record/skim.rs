//! A record that is walked through: of its results the names and statuses, and where their bytes are.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::series::split;
use super::{FORMAT, Window};
use driftgate_core::judge::verdict::Status;

/// The fields of `Window` before its results, in their order.
#[derive(Serialize, Deserialize)]
struct Head {
    version: String,
    stage: Option<String>,
    group: String,
    start_ms: i64,
    end_ms: i64,
    complete: bool,
    predictions: u64,
    labels: u64,
}

/// The fields of `Measured` in their order, without memory of their own.
#[derive(Deserialize)]
#[expect(dead_code, reason = "fields that are only passed over have their place in the bytes")]
pub struct Skimmed<'r> {
    pub rule: &'r str,
    metric: &'r str,
    pub subject: &'r str,
    pub status: Status,
    numbers: [Option<f64>; 4],
    side: Option<&'r str>,
    warn: Option<f64>,
    counts: [Option<u64>; 4],
    reason: Option<&'r str>,
    pending: bool,
    pub muted: bool,
    bins: Passed,
}

impl Skimmed<'_> {
    /// The segment that it is of, if it is of one.
    #[must_use]
    pub fn segment(&self) -> Option<&str> {
        split(self.subject).1
    }
}

/// Bins that are passed over.
struct Passed;

impl<'de> Deserialize<'de> for Passed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bins;
        impl<'de> Visitor<'de> for Bins {
            type Value = Passed;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bins")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut bins: A) -> Result<Passed, A::Error> {
                while bins.next_element::<(&str, u64, u64)>()?.is_some() {}
                Ok(Passed)
            }
        }
        deserializer.deserialize_seq(Bins)
    }
}

impl Window {
    /// Walks through the record of a window: hands on each result with its bytes' place in the record, from which a `Measured` is read. The window
    /// has no results. `None` of bytes that are no record, or one of a newer format; results may have been handed on by then.
    #[must_use]
    pub fn skim<'r>(record: &'r [u8], mut each: impl FnMut(&Skimmed<'r>, Range<usize>)) -> Option<Self> {
        let (format, rest) = record.split_first()?;
        if *format != FORMAT {
            return None;
        }
        let (head, rest): (Head, _) = postcard::take_from_bytes(rest).ok()?;
        let (results, mut rest): (u64, _) = postcard::take_from_bytes(rest).ok()?;
        for _ in 0..results {
            let (of, after): (Skimmed<'_>, _) = postcard::take_from_bytes(rest).ok()?;
            each(&of, record.len() - rest.len()..record.len() - after.len());
            rest = after;
        }
        let Head { version, stage, group, start_ms, end_ms, complete, predictions, labels } = head;
        Some(Self { version, stage, group, start_ms, end_ms, complete, predictions, labels, results: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{measured, window};
    use super::*;
    use crate::history::record::Measured;

    proptest! {
        #[test]
        fn what_is_walked_through_is_where_it_says(
            values in prop::collection::vec((prop::option::of(0.0..9.0), prop::option::of(any::<u64>()), ".*", 0_usize..3), 0..9),
            cut in 1_usize..40,
        ) {
            let results: Vec<Measured> = values
                .into_iter()
                .map(|(value, n, text, bins)| {
                    let mut of = measured("drift/psi", &text, 0.5);
                    of.bins.truncate(bins);
                    Measured { value, lower: value, n, invalid: n, reason: n.map(|_| text), pending: bins == 1, ..of }
                })
                .collect();
            let whole = window("1", 7, results.clone());
            let bytes = whole.encode().unwrap();
            let mut found: Vec<Measured> = Vec::new();
            let skimmed = Window::skim(&bytes, |of, range| {
                let read: Measured = postcard::from_bytes(&bytes[range]).unwrap();
                assert_eq!((of.rule, of.subject, of.status), (&*read.rule, &*read.subject, read.status));
                found.push(read);
            });
            prop_assert_eq!(found, results);
            prop_assert_eq!(skimmed, Some(Window { results: Vec::new(), ..whole }));
            prop_assert_eq!(Window::skim(&bytes[..bytes.len().saturating_sub(cut)], |_, _| ()), None);
            prop_assert_eq!(Window::skim(&[&[9], &bytes[1..]].concat(), |_, _| ()), None);
        }
    }
}
