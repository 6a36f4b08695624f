//! The internal topics of a cluster: their names and settings, what of them is there and what differs, and their creation.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::source::kafka::allowed::{Allowed, TopicSeen};
use crate::source::kafka::{KafkaSource, KafkaSourceError};

/// The largest record batch of the internal topics: what brokers take by default. Records stay below 900 kB.
const MOST_BATCH_BYTES: &str = "1048588";
/// Only closed segments are compacted, and whoever takes over reads all that is not.
const SEGMENT_BYTES: &str = "134217728";

/// The names of the internal topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// Subscribed by the group; the committed offset of a partition is the claim to the slot.
    pub units: String,
    /// Chunks and manifests of the state.
    pub state: String,
    /// Changes of the registry.
    pub ledger: String,
    /// Its committed offset is the number of the last change of the registry.
    pub ledger_owner: String,
    /// What the units say to whoever owns the ledger.
    pub results: String,
    /// What shards have counted, for whoever judges it: a partition for each unit that is divided.
    pub partials: String,
    /// What is decided for all shards of a unit: the baselines of versions.
    pub control: String,
}

impl Names {
    #[must_use]
    pub fn of(prefix: &str) -> Self {
        let name = |end: &str| format!("{prefix}{end}");
        Self {
            units: name("units"),
            state: name("state"),
            ledger: name("ledger"),
            ledger_owner: name("ledger-owner"),
            results: name("results"),
            partials: name("partials"),
            control: name("control"),
        }
    }

    /// Those that a cluster with so many divided units needs, each with how many partitions: of slots at least so many.
    #[must_use]
    pub fn needed(&self, Needed { units, evaluators }: Needed) -> Vec<(&String, Partitions)> {
        let many = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        let mut needed = vec![
            (&self.units, Partitions::AtLeast(many(units + 1))),
            (&self.state, Partitions::One),
            (&self.ledger, Partitions::One),
            (&self.ledger_owner, Partitions::One),
            (&self.results, Partitions::One),
        ];
        if evaluators > 0 {
            needed.push((&self.partials, Partitions::AtLeast(many(evaluators))));
            needed.push((&self.control, Partitions::One));
        }
        needed
    }
}

/// What a cluster has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needed {
    pub units: usize,
    /// Of them those that judge what shards count.
    pub evaluators: usize,
}

/// How many partitions a topic needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partitions {
    One,
    AtLeast(i32),
}

/// How a setting is held against what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    Exactly,
    AtLeast,
    /// It is set where the topic is created, and another value is not wrong.
    AtCreation,
}

/// A setting of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    pub name: &'static str,
    pub value: &'static str,
    pub rule: Rule,
}

/// A topic as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    pub name: String,
    /// At least so many where they are slots; else exactly one.
    pub partitions: i32,
    pub is_of_slots: bool,
    pub replication: i32,
    pub settings: Vec<Setting>,
}

impl Topic {
    /// The topics that a cluster needs.
    #[must_use]
    pub fn needed(names: &Names, replication: i32, needed: Needed) -> Vec<Self> {
        let exactly = |name, value| Setting { name, value, rule: Rule::Exactly };
        let at_least = |name, value| Setting { name, value, rule: Rule::AtLeast };
        let at_creation = |name, value| Setting { name, value, rule: Rule::AtCreation };
        // An acknowledged record is on so many brokers: the loss of one loses nothing, and stops nothing.
        let in_sync = at_least("min.insync.replicas", if replication >= 3 { "2" } else { "1" });
        let clean = exactly("unclean.leader.election.enable", "false");
        let batch = at_least("max.message.bytes", MOST_BATCH_BYTES);
        let topic = |(name, of): (&String, Partitions), settings: Vec<Setting>| Self {
            name: name.clone(),
            partitions: if let Partitions::AtLeast(partitions) = of { partitions } else { 1 },
            is_of_slots: of != Partitions::One,
            replication,
            settings,
        };
        // What is kept until it is deleted on purpose.
        let kept = [
            exactly("cleanup.policy", "delete"),
            exactly("retention.ms", "-1"),
            exactly("retention.bytes", "-1"),
            batch,
            in_sync,
            clean,
        ];
        let compacted = [
            exactly("cleanup.policy", "compact"),
            batch,
            in_sync,
            clean,
            at_creation("segment.bytes", SEGMENT_BYTES),
            at_creation("min.cleanable.dirty.ratio", "0.2"),
        ];
        let settings = |name: &String| {
            if [&names.state, &names.control].contains(&name) {
                compacted.to_vec()
            } else if [&names.ledger, &names.results, &names.partials].contains(&name) {
                kept.to_vec()
            } else {
                Vec::new()
            }
        };
        names.needed(needed).into_iter().map(|of| topic(of, settings(of.0))).collect()
    }

    /// What Kafka's own tool creates it with.
    #[must_use]
    pub fn command(&self) -> String {
        let mut command = format!(
            "kafka-topics.sh --bootstrap-server BROKERS --create --topic {} --partitions {} --replication-factor {}",
            self.name, self.partitions, self.replication
        );
        for Setting { name, value, .. } in &self.settings {
            let _ = write!(command, " --config {name}={value}");
        }
        command
    }

    /// What differs from how it is to be.
    fn differences(&self, partitions: i32, replicas: i32, settings: &BTreeMap<String, String>) -> Vec<Difference> {
        let mut found = Vec::new();
        let mut tell = |what: &str, here: &str, wanted: String, settable| {
            found.push(Difference { what: what.to_owned(), found: here.to_owned(), wanted, settable });
        };
        if self.is_of_slots && partitions < self.partitions {
            tell("slots", &partitions.to_string(), format!("at least {}", self.partitions), false);
        } else if !self.is_of_slots && partitions != self.partitions {
            tell("partitions", &partitions.to_string(), self.partitions.to_string(), false);
        }
        if replicas < self.replication {
            tell("replicas", &replicas.to_string(), self.replication.to_string(), false);
        }
        for Setting { name, value, rule } in &self.settings {
            let Some(here) = settings.get(*name) else { continue };
            let number = |text: &str| text.parse::<i64>().ok();
            match rule {
                Rule::Exactly if here != value => tell(name, here, (*value).to_owned(), true),
                Rule::AtLeast if number(here) < number(value) => tell(name, here, format!("at least {value}"), true),
                _ => {}
            }
        }
        found
    }
}

/// Something of a topic that is not as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub what: String,
    pub found: String,
    pub wanted: String,
    /// Whether a setting of the topic changes it.
    pub settable: bool,
}

/// A topic as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Missing,
    /// The user may not describe it.
    Hidden,
    There {
        differences: Vec<Difference>,
        /// Whether the settings could be read.
        settings_known: bool,
        allowed: Allowed,
    },
    Failed(String),
}

impl Found {
    /// Whether it is as it is to be, as far as that can be seen.
    #[must_use]
    pub fn is_right(&self) -> bool {
        matches!(self, Self::There { differences, .. } if differences.is_empty())
    }
}

/// Why the topics cannot be looked at or created.
#[derive(Debug, thiserror::Error)]
pub enum TopicsError {
    #[error(transparent)]
    Kafka(#[from] KafkaSourceError),
    #[error("the Kafka client cannot be made: {0}; check kafka.properties in the configuration")]
    Client(KafkaError),
    #[error("the brokers do not answer to what the administration of topics asks: {0}")]
    Admin(KafkaError),
    #[error("the runtime cannot be made: {0}")]
    Runtime(#[from] std::io::Error),
}

/// Looks at topics and creates them.
pub struct Topics {
    source: KafkaSource,
    admin: AdminClient<DefaultClientContext>,
    runtime: tokio::runtime::Runtime,
    wait: Duration,
}

impl Topics {
    /// Clients with these properties; nothing is contacted yet.
    ///
    /// # Errors
    /// Properties that librdkafka refuses.
    pub fn new(properties: &BTreeMap<String, String>, wait: Duration) -> Result<Self, TopicsError> {
        let mut config = ClientConfig::new();
        // The group is the consumers'.
        for (property, value) in properties.iter().filter(|(property, _)| property.as_str() != "group.id") {
            config.set(property, value);
        }
        Ok(Self {
            source: KafkaSource::new(properties)?,
            admin: config.create().map_err(TopicsError::Client)?,
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
            wait,
        })
    }

    /// The source of the questions that it asks.
    #[must_use]
    pub fn source(&self) -> &KafkaSource {
        &self.source
    }

    /// Each topic as it is.
    ///
    /// # Errors
    /// Brokers that do not answer in time.
    pub fn look(&self, topics: &[Topic]) -> Result<Vec<Found>, TopicsError> {
        let names: Vec<String> = topics.iter().map(|topic| topic.name.clone()).collect();
        let seen = self.source.handle().topics_seen(&names, self.wait)?;
        let there = |name: &str| matches!(seen.get(name), Some(TopicSeen::There { .. }));
        let specified: Vec<ResourceSpecifier<'_>> =
            names.iter().filter(|name| there(name)).map(|name| ResourceSpecifier::Topic(name)).collect();
        let mut settings = self.settings(&specified)?;
        let found = |topic: &Topic| match seen.get(&topic.name) {
            None | Some(TopicSeen::Missing) => Found::Missing,
            Some(TopicSeen::Hidden) => Found::Hidden,
            Some(TopicSeen::Failed(why)) => Found::Failed(why.clone()),
            Some(TopicSeen::There { partitions, replicas, allowed }) => {
                let settings = settings.remove(&topic.name);
                Found::There {
                    settings_known: settings.is_some(),
                    differences: topic.differences(*partitions, *replicas, &settings.unwrap_or_default()),
                    allowed: allowed.clone(),
                }
            }
        };
        Ok(topics.iter().map(found).collect())
    }

    /// The settings of each topic whose settings may be read.
    fn settings(
        &self,
        topics: &[ResourceSpecifier<'_>],
    ) -> Result<BTreeMap<String, BTreeMap<String, String>>, TopicsError> {
        if topics.is_empty() {
            return Ok(BTreeMap::new());
        }
        let asked = self.admin.describe_configs(topics, &self.options());
        let answered = self.runtime.block_on(asked).map_err(TopicsError::Admin)?;
        Ok(answered.into_iter().filter_map(Result::ok).filter_map(named).collect())
    }

    /// Creates topics; of each, why it was not created if it was not.
    ///
    /// # Errors
    /// Brokers that do not answer in time.
    pub fn create(&self, topics: &[&Topic]) -> Result<Vec<Result<(), String>>, TopicsError> {
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        let new: Vec<NewTopic<'_>> = topics
            .iter()
            .map(|topic| NewTopic {
                name: &topic.name,
                num_partitions: topic.partitions,
                replication: TopicReplication::Fixed(topic.replication),
                config: topic.settings.iter().map(|s| (s.name, s.value)).collect(),
            })
            .collect();
        let options = self.options().operation_timeout(Some(self.wait));
        let answered = self.runtime.block_on(self.admin.create_topics(&new, &options)).map_err(TopicsError::Admin)?;
        Ok(answered
            .into_iter()
            .map(|created| match created {
                // Another process was quicker.
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => Ok(()),
                Err((_, code)) => Err(not_created(code)),
            })
            .collect())
    }

    fn options(&self) -> AdminOptions {
        AdminOptions::new().request_timeout(Some(self.wait))
    }
}

fn named(resource: ConfigResource) -> Option<(String, BTreeMap<String, String>)> {
    let rdkafka::admin::OwnedResourceSpecifier::Topic(name) = resource.specifier else { return None };
    Some((name, resource.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect()))
}

/// Why a topic was not created, and what to do.
fn not_created(code: RDKafkaErrorCode) -> String {
    match code {
        RDKafkaErrorCode::InvalidReplicationFactor => {
            "there are fewer brokers than replicas: correct cluster.topics.replication".to_owned()
        }
        RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed => {
            "this user may not create it: grant it CREATE on the prefix, or have it created by somebody else".to_owned()
        }
        code => KafkaError::AdminOp(code).to_string(),
    }
}

#[cfg(test)]
mod tests;
