//! Where a batch of records that cannot be read ends, found by reading at offsets behind it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::consumer::KafkaSource;
use super::handle::Handle;
use super::messages::Taken;
use super::types::Start;
use super::unreadable::is_unreadable;

/// How long one look at an offset may take.
const LOOK: Duration = Duration::from_secs(15);
const NAP: Duration = Duration::from_millis(5);

impl Handle {
    /// The first offset from `next` on that does not lie in the batch of records at `next`, if that cannot be read; `next` itself
    /// if it can. `None` where the brokers do not say in time.
    #[must_use]
    pub fn behind_unreadable(&self, topic: &str, partition: i32, next: i64, end: i64) -> Option<i64> {
        if next >= end {
            return Some(next);
        }
        let lies_in_it = |at: i64| {
            let found = (0..2).find_map(|_| look(&self.properties, topic, partition, at))?;
            Some(matches!(found, Content::Unreadable(base) if base <= next))
        };
        if !lies_in_it(next)? {
            return Some(next);
        }
        // It ends somewhere behind `inside`, at `outside` at the latest.
        let (mut inside, mut outside, mut step) = (next, end, 1);
        while inside + step < outside {
            if !lies_in_it(inside + step)? {
                outside = inside + step;
                break;
            }
            inside += step;
            step *= 2;
        }
        while outside - inside > 1 {
            let middle = inside + (outside - inside) / 2;
            if lies_in_it(middle)? {
                inside = middle;
            } else {
                outside = middle;
            }
        }
        Some(outside)
    }
}

/// The content at an offset.
enum Content {
    Readable,
    /// A batch that cannot be read, which begins at this offset.
    Unreadable(i64),
}

/// Looks at an offset with a client that no other thread uses.
fn look(properties: &Arc<BTreeMap<String, String>>, topic: &str, partition: i32, at: i64) -> Option<Content> {
    let source = KafkaSource::new(properties).ok()?;
    let start = Start { next: Some(at), ..Start::default() };
    let mut partitions = source.assign(&[((topic.to_owned(), partition), start)].into()).ok()?;
    let messages = partitions.first_mut()?.messages.as_mut()?;
    let until = Instant::now() + LOOK;
    let mut found = None;
    while found.is_none() && Instant::now() < until {
        source.serve(Duration::ZERO);
        messages.take(1, |taken| {
            found = match taken {
                Taken::Record(_) | Taken::End(_) => Some(Content::Readable),
                Taken::Failed(e, base) if is_unreadable(&e) => Some(Content::Unreadable(base)),
                Taken::Failed(..) => None,
            };
        });
        std::thread::sleep(NAP);
    }
    found
}
