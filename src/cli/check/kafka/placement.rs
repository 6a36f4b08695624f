//! Whether the prediction and the label of an id lie in partitions of the same number, as processes need it that divide partitions: told
//! from a sample of what the topics hold.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cli::exit::Failure;
use crate::config::{Config, Division, SourceConfig};
use crate::daemon::sources;
use crate::daemon::topics::{Topic, TopicReader, Turn};
use crate::source::kafka::{Handle, KafkaSource, Partition, Start};
use crate::source::schemas::SchemaRegistry;
use driftgate_core::cluster::units::Part;
use driftgate_core::event::EventKind;
use driftgate_core::policy::Policy;
use driftgate_core::schema::Schema;

/// So many of the last records of each partition are looked at.
const SAMPLE: i64 = 5_000;
/// The sample is read for so long at most.
const READ_WITHIN: Duration = Duration::from_secs(20);

/// What is said of a model.
#[derive(Debug, PartialEq, Eq)]
pub enum Told {
    Note(String),
    /// Dividing its partitions would count labels without their predictions.
    Error(String),
}

/// The brokers, and which partitions there are.
pub struct Asked<'a> {
    pub handle: &'a Handle,
    pub properties: &'a BTreeMap<String, String>,
    /// How many partitions each topic has.
    pub partitions: &'a BTreeMap<String, i32>,
    /// How long an answer may take.
    pub wait: Duration,
}

/// Where an id was seen last.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    topic: String,
    partition: i32,
}

/// Ids of one model in the samples of its topics.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sampled {
    predictions: HashMap<u64, Place>,
    labels: HashMap<u64, (Place, String)>,
}

/// What the samples of a model's topics say.
#[derive(Debug, PartialEq, Eq)]
enum Placed {
    /// Nothing was there of one of them.
    Nothing,
    /// No id is in both samples.
    Unknown { predictions: usize, labels: usize },
    /// So many ids are in both, all in equal partitions.
    Together { ids: usize },
    /// Some are in partitions of different numbers; one of them.
    Apart { ids: usize, apart: usize, id: String, prediction: Place, label: Place },
}

impl Sampled {
    fn placed(&self) -> Placed {
        if self.predictions.is_empty() || self.labels.is_empty() {
            return Placed::Nothing;
        }
        let both = self.labels.iter().filter_map(|(key, (label, id))| Some((self.predictions.get(key)?, label, id)));
        let both: Vec<_> = both.collect();
        let apart = || both.iter().filter(|(at, label, _)| at.partition != label.partition);
        // The same one is shown however the samples were read.
        match apart().min_by_key(|(_, _, id)| *id) {
            _ if both.is_empty() => Placed::Unknown { predictions: self.predictions.len(), labels: self.labels.len() },
            None => Placed::Together { ids: both.len() },
            Some((prediction, label, id)) => Placed::Apart {
                ids: both.len(),
                apart: apart().count(),
                id: (*id).clone(),
                prediction: (*prediction).clone(),
                label: (*label).clone(),
            },
        }
    }
}

/// Samples the topics of the models whose partitions are divided, and says of each whether they may be.
///
/// # Errors
/// Brokers that do not answer, a schema that cannot be read, or a client that cannot be made.
pub fn look(
    config: &Config,
    policies: &[Arc<Policy>],
    division: &Division,
    asked: &Asked<'_>,
) -> Result<Vec<Told>, Failure> {
    let divided = division.units.iter().filter(|unit| matches!(unit.part, Part::Evaluator { .. }));
    let models: BTreeSet<&str> = divided.flat_map(|unit| unit.models.iter().map(String::as_str)).collect();
    if models.is_empty() {
        return Ok(Vec::new());
    }
    let schemas: Vec<Arc<Schema>> = policies.iter().map(|policy| Arc::new(Schema::new(policy))).collect();
    let registry = registry(config)?;
    let joined = |source: &&SourceConfig| matches!(source.kind, EventKind::Predictions | EventKind::Labels);
    let topics = config.sources.iter().filter(joined).map(|source| {
        let wire = sources::wire(source, registry.as_ref())?;
        Ok(Topic::new(source, wire, &schemas, config.limits.events, false))
    });
    let topics: Vec<Topic> = topics.collect::<anyhow::Result<_>>()?;
    let mut sampled: Vec<Sampled> = policies.iter().map(|_| Sampled::default()).collect();
    sample(&topics, asked, &mut sampled)?;
    let divided = policies.iter().zip(&sampled).filter(|(policy, _)| models.contains(policy.model.as_str()));
    Ok(divided.map(|(policy, sampled)| tell(&policy.model, &sampled.placed())).collect())
}

/// The registry of the messages' schemas; what it says fails where an event waits for it.
fn registry(config: &Config) -> anyhow::Result<Option<Arc<SchemaRegistry>>> {
    let Some(named) = &config.schema_registry else { return Ok(None) };
    let (registry, _) = SchemaRegistry::start(sources::schema_client(named)?, |_| {}, || false)?;
    Ok(Some(registry))
}

/// Reads the last records of every partition of these topics.
fn sample(topics: &[Topic], asked: &Asked<'_>, sampled: &mut [Sampled]) -> Result<(), Failure> {
    let (mut starts, mut ends) = (BTreeMap::new(), BTreeMap::new());
    for topic in topics {
        for partition in 0..asked.partitions.get(&topic.name).copied().unwrap_or(0) {
            let Some((low, high)) =
                asked.handle.range(&topic.name, partition, asked.wait).filter(|(low, high)| low < high)
            else {
                continue;
            };
            let at = (topic.name.clone(), partition);
            starts.insert(at.clone(), Start { next: Some(low.max(high - SAMPLE)), ..Start::default() });
            ends.insert(at, high);
        }
    }
    let source = KafkaSource::new(asked.properties)?;
    let mut reading = Vec::new();
    for partition in source.assign(&starts)? {
        let (Some(topic), Some(end)) = (
            topics.iter().find(|topic| topic.name == partition.topic),
            ends.get(&(partition.topic.clone(), partition.partition)),
        ) else {
            continue;
        };
        reading.push(Reading { reader: topic.reader(), kind: topic.kind, partition, end: *end });
    }
    let until = Instant::now() + READ_WITHIN;
    while !reading.is_empty() && Instant::now() < until {
        let read: usize = reading.iter_mut().map(|reading| reading.turn(sampled)).sum();
        reading.retain(|reading| !reading.is_done());
        if read == 0 {
            source.serve(Duration::from_millis(20));
        }
    }
    Ok(())
}

/// A partition that is sampled.
struct Reading {
    reader: TopicReader,
    kind: EventKind,
    partition: Partition,
    /// The offset behind the sample.
    end: i64,
}

impl Reading {
    /// Reads what is there; returns how many messages it was.
    fn turn(&mut self, sampled: &mut [Sampled]) -> usize {
        let mut all = 0;
        // One by one: a batch tells the text of its first id.
        while all < 1_000 {
            let (partition, first) = (&mut self.partition, &mut None);
            if self.reader.drain(Turn { partition, first, most: 1, now_ms: i64::MAX / 2 }) == 0 {
                break;
            }
            all += 1;
            let at = Place { topic: self.partition.topic.clone(), partition: self.partition.partition };
            for (model, batch) in self.reader.batches.each() {
                if let (Some(key), Some(sampled)) = (batch.key(0), sampled.get_mut(model)) {
                    if self.kind == EventKind::Labels {
                        sampled.labels.insert(key, (at.clone(), batch.first_id().to_owned()));
                    } else {
                        sampled.predictions.insert(key, at.clone());
                    }
                }
                batch.reset();
            }
        }
        all
    }

    fn is_done(&self) -> bool {
        self.partition.halted.is_some() || self.partition.next.is_some_and(|next| next >= self.end)
    }
}

fn tell(model: &str, placed: &Placed) -> Told {
    let of = format!("of {model:?} in the last {SAMPLE} records of each partition");
    match placed {
        Placed::Nothing => Told::Note(format!(
            "there are no predictions or no labels that can be read {of}, so it is not known whether an id's prediction and label lie in partitions of the same number"
        )),
        Placed::Unknown { predictions, labels } => Told::Note(format!(
            "none of {labels} labels {of} has its prediction among the {predictions} there, so it is not known whether they lie in partitions of the \
             same number; the daemon says so where they do not"
        )),
        Placed::Together { ids } => Told::Note(format!(
            "{ids} ids {of} have their prediction and their label in partitions of the same number, as dividing partitions needs it"
        )),
        Placed::Apart { ids, apart, id, prediction, label } => Told::Error(format!(
            "{apart} of {ids} ids {of} have their prediction and their label in partitions of different numbers, for example {id:?} in partition {} \
                 of {:?} and {} of {:?}: write both with the prediction id as the record's key and by the same partitioner, or set cluster.split to models",
            prediction.partition, prediction.topic, label.partition, label.topic
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(topic: &str, partition: i32) -> Place {
        Place { topic: topic.into(), partition }
    }

    /// Each id with the partitions of its prediction and of its label, where the sample has them.
    fn sampled(ids: &[(u64, Option<i32>, Option<i32>)]) -> Sampled {
        let mut sampled = Sampled::default();
        for (id, prediction, label) in ids {
            sampled.predictions.extend(prediction.map(|partition| (*id, at("p", partition))));
            sampled.labels.extend(label.map(|partition| (*id, (at("l", partition), format!("id{id}")))));
        }
        sampled
    }

    #[test]
    fn ids_that_are_in_both_samples_say_whether_partitions_are_equal() {
        assert_eq!(sampled(&[(1, Some(0), None)]).placed(), Placed::Nothing);
        assert_eq!(
            sampled(&[(1, Some(0), None), (2, None, Some(0)), (3, None, Some(1))]).placed(),
            Placed::Unknown { predictions: 1, labels: 2 }
        );
        assert_eq!(sampled(&[(1, Some(0), Some(0)), (2, Some(1), Some(1))]).placed(), Placed::Together { ids: 2 });
        let apart = sampled(&[(1, Some(0), Some(0)), (3, Some(1), Some(0)), (2, Some(1), Some(2)), (4, None, Some(7))]);
        let found = Placed::Apart { ids: 3, apart: 2, id: "id2".into(), prediction: at("p", 1), label: at("l", 2) };
        assert_eq!(apart.placed(), found);
    }

    #[test]
    fn only_ids_that_lie_apart_are_an_error() {
        let is_note = |placed: &Placed| matches!(tell("m", placed), Told::Note(_));
        assert!(is_note(&Placed::Nothing) && is_note(&Placed::Together { ids: 2 }));
        let apart = Placed::Apart { ids: 9, apart: 4, id: "x".into(), prediction: at("p", 1), label: at("l", 2) };
        let Told::Error(error) = tell("m", &apart) else { panic!("no error") };
        assert!(error.starts_with("4 of 9 ids of \"m\""), "{error}");
        assert!(error.contains("\"x\" in partition 1 of \"p\" and 2 of \"l\""), "{error}");
    }
}
