//! Facts about the content of a registry, with names and values for people, and the differences between two sets of facts.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The most characters of a value in a message.
const SHOWN: usize = 120;

/// What a fact is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Pointer,
    Moves,
    Approval,
    Override,
    Evidence,
    Block,
    Registration,
    RolledBack,
    Freeze,
    Promotion,
    Lost,
    Anew,
    Signal,
    /// One move of a pointer, by its place among them.
    Move,
    /// The registration of a version.
    Version,
    /// A signal as it was given.
    Given,
}

/// Which fact: `name` is the stage, the version, or the part by which several facts of one version differ.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fact {
    pub kind: Kind,
    pub model: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    pub name: String,
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, model, version, name } = self;
        let version = version.as_deref().unwrap_or("–");
        match kind {
            Kind::Pointer => write!(f, "the pointer {name} of {model:?}"),
            Kind::Moves => write!(f, "the moves of the pointer {name} of {model:?}"),
            Kind::Approval => write!(f, "an approval of version {version:?} of {model:?}"),
            Kind::Override => write!(f, "an override for version {version:?} of {model:?}"),
            Kind::Evidence => write!(f, "the evidence {name} of version {version:?} of {model:?}"),
            Kind::Block => write!(f, "the block of version {version:?} of {model:?} by {name}"),
            Kind::Registration => write!(f, "the {name} that version {version:?} of {model:?} is registered with"),
            Kind::RolledBack => write!(f, "the mark that version {version:?} of {model:?} was rolled back"),
            Kind::Freeze => write!(f, "the freeze of {model:?}"),
            Kind::Lost => write!(f, "the mark that the external registry lost version {version:?} of {model:?}"),
            Kind::Anew => {
                write!(f, "the mark that version {version:?} of {model:?} was made anew in the external registry")
            }
            Kind::Signal => write!(f, "the rollback {name} of version {version:?} of {model:?}"),
            Kind::Move => write!(f, "time, mark and reason of the move {name} of a pointer of {model:?}"),
            Kind::Version => write!(f, "the row of version {version:?} of {model:?}"),
            Kind::Given => write!(f, "the signal {name} about version {version:?} of {model:?}"),
            Kind::Promotion => write!(f, "the promotion record {name} of version {version:?} of {model:?}"),
        }
    }
}

impl Fact {
    #[must_use]
    pub fn new(kind: Kind, model: &str, version: Option<&str>, name: &str) -> Self {
        Self { kind, model: model.to_owned(), version: version.map(str::to_owned), name: name.to_owned() }
    }
}

/// A fact that differs between log and registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mismatch {
    #[serde(flatten)]
    pub fact: Fact,
    /// Its value by the log; `None`: no record has it.
    pub log: Option<String>,
    /// The record that has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<u64>,
    /// Its value in the registry.
    pub registry: Option<String>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fact, log, record, registry } = self;
        let by = record.map_or_else(String::new, |record| format!(" (record {record})"));
        match (log.as_deref().map(shown), registry.as_deref().map(shown)) {
            (None, Some(has)) => {
                write!(f, "{fact} does not follow from the log: the registry has {has}, which no record says")
            }
            (Some(said), None) => {
                write!(f, "{fact} is missing from the registry: the log says {said}{by}, and no record takes it away")
            }
            (said, has) => {
                let (said, has) = (said.unwrap_or_default(), has.unwrap_or_default());
                write!(f, "{fact} does not follow from the log: the registry has {has}, the log says {said}{by}")
            }
        }
    }
}

fn shown(value: &str) -> String {
    let mut text: String = value.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if value.chars().nth(SHOWN).is_some() {
        text.push('…');
    }
    text
}

/// What the record of an upgrade holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upgrade {
    pub from: i64,
    /// Entries that did not follow from the log.
    pub taken_over: Vec<Mismatch>,
    /// Changes that the upgrade made.
    pub changed: Vec<Mismatch>,
}
