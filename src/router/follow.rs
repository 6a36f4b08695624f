//! The threads that bring the routers of every rollout to its weight: one for the objects of Kubernetes, one for AWS, and one for each
//! receiver, so that none of them waits for another that is away.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::error::RouterError;
use super::kubernetes::{Access, Cluster};
use super::receiver::Receiver;
use super::sagemaker::SageMaker;
use super::turn::{Outcome, Turn};
use crate::http_client::Calls;
use crate::ledger::{Embedded, RegistryError, Routed};
use crate::telemetry::events::routing::RouterBehind;
use crate::view::Shared;
use crate::view::failing::Part;
use driftgate_core::policy::{Policy, Rollout, Router};
use driftgate_core::rollout::{Route, State, plan_of, route};

/// Between two looks whether a rollout has another weight.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The first pause after something failed, and the longest: a rollback is waited for.
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Until a router is looked at again that takes a while to change.
const SOON: Duration = Duration::from_secs(1);

/// Follows the rollouts of all models.
pub struct Follower {
    /// `None`: no API server is known.
    pub access: Option<Access>,
    pub receivers: Vec<Receiver>,
    /// How AWS is called.
    pub calls: Calls,
    /// How often routers are asked whether somebody else changed them.
    pub every: Duration,
    pub registry: Arc<Embedded>,
    pub view: Shared,
}

/// What one thread brings weights to.
enum Lane {
    /// The API server's objects, and what no other lane has. It is set up when it is first needed, and anew until that is possible.
    Objects(Option<Cluster>),
    Aws(Option<SageMaker>),
    Receiver(Receiver),
}

/// What is known of a model's router between two looks.
struct Look {
    rollout: String,
    /// When it is due, unless the weight changes.
    due: Instant,
    failures: u32,
    /// The weight that it was about, and whether requests were mirrored.
    percent: f64,
    mirrored: bool,
}

impl Look {
    fn is_about(&self, rollout: &str, percent: f64, mirrored: bool) -> bool {
        self.rollout == rollout && self.percent.to_bits() == percent.to_bits() && self.mirrored == mirrored
    }
}

/// One of the threads.
struct Following {
    lane: Lane,
    /// The receivers that have lanes of their own.
    receivers: BTreeSet<String>,
    access: Option<Access>,
    calls: Calls,
    every: Duration,
    registry: Arc<Embedded>,
    view: Shared,
    /// By model and router.
    looks: BTreeMap<(String, String), Look>,
    /// What this thread said that it fails.
    failing: BTreeSet<Part>,
}

impl Follower {
    /// Starts the threads; they end when `stop` says so.
    ///
    /// # Errors
    /// A thread that cannot be started.
    pub fn start(self, stop: &(impl Fn() -> bool + Clone + Send + 'static)) -> std::io::Result<Vec<JoinHandle<()>>> {
        let Self { access, receivers, calls, every, registry, view } = self;
        let names: BTreeSet<String> = receivers.iter().map(|receiver| receiver.name.clone()).collect();
        let lanes = [Lane::Objects(None), Lane::Aws(None)].into_iter().chain(receivers.into_iter().map(Lane::Receiver));
        let follow = |lane| {
            let mut following = Following {
                lane,
                receivers: names.clone(),
                access: access.clone(),
                calls: calls.clone(),
                every,
                registry: Arc::clone(&registry),
                view: view.clone(),
                looks: BTreeMap::new(),
                failing: BTreeSet::new(),
            };
            let stop = stop.clone();
            thread::Builder::new().name("follow-rollouts".into()).spawn(move || {
                while !stop() {
                    following.round(&stop);
                    thread::sleep(LOOK_EVERY);
                }
                following.forget(&BTreeSet::new());
            })
        };
        lanes.map(follow).collect()
    }
}

impl Following {
    /// Whether a router is this thread's.
    fn has(&self, router: &Router) -> bool {
        match (&self.lane, router) {
            (Lane::Receiver(receiver), Router::Webhook { to, .. }) => receiver.name == *to,
            (Lane::Objects(_), Router::Webhook { to, .. }) => !self.receivers.contains(to),
            (Lane::Aws(_), router) => matches!(router, Router::SageMaker { .. }),
            (Lane::Objects(_), router) => !matches!(router, Router::SageMaker { .. }),
            (Lane::Receiver(_), _) => false,
        }
    }

    fn round(&mut self, stop: &dyn Fn() -> bool) {
        let policies: Vec<Arc<Policy>> =
            self.view.read().models.values().map(|seen| Arc::clone(&seen.policy)).collect();
        let mut seen = BTreeSet::new();
        for policy in &policies {
            let rollouts = policy.transitions.iter().filter_map(|t| t.rollout.as_ref());
            if !rollouts.flat_map(|rollout| &rollout.traffic).any(|router| self.has(router)) {
                continue;
            }
            // Of the registry others say that it fails.
            let Ok(Some(routed)) = self.registry.routed(&policy.model) else { return };
            let Some(plan) = plan_of(policy, &routed.state) else { continue };
            for router in &plan.traffic {
                if stop() {
                    return;
                }
                if self.has(router) {
                    self.look(policy, plan, &routed, router);
                    seen.insert(Part::Router(router.name()));
                }
            }
        }
        self.forget(&seen);
    }

    /// What no policy names any more fails no more.
    fn forget(&mut self, but: &BTreeSet<Part>) {
        let (kept, gone) = std::mem::take(&mut self.failing).into_iter().partition(|part| but.contains(part));
        self.failing = kept;
        let gone: BTreeSet<Part> = gone;
        gone.iter().for_each(|part| self.view.works(part));
    }

    /// Looks at a router, if that is due.
    fn look(&mut self, policy: &Policy, plan: &Rollout, Routed { state, standing }: &Routed, router: &Router) {
        let name = router.name();
        let wanted = route::desired(state, standing.as_deref());
        let Some(percent) = wanted.filter(|percent| !route::is_settled(state, &name, *percent)) else {
            return self.works(&name);
        };
        let mirrored = route::is_mirrored(state, plan);
        let key = (state.model.clone(), name.clone());
        let now = Instant::now();
        let known = self.looks.get(&key).filter(|look| look.is_about(&state.id, percent, mirrored));
        // A person said to go on: it is written again at once.
        let is_free = |route: &Route| route.router == name && route.confirmed.is_none() && route.moved.is_none();
        let is_taken_back = state.routes.iter().any(is_free);
        if known.is_some_and(|look| now < look.due && (look.failures > 0 || !is_taken_back)) {
            return;
        }
        let failures = known.map_or(0, |look| look.failures);
        let (due, failures) = match self.bring((policy, state), router, percent, mirrored) {
            Ok(Outcome::Settled) => {
                self.works(&name);
                (now + self.every, 0)
            }
            Ok(Outcome::Again) => (now, failures),
            Ok(Outcome::Soon) => (now + SOON, failures),
            // Another process of the cluster follows.
            Err(RouterError::Registry(RegistryError::Standby { .. })) => (now + self.every, 0),
            Err(error) => {
                let why = error.to_string();
                RouterBehind { router: &name, model: &state.model, failures, why: &why }.emit();
                let part = Part::Router(name);
                self.view.fails(part.clone(), why);
                self.failing.insert(part);
                let pause = PAUSE.saturating_mul(1 << failures.min(6)).min(LONGEST_PAUSE);
                (Instant::now() + pause, failures.saturating_add(1))
            }
        };
        self.looks.insert(key, Look { rollout: state.id.clone(), due, failures, percent, mirrored });
    }

    fn works(&mut self, name: &str) {
        let part = Part::Router(name.to_owned());
        if self.failing.remove(&part) {
            self.view.works(&part);
        }
    }

    /// Brings a router to a percentage.
    fn bring(
        &mut self,
        (policy, state): (&Policy, &State),
        router: &Router,
        percent: f64,
        mirrored: bool,
    ) -> Result<Outcome, RouterError> {
        let name = router.name();
        let turn = Turn { registry: &self.registry, view: &self.view, policy, state, name: &name, percent, mirrored };
        match (&mut self.lane, router) {
            (Lane::Receiver(receiver), Router::Webhook { body, .. }) => turn.tell(receiver, body.as_deref()),
            (Lane::Aws(aws), Router::SageMaker { endpoint, backends }) => {
                let ready = match aws.take() {
                    Some(ready) => ready,
                    None => SageMaker::new(&self.calls)?,
                };
                turn.weigh(endpoint, backends, aws.insert(ready))
            }
            (_, Router::Webhook { to, .. }) => Err(RouterError::NoReceiver { router: name.clone(), to: to.clone() }),
            (Lane::Objects(cluster), _) => {
                let missing = || RouterError::NoCluster { router: name.clone() };
                let ready = match cluster.take() {
                    Some(ready) => ready,
                    None => Cluster::new(self.access.as_ref().ok_or_else(missing)?)?,
                };
                turn.divide(router, cluster.insert(ready))
            }
            // No other lane has it.
            (Lane::Aws(_) | Lane::Receiver(_), _) => Ok(Outcome::Settled),
        }
    }
}
