//! Traffic routers that follow the weights of rollouts.

use super::is_told;

/// A router has the weight of its rollout.
pub struct RouterFollows<'a> {
    pub router: &'a str,
    pub model: &'a str,
    pub version: &'a str,
    pub percent: f64,
}

impl RouterFollows<'_> {
    pub fn emit(&self) {
        let Self { router, model, version, percent } = *self;
        tracing::info!(router, model, version, percent, "the router has the weight of the rollout");
    }
}

/// A router does not have the weight of its rollout; that is tried again.
pub struct RouterBehind<'a> {
    pub router: &'a str,
    pub model: &'a str,
    /// How many attempts failed before it, one after the other.
    pub failures: u32,
    pub why: &'a str,
}

impl RouterBehind<'_> {
    pub fn emit(&self) {
        let Self { router, model, failures, why } = *self;
        if is_told(failures) {
            tracing::warn!(
                router,
                model,
                attempt = failures.saturating_add(1),
                "the router does not have the weight of the rollout yet: {why}"
            );
        }
    }
}

/// Somebody else changed a router under a rollout, which is paused.
pub struct RouterMoved<'a> {
    pub router: &'a str,
    pub model: &'a str,
    pub why: &'a str,
}

impl RouterMoved<'_> {
    pub fn emit(&self) {
        let Self { router, model, why } = *self;
        tracing::warn!(router, model, "the rollout is paused: {why}");
    }
}
