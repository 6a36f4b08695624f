//! What the brokers say of a configuration: whether its topics are there, what this user may do with them, with the group and in
//! transactions, whether a cluster's internal topics are right, and whether ids lie where dividing partitions needs them (`placement`).

mod placement;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, Producer as _};

use self::placement::{Asked, Told};
use crate::cli::cluster::{failure, not_divided};
use crate::cli::exit::Failure;
use crate::cluster::topics::{Found, Names, Topic, Topics, TopicsError};
use crate::config::{ClusterConfig, Config, DeadLetterTarget, Split};
use crate::daemon::division;
use crate::source::kafka::allowed::{Allowed, GroupSeen, Operation, TopicSeen};
use driftgate_core::event::EventKind;
use driftgate_core::policy::Policy;
use driftgate_core::policy::lint::Lint;

/// The brokers may take so long to answer.
const WAIT: Duration = Duration::from_secs(10);

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// With these the daemon does not work.
    pub errors: Vec<Lint>,
    pub warnings: Vec<Lint>,
    /// What is worth knowing and wrong in no way.
    pub notes: Vec<String>,
    /// How many partitions each topic has.
    pub partitions: BTreeMap<String, i32>,
}

impl Findings {
    fn error(&mut self, path: &str, message: impl Into<String>) {
        self.errors.push(Lint { path: path.to_owned(), message: message.into() });
    }

    fn warn(&mut self, path: &str, message: impl Into<String>) {
        self.warnings.push(Lint { path: path.to_owned(), message: message.into() });
    }
}

/// Asks the brokers of a configuration with these policies.
///
/// # Errors
/// Brokers that do not answer, or a client that cannot be made.
pub fn ask(config: &Config, policies: &[Arc<Policy>]) -> Result<Findings, Failure> {
    let models: Vec<&str> = policies.iter().map(|policy| policy.model.as_str()).collect();
    let models = models.as_slice();
    let mut findings = Findings::default();
    let Some(kafka) = &config.kafka else {
        findings.error("kafka", "there is none, so there is nothing to ask: name the brokers");
        return Ok(findings);
    };
    let properties = kafka.client_properties()?;
    let topics = Topics::new(&properties, WAIT).map_err(failure)?;
    let needs = needs(config);
    let names: Vec<String> = needs.keys().cloned().collect();
    let handle = topics.source().handle();
    let seen = handle.topics_seen(&names, WAIT).map_err(|e| failure(TopicsError::Kafka(e)))?;
    for (name, need) in &needs {
        need.hold_against(name, seen.get(name).unwrap_or(&TopicSeen::Missing), &mut findings);
    }
    for group in groups(config, &kafka.group) {
        let seen = handle.group_seen(&group, WAIT).map_err(|e| failure(TopicsError::Kafka(e)))?;
        hold_group(&group, &seen, &mut findings);
    }
    if let Some(cluster) = &config.cluster {
        let division = division::ask(&topics.source().handle(), config, policies, WAIT).map_err(not_divided)?;
        let asked = Asked { handle: &handle, properties: &properties, partitions: &findings.partitions, wait: WAIT };
        for told in placement::look(config, policies, &division, &asked)? {
            match told {
                Told::Note(note) => findings.notes.push(note),
                Told::Error(error) => findings.error("cluster.split", error),
            }
        }
        for (unit, why) in &division.whole {
            findings.notes.push(format!("the partitions of {unit:?} are not divided between processes: {why}"));
        }
        let needed = Topic::needed(&Names::of(&cluster.prefix), cluster.replication, division::needed(&division));
        let found = topics.look(&needed).map_err(failure)?;
        needed.iter().zip(&found).for_each(|(topic, found)| hold_internal(topic, found, &mut findings));
        if let Err(error) = transaction(&properties, &kafka.group) {
            hold_transaction(&kafka.group, &error, &mut findings);
        }
    }
    shared_by_models(config, models, &mut findings);
    Ok(findings)
}

/// The groups that are used: a cluster commits the offsets of its inputs, for tools that show lag, by a group of its own.
fn groups(config: &Config, group: &str) -> Vec<String> {
    let inputs = config.cluster.as_ref().map(|_| format!("{group}-inputs"));
    std::iter::once(group.to_owned()).chain(inputs).collect()
}

/// What a topic is used for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Need {
    /// The keys of the configuration that name it.
    paths: BTreeSet<String>,
    operations: BTreeSet<Operation>,
    /// Without these less works.
    wanted: BTreeSet<Operation>,
    /// It is one of the cluster's own.
    is_internal: bool,
}

/// The topics that a configuration uses.
fn needs(config: &Config) -> BTreeMap<String, Need> {
    use Operation::{Describe, Read, Write};
    let mut needs: BTreeMap<String, Need> = BTreeMap::new();
    let mut need = |topic: &str, path: String, operations: &[Operation]| {
        let need = needs.entry(topic.to_owned()).or_default();
        need.paths.insert(path);
        need.operations.extend(operations);
    };
    for (at, source) in config.sources.iter().enumerate() {
        // Responses stand where their requests are listed.
        let listed = source.requests.as_ref().and_then(|of| config.sources.iter().position(|s| s.topic == *of));
        let path = listed.map_or_else(
            || format!("sources[{at}].topic"),
            |requests| format!("sources[{requests}].inference.responses"),
        );
        need(&source.topic, path, &[Read, Describe]);
    }
    let publish = &config.publish;
    let dead = match publish.dead_letters.as_ref().map(|dead| &dead.to) {
        Some(DeadLetterTarget::Topic(topic)) => Some(topic),
        _ => None,
    };
    for (topic, path) in [
        (publish.signals.as_ref(), "publish.signals"),
        (publish.verdicts.as_ref(), "publish.verdicts"),
        (dead, "publish.dead_letters.topic"),
        (config.audit_topic.as_ref(), "audit.topic"),
    ] {
        if let Some(topic) = topic {
            need(topic, path.to_owned(), &[Write, Describe]);
        }
    }
    for (at, query) in config.prometheus.iter().enumerate() {
        need(&query.topic, format!("prometheus[{at}].topic"), &[Write, Describe]);
    }
    if let Some(cluster) = &config.cluster {
        internal_needs(cluster, &mut needs);
    }
    needs
}

/// The topics of a cluster's own.
fn internal_needs(cluster: &ClusterConfig, needs: &mut BTreeMap<String, Need>) {
    use Operation::{Delete, Describe, DescribeConfigs, Read, Write};
    let Names { units, state, ledger, ledger_owner, results, partials, control } = Names::of(&cluster.prefix);
    let (reads, writes) = ([Read, Describe].as_slice(), [Read, Write, Describe].as_slice());
    let (seen, cut) = ([DescribeConfigs].as_slice(), [DescribeConfigs, Delete].as_slice());
    let mut topics = vec![
        (units, reads, seen),
        (state, writes, seen),
        (ledger, writes, cut),
        (ledger_owner, reads, seen),
        (results, writes, cut),
    ];
    if cluster.split == Split::Partitions {
        topics.extend([(partials, writes, cut), (control, writes, seen)]);
    }
    for (topic, operations, wanted) in topics {
        let need = needs.entry(topic).or_default();
        need.paths.insert("cluster.topics".to_owned());
        need.operations.extend(operations);
        need.is_internal = true;
        need.wanted.extend(wanted);
    }
}

impl Need {
    fn hold_against(&self, name: &str, seen: &TopicSeen, findings: &mut Findings) {
        let path = self.paths.iter().cloned().collect::<Vec<_>>().join(", ");
        match seen {
            // What is missing of the cluster's own topics is told with how they are created.
            TopicSeen::Missing | TopicSeen::Failed(_) if self.is_internal => {}
            TopicSeen::Missing => {
                findings.error(&path, format!("the topic {name:?} does not exist: create it, or correct its name"));
            }
            TopicSeen::Hidden => {
                let all = listed(&self.operations);
                findings.error(
                    &path,
                    format!("this user may not describe the topic {name:?}: grant it {all} on the topic"),
                );
            }
            TopicSeen::Failed(why) => findings.error(&path, format!("the topic {name:?} cannot be looked at: {why}")),
            TopicSeen::There { partitions, allowed, .. } => {
                findings.partitions.insert(name.to_owned(), *partitions);
                let needed = lacking(&self.operations, allowed);
                if !needed.is_empty() {
                    let needed = listed(&needed);
                    findings.error(
                        &path,
                        format!("this user lacks rights on the topic {name:?}: grant it {needed} on the topic"),
                    );
                }
                let wanted = lacking(&self.wanted, allowed);
                for operation in wanted {
                    let effect = match operation {
                        Operation::Delete => "it is not shortened and grows",
                        _ => "its settings are not verified",
                    };
                    let operation = operation.name();
                    findings
                        .warn(&path, format!("this user lacks {operation} on the topic {name:?}: without it {effect}"));
                }
            }
        }
    }
}

/// What is needed and not allowed; nothing where the brokers do not say.
fn lacking(needed: &BTreeSet<Operation>, allowed: &Allowed) -> BTreeSet<Operation> {
    allowed.as_ref().map(|allowed| needed.difference(allowed).copied().collect()).unwrap_or_default()
}

fn listed(operations: &BTreeSet<Operation>) -> String {
    operations.iter().map(|operation| operation.name()).collect::<Vec<_>>().join(" and ")
}

fn hold_group(group: &str, seen: &GroupSeen, findings: &mut Findings) {
    let needed = BTreeSet::from([Operation::Read, Operation::Describe]);
    let missing = match seen {
        GroupSeen::Hidden => needed,
        GroupSeen::There(allowed) => lacking(&needed, allowed),
        GroupSeen::Failed(why) => {
            return findings.error("kafka.group", format!("the group {group:?} cannot be looked at: {why}"));
        }
    };
    if !missing.is_empty() {
        let missing = listed(&missing);
        findings.error(
            "kafka.group",
            format!("this user lacks rights on the group {group:?}: grant it {missing} on the group"),
        );
    }
}

fn hold_internal(topic: &Topic, found: &Found, findings: &mut Findings) {
    let path = "cluster.topics";
    let name = &topic.name;
    match found {
        Found::Missing => findings.error(
            path,
            format!("the internal topic {name:?} does not exist: driftgate cluster topics --config FILE --create"),
        ),
        // It is told with the rights.
        Found::Hidden => {}
        Found::Failed(why) => findings.error(path, format!("the internal topic {name:?} cannot be looked at: {why}")),
        Found::There { differences, .. } => {
            for difference in differences {
                let (what, found, wanted) = (&difference.what, &difference.found, &difference.wanted);
                findings.error(
                    path,
                    format!("{what} of the internal topic {name:?} is {found}, wanted is {wanted}: see driftgate cluster topics --config FILE"),
                );
            }
        }
    }
}

/// Begins to use a transactional id that no process has: whether it may be used is not told otherwise.
fn transaction(properties: &BTreeMap<String, String>, group: &str) -> Result<(), KafkaError> {
    let mut config = ClientConfig::new();
    for (property, value) in properties.iter().filter(|(property, _)| property.as_str() != "group.id") {
        config.set(property, value);
    }
    config.set("transactional.id", format!("{group}-check"));
    let producer: BaseProducer = config.create()?;
    producer.init_transactions(WAIT)
}

fn hold_transaction(group: &str, error: &KafkaError, findings: &mut Findings) {
    let may_not = matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::TransactionalIdAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed)
    );
    let message = if may_not {
        format!(
            "this user may not use transactional ids: grant it WRITE and DESCRIBE on those that begin with \"{group}-\""
        )
    } else {
        format!(
            "no transaction can be begun on these brokers: {error}; see that their transaction.state.log.replication.factor is not larger than \
             their number"
        )
    };
    findings.error("cluster", message);
}

/// What is worth knowing of topics that share a model.
fn shared_by_models(config: &Config, models: &[&str], findings: &mut Findings) {
    if config.cluster.is_none() {
        return;
    }
    for model in models {
        let joined = |kind| matches!(kind, EventKind::Predictions | EventKind::Labels);
        let serves = |models: &[String]| models.is_empty() || models.iter().any(|m| m == model);
        let topics = config.sources.iter().filter(|s| joined(s.kind) && serves(&s.models)).map(|s| &s.topic);
        let counts: Vec<(&String, i32)> =
            topics.filter_map(|topic| Some((topic, *findings.partitions.get(topic)?))).collect();
        let distinct: BTreeSet<i32> = counts.iter().map(|(_, n)| *n).collect();
        if distinct.len() > 1 {
            let each = counts.iter().map(|(topic, n)| format!("{topic} has {n}")).collect::<Vec<_>>().join(", ");
            findings.notes.push(format!(
                "the topics of {model:?} have different numbers of partitions ({each}): one process counts all of them, so this is fine; it will not be \
                 where the partitions of one model are divided between processes"
            ));
        }
    }
}

#[cfg(test)]
mod tests;
