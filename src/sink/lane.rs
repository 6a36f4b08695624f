//! The way to one topic: letters in order, a flight of them at a time, again and again until each is there. What is too large
//! is tried alone, since its batch may have been at fault, and then shortened.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Item;
use super::shorten::shorten;
use super::standing::Standing;
use super::topic::{TopicWriter, Unsent};
use crate::telemetry::events::delivery::RecordTooLarge;
use crate::telemetry::spans;

/// At most so many letters fly at once, and about so many bytes.
pub const FLIGHT: usize = 500;
const FLIGHT_BYTES: usize = 4 << 20;
/// What was found too large is shortened before it is sent for so long; then it is tried whole again.
const REMEMBERED: Duration = Duration::from_secs(600);

/// The text of a letter.
pub enum Body {
    Item(Arc<Item>),
    Text(String),
}

impl Body {
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Item(item) => item.json(),
            Self::Text(text) => text,
        }
    }
}

/// Something to deliver. `number` is the sender's.
pub struct Letter<N> {
    pub number: N,
    pub key: String,
    pub body: Body,
    /// Its batch was too large.
    alone: bool,
}

impl<N> Letter<N> {
    #[must_use]
    pub fn new(number: N, key: String, body: Body) -> Self {
        Self { number, key, body, alone: false }
    }
}

/// What a turn came to.
pub struct Turn<N> {
    pub done: Vec<Letter<N>>,
    /// Too large in their shortest form.
    pub dropped: Vec<Letter<N>>,
    /// How long to wait before the next turn.
    pub pause: Option<Duration>,
}

/// The way to a topic.
pub struct Lane<N> {
    writer: TopicWriter,
    topic: String,
    pub standing: Standing,
    queue: VecDeque<Letter<N>>,
    /// A length that the topic did not take, and when.
    limit: Option<(usize, Instant)>,
}

impl<N> Lane<N> {
    #[must_use]
    pub fn new(writer: TopicWriter, topic: String, standing: Standing) -> Self {
        Self { writer, topic, standing, queue: VecDeque::new(), limit: None }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub fn push(&mut self, letter: Letter<N>) {
        self.queue.push_back(letter);
    }

    /// Takes the oldest letter back.
    pub fn pop(&mut self) -> Option<Letter<N>> {
        self.queue.pop_front()
    }

    /// Sends the next flight, and waits until each of its letters is there or has failed.
    pub fn turn(&mut self) -> Turn<N> {
        let began = Instant::now();
        let mut turn = Turn { done: Vec::new(), dropped: Vec::new(), pause: None };
        let flight = self.flight();
        if flight.is_empty() {
            return turn;
        }
        // Each record has a span of its own while it is under way; rejected events have none.
        let sink = self.standing.sink();
        let spans: Vec<_> =
            sink.iter().flat_map(|sink| flight.iter().map(|l| spans::text(sink, l.body.text()))).collect();
        let records: Vec<(&str, &[u8])> = flight.iter().map(|l| (l.key.as_str(), l.body.text().as_bytes())).collect();
        let results = self.writer.carry(&self.topic, &records);
        drop(spans);
        let was_alone = flight.len() == 1;
        // Behind one that failed, those of its key are sent again: order is kept.
        let mut failed: BTreeSet<String> = BTreeSet::new();
        let mut back = Vec::new();
        for (mut letter, result) in flight.into_iter().zip(results) {
            match result {
                Ok(()) if failed.contains(&letter.key) => back.push(letter),
                Ok(()) => turn.done.push(letter),
                Err(Unsent::TooLarge(why)) if was_alone => {
                    if let Some(letter) = self.shortened(letter, &why, &mut turn.dropped) {
                        back.push(letter);
                    }
                }
                Err(unsent) => {
                    failed.insert(letter.key.clone());
                    match unsent {
                        Unsent::TooLarge(_) => letter.alone = true,
                        Unsent::Later(why) => {
                            turn.pause = turn.pause.or_else(|| Some(self.standing.failed(began, &why)));
                        }
                    }
                    back.push(letter);
                }
            }
        }
        if turn.pause.is_none() && !turn.done.is_empty() {
            self.standing.delivered();
        }
        back.into_iter().rev().for_each(|letter| self.queue.push_front(letter));
        turn
    }

    /// The next letters, up to one that has to fly alone.
    fn flight(&mut self) -> Vec<Letter<N>> {
        let limit = self.limit.filter(|(_, at)| at.elapsed() < REMEMBERED).map(|(bytes, _)| bytes);
        let (mut flight, mut bytes) = (Vec::new(), 0);
        while flight.len() < FLIGHT && bytes < FLIGHT_BYTES {
            let Some(mut letter) = self.queue.pop_front() else { break };
            while limit.is_some_and(|limit| letter.body.text().len() >= limit)
                && let Some(shorter) = shorten(letter.body.text())
            {
                letter.body = Body::Text(shorter);
            }
            if letter.alone && !flight.is_empty() {
                self.queue.push_front(letter);
                break;
            }
            bytes += letter.body.text().len();
            let alone = letter.alone;
            flight.push(letter);
            if alone {
                break;
            }
        }
        flight
    }

    fn shortened(&mut self, mut letter: Letter<N>, why: &str, dropped: &mut Vec<Letter<N>>) -> Option<Letter<N>> {
        let bytes = letter.body.text().len();
        let known = self.limit.filter(|(_, at)| at.elapsed() < REMEMBERED).map(|(bytes, _)| bytes);
        if known.is_none() {
            RecordTooLarge { topic: &self.topic, bytes, why }.emit();
        }
        self.limit = Some((known.map_or(bytes, |known| known.min(bytes)), Instant::now()));
        let Some(shorter) = shorten(letter.body.text()) else {
            self.standing.dropped(1, &format!("a record of {bytes} bytes for {:?}: {why}", self.topic));
            dropped.push(letter);
            return None;
        };
        letter.body = Body::Text(shorter);
        Some(letter)
    }
}
