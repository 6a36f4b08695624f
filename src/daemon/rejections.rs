//! What is said of rejected events: one warning a topic and reason, at most each minute, with an example. Every one of them
//! is counted; the dead letters have them all.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::sink::dead_letters::DeadLetter;
use crate::telemetry::events::input::EventsRejected;
use crate::view::Shared;
use crate::view::inputs::Example;
use driftgate_core::decode::Reason;

/// How often a topic's reason is warned about.
pub const EVERY: Duration = Duration::from_secs(60);
/// Characters of an example's texts.
const SHOWN: usize = 200;
/// Fields of a message that an example names, and bytes that it begins with where it is no object.
const FIELDS: usize = 20;
const BEGINNING: usize = 24;

/// What was said, and what is to be said next.
#[derive(Debug, Default)]
pub struct Rejections {
    /// By topic and reason: when it was warned about last, and how many were rejected since.
    said: BTreeMap<(String, Reason), (Instant, u64)>,
}

impl Rejections {
    /// Counts what a partition's turn rejected, and says what is due.
    pub fn hear(&mut self, letters: &[DeadLetter], now: Instant, view: &Shared) {
        let mut counts: BTreeMap<Reason, (u64, Option<&DeadLetter>)> = BTreeMap::new();
        for letter in letters {
            let (n, example) = counts.entry(letter.reject.reason).or_default();
            *n += 1;
            if example.is_none() && letter.read.is_some() {
                *example = Some(letter);
            }
        }
        for (reason, (n, example)) in counts {
            let Some(first) = example.or_else(|| letters.iter().find(|l| l.reject.reason == reason)) else { continue };
            let key = (first.topic.clone(), reason);
            let before = match self.said.get_mut(&key) {
                Some((at, waiting)) if now.duration_since(*at) < EVERY => {
                    *waiting += n;
                    continue;
                }
                Some((_, waiting)) => *waiting,
                None => 0,
            };
            self.said.insert(key, (now, 0));
            let example = example_of(first);
            EventsRejected {
                topic: &first.topic,
                reason: reason.name(),
                rejected: before + n,
                partition: example.partition,
                offset: example.offset,
                read: &example.read,
                detail: &example.detail,
            }
            .emit();
            view.write().inputs.entry(first.topic.clone()).or_default().examples.insert(reason, example);
        }
    }
}

fn example_of(letter: &DeadLetter) -> Example {
    Example {
        partition: letter.partition,
        offset: letter.offset,
        detail: escaped(&letter.reject.detail, SHOWN),
        read: letter.read.clone().unwrap_or_else(|| "not kept".to_owned()),
    }
}

/// A text that steers no terminal, cut after so many characters.
#[must_use]
pub fn escaped(text: &str, most: usize) -> String {
    let mut out = String::with_capacity(text.len().min(most));
    for (at, c) in text.chars().enumerate() {
        if at == most {
            out.push('…');
            break;
        }
        match c {
            '"' | '\'' | '\\' => out.push(c),
            c => out.extend(c.escape_debug()),
        }
    }
    out
}

/// What a message looks like, for people: the names of its fields, not their values, which do not belong into a log.
#[must_use]
pub fn described(payload: &[u8]) -> String {
    if payload.is_empty() {
        return "an empty message".to_owned();
    }
    let n = payload.len();
    match serde_json::from_slice::<serde_json::Value>(payload) {
        Ok(serde_json::Value::Object(fields)) => {
            let mut names: Vec<String> =
                fields.keys().take(FIELDS).map(|k| format!("\"{}\"", escaped(k, 40))).collect();
            if fields.len() > FIELDS {
                names.push(format!("{} more", fields.len() - FIELDS));
            }
            format!("an object of {n} bytes with the fields {}", names.join(", "))
        }
        // A byte 0 and a schema's number.
        Err(_) if payload.first() == Some(&0) && n > 5 => {
            format!("{n} bytes that begin as a schema registry's Avro or Protobuf does; driftgate reads JSON")
        }
        _ => {
            let beginning = payload.get(..BEGINNING).unwrap_or(payload);
            format!("{n} bytes that begin with {}", escaped(&String::from_utf8_lossy(beginning), SHOWN))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftgate_core::decode::Reject;

    fn letter(offset: i64, reason: Reason) -> DeadLetter {
        let reject = Reject::new(reason, "bad \u{1b}[2J\u{202e}text");
        DeadLetter { topic: "t".into(), partition: 3, offset, reject, payload: vec![], read: Some("read".into()) }
    }

    #[test]
    fn a_reason_is_said_once_a_minute_with_the_first_example() {
        let (view, start) = (Shared::default(), Instant::now());
        let mut rejections = Rejections::default();
        let example = |view: &Shared, reason| view.read().inputs["t"].examples[&reason].offset;
        rejections.hear(
            &[letter(7, Reason::NotJson), letter(8, Reason::NoTime), letter(9, Reason::NotJson)],
            start,
            &view,
        );
        assert_eq!((example(&view, Reason::NotJson), example(&view, Reason::NoTime)), (7, 8));
        rejections.hear(&[letter(10, Reason::NotJson)], start + EVERY / 2, &view);
        assert_eq!(example(&view, Reason::NotJson), 7);
        assert_eq!(rejections.said[&("t".to_owned(), Reason::NotJson)].1, 1);
        rejections.hear(&[letter(11, Reason::NotJson)], start + EVERY, &view);
        assert_eq!(example(&view, Reason::NotJson), 11);
        assert_eq!(rejections.said[&("t".to_owned(), Reason::NotJson)].1, 0);
        assert_eq!(view.read().inputs["t"].examples[&Reason::NotJson].detail, r"bad \u{1b}[2J\u{202e}text");
    }

    #[test]
    fn what_was_read_is_described_without_values_and_control_characters() {
        for (payload, expected) in [
            (&b""[..], "an empty message"),
            (br#"{"id": "secret", "t\u0007s": 1}"#, r#"an object of 31 bytes with the fields "id", "t\u{7}s""#),
            (b"id,ts,score\n1", r"13 bytes that begin with id,ts,score\n1"),
            (b"\x1b[2J", r"4 bytes that begin with \u{1b}[2J"),
            (b"[1]", "3 bytes that begin with [1]"),
        ] {
            assert_eq!(described(payload), expected);
        }
        assert!(described(b"\0\0\0\0\x07abc").contains("schema registry"));
        let wide: serde_json::Map<String, serde_json::Value> = (0..30).map(|i| (format!("f{i}"), i.into())).collect();
        assert!(described(&serde_json::to_vec(&wide).unwrap()).ends_with("\"f19\", 10 more"));
    }

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(escaped("abcdef", 3), "abc…");
        assert_eq!(escaped("a\"b\\\r", 9), "a\"b\\\\r");
    }
}
