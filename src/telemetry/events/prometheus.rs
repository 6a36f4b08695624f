//! Queries to Prometheus whose samples become measurements.

use std::fmt::Display;

/// Prometheus does not answer a query; `failing` shows it as long as it holds.
pub struct QueryUnanswered<'a, E> {
    pub metric: &'a str,
    pub error: &'a E,
}

impl<E: Display> QueryUnanswered<'_, E> {
    pub fn emit(&self) {
        let Self { metric, error } = *self;
        tracing::warn!(metric, %error, "a query has no answer; it is asked again");
    }
}

/// Prometheus answers a query with a warning.
pub struct QueryWarned<'a> {
    pub metric: &'a str,
    pub warning: &'a str,
}

impl QueryWarned<'_> {
    pub fn emit(&self) {
        let Self { metric, warning } = *self;
        tracing::warn!(metric, warning, "Prometheus answers a query with a warning");
    }
}
