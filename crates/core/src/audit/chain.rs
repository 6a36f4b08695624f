//! Records and the chain they form. A record is serialised once; its hash is that of exactly these bytes, and they hold
//! the hash of the record before it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::codec::hash::sha256_hex;

/// The hash that the first record has in place of a predecessor's.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// An event without a number in the log yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Who did it: the actor of a token, or the daemon itself.
    pub actor: String,
    /// What was done: `register`, `approve`, `promote`, …
    pub event: String,
    pub model: Option<String>,
    pub version: Option<String>,
    /// The other fields of the event.
    pub payload: Value,
}

/// A record, read from its bytes; the fields are written in this order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// From 1, without gaps.
    pub seq: u64,
    /// Wall clock, RFC 3339, UTC.
    pub ts: String,
    pub actor: String,
    pub event: String,
    pub model: Option<String>,
    pub version: Option<String>,
    pub payload: Value,
    /// SHA-256 of the bytes of the record before it, lower-case hex; [`GENESIS`] for the first.
    pub prev: String,
}

impl Record {
    /// Reads stored bytes.
    ///
    /// # Errors
    /// Bytes that are not a record, with the place in them.
    pub fn read(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}

/// The end of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    pub seq: u64,
    /// SHA-256 of the last record's bytes, lower-case hex.
    pub hash: String,
}

/// A record to be written as it is, before the change that it describes is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub seq: u64,
    /// One JSON object without spaces or newlines between its parts.
    pub bytes: String,
    /// SHA-256 of `bytes`, lower-case hex.
    pub hash: String,
}

impl Stored {
    /// The log's end once this is written.
    #[must_use]
    pub fn head(&self) -> Head {
        Head { seq: self.seq, hash: self.hash.clone() }
    }
}

/// A record as a store returns it, not verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRow {
    pub seq: u64,
    pub bytes: Vec<u8>,
    pub hash: String,
}

impl From<Stored> for LogRow {
    fn from(stored: Stored) -> Self {
        Self { seq: stored.seq, bytes: stored.bytes.into_bytes(), hash: stored.hash }
    }
}

/// The record that follows `head`, or the first one. `now_ms` is the wall clock, ms since the epoch.
///
/// Two records made from the same head are a fork: the store must accept only one of them (a unique `seq` does so).
#[must_use]
pub fn append(head: Option<&Head>, entry: Entry, now_ms: i64) -> Stored {
    let (seq, prev) = head.map_or((1, GENESIS), |h| (h.seq.saturating_add(1), h.hash.as_str()));
    let Entry { actor, event, model, version, payload } = entry;
    // The order of these keys is the order of the bytes, and that of `Record`.
    let bytes = json!({
        "seq": seq,
        "ts": rfc3339(now_ms),
        "actor": actor,
        "event": event,
        "model": model,
        "version": version,
        "payload": payload,
        "prev": prev,
    })
    .to_string();
    let hash = sha256_hex(bytes.as_bytes());
    Stored { seq, bytes, hash }
}

/// A time as the log writes it; beyond the years -9999 to 9999 the nearest it can write.
#[must_use]
pub fn rfc3339(ms: i64) -> String {
    let nearest = if ms < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_millisecond(ms).unwrap_or(nearest).to_string()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn entry(event: &str) -> Entry {
        Entry {
            actor: "owner@org".into(),
            event: event.into(),
            model: Some("fraud_detector".into()),
            version: None,
            payload: json!({"to": "prod", "a": [1, 0.1, null]}),
        }
    }

    /// A chain of so many records, a second apart.
    pub fn chain(records: u32) -> Vec<LogRow> {
        let mut head = None;
        let next = |i| {
            let stored = append(head.as_ref(), entry(&format!("event {i}")), i64::from(i) * 1000);
            head = Some(stored.head());
            stored.into()
        };
        (0..records).map(next).collect()
    }

    #[test]
    fn bytes_have_a_fixed_order_and_their_hash_is_theirs() {
        let first = append(None, entry("approve"), 1_362_096_000_123);
        assert_eq!(
            first.bytes,
            format!(
                "{}{}{GENESIS}\"}}",
                r#"{"seq":1,"ts":"2013-03-01T00:00:00.123Z","actor":"owner@org","event":"approve","model":"fraud_detector","#,
                r#""version":null,"payload":{"to":"prod","a":[1,0.1,null]},"prev":""#
            )
        );
        assert_eq!(first.hash, sha256_hex(first.bytes.as_bytes()));
        let second = append(Some(&first.head()), entry("promote"), 1_362_096_001_000);
        let read = Record::read(second.bytes.as_bytes()).unwrap();
        assert_eq!((read.seq, &read.prev, read.ts.as_str()), (2, &first.hash, "2013-03-01T00:00:01Z"));
        assert_eq!(serde_json::to_string(&read).unwrap(), second.bytes, "Record has the same keys in the same order");
    }

    #[test]
    fn any_clock_gives_a_time_that_can_be_read() {
        for ms in [i64::MIN, -1, 0, i64::MAX] {
            assert!(rfc3339(ms).parse::<Timestamp>().is_ok(), "{ms}");
        }
    }

    #[test]
    fn what_is_no_record_is_refused() {
        let good = append(None, entry("approve"), 0).bytes;
        assert!(Record::read(good.as_bytes()).is_ok());
        for bad in [good.replace("\"actor\"", "\"who\""), good.replace("\"seq\":1", "\"seq\":-1"), format!("{good}x")] {
            assert!(Record::read(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
