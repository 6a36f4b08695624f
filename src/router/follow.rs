//! One thread that brings the routers of every rollout to its weight. What fails at one holds up no other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
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
use driftgate_core::policy::{Policy, Router};
use driftgate_core::rollout::{Route, plan_of, route};

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

/// What is known of a router of a rollout between two looks.
struct Look {
    /// When it is due, unless the weight changes.
    due: Instant,
    failures: u32,
    /// The weight that it was about.
    percent: f64,
}

impl Look {
    fn is_about(&self, percent: f64) -> bool {
        self.percent.to_bits() == percent.to_bits()
    }
}

/// What the thread remembers.
#[derive(Default)]
struct Memory {
    cluster: Option<Cluster>,
    aws: Option<SageMaker>,
    /// By rollout and router.
    looks: BTreeMap<(String, String), Look>,
}

impl Follower {
    /// Starts the thread; it ends when `stop` says so.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(self, stop: impl Fn() -> bool + Send + 'static) -> std::io::Result<thread::JoinHandle<()>> {
        thread::Builder::new().name("follow-rollouts".into()).spawn(move || {
            let mut memory = Memory::default();
            while !stop() {
                self.round(&mut memory, &stop);
                thread::sleep(LOOK_EVERY);
            }
        })
    }

    fn round(&self, memory: &mut Memory, stop: &dyn Fn() -> bool) {
        let policies: Vec<Arc<Policy>> =
            self.view.read().models.values().map(|seen| Arc::clone(&seen.policy)).collect();
        let has_routers = |policy: &Policy| {
            policy.transitions.iter().filter_map(|t| t.rollout.as_ref()).any(|rollout| !rollout.traffic.is_empty())
        };
        for policy in policies.iter().filter(|policy| has_routers(policy)) {
            // Of the registry others say that it fails.
            let Ok(Some(routed)) = self.registry.routed(&policy.model) else { continue };
            let Some(plan) = plan_of(policy, &routed.state) else { continue };
            for router in &plan.traffic {
                if stop() {
                    return;
                }
                self.look(policy, &routed, router, memory);
            }
        }
    }

    /// Looks at a router, if that is due.
    fn look(&self, policy: &Policy, Routed { state, standing }: &Routed, router: &Router, memory: &mut Memory) {
        let name = router.name();
        let part = Part::Router(name.clone());
        let wanted = route::desired(state, standing.as_deref());
        let Some(percent) = wanted.filter(|percent| !route::is_settled(state, &name, *percent)) else {
            self.view.works(&part);
            return;
        };
        let key = (state.id.clone(), name.clone());
        let now = Instant::now();
        // A person said to go on: it is written again at once.
        let is_free = |route: &Route| route.router == name && route.confirmed.is_none() && route.moved.is_none();
        let is_taken_back = state.routes.iter().any(is_free);
        let waits = |look: &Look| look.is_about(percent) && now < look.due && (look.failures > 0 || !is_taken_back);
        if memory.looks.get(&key).is_some_and(waits) {
            return;
        }
        let failures = memory.looks.get(&key).filter(|look| look.is_about(percent)).map_or(0, |look| look.failures);
        let (registry, view) = (&self.registry, &self.view);
        let turn = Turn { registry, view, policy, state, name: &name, percent };
        let done = match router {
            Router::Webhook { to, body } => {
                let receiver = self.receivers.iter().find(|receiver| receiver.name == *to);
                receiver
                    .ok_or_else(|| RouterError::NoReceiver { router: name.clone(), to: to.clone() })
                    .and_then(|receiver| turn.tell(receiver, body.as_deref()))
            }
            Router::SageMaker { endpoint, backends } => {
                self.aws(memory).and_then(|aws| turn.weigh(endpoint, backends, aws))
            }
            _ => self.cluster(&name, memory).and_then(|cluster| turn.divide(router, cluster)),
        };
        let look = match done {
            Ok(Outcome::Settled) => {
                self.view.works(&part);
                Look { due: now + self.every, failures: 0, percent }
            }
            Ok(Outcome::Again) => Look { due: now, failures, percent },
            Ok(Outcome::Soon) => Look { due: now + SOON, failures, percent },
            // Another process of the cluster follows.
            Err(RouterError::Registry(RegistryError::Standby { .. })) => {
                Look { due: now + self.every, failures: 0, percent }
            }
            Err(error) => {
                let why = error.to_string();
                RouterBehind { router: &name, model: &state.model, failures, why: &why }.emit();
                self.view.fails(part, why);
                let pause = PAUSE.saturating_mul(1 << failures.min(6)).min(LONGEST_PAUSE);
                Look { due: Instant::now() + pause, failures: failures.saturating_add(1), percent }
            }
        };
        memory.looks.insert(key, look);
        // Rollouts of before are not looked at any more.
        memory.looks.retain(|(id, of), _| *id == state.id || *of != name);
    }

    /// The API server, whose access is set up when it is first needed, and anew until that is possible.
    fn cluster<'m>(&self, router: &str, memory: &'m mut Memory) -> Result<&'m Cluster, RouterError> {
        let cluster = if let Some(cluster) = memory.cluster.take() {
            cluster
        } else {
            let missing = || RouterError::NoCluster { router: router.to_owned() };
            Cluster::new(self.access.as_ref().ok_or_else(missing)?)?
        };
        Ok(memory.cluster.insert(cluster))
    }

    /// AWS, likewise.
    fn aws<'m>(&self, memory: &'m mut Memory) -> Result<&'m SageMaker, RouterError> {
        let aws = match memory.aws.take() {
            Some(aws) => aws,
            None => SageMaker::new(&self.calls)?,
        };
        Ok(memory.aws.insert(aws))
    }
}
