//! The stages of a policy, as the API and the metrics name them.

use std::collections::HashSet;

use driftgate_core::policy::Policy;
use driftgate_core::promotion::PROD;

/// The stages the policy's transitions lead to, or prod.
pub(super) fn stages(policy: &Policy) -> Vec<&str> {
    let mut seen = HashSet::new();
    let stages: Vec<&str> = policy.transitions.iter().map(|t| t.to.as_str()).filter(|to| seen.insert(*to)).collect();
    if stages.is_empty() { vec![PROD] } else { stages }
}
