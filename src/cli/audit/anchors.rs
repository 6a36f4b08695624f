//! Checkpoints in a place where a person who can change the registry cannot change them: in a file, or in a topic.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};

use crate::cli::exit::{self, Failure};
use crate::source::kafka::{KafkaSource, KafkaSourceError, Outcome, Start};
use driftgate_core::audit::signed_head::SignedHead;
use driftgate_core::audit::verify::Anchored;

/// Brokers that are silent for so long cannot be reached.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at the partitions.
const PAUSE: Duration = Duration::from_millis(20);
/// Messages taken from a partition at a time.
const BATCH: usize = 1000;

/// What was found elsewhere.
#[derive(Debug, Default)]
pub struct Anchors {
    pub checkpoints: Vec<Anchored>,
    /// Places that hold something else, and what is wrong with it.
    pub unreadable: Vec<(String, String)>,
}

impl Anchors {
    pub fn extend(&mut self, more: Self) {
        self.checkpoints.extend(more.checkpoints);
        self.unreadable.extend(more.unreadable);
    }
}

/// Reads a file with a checkpoint a line.
///
/// # Errors
/// A file that cannot be read, or a line that is no checkpoint.
pub fn from_file(path: &Path) -> anyhow::Result<Anchors> {
    let text = std::fs::read_to_string(path);
    let text = text.with_context(|| format!("the anchors {} cannot be read", path.display()))?;
    let origin = path.display().to_string();
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let read = |(at, line): (usize, &str)| {
        let checkpoint: SignedHead =
            serde_json::from_str(line).with_context(|| format!("{origin}:{}: this line is no checkpoint", at + 1))?;
        Ok(Anchored { origin: origin.clone(), checkpoint })
    };
    let checkpoints: anyhow::Result<Vec<Anchored>> = lines.map(read).collect();
    Ok(Anchors { checkpoints: checkpoints?, unreadable: Vec::new() })
}

/// Reads a topic to its end.
///
/// # Errors
/// Brokers that do not answer (exit code 5), or a topic that is not there.
pub fn from_topic(properties: &BTreeMap<String, String>, topic: &str) -> Result<Anchors, Failure> {
    let unreachable = |cause: String| Failure {
        code: exit::UNREACHABLE,
        error: anyhow!("the audit topic {topic:?} cannot be read: {cause}; --no-anchors verifies without it"),
    };
    let source = KafkaSource::new(properties)?;
    let found = match source.handle().partitions(&[topic.to_owned()], PATIENCE) {
        Ok(found) => found,
        Err(KafkaSourceError::Unreachable { brokers, cause }) => {
            return Err(unreachable(format!("no broker of {brokers} answers: {cause}")));
        }
        Err(KafkaSourceError::NoTopic { brokers, .. }) => {
            return Err(anyhow!(
                "the audit topic {topic:?} does not exist on {brokers}: it was deleted, nothing was anchored yet, or the \
                 configuration names another; --no-anchors verifies without it"
            )
            .into());
        }
        Err(other) => return Err(other.into()),
    };
    let starts = found.iter().flat_map(|(topic, n)| (0..*n).map(|p| ((topic.clone(), p), Start::default()))).collect();
    let mut partitions = source.assign(&starts)?;
    let mut anchors = Anchors::default();
    let mut last_news = Instant::now();
    loop {
        source.serve(PAUSE);
        for partition in &mut partitions {
            let number = partition.partition;
            let messages = partition.drain(BATCH, |message| {
                let origin = format!("topic {topic}");
                match serde_json::from_slice(message.payload()) {
                    Ok(checkpoint) => anchors.checkpoints.push(Anchored { origin, checkpoint }),
                    Err(e) => {
                        let place = format!("offset {} of {topic}/{number}", message.offset());
                        anchors.unreadable.push((place, e.to_string()));
                    }
                }
                Outcome::Read
            });
            if messages > 0 {
                last_news = Instant::now();
            }
            if let Some(why) = &partition.halted {
                return Err(unreachable(why.clone()));
            }
        }
        if partitions.iter().all(|p| p.end_reached.is_some()) {
            return Ok(anchors);
        }
        if last_news.elapsed() > PATIENCE {
            let cause = source.handle().trouble().map_or_else(|| "no end".to_owned(), |e| e.to_string());
            return Err(unreachable(format!("nothing came for {} s ({cause})", PATIENCE.as_secs())));
        }
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::ClientConfig;
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

    use super::*;

    const CHECKPOINT: &str = r#"{"seq":1,"hash":"00","ts":"2026-01-01T00:00:00Z","key_id":"k","signature":"s"}"#;

    fn properties(brokers: &str) -> BTreeMap<String, String> {
        [("bootstrap.servers", brokers), ("group.id", "g")].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
    }

    #[test]
    fn a_topic_is_read_to_its_end() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("anchors", 2, 1).unwrap();
        let brokers = cluster.bootstrap_servers();
        let empty = from_topic(&properties(&brokers), "anchors").unwrap();
        assert!(empty.checkpoints.is_empty() && empty.unreadable.is_empty());
        let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", &brokers).create().unwrap();
        for (partition, payload) in [(0, CHECKPOINT), (1, CHECKPOINT), (1, "{}"), (1, CHECKPOINT)] {
            producer
                .send(BaseRecord::<str, str>::to("anchors").partition(partition).payload(payload))
                .map_err(|e| e.0)
                .unwrap();
        }
        producer.flush(PATIENCE).unwrap();
        let found = from_topic(&properties(&brokers), "anchors").unwrap();
        assert_eq!(found.checkpoints.len(), 3);
        assert_eq!(found.checkpoints[0].origin, "topic anchors");
        assert_eq!(found.unreadable[0].0, "offset 1 of anchors/1");
        let failure = from_topic(&properties(&brokers), "gone").unwrap_err();
        assert_eq!(failure.code, exit::INPUT);
        assert!(failure.error.to_string().contains("\"gone\" does not exist"), "{:#}", failure.error);
    }

    #[test]
    fn brokers_that_are_silent_are_an_error_of_their_own() {
        let failure = from_topic(&properties("127.0.0.1:1"), "driftgate.audit").unwrap_err();
        assert_eq!(failure.code, exit::UNREACHABLE);
        let message = format!("{:#}", failure.error);
        assert!(message.contains("\"driftgate.audit\" cannot be read: no broker of 127.0.0.1:1 answers"), "{message}");
    }

    #[test]
    fn a_line_that_is_no_checkpoint_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        std::fs::write(&path, format!("{CHECKPOINT}\n\n{CHECKPOINT}\n")).unwrap();
        assert_eq!(from_file(&path).unwrap().checkpoints.len(), 2);
        std::fs::write(&path, format!("{CHECKPOINT}\n{{}}\n")).unwrap();
        let message = format!("{:#}", from_file(&path).unwrap_err());
        assert!(message.contains("a.jsonl:2: this line is no checkpoint: missing field `seq`"), "{message}");
    }
}
