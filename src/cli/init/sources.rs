//! A configuration for the drafted policy: the source that `driftgate probe` proposes for a topic or a file, with the model's name.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::cli::exit::Failure;
use crate::cli::probe::{self, Looked};
use crate::config;

/// Where events of the model are, and the configuration to write.
#[derive(Debug, Default, clap::Args)]
pub struct Events {
    /// Topic with events of the model, for a draft of the configuration as `driftgate probe` proposes it
    #[arg(long, value_name = "TOPIC", requires = "config_out", conflicts_with = "file")]
    topic: Option<String>,
    /// File with events of the model, for the same
    #[arg(long, value_name = "FILE", requires = "config_out")]
    file: Option<PathBuf>,
    /// Brokers of the topic
    #[arg(long, value_name = "HOST:PORT,…", default_value = "localhost:9092", requires = "topic")]
    brokers: String,
    /// Configuration to write
    #[arg(long, value_name = "FILE", requires = "out")]
    pub config_out: Option<PathBuf>,
}

/// The configuration of a drafted policy, as text; `None` where no events are named.
///
/// # Errors
/// Events that cannot be read, or of which nothing is proposed.
pub fn configuration(events: &Events, draft: &str, policy: &Path) -> Result<Option<String>, Failure> {
    let Some(out) = &events.config_out else { return Ok(None) };
    let model = driftgate_core::policy::parse(draft, policy).context("the draft would not be valid")?.model;
    let looked: Looked = match (&events.topic, &events.file) {
        (Some(topic), _) => probe::look_at_topic(&events.brokers, topic)?,
        (None, Some(file)) => probe::look_at_file(file)?,
        (None, None) => {
            return Err(anyhow::anyhow!("--config-out needs events to look at: give --topic or --file").into());
        }
    };
    Ok(Some(text(&looked, &events.brokers, &model, policy, out)?))
}

fn text(looked: &Looked, brokers: &str, model: &str, policy: &Path, out: &Path) -> anyhow::Result<String> {
    let Some(source) = &looked.source else {
        let why = if looked.problems.is_empty() {
            "what its events are cannot be told by their fields".to_owned()
        } else {
            looked.problems.join("; ")
        };
        bail!("no source is proposed for {}: {why}; `driftgate probe` shows what was found", looked.name);
    };
    let quoted = |text: &str| serde_json::to_string(text).unwrap_or_default();
    let policy = std::path::absolute(policy)?;
    let folder = std::path::absolute(out)?.parent().map(Path::to_owned).unwrap_or_default();
    let policy = policy.strip_prefix(&folder).unwrap_or(&policy).display().to_string();
    // The model is known here.
    let remarks = looked.open.iter().filter(|remark| !remark.contains("MODEL"));
    let remarks =
        remarks.map(|remark| format!("# {}\n", driftgate_core::text::in_line(remark))).collect::<Vec<_>>().concat();
    let text = format!(
        "# Drafted by `driftgate init` from the first {} events of {}. What fields are for is guessed by their names and values: read it,\n\
         # then run `driftgate check --config FILE`. A topic of labels, if there are any, is one more source.\n{remarks}\
         policies: [{}]\nkafka: {{brokers: {}}}\n{}registry: {{embedded: {{path: registry.db}}}}\nstate: {{path: state}}\n",
        looked.events,
        driftgate_core::text::in_line(&looked.name),
        quoted(&policy),
        quoted(brokers),
        source.replace("    model: MODEL\n", &format!("    model: {}\n", quoted(model))),
    );
    // Names of topics and fields come from outside: what is wrong with them is reported now.
    config::parse(&text, out).context("the drafted configuration would not be valid")?;
    Ok(text)
}
