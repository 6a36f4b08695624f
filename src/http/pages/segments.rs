//! A subject by segment, where a rule compares each segment's distribution with that of the same segment of the reference (`by`): the value of each
//! segment beside the limit, and the distributions of the worst that do not pass.

use std::fmt::Write as _;

use super::bars::small;
use super::markup::{escaped, number, status, table};
use crate::history::record::bins_of;
use driftgate_core::codec::number::short;
use driftgate_core::judge::evidence::ComparedSegment;
use driftgate_core::judge::verdict::RuleResult;

/// So many segments are drawn and listed.
const MOST: usize = 60;
const WIDTH: f64 = 900.0;
/// Height of a segment, and the width of its name.
const ROW: f64 = 20.0;
const NAMES: f64 = 220.0;

/// The segments of a result as picture and table, the worst first; nothing where it is not judged by segment.
pub fn segments(result: &RuleResult) -> String {
    let mut all = result.compared_segments();
    let left_out = all.len().saturating_sub(MOST);
    all.truncate(MOST);
    if all.is_empty() {
        return String::new();
    }
    let by: String = result.read("by").unwrap_or_default();
    let (rule, subject, by) = (escaped(&result.rule), escaped(&result.subject), escaped(&by));
    let mut out = format!(
        "<h3>{rule} of {subject} by {by} {} <span class=\"soft\">each segment against the same segment of training; the dashed line is the limit</span></h3>\n",
        status(result.status)
    );
    out.push_str(&drawn(&format!("{} of {} by segment", result.rule, result.subject), &all, limit(result)));
    let cells = |of: &ComparedSegment| {
        let bins = bins_of(of.bins.clone());
        let title = format!("{} of segment {} in training and in the window", result.subject, of.segment);
        let drawn = small(&title, &bins);
        let count = |n: Option<u64>| n.map_or_else(String::new, |n| n.to_string());
        let reason = of.reason.as_deref().map_or_else(String::new, escaped);
        let (name, status) = (escaped(&of.segment), status(of.status));
        vec![name, status, number(of.value), drawn, count(of.n), count(of.reference_n), reason]
    };
    let heads = ["segment", "status", "value", "training, window", "n", "in training", "reason"];
    out.push_str(&table(&format!("{rule} of {subject} by {by}"), &heads, all.iter().map(cells)));
    if left_out > 0 {
        let _ =
            writeln!(out, "<p class=\"soft\">{left_out} segments that are better are left out; the API has them.</p>");
    }
    out
}

/// The limit of the result.
fn limit(result: &RuleResult) -> Option<f64> {
    let limit = result.get("limit")?;
    limit.as_object()?.values().next()?.as_f64().filter(|x| x.is_finite())
}

/// A point per segment that has a value.
fn drawn(title: &str, all: &[ComparedSegment], limit: Option<f64>) -> String {
    let valued = |of: &ComparedSegment| of.value.filter(|x| x.is_finite());
    let ends = all.iter().filter_map(valued).chain(limit);
    let (least, most) = ends.fold((0.0_f64, f64::NEG_INFINITY), |(a, b), x| (a.min(x), b.max(x)));
    if !most.is_finite() {
        return String::new();
    }
    let span = if most - least > 0.0 && (most - least).is_finite() { most - least } else { 1.0 };
    let at = |x: f64| NAMES + ((x - least) / span).clamp(0.0, 1.0) * (WIDTH - NAMES - 12.0);
    let rows = u32::try_from(all.len()).unwrap_or(u32::MAX);
    let height = ROW * f64::from(rows) + 18.0;
    let mut out = format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\"><title>{}</title>\n", escaped(title));
    if let Some(limit) = limit {
        let (x, end) = (at(limit), height - 18.0);
        let _ = write!(out, "<path d=\"M{x:.1} 0V{end:.1}\" stroke=\"var(--block)\" stroke-dasharray=\"6 3\"/>");
    }
    let mut top = ROW / 2.0;
    for of in all {
        let name: String = of.segment.chars().take(30).collect();
        let _ = write!(out, "<text x=\"0\" y=\"{:.1}\">{}</text>", top + 4.0, escaped(&name));
        if let Some(value) = valued(of) {
            let (x, status, name) = (at(value), of.status.name(), escaped(&of.segment));
            let _ = write!(
                out,
                "<path d=\"M{NAMES} {top:.1}H{x:.1}\" stroke=\"var(--line)\"/><circle cx=\"{x:.1}\" cy=\"{top:.1}\" r=\"4\" fill=\"var(--{status})\">\
                 <title>{name} {status} {}</title></circle>",
                short(value)
            );
        }
        top += ROW;
    }
    let base = height - 3.0;
    let _ = writeln!(
        out,
        "<text x=\"{NAMES}\" y=\"{base:.1}\">{}</text><text x=\"{WIDTH}\" y=\"{base:.1}\" text-anchor=\"end\">{}</text></svg>",
        short(least),
        short(most)
    );
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::http::tests::status_view::result;
    use driftgate_core::judge::verdict::Status;

    #[test]
    fn each_segment_has_its_value_and_the_worst_their_distributions() {
        let bins = json!([{"le": 1.5, "reference": 5, "window": 3}, {"le": null, "reference": 5, "window": 9}]);
        let all = json!([
            {"segment": "few", "status": "insufficient", "value": null, "n": 3, "reference_n": 40, "reason": "n 3 < 9"},
            {"segment": "fine", "status": "pass", "value": 0.01, "n": 90, "reference_n": 400},
            {"segment": "a<", "status": "block", "value": 0.4, "n": 70, "reference_n": 300, "bins": bins},
        ]);
        let of = |evidence| result("drift/psi", "psi", "temp", Status::Block, Some(0.4), evidence);
        let limit = || ("limit", json!({"lt": 0.2}));
        let shown = segments(&of(vec![limit(), ("by", "origin".into()), ("segments", all.clone())]));
        let at = |text: &str| shown.find(text).unwrap_or_else(|| panic!("{text}: {shown}"));
        assert!(at("<td>a&lt;</td>") < at("<td>fine</td>") && at("<td>fine</td>") < at("<td>few</td>"));
        assert_eq!((shown.matches("<circle").count(), shown.matches("class=\"bars\"").count()), (2, 1), "{shown}");
        assert!(shown.contains("stroke-dasharray") && shown.contains("n 3 &lt; 9") && !shown.contains("a<\""));
        assert_eq!(segments(&of(vec![limit(), ("segments", all)])), "", "rates by segment are a forest plot");
        let none = json!([{"segment": "few", "status": "insufficient", "value": null, "n": null, "reference_n": null}]);
        let shown = segments(&of(vec![("by", "origin".into()), ("segments", none)]));
        assert!(!shown.contains("<svg") && shown.contains("<td>few</td>"), "{shown}");
        assert_eq!(segments(&of(vec![("by", "origin".into()), ("segments", json!([1]))])), "");
    }
}
