//! Verifies that the log is as it was written: the hash of every record, the links between them, their numbers, and the signed
//! checkpoints. All problems are named, by record; records behind the last checkpoint are no problem.

use std::fmt;

use serde::Serialize;
use serde::de::IgnoredAny;
use sha2::{Digest as _, Sha256};

use super::chain::{GENESIS, Head, LogRow};
use super::signed_head::{BadHead, PublicKeys, SignedHead, verify_head};
use crate::codec::hash::hex;

type Hash = [u8; 32];

/// A checkpoint and where it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchored {
    /// For messages: `the database`, a file's path, `topic driftgate.audit`.
    pub origin: String,
    pub checkpoint: SignedHead,
}

/// A problem of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "problem", rename_all = "snake_case")]
pub enum Problem {
    #[error("record {seq} was changed: its bytes hash to {computed}, {stored:?} is stored with it")]
    Changed { seq: u64, stored: String, computed: String },
    #[error("record {seq} is none of this log: {why}")]
    Unreadable { seq: u64, why: String },
    #[error("record {seq} says it is record {inside}: it was moved or renumbered")]
    Misnumbered { seq: u64, inside: u64 },
    #[error("record {seq} comes after record {after}: the order was changed")]
    Reordered { seq: u64, after: u64 },
    #[error("record {seq} is there more than once")]
    Duplicate { seq: u64 },
    #[error(
        "record {seq} does not follow the record before it: it names {prev:?} as that one's hash, which is {expected}"
    )]
    BrokenLink { seq: u64, prev: String, expected: String },
    #[error("{} missing: removed, or never written", span(*from, *to))]
    Missing { from: u64, to: u64 },
    #[error("the log ends at record {end}, but a checkpoint from {origin} signed record {seq}: the tail was cut off")]
    CutTail { seq: u64, end: u64, origin: String },
    #[error("record {seq} hashes to {found}, but a checkpoint from {origin} signed {signed}: the log was rewritten")]
    Rewritten { seq: u64, found: String, signed: String, origin: String },
    #[error(
        "the checkpoint of record {seq} from {origin} has a signature that is not of its key {key_id}: it was changed or forged"
    )]
    BadSignature { seq: u64, key_id: String, origin: String },
    #[error(
        "the checkpoint of record {seq} from {origin} is signed with the key {key_id}, which is not known: \
         name its public key if it is one of yours"
    )]
    UnknownKey { seq: u64, key_id: String, origin: String },
}

fn span(from: u64, to: u64) -> String {
    if from == to { format!("record {from} is") } else { format!("records {from} to {to} are") }
}

impl Problem {
    /// The record it is about; the first one of a gap.
    #[must_use]
    pub fn seq(&self) -> u64 {
        match self {
            Self::Missing { from, .. } => *from,
            Self::Changed { seq, .. }
            | Self::Unreadable { seq, .. }
            | Self::Misnumbered { seq, .. }
            | Self::Reordered { seq, .. }
            | Self::Duplicate { seq }
            | Self::BrokenLink { seq, .. }
            | Self::CutTail { seq, .. }
            | Self::Rewritten { seq, .. }
            | Self::BadSignature { seq, .. }
            | Self::UnknownKey { seq, .. } => *seq,
        }
    }
}

/// The last checkpoint whose signature and hash hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Vouched {
    pub seq: u64,
    /// When it was signed, RFC 3339, UTC.
    pub ts: String,
    pub key_id: String,
    pub origin: String,
}

/// The result of a verification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// By record, then in the order they were found.
    pub problems: Vec<Problem>,
    /// Records read.
    pub records: u64,
    /// Checkpoints looked at, and those whose signature and hash hold.
    pub checkpoints: u64,
    pub checkpoints_hold: u64,
    /// The last record, with the hash of its bytes as they are.
    pub head: Option<Head>,
    /// Problems of earlier records remain: it proves what was written, and not that all of it is still there.
    pub vouched: Option<Vouched>,
}

impl Report {
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.problems.is_empty()
    }

    /// How many records come after the last checkpoint that holds.
    #[must_use]
    pub fn unvouched(&self) -> u64 {
        let vouched = self.vouched.as_ref().map_or(0, |v| v.seq);
        self.head.as_ref().map_or(0, |h| h.seq).saturating_sub(vouched)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "{problem}")?;
        }
        let Some(head) = &self.head else { return write!(f, "the log is empty") };
        let (records, end) = (self.records, &head.hash);
        write!(f, "{records} record{}, the last one is {} with the hash {end}", plural(records), head.seq)?;
        match &self.vouched {
            Some(v) => write!(f, "\nvouched for up to record {} by a checkpoint of {} from {}", v.seq, v.ts, v.origin)?,
            None => write!(f, "\nno checkpoint vouches for it: a cut tail or a rewritten log would not show")?,
        }
        match (&self.vouched, self.unvouched()) {
            (Some(_), after) if after > 0 => {
                write!(f, "\n{after} record{} after it not vouched for by a checkpoint yet", plural(after))
            }
            _ => Ok(()),
        }
    }
}

fn plural(n: u64) -> &'static str {
    if n == 1 { "" } else { "s" }
}

/// Checks records, in the order they are stored in, against themselves and against checkpoints.
#[must_use]
pub fn verify(records: impl IntoIterator<Item = LogRow>, checkpoints: &[Anchored], keys: &PublicKeys) -> Report {
    let mut problems = Vec::new();
    let mut links: Vec<Link> = records.into_iter().map(|row| Link::read(&row, &mut problems)).collect();
    let read = links.len() as u64;
    let mut largest = 0;
    for seq in links.iter().map(|l| l.seq) {
        if seq < largest {
            problems.push(Problem::Reordered { seq, after: largest });
        }
        largest = largest.max(seq);
    }
    links.sort_by_key(|l| l.seq);
    links.dedup_by(|next, kept| {
        let again = next.seq == kept.seq;
        if again && problems.last() != Some(&Problem::Duplicate { seq: next.seq }) {
            problems.push(Problem::Duplicate { seq: next.seq });
        }
        again
    });
    check_links(&links, &mut problems);
    let (hold, vouched) = check_checkpoints(&links, checkpoints, keys, &mut problems);
    problems.sort_by_key(Problem::seq);
    Report {
        problems,
        records: read,
        checkpoints: checkpoints.len() as u64,
        checkpoints_hold: hold,
        head: links.last().map(|l| Head { seq: l.seq, hash: hex(&l.computed) }),
        vouched,
    }
}

/// The parts of a record that are compared later.
struct Link {
    seq: u64,
    /// The hash of its bytes.
    computed: Hash,
    /// The hash stored with it, where that is another one; the change is reported once, not in the next record again.
    stored: Option<Hash>,
    /// The hash that it names as its predecessor's; `None` where it cannot be read.
    prev: Option<Result<Hash, String>>,
}

/// The fields of a record that verification needs. Payloads of any depth are skipped.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    seq: u64,
    #[serde(rename = "ts")]
    _ts: jiff::Timestamp,
    #[serde(rename = "actor")]
    _actor: String,
    #[serde(rename = "event")]
    _event: String,
    #[serde(rename = "model")]
    _model: Option<String>,
    #[serde(rename = "version")]
    _version: Option<String>,
    #[serde(rename = "payload")]
    _payload: IgnoredAny,
    prev: String,
}

impl Link {
    fn read(row: &LogRow, problems: &mut Vec<Problem>) -> Self {
        let seq = row.seq;
        let computed: Hash = Sha256::digest(&row.bytes).into();
        let stored = parse(&row.hash);
        if stored != Some(computed) {
            problems.push(Problem::Changed { seq, stored: row.hash.clone(), computed: hex(&computed) });
        }
        let prev = match serde_json::from_slice::<Envelope>(&row.bytes) {
            Err(e) => {
                problems.push(Problem::Unreadable { seq, why: e.to_string() });
                None
            }
            Ok(_) if seq == 0 => {
                problems.push(Problem::Unreadable { seq, why: "records are numbered from 1".to_owned() });
                None
            }
            Ok(Envelope { seq: inside, .. }) if inside != seq => {
                problems.push(Problem::Misnumbered { seq, inside });
                None
            }
            Ok(Envelope { prev, .. }) => Some(parse(&prev).ok_or(prev)),
        };
        Self { seq, computed, stored: stored.filter(|s| *s != computed), prev }
    }
}

/// Lower-case hex of 32 bytes.
fn parse(text: &str) -> Option<Hash> {
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes: Option<Vec<u8>> = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    if rest.is_empty() { bytes?.try_into().ok() } else { None }
}

/// Gaps, and records that do not name the hash of the one before.
fn check_links(links: &[Link], problems: &mut Vec<Problem>) {
    let mut before: Option<&Link> = None;
    // The genesis stands before record 1.
    let mut last = 0_u64;
    for link in links.iter().filter(|l| l.seq > 0) {
        if link.seq - last > 1 {
            problems.push(Problem::Missing { from: last + 1, to: link.seq - 1 });
        } else if let Some(prev) = &link.prev {
            let follows = match before {
                Some(b) => prev.as_ref().is_ok_and(|p| *p == b.computed || Some(*p) == b.stored),
                None => prev.as_ref().is_ok_and(|p| *p == Hash::default()),
            };
            if !follows {
                let expected = before.map_or(GENESIS.to_owned(), |b| hex(&b.computed));
                let prev = prev.as_ref().map_or_else(Clone::clone, |p| hex(p));
                problems.push(Problem::BrokenLink { seq: link.seq, prev, expected });
            }
        }
        (before, last) = (Some(link), link.seq);
    }
}

/// Compares the checkpoints with the records; returns how many hold and the last of them.
fn check_checkpoints(
    links: &[Link],
    checkpoints: &[Anchored],
    keys: &PublicKeys,
    problems: &mut Vec<Problem>,
) -> (u64, Option<Vouched>) {
    let end = links.last().map_or(0, |l| l.seq);
    let mut hold = 0;
    let mut vouched: Option<Vouched> = None;
    for Anchored { origin, checkpoint } in checkpoints {
        let SignedHead { seq, hash, ts, key_id, .. } = checkpoint;
        let (seq, origin, key_id) = (*seq, origin.clone(), key_id.clone());
        match verify_head(checkpoint, keys) {
            Err(BadHead::UnknownKey) => problems.push(Problem::UnknownKey { seq, key_id, origin }),
            Err(BadHead::Signature) => problems.push(Problem::BadSignature { seq, key_id, origin }),
            Ok(()) if seq > end => problems.push(Problem::CutTail { seq, end, origin }),
            Ok(()) => {
                // Where the record is not there the gap has been reported.
                let found = links.binary_search_by_key(&seq, |l| l.seq).ok().and_then(|i| links.get(i));
                match found.map(|l| hex(&l.computed)) {
                    Some(found) if found != *hash => {
                        problems.push(Problem::Rewritten { seq, found, signed: hash.clone(), origin });
                    }
                    Some(_) => {
                        hold += 1;
                        if vouched.as_ref().is_none_or(|v| v.seq < seq) {
                            vouched = Some(Vouched { seq, ts: ts.clone(), key_id, origin });
                        }
                    }
                    None => {}
                }
            }
        }
    }
    (hold, vouched)
}

#[cfg(test)]
mod tests;
