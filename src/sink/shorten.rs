//! What is too large for a sink, made shorter step by step: bins and segments go first, then results that pass, then all but
//! the worst, then all results; of signals the reasons beyond the first; of a dead letter the message itself. What was left
//! out is listed in `shortened`.

use serde_json::{Map, Value, json};

/// So many results and reasons stay where others are left out.
const KEPT: usize = 20;

/// The same JSON with the next of its parts left out; `None` where nothing more can be.
#[must_use]
pub fn shorten(json: &str) -> Option<String> {
    let mut value: Value = serde_json::from_str(json).ok()?;
    let whole = value.as_object_mut()?;
    loop {
        let left_out = step(whole)?;
        mark(whole, left_out);
        let shorter = serde_json::to_string(whole).ok()?;
        if shorter.len() < json.len() {
            return Some(shorter);
        }
    }
}

fn is_marked(whole: &Map<String, Value>, part: &str) -> bool {
    whole.get("shortened").and_then(Value::as_array).is_some_and(|marks| marks.iter().any(|m| m == part))
}

fn mark(whole: &mut Map<String, Value>, part: &str) {
    if let Some(marks) = whole.entry("shortened").or_insert_with(|| json!([])).as_array_mut() {
        marks.push(part.into());
    }
}

const EVIDENCE: &str = "bins, segments and unseen categories";
const PASSING: &str = "results that pass";
const MOST: &str = "results beyond the worst 20, and the evidence of these";
const RESULTS: &str = "results";
const REASONS: &str = "reasons beyond the first 20";
const PAYLOAD: &str = "payload";

/// Leaves the next part out; which.
fn step(whole: &mut Map<String, Value>) -> Option<&'static str> {
    let next = |part: &'static str, whole: &Map<String, Value>| !is_marked(whole, part);
    if whole.get("results").is_some_and(Value::is_array) {
        let part = [EVIDENCE, PASSING, MOST, RESULTS].into_iter().find(|part| next(part, whole))?;
        let results = whole.get_mut("results")?.as_array_mut()?;
        match part {
            EVIDENCE => {
                for result in results.iter_mut().filter_map(Value::as_object_mut) {
                    ["bins", "segments", "unseen"].iter().for_each(|key| drop(result.shift_remove(*key)));
                }
            }
            PASSING => results.retain(|r| r.get("status").is_none_or(|s| s != "pass")),
            MOST => {
                let rank = |r: &Value| match r.get("status").and_then(Value::as_str) {
                    Some("block") => 0,
                    Some("insufficient") => 1,
                    _ => 2,
                };
                results.sort_by_key(rank);
                results.truncate(KEPT);
                for result in results.iter_mut().filter_map(Value::as_object_mut) {
                    result.retain(|key, _| ["rule", "metric", "subject", "status", "value"].contains(&key.as_str()));
                }
            }
            _ => results.clear(),
        }
        return Some(part);
    }
    if whole.contains_key("payload") && next(PAYLOAD, whole) {
        whole.shift_remove("payload");
        return Some(PAYLOAD);
    }
    let is_marked = is_marked(whole, REASONS);
    let of = if whole.contains_key("reasons") { whole } else { whole.get_mut("signal")?.as_object_mut()? };
    let reasons = of.get_mut("reasons")?.as_array_mut()?;
    if is_marked || reasons.len() <= KEPT {
        return None;
    }
    reasons.truncate(KEPT);
    Some(REASONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(value: &Value) -> Vec<Value> {
        let mut text = value.to_string();
        let mut all = Vec::new();
        while let Some(shorter) = shorten(&text) {
            assert!(shorter.len() < text.len());
            all.push(serde_json::from_str(&shorter).unwrap());
            text = shorter;
        }
        all
    }

    #[test]
    fn a_verdict_loses_bins_then_passing_results_then_all_but_the_worst_then_all() {
        let result = |i: usize, status: &str| json!({"rule": "drift/psi", "metric": "psi", "subject": format!("f{i}"), "status": status, "value": 1.5, "limit": {"lt": 0.2}, "bins": [1, 2, 3], "segments": {"a": 1}});
        let results: Vec<Value> = (0..40)
            .map(|i| {
                result(
                    i,
                    if i < 10 {
                        "pass"
                    } else if i < 38 {
                        "warn"
                    } else {
                        "block"
                    },
                )
            })
            .collect();
        let verdict = json!({"verdict_id": "v", "status": "block", "results": results, "counted": {"predictions": 3}});
        let steps = steps(&verdict);
        let lengths: Vec<usize> = steps.iter().map(|s| s["results"].as_array().unwrap().len()).collect();
        assert_eq!(lengths, [40, 30, 20, 0]);
        assert!(steps[0]["results"][0].get("bins").is_none() && steps[0]["results"][0].get("limit").is_some());
        assert_eq!(steps[2]["results"][0]["subject"], "f38", "the worst first");
        assert_eq!(steps[3]["shortened"], json!([EVIDENCE, PASSING, MOST, RESULTS]));
        assert!(
            steps.iter().all(|s| s["verdict_id"] == "v" && s["status"] == "block" && s["counted"]["predictions"] == 3)
        );
    }

    #[test]
    fn a_signal_loses_reasons_a_dead_letter_its_payload_and_what_has_neither_stays() {
        let reasons: Vec<String> = (0..30).map(|i| format!("reason {i} is a long one")).collect();
        for signal in
            [json!({"signal_id": "s", "reasons": reasons}), json!({"event": "block", "signal": {"reasons": reasons}})]
        {
            let steps = steps(&signal);
            assert_eq!(steps.len(), 1);
            let of = steps[0].get("signal").unwrap_or(&steps[0]);
            assert_eq!(of["reasons"].as_array().unwrap().len(), KEPT);
        }
        let letter = json!({"topic": "t", "payload": "x".repeat(100)});
        assert_eq!(steps(&letter), [json!({"topic": "t", "shortened": ["payload"]})]);
        assert_eq!(shorten(r#"{"event":"stage"}"#), None);
        assert_eq!(shorten("no json"), None);
    }
}
