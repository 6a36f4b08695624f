//! A traffic router of a rollout: the weight that it should have, the one that it has, and who moved it.

use super::state::{Phase, State};
use super::traffic::{Route, Share};
use crate::policy::Rollout;

/// What is learnt of a router.
#[derive(Clone, Debug, PartialEq)]
pub enum Learnt {
    /// A weight is going to be written.
    Writing(f64),
    /// The weight was read back at this wall clock.
    Confirmed { percent: f64, at_ms: i64 },
    /// Somebody else changed the weight.
    Moved(String),
    /// A mirror is going to be set, or was taken away.
    Mirrored(bool),
}

/// What is to be done at a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It has the weight.
    Confirm,
    Write,
    /// It has a weight that was never written here: a person decides.
    Moved,
}

/// The candidate's share of the traffic in percent, where routers should follow a rollout. `standing` is the version that the
/// rollout's last stage names now. `None`: its routers are left alone.
#[must_use]
pub fn desired(state: &State, standing: Option<&str>) -> Option<f64> {
    if state.dry_run || state.external {
        return None;
    }
    if !state.phase.is_over() {
        return Some(state.weight);
    }
    // A rollout that never reached a router leaves it as it is.
    if state.routes.is_empty() {
        return None;
    }
    match (standing, state.champion.as_deref()) {
        (Some(standing), _) if standing == state.candidate => Some(state.weight),
        (standing, champion) if standing == champion => Some(0.0),
        // Neither of the two serves: this rollout has no backend for the one that does.
        _ => None,
    }
}

/// Whether the candidate should get a copy of every request: during a step of weight 0.
#[must_use]
pub fn is_mirrored(state: &State, plan: &Rollout) -> bool {
    let step = plan.steps.get(state.step);
    !state.dry_run
        && !state.external
        && state.phase == Phase::Progressing
        && step.is_some_and(|step| step.weight <= 0.0)
}

/// What to do at a router that should have `desired` and was seen to have `seen`; `None`: its backends have weights that are no
/// percentage.
#[must_use]
pub fn next(state: &State, router: &str, desired: f64, seen: Option<f64>) -> Next {
    if seen == Some(desired) {
        return Next::Confirm;
    }
    // What ended well or badly ends at the router, too, whoever changed it.
    if state.phase.is_over() {
        return Next::Write;
    }
    match state.routes.iter().find(|route| route.router == router) {
        Some(Route { confirmed: confirmed @ Some(_), writing, .. })
            if seen != *confirmed && (seen.is_none() || seen != *writing) =>
        {
            Next::Moved
        }
        _ => Next::Write,
    }
}

/// Whether the router needs no look until its weight is to change: the rollout is over, and it follows.
#[must_use]
pub fn is_settled(state: &State, router: &str, desired: f64) -> bool {
    state.phase.is_over()
        && state.routes.iter().any(|route| {
            route.router == router && route.confirmed == Some(desired) && route.writing.is_none() && !route.mirrored
        })
}

/// Whether a router has the weight of its rollout, as far as is known.
#[must_use]
pub fn follows(route: &Route, state: &State) -> bool {
    // After the end the weight follows the stage's pointer: what has to change is being written.
    let is_due = !state.phase.is_over() && route.confirmed != Some(state.weight);
    !is_due && route.writing.is_none() && route.moved.is_none()
}

/// Takes note of what was learnt of a router, one of so many that follow the rollout; whether that was new.
pub fn learn(state: &mut State, router: &str, routers: usize, learnt: Learnt) -> bool {
    let at = state.routes.iter().position(|route| route.router == router).unwrap_or_else(|| {
        let (router, unknown) = (router.to_owned(), None);
        state.routes.push(Route {
            router,
            confirmed: None,
            confirmed_ms: None,
            writing: None,
            moved: unknown,
            mirrored: false,
        });
        state.routes.len() - 1
    });
    let Some(route) = state.routes.get_mut(at) else { return false };
    let is_new = match learnt {
        Learnt::Writing(percent) => route.writing.replace(percent) != Some(percent),
        Learnt::Moved(why) => route.moved.replace(why).is_none(),
        Learnt::Mirrored(is_on) => std::mem::replace(&mut route.mirrored, is_on) != is_on,
        Learnt::Confirmed { percent, at_ms } => {
            let is_new = route.confirmed != Some(percent) || route.moved.is_some() || route.writing.is_some();
            if is_new {
                (route.confirmed, route.confirmed_ms) = (Some(percent), Some(at_ms));
                (route.writing, route.moved) = (None, None);
            }
            is_new
        }
    };
    let follow = state.routes.iter().filter(|route| follows(route, state)).count() >= routers;
    match state.share.since_ms {
        None if follow && !state.phase.is_over() => {
            state.share.since_ms = state.routes.iter().filter_map(|route| route.confirmed_ms).max();
        }
        Some(_) if !follow => state.share = Share::default(),
        _ => {}
    }
    is_new
}

/// A person says to go on: what others changed is written again.
pub(super) fn take_back(state: &mut State) {
    for route in state.routes.iter_mut().filter(|route| route.moved.is_some()) {
        (route.moved, route.confirmed, route.confirmed_ms) = (None, None, None);
    }
}
