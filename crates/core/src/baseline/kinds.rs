//! The formats of a baseline file. A file is written in the oldest one that holds all of it, so that its digest stays what it was.

use crate::codec::envelope::Kind;

/// The envelope's kind of a baseline file.
pub const KIND: Kind = Kind { tag: *b"BASE", version: 11 };
/// Baselines without the spread of errors, as they are still written where no rule asks for it.
pub(super) const KIND_10: Kind = Kind { tag: *b"BASE", version: 10 };
/// Baselines without outcomes by segment, as they are still written where no rule asks for these.
pub(super) const KIND_9: Kind = Kind { tag: *b"BASE", version: 9 };
/// Baselines of classes, without a calibration.
pub(super) const KIND_8: Kind = Kind { tag: *b"BASE", version: 8 };
/// Baselines of numbers, without classes.
pub(super) const KIND_7: Kind = Kind { tag: *b"BASE", version: 7 };
/// Baselines without errors and labels that are numbers, as they are still written of other tasks than regression.
pub(super) const KIND_6: Kind = Kind { tag: *b"BASE", version: 6 };
/// Baselines without values by segment, as they are still written where no rule asks for these.
pub(super) const KIND_5: Kind = Kind { tag: *b"BASE", version: 5 };
/// Baselines without what `Added` holds, as they are still written where no rule asks for it.
pub(super) const KIND_4: Kind = Kind { tag: *b"BASE", version: 4 };
/// Baselines without standard deviations, as they are still written where no rule asks for these.
pub(super) const KIND_3: Kind = Kind { tag: *b"BASE", version: 3 };
/// Baselines without decisions over all segments, as they are still written where no rule asks for these.
pub(super) const KIND_2: Kind = Kind { tag: *b"BASE", version: 2 };
/// Baselines of before knew nothing of `Beside`.
pub(super) const KIND_1: Kind = Kind { tag: *b"BASE", version: 1 };
