//! What follows from the log: every pointer with its moves, approval, override, piece of evidence, block, registration and
//! promotion, as facts. Two such pictures are compared fact by fact: the log's, and the one that a registry's tables show.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::chain::{Record, Row};
use super::names::{self, OWN_ACTORS};
use crate::codec::hash::sha256_hex;

/// The most characters of a value in a message.
const SHOWN: usize = 120;
/// What a pointer's value ends with where it stands for nothing any more.
const VOID: &str = " (void)";

/// What is not held against the log in a file of a release before.
const NEWER: [Kind; 4] = [Kind::Registration, Kind::Move, Kind::Version, Kind::Given];

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
    /// That a version is there.
    Version,
    /// A signal as it was given.
    Given,
}

/// Which fact: `name` is the stage, the version, or what tells several of a version apart.
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
            Kind::Lost => write!(f, "the mark that MLflow lost version {version:?} of {model:?}"),
            Kind::Anew => write!(f, "the mark that version {version:?} of {model:?} was made anew in MLflow"),
            Kind::Signal => write!(f, "the rollback {name} of version {version:?} of {model:?}"),
            Kind::Move => write!(f, "time, mark and reason of the move {name} of a pointer of {model:?}"),
            Kind::Version => write!(f, "the row of version {version:?} of {model:?}"),
            Kind::Given => write!(f, "the signal {name} about version {version:?} of {model:?}"),
            Kind::Promotion => write!(f, "the promotion record {name} of version {version:?} of {model:?}"),
        }
    }
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    pub action: &'a str,
    pub group: &'a str,
    pub ts: &'a str,
    pub applied: bool,
}

/// A fact that the log and the registry do not agree on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mismatch {
    #[serde(flatten)]
    pub fact: Fact,
    /// As the log says; `None`: it says nothing of it.
    pub log: Option<String>,
    /// The record that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<u64>,
    /// As the registry has it.
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

/// Facts with their values, and the records that they are from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    facts: BTreeMap<Fact, (String, u64)>,
    /// What a release before had, and its log did not say: taken over when the file was upgraded.
    pub taken_over: Vec<Mismatch>,
    /// A file of a release before: it mixes registrations with what MLflow said, and its log said less.
    is_older: bool,
}

/// What the record of an upgrade holds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Upgrade {
    pub from: i64,
    /// What was there and did not follow from the log.
    pub taken_over: Vec<Mismatch>,
    /// What the upgrade changed itself.
    pub changed: Vec<Mismatch>,
}

impl State {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.facts.len()
    }

    #[must_use]
    pub fn get(&self, fact: &Fact) -> Option<&str> {
        self.facts.get(fact).map(|(value, _)| value.as_str())
    }

    /// What a version is registered with.
    #[must_use]
    pub fn registration(&self, model: &str, version: &str, field: &str) -> Option<&str> {
        self.get(&fact(Kind::Registration, model, Some(version), field))
    }

    /// Leaves out of a comparison what a release before wrote otherwise.
    pub fn of_older_file(&mut self) {
        self.is_older = true;
    }

    pub fn pointer(&mut self, model: &str, stage: &str, version: &str, void: bool, record: u64) {
        let value = format!("version {version}{}", if void { VOID } else { "" });
        self.set(Kind::Pointer, model, None, stage, Some(value), record);
    }

    /// Adds a move to those of a stage; `elsewhere`: a release before followed MLflow.
    pub fn moved(
        &mut self,
        (model, stage): (&str, &str),
        (from, to): (Option<&str>, Option<&str>),
        actor: &str,
        elsewhere: bool,
        record: u64,
    ) {
        let fact = fact(Kind::Moves, model, None, stage);
        let (moves, at) = self.facts.entry(fact).or_default();
        if !moves.is_empty() {
            moves.push_str(", ");
        }
        let by = if elsewhere && to.is_some() { "in MLflow by" } else { "by" };
        // Writing to a String does not fail.
        let _ = write!(moves, "{} → {} {by} {actor}", from.unwrap_or("–"), to.unwrap_or("–"));
        *at = record;
    }

    /// When a move of a pointer was made (RFC 3339), whether it takes the pointer back, and why.
    pub fn move_made(&mut self, (model, stage): (&str, &str), at: &str, is_rollback: bool, reason: &str, record: u64) {
        let value = format!("{}at {at}: {reason}", if is_rollback { "back, " } else { "" });
        let mut names = (1..).map(|n| format!("{n} of {stage}"));
        if let Some(name) = names.find(|name| !self.facts.contains_key(&fact(Kind::Move, model, None, name))) {
            self.set(Kind::Move, model, None, &name, Some(value), record);
        }
    }

    /// A version is there, by whom.
    pub fn version(&mut self, model: &str, version: &str, actor: &str, record: u64) {
        self.set(Kind::Version, model, Some(version), "", Some(actor.to_owned()), record);
    }

    /// A signal as it was given, and whether it was applied.
    pub fn given(&mut self, (model, version): (&str, &str), id: &str, given: Given<'_>, record: u64) {
        let Given { action, group, ts, applied } = given;
        let value = format!("{action} of {group} at {ts}, {}", if applied { "applied" } else { "ignored" });
        self.set(Kind::Given, model, Some(version), id, Some(value), record);
    }

    pub fn approval(&mut self, model: &str, version: &str, approval: &Value, record: u64) {
        self.several(Kind::Approval, model, version, approval, record);
    }

    pub fn exception(&mut self, model: &str, version: &str, given: &Value, record: u64) {
        self.several(Kind::Override, model, version, given, record);
    }

    pub fn evidence(&mut self, (model, version): (&str, &str), kind: &str, value: &Value, actor: &str, record: u64) {
        let value = format!("{} by {actor}", canonical(value));
        self.set(Kind::Evidence, model, Some(version), kind, Some(value), record);
    }

    pub fn block(&mut self, (model, version): (&str, &str), group: &str, signal: &str, since: &str, record: u64) {
        let value = format!("signal {signal} since {since}");
        self.set(Kind::Block, model, Some(version), group, Some(value), record);
    }

    pub fn registered(&mut self, (model, version): (&str, &str), field: &str, value: &str, record: u64) {
        self.set(Kind::Registration, model, Some(version), field, Some(value.to_owned()), record);
    }

    pub fn rolled_back(&mut self, model: &str, version: &str, at: &str, record: u64) {
        self.set(Kind::RolledBack, model, Some(version), "", Some(at.to_owned()), record);
    }

    pub fn lost(&mut self, model: &str, version: &str, record: u64) {
        self.set(Kind::Lost, model, Some(version), "", Some("lost".to_owned()), record);
    }

    /// When it was made anew there (ms), and when that was noticed (RFC 3339).
    pub fn anew(&mut self, model: &str, version: &str, created_ms: i64, noticed: &str, record: u64) {
        self.set(Kind::Anew, model, Some(version), "", Some(format!("{created_ms}, noticed {noticed}")), record);
    }

    /// A rollback that was signalled and applied.
    pub fn signalled(&mut self, model: &str, version: &str, id: &str, record: u64) {
        self.set(Kind::Signal, model, Some(version), id, Some("applied".to_owned()), record);
    }

    pub fn frozen(&mut self, model: &str, record: u64) {
        self.set(Kind::Freeze, model, None, "", Some("frozen".to_owned()), record);
    }

    /// A promotion record, without what its end adds to it; to which stage and when (RFC 3339).
    pub fn promotion(
        &mut self,
        (model, version): (&str, &str),
        id: &str,
        (to, at): (&str, &str),
        promoted: &Value,
        record: u64,
    ) {
        let mut promoted = promoted.clone();
        if let Some(fields) = promoted.as_object_mut() {
            fields.remove("status");
            fields.remove("ended_at");
        }
        let value = format!("to {to} at {at}, digest {}", digest(&promoted));
        self.set(Kind::Promotion, model, Some(version), id, Some(value), record);
    }

    /// The same approval or override given twice counts twice.
    fn several(&mut self, kind: Kind, model: &str, version: &str, value: &Value, record: u64) {
        let text = canonical(value);
        let id = digest(value);
        let name = (1..).map(|n| format!("{id}-{n}"));
        let mut free = name.filter(|name| !self.facts.contains_key(&fact(kind, model, Some(version), name)));
        if let Some(name) = free.next() {
            self.set(kind, model, Some(version), &name, Some(text), record);
        }
    }

    fn set(&mut self, kind: Kind, model: &str, version: Option<&str>, name: &str, value: Option<String>, record: u64) {
        let fact = fact(kind, model, version, name);
        match value {
            Some(value) => drop(self.facts.insert(fact, (value, record))),
            None => drop(self.facts.remove(&fact)),
        }
    }

    /// What the records say, one after the other. One that cannot be read says nothing; whether the log is whole is checked
    /// elsewhere.
    #[must_use]
    pub fn of_log<'r>(rows: impl IntoIterator<Item = &'r Row>) -> Self {
        let mut state = Self::default();
        for row in rows {
            if let Ok(record) = Record::read(&row.bytes) {
                state.take(&record);
            }
        }
        state
    }

    fn take(&mut self, record: &Record) {
        let Record { seq, payload, .. } = record;
        let Some(model) = record.model.as_deref() else { return };
        if record.event == "upgrade" {
            return self.upgraded(payload, *seq);
        }
        let text = |key: &str| payload.get(key).and_then(Value::as_str);
        let is = |key: &str| payload.get(key) == Some(&Value::Bool(true));
        let Some(version) = record.version.as_deref() else {
            match record.event.as_str() {
                "freeze" => self.frozen(model, *seq),
                "resume" => self.set(Kind::Freeze, model, None, "", None, *seq),
                _ => {}
            }
            return;
        };
        let of = (model, version);
        match record.event.as_str() {
            "stage" => {
                let Some(stage) = text("stage") else { return };
                let (from, to) = (text("from"), text("to"));
                match to {
                    Some(to) => self.pointer(model, stage, to, false, *seq),
                    None => self.set(Kind::Pointer, model, None, stage, None, *seq),
                }
                self.moved((model, stage), (from, to), &record.actor, is("foreign") || is("elsewhere"), *seq);
                let reason = text("reason").unwrap_or_default();
                self.move_made((model, stage), &record.ts, is("rollback"), reason, *seq);
            }
            "register" => {
                self.added(of, &record.actor, *seq);
                for field in FIELDS {
                    if let Some(value) = text(field) {
                        self.registered(of, field, value, *seq);
                    }
                }
            }
            "evidence" => {
                if let (Some(kind), Some(value)) = (text("kind"), payload.get("value")) {
                    self.evidence(of, kind, value, &record.actor, *seq);
                }
            }
            "approval" => self.approval(model, version, payload, *seq),
            "override" => self.exception(model, version, payload, *seq),
            "signal" => self.signal(of, payload, text("outcome") == Some("applied"), *seq),
            "unblock" => {
                if let Some(group) = text("group") {
                    self.set(Kind::Block, model, Some(version), group, None, *seq);
                }
            }
            "rollback" => {
                if let (Some(_), Some(at)) = (text("to"), text("ts")) {
                    self.rolled_back(model, version, at, *seq);
                }
                if is("automatic") {
                    self.frozen(model, *seq);
                }
            }
            "promotion" => {
                if let Some(id) = text("promotion_id") {
                    let place = (text("to_stage").unwrap_or("–"), text("at").unwrap_or("–"));
                    self.promotion(of, id, place, payload, *seq);
                }
            }
            "registry_drift" if is("recreated") => {
                self.made_anew(model, version, *seq);
                if let Some(created_ms) = payload.get("created_ms").and_then(Value::as_i64) {
                    self.anew(model, version, created_ms, &record.ts, *seq);
                }
            }
            "registry_drift" if is("deleted") => self.lost(model, version, *seq),
            "registry_drift" if is("returned") => self.set(Kind::Lost, model, Some(version), "", None, *seq),
            _ => {}
        }
    }

    /// What a signal brought is registered by whoever registers it first.
    fn added(&mut self, (model, version): (&str, &str), actor: &str, record: u64) {
        let by = self.get(&fact(Kind::Version, model, Some(version), ""));
        let is_own = |actor: &str| OWN_ACTORS.contains(&actor);
        if by.is_none_or(|by| is_own(by) && !is_own(actor)) {
            self.version(model, version, actor, record);
        }
    }

    fn signal(&mut self, (model, version): (&str, &str), payload: &Value, applied: bool, record: u64) {
        let text = |key: &str| payload.get("signal").and_then(|signal| signal.get(key)).and_then(Value::as_str);
        let (Some(group), Some(action)) = (text("group"), text("action")) else { return };
        let (id, ts) = (text("signal_id").unwrap_or_default(), text("ts").unwrap_or_default());
        self.given((model, version), id, Given { action, group, ts, applied }, record);
        let is_read =
            names::fault(model).is_none() && names::fault(version).is_none() && ts.parse::<jiff::Timestamp>().is_ok();
        if is_read && self.get(&fact(Kind::Version, model, Some(version), "")).is_none() {
            self.version(model, version, names::DRIFTGATE, record);
        }
        if !applied {
            return;
        }
        match action {
            "block" => {
                let (signal, since) = (text("signal_id").unwrap_or_default(), text("ts").unwrap_or_default());
                self.block((model, version), group, signal, since, record);
            }
            "clear" => self.set(Kind::Block, model, Some(version), group, None, record),
            "rollback" => self.signalled(model, version, text("signal_id").unwrap_or_default(), record),
            _ => {}
        }
    }

    /// A number that was deleted and made anew in MLflow has no past; a pointer on it stands for nothing.
    fn made_anew(&mut self, model: &str, version: &str, record: u64) {
        const PAST: [Kind; 7] = [
            Kind::Approval,
            Kind::Override,
            Kind::Evidence,
            Kind::Block,
            Kind::Registration,
            Kind::RolledBack,
            Kind::Lost,
        ];
        self.facts.retain(|fact, _| {
            !(fact.model == model && fact.version.as_deref() == Some(version) && PAST.contains(&fact.kind))
        });
        self.version(model, version, names::MLFLOW, record);
        let stood = format!("version {version}");
        for (fact, (value, at)) in &mut self.facts {
            if fact.kind == Kind::Pointer && fact.model == model && *value == stood {
                value.push_str(VOID);
                *at = record;
            }
        }
    }

    fn upgraded(&mut self, payload: &Value, record: u64) {
        let Ok(upgrade) = serde_json::from_value::<Upgrade>(payload.clone()) else { return };
        for Mismatch { fact, registry, .. } in upgrade.taken_over.iter().chain(&upgrade.changed) {
            match registry {
                Some(value) => drop(self.facts.insert(fact.clone(), (value.clone(), record))),
                None => drop(self.facts.remove(fact)),
            }
        }
        self.taken_over.extend(upgrade.taken_over);
    }

    /// Every fact on which this one, the log's, and the registry's do not agree.
    #[must_use]
    pub fn against(&self, registry: &Self) -> Vec<Mismatch> {
        let is_older = self.is_older || registry.is_older;
        let all: BTreeSet<&Fact> = self.facts.keys().chain(registry.facts.keys()).collect();
        all.into_iter()
            .filter(|fact| !(is_older && NEWER.contains(&fact.kind)))
            .filter_map(|fact| {
                let (log, has) = (self.facts.get(fact), registry.get(fact));
                (log.map(|(value, _)| value.as_str()) != has).then(|| Mismatch {
                    fact: fact.clone(),
                    log: log.map(|(value, _)| value.clone()),
                    record: log.map(|(_, record)| *record),
                    registry: has.map(str::to_owned),
                })
            })
            .collect()
    }
}

/// What registering says of a version.
pub const FIELDS: [&str; 5] = ["snapshot", "snapshot_sha256", "artifact_sha256", "artifact", "baseline_version"];

fn fact(kind: Kind, model: &str, version: Option<&str>, name: &str) -> Fact {
    Fact { kind, model: model.to_owned(), version: version.map(str::to_owned), name: name.to_owned() }
}

/// JSON with its keys in order, however it was written.
fn canonical(value: &Value) -> String {
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let ordered: BTreeMap<&String, Value> = map.iter().map(|(key, value)| (key, sorted(value))).collect();
                json!(ordered)
            }
            Value::Array(items) => items.iter().map(sorted).collect(),
            other => other.clone(),
        }
    }
    sorted(value).to_string()
}

fn digest(value: &Value) -> String {
    sha256_hex(canonical(value).as_bytes()).chars().take(16).collect()
}
