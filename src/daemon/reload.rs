//! SIGHUP: the policies are read again. Changed limits keep the counts and reset hysteresis; changed features, grid,
//! segments, labels or windows start that model's counts anew.

use std::sync::Arc;

use super::engine::Engine;
use super::sources;
use super::topics::Topic;
use crate::config::Config;
use crate::schema::Schema;

/// Takes over what changed in the policies; a file with errors changes nothing.
pub fn policies(engine: &mut Engine, config: &Config) {
    let fresh = match super::read_policies(config) {
        Ok(fresh) => fresh,
        Err(e) => {
            tracing::error!("the policies are not taken over: {e:#}");
            return;
        }
    };
    for policy in fresh {
        let name = policy.model.clone();
        let Some(model) = engine.models.iter_mut().find(|m| m.pipeline.policy.model == name) else {
            tracing::warn!(model = name, "a new policy: restart driftgate to start counting for it");
            continue;
        };
        if model.pipeline.policy.sha256 == policy.sha256 {
            continue;
        }
        if model.pipeline.adopt(Arc::clone(&policy)) {
            tracing::info!(model = name, "the policy's limits changed: counts are kept, hysteresis starts anew");
            continue;
        }
        tracing::warn!(model = name, "the policy changed in what it counts: this model's counts start anew");
        let schema = |m: &super::engine::Model| {
            if m.pipeline.policy.model == name {
                Arc::new(Schema::new(&policy))
            } else {
                Arc::clone(m.pipeline.intake.schema())
            }
        };
        let schemas: Vec<Arc<Schema>> = engine.models.iter().map(schema).collect();
        let limits = sources::limits(&config.limits);
        let keep_payload = config.publish.dead_letters.as_ref().is_some_and(|d| d.full_payload);
        let topics = config.sources.iter().map(|s| Topic::new(s, &schemas, limits, keep_payload)).collect();
        engine.start_anew(&policy, sources::setup(config), topics);
    }
}
