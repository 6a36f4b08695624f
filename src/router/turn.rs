//! One look at one router: it is brought to the weight of its rollout, or said to be somebody else's.

use serde_json::Value;

use super::division::{Division, changed_by};
use super::error::RouterError;
use super::kubernetes::{Cluster, MANAGER};
use super::places::{Target, backends, named};
use super::receiver::Receiver;
use super::sagemaker::SageMaker;
use crate::clock::now_ms;
use crate::ledger::{Embedded, RequestContext};
use crate::telemetry::events::routing::{RouterFollows, RouterMoved};
use crate::view::{Shared, stream_state};
use driftgate_core::audit::names::DRIFTGATE;
use driftgate_core::policy::traffic::Backends;
use driftgate_core::policy::{Policy, Router};
use driftgate_core::rollout::route::{Learnt, Next, next};
use driftgate_core::rollout::{Route, State};

/// A look at a router, which should have a percentage.
pub struct Turn<'a> {
    pub registry: &'a Embedded,
    pub view: &'a Shared,
    pub policy: &'a Policy,
    pub state: &'a State,
    /// `HTTPRoute ml/fraud`.
    pub name: &'a str,
    pub percent: f64,
    /// Whether the candidate gets a copy of every request.
    pub mirrored: bool,
}

/// What came of a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has the percentage, or a person decides.
    Settled,
    /// Something changed in between: it is looked at again at once.
    Again,
    /// It is on its way, and looked at again soon.
    Soon,
}

impl Turn<'_> {
    /// Tells a receiver the percentage, unless it has taken it before; it cannot be read.
    ///
    /// # Errors
    /// A receiver that does not answer, or that refuses.
    pub fn tell(&self, receiver: &Receiver, template: Option<&str>) -> Result<Outcome, RouterError> {
        if self.is_known() {
            return Ok(Outcome::Settled);
        }
        self.learn(Learnt::Writing(self.percent))?;
        receiver.tell(self.state, self.percent, template)?;
        self.confirm(true)
    }

    /// Reads an object, and patches it where it divides its traffic otherwise.
    ///
    /// # Errors
    /// An API server that does not answer, an object that is not there or has not the backends, a weight that is not kept.
    pub fn divide(&self, router: &Router, cluster: &Cluster) -> Result<Outcome, RouterError> {
        let (name, percent) = (self.name, self.percent);
        let Some(target) = Target::of(router, self.state)? else { return Ok(Outcome::Settled) };
        self.announce()?;
        let object = cluster.get(name, &target.path)?;
        let division = target.division(&object)?;
        let mirror = self.mirror(&target, &object, &division);
        match next(self.state, name, percent, division.percent()) {
            Next::Confirm if mirror.is_empty() => self.confirm(false),
            Next::Moved => {
                let who = changed_by(&object, MANAGER).unwrap_or_else(|| "somebody else".to_owned());
                self.moved(&division.shown(), &who)
            }
            Next::Confirm | Next::Write => {
                self.learn(Learnt::Writing(percent))?;
                if self.mirrored && !mirror.is_empty() {
                    self.learn(Learnt::Mirrored(true))?;
                }
                let weights = division.patch(percent);
                let operations = if self.mirrored { [weights, mirror].concat() } else { [mirror, weights].concat() };
                if !cluster.patch(name, &target.path, &operations.into())? {
                    return Ok(Outcome::Again);
                }
                let object = cluster.get(name, &target.path)?;
                let after = target.division(&object)?;
                if after.percent() == Some(percent) && self.mirror(&target, &object, &after).is_empty() {
                    return self.confirm(true);
                }
                Err(RouterError::NotKept { router: name.to_owned(), percent, found: after.shown() })
            }
        }
    }

    /// What has to change of the mirror. One that was never set here is left alone.
    fn mirror(&self, target: &Target, object: &Value, division: &Division) -> Vec<Value> {
        let is_ours = self.mirrored || self.route().is_some_and(|route| route.mirrored);
        let mirror = target.mirror().filter(|_| is_ours);
        mirror.map_or_else(Vec::new, |mirror| mirror.operations(object, division, self.mirrored))
    }

    /// Reads an endpoint, and sets the weights of its variants where it divides its traffic otherwise; it takes a while to do so.
    ///
    /// # Errors
    /// An API that does not answer, an endpoint that is not there or has not the variants.
    pub fn weigh(&self, endpoint: &str, of: &Backends, aws: &SageMaker) -> Result<Outcome, RouterError> {
        let (name, percent) = (self.name, self.percent);
        let (endpoint, backends) = (named(endpoint, name, self.state)?, backends(of, name, self.state)?);
        self.announce()?;
        let found = aws.endpoint(name, &endpoint, &backends)?;
        if found.is_changing {
            return Ok(Outcome::Soon);
        }
        match next(self.state, name, percent, found.division.percent()) {
            Next::Confirm => self.confirm(false),
            Next::Moved => self.moved(&found.division.shown(), "somebody else"),
            Next::Write => {
                self.learn(Learnt::Writing(percent))?;
                aws.set(name, &endpoint, &backends, percent)?;
                Ok(Outcome::Soon)
            }
        }
    }

    /// Of a rollout that is over nothing else says that the router has to change.
    fn announce(&self) -> Result<(), RouterError> {
        if self.state.phase.is_over() && !self.is_known() { self.learn(Learnt::Writing(self.percent)) } else { Ok(()) }
    }

    fn route(&self) -> Option<&Route> {
        self.state.routes.iter().find(|route| route.router == self.name)
    }

    /// Whether the registry has it that the router has the percentage, and nothing else.
    fn is_known(&self) -> bool {
        let has =
            |route: &Route| route.confirmed == Some(self.percent) && route.writing.is_none() && route.moved.is_none();
        self.route().is_some_and(has)
    }

    /// It has the percentage, as it was found or after it was written.
    fn confirm(&self, is_written: bool) -> Result<Outcome, RouterError> {
        if is_written || !self.is_known() {
            let Self { name, percent, state: State { model, candidate, .. }, .. } = self;
            RouterFollows { router: name, model, version: candidate, percent: *percent }.emit();
            self.learn(Learnt::Confirmed { percent: *percent, at_ms: now_ms() })?;
        }
        if !self.mirrored && self.route().is_some_and(|route| route.mirrored) {
            self.learn(Learnt::Mirrored(false))?;
        }
        Ok(Outcome::Settled)
    }

    /// Somebody else changed it: a person decides.
    fn moved(&self, found: &str, who: &str) -> Result<Outcome, RouterError> {
        let Self { name, percent, state: State { model, candidate, .. }, .. } = self;
        if self.route().is_none_or(|route| route.moved.is_none()) {
            let why = format!(
                "{name} gives {found} of the traffic to version {candidate} in place of {percent}%, changed by {who}: resume to set {percent}% again"
            );
            RouterMoved { router: name, model, why: &why }.emit();
            self.learn(Learnt::Moved(why))?;
        }
        Ok(Outcome::Settled)
    }

    fn learn(&self, learnt: Learnt) -> Result<(), RouterError> {
        let live = |version: &str| stream_state::current(self.view, &self.policy.model, version);
        let context = RequestContext { policy: self.policy, live: &live, actor: DRIFTGATE, now_ms: now_ms() };
        Ok(self.registry.learn_of_router(&context, &self.state.id, self.name, learnt)?)
    }
}
