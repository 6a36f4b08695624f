//! What is known of a model while its problems are collected.

use super::types::{ModelFacts, Problem, Severity, quoted};
use crate::view::ModelView;

pub(super) struct Found<'a> {
    pub model: &'a str,
    pub seen: &'a ModelView,
    pub facts: &'a ModelFacts,
    pub now_ms: i64,
}

impl Found<'_> {
    pub fn problem(
        &self,
        severity: Severity,
        version: Option<&str>,
        problem: impl Into<String>,
        next: String,
    ) -> Problem {
        Problem {
            severity,
            model: Some(self.model.to_owned()),
            version: version.map(str::to_owned),
            problem: problem.into(),
            next: Some(next),
        }
    }

    pub fn explain(&self, version: &str, why: &str) -> String {
        format!("driftgate explain {} {}   # {why}", quoted(self.model), quoted(version))
    }
}
