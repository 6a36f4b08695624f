//! `driftgate cluster topics`: the internal topics as they are, what differs, and their creation.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use serde::Serialize;

use crate::cli::exit::{self, Failure};
use crate::cli::output::Output;
use crate::cli::terminal::shown;
use crate::cluster::topics::{Difference, Found, Names, Topic, Topics, TopicsError};
use crate::daemon;
use crate::daemon::division::{self, DivisionError};
use crate::source::kafka::KafkaSourceError;

/// The brokers may take so long to answer.
const WAIT: Duration = Duration::from_secs(10);
/// A topic that was created is seen by every broker a moment later.
const LOOKS: usize = 20;
const BETWEEN: Duration = Duration::from_millis(250);

/// Prints the internal topics of a cluster and what differs from their settings, and creates missing ones
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Settings that differ are told and never changed.\n\nExit codes: 0 all are there and right, 1 one is missing or differs, 2 configuration error, 5 the brokers cannot be reached.\n\nExamples:\n  driftgate cluster topics --config config/driftgate.yaml\n  driftgate cluster topics --config config/driftgate.yaml --create"
)]
pub struct Args {
    /// Configuration of the daemon, with a `cluster` section
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Creates the topics that are missing
    #[arg(long)]
    create: bool,
    #[command(flatten)]
    output: Output,
}

/// The topics, as they are printed.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Shown {
    /// All are there and as they are to be.
    right: bool,
    topics: Vec<TopicShown>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct TopicShown {
    topic: String,
    state: State,
    /// It was created just now.
    created: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differences: Vec<DifferenceShown>,
    /// Why it could not be looked at, or not created.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    /// What to do, for people with Kafka's own tools.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    next: Vec<String>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct DifferenceShown {
    what: String,
    found: String,
    wanted: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Right,
    Missing,
    Different,
    /// The user may not describe it.
    Hidden,
    Failed,
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let config = daemon::read_config(&args.config)?;
    let (Some(kafka), Some(cluster)) = (&config.kafka, &config.cluster) else {
        return Err(anyhow!(
            "{}: there is no `cluster` section: a single process needs no topics of its own",
            args.config.display()
        )
        .into());
    };
    let topics = Topics::new(&kafka.client_properties()?, WAIT).map_err(failure)?;
    let policies = daemon::read_policies(&config)?;
    let division = division::ask(&topics.source().handle(), &config, &policies, WAIT).map_err(not_divided)?;
    let needed = Topic::needed(&Names::of(&cluster.prefix), cluster.replication, division::needed(&division));
    let mut found = topics.look(&needed).map_err(failure)?;
    let mut created: Vec<Option<Result<(), String>>> = vec![None; needed.len()];
    if args.create {
        let missing = |at: &usize| found.get(*at) == Some(&Found::Missing);
        let missing: Vec<usize> = (0..needed.len()).filter(missing).collect();
        let new: Vec<&Topic> = missing.iter().filter_map(|at| needed.get(*at)).collect();
        for (at, done) in missing.iter().zip(topics.create(&new).map_err(failure)?) {
            if let Some(slot) = created.get_mut(*at) {
                *slot = Some(done);
            }
        }
        let is_there = |found: &[Found]| {
            found
                .iter()
                .zip(&created)
                .all(|(found, created)| !(matches!(created, Some(Ok(()))) && *found == Found::Missing))
        };
        for look in 0..LOOKS {
            found = topics.look(&needed).map_err(failure)?;
            if is_there(&found) || look + 1 == LOOKS {
                break;
            }
            std::thread::sleep(BETWEEN);
        }
    }
    let topics: Vec<TopicShown> =
        needed.iter().zip(found).zip(created).map(|((topic, found), created)| show(topic, found, created)).collect();
    let shown = Shown { right: topics.iter().all(|topic| topic.state == State::Right), topics };
    args.output.print(&shown, || Ok(text(&shown)))?;
    Ok(if shown.right { exit::PASS } else { exit::BLOCK })
}

/// A failure with its exit code.
pub fn failure(error: TopicsError) -> Failure {
    let code = match &error {
        TopicsError::Kafka(KafkaSourceError::Unreachable { .. }) | TopicsError::Admin(_) => exit::UNREACHABLE,
        _ => exit::INPUT,
    };
    Failure { code, error: error.into() }
}

/// The same of what cannot be divided.
pub fn not_divided(error: DivisionError) -> Failure {
    match error {
        DivisionError::Kafka(e) => failure(TopicsError::Kafka(e)),
        DivisionError::Unequal(e) => Failure { code: exit::INPUT, error: e.into() },
    }
}

fn show(topic: &Topic, found: Found, created: Option<Result<(), String>>) -> TopicShown {
    let mut shown = TopicShown {
        topic: topic.name.clone(),
        state: State::Right,
        created: created == Some(Ok(())),
        differences: Vec::new(),
        why: None,
        next: Vec::new(),
    };
    match found {
        Found::Missing => {
            shown.state = State::Missing;
            shown.why = created.and_then(Result::err);
            shown.next.push(topic.command());
        }
        Found::Hidden => {
            shown.state = State::Hidden;
            shown.why = Some("this user may not describe it: grant it DESCRIBE on the topic".to_owned());
        }
        Found::Failed(why) => {
            shown.state = State::Failed;
            shown.why = Some(why);
        }
        Found::There { differences, settings_known, .. } => {
            if !differences.is_empty() {
                shown.state = State::Different;
            }
            if !settings_known {
                shown.why =
                    Some("its settings cannot be read: grant this user DESCRIBE_CONFIGS on the topic".to_owned());
            }
            shown.next.extend(mend(&topic.name, &differences));
            shown.differences = differences
                .into_iter()
                .map(|Difference { what, found, wanted, .. }| DifferenceShown { what, found, wanted })
                .collect();
        }
    }
    shown
}

/// How differences are mended.
fn mend(topic: &str, differences: &[Difference]) -> Vec<String> {
    let mut next = Vec::new();
    let settings: Vec<String> = differences
        .iter()
        .filter(|d| d.settable)
        .map(|d| format!("{}={}", d.what, d.wanted.trim_start_matches("at least ")))
        .collect();
    if !settings.is_empty() {
        next.push(format!(
            "kafka-configs.sh --bootstrap-server BROKERS --alter --entity-type topics --entity-name {topic} --add-config {}",
            settings.join(",")
        ));
    }
    if differences.iter().any(|d| d.what == "replicas") {
        next.push(format!("add replicas of {topic} with kafka-reassign-partitions.sh"));
    }
    if differences.iter().any(|d| d.what == "partitions") {
        next.push(format!(
            "stop all processes, delete {topic} and create it with one partition; what the topic holds is lost"
        ));
    }
    if let Some(slots) = differences.iter().find(|d| d.what == "slots") {
        let most = slots.wanted.trim_start_matches("at least ");
        next.push(format!(
            "stop all processes and add partitions: kafka-topics.sh --bootstrap-server BROKERS --alter --topic {topic} --partitions {most}"
        ));
    }
    next
}

fn text(shown_topics: &Shown) -> String {
    let mut out = String::new();
    for topic in &shown_topics.topics {
        let said = match topic.state {
            State::Right if topic.created => "is created",
            State::Right if topic.why.is_some() => "is there",
            State::Right => "is right",
            State::Missing => "is missing",
            State::Different => "differs",
            State::Hidden | State::Failed => "cannot be looked at",
        };
        let why = topic.why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
        let _ = writeln!(out, "{} {said}{}", shown(&topic.topic), shown(&why));
        for DifferenceShown { what, found, wanted } in &topic.differences {
            let _ = writeln!(out, "  {what} is {}, wanted is {wanted}", shown(found));
        }
        for next in &topic.next {
            let _ = writeln!(out, "  next: {}", shown(next));
        }
    }
    if shown_topics.topics.iter().any(|topic| topic.state == State::Missing && topic.why.is_none()) {
        out.push_str("--create creates what is missing\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::topics::Needed;

    fn needed() -> Vec<Topic> {
        Topic::needed(&Names::of("driftgate."), 3, Needed { units: 2, evaluators: 1 })
    }

    fn there(differences: Vec<Difference>, settings_known: bool) -> Found {
        Found::There { differences, settings_known, allowed: None }
    }

    #[test]
    fn what_is_there_missing_and_different_is_told_with_the_next_step() {
        let difference = |what: &str, found: &str, wanted: &str, settable| Difference {
            what: what.into(),
            found: found.into(),
            wanted: wanted.into(),
            settable,
        };
        let topics = needed();
        let shown = Shown {
            right: false,
            topics: vec![
                show(&topics[0], there(vec![difference("slots", "1", "at least 3", false)], true), None),
                show(&topics[4], there(vec![], true), Some(Ok(()))),
                show(
                    &topics[1],
                    there(
                        vec![
                            difference("partitions", "2", "1", false),
                            difference("min.insync.replicas", "1", "at least 2", true),
                        ],
                        true,
                    ),
                    None,
                ),
                show(&topics[2], Found::Missing, None),
                show(&topics[3], there(vec![], false), None),
            ],
        };
        insta::assert_snapshot!(text(&shown));
        let json = serde_json::to_value(&shown).unwrap();
        assert_eq!(json["topics"][2]["differences"][1]["wanted"], "at least 2");
        assert_eq!((&json["topics"][1]["created"], &json["topics"][3]["state"]), (&true.into(), &"missing".into()));
    }

    #[test]
    fn the_topics_are_those_that_the_configuration_keeps_for_the_cluster() {
        let kept = crate::config::INTERNAL_TOPICS.map(|end| format!("driftgate.{end}"));
        assert_eq!(needed().iter().map(|topic| &topic.name).collect::<Vec<_>>(), kept.iter().collect::<Vec<_>>());
    }

    #[test]
    fn what_could_not_be_created_says_why() {
        let refused = show(&needed()[0], Found::Missing, Some(Err("there are fewer brokers than replicas".into())));
        assert_eq!(refused.why.as_deref(), Some("there are fewer brokers than replicas"));
        let text = text(&Shown { right: false, topics: vec![refused] });
        assert!(text.starts_with("driftgate.units is missing: there are fewer brokers than replicas\n"), "{text}");
        assert!(!text.contains("--create creates"), "{text}");
    }

    #[test]
    fn a_configuration_without_a_cluster_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("d.yaml");
        std::fs::write(&config, "policies: [p.yaml]\n").unwrap();
        let failure = run(&Args { config, create: false, output: Output::default() }).unwrap_err();
        assert_eq!(failure.code, exit::INPUT);
        assert!(format!("{:#}", failure.error).contains("there is no `cluster` section"));
    }
}
