//! What a checkpoint keeps of requests and responses that wait for each other. There may be millions, and who reads them waits while they are
//! copied: they are copied in one piece, and written from there.

use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::ser::SerializeSeq as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::half::{Half, Side};
use super::{Counts, Pairs, Partition};
use crate::window::front::Front;

/// Halves that wait, in the order of their times, and how far each partition had come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairsState {
    waiting: Halves,
    /// By number: the front, and whether it was idle.
    partitions: Vec<(i32, Front, bool)>,
    counts: Counts,
}

/// Halves in one piece: the id, the version, the model and the body of each, behind one another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Halves {
    bytes: Vec<u8>,
    all: Vec<Entry>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    ts: i64,
    side: Side,
    /// How long its parts are.
    id: u32,
    version: u32,
    model: u32,
    body: u32,
}

/// What is written of a half.
type Written<'h> = (&'h str, Side, HalfState<&'h str, Bytes<'h>>);
/// What is read of it.
type Read = (String, Side, HalfState<String, Vec<u8>>);

#[derive(Serialize, Deserialize)]
#[serde(rename = "HalfState")]
struct HalfState<T, B> {
    ts: i64,
    version: Option<T>,
    model: Option<T>,
    /// Its rows behind `ROWS`, or its whole body, as it was kept until rows were.
    body: B,
}

/// No JSON begins with it.
const ROWS: u8 = 0x1e;

/// Bytes that are written at once.
struct Bytes<'b>(&'b [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl Halves {
    /// Adds a half whose body is these parts.
    fn push(&mut self, ts: i64, side: Side, texts: [&str; 3], body: [&[u8]; 2]) {
        let [id, version, model] = texts.map(|text| length(text.len()));
        let body_length = length(body[0].len() + body[1].len());
        self.all.push(Entry { ts, side, id, version, model, body: body_length });
        texts.iter().for_each(|text| self.bytes.extend_from_slice(text.as_bytes()));
        body.iter().for_each(|part| self.bytes.extend_from_slice(part));
    }

    fn iter(&self) -> impl Iterator<Item = (Entry, [&str; 3], &[u8])> {
        let mut rest = self.bytes.as_slice();
        let mut part = move |length: u32| {
            let (part, behind) = rest.split_at_checked(length as usize).unwrap_or((&[], &[]));
            rest = behind;
            part
        };
        self.all.iter().map(move |entry| {
            let texts = [entry.id, entry.version, entry.model];
            let texts = texts.map(|length| std::str::from_utf8(part(length)).unwrap_or(""));
            (*entry, texts, part(entry.body))
        })
    }
}

/// Messages are bounded far below this.
fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn named(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

impl Serialize for Halves {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(self.all.len()))?;
        for (Entry { ts, side, .. }, [id, version, model], body) in self.iter() {
            let half = HalfState { ts, version: named(version), model: named(model), body: Bytes(body) };
            let written: Written<'_> = (id, side, half);
            seq.serialize_element(&written)?;
        }
        seq.end()
    }
}

impl<'de> Deserialize<'de> for Halves {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Halves;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("halves that wait")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Halves, A::Error> {
        let mut halves = Halves::default();
        while let Some((id, side, HalfState { ts, version, model, body })) = seq.next_element::<Read>()? {
            let (version, model) = (version.unwrap_or_default(), model.unwrap_or_default());
            halves.push(ts, side, [&id, &version, &model], [&body, &[]]);
        }
        Ok(halves)
    }
}

impl Pairs {
    /// What to keep.
    #[must_use]
    pub fn state(&self) -> PairsState {
        let mut waiting = Halves::default();
        waiting.all.reserve_exact(self.waiting.len());
        for (ts, kept) in self.waiting.iter() {
            waiting.push(ts, kept.side, [kept.id, kept.version, kept.model], [&[ROWS], kept.rows]);
        }
        PairsState {
            waiting,
            partitions: self.partitions.iter().map(|(at, of)| (*at, of.front.clone(), of.idle)).collect(),
            counts: self.counts,
        }
    }

    /// Pairs as a checkpoint kept them, under bounds that may be others. `read` puts the rows of a body in its place, where a half has it whole.
    #[must_use]
    pub fn restore(
        wait: i64,
        most_bytes: usize,
        state: &PairsState,
        mut read: impl FnMut(&str, Side, &[u8], &mut Half),
    ) -> Self {
        let mut pairs = Self::new(wait, most_bytes);
        let mut half = Half::default();
        for (Entry { ts, side, .. }, [id, version, model], body) in state.waiting.iter() {
            half.begin(ts, version, model);
            match body.split_first() {
                Some((&ROWS, rows)) => half.rows.extend_from_slice(rows),
                _ => read(id, side, body, &mut half),
            }
            if pairs.waiting.find(id).is_none() {
                pairs.waiting.put(id, side, &half);
            }
        }
        let fronts = state.partitions.iter().filter(|(_, front, _)| front.is_sound());
        pairs.partitions =
            fronts.map(|(at, front, idle)| (*at, Partition { front: front.clone(), idle: *idle })).collect();
        pairs.counts = state.counts;
        pairs
    }
}
