//! Whether the brokers answer: before the start until they do, and while running, beside the counting thread.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::Flags;
use super::engine::CHECKPOINT;
use crate::checkpoint::SourceState;
use crate::config::Config;
use crate::source::kafka::{Found, Handle, KafkaSourceError, Start};
use crate::telemetry::events::kafka::{BrokersAway, BrokersBack, TopicReplaced};
use crate::telemetry::events::state::CheckpointHangs;
use crate::view::Shared;

const TIMEOUT: Duration = Duration::from_secs(5);
const EVERY: Duration = Duration::from_secs(5);
const EVERY_ID: Duration = Duration::from_secs(1);
/// The longest pause between two attempts.
const MOST: Duration = Duration::from_secs(10);
/// A checkpoint that takes longer is told.
const SLOW_CHECKPOINT: Duration = Duration::from_secs(10);
const NAP: Duration = Duration::from_millis(50);

/// Where every partition starts.
pub type Starts = BTreeMap<(String, i32), Start>;

/// What the brokers say of the topics.
pub type Answer = Result<BTreeMap<String, Found>, KafkaSourceError>;

/// A topic that was made anew, and that an operator wants read from its beginning: its name and id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    pub topic: String,
    pub id: String,
}

/// A hole in a partition that an operator wants passed over: the offset that was to be counted next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    pub topic: String,
    pub partition: i32,
    pub next: i64,
}

/// What an operator accepts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word {
    pub topics: Vec<Accepted>,
    pub gaps: Vec<Gap>,
    /// The id of a registry.
    pub registry: Option<String>,
}

/// Asks the brokers for the topics for the first time, while the registry and the state are opened.
///
/// # Errors
/// A system without threads.
pub fn ask(kafka: Handle, config: &Config) -> std::io::Result<thread::JoinHandle<Answer>> {
    let topics = topics(config);
    thread::Builder::new().name("brokers".into()).spawn(move || kafka.topics(&topics, TIMEOUT))
}

fn topics(config: &Config) -> Vec<String> {
    config.sources.iter().map(|s| s.topic.clone()).collect()
}

/// What the start of the partitions rests on.
pub struct Before<'b> {
    pub kept: &'b [SourceState],
    pub word: &'b Word,
}

/// Waits until every topic is there; `None` when told to stop meanwhile.
pub fn wait_for_topics(
    kafka: &Handle,
    asked: thread::JoinHandle<Answer>,
    config: &Config,
    before: &Before<'_>,
    view: &Shared,
    flags: &Flags,
) -> Option<Starts> {
    let topics = topics(config);
    let stops = || flags.stop.load(Ordering::Relaxed);
    let mut pause = Duration::from_secs(1);
    // What is wrong with the connections is told before the first question's time is over.
    while !asked.is_finished() && !stops() {
        kafka.serve(NAP);
        if let Some(why) = kafka.trouble() {
            view.write().not_ready.insert("kafka".into(), why.to_string());
        }
    }
    let mut asked = Some(asked);
    while !stops() {
        let first = asked.take().and_then(|asked| asked.join().ok());
        match first.unwrap_or_else(|| kafka.topics(&topics, TIMEOUT)) {
            Ok(found) => {
                view.write().not_ready.remove("kafka");
                let mut starts = starts(&found, before, view);
                cut(kafka, &mut starts);
                pass_over(kafka, &mut starts, &before.word.gaps);
                return Some(starts);
            }
            Err(e) => {
                BrokersAway { error: &e, pause: Some(pause.as_secs()) }.emit();
                view.write().not_ready.insert("kafka".into(), e.to_string());
            }
        }
        let until = Instant::now() + pause;
        while Instant::now() < until && !stops() {
            kafka.serve(NAP);
        }
        pause = (pause * 2).min(MOST);
    }
    None
}

/// Says of which partitions that are read from their beginning records were deleted before it. Where the brokers do not say,
/// there may be some.
fn cut(kafka: &Handle, starts: &mut Starts) {
    for ((topic, partition), start) in starts.iter_mut().filter(|(_, s)| s.next.is_none() && s.halted.is_none()) {
        let low = (0..3).find_map(|_| kafka.low_watermark(topic, *partition, TIMEOUT));
        start.cut = low != Some(0);
    }
}

/// Goes on behind the holes that an operator accepts: at the next record that there is.
fn pass_over(kafka: &Handle, starts: &mut Starts, gaps: &[Gap]) {
    for Gap { topic, partition, next } in gaps {
        let Some(start) = starts.get_mut(&(topic.clone(), *partition)) else {
            tracing::warn!(topic, partition, "--accept-gap names a partition that is not read: it changes nothing");
            continue;
        };
        if start.next != Some(*next) {
            let is = start.next;
            tracing::warn!(
                topic,
                partition,
                "--accept-gap names offset {next}, and the next to be counted is {is:?}: it changes nothing"
            );
            continue;
        }
        let Some((low, high)) = (0..3).find_map(|_| kafka.range(topic, *partition, TIMEOUT)) else {
            tracing::error!(
                topic,
                partition,
                "the brokers do not say where it begins and ends: nothing is passed over"
            );
            continue;
        };
        // A log that lost its end goes on below what was counted.
        let from = low.max((*next).min(high));
        // Where records are still there, it is that they cannot be read.
        let Some(from) = kafka.behind_unreadable(topic, *partition, from, high) else {
            tracing::error!(topic, partition, "the brokers do not say what can be read there: nothing is passed over");
            continue;
        };
        tracing::warn!(
            topic,
            partition,
            next,
            from,
            "a hole is passed over: windows that may lack its records are incomplete"
        );
        *start = Start { next: Some(from), leader_epoch: None, gap: true, ..start.clone() };
    }
}

/// Where the partitions start: where the state says, unless the topic is another one than that which was counted.
fn starts(found: &BTreeMap<String, Found>, before: &Before<'_>, view: &Shared) -> Starts {
    let mut starts = Starts::new();
    for (topic, Found { partitions, id, .. }) in found {
        let kept: Vec<&SourceState> = before.kept.iter().filter(|s| s.topic == *topic).collect();
        let known = kept.iter().find_map(|s| s.topic_id.clone());
        // Of a topic of which nothing was counted, nothing can be missed.
        let counted = kept.iter().any(|s| s.next_offset > Some(0));
        let replaced = counted && known.is_some() && id.is_some() && known != *id;
        let accepted = before.word.topics.iter().find(|a| a.topic == *topic);
        let is_accepted = accepted.is_some_and(|a| Some(&a.id) == id.as_ref());
        if let Some(Accepted { id: given, .. }) = accepted.filter(|_| !is_accepted) {
            let id = id.as_deref().unwrap_or("none");
            tracing::warn!(
                topic,
                "--accept-new-topic names the id {given}, and the topic's is {id}: it changes nothing"
            );
        }
        if replaced && !is_accepted {
            let why = anew(topic, known.as_deref().unwrap_or_default(), id.as_deref().unwrap_or_default());
            TopicReplaced { topic, why: &why }.emit();
            note(view, topic, &why);
            // What was counted of the one before stays as it is.
            starts.extend(kept.iter().map(|s| {
                let start = Start {
                    next: s.next_offset,
                    leader_epoch: s.leader_epoch,
                    topic_id: known.clone(),
                    halted: Some(why.clone()),
                    cut: false,
                    gap: false,
                };
                ((topic.clone(), s.partition), start)
            }));
            continue;
        }
        if replaced {
            tracing::warn!(topic, id, "the topic was made anew and accepted: it is read from its beginning");
        }
        for p in 0..*partitions {
            let state = kept.iter().find(|s| s.partition == p).filter(|_| !replaced);
            let start = Start {
                next: state.and_then(|s| s.next_offset),
                leader_epoch: state.and_then(|s| s.leader_epoch),
                topic_id: id.clone().or_else(|| known.clone()),
                halted: None,
                cut: false,
                gap: false,
            };
            starts.insert((topic.clone(), p), start);
        }
    }
    starts
}

fn anew(topic: &str, before: &str, now: &str) -> String {
    format!(
        "the topic {topic:?} was deleted and made anew: its id is {now}, the offsets that were counted up to are those of {before}. Nothing of it is read, \
         since they mean other records now. To read it from its beginning, start driftgate once with --accept-new-topic {topic}={now}"
    )
}

fn note(view: &Shared, topic: &str, why: &str) {
    let mut view = view.write();
    view.not_ready.insert(format!("{topic} was made anew"), why.to_owned());
    view.replaced.insert(topic.to_owned(), why.to_owned());
}

/// Compares the topics' ids with those that are read.
fn same_topics(ids: &BTreeMap<String, String>, starts: &Starts, asked: Instant, view: &Shared) {
    let mut seen: Vec<&str> = Vec::new();
    for ((topic, _), start) in starts {
        if seen.contains(&topic.as_str()) {
            continue;
        }
        seen.push(topic);
        match (&start.topic_id, ids.get(topic)) {
            (Some(read), Some(now)) if read != now => {
                let known = view.read().replaced.contains_key(topic);
                if !known {
                    let why = anew(topic, read, now);
                    TopicReplaced { topic, why: &why }.emit();
                    note(view, topic, &why);
                }
            }
            (_, Some(_)) | (None, None) => drop(view.write().verified.insert(topic.clone(), asked)),
            // It is gone.
            (Some(_), None) => {}
        }
    }
}

/// Says so where the disk takes a checkpoint without an end: nothing else can be said then by who writes it.
pub async fn watch_checkpoint(view: Shared) {
    loop {
        tokio::time::sleep(EVERY_ID).await;
        let since = view.read().checkpoint.since;
        if let Some(takes) = since.map(|since| since.elapsed()).filter(|takes| *takes > SLOW_CHECKPOINT) {
            let why = format!(
                "the checkpoint is being written for {} s without an end, and windows wait meanwhile: look at the disk of the state folder",
                takes.as_secs()
            );
            if view.write().not_ready.insert(CHECKPOINT.to_owned(), why.clone()).is_none() {
                CheckpointHangs { why: &why }.emit();
            }
        }
    }
}

/// Asks the brokers now and then whether they answer, and every second whether they still are the same topics.
pub fn watch(kafka: Handle, config: &Config, starts: &Starts, view: Shared, flags: Arc<Flags>) {
    let topics = topics(config);
    let starts = starts.clone();
    let work = move || {
        while !flags.stop.load(Ordering::Relaxed) {
            match kafka.partitions(&topics, TIMEOUT) {
                Ok(_) => {
                    let was = view.write().not_ready.remove("kafka");
                    if was.is_some() {
                        BrokersBack.emit();
                    }
                }
                Err(e) => {
                    if view.write().not_ready.insert("kafka".into(), e.to_string()).is_none() {
                        BrokersAway { error: &e, pause: None }.emit();
                    }
                }
            }
            let until = Instant::now() + EVERY;
            while Instant::now() < until && !flags.stop.load(Ordering::Relaxed) {
                let asked = Instant::now();
                if let Ok(ids) = kafka.ids(&topics, TIMEOUT) {
                    same_topics(&ids, &starts, asked, &view);
                }
                while asked.elapsed() < EVERY_ID && !flags.stop.load(Ordering::Relaxed) {
                    thread::sleep(NAP);
                }
            }
        }
    };
    if let Err(e) = thread::Builder::new().name("health".into()).spawn(work) {
        tracing::error!(error = %e, "no thread to watch the brokers on");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(partition: i32, next_offset: Option<i64>, id: Option<&str>) -> SourceState {
        SourceState {
            topic: "t".into(),
            partition,
            next_offset,
            topic_id: id.map(str::to_owned),
            leader_epoch: Some(2),
            fronts: vec![],
            behind: vec![],
            holes: vec![],
        }
    }

    fn started(partitions: i32, id: Option<&str>, kept: &[SourceState], accepted: &[Accepted]) -> (Starts, bool) {
        let found = [("t".to_owned(), Found { partitions, id: id.map(str::to_owned), ..Found::default() })].into();
        let view = Shared::default();
        let word = Word { topics: accepted.to_vec(), ..Word::default() };
        let starts = starts(&found, &Before { kept, word: &word }, &view);
        let replaced = view.read().replaced.contains_key("t");
        assert_eq!(replaced, view.read().not_ready.contains_key("t was made anew"));
        (starts, replaced)
    }

    #[test]
    fn another_id_is_another_topic_and_is_read_by_an_operators_word_only() {
        let before = [kept(0, Some(70), Some("old")), kept(1, Some(30), Some("old"))];
        // Fewer partitions than before: what was counted of both stays.
        let (starts, replaced) = started(1, Some("new"), &before, &[]);
        assert!(replaced);
        let places: Vec<_> = starts.values().map(|s| (s.next, s.topic_id.as_deref(), s.halted.is_some())).collect();
        assert_eq!(places, [(Some(70), Some("old"), true), (Some(30), Some("old"), true)]);
        assert!(starts.values().all(|s| s.halted.as_ref().is_some_and(|why| why.contains("--accept-new-topic t=new"))));
        let accept = |id: &str| [Accepted { topic: "t".into(), id: id.into() }];
        assert!(started(1, Some("new"), &before, &accept("other")).1);
        let (starts, replaced) = started(3, Some("new"), &before, &accept("new"));
        assert!(!replaced);
        assert!(starts.len() == 3 && starts.values().all(|s| s.next.is_none() && s.topic_id.as_deref() == Some("new")));
        // A word that stays after it was heeded changes nothing.
        let after = [kept(0, Some(5), Some("new"))];
        assert_eq!(started(1, Some("new"), &after, &accept("new")).0[&("t".to_owned(), 0)].next, Some(5));
    }

    #[test]
    fn an_id_that_is_not_known_is_taken_as_it_is_found() {
        let place = |id: Option<&str>, kept: &[SourceState]| {
            let (mut starts, replaced) = started(1, id, kept, &[]);
            assert!(!replaced);
            let start = starts.remove(&("t".to_owned(), 0)).unwrap();
            (start.next, start.topic_id)
        };
        // A checkpoint of a release that kept none; brokers that give none; nothing counted yet.
        assert_eq!(place(Some("new"), &[kept(0, Some(7), None)]), (Some(7), Some("new".into())));
        assert_eq!(place(None, &[kept(0, Some(7), Some("old"))]), (Some(7), Some("old".into())));
        assert_eq!(place(Some("new"), &[kept(0, Some(0), Some("old"))]), (Some(0), Some("new".into())));
        assert_eq!(place(Some("new"), &[kept(0, None, Some("old"))]), (None, Some("new".into())));
        assert_eq!(place(Some("new"), &[]), (None, Some("new".into())));
    }

    #[test]
    fn a_topic_that_changes_its_id_while_it_is_read_is_noticed_and_one_that_is_the_same_is_verified() {
        let start = Start { topic_id: Some("old".into()), ..Start::default() };
        let starts: Starts = [(("t".to_owned(), 0), start.clone()), (("u".to_owned(), 0), start)].into();
        let (view, asked) = (Shared::default(), Instant::now());
        let ids = [("t".to_owned(), "new".to_owned()), ("u".to_owned(), "old".to_owned())].into();
        same_topics(&ids, &starts, asked, &view);
        assert_eq!(view.read().replaced.keys().collect::<Vec<_>>(), ["t"]);
        assert_eq!(view.read().verified.get("u"), Some(&asked));
        assert_eq!(view.read().verified.get("t"), None);
    }
}
