//! `driftgate probe`: looks at the first messages of a topic or the first rows of a file, and says what they are and how driftgate would read
//! them. `topic` and `file` read, `detect` tells formats, `decode` fetches schemas, `fields` counts fields, `guess` says what they are for,
//! `inference` what joins requests and responses, `serving` knows topics by more than their messages, `report` puts it together, and `show` prints it.

mod decode;
mod detect;
mod fields;
mod file;
mod guess;
mod inference;
mod report;
mod serving;
mod show;
mod topic;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::anyhow;

use super::exit::{self, Failure};
use super::output::Output;
use crate::daemon::{read_config, sources};
use decode::Decoder;
use report::{From, Report, Served};
use serving::System;

/// Looks at the first messages of a topic or rows of a file: their format, their fields, and how to read them
#[derive(Debug, clap::Args)]
#[command(
    after_help = "It names JSON, Avro, Protobuf and JSON Schema as Confluent's serializers frame them, CloudEvents, KServe's V1 and V2, the topics of MLServer and Seldon Core 2, Avro container files, Parquet, CSV, and what gzip or zstd packs. Framed Avro and Protobuf are decoded if the configuration has a `schema_registry`. Nothing is committed, changed or kept.\n\nWhat fields are for is guessed by plain rules. Names are compared by their words: `requestId` is `request_id`. A time is a field named ts, timestamp, event_time or alike whose values are all RFC 3339 or all lie between 1990 and 2100 as s, ms, us or ns. A score is a field named score, prob, prediction or alike whose numbers lie from 0 to 1; a label is named label, target, y or alike; an id, a version and a model are texts or whole numbers with such names. Events with a score, or with a version and an object of features, are predictions; with an id and a label, labels; with metric and value, measurements; with a time and features alone, features. A guess holds for what was looked at and no more: read it before you use it.\n\nExamples are covered: every digit is shown as 9, every letter as a or A. --show-values shows them.\n\nExit codes: 0 looked at, 1 driftgate does not read it as it is, 2 usage or input error, 5 the brokers cannot be reached.\n\nExamples:\n  driftgate probe --topic predictions --brokers localhost:9092\n  driftgate probe --topic predictions --config config/driftgate.yaml --newest\n  driftgate probe --file predictions.parquet --show-values"
)]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub struct Args {
    /// Topic to look at
    #[arg(long, value_name = "TOPIC", group = "what")]
    topic: Option<String>,
    /// File to look at
    #[arg(long, value_name = "FILE", group = "what")]
    file: Option<PathBuf>,
    /// Brokers; default: those of the configuration, else localhost:9092
    #[arg(long, value_name = "HOST:PORT,…", conflicts_with = "file")]
    brokers: Option<String>,
    /// Daemon configuration whose brokers, Kafka properties and schema registry are used
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    config: Option<PathBuf>,
    /// Messages or rows to look at
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    messages: u32,
    /// Looks at the newest messages of each partition in place of the first ones
    #[arg(long, conflicts_with = "file")]
    newest: bool,
    /// Shows examples as they are
    #[arg(long)]
    show_values: bool,
    #[command(flatten)]
    output: Output,
}

pub fn run(args: &Args) -> Result<u8, Failure> {
    let most = args.messages as usize;
    let report = match (&args.topic, &args.file) {
        (Some(topic), _) => of_topic(args, topic, most)?,
        (None, Some(path)) => {
            let found = file::read(path, most)?;
            Report::of_file(path, found)
        }
        // The group needs one of them.
        (None, None) => return Err(anyhow!("expected --topic or --file").into()),
    };
    let show = args.show_values;
    args.output.print(&show::json(&report, show), || Ok(show::text(&report, show)))?;
    Ok(if report.is_read { exit::PASS } else { exit::BLOCK })
}

/// What was found, for who drafts a configuration of it.
pub(super) struct Looked {
    /// The topic or the file.
    pub name: String,
    pub events: u64,
    /// `sources:` as YAML; the model of events that name none is `MODEL`.
    pub source: Option<String>,
    pub problems: Vec<String>,
    /// What the guess leaves open.
    pub open: Vec<String>,
}

impl Looked {
    fn of(report: &Report, name: String) -> Self {
        Self {
            name,
            events: report.looked_at,
            source: report.source(),
            problems: report.problems.clone(),
            open: report.open().to_vec(),
        }
    }
}

/// Messages or rows that are looked at for a draft.
const LOOKED_AT: usize = 1000;
/// Responses that are looked at beside their requests.
const ANSWERS: usize = 100;

/// Looks at the first messages of a topic.
///
/// # Errors
/// Brokers that cannot be reached, and a topic that is not there.
pub(super) fn look_at_topic(brokers: &str, topic: &str) -> Result<Looked, Failure> {
    let properties = BTreeMap::from(
        [("bootstrap.servers", brokers), ("group.id", "driftgate-probe")].map(|(k, v)| (k.to_owned(), v.to_owned())),
    );
    let report = look(&properties, topic, LOOKED_AT, false, &mut Decoder::new(None))?;
    Ok(Looked::of(&report, format!("the topic {topic}")))
}

/// Looks at the first rows of a file.
///
/// # Errors
/// A file that cannot be read.
pub(super) fn look_at_file(path: &Path) -> anyhow::Result<Looked> {
    Ok(Looked::of(&Report::of_file(path, file::read(path, LOOKED_AT)?), path.display().to_string()))
}

fn of_topic(args: &Args, topic: &str, most: usize) -> Result<Report, Failure> {
    let config = args.config.as_deref().map(read_config).transpose()?;
    let kafka = config.as_ref().and_then(|config| config.kafka.as_ref());
    let mut properties = match kafka {
        Some(kafka) => kafka.client_properties()?,
        // A consumer needs the name of a group, and joins none where its partitions are assigned by hand.
        None => BTreeMap::from(
            [("bootstrap.servers", "localhost:9092"), ("group.id", "driftgate-probe")]
                .map(|(name, value)| (name.to_owned(), value.to_owned())),
        ),
    };
    if let Some(brokers) = &args.brokers {
        properties.insert("bootstrap.servers".to_owned(), brokers.clone());
    }
    let named = config.as_ref().and_then(|config| config.schema_registry.as_ref());
    let registry = named.map(sources::schema_client).transpose()?;
    look(&properties, topic, most, args.newest, &mut Decoder::new(registry))
}

/// Looks at a topic, and where it has the requests of a serving system at that of their responses, if it is there.
fn look(
    properties: &BTreeMap<String, String>,
    topic: &str,
    most: usize,
    newest: bool,
    decoder: &mut Decoder,
) -> Result<Report, Failure> {
    let topic::Read { messages, partitions } = topic::read(properties, topic, most, newest)?;
    let system = System::of(topic, &messages);
    let answers = serving::responses(topic).filter(|_| {
        let is_inference = |message| decoder.see(message).format.is_inference();
        system.is_some() || messages.first().is_some_and(is_inference)
    });
    let answers = answers.and_then(|of| {
        let read = topic::read(properties, &of, most.min(ANSWERS), newest).ok()?;
        Some((of, read.messages))
    });
    let from = From::Topic { topic: topic.to_owned(), partitions };
    Ok(Report::of_messages(from, &messages, &Served { system, answers }, decoder))
}
