//! What the registry says in a scrape: stages, gates, rollouts, rollbacks that are pending, and what waits to be told.

use super::page::{Page, Result, flag, real, set};
use crate::http::stages::stages;
use crate::http::standby;
use crate::ledger::{Embedded, Problem, RegistryError, RequestContext, UNCONFIRMED};
use crate::telemetry::metrics;
use crate::view::View;
use crate::view::stream_state;
use driftgate_core::promotion::version::{PendingRollback, VersionRecord};
use driftgate_core::rollout::{Phase, State, route};

/// What the registry holds, read at one moment.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    pub records: Vec<VersionRecord>,
    pub gates: Vec<GateLine>,
    /// The last rollout of each model.
    pub rollouts: Vec<State>,
    pub pending: Vec<PendingRollback>,
    /// Models whose automatic actions stand still.
    pub frozen: Vec<String>,
    /// Things that wait, by sink.
    pub waiting: Vec<(String, u64)>,
    /// What the external registry lost.
    pub problems: Vec<Problem>,
    /// Transactions that this process has written.
    pub transactions: u64,
}

/// Whether a version may be promoted to a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateLine {
    pub model: String,
    pub version: String,
    pub stage: String,
    pub passes: bool,
}

impl Ledger {
    /// Asks the registry everything a scrape shows; `now_ms` is the clock that freshness is measured by.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn read(view: &View, registry: &Embedded, now_ms: i64) -> std::result::Result<Self, RegistryError> {
        let mut ledger = Self {
            records: registry.versions(None)?,
            rollouts: registry.rollouts()?,
            pending: registry.pending_rollbacks()?,
            waiting: registry.waiting()?,
            problems: registry.problems(None)?,
            transactions: registry.transactions(),
            ..Self::default()
        };
        for (model, seen) in &view.models {
            if registry.frozen(model)?.is_some() {
                ledger.frozen.push(model.clone());
            }
            let of_version = |version: &str| stream_state::of(view, model, version);
            let context = RequestContext { policy: &seen.policy, live: &of_version, actor: "", now_ms };
            for version in seen.versions.keys() {
                for stage in stages(&seen.policy) {
                    let answer = standby::gate(view.cluster.as_ref(), registry, &context, version, stage);
                    let passes = answer.is_ok_and(|answer| answer.ok);
                    let (model, version, stage) = (model.clone(), version.clone(), stage.to_owned());
                    ledger.gates.push(GateLine { model, version, stage, passes });
                }
            }
        }
        Ok(ledger)
    }
}

pub(super) fn show(page: &Page, ledger: &Ledger) -> Result<()> {
    let pass = page.gauges(&metrics::GATE_PASS)?;
    for line in &ledger.gates {
        set(&pass, &[&line.model, &line.version, &line.stage], flag(line.passes))?;
    }
    let weight = page.gauges(&metrics::ROLLOUT_WEIGHT)?;
    let phase = page.gauges(&metrics::ROLLOUT_PHASE)?;
    let paused = page.gauges(&metrics::ROLLOUT_PAUSED)?;
    let traffic = page.gauges(&metrics::ROLLOUT_TRAFFIC)?;
    let has = page.gauges(&metrics::ROUTER_WEIGHT)?;
    let follows = page.gauges(&metrics::ROUTER_FOLLOWS)?;
    for state in &ledger.rollouts {
        let (model, version) = (state.model.as_str(), state.candidate.as_str());
        set(&weight, &[model, version], state.weight / 100.0)?;
        set(&paused, &[model, version], flag(state.paused.is_some()))?;
        if state.share.both > 0 {
            set(&traffic, &[model, version], real(state.share.candidate) / real(state.share.both))?;
        }
        for of in &state.routes {
            let labels = [model, version, of.router.as_str()];
            if let Some(percent) = of.confirmed {
                set(&has, &labels, percent / 100.0)?;
            }
            set(&follows, &labels, flag(route::follows(of, state)))?;
        }
        for one in Phase::ALL {
            set(&phase, &[model, version, one.name()], flag(one == state.phase))?;
        }
    }
    let pending = page.gauges(&metrics::ROLLBACK_PENDING)?;
    for rollback in &ledger.pending {
        set(&pending, &[&rollback.model, &rollback.from, &rollback.to], 1.0)?;
    }
    let frozen = page.gauges(&metrics::MODEL_FROZEN)?;
    for model in &ledger.frozen {
        set(&frozen, &[model], 1.0)?;
    }
    let drift = page.gauges(&metrics::REGISTRY_DRIFT)?;
    for problem in ledger.problems.iter().filter(|p| p.kind != UNCONFIRMED) {
        let (kind, name) = match (&problem.stage, &problem.version) {
            (Some(stage), _) => ("stage", stage),
            (None, Some(version)) => ("version", version),
            (None, None) => continue,
        };
        set(&drift, &[&problem.model, kind, name], 1.0)?;
    }
    page.count(&metrics::REGISTRY_TRANSACTIONS, ledger.transactions)?;
    let waiting = page.gauges(&metrics::UNDELIVERED)?;
    for (sink, count) in &ledger.waiting {
        set(&waiting, &[sink], real(*count))?;
    }
    Ok(())
}
