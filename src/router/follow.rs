//! One thread that brings the routers of every rollout to its weight. What fails at one holds up no other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::division::changed_by;
use super::error::RouterError;
use super::kubernetes::{Access, Cluster, MANAGER};
use super::places::Target;
use super::receiver::Receiver;
use crate::clock::now_ms;
use crate::ledger::{Embedded, RegistryError, RequestContext, Routed, plan_of};
use crate::telemetry::events::routing::{RouterBehind, RouterFollows, RouterMoved};
use crate::view::Shared;
use crate::view::failing::Part;
use crate::view::stream_state;
use driftgate_core::audit::names::DRIFTGATE;
use driftgate_core::policy::{Policy, Router};
use driftgate_core::rollout::State;
use driftgate_core::rollout::route::{self, Learnt, Next};

/// Between two looks whether a rollout has another weight.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The first pause after something failed, and the longest: a rollback is waited for.
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Follows the rollouts of all models.
pub struct Follower {
    /// `None`: no API server is known.
    pub access: Option<Access>,
    pub receivers: Vec<Receiver>,
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
        if memory.looks.get(&key).is_some_and(|look| look.is_about(percent) && now < look.due) {
            return;
        }
        let failures = memory.looks.get(&key).filter(|look| look.is_about(percent)).map_or(0, |look| look.failures);
        let done = self.bring(policy, state, router, percent, memory);
        let look = match done {
            Ok(true) => {
                self.view.works(&part);
                Look { due: now + self.every, failures: 0, percent }
            }
            // Something changed under the patch: it is read again at once.
            Ok(false) => Look { due: now, failures, percent },
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

    /// Brings a router to a percentage; whether it has it, or a person decides.
    fn bring(
        &self,
        policy: &Policy,
        state: &State,
        router: &Router,
        percent: f64,
        memory: &mut Memory,
    ) -> Result<bool, RouterError> {
        let name = router.name();
        let learn = |learnt| Ok::<_, RouterError>(self.learn(policy, state, &name, learnt)?);
        let confirm = || {
            let is_new = !state.routes.iter().any(|route| route.router == name && route.confirmed == Some(percent));
            if is_new {
                RouterFollows { router: &name, model: &state.model, version: &state.candidate, percent }.emit();
            }
            learn(Learnt::Confirmed { percent, at_ms: now_ms() }).map(|()| true)
        };
        if let Router::Webhook { to, body } = router {
            // It cannot be read: what it was told is what it has.
            let has = state.routes.iter().find(|route| route.router == name).and_then(|route| route.confirmed);
            if has == Some(percent) {
                return Ok(true);
            }
            let receiver = self.receivers.iter().find(|receiver| receiver.name == *to);
            let missing = || RouterError::NoReceiver { router: name.clone(), to: to.clone() };
            learn(Learnt::Writing(percent))?;
            receiver.ok_or_else(missing)?.tell(state, percent, body.as_deref())?;
            return confirm();
        }
        let Some(target) = Target::of(router, state)? else { return Ok(true) };
        // Of a rollout that is over nothing else says that the router has to change.
        if state.phase.is_over() && !route::is_settled(state, &name, percent) {
            learn(Learnt::Writing(percent))?;
        }
        let cluster = self.cluster(&name, memory)?;
        let object = cluster.get(&name, &target.path)?;
        let division = target.division(&object)?;
        match route::next(state, &name, percent, division.percent()) {
            Next::Confirm => confirm(),
            Next::Moved => {
                let who = changed_by(&object, MANAGER).unwrap_or_else(|| "somebody else".to_owned());
                let why = format!(
                    "{name} gives {} of the traffic to version {} in place of {percent}%, changed by {who}: resume to set {percent}% again",
                    division.shown(),
                    state.candidate
                );
                if !state.routes.iter().any(|route| route.router == name && route.moved.is_some()) {
                    RouterMoved { router: &name, model: &state.model, why: &why }.emit();
                }
                learn(Learnt::Moved(why)).map(|()| true)
            }
            Next::Write => {
                learn(Learnt::Writing(percent))?;
                if !cluster.patch(&name, &target.path, &division.patch(percent))? {
                    return Ok(false);
                }
                let after = target.division(&cluster.get(&name, &target.path)?)?;
                if after.percent() == Some(percent) {
                    return confirm();
                }
                Err(RouterError::NotKept { router: name.clone(), percent, found: after.shown() })
            }
        }
    }

    fn learn(&self, policy: &Policy, state: &State, router: &str, learnt: Learnt) -> Result<(), RegistryError> {
        let live = |version: &str| stream_state::current(&self.view, &policy.model, version);
        let context = RequestContext { policy, live: &live, actor: DRIFTGATE, now_ms: now_ms() };
        self.registry.learn_of_router(&context, &state.id, router, learnt)
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
}
