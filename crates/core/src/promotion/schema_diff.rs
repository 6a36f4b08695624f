//! A version's feature schema against that of the version in prod: what was added, removed and changed, and which of it
//! the transition lets pass.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::types::{Dossier, Finding, GateOutcome};
use super::value::show;
use crate::policy::Transition;

/// What `schema` evidence looks like, for messages.
pub const EXPECTED: &str = "{\"features\": [{\"name\", \"type\", \"required\"}]} or {\"name\": {\"type\", \"required\"}} or {\"name\": \"type\"}";
/// What `schema_diff` evidence looks like, for messages.
pub const EXPECTED_DIFF: &str = "an object with any of added_optional, added_required, removed, removed_optional, type_changed, \
                                 widened and made_required, each a list of features";

/// A feature as a schema declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    pub kind: String,
    /// Unless the schema says otherwise.
    pub required: bool,
}

/// A schema by feature; `None` where the value is something else.
#[must_use]
pub fn read(value: &Value) -> Option<BTreeMap<String, Feature>> {
    let map = value.as_object()?;
    let mut features = BTreeMap::new();
    if let Some(Value::Array(list)) = map.get("features") {
        for item in list {
            let item = item.as_object()?;
            let name = item.get("name")?.as_str()?;
            if features.insert(name.to_owned(), feature(item)?).is_some() {
                return None;
            }
        }
    } else {
        for (name, value) in map {
            let feature = match value {
                Value::String(kind) => Feature { kind: kind.clone(), required: true },
                Value::Object(item) => feature(item)?,
                _ => return None,
            };
            features.insert(name.clone(), feature);
        }
    }
    (!features.is_empty()).then_some(features)
}

fn feature(item: &Map<String, Value>) -> Option<Feature> {
    let required = match item.get("required") {
        None => true,
        Some(required) => required.as_bool()?,
    };
    Some(Feature { kind: item.get("type")?.as_str()?.to_owned(), required })
}

/// What changed, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    pub added_optional: Vec<String>,
    pub added_required: Vec<String>,
    /// Required ones, or not known to be optional.
    pub removed: Vec<String>,
    pub removed_optional: Vec<String>,
    pub type_changed: Vec<String>,
    /// To a type that holds every value of the old one, or from required to optional.
    pub widened: Vec<String>,
    pub made_required: Vec<String>,
}

impl Diff {
    /// `schema_diff` evidence; `None` where the value is something else.
    #[must_use]
    pub fn read(value: &Value) -> Option<Self> {
        let mut diff = Self::default();
        for (key, value) in value.as_object()? {
            let list = match key.as_str() {
                "added_optional" => &mut diff.added_optional,
                "added_required" => &mut diff.added_required,
                "removed" => &mut diff.removed,
                "removed_optional" => &mut diff.removed_optional,
                "type_changed" => &mut diff.type_changed,
                "widened" => &mut diff.widened,
                "made_required" => &mut diff.made_required,
                _ => return None,
            };
            *list = value.as_array()?.iter().map(|name| name.as_str().map(str::to_owned)).collect::<Option<_>>()?;
        }
        Some(diff)
    }

    /// From the older schema to the newer.
    #[must_use]
    pub fn between(old: &BTreeMap<String, Feature>, new: &BTreeMap<String, Feature>) -> Self {
        let mut diff = Self::default();
        for (name, now) in new {
            let Some(then) = old.get(name) else {
                let list = if now.required { &mut diff.added_required } else { &mut diff.added_optional };
                list.push(name.clone());
                continue;
            };
            let types = || format!("{name} ({} to {})", then.kind, now.kind);
            match change(&then.kind, &now.kind) {
                Change::Same if then.required && !now.required => diff.widened.push(format!("{name} (now optional)")),
                Change::Same => {}
                Change::Wider => diff.widened.push(types()),
                Change::Other => diff.type_changed.push(types()),
            }
            if now.required && !then.required {
                diff.made_required.push(name.clone());
            }
        }
        for (name, then) in old.iter().filter(|(name, _)| !new.contains_key(*name)) {
            let list = if then.required { &mut diff.removed } else { &mut diff.removed_optional };
            list.push(name.clone());
        }
        diff
    }

    /// The changes, each with the word that lets it pass.
    fn changes(&self) -> [(&'static str, &[String], Option<&'static str>); 7] {
        [
            ("removed", &self.removed, None),
            ("changed its type", &self.type_changed, None),
            ("new and required", &self.added_required, None),
            ("required now", &self.made_required, None),
            ("new and optional", &self.added_optional, Some("add_optional")),
            ("optional and removed", &self.removed_optional, Some("remove_optional")),
            ("wider", &self.widened, Some("widen")),
        ]
    }
}

enum Change {
    Same,
    Wider,
    Other,
}

/// Whole and real numbers by their size in bits; other types only by their names.
fn change(old: &str, new: &str) -> Change {
    let (old, new) = (old.to_ascii_lowercase(), new.to_ascii_lowercase());
    let whole = |name: &str| match name {
        "int8" | "byte" => Some(8),
        "int16" | "short" => Some(16),
        "int32" | "int" | "integer" => Some(32),
        "int64" | "long" | "bigint" => Some(64),
        _ => None,
    };
    let real = |name: &str| match name {
        "float16" => Some(16),
        "float32" => Some(32),
        "float64" | "float" | "double" | "number" => Some(64),
        _ => None,
    };
    let size = |old: i32, new: i32| match new - old {
        0 => Change::Same,
        1.. => Change::Wider,
        _ => Change::Other,
    };
    match (whole(&old), whole(&new), real(&old), real(&new)) {
        (Some(old), Some(new), ..) | (.., Some(old), Some(new)) => size(old, new),
        // A double holds every whole number of 32 bits, not of 64.
        (Some(..=32), .., Some(64)) => Change::Wider,
        _ if old == new => Change::Same,
        _ => Change::Other,
    }
}

/// Judges the version's schema against the champion's, else the baseline's; without theirs, by its `schema_diff`.
#[must_use]
pub fn judge(transition: &Transition, dossier: &Dossier) -> Finding {
    let finding = |outcome, detail: String| Finding::new("schema", outcome, detail);
    let own = dossier.evidence.get("schema").map(|e| &e.value);
    let mut peers = ["champion", "baseline"].into_iter().filter_map(|role| Some((role, dossier.peers.get(role)?)));
    let theirs = peers.find_map(|(role, peer)| Some((role, peer, peer.schema.as_ref()?)));
    let attached = dossier.evidence.get("schema_diff").map(|e| &e.value);
    let (diff, against) = match (own, theirs, attached) {
        (Some(own), Some((role, peer, schema)), _) => {
            let (Some(new), Some(old)) = (read(own), read(schema)) else {
                let detail =
                    format!("a schema cannot be read: expected {EXPECTED}, read {} and {}", show(own), show(schema));
                return finding(GateOutcome::Block, detail);
            };
            (Diff::between(&old, &new), format!("version {} ({role})", peer.version))
        }
        (_, _, Some(attached)) => {
            let Some(diff) = Diff::read(attached) else {
                return finding(
                    GateOutcome::Block,
                    format!("schema_diff: expected {EXPECTED_DIFF}, read {}", show(attached)),
                );
            };
            (diff, "what schema_diff was made against".to_owned())
        }
        (Some(_), None, None) => {
            let detail = "schema attached; there is no earlier version's to compare it with";
            return finding(GateOutcome::Pass, detail.to_owned());
        }
        (None, ..) => {
            let detail = "schema missing: attach schema, or schema_diff, as evidence";
            return finding(GateOutcome::Block, detail.to_owned());
        }
    };
    let allowed =
        |word: Option<&str>| word.is_some_and(|word| transition.schema_allow.iter().any(|allow| allow == word));
    let (mut passing, mut blocking) = (Vec::new(), Vec::new());
    for (what, names, word) in diff.changes().into_iter().filter(|(_, names, _)| !names.is_empty()) {
        let list = if allowed(word) { &mut passing } else { &mut blocking };
        list.push(format!("{what}: {}", names.join(", ")));
    }
    if !blocking.is_empty() {
        let allow =
            if transition.schema_allow.is_empty() { "nothing".to_owned() } else { transition.schema_allow.join(", ") };
        let detail = format!("schema against {against}: {}; the transition allows {allow}", blocking.join("; "));
        return finding(GateOutcome::Block, detail);
    }
    let changes = if passing.is_empty() { "no change".to_owned() } else { passing.join("; ") };
    finding(GateOutcome::Pass, format!("schema against {against}: {changes}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::testing::{dossier, policy};
    use super::super::types::Peer;
    use super::*;

    fn ask(allow: &str, own: &[(&str, Value)], peer: Option<Value>) -> (GateOutcome, String) {
        let policy = policy(&format!("evidence: [schema], schema: {{allow: {allow}}}"));
        let mut dossier = dossier(own);
        if let Some(schema) = peer {
            let peer = Peer { version: "6".into(), schema: Some(schema), ..Peer::default() };
            dossier.peers.insert("champion".into(), peer);
        }
        let found = judge(&policy.transitions[1], &dossier);
        (found.outcome, found.detail)
    }

    fn champion() -> Value {
        json!({"features": [
            {"name": "age", "type": "int32", "required": true},
            {"name": "country", "type": "string"},
            {"name": "note", "type": "string", "required": false},
        ]})
    }

    #[test]
    fn an_optional_feature_more_passes() {
        let own = json!({"age": "int", "country": "string", "note": {"type": "string", "required": false},
                         "plan": {"type": "string", "required": false}});
        let (outcome, detail) = ask("[add_optional]", &[("schema", own.clone())], Some(champion()));
        assert_eq!(
            (outcome, detail.as_str()),
            (GateOutcome::Pass, "schema against version 6 (champion): new and optional: plan")
        );
        let (outcome, detail) = ask("[widen]", &[("schema", own)], Some(champion()));
        assert_eq!(outcome, GateOutcome::Block);
        assert!(detail.ends_with("new and optional: plan; the transition allows widen"), "{detail}");
    }

    #[test]
    fn what_breaks_is_named() {
        let own = json!({"age": "string", "note": {"type": "string", "required": true}, "plan": "string"});
        let (outcome, detail) = ask("[add_optional, remove_optional, widen]", &[("schema", own)], Some(champion()));
        assert_eq!(outcome, GateOutcome::Block);
        for part in [
            "removed: country",
            "changed its type: age (int32 to string)",
            "new and required: plan",
            "required now: note",
        ] {
            assert!(detail.contains(part), "{detail} does not contain {part}");
        }
    }

    #[test]
    fn wider_and_fewer_pass_where_allowed() {
        let own = json!({"age": "float64", "country": {"type": "string", "required": false}});
        let (outcome, detail) = ask("[remove_optional, widen]", &[("schema", own.clone())], Some(champion()));
        assert_eq!(outcome, GateOutcome::Pass, "{detail}");
        assert!(detail.contains("wider: age (int32 to float64), country (now optional)"), "{detail}");
        let (outcome, detail) = ask("[add_optional]", &[("schema", own)], Some(champion()));
        assert_eq!(outcome, GateOutcome::Block);
        assert!(detail.contains("optional and removed: note"), "{detail}");
        assert!(
            matches!(change("int64", "float64"), Change::Other) && matches!(change("float64", "int32"), Change::Other)
        );
    }

    #[test]
    fn a_diff_needs_no_other_schema_and_a_first_version_none() {
        let diff = |key: &str| vec![("schema_diff", json!({key: ["plan"], "removed": []}))];
        assert_eq!(ask("[add_optional]", &diff("added_optional"), None).0, GateOutcome::Pass);
        let (outcome, detail) = ask("[add_optional]", &diff("added_required"), None);
        assert!(outcome == GateOutcome::Block && detail.contains("new and required: plan"), "{detail}");
        let (outcome, detail) = ask("[add_optional]", &[("schema", champion())], None);
        assert!(outcome == GateOutcome::Pass && detail.contains("no earlier version's"), "{detail}");
        let (outcome, detail) = ask("[add_optional]", &[], Some(champion()));
        assert!(outcome == GateOutcome::Block && detail.starts_with("schema missing"), "{detail}");
    }

    #[test]
    fn what_is_no_schema_is_refused() {
        for value in [
            json!({}),
            json!([]),
            json!({"a": 1}),
            json!({"features": [{"name": "a"}]}),
            json!({"a": {"type": "int", "required": "yes"}}),
            json!({"features": [{"name": "a", "type": "int"}, {"name": "a", "type": "int"}]}),
        ] {
            assert_eq!(read(&value), None, "{value}");
        }
        assert_eq!(Diff::read(&json!({"removed": 1})), None);
    }

    fn schemas() -> impl Strategy<Value = BTreeMap<String, Feature>> {
        let kind = prop::sample::select(vec!["int32", "int64", "float64", "string"]);
        let feature = (kind, any::<bool>()).prop_map(|(kind, required)| Feature { kind: kind.into(), required });
        prop::collection::btree_map("[a-d]", feature, 1..4)
    }

    proptest! {
        #[test]
        fn every_difference_is_in_the_diff_once(old in schemas(), new in schemas()) {
            let diff = Diff::between(&old, &new);
            prop_assert_eq!(Diff::between(&new, &new), Diff::default());
            let added = diff.added_optional.len() + diff.added_required.len();
            prop_assert_eq!(added, new.keys().filter(|name| !old.contains_key(*name)).count());
            let removed = diff.removed.len() + diff.removed_optional.len();
            prop_assert_eq!(removed, old.keys().filter(|name| !new.contains_key(*name)).count());
            prop_assert_eq!(diff == Diff::default(), old == new);
        }
    }
}
