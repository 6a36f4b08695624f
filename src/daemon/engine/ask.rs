//! Questions to the brokers beside the workers: which partitions the topics have, and where they end. What no broker has
//! answered is not known, so no partition counts as silent without an answer.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::source::kafka::{Found, Handle};

/// How long a question waits for its answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Partitions, by topic.
pub type Partitions = BTreeMap<String, Vec<i32>>;

/// What the brokers said.
pub struct Answer {
    /// `None` where no broker answered.
    pub topics: Option<BTreeMap<String, Found>>,
    /// High watermarks; partitions whose leaders did not answer are left out.
    pub ends: BTreeMap<(String, i32), i64>,
}

/// The thread that asks, one question after the other.
pub struct Asker {
    questions: SyncSender<Partitions>,
    answers: Receiver<Answer>,
}

impl Asker {
    /// Starts the thread, which ends with this value.
    ///
    /// # Errors
    /// A system without threads.
    pub fn start(kafka: Handle) -> std::io::Result<Self> {
        let (questions, asked) = sync_channel::<Partitions>(1);
        let (answer, answers) = sync_channel(1);
        let work = move || {
            while let Ok(partitions) = asked.recv() {
                if answer.send(ask(&kafka, &partitions)).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("ends".into()).spawn(work)?;
        Ok(Self { questions, answers })
    }

    /// Asks; the answer to the question before was taken.
    pub fn ask(&self, partitions: Partitions) {
        // The thread waits for it, and ends only with this value.
        let _ = self.questions.try_send(partitions);
    }

    /// The answer, if it is there.
    pub fn answer(&self) -> Option<Answer> {
        match self.answers.try_recv() {
            Ok(answer) => Some(answer),
            Err(TryRecvError::Empty) => None,
            // A thread that panicked has answered nothing.
            Err(TryRecvError::Disconnected) => Some(Answer { topics: None, ends: BTreeMap::new() }),
        }
    }
}

fn ask(kafka: &Handle, partitions: &Partitions) -> Answer {
    let names: Vec<String> = partitions.keys().cloned().collect();
    let Ok(topics) = kafka.described(&names, TIMEOUT) else {
        return Answer { topics: None, ends: BTreeMap::new() };
    };
    // One that does not exist, or has no leader, would leave the question for all others without an answer.
    let exists = |topic: &str, partition: i32| {
        topics.get(topic).is_some_and(|found| partition < found.partitions && !found.leaderless.contains(&partition))
    };
    let all = partitions.iter().flat_map(|(topic, of)| of.iter().map(move |p| (topic.clone(), *p)));
    let ends = kafka.high_watermarks(&all.filter(|(topic, p)| exists(topic, *p)).collect::<Vec<_>>(), TIMEOUT);
    Answer { topics: Some(topics), ends }
}

/// Since when brokers have answered for a partition without a pause. A time in which nothing could be written is no silence.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    since: Instant,
    last: Instant,
}

impl Heard {
    /// After an answer to a question of `asked`. A pause longer than `pause` between two of them starts anew.
    pub fn again(before: Option<Self>, asked: Instant, pause: Duration) -> Self {
        match before {
            Some(Self { since, last }) if asked.saturating_duration_since(last) <= pause => Self { since, last: asked },
            _ => Self { since: asked, last: asked },
        }
    }

    /// Whether nothing came for `idle_after` before `asked`, while brokers answered all the time.
    pub fn is_silent(self, last_event: Instant, asked: Instant, idle_after: Duration) -> bool {
        asked.saturating_duration_since(self.since.max(last_event)) >= idle_after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_without_answers_is_no_silence() {
        let (start, s) = (Instant::now(), Duration::from_secs);
        let (pause, idle_after) = (s(15), s(30));
        let mut heard = Heard::again(None, start, pause);
        for second in 1..=29 {
            heard = Heard::again(Some(heard), start + s(second), pause);
            assert!(!heard.is_silent(start, start + s(second), idle_after));
        }
        assert!(heard.is_silent(start, start + s(30), idle_after));
        assert!(!heard.is_silent(start + s(1), start + s(30), idle_after));
        // No answer comes for a minute.
        heard = Heard::again(Some(heard), start + s(89), pause);
        assert!(!heard.is_silent(start, start + s(89), idle_after));
        for second in 90..=118 {
            heard = Heard::again(Some(heard), start + s(second), pause);
            assert!(!heard.is_silent(start, start + s(second), idle_after));
        }
        assert!(heard.is_silent(start, start + s(119), idle_after));
    }
}
