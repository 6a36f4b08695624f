//! What the tests of the gates share.

use std::path::Path;

use serde_json::Value;

use super::types::{Dossier, Evidence};
use crate::policy::Policy;

/// A digest; it holds an `a`.
pub const HEX: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

/// A policy with two transitions; `prod` is what the one to prod says beside its checks, like `evidence: [tests]`.
pub fn policy(prod: &str) -> Policy {
    let comma = if prod.is_empty() { "" } else { ", " };
    let text = format!(
        "apiVersion: driftgate/v1
model: m
features: {{numeric: [a, b]}}
checks: {{slo: {{window: {{size: 1h, slide: 1h}}, rules: [latency_p95_ms: {{id: p95, lt: 80}}]}}}}
transitions:
- {{from: dev, to: staging, evidence: [artifact_digest, tests]}}
- {{from: staging, to: prod, checks: [slo]{comma}{prod}}}
"
    );
    crate::policy::parse(&text, Path::new("p.yaml")).unwrap()
}

pub fn evidence(kind: &str, value: Value) -> Evidence {
    Evidence { kind: kind.to_owned(), value, actor: "ci".to_owned(), at_ms: 0 }
}

pub fn dossier(all: &[(&str, Value)]) -> Dossier {
    let evidence = all.iter().map(|(kind, value)| ((*kind).to_owned(), evidence(kind, value.clone()))).collect();
    Dossier { evidence, ..Dossier::default() }
}
