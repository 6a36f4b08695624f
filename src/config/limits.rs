//! `limits:`: bounds on what the streams may make the daemon hold.

use super::key::{Key, default, names};
use super::reader::count;
use super::types::Limits;
use driftgate_core::event::Limits as EventLimits;
use driftgate_core::yaml::{Item, units};

pub const LIMITS: [Key; 9] = [
    default("message_bytes", "size", "1MiB", "Largest message that is decoded, up to 256MiB."),
    default("depth", "number", "64", "Deepest nesting of a message, up to 128."),
    default("string_bytes", "size", "1024", "Longest text in a message, up to 1MiB."),
    default("categories", "number", "10000", "Distinct values of one categorical feature, up to 1000000."),
    default("segments", "number", "10000", "Distinct values of one segment attribute, up to 1000000."),
    default(
        "join_bytes",
        "size",
        "2GiB",
        "Memory per model for predictions and labels that wait for each other, from 16MiB to 1024GiB. Beyond it the oldest are given up, and windows \
         of labels that could hold them are incomplete.",
    ),
    default(
        "verdicts",
        "number",
        "200",
        "Verdicts per version and group that are kept in memory to look back at, up to 100000.",
    ),
    default(
        "whole_verdicts",
        "number",
        "1",
        "How many of them, the newest, are kept with bins, segments and all other evidence, up to 1000. The others keep the status and value of each rule.",
    ),
    default(
        "new_versions",
        "number",
        "100",
        "Versions per model and hour that are counted though only events name them, up to 1000000. Events of further ones are counted by number, and for no \
         version.",
    ),
];

/// A size between bounds, which `range` says.
pub(super) fn size(item: &Item, least: u64, most: u64, range: &str) -> Option<usize> {
    match item.convert("a size", units::size)? {
        bytes if (least..=most).contains(&bytes) => usize::try_from(bytes).ok(),
        bytes => item.fail(format!("expected a size {range}, read {bytes} bytes: write a size in between")),
    }
}

pub fn limits(item: &Item) -> Option<Limits> {
    let map = item.map(const { &names(&LIMITS) })?;
    let default = Limits::default();
    let between = |key, default: usize, least: u64, most: u64, range: &str| {
        map.get(key).map_or(Some(default), |item| size(&item, least, most, range))
    };
    let bytes = |key, default, most: u64| between(key, default, 1, most, &format!("up to {}MiB", most >> 20));
    let counted = |key, default: usize, most| map.get(key).map_or(Some(default), |item| count(&item, 1, most));
    let message_bytes = bytes("message_bytes", default.events.message_bytes, 256 << 20);
    let string_bytes = bytes("string_bytes", default.events.string_bytes, 1 << 20);
    let depth = counted("depth", default.events.depth, 128);
    let categories = counted("categories", default.events.categories, 1_000_000);
    let segments = counted("segments", default.events.segments, 1_000_000);
    let join_bytes = between("join_bytes", default.events.join_bytes, 16 << 20, 1 << 40, "from 16MiB to 1024GiB");
    let verdicts = counted("verdicts", default.verdicts, 100_000);
    let whole_verdicts = counted("whole_verdicts", default.whole_verdicts, 1000);
    let new_versions = counted("new_versions", default.new_versions, 1_000_000);
    Some(Limits {
        events: EventLimits {
            message_bytes: message_bytes?,
            depth: depth?,
            string_bytes: string_bytes?,
            categories: categories?,
            segments: segments?,
            join_bytes: join_bytes?,
            ..default.events
        },
        verdicts: verdicts?,
        whole_verdicts: whole_verdicts?,
        new_versions: new_versions?,
    })
}
