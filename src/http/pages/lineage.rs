//! What made a version, its evidence and its approvals, for its page.

use maud::{Markup, html};

use super::markup::{promotion_path, time};
use crate::api::Explanation;
use driftgate_core::promotion::types::{Approval, Evidence};

/// A value of evidence is shown up to so many characters.
const LONGEST: usize = 300;

/// The section of the page.
pub fn lineage(seen: &Explanation) -> Markup {
    let of = &seen.lineage;
    let known = [
        ("training snapshot", &of.snapshot),
        ("its SHA-256", &of.snapshot_sha256),
        ("artifact", &of.artifact),
        ("its SHA-256", &of.artifact_sha256),
        ("baseline SHA-256", &of.baseline_sha256),
        ("policy SHA-256", &of.policy_sha256),
    ];
    let back = seen.rollback_target.as_ref().map(|target| &target.version);
    html! {
        h2 { "Lineage" }
        dl {
            @for (name, value) in known { @if let Some(value) = value { dt { (name) } dd { (value) } } }
            @if let Some(back) = back { dt { "a rollback goes to" } dd { (back) } }
            @if let Some(at) = &seen.rolled_back { dt { "rolled back" } dd { (at) } }
        }
        @for differs in &of.differing { div.notice.warn { p { (differs) } } }
        (evidence(&of.evidence))
        (approvals(&seen.approvals))
        p { a href=(promotion_path(&seen.model, &seen.version)) { "Promotion: gate, rollout and records" } }
    }
}

fn evidence(all: &[Evidence]) -> Markup {
    if all.is_empty() {
        return html! { p.soft { "No evidence is attached." } };
    }
    let value = |evidence: &Evidence| -> String {
        let text = evidence.value.as_str().map_or_else(|| evidence.value.to_string(), str::to_owned);
        let shown: String = text.chars().take(LONGEST).collect();
        if shown.len() < text.len() { format!("{shown} …") } else { shown }
    };
    html! {
        h3 { "Evidence" }
        div.scroll tabindex="0" role="region" aria-label="Evidence" {
            table {
                thead { tr { @for head in ["kind", "value", "by", "at"] { th scope="col" { (head) } } } }
                tbody { @for one in all { tr {
                    td { (one.kind) } td { code { (value(one)) } } td { (one.actor) } td { (time(one.at_ms)) }
                } } }
            }
        }
    }
}

fn approvals(all: &[Approval]) -> Markup {
    if all.is_empty() {
        return html! {};
    }
    html! {
        h3 { "Approvals" }
        ul { @for one in all { li {
            (one.actor) " as " (one.role) " for " (one.to) ", " (time(one.at_ms))
            @if let Some(comment) = &one.comment { ": " (comment) }
        } } }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_made_a_version_is_shown_as_text() {
        let seen: Explanation = serde_json::from_value(json!({
            "model": "m", "version": "1", "stages": [], "blocks": [], "rolled_back": null, "frozen": null, "rollback_target": null,
            "lineage": {"snapshot": "s3://a<b", "snapshot_sha256": null, "artifact": null, "artifact_sha256": null, "baseline_sha256": "b", "policy_sha256": "p",
                "evidence": [{"kind": "tests", "value": "pass", "actor": "ci", "at_ms": 0}, {"kind": "long", "value": {"a": "x".repeat(1000)}, "actor": "ci", "at_ms": 0}]},
            "approvals": [], "overrides": [], "gates": {}, "promotions": [], "verdicts": []
        }))
        .unwrap();
        let text = lineage(&seen).into_string();
        for part in [
            "s3://a&lt;b",
            "<td>tests</td><td><code>pass</code></td>",
            " …</code>",
            "/models/m/versions/1/promotion",
            "policy SHA-256",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(text.len() < 3000 && !text.contains("artifact"), "{text}");
    }
}
