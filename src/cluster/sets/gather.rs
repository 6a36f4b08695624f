//! Sets out of records, in the order in which they become whole: those of several units stand between each other.

use std::collections::BTreeMap;

use super::record::Key;

/// A set that is whole.
#[derive(Debug, PartialEq, Eq)]
pub struct Arrived {
    /// The offset of its last record.
    pub end: i64,
    /// Reading goes on here after a restart: sets before it are whole, and so were read.
    pub next: i64,
    /// Who wrote it.
    pub unit: String,
    pub document: Vec<u8>,
}

/// A set of which a part is missing.
struct Open {
    first: i64,
    next: u32,
    bytes: Vec<u8>,
}

/// The sets that are not whole yet, by unit.
#[derive(Default)]
pub struct Gather(BTreeMap<String, Open>);

impl Gather {
    /// Takes a record; the set that it ends.
    ///
    /// # Errors
    /// A record that belongs to no set: what is wrong with it.
    pub fn take(&mut self, offset: i64, key: &[u8], payload: &[u8]) -> Result<Option<Arrived>, String> {
        let Key { unit, part, parts } = serde_json::from_slice(key)
            .map_err(|e| format!("the record at offset {offset} has a key of something else: {e}"))?;
        if part == 0 {
            self.0.insert(unit.clone(), Open { first: offset, next: 0, bytes: Vec::new() });
        }
        let Some(open) = self.0.get_mut(&unit).filter(|open| open.next == part) else {
            // Its beginning was read in a run before.
            return Ok(None);
        };
        open.bytes.extend_from_slice(payload);
        open.next += 1;
        if open.next < parts {
            return Ok(None);
        }
        let document = self.0.remove(&unit).map(|open| open.bytes).unwrap_or_default();
        let next = self.0.values().map(|open| open.first).min().unwrap_or(offset + 1);
        Ok(Some(Arrived { end: offset, next, unit, document }))
    }
}

/// The one document of records.
///
/// # Panics
/// Records of something else.
#[cfg(test)]
#[must_use]
pub fn read(records: &[crate::transaction::Record]) -> Vec<u8> {
    let mut gather = Gather::default();
    let mut all = records.iter().zip(0..).filter_map(|(record, offset)| {
        gather.take(offset, &record.key, record.payload.as_deref().unwrap_or_default()).unwrap()
    });
    all.next().unwrap().document
}

#[cfg(test)]
mod tests {
    use super::super::record::records;
    use super::*;

    #[test]
    fn sets_of_several_units_stand_between_each_other_and_reading_goes_on_at_the_first_that_is_not_whole() {
        let of = |unit: &str, bytes: usize| records(("t", 3), unit, &vec![7; bytes]);
        let (a, b) = (of("a", 2_000_000), of("b", 10));
        assert_eq!((a.len(), b.len(), a[0].partition), (3, 1, 3));
        let log = [&a[0], &b[0], &a[1], &a[2], &b[0]];
        let read_from = |from: usize| -> Vec<(i64, i64, usize)> {
            let mut gather = Gather::default();
            let offsets = log.iter().zip(0_i64..).skip(from);
            let arrived = offsets.filter_map(|(record, offset)| {
                gather.take(offset, &record.key, record.payload.as_deref().unwrap()).unwrap()
            });
            arrived.map(|arrived| (arrived.end, arrived.next, arrived.document.len())).collect()
        };
        assert_eq!(read_from(0), [(1, 0, 10), (3, 4, 2_000_000), (4, 5, 10)]);
        // A set whose beginning is not read is none.
        assert_eq!(read_from(2), [(4, 5, 10)]);
    }

    #[test]
    fn what_is_none_of_ours_is_told() {
        let mut gather = Gather::default();
        assert!(gather.take(3, b"m/1", b"").unwrap_err().contains("offset 3 has a key of something else"));
    }
}
