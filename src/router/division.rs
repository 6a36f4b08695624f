//! How an object divides its traffic between the champion's backend and the candidate's, and the JSON Patch (RFC 6902) that divides
//! it otherwise. The patch tests what it replaces, so that a change in between refuses it.

use serde_json::{Value, json};

/// How an object divides its traffic.
#[derive(Clone, Debug, PartialEq)]
pub struct Division {
    /// In every rule that has both backends.
    pub pairs: Vec<Pair>,
}

/// The weights of two backends, or of the candidate's alone where the other one gets the rest.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    pub stable: Option<Weight>,
    pub canary: Weight,
}

/// A number in an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Weight {
    /// JSON Pointer (RFC 6901).
    pub path: String,
    /// `None`: it is not written, and means `otherwise`.
    pub found: Option<f64>,
    pub otherwise: f64,
    /// What must still be there when the number is replaced, by path.
    pub beside: Vec<(String, Value)>,
    /// It is where taking the mirror away will put it, with the weight `found`.
    pub is_mirrored: bool,
}

impl Weight {
    fn value(&self) -> f64 {
        self.found.unwrap_or(self.otherwise)
    }

    fn set(&self, weight: f64, patch: &mut Vec<Value>) {
        if self.is_mirrored && self.found == Some(weight) {
            return;
        }
        for (path, value) in &self.beside {
            patch.push(json!({"op": "test", "path": path, "value": value}));
        }
        if let Some(found) = self.found {
            patch.push(json!({"op": "test", "path": self.path, "value": number(found)}));
        }
        // `add` replaces what is there.
        patch.push(json!({"op": "add", "path": self.path, "value": number(weight)}));
    }
}

impl Pair {
    /// The candidate's percentage; `None`: neither gets any traffic.
    fn percent(&self) -> Option<f64> {
        let canary = self.canary.value();
        let Some(stable) = &self.stable else { return Some(canary) };
        let both = canary + stable.value();
        (both > 0.0).then(|| canary * 100.0 / both)
    }
}

impl Division {
    /// The candidate's percentage; `None` where the rules differ, or have no traffic.
    #[must_use]
    pub fn percent(&self) -> Option<f64> {
        let mut percents = self.pairs.iter().map(Pair::percent);
        let first = percents.next()??;
        percents.all(|other| other == Some(first)).then_some(first)
    }

    /// The percentages for people: `40%`, or `10% and 40%` where rules differ.
    #[must_use]
    pub fn shown(&self) -> String {
        let mut shown: Vec<String> = Vec::new();
        for pair in &self.pairs {
            let percent = pair.percent().map_or("no traffic at all".to_owned(), |percent| format!("{percent}%"));
            if !shown.contains(&percent) {
                shown.push(percent);
            }
        }
        shown.join(" and ")
    }

    /// The operations that give the candidate this percentage.
    #[must_use]
    pub fn patch(&self, percent: f64) -> Vec<Value> {
        let mut patch = Vec::new();
        for pair in &self.pairs {
            let Some(stable) = &pair.stable else {
                pair.canary.set(percent, &mut patch);
                continue;
            };
            // Weights are whole numbers: hundredths of percents where whole percents do not do.
            let (all, canary) =
                if percent.fract() == 0.0 { (100.0, percent) } else { (10_000.0, (percent * 100.0).round()) };
            stable.set(all - canary, &mut patch);
            pair.canary.set(canary, &mut patch);
        }
        patch
    }
}

/// A weight as people and programs write it: 10, and 0.5.
pub fn number(weight: f64) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "weights are from 0 to a million")]
    if weight.fract() == 0.0 { json!(weight as i64) } else { json!(weight) }
}

/// Who changed an object last by its `managedFields`, apart from driftgate and those that write its status: `kubectl-edit at
/// 2026-11-29T10:00:00Z`.
#[must_use]
pub fn changed_by(object: &Value, own: &str) -> Option<String> {
    let fields = object.pointer("/metadata/managedFields")?.as_array()?;
    let others = fields.iter().filter(|field| {
        field.get("subresource").is_none()
            && field.get("manager").and_then(Value::as_str).is_some_and(|name| name != own)
    });
    let text = |field: &Value, key: &str| field.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    // Times of one form: as texts they are in order.
    let last = others.max_by_key(|field| text(field, "time"))?;
    Some(format!("{} at {}", text(last, "manager"), text(last, "time")))
}
