//! What the traffic routers of rollouts have, beside the rollouts: the last one of each model, and what is learnt of its routers.

use rusqlite::{Connection, OptionalExtension, params};

use super::change::Change;
use super::embedded::Embedded;
use super::error::RegistryError;
use super::gate::RequestContext;
use super::rollout_rows::{last, record, save};
use super::{pointers, rollouts};
use driftgate_core::audit::event::RolloutEvent;
use driftgate_core::audit::names::DRIFTGATE;
use driftgate_core::rollout::route::{self, Learnt};
use driftgate_core::rollout::{Input, State, plan_of};

/// The last rollout of a model, and the version that its last stage names now.
#[derive(Clone, Debug, PartialEq)]
pub struct Routed {
    pub state: State,
    pub standing: Option<String>,
}

impl Embedded {
    /// The last rollout of a model, under way or ended.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn routed(&self, model: &str) -> Result<Option<Routed>, RegistryError> {
        self.read(|tx| {
            let Some(state) = last(tx, model)? else { return Ok(None) };
            let standing = pointers::standing(tx, model, &state.to)?;
            Ok(Some(Routed { state, standing }))
        })
    }

    /// Takes note of what was learnt of a router of the rollout with this id. A router that somebody else moved pauses the rollout.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn learn_of_router(
        &self,
        context: &RequestContext<'_>,
        id: &str,
        router: &str,
        learnt: Learnt,
    ) -> Result<(), RegistryError> {
        self.write(context.now_ms, |change| learn(change, context, id, router, learnt))
    }
}

fn learn(
    change: &Change<'_>,
    context: &RequestContext<'_>,
    id: &str,
    router: &str,
    learnt: Learnt,
) -> Result<(), RegistryError> {
    let Some(mut state) = by_id(change, id)? else { return Ok(()) };
    let routers = plan_of(context.policy, &state).map_or(0, |plan| plan.traffic.len());
    if !route::learn(&mut state, router, routers, learnt.clone()) {
        return Ok(());
    }
    save(change, &state)?;
    match learnt {
        Learnt::Writing(_) => Ok(()),
        Learnt::Confirmed { percent, .. } => {
            let note = format!("{router} gives {percent}% of the traffic to version {}", state.candidate);
            record(change, DRIFTGATE, &state, RolloutEvent::Note { note })
        }
        Learnt::Mirrored(is_on) => {
            let note = if is_on { "mirrors all traffic" } else { "mirrors no traffic any more" };
            let note = format!("{router} {note} to version {}", state.candidate);
            record(change, DRIFTGATE, &state, RolloutEvent::Note { note })
        }
        Learnt::Moved(why) => {
            if state.phase.is_over() {
                return record(change, DRIFTGATE, &state, RolloutEvent::Note { note: why });
            }
            rollouts::advance(change, context, Input::Pause(why)).map(drop)
        }
    }
}

fn by_id(tx: &Connection, id: &str) -> Result<Option<State>, RegistryError> {
    let text: Option<String> = tx
        .prepare_cached("SELECT state FROM rollouts WHERE id = ?1")?
        .query_row(params![id], |row| row.get(0))
        .optional()?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}
