//! What does not work at the moment: whoever tries says so here, and takes it back once it works again.

use std::collections::BTreeMap;

/// Something that can fail and be tried again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Nobody asked the daemon: the registry alone answers.
    Daemon,
    /// Reading pauses until what waits to be delivered is fewer.
    Reading,
    /// Verdicts and signals on their way to the registry.
    Registry,
    Policies,
    /// Those of people and pipelines, over HTTP.
    Tokens,
    /// Who gives people their tokens.
    Issuer,
    DeadLetters,
    /// The registry of the schemas that messages are written with.
    Schemas,
    /// Windows on their way into the history.
    History,
    /// Its days that are over: as Parquet, in the store, deleted.
    HistoryDays,
    /// The certificate of the TLS port.
    Tls,
    /// The group of a cluster's processes changes, and does not settle.
    Group,
    /// What a process of a cluster has and takes over again: the ledger, or a unit by its name.
    Slot(String),
    /// A topic, a webhook or an external registry, by the name that its other figures have.
    Sink(String),
    /// Events over HTTP are refused on their way to a topic.
    Ingest(String),
    /// A Prometheus query, by its metric.
    Query(String),
    /// A traffic router that does not have the weight of its rollout, by its name.
    Router(String),
    /// No labels come of a model.
    Labels(String),
    /// Labels of a model are in other partitions than their predictions.
    LabelsApart(String),
}

impl Part {
    /// What metrics call it.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Daemon => "daemon".to_owned(),
            Self::Reading => "reading".to_owned(),
            Self::Registry => "registry".to_owned(),
            Self::Policies => "policies".to_owned(),
            Self::Tokens => "tokens".to_owned(),
            Self::Issuer => "issuer".to_owned(),
            Self::DeadLetters => "dead_letters".to_owned(),
            Self::Schemas => "schemas".to_owned(),
            Self::History => "history".to_owned(),
            Self::HistoryDays => "history days".to_owned(),
            Self::Tls => "tls".to_owned(),
            Self::Group => "group".to_owned(),
            Self::Slot(name) => format!("slot {name}"),
            Self::Sink(name) => format!("sink {name}"),
            Self::Ingest(topic) => format!("ingest {topic}"),
            Self::Router(name) => format!("router {name}"),
            Self::Query(metric) => format!("query {metric}"),
            Self::Labels(model) => format!("labels {model}"),
            Self::LabelsApart(model) => format!("labels apart {model}"),
        }
    }
}

/// Why each of them fails.
pub type Failing = BTreeMap<Part, String>;
