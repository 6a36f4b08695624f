//! What events are made of: times, ids, flags, codes of texts and the encodings of missing and invalid values; `kind` has
//! the kinds of events and their fields, `batch` decoded events in columns.

use serde::{Deserialize, Serialize, Serializer};

use crate::seeded::Map;

mod batch;
mod kind;

pub use batch::*;
pub use kind::{ByKind, EventKind, Field, FieldMap, Limits, TimeUnit};

/// Event time in milliseconds since the epoch, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventTime(pub i64);

/// The offset to read next, never the last one read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NextOffset(pub i64);

/// A 128-bit hash (XXH3) of a prediction id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PredictionId(pub u128);

impl PredictionId {
    #[must_use]
    pub fn of(id: &str) -> Self {
        Self(xxhash_rust::xxh3::xxh3_128(id.as_bytes()))
    }
}

/// Numeric cells: a value, or one of two NaNs that tell a missing value from one of the wrong type.
pub mod numeric {
    /// A missing key, a null, or a NaN.
    pub const MISSING: f64 = f64::from_bits(0x7ff8_0000_0000_0000);
    /// A value of the wrong type.
    pub const INVALID: f64 = f64::from_bits(0x7ff8_0000_0000_0001);

    /// A number as a cell: any NaN is missing.
    #[inline]
    #[must_use]
    pub fn cell(x: f64) -> f64 {
        if x.is_nan() { MISSING } else { x }
    }

    #[inline]
    #[must_use]
    pub fn is_invalid(x: f64) -> bool {
        x.to_bits() == INVALID.to_bits()
    }

    /// What a label that is a number is as one of a class: `Yes` where there is a finite one.
    #[must_use]
    pub fn flag(x: f64) -> super::Flag {
        match x {
            x if x.is_finite() => super::Flag::Yes,
            x if x.is_nan() && !is_invalid(x) => super::Flag::Missing,
            _ => super::Flag::Invalid,
        }
    }
}

/// Codes of category, segment, version and stage values: dictionary codes below `SPECIAL`, or one of these.
pub mod code {
    /// No value: a missing key or null.
    pub const MISSING: u32 = u32::MAX;
    /// A value of the wrong type.
    pub const INVALID: u32 = u32::MAX - 1;
    /// A value beyond the bound on distinct values: counted with the unseen ones.
    pub const OVERFLOW: u32 = u32::MAX - 2;
    /// Dictionary codes are below this.
    pub const SPECIAL: u32 = OVERFLOW;
}

/// A yes/no value that may be absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[repr(u8)]
pub enum Flag {
    No = 0,
    Yes = 1,
    #[default]
    Missing = 2,
    Invalid = 3,
}

impl From<bool> for Flag {
    fn from(b: bool) -> Self {
        if b { Self::Yes } else { Self::No }
    }
}

/// Which dictionary of a model a code belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Domain {
    Version,
    Stage,
    Categorical(usize),
    Segmentation(usize),
    /// No value: the decoder has forgotten all codes before this one and starts again.
    Restart,
}

/// Values that a batch's codes mean for the first time, in order of their codes within each domain.
pub type Fresh = Vec<(Domain, Box<str>)>;

/// Distinct texts and their codes, in order of first sight, up to a bound.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Dictionary {
    #[serde(serialize_with = "in_order")]
    codes: Map<Box<str>, u32>,
    names: Vec<Box<str>>,
    bound: u32,
    /// Bytes of the texts.
    #[serde(skip)]
    bytes: usize,
}

/// Writes codes in their order: that of the table is another one in every process.
fn in_order<S: Serializer>(codes: &Map<Box<str>, u32>, to: S) -> Result<S::Ok, S::Error> {
    let mut sorted: Vec<(&Box<str>, &u32)> = codes.iter().collect();
    sorted.sort_unstable_by_key(|(_, code)| **code);
    to.collect_map(sorted)
}

impl Dictionary {
    /// Codes at most `bound` distinct values; later ones get `code::OVERFLOW`.
    #[must_use]
    pub fn new(bound: usize) -> Self {
        Self { bound: u32::try_from(bound).unwrap_or(code::SPECIAL).min(code::SPECIAL), ..Self::default() }
    }

    /// A dictionary with these texts in the order of their codes.
    #[must_use]
    pub fn of(names: Vec<Box<str>>, bound: u32) -> Self {
        let codes = (0_u32..).zip(&names).map(|(code, name)| (name.clone(), code)).collect();
        let bytes = names.iter().map(|name| name.len()).sum();
        Self { codes, names, bound, bytes }
    }

    /// The code of `text`, and whether it is new.
    #[inline]
    pub fn intern(&mut self, text: &str) -> (u32, bool) {
        if let Some(&code) = self.codes.get(text) {
            return (code, false);
        }
        self.insert(text)
    }

    #[cold]
    fn insert(&mut self, text: &str) -> (u32, bool) {
        let next = u32::try_from(self.names.len()).unwrap_or(code::SPECIAL);
        if next >= self.bound {
            return (code::OVERFLOW, false);
        }
        self.codes.insert(text.into(), next);
        self.names.push(text.into());
        self.bytes += text.len();
        (next, true)
    }

    /// The code of `text`, coded even beyond the bound; one that is new takes no place from those that are bounded.
    pub fn intern_always(&mut self, text: &str) -> u32 {
        if let Some(&code) = self.codes.get(text) {
            return code;
        }
        let bound = std::mem::replace(&mut self.bound, code::SPECIAL);
        let (code, new) = self.insert(text);
        self.bound = bound.saturating_add(u32::from(new)).min(code::SPECIAL);
        code
    }

    #[must_use]
    pub fn get(&self, text: &str) -> Option<u32> {
        self.codes.get(text).copied()
    }

    /// The text of a code; `None` for the special codes.
    #[must_use]
    pub fn name(&self, code: u32) -> Option<&str> {
        self.names.get(code as usize).map(AsRef::as_ref)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Bytes of the texts that were coded since it was made.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dictionary_stops_at_its_bound() {
        let mut d = Dictionary::new(2);
        assert_eq!(
            [d.intern("x"), d.intern("y"), d.intern("x"), d.intern("z")],
            [(0, true), (1, true), (0, false), (code::OVERFLOW, false)]
        );
        assert_eq!((d.name(1), d.name(code::MISSING)), (Some("y"), None));
    }

    #[test]
    fn what_is_always_coded_takes_no_place() {
        let mut d = Dictionary::new(2);
        d.intern("x");
        assert_eq!(
            [d.intern_always("a"), d.intern_always("x"), d.intern_always("a"), d.intern_always("b")],
            [1, 0, 1, 2]
        );
        assert_eq!([d.intern("y"), d.intern("z")], [(3, true), (code::OVERFLOW, false)]);
    }

    #[test]
    fn missing_and_invalid_are_told_apart() {
        assert!(numeric::is_invalid(numeric::INVALID) && !numeric::is_invalid(numeric::cell(-f64::NAN)));
        assert!(numeric::INVALID.is_nan() && numeric::MISSING.is_nan());
    }
}
