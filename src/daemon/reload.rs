//! SIGHUP: the policies are read again. Changed limits keep the counts and reset hysteresis; changed features, grid,
//! segments, labels or windows start that model's counts anew.

use std::sync::Arc;

use super::engine::Engine;
use super::sources;
use super::topics::Topic;
use crate::config::Config;
use crate::pipeline::Pipeline;
use crate::schema::Schema;

/// Takes over what changed in the policies; a file with errors changes nothing.
pub fn policies(engine: &Engine, config: &Config) {
    let fresh = match super::read_policies(config) {
        Ok(fresh) => fresh,
        Err(e) => {
            tracing::error!("the policies are not taken over: {e:#}");
            return;
        }
    };
    for policy in fresh {
        let name = policy.model.clone();
        let mut world = engine.resting();
        let Some(model) = world.models.iter_mut().find(|m| m.policy.model == name) else {
            tracing::warn!(model = name, "a new policy: restart driftgate to start counting for it");
            continue;
        };
        if model.policy.sha256 == policy.sha256 {
            continue;
        }
        if model.adopt(Arc::clone(&policy)) {
            tracing::info!(model = name, "the policy's limits changed: counts are kept, hysteresis starts anew");
            continue;
        }
        tracing::warn!(model = name, "the policy changed in what it counts: this model's counts start anew");
        let schema = |m: &Pipeline| {
            if m.policy.model == name { Arc::new(Schema::new(&policy)) } else { Arc::clone(m.intake().schema()) }
        };
        let schemas: Vec<Arc<Schema>> = world.models.iter().map(schema).collect();
        drop(world);
        let limits = sources::limits(&config.limits);
        let keep_payload = config.publish.dead_letters.as_ref().is_some_and(|d| d.full_payload);
        let topics = config.sources.iter().map(|s| Topic::new(s, &schemas, limits, keep_payload)).collect();
        engine.start_anew(&policy, sources::setup(config), topics);
    }
}
