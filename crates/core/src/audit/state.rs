//! The content of a registry, as facts with their values: pointers with their moves, approvals, overrides, evidence, blocks,
//! registrations and promotions. Two such states are compared fact by fact: that of the log (`replay`) and that of the registry's
//! tables.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::event::SignalOutcome;
use super::fact::{Fact, Kind, Mismatch};
use crate::codec::hash::sha256_hex;

/// The end of the value of a pointer that is void.
pub(super) const VOID: &str = " (void)";

/// Facts that are not compared with the log in a file of a release before.
const NEWER: [Kind; 4] = [Kind::Registration, Kind::Move, Kind::Version, Kind::Given];

/// The action of a signal.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    pub action: &'a str,
    pub group: &'a str,
    pub ts: &'a str,
    pub outcome: SignalOutcome,
}

/// Facts with their values, and the records that they are from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    pub(super) facts: BTreeMap<Fact, (String, u64)>,
    /// Facts of a release before that its log did not have: they were taken over when the file was upgraded.
    pub taken_over: Vec<Mismatch>,
    /// A file of a release before: it mixes registrations with reports of MLflow, and its log has fewer fields.
    is_older: bool,
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

    /// The fields of a registration.
    #[must_use]
    pub fn registration(&self, model: &str, version: &str, field: &str) -> Option<&str> {
        self.get(&Fact::new(Kind::Registration, model, Some(version), field))
    }

    /// Leaves facts out of a comparison that a release before wrote in another form.
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
        let fact = Fact::new(Kind::Moves, model, None, stage);
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
        if let Some(name) = names.find(|name| !self.facts.contains_key(&Fact::new(Kind::Move, model, None, name))) {
            self.set(Kind::Move, model, None, &name, Some(value), record);
        }
    }

    /// The registration of a version, and its actor.
    pub fn version(&mut self, model: &str, version: &str, actor: &str, record: u64) {
        self.set(Kind::Version, model, Some(version), "", Some(actor.to_owned()), record);
    }

    /// A signal as it was given, and whether it was applied.
    pub fn given(&mut self, (model, version): (&str, &str), id: &str, given: Given<'_>, record: u64) {
        let Given { action, group, ts, outcome } = given;
        let value = format!("{action} of {group} at {ts}, {}", outcome.name());
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
        let mut free = name.filter(|name| !self.facts.contains_key(&Fact::new(kind, model, Some(version), name)));
        if let Some(name) = free.next() {
            self.set(kind, model, Some(version), &name, Some(text), record);
        }
    }

    pub(super) fn set(
        &mut self,
        kind: Kind,
        model: &str,
        version: Option<&str>,
        name: &str,
        value: Option<String>,
        record: u64,
    ) {
        let fact = Fact::new(kind, model, version, name);
        match value {
            Some(value) => drop(self.facts.insert(fact, (value, record))),
            None => drop(self.facts.remove(&fact)),
        }
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
