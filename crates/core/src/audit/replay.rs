//! The state that follows from the log, record by record, as facts that are compared with a registry's tables.

use serde_json::json;

use super::chain::{LogRow, Record};
use super::event::{Event, Register, RegistryDrift, SignalOutcome, StageMoved};
use super::fact::{Fact, Kind, Mismatch, Upgrade};
use super::names::{self, OWN_ACTORS};
use super::state::{Given, State, VOID};
use crate::judge::verdict::{Action, Signal};

/// The facts of a version that was deleted and made again.
const PAST: [Kind; 7] =
    [Kind::Approval, Kind::Override, Kind::Evidence, Kind::Block, Kind::Registration, Kind::RolledBack, Kind::Lost];

impl State {
    /// Applies the records one after the other. One that cannot be read is passed over; `verify` checks whether the log is whole.
    #[must_use]
    pub fn of_log<'r>(rows: impl IntoIterator<Item = &'r LogRow>) -> Self {
        let mut state = Self::default();
        for row in rows {
            if let Ok(record) = Record::read(&row.bytes) {
                state.take(&record);
            }
        }
        state
    }

    fn take(&mut self, record: &Record) {
        let seq = record.seq;
        let Some(model) = record.model.as_deref() else { return };
        let event = Event::of(record);
        match (event, record.version.as_deref()) {
            (Event::Upgrade(upgrade), _) => self.upgraded(upgrade, seq),
            (Event::Freeze { .. }, None) => self.frozen(model, seq),
            (Event::Resume {}, None) => self.set(Kind::Freeze, model, None, "", None, seq),
            (event, Some(version)) => self.take_of_version((model, version), event, record),
            (_, None) => {}
        }
    }

    fn take_of_version(&mut self, of: (&str, &str), event: Event, record: &Record) {
        let (model, version) = of;
        let seq = record.seq;
        match event {
            Event::Stage(moved) => self.stage(model, &moved, record),
            Event::Register(register) => {
                self.added(of, &record.actor, seq);
                if let Register::Given(given) = register {
                    given.fields().for_each(|(field, value)| self.registered(of, field, value, seq));
                }
            }
            Event::Evidence { kind, value, .. } => self.evidence(of, &kind, &value, &record.actor, seq),
            Event::Approval(approval) => self.approval(model, version, &json!(approval), seq),
            Event::Override(given) => self.exception(model, version, &json!(given), seq),
            Event::Signal { outcome, signal, .. } => self.signal(of, &signal, outcome, seq),
            Event::Unblock { group, .. } => self.set(Kind::Block, model, Some(version), &group, None, seq),
            Event::Rollback { to, ts, automatic, .. } => {
                if to.is_some() {
                    self.rolled_back(model, version, &ts, seq);
                }
                if automatic {
                    self.frozen(model, seq);
                }
            }
            Event::Promotion(promoted) => {
                if let Some(id) = promoted.text("promotion_id") {
                    let or_none = |key| promoted.text(key).unwrap_or_else(|| "–".to_owned());
                    let (to, at) = (or_none("to_stage"), or_none("at"));
                    self.promotion(of, &id, (&to, &at), &promoted.0, seq);
                }
            }
            Event::RegistryDrift(RegistryDrift::Recreated { created_ms, .. }) => {
                self.made_anew((model, version), &record.actor, seq);
                if let Some(created_ms) = created_ms {
                    self.anew(model, version, created_ms, &record.ts, seq);
                }
            }
            Event::RegistryDrift(RegistryDrift::Deleted { .. }) => self.lost(model, version, seq),
            Event::RegistryDrift(RegistryDrift::Returned { .. }) => {
                self.set(Kind::Lost, model, Some(version), "", None, seq);
            }
            // They change no fact.
            Event::RegistryDrift(RegistryDrift::Moved { .. })
            | Event::Gate { .. }
            | Event::Rollout(_)
            | Event::RollbackDrill { .. }
            | Event::RollbackConfirmed { .. }
            | Event::Reported { .. }
            | Event::Freeze { .. }
            | Event::Resume {}
            | Event::Upgrade(_)
            | Event::Other { .. } => {}
        }
    }

    fn stage(&mut self, model: &str, moved: &StageMoved, record: &Record) {
        let StageMoved { stage, from, to, reason, rollback, elsewhere, foreign } = moved;
        match to {
            Some(to) => self.pointer(model, stage, to, false, record.seq),
            None => self.set(Kind::Pointer, model, None, stage, None, record.seq),
        }
        let is = |mark: &Option<bool>| *mark == Some(true);
        let places = (from.as_deref(), to.as_deref());
        self.moved((model, stage), places, &record.actor, is(foreign) || is(elsewhere), record.seq);
        self.move_made((model, stage), &record.ts, is(rollback), reason, record.seq);
    }

    /// A version that a signal or the external registry made known is registered by the first person who registers it.
    fn added(&mut self, (model, version): (&str, &str), actor: &str, record: u64) {
        let by = self.get(&Fact::new(Kind::Version, model, Some(version), ""));
        let is_own = |actor: &str| OWN_ACTORS.contains(&actor);
        if by.is_none_or(|by| is_own(by) && !is_own(actor)) {
            self.version(model, version, actor, record);
        }
    }

    fn signal(&mut self, of: (&str, &str), signal: &Signal, outcome: SignalOutcome, record: u64) {
        let (model, version) = of;
        let Signal { signal_id, ts, group, action, .. } = signal;
        self.given(of, signal_id, Given { action: action.name(), group, ts, outcome }, record);
        let is_read =
            names::fault(model).is_none() && names::fault(version).is_none() && ts.parse::<jiff::Timestamp>().is_ok();
        if is_read && self.get(&Fact::new(Kind::Version, model, Some(version), "")).is_none() {
            self.version(model, version, names::DRIFTGATE, record);
        }
        if outcome == SignalOutcome::Ignored {
            return;
        }
        match action {
            Action::Block => self.block(of, group, signal_id, ts, record),
            Action::Clear => self.set(Kind::Block, model, Some(version), group, None, record),
            Action::Rollback => self.signalled(model, version, signal_id, record),
        }
    }

    /// A version number that was deleted and made anew in the external registry has no past; pointers on it are void.
    fn made_anew(&mut self, (model, version): (&str, &str), actor: &str, record: u64) {
        self.facts.retain(|fact, _| {
            !(fact.model == model && fact.version.as_deref() == Some(version) && PAST.contains(&fact.kind))
        });
        self.version(model, version, actor, record);
        let stood = format!("version {version}");
        for (fact, (value, at)) in &mut self.facts {
            if fact.kind == Kind::Pointer && fact.model == model && *value == stood {
                value.push_str(VOID);
                *at = record;
            }
        }
    }

    fn upgraded(&mut self, upgrade: Upgrade, record: u64) {
        for Mismatch { fact, registry, .. } in upgrade.taken_over.iter().chain(&upgrade.changed) {
            match registry {
                Some(value) => drop(self.facts.insert(fact.clone(), (value.clone(), record))),
                None => drop(self.facts.remove(fact)),
            }
        }
        self.taken_over.extend(upgrade.taken_over);
    }
}
