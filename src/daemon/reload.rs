//! SIGHUP: tokens and policies are read again. Changed limits keep the counts and reset hysteresis; changed features, grid,
//! segments, labels or windows start that model's counts anew.

use std::sync::Arc;

use super::engine::Engine;
use super::sources;
use crate::config::Config;
use crate::http::Access;
use crate::sink::ingest::{Entry, Ingest};
use crate::telemetry::events::http::{TokensRead, TokensRefused};
use crate::telemetry::events::policies::{ModelAdded, ModelRemoved, PoliciesRefused, PolicyChanged};
use crate::view::Shared;
use crate::view::failing::Part;
use driftgate_core::pipeline::Pipeline;
use driftgate_core::policy::Policy;
use driftgate_core::schema::Schema;

/// Takes over the tokens; those that cannot be used change nothing.
pub fn tokens(access: &Access, ingest: &Ingest, view: &Shared) {
    let of_sources = ingest.entries().try_for_each(Entry::reload);
    if let Err(e) = &of_sources {
        TokensRefused { error: &format!("{e:#}") }.emit();
        view.fails(Part::Tokens, format!("{e:#}"));
    }
    match access.reload() {
        Ok(count) => {
            TokensRead { tokens: count }.emit();
            if of_sources.is_ok() {
                view.works(&Part::Tokens);
            }
        }
        Err(e) => {
            TokensRefused { error: &e }.emit();
            view.fails(Part::Tokens, e.to_string());
        }
    }
}

/// Takes over what changed in the policies, of a unit in those of its models; a file with errors changes nothing.
pub fn policies(engine: &Engine, config: &Config, view: &Shared, is_unit: bool) {
    let mut fresh = match super::policies::read_policies(config) {
        Ok(fresh) => fresh,
        Err(e) => {
            PoliciesRefused { error: &e }.emit();
            view.fails(Part::Policies, format!("those read before hold: {e:#}"));
            return;
        }
    };
    if is_unit {
        // Others count the other models.
        let counted: Vec<String> = engine.resting().models.iter().map(|m| m.policy.model.clone()).collect();
        fresh.retain(|policy| counted.contains(&policy.model));
    }
    report_models(engine, &fresh, view);
    for policy in fresh {
        let name = policy.model.clone();
        let mut world = engine.resting();
        let Some(model) = world.models.iter_mut().find(|m| m.policy.model == name) else {
            continue;
        };
        if model.policy.sha256 == policy.sha256 {
            continue;
        }
        if model.adopt(Arc::clone(&policy)) {
            PolicyChanged::Limits { model: &name }.emit();
            continue;
        }
        if engine.is_divided() {
            // All shards would have to change that at the same event.
            let why = format!(
                "what the policy of {name:?} counts has changed: with divided partitions that takes a restart of all processes"
            );
            view.fails(Part::Policies, why);
            continue;
        }
        PolicyChanged::Counts { model: &name }.emit();
        let schema = |m: &Pipeline| {
            if m.policy.model == name { Arc::new(Schema::new(&policy)) } else { Arc::clone(m.intake().schema()) }
        };
        let schemas: Vec<Arc<Schema>> = world.models.iter().map(schema).collect();
        let topics = world.topics.iter().map(|topic| topic.with_schemas(&schemas)).collect();
        drop(world);
        engine.start_anew(&policy, sources::setup(config), topics);
    }
}

/// Says which models a restart would add or leave out.
fn report_models(engine: &Engine, fresh: &[Arc<Policy>], view: &Shared) {
    let counted: Vec<String> = engine.resting().models.iter().map(|m| m.policy.model.clone()).collect();
    let mut why: Vec<String> = Vec::new();
    for new in fresh.iter().map(|p| &p.model).filter(|m| !counted.contains(m)) {
        ModelAdded { model: new }.emit();
        why.push(format!("the model {new:?} is new and counted after a restart only"));
    }
    for gone in counted.iter().filter(|m| !fresh.iter().any(|p| p.model == **m)) {
        ModelRemoved { model: gone }.emit();
        why.push(format!("the model {gone:?} has none any more, and the one read before holds until a restart"));
    }
    match why.as_slice() {
        [] => view.works(&Part::Policies),
        why => view.fails(Part::Policies, why.join("; ")),
    }
}
