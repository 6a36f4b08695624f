//! Policies that are read again, or that a state was counted by.

use std::fmt::Display;

/// A model's policy is another one than its counts were made by.
pub enum PolicyChanged<'a> {
    /// In its limits alone.
    Limits { model: &'a str },
    /// In what it counts.
    Counts { model: &'a str },
    /// It is the same, and this release counts something else for one of its rules.
    Rule { model: &'a str, rule: &'a str },
}

impl PolicyChanged<'_> {
    pub fn emit(&self) {
        match *self {
            Self::Limits { model } => {
                tracing::info!(model, "the policy's limits changed: counts are kept, hysteresis starts anew");
            }
            Self::Counts { model } => {
                tracing::warn!(model, "the policy changed in what it counts: this model's counts start anew");
            }
            Self::Rule { model, rule } => tracing::warn!(
                model,
                rule,
                "the release before kept other counts for this rule: this model's counts start anew"
            ),
        }
    }
}

/// Policies cannot be used, and those read before hold; `failing` shows it.
pub struct PoliciesRefused<E> {
    pub error: E,
}

impl<E: Display> PoliciesRefused<E> {
    pub fn emit(&self) {
        tracing::error!("the policies are not taken over: {:#}", self.error);
    }
}

/// A policy of a model that is not counted yet; `failing` shows it.
pub struct ModelAdded<'a> {
    pub model: &'a str,
}

impl ModelAdded<'_> {
    pub fn emit(&self) {
        tracing::warn!(model = self.model, "a new policy: restart driftgate to start counting for it");
    }
}

/// The policy of a model that is counted is gone; `failing` shows it.
pub struct ModelRemoved<'a> {
    pub model: &'a str,
}

impl ModelRemoved<'_> {
    pub fn emit(&self) {
        tracing::warn!(model = self.model, "its policy is gone, and the one read before holds until a restart");
    }
}
