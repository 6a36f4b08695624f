//! What is said where the last checkpoint cannot be used, and the one before it is.

use std::fmt;

use super::state::SourceState;
use driftgate_core::codec::time::utc;

/// So many partitions are named.
const MOST_NAMED: usize = 20;

/// The checkpoint before the last one is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// Why the last one cannot be used.
    pub why: String,
    /// When the one before it was written, by the wall clock, ms.
    pub written_ms: Option<i64>,
    /// Topic, partition, and the offset from which events are read again.
    pub from: Vec<(String, i32, i64)>,
}

impl Fallback {
    #[must_use]
    pub fn new(why: String, written_ms: Option<i64>, sources: &[SourceState]) -> Self {
        let from = sources.iter().map(|s| (s.topic.clone(), s.partition, s.next_offset.unwrap_or(0))).collect();
        Self { why, written_ms, from }
    }
}

impl fmt::Display for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let written = self.written_ms.map_or_else(String::new, |ms| format!(", written at {},", utc(ms)));
        write!(f, "the last checkpoint cannot be used ({}); the one before it{written} is used", self.why)?;
        for (at, (topic, partition, next)) in self.from.iter().take(MOST_NAMED).enumerate() {
            let lead = if at == 0 { ", and events are read again: " } else { ", " };
            write!(f, "{lead}{topic}/{partition} from offset {next}")?;
        }
        match self.from.len().saturating_sub(MOST_NAMED) {
            0 => Ok(()),
            more => write!(f, ", and {more} more partitions"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_why_and_what_is_read_again() {
        let of = |partitions: i32| Fallback {
            why: "cut".into(),
            written_ms: Some(0),
            from: (0..partitions).map(|p| ("t".into(), p, 7)).collect(),
        };
        let said = of(2).to_string();
        assert_eq!(
            said,
            "the last checkpoint cannot be used (cut); the one before it, written at 1970-01-01T00:00:00Z, is used, and events are read \
             again: t/0 from offset 7, t/1 from offset 7"
        );
        assert!(of(25).to_string().ends_with("t/19 from offset 7, and 5 more partitions"));
    }
}
