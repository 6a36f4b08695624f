//! The mirror of a shadow step: a copy of every request goes to the candidate, whose answers nobody gets. Which objects have one, and
//! the operations of a JSON Patch that set it or take it away.

use serde_json::{Value, json};

use super::division::Division;

/// How a kind of object writes a mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mirror {
    /// A filter `RequestMirror` of a rule of the Gateway API.
    GatewayApi,
    /// `mirror` and `mirrorPercentage` of an HTTP route of Istio.
    Istio,
    /// `spec.mirror` of an experiment of Seldon Core 2, to which the candidate moves.
    Seldon,
}

/// Where an experiment has its candidates, and its mirror.
pub const CANDIDATES: &str = "/spec/candidates";
const MIRROR: &str = "/spec/mirror";

/// What a candidate of an experiment is once the mirror to it was taken away.
#[must_use]
pub fn candidate(name: &str) -> Value {
    json!({"name": name, "weight": 0})
}

impl Mirror {
    /// What makes each rule of a division mirror to the candidate's backend, or mirror to it no more; nothing where they do so already.
    /// A mirror is set after the weights are, and taken away before.
    #[must_use]
    pub fn operations(self, object: &Value, division: &Division, is_on: bool) -> Vec<Value> {
        let mut operations = Vec::new();
        for pair in &division.pairs {
            // `/spec/rules/0/backendRefs/1/weight`
            let Some(at) = pair.canary.path.strip_suffix("/weight") else { continue };
            match self {
                Self::GatewayApi => gateway_api(object, at, is_on, &mut operations),
                Self::Istio => istio(object, at, is_on, &mut operations),
                Self::Seldon => seldon(object, at, pair.canary.is_mirrored, is_on, &mut operations),
            }
        }
        operations
    }
}

/// The path of the rule that has a backend.
fn rule_of(at: &str) -> &str {
    at.rsplitn(3, '/').nth(2).unwrap_or_default()
}

fn gateway_api(object: &Value, at: &str, is_on: bool, operations: &mut Vec<Value>) {
    let Some(backend) = object.pointer(at) else { return };
    let rule = rule_of(at);
    let path = format!("{rule}/filters");
    let filters = object.pointer(&path).and_then(Value::as_array);
    let is_ours = |filter: &Value| {
        filter.get("type").is_some_and(|kind| kind == "RequestMirror")
            && filter.pointer("/requestMirror/backendRef/name") == backend.get("name")
    };
    let found = filters.into_iter().flatten().position(is_ours);
    match (found, is_on) {
        (None, true) => {
            let mut to = serde_json::Map::new();
            for key in ["group", "kind", "name", "namespace", "port"] {
                if let Some(value) = backend.get(key) {
                    to.insert(key.to_owned(), value.clone());
                }
            }
            let filter = json!({"type": "RequestMirror", "requestMirror": {"backendRef": to}});
            operations.push(match filters {
                Some(_) => json!({"op": "add", "path": format!("{path}/-"), "value": filter}),
                None => json!({"op": "add", "path": path, "value": [filter]}),
            });
        }
        (Some(at), false) => {
            let filter = filters.and_then(|all| all.get(at));
            operations.push(json!({"op": "test", "path": format!("{path}/{at}"), "value": filter}));
            operations.push(json!({"op": "remove", "path": format!("{path}/{at}")}));
        }
        (None, false) | (Some(_), true) => {}
    }
}

fn istio(object: &Value, at: &str, is_on: bool, operations: &mut Vec<Value>) {
    let Some(to) = object.pointer(&format!("{at}/destination")) else { return };
    let rule = rule_of(at);
    let (path, share) = (format!("{rule}/mirror"), format!("{rule}/mirrorPercentage"));
    let is_ours = object.pointer(&path) == Some(to);
    match (is_ours, is_on) {
        (false, true) => {
            operations.push(json!({"op": "add", "path": path, "value": to}));
            operations.push(json!({"op": "add", "path": share, "value": {"value": 100}}));
        }
        (true, false) => {
            operations.push(json!({"op": "test", "path": path, "value": to}));
            operations.push(json!({"op": "remove", "path": path}));
            if object.pointer(&share).is_some() {
                operations.push(json!({"op": "remove", "path": share}));
            }
        }
        (true, true) | (false, false) => {}
    }
}

/// `at` is the candidate's place among the candidates, or the one that it will have there.
fn seldon(object: &Value, at: &str, is_mirrored: bool, is_on: bool, operations: &mut Vec<Value>) {
    match (is_mirrored, is_on) {
        (false, true) => {
            let Some(name) = object.pointer(&format!("{at}/name")) else { return };
            operations.push(json!({"op": "test", "path": format!("{at}/name"), "value": name}));
            operations.push(json!({"op": "remove", "path": at}));
            operations.push(json!({"op": "add", "path": MIRROR, "value": {"name": name, "percent": 100}}));
        }
        (true, false) => {
            let Some(name) = object.pointer(&format!("{MIRROR}/name")) else { return };
            operations.push(json!({"op": "test", "path": format!("{MIRROR}/name"), "value": name}));
            operations.push(json!({"op": "remove", "path": MIRROR}));
            let back = candidate(name.as_str().unwrap_or_default());
            operations.push(json!({"op": "add", "path": format!("{CANDIDATES}/-"), "value": back}));
        }
        (true, true) | (false, false) => {}
    }
}
