//! A verdict read back from its JSON: what the registry keeps is shown again after a restart.

use serde_json::Value;

use super::verdict::{Counted, RuleResult, Status, Verdict, WindowSpan};

/// Metrics and evidence that verdicts are written with.
const NAMES: &[&str] = &[
    "psi",
    "ks_p",
    "ks_lcb",
    "missing_rate",
    "invalid_rate",
    "tpr_gap",
    "fpr_gap",
    "selection_gap",
    "equalized_odds",
    "disparate_impact",
    "tpr_gap_lcb",
    "tpr_drop",
    "tpr_drop_lcb",
    "auc",
    "latency_p50_ms",
    "latency_p90_ms",
    "latency_p95_ms",
    "latency_p99_ms",
    "error_rate",
    "kpi_drop",
    "measured",
    "limit",
    "method",
    "expected_null",
    "n",
    "missing",
    "invalid",
    "reference_n",
    "unseen",
    "ln_p",
    "adjusted",
    "d",
    "d_hi",
    "test",
    "statistic",
    "df",
    "cramers_v",
    "band_window",
    "band_reference",
    "rate",
    "reference_value",
    "lower",
    "upper",
    "best",
    "worst",
    "highest",
    "lowest",
    "driven_by",
    "segments",
    "unsegmented",
    "alpha",
    "champion",
    "champion_rate",
    "champion_n",
];

fn known(name: &str) -> Option<&'static str> {
    NAMES.iter().find(|n| **n == name).copied()
}

/// The verdict of a JSON text; `None` where it is not one of ours.
#[must_use]
pub fn verdict_from_json(json: &str) -> Option<Verdict> {
    let v: Value = serde_json::from_str(json).ok()?;
    let text = |v: &Value, key: &str| v.get(key)?.as_str().map(str::to_owned);
    let window = v.get("window")?;
    Some(Verdict {
        verdict_id: text(&v, "verdict_id")?,
        model: text(&v, "model")?,
        version: text(&v, "version")?,
        stage: text(&v, "stage"),
        group: text(&v, "group")?,
        window: WindowSpan {
            start: time(window.get("start")?)?,
            end: time(window.get("end")?)?,
            complete: window.get("complete")?.as_bool()?,
        },
        status: status(v.get("status")?)?,
        results: v.get("results")?.as_array()?.iter().map(result).collect::<Option<_>>()?,
        counted: Counted {
            predictions: v.get("counted")?.get("predictions")?.as_u64()?,
            labels: v.get("counted")?.get("labels")?.as_u64()?,
        },
        policy_sha256: text(&v, "policy_sha256")?,
        baseline_sha256: text(&v, "baseline_sha256"),
    })
}

fn time(v: &Value) -> Option<i64> {
    crate::decode::parse_rfc3339(v.as_str()?)
}

fn status(v: &Value) -> Option<Status> {
    Status::ALL.into_iter().find(|s| Some(s.name()) == v.as_str())
}

fn result(v: &Value) -> Option<RuleResult> {
    let mut out = RuleResult {
        rule: v.get("rule")?.as_str()?.to_owned(),
        metric: known(v.get("metric")?.as_str()?)?,
        subject: v.get("subject")?.as_str()?.to_owned(),
        status: status(v.get("status")?)?,
        value: v.get("value")?.as_f64(),
        evidence: Vec::new(),
        reason: v.get("reason").and_then(Value::as_str).map(str::to_owned),
        since: v.get("since").and_then(time),
        pending: v.get("pending").is_some(),
        muted: v.get("muted").is_some(),
        bins: v.get("bins").cloned(),
    };
    for (key, value) in v.as_object()? {
        if !matches!(
            key.as_str(),
            "rule" | "metric" | "subject" | "status" | "value" | "reason" | "since" | "pending" | "muted" | "bins"
        ) {
            out.evidence.push((known(key)?, value.clone()));
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_back_is_written_the_same() {
        let json = r#"{"verdict_id":"ab","model":"m","version":"1","stage":"prod","group":"drift","window":{"start":"2013-03-01T00:00:00Z","end":"2013-03-08T00:00:00Z","complete":true},"status":"block","results":[{"rule":"drift/psi","metric":"psi","subject":"temp","status":"block","value":0.31,"limit":{"lt":0.2},"method":"quantile-10/half","expected_null":0.0017,"n":6012,"missing":3,"invalid":0,"reference_n":50009,"since":"2013-03-08T00:00:00Z","pending":true,"bins":[{"le":28.9,"reference":5120,"window":310}]},{"rule":"f/tpr_gap","metric":"tpr_gap","subject":"origin","status":"insufficient","value":null,"lower":null,"n":0,"reason":"nothing","muted":true,"segments":[]}],"counted":{"predictions":6012,"labels":5990},"policy_sha256":"p","baseline_sha256":null}"#;
        let verdict = verdict_from_json(json).unwrap();
        assert_eq!(serde_json::to_string(&verdict).unwrap(), json);
        assert_eq!(verdict_from_json("{}"), None);
    }
}
