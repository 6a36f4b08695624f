//! The first label of an id, beside the row of the prediction that met it: predictions of other versions that come later meet
//! it too. Kept in as few bytes as the block's other rows allow, and in none while no label came.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::meeting::JoinOutcome;
use crate::event::Flag;

/// One label a row: four bytes each where all are labels without KPIs within six days of their predictions, else eight.
/// Zero is none. A copy shares the bytes until more are set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Firsts {
    wide: bool,
    #[serde(skip)]
    pub bytes: Arc<Vec<u8>>,
}

const NARROW: usize = 4;
const WIDE: usize = 8;

// From the lowest bit: whether there is one, whether it came in time; then narrow the label and the time, wide the label in
// two bits, KPIs, their values, and the time.
const THERE: u64 = 1;
const IN_TIME: u64 = 2;
const NARROW_TIME: u32 = 3;
const NARROW_BITS: u32 = 29;
const KPIS: u32 = 4;
const KPI_BITS: u32 = 10;
const YES: u32 = KPIS + KPI_BITS;
const WIDE_TIME: u32 = YES + KPI_BITS;
const WIDE_BITS: u32 = 64 - WIDE_TIME;

/// The bits of an outcome that lies so many ms after the earliest it could; `None` where it takes more than there are.
fn wide(after: u64, outcome: &JoinOutcome) -> Option<u64> {
    let label = match outcome.label {
        Flag::Missing => 0,
        Flag::No => 1,
        Flag::Yes => 2,
        Flag::Invalid => return None,
    };
    let fits = outcome.value == 0 && after < 1 << WIDE_BITS && (outcome.kpis | outcome.kpis_yes) < 1 << KPI_BITS;
    let in_time = if outcome.in_time { IN_TIME } else { 0 };
    let kpis = u64::from(outcome.kpis) << KPIS | u64::from(outcome.kpis_yes) << YES;
    fits.then_some(THERE | in_time | label << 2 | kpis | after << WIDE_TIME)
}

fn bits_of(earliest: i64, outcome: &JoinOutcome) -> Option<u64> {
    wide(u64::try_from(outcome.ts.saturating_sub(earliest)).ok()?, outcome)
}

#[allow(clippy::cast_possible_truncation, reason = "ten bits, by the masks")]
fn of_wide(bits: u64, earliest: i64) -> JoinOutcome {
    let kpis = |at: u32| (bits >> at) as u32 & ((1 << KPI_BITS) - 1);
    let label = match bits >> 2 & 3 {
        0 => Flag::Missing,
        1 => Flag::No,
        _ => Flag::Yes,
    };
    JoinOutcome {
        ts: earliest.saturating_add_unsigned(bits >> WIDE_TIME),
        label,
        kpis: kpis(KPIS),
        kpis_yes: kpis(YES),
        value: 0,
        in_time: bits & IN_TIME != 0,
    }
}

/// The same in four bytes, of bits that are wide: only a label, not long after.
#[allow(clippy::cast_possible_truncation, reason = "cut bits are zero, by the conditions")]
fn narrow(bits: u64) -> Option<u32> {
    let (label, kpis, after) = (bits >> 2 & 3, bits >> KPIS & ((1 << (2 * KPI_BITS)) - 1), bits >> WIDE_TIME);
    // Computed only where there is a label: `then_some` would subtract first.
    (label != 0 && kpis == 0 && after < 1 << NARROW_BITS)
        .then(|| (bits & 3 | (label - 1) << 2 | after << NARROW_TIME) as u32)
}

fn widen(bits: u32) -> u64 {
    let bits = u64::from(bits);
    if bits == 0 { 0 } else { bits & 3 | ((bits >> 2 & 1) + 1) << 2 | bits >> NARROW_TIME << WIDE_TIME }
}

impl Firsts {
    #[inline]
    pub fn bits(&self, row: usize) -> u64 {
        if self.wide {
            at(&self.bytes, row).map_or(0, u64::from_le_bytes)
        } else {
            at(&self.bytes, row).map_or(0, |bits| widen(u32::from_le_bytes(bits)))
        }
    }

    /// The first label of a row's id; `earliest` is the time of the earliest label that the row could have joined.
    #[inline]
    pub fn get(&self, row: usize, earliest: impl Fn() -> i64) -> Option<JoinOutcome> {
        match self.bits(row) {
            0 => None,
            bits => Some(of_wide(bits, earliest())),
        }
    }

    /// Whether a label can be kept.
    #[must_use]
    pub fn can_keep(earliest: i64, outcome: &JoinOutcome) -> bool {
        bits_of(earliest, outcome).is_some()
    }

    /// Keeps it, one of so many rows; `false` where it takes more bits than there are.
    #[inline]
    pub fn set(&mut self, row: usize, rows: usize, earliest: i64, outcome: &JoinOutcome) -> bool {
        let Some(bits) = bits_of(earliest, outcome) else { return false };
        let rows = rows.max(row + 1);
        match narrow(bits) {
            Some(bits) if !self.wide => put(&mut self.bytes, row, rows, bits.to_le_bytes()),
            _ => {
                if !self.wide {
                    self.make_wide();
                }
                put(&mut self.bytes, row, rows, bits.to_le_bytes());
            }
        }
        true
    }

    fn make_wide(&mut self) {
        let rows = self.bytes.len() / NARROW;
        let mut all = Vec::with_capacity(rows * WIDE);
        (0..rows).for_each(|row| all.extend_from_slice(&self.bits(row).to_le_bytes()));
        *self = Self { wide: true, bytes: Arc::new(all) };
    }
}

#[inline]
fn at<const N: usize>(bytes: &[u8], row: usize) -> Option<[u8; N]> {
    bytes.get(row * N..row * N + N)?.try_into().ok()
}

#[inline]
fn put<const N: usize>(bytes: &mut Arc<Vec<u8>>, row: usize, rows: usize, bits: [u8; N]) {
    let bytes = Arc::make_mut(bytes);
    if bytes.len() <= row * N {
        // Written, not asked for as zeros: memory that is zero as it comes from the system is looked at before it is written
        // to, which takes two page faults for every page.
        bytes.reserve_exact(rows * N - bytes.len());
        bytes.resize(rows * N, 0);
    }
    if let Some(slot) = bytes.get_mut(row * N..row * N + N) {
        slot.copy_from_slice(&bits);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_outcome() -> impl Strategy<Value = JoinOutcome> {
        let ts = prop_oneof![6 => 0..2_000_i64, 2 => 0..(1_i64 << 30), 1 => 0..(1_i64 << 41), 1 => -5..0_i64];
        let label = prop_oneof![3 => Just(Flag::Yes), 3 => Just(Flag::No), 1 => Just(Flag::Missing)];
        let kpis = || prop_oneof![6 => Just(0_u32), 2 => 0..1024_u32, 1 => any::<u32>()];
        (ts, label, kpis(), kpis(), any::<bool>()).prop_map(|(ts, label, kpis, yes, in_time)| JoinOutcome {
            ts,
            label,
            kpis,
            kpis_yes: kpis & yes,
            value: 0,
            in_time,
        })
    }

    proptest! {
        #[test]
        fn what_is_kept_comes_back(outcomes in prop::collection::vec((0..9_usize, any_outcome()), 0..40)) {
            let (mut firsts, mut expected) = (Firsts::default(), [None; 9]);
            for (row, outcome) in outcomes {
                let copy = firsts.clone();
                let fits = (0..1 << 40).contains(&outcome.ts) && outcome.kpis < 1024;
                prop_assert_eq!(firsts.set(row, 4, 0, &outcome), fits);
                for (row, outcome) in expected.iter().enumerate() {
                    prop_assert_eq!(copy.get(row, || 0), *outcome);
                }
                if fits {
                    expected[row] = Some(outcome);
                }
                for (row, outcome) in expected.iter().enumerate() {
                    prop_assert_eq!(firsts.get(row, || 0), *outcome);
                }
            }
        }
    }

    #[test]
    fn labels_alone_take_four_bytes() {
        let mut firsts = Firsts::default();
        let label =
            JoinOutcome { ts: 1_000 + (1 << 29) - 1, label: Flag::No, kpis: 0, kpis_yes: 0, value: 0, in_time: true };
        assert!(firsts.set(3, 8, 1_000, &label) && firsts.bytes.len() == 32);
        assert!(firsts.set(5, 8, 1_000, &JoinOutcome { ts: label.ts + 1, ..label }) && firsts.bytes.len() == 64);
        assert_eq!((firsts.get(3, || 1_000), firsts.get(4, || 1_000)), (Some(label), None));
    }
}
