//! `publish:`: topics, files and URLs that results go to.

use super::key::{Key, default, names, optional};
use super::reader::ConfigReader;
use super::sources;
use super::types::{DeadLetterTarget, DeadLetters, PublishConfig};
use driftgate_core::yaml::{Item, units};

/// What a file of dead letters takes, unless the configuration says so.
const DEAD_BYTES: u64 = 1 << 30;
const LEAST_DEAD_BYTES: u64 = 1 << 20;

pub const PUBLISH: [Key; 4] = [
    optional("signals", "topic", "Topic for block, clear and rollback signals."),
    optional("verdicts", "topic", "Topic for verdicts."),
    optional("dead_letters", "mapping", "Where rejected messages go, each with its origin and the reason."),
    optional("webhooks", "list", "URLs that receive every change."),
];

pub const DEAD_LETTERS: [Key; 4] = [
    optional("topic", "topic", "Topic for dead letters. Write either `topic` or `path`."),
    optional("path", "path", "File for dead letters, one JSON object per line."),
    default("payload", "`none` or `full`", "none", "`full` adds the rejected message itself."),
    optional(
        "max_bytes",
        "size",
        "With `path`: the size of the file and of the one before it (`.1`) together, from 1MiB; 1GiB if it is left out.",
    ),
];

impl ConfigReader<'_> {
    pub fn publish(&self, item: &Item) -> Option<PublishConfig> {
        let map = item.map(const { &names(&PUBLISH) })?;
        let topic = |key| map.get(key).and_then(|item| sources::topic(&item));
        let (signals, verdicts) = (topic("signals"), topic("verdicts"));
        let dead_letters = map.get("dead_letters").and_then(|item| self.dead_letters(&item));
        let webhooks = map.get("webhooks").map_or_else(|| Some(Vec::new()), |item| self.webhooks(&item));
        Some(PublishConfig { signals, verdicts, dead_letters, webhooks: webhooks? })
    }

    fn dead_letters(&self, item: &Item) -> Option<DeadLetters> {
        let map = item.map(const { &names(&DEAD_LETTERS) })?;
        let full_payload =
            map.get("payload").map_or(Some(false), |item| item.choice(&[("none", false), ("full", true)]));
        let to = match (map.get("topic"), map.get("path")) {
            (Some(item), None) => DeadLetterTarget::Topic(sources::topic(&item)?),
            (None, Some(item)) => DeadLetterTarget::Path(self.path(&item)?),
            (Some(_), Some(_)) => return item.fail("both `topic` and `path`: keep one"),
            (None, None) => return item.fail("neither `topic` nor `path`: write one, like {topic: driftgate.dead}"),
        };
        let most_bytes = match map.get("max_bytes") {
            None => Some(DEAD_BYTES),
            Some(item) if matches!(to, DeadLetterTarget::Topic(_)) => {
                item.fail("a topic keeps its own bound: leave it out, or write `path` in place of `topic`")
            }
            Some(item) => match item.convert("a size", units::size)? {
                bytes if bytes >= LEAST_DEAD_BYTES => Some(bytes),
                bytes => item.fail(format!("expected a size from 1MiB, read {bytes} bytes")),
            },
        };
        Some(DeadLetters { to, full_payload: full_payload?, most_bytes: most_bytes? })
    }
}
